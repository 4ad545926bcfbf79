"""How fast the journal takes quotes durably, and what a commit costs the decision path, beside floor and peers.

Run it: python tests/bench/bench_journal.py [--quotes N] [--folder DIR]. The folder should be on the disk in question.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from trading_assets.core.records.codec import encode_record
from trading_assets.core.records.market import Quote
from trading_assets.core.records.operations import OpsError
from trading_assets.core.records.trading import StrategyLoad
from trading_assets.store import journal_disk
from trading_assets.store.files import sync_folder
from trading_assets.store.journal import Journal, read_groups, read_records, verify
from trading_assets.store.journal_format import SEAL_MARK

START = datetime(2026, 11, 2, tzinfo=UTC)
BATCH = 500
"""Quotes in one message of a terminal at full speed."""


def quotes(count: int, per_hour: int) -> list[Quote]:
    """Return quotes of one symbol, evenly spread over hours."""
    step = timedelta(hours=1) / per_hour
    return [
        Quote(
            tenant="market", account="demo", event_at=START + i * step, known_at=START + i * step,
            chain_id="01KB2B3V00D3F8H2Q6S9W4X7YZ", symbol="EURUSD", bid=1.1 + i % 977 * 1e-5, ask=1.10012 + i % 977 * 1e-5,
            server_msc=1_793_577_600_000 + i, clock_rule="us",
        )
        for i in range(count)
    ]  # fmt: skip


async def journal_rate(root: Path, records: list[Quote]) -> tuple[float, int]:
    """Return quotes a second from `buffer` to durable, encoding included, and the commits it took."""
    async with Journal.open(root) as journal:
        started = time.perf_counter()
        for start in range(0, len(records), BATCH):
            journal.buffer(records[start : start + BATCH])
            await asyncio.sleep(0)
        await journal.flush()
        return len(records) / (time.perf_counter() - started), journal.commits


def groups_of(root: Path) -> list[list[bytes]]:
    """Return the bytes of each group with its seal, by segment, as the journal wrote them."""
    files: list[list[bytes]] = []
    for path in sorted(root.glob("tenant=*/account=*/stream=*/date=*/hour=*/*.ndjson"), key=lambda path: path.name):
        pieces, start, data = [], 0, path.read_bytes()
        while (seal := data.find(b"\n" + SEAL_MARK, start)) >= 0:
            end = data.find(b"\n", seal + 1) + 1
            pieces.append(data[start:end])
            start = end
        files.append(pieces)
    return files


def plain_rate(folder: Path, files: list[list[bytes]], count: int) -> float:
    """Return the floor: the same bytes in as many files with the same fsyncs, nothing encoded, nothing hashed."""
    folder.mkdir()
    started = time.perf_counter()
    for number, pieces in enumerate(files):
        descriptor = os.open(folder / str(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        for index, piece in enumerate(pieces):
            os.write(descriptor, piece)
            journal_disk.sync_file(descriptor)
            if index == 0:
                sync_folder(folder)
        os.close(descriptor)
    return count / (time.perf_counter() - started)


def sqlite_rate(folder: Path, records: list[Quote], commits: int) -> float:
    """Return the peer: the same encoded records as rows, as many transactions, WAL with synchronous=FULL."""
    folder.mkdir()
    database = sqlite3.connect(folder / "journal.sqlite", isolation_level=None)
    database.execute("pragma journal_mode=wal")
    database.execute("pragma synchronous=full")
    database.execute("create table records (seq integer primary key, line blob)")
    step = -(-len(records) // commits)
    started = time.perf_counter()
    for start in range(0, len(records), step):
        database.execute("begin")
        database.executemany(
            "insert into records (line) values (?)",
            ((encode_record(record),) for record in records[start : start + step]),
        )
        database.execute("commit")
    rate = len(records) / (time.perf_counter() - started)
    database.close()
    return rate


def decision(number: int, at: datetime) -> StrategyLoad:
    """Return a trading record of a decision's size, 13 kB."""
    return StrategyLoad(
        tenant="t",
        account="demo",
        event_at=at,
        known_at=at,
        chain_id="c",
        strategy_version=str(number),
        parameters="x" * 13_000,
    )


def compute(milliseconds: float) -> None:
    """Hold the interpreter as the next symbol's decision does."""
    until = time.perf_counter() + milliseconds / 1000
    while time.perf_counter() < until:
        pass


