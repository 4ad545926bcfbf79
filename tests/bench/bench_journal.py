"""How fast the journal takes quotes durably, and what a commit costs the decision path, beside floor and peers.

Run it: python tests/bench/bench_journal.py [--quotes N] [--folder DIR]. The folder should be on the disk in question.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import msgspec

from trading_assets.core.records.codec import encode_record, encode_records
from trading_assets.core.records.market import Quote
from trading_assets.core.records.operations import OpsError
from trading_assets.core.records.record import Record
from trading_assets.core.records.trading import StrategyLoad
from trading_assets.store import journal_disk
from trading_assets.store.files import sync_folder
from trading_assets.store.journal import Journal, read_groups, read_records, verify
from trading_assets.store.journal_format import SEAL_MARK

START = datetime(2026, 11, 2, tzinfo=UTC)
_ROUNDS = 3
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


def encoding_rate(folder: Path, records: Sequence[Record], files: list[list[bytes]]) -> float:
    """Return the floor of what has to be encoded: the records encoded and appended to as many files with the same fsyncs."""
    folder.mkdir()
    started, position = time.perf_counter(), 0
    for number, pieces in enumerate(files):
        descriptor = os.open(folder / str(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        for index, piece in enumerate(pieces):
            end = position + piece.count(b"\n") - (2 if index == 0 else 1)  # a segment's header, and the seal
            os.write(
                descriptor,
                b"".join(encode_records(records[at : min(at + BATCH, end)]) for at in range(position, end, BATCH)),
            )
            journal_disk.sync_file(descriptor)
            if index == 0:
                sync_folder(folder)
            position = end
        os.close(descriptor)
    assert position == len(records)
    return len(records) / (time.perf_counter() - started)


def sqlite_rate(folder: Path, records: Sequence[Record], commits: int) -> float:
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


@contextmanager
def nats_server(folder: Path) -> Iterator[tuple[str, str]]:
    """Run a NATS server of its own with file storage; yield its address and what it promises of a message it acknowledged."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir()
    promise = ""
    for option, promise in (("sync_interval: always, ", "sync always"), ("", "NOT synced, it knows no sync_interval")):  # noqa: B007 - the one that ran
        config = folder / "nats.conf"
        config.write_text(f'listen: "127.0.0.1:{port}"\njetstream {{ {option}store_dir: "{folder}" }}\n')
        process = subprocess.Popen(
            ["nats-server", "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        is_ready = any(b"Server is ready" in line for line in process.stderr)
        # Versions before 2.10 refuse the option and end.
        if is_ready:
            break
        process.wait()
    threading.Thread(target=process.stderr.read, daemon=True).start()
    try:
        yield f"nats://127.0.0.1:{port}", promise
    finally:
        process.terminate()
        process.wait()


async def nats_rate(address: str, records: Sequence[Record], together: int) -> float:
    """Return the peer: each record a message, acknowledged once it is synced, so many under way at a time."""
    import nats

    client = await nats.connect(address)
    try:
        stream = client.jetstream(publish_async_max_pending=together)
        await stream.add_stream(name=f"journal{together}", subjects=[f"records.{together}"])
        started = time.perf_counter()
        for start in range(0, len(records), together):
            under_way = [
                await stream.publish_async(f"records.{together}", encode_record(record))
                for record in records[start : start + together]
            ]
            await asyncio.gather(*under_way)
        return len(records) / (time.perf_counter() - started)
    finally:
        await client.close()


async def record_rate(root: Path, records: Sequence[Record], together: int) -> tuple[float, int]:
    """Return records a second that are each acknowledged as durable, so many under way at a time, and the commits."""
    async with Journal.open(root) as journal:
        started = time.perf_counter()
        for start in range(0, len(records), together):
            await asyncio.gather(*(journal.hand_over([record]) for record in records[start : start + together]))
        return len(records) / (time.perf_counter() - started), journal.commits


def plain_record_rate(path: Path, records: Sequence[Record], together: int) -> float:
    """Return the floor: the records encoded and appended to one file, one fdatasync for as many at a time."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    started = time.perf_counter()
    for start in range(0, len(records), together):
        os.write(descriptor, b"".join(encode_record(record) for record in records[start : start + together]))
        journal_disk.sync_file(descriptor)
    rate = len(records) / (time.perf_counter() - started)
    os.close(descriptor)
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
    """Print the table of quotes a second: many share a commit."""
    records = quotes(count, per_hour=count // 4)
    rounds: list[tuple[float, float, float, float]] = []
    for number in range(_ROUNDS):
        own = folder / f"round-{number}"
        own.mkdir()
        ours, commits = asyncio.run(journal_rate(own / "journal", records))
        files = groups_of(own / "journal")
        rounds.append(
            (
                ours,
                encoding_rate(own / "encoded", records, files),
                plain_rate(own / "plain", files, count),
                sqlite_rate(own / "sqlite", records, commits),
            )
        )
    # Disks differ from second to second: the middle of rounds in which all take their turn.
    ours, floor, ready, sqlite = (median(column) for column in zip(*rounds, strict=True))
    size = sum(len(piece) for pieces in files for piece in pieces)
    rows = {
        "plain files, quotes encoded, same fsyncs (floor)": floor,
        "plain files, bytes ready before, same fsyncs": ready,
        "journal.buffer, encoded, sealed, durable": ours,
        "SQLite, WAL, synchronous=FULL (peer)": sqlite,
    }
    if shutil.which("nats-server"):
        with nats_server(folder / "nats") as (address, promise):
            # It syncs every message: a part of them says as much.
            part = records[: count // 20]
            rows[f"NATS JetStream, file, {promise} (peer)"] = asyncio.run(nats_rate(address, part, BATCH))
    print(f"{count} quotes, {size / count:.0f} bytes each, {len(files)} segments, {commits} commits")
    _table(rows, ours, floor, "quotes/s")
    started = time.perf_counter()
    assert sum(1 for _ in read_records(folder / "round-0" / "journal", types=[Quote])) == count
    print(f"  {'read back, checked and decoded':68} {count / (time.perf_counter() - started):>12,.0f} quotes/s")


def report_record_rates(folder: Path, count: int) -> None:
    """Print the tables of 13 kB records a second, each acknowledged by itself: alone, and 50 at a time."""
    records = [decision(number, START) for number in range(count)]
    for together in (1, 50):
        rounds: list[tuple[float, float, float]] = []
        for number in range(_ROUNDS):
            own = folder / f"records-{together}-{number}"
            own.mkdir()
            ours, commits = asyncio.run(record_rate(own / "journal", records, together))
            floor = plain_record_rate(own / "plain", records, -(-count // commits))
            rounds.append((ours, floor, sqlite_rate(own / "sqlite", records, commits)))
        ours, floor, sqlite = (median(column) for column in zip(*rounds, strict=True))
        rows = {
            "one plain file, same records, as many fsyncs (floor)": floor,
            "journal, encoded, sealed, durable": ours,
            "SQLite, WAL, synchronous=FULL, as many commits (peer)": sqlite,
        }
        if shutil.which("nats-server"):
            with nats_server(folder / f"nats-{together}") as (address, promise):
                rows[f"NATS JetStream, file, {promise} (peer)"] = asyncio.run(nats_rate(address, records, together))
        print(f"{count} records of 13 kB, {together} at a time")
        _table(rows, ours, floor, "records/s")


def _table(rows: dict[str, float], ours: float, floor: float, unit: str) -> None:
    for name, rate in rows.items():
        print(
            f"  {name:68} {rate:>12,.0f} {unit}   {rate / floor:7.3f} x floor   the journal is {ours / rate:7.2f} x this"
        )
    if not shutil.which("nats-server"):
        print("  NATS JetStream: not measured, nats-server is not installed (apt-get install nats-server)")


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
    parser.add_argument("--commits", type=int, default=1500)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        report_rates(Path(folder), options.quotes)
        report_record_rates(Path(folder), options.commits)
        report_latencies(Path(folder), options.commits)
        asyncio.run(year(Path(folder) / "year"))


if __name__ == "__main__":
    main()
