"""A backfill from raw journals to the learning dataset: days/s and peak memory over 30, 90 and 250 days, two symbols, M5.

The journal is one played week, moved on week by week (`many_weeks`), so every week costs the same work and whatever grows
with the length of the range shows in the cost of a day. Beside it: reading and decoding the same journal alone, which no
backfill can do without. Afterwards traces out of the largest lake (`traced`).
Run: `python tests/bench/bench_backfill.py [--short]`; the long form takes a quarter of an hour and 6 GB of disk.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from lockstep import replay
from many_weeks import write_weeks
from traced import some_ids, told

from trading_assets.cli.environment import beside_python
from trading_assets.store.journal import read_records

LENGTHS, SHORT_LENGTHS = (30, 90, 250), (5, 10)
PLAYED_DAYS = 10
BATCH_ENVIRONMENT = ("TRADING_", "DAGSTER_", "MLFLOW_")


def main() -> None:
    """Print the figures."""
    lengths = SHORT_LENGTHS if "--short" in sys.argv else LENGTHS
    with tempfile.TemporaryDirectory() as folder:
        journal, days = prepared(Path(folder), max(lengths))
        rates = []
        for length in lengths:
            home = Path(folder) / f"days-{length}"
            home.mkdir()
            (home / "raw").symlink_to(journal)
            until = days[length - 1]
            seconds, cpu_s, peak_mb = backfill(home, days[0], until)
            floor = read_alone(journal, days[:length])
            rates.append(length / cpu_s)
            print(
                f"{length:>4} trading days{seconds:>9.1f} s {length / seconds:>7.2f} days/s   {1000 * cpu_s / length:>6,.0f} ms of processor a day   peak {peak_mb:>6,.0f} MB   "
                f"{seconds / floor:>5.1f} times reading the journal alone",
                flush=True,
            )
        print(
            f"a day costs {rates[0] / rates[-1]:.2f} times the processor in the longest backfill that it does in the shortest"
        )
        for what, identifier in some_ids(home / "lake").items():
            print(told(home, what, identifier), flush=True)


def prepared(folder: Path, length: int) -> tuple[Path, list[date]]:
    """Play two weeks, and make of the second a journal of at least so many trading days; return its days with decisions."""
    played = folder / "played"
    played.mkdir()
    start = time.perf_counter()
    replay(played, PLAYED_DAYS, 0)
    recorded = sorted({date.fromisoformat(path.name[5:]) for path in (played / "raw").glob("*/*/stream=market/date=*")})
    friday = max(day for day in recorded if day.weekday() == 4)
    week = [day for day in recorded if friday - timedelta(days=6) <= day <= friday]
    weeks = -(-length // 5)
    journal = folder / "journal"
    days = write_weeks(played / "raw", journal, week, weeks)
    size = sum(path.stat().st_size for path in journal.rglob("*.ndjson"))
    print(f"journal of {weeks} weeks, {size / 1e9:.2f} GB, made in {time.perf_counter() - start:.0f} s", flush=True)
    # Sunday's two hours belong to Monday's count.
    return journal, [day for day in days if day.weekday() < 5]


def backfill(home: Path, first: date, last: date) -> tuple[float, float, float]:
    """Run the command; return its seconds, those of the processor, and the largest memory of any of its processes."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [beside_python("trading"), "backfill", "--from", first.isoformat(), "--to", last.isoformat(), "--home", str(home)],
        check=True, env={name: value for name, value in os.environ.items() if not name.startswith(BATCH_ENVIRONMENT)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # The largest so far: lengths grow, so it is this one's unless a shorter backfill took more.
    return time.perf_counter() - start, cpu_s, after.ru_maxrss / 1024


def read_alone(journal: Path, days: list[date]) -> float:
    """Return the seconds it takes to read, check and decode the journal of the days."""
    start = time.perf_counter()
    for day in days:
        for _ in read_records(journal, dates=[day]):
            pass
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
