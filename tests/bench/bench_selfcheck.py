"""How long the self-check takes over a day with 20,000 decisions, beside the floor of reading and hashing that day's journal.

One played day (or the home given) is told again under as many accounts as give the decisions, ingested, and checked: the first
time as a whole, then as every ten minutes, once after the day was written again and once when nothing has changed.

Run it: python tests/bench/bench_selfcheck.py [--decisions N] [--home PLAYED].
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("TRADING_FIRST_DATE", "2026-01-01")

from trading_assets.core.records.decisions import Decision
from trading_assets.defs import dataset
from trading_assets.defs.rehearsal import make, make_whole, makers
from trading_assets.defs.resources import Storage
from trading_assets.defs.selfcheck import Checked, self_check
from trading_assets.store.home import Home
from trading_assets.store.journal import Journal, read_records

COMMIT = 500
AIM_S = 5.0


def multiplied(source: Home, target: Home, decisions: int) -> tuple[list[date], date, int]:
    """Write the source's journal under as many accounts as give the decisions on its fullest day; return days and count."""
    records = [one for stream in ("market", "trading") for one in read_records(source.raw, stream=stream)]  # type: ignore[arg-type]
    by_day: dict[date, int] = {}
    for one in records:
        if isinstance(one, Decision):
            by_day[one.known_at.date()] = by_day.get(one.known_at.date(), 0) + 1
    fullest = max(by_day, key=by_day.__getitem__)
    # Of the fullest day, and the day before it: where trades were opened and windows begin.
    days = [fullest - timedelta(days=1), fullest]
    records = [one for one in records if one.known_at.date() in days]
    accounts = -(-decisions // by_day[fullest])

    async def write() -> None:
        async with Journal.open(target.raw, writer="bench") as journal:
            for number in range(accounts):
                own = [msgspec.structs.replace(one, account=f"{one.account}-{number}") for one in records]
                for start in range(0, len(own), COMMIT):
                    await journal.append(own[start : start + COMMIT])

    asyncio.run(write())
    return days, fullest, accounts * by_day[fullest]


def ingested(home: Home, days: list[date]) -> Storage:
    """Fill the lake as the jobs do; not the dataset, in which ids of several accounts are never the same."""
    storage = Storage(root=str(home.root))
    for maker in makers():
        if maker.tables == ("labels",):
            make_whole(dataset.label_definitions, home, storage.lake)
        make(home, storage.lake, maker, days)
    for path in (home.cursors / "under_way").glob("*.json"):
        path.unlink()
    return storage


def floor_s(home: Home, day: date) -> float:
    """Read and hash the day's journal."""
    started = time.perf_counter()
    for path in home.raw.glob(f"tenant=*/account=*/stream=*/date={day}/hour=*/*.ndjson"):
        sha256(path.read_bytes()).digest()
    return time.perf_counter() - started


def told(what: str, checked: Checked, floor: float) -> float:
    """Print one line."""
    print(
        f"{what:<44} {checked.seconds:7.2f} s  {checked.seconds / floor:6.1f} x floor  {len(checked.found)} found, {len(checked.standing)} stand"
    )
    return checked.seconds


def main() -> int:
    """Measure and print; returns 1 above the aim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=20_000)
    parser.add_argument("--home", type=Path, help="a played home; without it a demo of two days is played")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trading-bench-") as folder:
        source = Home(given.home) if given.home else _played(Path(folder) / "played")
        home = Home(Path(folder) / "home")
        days, day, count = multiplied(source, home, given.decisions)
        storage = ingested(home, days)
        floor = max(floor_s(home, day), 1e-3)
        print(f"{count} decisions on {day}; reading and hashing that day's journal: {floor:.2f} s")
        at = datetime.now(UTC) + timedelta(hours=1)
        told("whole history, the first time", self_check(storage, at), floor)
        for maker in makers():
            if maker.group != "raw":
                make(home, storage.lake, maker, [day])
        slowest = told("after the day was written again", self_check(storage, at + timedelta(minutes=10)), floor)
        told("nothing has changed", self_check(storage, at + timedelta(minutes=20)), floor)
    print(f"aim {AIM_S} s: {'met' if slowest < AIM_S else 'MISSED'}")
    return 0 if slowest < AIM_S else 1


def _played(home: Path) -> Home:
    from played import trading

    done: Any = trading("demo", "--days", "2", "--release-days", "1", "--json", "--home", str(home))
    assert done.returncode == 0, done.stderr
    return Home(home)


if __name__ == "__main__":
    sys.exit(main())
