"""`python -m trading_assets.store.process_keeper MARK`: ends a command's processes once the command is gone.

It reads its standard input to the end, which comes when the command closes it or dies. Each line names something that
needs more than a signal: `{"postgres": FOLDER}`, an embedded server. Who is marked is read from the environment of the
running processes, so that grandchildren whose parents are gone are found as well.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its types are a package of their own, not worth a pin

from trading_assets.store.owned_processes import MARK

PATIENCE_S = 20.0
_POSTGRES = ("postgres", "postgres.exe")


def marked(mark: str) -> list[psutil.Process]:
    """Return the running processes that carry the mark. PostgreSQL's are not among them: they are stopped by their server."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            is_ours = mark in process.environ().get(MARK, "").split(":")
            if is_ours and process.status() != psutil.STATUS_ZOMBIE and process.name() not in _POSTGRES:
                found.append(process)
    return found


def end_marked(mark: str, patience_s: float = PATIENCE_S) -> None:
    """Ask the marked processes to end, parents before their children, and kill those that do not."""
    until, asked = time.monotonic() + patience_s, set[int]()
    while (left := marked(mark)) and time.monotonic() < until:
        pids = {process.pid for process in left}
        for process in left:
            with suppress(psutil.Error):
                if process.pid not in asked and process.ppid() not in pids:
                    process.terminate()
                    asked.add(process.pid)
        psutil.wait_procs(left, timeout=0.2)
    # One that is being killed may have started another: look until there is none.
    while left := marked(mark):
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=0.2)


def stop_postgres(folder: Path) -> None:
    """Stop the embedded server of a folder, unless another command uses it."""
    from trading_assets.core.errors import TradingError
    from trading_assets.store.postgres_server import EmbeddedServer

    with suppress(TradingError):
        if folder.is_dir():
            EmbeddedServer(folder).stop_if_unused()


def main() -> None:
    """Wait for the end of standard input, then end what is marked."""
    # They are the command's business; a service manager sends SIGTERM to every process it started.
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    folders = [Path(json.loads(line)["postgres"]) for line in sys.stdin.buffer]
    end_marked(sys.argv[1])
    for folder in folders:
        stop_postgres(folder)


if __name__ == "__main__":
    main()
