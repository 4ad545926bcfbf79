"""`python -m live.paper`: arguments in, JSON lines out on stdout, one sentence on stderr and exit code 1 on an error.

    python -m live.paper --url ws://127.0.0.1:8765 --token-file token --state DIR --synthetic --days 30
    python -m live.paper --url ws://127.0.0.1:8765 --token-file token --state DIR --market ticks/oanda/EURUSD --clock utc

The same state folder continues where the last run stopped. Ctrl-C, SIGTERM and CTRL_BREAK end a run after its step.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import msgspec

from live.paper.conditions import Conditions, parse_conditions
from live.paper.faults import Faults, parse_faults
from live.paper.feed import Feed, from_files, from_synthetic
from live.paper.load import from_load
from live.paper.script import parse_script
from live.paper.shape import parse_shape
from live.paper.terminal import Setup, Terminal
from trading_assets.core.errors import InputError, TradingError
from trading_assets.core.records.decisions import TraderLimits
from trading_assets.store.home import create_privately

_STEPS = (1, 5, 15, 30, 60)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the terminal; return the exit code."""
    given = _parser().parse_args(arguments)
    create_privately()
    stop = _StopSignals()
    try:
        feed = _feed(given)
        summary = asyncio.run(Terminal(feed, _setup(given), _say, stop).run())
    except TradingError as error:
        print(error, file=sys.stderr)
        return 1
    _say(summary)
    return 0


class _StopSignals:
    """Calls back true once the process was asked to end; a second Ctrl-C ends it at once."""

    def __init__(self) -> None:
        self._is_asked = False
        for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
            # SIGBREAK exists on Windows alone.
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._ask)

    def __call__(self) -> bool:
        return self._is_asked

    def _ask(self, number: int, _frame: object) -> None:
        if self._is_asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._is_asked = True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m live.paper", description="A simulated MetaTrader 5 terminal.")
    parser.add_argument("--url", required=True, help="address of the daemon, ws://host:port")
    parser.add_argument("--token-file", required=True, type=Path, help="file with the token of the account")
    parser.add_argument(
        "--state", required=True, type=Path, help="folder of account, deals and play position; a second run continues"
    )
    market = parser.add_argument_group("market: files or synthetic")
    market.add_argument(
        "--market", action="append", type=Path, default=[], help="history file or folder; once for each symbol"
    )
    market.add_argument(
        "--symbol", action="append", default=[], help="symbol of each --market, where the file does not tell"
    )
    market.add_argument("--clock", help="server clock: utc, an offset such as -5, eu or us (synthetic: eu)")
    market.add_argument("--spread-points", type=int, help="spread where a file has none")
    market.add_argument("--synthetic", action="store_true", help="play the seeded market")
    market.add_argument("--seed", type=int, default=1, help="seed of market and slippage (1)")
    market.add_argument("--days", type=int, default=30, help="trading days (30)")
    market.add_argument("--symbols", default="EURUSD,GBPUSD", help="synthetic symbols (EURUSD,GBPUSD)")
    market.add_argument(
        "--start", type=date.fromisoformat, default=date(2024, 1, 8), help="first trading day (2024-01-08)"
    )
    market.add_argument("--edge", type=float, default=1.0, help="size of the planted edge; 0 is a random walk (1)")
    market.add_argument("--load", type=int, default=0, metavar="SYMBOLS", help="play a load of so many symbols")
    market.add_argument("--rate", type=int, default=5000, help="quotes a second of a load, over all symbols (5000)")
    market.add_argument("--seconds", type=int, default=600, help="how long a load lasts (600)")
    market.add_argument("--load-history", type=int, default=60, help="calendar days of history before a load (60)")
    market.add_argument("--shape", default="", help="suffix, holes and gaps, as JSON: see live/paper/shape.py")
    run = parser.add_argument_group("run")
    run.add_argument(
        "--speed", choices=("lockstep", "realtime"), default="lockstep", help="as fast as the daemon, or by the clock"
    )
    run.add_argument(
        "--step-minutes",
        type=int,
        choices=_STEPS,
        default=5,
        help="minutes of quotes between heartbeats in lockstep (5)",
    )
    run.add_argument("--until", help="play up to this UTC time (ISO 8601)")
    run.add_argument(
        "--history-days", type=int, default=0, help="trading days at the beginning that are history and not played (0)"
    )
    run.add_argument("--close-at-end", action="store_true", help="close all positions at the end")
    run.add_argument("--patience", type=float, default=10.0, help="seconds the daemon may be away (10)")
    run.add_argument("--ca", type=Path, help="certificates a wss:// daemon is trusted by (those of the system)")
    run.add_argument("--keep-quotes", type=int, default=100_000, help="quotes kept while the daemon is away (100000)")
    run.add_argument("--timer-ms", type=int, default=0, help="least time between batches of quotes in real time (0)")
    account = parser.add_argument_group("account")
    account.add_argument("--deposit", default="10000", help="first deposit (10000)")
    account.add_argument("--commission", default="2.50", help="commission of one side of one lot (2.50)")
    account.add_argument("--leverage", type=int, default=100, help="leverage 1:n (100)")
    account.add_argument("--slippage-points", type=float, default=0.5, help="mean slippage of a market order (0.5)")
    account.add_argument("--conditions", default="", help="mode, limits, hours, as JSON: see live/paper/conditions.py")
    account.add_argument("--limits", default="", help="the trader's own limits, as JSON")
    unpleasant = parser.add_argument_group("unpleasant", "JSON, or @FILE with it; docs/simulated-terminal.md lists all")
    unpleasant.add_argument("--faults", default="", help="what shall go wrong by chance: see live/paper/faults.py")
    unpleasant.add_argument("--script", default="", help="what shall happen when: see live/paper/script.py")
    return parser


