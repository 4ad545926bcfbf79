"""A backfill from raw journals to the learning dataset: days/s and peak memory over 30, 90 and 250 days, two symbols, M5.

The journal is one played week, moved on week by week (`many_weeks`), so every week costs the same work and whatever grows
with the length of the range shows in the cost of a day. Beside it: reading and decoding the same journal alone, which no
backfill can do without. Afterwards a trace out of the largest lake: what `trading trace` does, and the whole command.
Run: `python tests/bench/bench_backfill.py [--short]`; the long form takes a quarter of an hour and 6 GB of disk.
"""

from __future__ import annotations

import json
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

from trading_assets.cli.environment import beside_python
from trading_assets.cli.trace import trace
from trading_assets.store.journal import read_records
from trading_assets.store.lake import Lake

LENGTHS, SHORT_LENGTHS = (30, 90, 250), (5, 10)
PLAYED_DAYS = 10
TRACE_AIM_MS = 200
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
        trace_times(home)


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


def trace_times(home: Path) -> None:
    """Trace a trade of the first week and one of the last, each in a process of its own and as a command."""
    trades = Lake(home / "lake").read("trades", columns=["trade_id", "position_id", "opened_at"]).sort("opened_at")
    for what, identifier in (("oldest trade", trades["trade_id"][0]), ("newest position", trades["position_id"][-1])):
        code = (
            "import json, sys, time; from trading_assets.cli.trace import trace; start = time.perf_counter();"
            " trace(sys.argv[1], sys.argv[2]); print(json.dumps(time.perf_counter() - start))"
        )
        cold = subprocess.run(
            [sys.executable, "-c", code, str(home / "lake"), identifier], check=True, capture_output=True, text=True
        )
        start = time.perf_counter()
        subprocess.run(
            [beside_python("trading"), "trace", identifier, "--json", "--home", str(home)],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        whole = time.perf_counter() - start
        start = time.perf_counter()
        trace(home / "lake", identifier)
        warm = time.perf_counter() - start
        print(
            f"trace of the {what}: first {json.loads(cold.stdout) * 1e3:.0f} ms, again {warm * 1e3:.0f} ms, "
            f"aim {TRACE_AIM_MS} ms; the whole command {whole:.2f} s"
        )


if __name__ == "__main__":
    main()
