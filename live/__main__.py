"""`python -m live --settings FILE`: starts the daemon, tells it to end, prints one sentence when it cannot run.

Standard output carries the ready line, standard error the log (`live.logs`), one JSON object a line. The sentence of an
error that ends the process is for people and stands there as it is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from live.daemon import Daemon
from live.logs import LEVELS, log, written
from live.settings import read_settings
from trading_assets.core.errors import TradingError
from trading_assets.store.home import create_privately

_FAILED = 1


def main(arguments: list[str] | None = None) -> int:
    """Run the daemon; returns the exit status: 0 after a clean end, 1 with a sentence on standard error."""
    options = _options(arguments)
    create_privately()
    path = options.settings or options.home / "settings.toml"
    try:
        with written(options.log_level, sys.stderr):
            asyncio.run(_run(path))
    except TradingError as error:
        print(error, file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        return 0
    return 0


async def _run(path: Path) -> None:
    daemon = Daemon(read_settings(path))
    _listen_for_signals(daemon)
    # What a task raised that nobody waits for; asyncio would print it as text.
    asyncio.get_running_loop().set_exception_handler(_report)
    await daemon.run(lambda port: _announce(port, daemon.halts))


def _report(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    error = context.get("exception")
    exc_info = (type(error), error, error.__traceback__) if isinstance(error, BaseException) else None
    log().error(str(context.get("message")), exc_info=exc_info)


def _announce(port: int, halts: dict[str, str]) -> None:
    print(json.dumps({"ready": True, "port": port, "pid": os.getpid(), "halts": halts}), flush=True)


def _listen_for_signals(daemon: Daemon) -> None:
    """End cleanly on SIGINT and SIGTERM, on Windows on Ctrl-C and Ctrl-Break.

    Windows' event loop takes no signal handlers: there the handler of the process passes the word to the loop.
    """
    loop = asyncio.get_running_loop()

    def drain(number: int, _frame: FrameType | None = None) -> None:
        loop.call_soon_threadsafe(daemon.drain, signal.Signals(number).name)

    names = ("SIGINT", "SIGTERM", "SIGBREAK")
    for number in [getattr(signal, name) for name in names if hasattr(signal, name)]:
        try:
            loop.add_signal_handler(number, drain, number)
        except NotImplementedError:
            signal.signal(number, drain)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m live", description="The live daemon: bridges terminals, decides, journals."
    )
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--settings", type=Path, help="settings.toml")
    place.add_argument("--home", type=Path, help="folder that holds settings.toml")
    parser.add_argument("--log-level", choices=LEVELS, default="info", help="least level of a log line (default: info)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
