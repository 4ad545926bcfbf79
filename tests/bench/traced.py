"""What `trading trace` takes in a lake: the first question of a process, the same again, and the whole command.

Beside them the floor, reading the bytes of the very files the answer is made of, and a peer: Delta's own reader opening the same
tables and reading nothing of them. Run on any home: `python tests/bench/traced.py HOME [ID …]`. What it prints is not asserted.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from trading_assets.cli.environment import beside_python
from trading_assets.cli.trace import trace
from trading_assets.store import table_log

AIM_MS = 200
TIMES = 5


def main() -> None:
    """Print the figures of a home, of the ids named or of some of its trades."""
    home = Path(sys.argv[1])
    for what, identifier in [(one, one) for one in sys.argv[2:]] or some_ids(home / "lake").items():
        print(told(home, what, identifier), flush=True)


def some_ids(lake: Path) -> dict[str, str]:
    """Return the oldest trade, and the numbers of the newest: what leads by its time, by the log, and by neither."""
    trades = pl.read_delta(str(lake / "trades"), columns=["trade_id", "position_id", "opened_at"]).sort("opened_at")
    orders = pl.read_delta(str(lake / "orders"), columns=["magic", "planned_at"]).sort("planned_at")
    return {
        "oldest trade": trades["trade_id"][0], "newest position": trades["position_id"][-1],
        "newest magic number": orders["magic"][-1],
    }  # fmt: skip


def told(home: Path, what: str, identifier: str) -> str:
    """Return the figures of one question, each the median of several processes."""
    runs = [asked_alone(home / "lake", identifier) for _ in range(TIMES)]
    found = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    wall, cpu = whole_command(home, identifier)
    return (
        f"trace of the {what}: first {found['first']:.0f} ms ({found['first_cpu']:.0f} of processor), again {found['again']:.0f} ms, "
        f"aim {AIM_MS} ms; floor {found['floor']:.1f} ms for the bytes of the same {found['files']:.0f} files, {found['mb']:.1f} MB: "
        f"{found['first'] / found['floor']:.0f} times; opening the same {found['tables']:.0f} tables by Delta's own reader "
        f"{found['delta']:.0f} ms; the whole command {wall:.2f} s ({cpu:.2f} of processor)"
    )


def asked_alone(lake: Path, identifier: str) -> dict[str, float]:
    """Ask in a process of its own."""
    code = "import json, sys, traced; print(json.dumps(traced.asked(sys.argv[1], sys.argv[2])))"
    said = subprocess.run(
        [sys.executable, "-c", code, str(lake), identifier], check=True, capture_output=True, text=True,
        cwd=Path(__file__).parent,
    )  # fmt: skip
    return {name: float(value) for name, value in json.loads(said.stdout).items()}


def asked(lake: str, identifier: str) -> dict[str, float]:
    """Return the milliseconds of the first question here and of the next ones, and those of floor and peer."""
    cpu = time.process_time()
    first = ms(lambda: trace(lake, identifier))
    first_cpu = 1e3 * (time.process_time() - cpu)
    again = statistics.median(ms(lambda: trace(lake, identifier)) for _ in range(3))
    files = opened(lake, identifier)
    tables = {Path(file).relative_to(lake).parts[0] for file in files}
    from deltalake import DeltaTable

    read(files)
    return {
        "first": first, "first_cpu": first_cpu, "again": again, "files": len(files), "tables": len(tables),
        "mb": sum(Path(file).stat().st_size for file in files) / 1e6,
        "floor": statistics.median(ms(lambda: read(files)) for _ in range(3)),
        "delta": ms(lambda: [DeltaTable(f"{lake}/{table}") for table in sorted(tables)]),
    }  # fmt: skip


def opened(lake: str, identifier: str) -> list[str]:
    """Return the files that the answer is read from: commits, checkpoints, rows."""
    files: set[str] = set()
    commit, rows = table_log._bytes, pl.scan_parquet

    def noted_commit(path: str) -> bytes:
        files.add(path)
        return commit(path)

    def noted_rows(paths: Any, **options: Any) -> pl.LazyFrame:
        files.update([paths] if isinstance(paths, str) else paths)
        return rows(paths, **options)

    table_log._bytes, pl.scan_parquet = noted_commit, noted_rows
    try:
        trace(lake, identifier)
    finally:
        table_log._bytes, pl.scan_parquet = commit, rows
    return sorted(files)


def read(files: list[str]) -> None:
    """Read every byte."""
    for file in files:
        Path(file).read_bytes()


def whole_command(home: Path, identifier: str) -> tuple[float, float]:
    """Return seconds and those of the processor, from the start of the process to its end."""
    walls, cpus = [], []
    for _ in range(TIMES):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(
            [beside_python("trading"), "trace", identifier, "--json", "--home", str(home)],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        walls.append(time.perf_counter() - start)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(walls), statistics.median(cpus)


def ms(work: Callable[[], object]) -> float:
    """Return the milliseconds of a piece of work."""
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


if __name__ == "__main__":
    main()