async def latencies(
    commit: Callable[[StrategyLoad], Awaitable[None]], count: int, busy_ms: float, hourly: int
) -> list[float]:
    """Time commits in ms; with `busy_ms`, while the loop computes that long beside every one."""
    taken: list[float] = []
    for number in range(count):
        record = decision(number, START + timedelta(hours=number // hourly))

        async def one(record: StrategyLoad = record) -> None:
            started = time.perf_counter()
            await commit(record)
            taken.append((time.perf_counter() - started) * 1000)

        async def other() -> None:
            compute(busy_ms)

        async with asyncio.TaskGroup() as group:
            group.create_task(one())
            if busy_ms:
                group.create_task(other())
        await asyncio.sleep(0.0005)
    return sorted(taken)


def appending(journal: Journal) -> Callable[[StrategyLoad], Awaitable[None]]:
    """Return the commit of one record by `append`."""
    return lambda record: journal.append([record])


async def commit_latencies(folder: Path, count: int) -> list[tuple[str, list[float]]]:
    """Compare the journal with the same bytes written and synced in the loop itself."""
    rows: list[tuple[str, list[float]]] = []
    descriptor = os.open(folder / "direct", os.O_WRONLY | os.O_CREAT)

    async def direct(record: StrategyLoad) -> None:
        os.write(descriptor, encode_record(record))
        journal_disk.sync_file(descriptor)

    interval = sys.getswitchinterval()
    for busy in (0.0, 2.0):
        with_load = f", loop busy {busy:g} ms beside it" if busy else ""
        rows.append((f"floor: write + fdatasync in the loop{with_load}", await latencies(direct, count, busy, count)))
        for seconds in (interval, 0.0001) if busy else (interval,):
            sys.setswitchinterval(seconds)
            async with Journal.open(folder / f"append-{busy}-{seconds}") as journal:
                note = f", switch interval {seconds * 1000:g} ms" if busy else ""
                rows.append((f"append{with_load}{note}", await latencies(appending(journal), count, busy, count)))
        sys.setswitchinterval(interval)
    async with Journal.open(folder / "rolls") as journal:
        rows.append(("append, a new hour each time", await latencies(appending(journal), count, 0, 1)))
    async with Journal.open(folder / "beside") as journal:
        market = quotes(20, 20)

        async def with_quotes(record: StrategyLoad) -> None:
            journal.buffer([*market])
            await journal.append([record])

        rows.append(("append with quotes waiting (two fsyncs)", await latencies(with_quotes, count, 0, count)))
    os.close(descriptor)
    return rows


async def year(root: Path) -> None:
    """Time opening, listing and verifying a year: a segment an hour in two streams."""
    hours, (one,) = 6_240, quotes(1, 1)
    started = time.perf_counter()
    async with Journal.open(root) as journal:
        for hour in range(hours):
            at = START + timedelta(hours=hour)
            journal.buffer([msgspec.structs.replace(one, known_at=at)])
            await journal.append(
                [
                    OpsError(
                        tenant="t", account="demo", event_at=at, known_at=at, chain_id="c", component="c", message="m"
                    )
                ]
            )
    print(f"year of {2 * hours} segments: written in {time.perf_counter() - started:.2f} s", end="")
    started = time.perf_counter()
    async with Journal.open(root):
        print(f", opened in {time.perf_counter() - started:.2f} s", end="")
    started = time.perf_counter()
    report = verify(root)
    assert not report.faults
    assert report.records == 2 * hours
    print(f", verified in {time.perf_counter() - started:.2f} s", end="")
    started = time.perf_counter()
    assert sum(1 for _ in read_groups(root, dates=[START.date()])) == 48
    print(f", one day read in {(time.perf_counter() - started) * 1000:.1f} ms")


def report_rates(folder: Path, count: int) -> None:
    """Print the table of rates."""
    records = quotes(count, per_hour=count // 4)
    ours, commits = asyncio.run(journal_rate(folder / "journal", records))
    files = groups_of(folder / "journal")
    size = sum(len(piece) for pieces in files for piece in pieces)
    floor = plain_rate(folder / "plain", files, count)
    peer = sqlite_rate(folder / "sqlite", records, commits)
    print(f"{count} quotes, {size / count:.0f} bytes each, {len(files)} segments, {commits} commits")
    for name, rate in (("plain files, same bytes and fsyncs (floor)", floor), ("journal.buffer, encoded, sealed, durable", ours),
                       ("SQLite, WAL, synchronous=FULL (peer)", peer)):  # fmt: skip
        print(f"  {name:45} {rate:>12,.0f} quotes/s   {rate / floor:6.2f} x floor   {rate / peer:6.2f} x peer")
    started = time.perf_counter()
    assert sum(1 for _ in read_records(folder / "journal", types=[Quote])) == count
    print(f"  {'read back, checked and decoded':45} {count / (time.perf_counter() - started):>12,.0f} quotes/s")


def report_latencies(folder: Path, count: int) -> None:
    """Print the table of latencies."""
    print(f"commit of one 13 kB record, {count} times, ms")
    floor = 0.0
    for name, taken in asyncio.run(commit_latencies(folder, count)):
        p50, p99 = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
        floor = p50 if name.startswith("floor") else floor
        print(f"  {name:70} p50 {p50:6.3f}   p99 {p99:6.3f}   {p50 / floor:6.2f} x floor")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quotes", type=int, default=400_000)
    parser.add_argument("--commits", type=int, default=500)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        report_rates(Path(folder), options.quotes)
        report_latencies(Path(folder), options.commits)
        asyncio.run(year(Path(folder) / "year"))


if __name__ == "__main__":
    main()