def _feed(given: argparse.Namespace) -> Feed:
    shape = parse_shape(_json("--shape", given.shape) or "{}")
    return shape.applied_to(_unshaped_feed(given))


def _unshaped_feed(given: argparse.Namespace) -> Feed:
    if [given.synthetic, bool(given.market), bool(given.load)].count(True) != 1:
        problem = "it takes either --synthetic or --market or --load"
        raise InputError("choosing the market for", "the terminal", problem, "pass one of them")
    if given.load:
        begins_at = datetime.now(UTC).replace(second=0, microsecond=0)
        clock = given.clock or "eu"
        return from_load(given.seed, given.load, begins_at, given.seconds, given.rate, given.load_history, clock)
    if given.synthetic:
        symbols = [symbol for symbol in given.symbols.split(",") if symbol]
        return from_synthetic(given.seed, symbols, given.start, given.days, given.edge, given.clock or "eu")
    return from_files(given.market, given.symbol, given.clock, given.spread_points)


def _setup(given: argparse.Namespace) -> Setup:
    return Setup(
        url=given.url,
        token=_token(given.token_file),
        state=given.state,
        pace=given.speed,
        step_minutes=given.step_minutes,
        until=_instant(given.until),
        history_days=given.history_days,
        close_at_end=given.close_at_end,
        deposit=_amount("--deposit", given.deposit),
        commission_per_lot=_amount("--commission", given.commission),
        leverage=given.leverage,
        slippage_points=given.slippage_points,
        seed=given.seed,
        faults=parse_faults(_json("--faults", given.faults)) if given.faults else Faults(),
        conditions=parse_conditions(_json("--conditions", given.conditions)) if given.conditions else Conditions(),
        script=parse_script(_json("--script", given.script)) if given.script else (),
        limits=_limits(_json("--limits", given.limits)) if given.limits else None,
        ca=given.ca,
        kept_quotes=given.keep_quotes,
        timer_ms=given.timer_ms,
        patience_s=given.patience,
    )


def _json(name: str, text: str) -> str:
    """Return the JSON given, or that of the file named by @FILE."""
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("reading", f"{name} {text}", str(error), "name a file with JSON after the @") from error


def _limits(text: str) -> TraderLimits:
    try:
        return msgspec.json.decode(text, type=TraderLimits)
    except (msgspec.DecodeError, UnicodeError) as error:
        known = ", ".join(TraderLimits.__struct_fields__)
        raise InputError("reading", "--limits", str(error), f"pass a JSON object with some of {known}") from error


def _token(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "reading the token from", path, str(error), "pass a --token-file with the account's token"
        ) from error
    if not token:
        raise InputError("reading the token from", path, "the file is empty", "write the account's token into it")
    return token


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            "reading", "--until", f"{text!r} is not a time", "pass one like 2024-01-31T21:00:00+00:00"
        ) from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _amount(name: str, text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise InputError("reading", name, f"{text!r} is not an amount", "pass a decimal number") from error
    if not amount.is_finite() or amount < 0:
        raise InputError("reading", name, f"{text} is not an amount of money", "pass zero or more")
    return amount


def _say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.exit(main())
