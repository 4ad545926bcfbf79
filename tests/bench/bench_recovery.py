"""How long a start takes after a crash with a day of journal: decisions, quotes and bars, and what the floor is.

Run it: python tests/bench/bench_recovery.py [--quotes N] [--decisions N] [--days N]. Days before the last hold bars and
quotes too; with `--days` above 1 the extracts of bars they leave are what makes the second start quick.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from live.books.look_back import TRADING_DAYS
from live.books.recovery import Past
from trading_assets.core.market.bars import BarValues
from trading_assets.core.records.market import Quote
from trading_assets.core.records.record import Record
from trading_assets.core.records.trading import StrategyLoad
from trading_assets.store.journal import Journal, journal_dates

START = datetime(2026, 11, 2, tzinfo=UTC)
SYMBOLS = tuple(f"SYM{number:03d}" for number in range(20))
NEEDED = {"M5": 1088, "M15": 704, "H1": 560, "H4": 524}
MINUTES = {"M5": 5, "M15": 15, "H1": 60, "H4": 240}


def bar(symbol: str, timeframe: str, open_at: datetime, known_at: datetime) -> Record:
    close_at = open_at + timedelta(minutes=MINUTES[timeframe])
    values = BarValues(
        symbol=symbol, timeframe=timeframe, open_at=open_at, close_at=close_at, open=1.1, high=1.2, low=1.0, close=1.15,
        ask_open=1.1001, ask_high=1.2001, ask_low=1.0001, ask_close=1.1501, tick_count=100, spread_min_points=10,
        spread_max_points=12, spread_sum_points=1_100, source="quotes",
    )  # fmt: skip
    return values.to_record(tenant="t", account="paper", known_at=known_at, chain_id="c")


def quote(number: int, at: datetime) -> Record:
    return Quote(
        tenant="t", account="paper", event_at=at, known_at=at, chain_id="01KB2B3V00D3F8H2Q6S9W4X7YZ",
        symbol=SYMBOLS[number % len(SYMBOLS)], bid=1.1 + number % 977 * 1e-5, ask=1.10012 + number % 977 * 1e-5,
        server_msc=number, clock_rule="us",
    )  # fmt: skip


def decision_sized(number: int, at: datetime) -> Record:
    """A trading record of a decision's size and kind of text; a decision itself is skimmed, not slower to skip."""
    return StrategyLoad(
        tenant="t",
        account="paper",
        event_at=at,
        known_at=at,
        chain_id="c",
        strategy_version=str(number),
        parameters="x" * 13_000,
    )


async def write(raw: Path, days: int, quotes: int, decisions: int) -> None:
    """Write the days as a daemon does: history first, then quotes, bars as they close, decisions."""
    async with Journal.open(raw, sync=lambda _: None) as journal:
        history = [
            bar(symbol, timeframe, START - timedelta(minutes=MINUTES[timeframe]) * (back + 1), START)
            for symbol in SYMBOLS
            for timeframe, count in NEEDED.items()
            for back in range(count)
        ]
        await journal.append(history)
        for day in range(days):
            begin = START + timedelta(days=day)
            step, every = timedelta(days=1) / quotes, max(quotes // decisions, 1)
            for number in range(quotes):
                at = begin + step * number
                journal.buffer([quote(number, at)])
                if number % every == 0:
                    close = at.replace(minute=at.minute // 5 * 5, second=0, microsecond=0)
                    symbol = SYMBOLS[number // every % len(SYMBOLS)]
                    journal.buffer([bar(symbol, "M5", close - timedelta(minutes=5), at)])
                    await journal.append([decision_sized(number, at)])


def start(raw: Path) -> dict[str, float]:
    """Do what a daemon does before a terminal may connect; return the seconds of each part."""
    taken: dict[str, float] = {}
    past = Past(raw, "t", "paper")

    async def opened() -> None:
        async with Journal.open(raw):
            pass

    clock = time.perf_counter()
    asyncio.run(opened())
    taken["the journal is recovered"] = time.perf_counter() - clock
    clock = time.perf_counter()
    read = sum(1 for _ in past._trading(journal_dates(raw, stream="trading")[-TRADING_DAYS:]))
    taken[f"the trading stream is read ({read} records of use)"] = time.perf_counter() - clock
    clock = time.perf_counter()
    bars = past.bars(dict.fromkeys(SYMBOLS, NEEDED))
    taken["bars"] = time.perf_counter() - clock
    clock = time.perf_counter()
    past.quotes_since({symbol: frames["M5"][-1].close_at for symbol, frames in bars.items()})
    taken["quotes since"] = time.perf_counter() - clock
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quotes", type=int, default=300_000, help="a day")
    parser.add_argument("--decisions", type=int, default=5_760, help="a day: 20 symbols, M5")
    parser.add_argument("--days", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        asyncio.run(write(raw, options.days, options.quotes, options.decisions))
        paths = [path for path in raw.rglob("*.ndjson") if path.is_file()]
        size = sum(os.path.getsize(path) for path in paths)
        clock = time.perf_counter()
        for path in paths:
            path.read_bytes()
        floor = time.perf_counter() - clock
        print(f"{options.days} days, {size / 1e6:.0f} MB in {len(paths)} segments")
        print(f"  {'floor: every byte read once':50} {floor:7.2f} s")
        for which in ("first start", "second start"):
            taken = start(raw)
            for part, seconds in taken.items():
                print(f"  {which + ': ' + part:70} {seconds:7.2f} s")
            total = sum(taken.values())
            print(f"  {which + ', in all':70} {total:7.2f} s   {total / floor:6.1f} x floor (the aim is 3 s)")


if __name__ == "__main__":
    main()
