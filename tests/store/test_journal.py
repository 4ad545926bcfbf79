"""The writer: durable when it says so, whole groups, shared fsyncs, loud and recoverable failures."""

from __future__ import annotations

import asyncio
import errno
import itertools
import math
import os
import struct
import subprocess
import sys
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.errors import InputError, StateError
from trading_assets.core.records.market import Quote
from trading_assets.core.records.operations import OpsError
from trading_assets.store.journal import Journal, JournalError, read_groups, read_records, verify
from trading_assets.store.journal_disk import sync_file


class CountingSync:
    """A real sync that counts, and fails at the given calls."""

    def __init__(self, *failing: int) -> None:
        self.calls, self._failing = 0, failing

    def __call__(self, descriptor: int) -> None:
        self.calls += 1
        if self.calls in self._failing:
            raise OSError(errno.EIO, "Input/output error")
        sync_file(descriptor)


def messages(raw: Path) -> list[str]:
    return [record.message for record in read_records(raw, types=[OpsError]) if isinstance(record, OpsError)]


def numbers(raw: Path) -> list[int]:
    return [record.server_msc for record in read_records(raw, types=[Quote]) if isinstance(record, Quote)]


def files(raw: Path) -> list[str]:
    return sorted(path.relative_to(raw).as_posix() for path in raw.glob("**/*.ndjson"))


async def test_what_is_appended_is_read_back_equal_and_lies_in_its_hour(raw: Path, quote: Any, ops_error: Any) -> None:
    records = [quote(1), quote(2, seconds=2.5), ops_error("a"), quote(3, seconds=2.6)]
    async with Journal.open(raw) as journal:
        await journal.append(records)
        assert journal.health == "ok"
        assert journal.records == 4
    assert list(read_records(raw)) == [records[0], records[1], records[3], records[2]]
    assert files(raw) == [
        "tenant=market/account=demo/stream=market/date=2026-11-02/hour=13/live-00000001.ndjson",
        "tenant=market/account=demo/stream=market/date=2026-11-02/hour=14/live-00000002.ndjson",
        "tenant=t/account=demo/stream=ops/date=2026-11-02/hour=13/live-00000001.ndjson",
    ]
    assert verify(raw).faults == []


async def test_records_of_one_append_are_one_group(raw: Path, ops_error: Any) -> None:
    async with Journal.open(raw) as journal:
        await journal.append([ops_error("a"), ops_error("b")])
        await journal.append([ops_error("c")])
    groups = list(read_groups(raw))
    assert [(group.first_seq, group.last_seq) for group in groups] == [(1, 2), (3, 3)]
    assert [len(group.lines) for group in groups] == [2, 1]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(width=64, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_floats_read_back_bit_identical(quote: Any, values: list[float]) -> None:
    async def write(raw: Path) -> None:
        async with Journal.open(raw, sync=lambda _: None) as journal:
            journal.buffer([quote(0, bid=value) for value in values])

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(write(Path(folder)))
        read = [record.bid for record in read_records(Path(folder)) if isinstance(record, Quote)]
    assert [struct.pack("<d", value) for value in read] == [struct.pack("<d", value) for value in values]


async def test_a_record_that_would_not_read_back_is_refused_before_it_is_written(raw: Path, quote: Any) -> None:
    async with Journal.open(raw) as journal:
        with pytest.raises(JournalError, match=r"would not read back .*\$\.bid"):
            await journal.append([quote(1), quote(2, bid=math.nan)])
        await journal.append([quote(3)])
    assert numbers(raw) == [3]


async def test_concurrent_appends_share_fsyncs(raw: Path, ops_error: Any) -> None:
    sync = CountingSync()
    async with Journal.open(raw, sync=sync) as journal:
        await asyncio.gather(*(journal.append([ops_error(str(number))]) for number in range(200)))
        assert sync.calls <= 3
    assert messages(raw) == [str(number) for number in range(200)]


async def test_buffered_quotes_become_durable_within_the_delay_without_an_append(raw: Path, quote: Any) -> None:
    loop, synced = asyncio.get_running_loop(), asyncio.Event()

    def sync(descriptor: int) -> None:
        sync_file(descriptor)
        loop.call_soon_threadsafe(synced.set)

    async with Journal.open(raw, market_delay_s=0.01, sync=sync) as journal:
        journal.buffer([quote(1)])
        journal.buffer([quote(2)])
        assert numbers(raw) == []
        async with asyncio.timeout(10):
            await synced.wait()
        assert numbers(raw) == [1, 2]


async def test_flush_makes_everything_buffered_durable(raw: Path, quote: Any) -> None:
    async with Journal.open(raw, market_delay_s=3600) as journal:
        await journal.flush()
        journal.buffer([quote(1)])
        await journal.flush()
        assert numbers(raw) == [1]
        journal.buffer([quote(2)])
    assert numbers(raw) == [1, 2]


async def test_quotes_are_durable_before_the_trading_records_that_follow_them(
    raw: Path, quote: Any, ops_error: Any
) -> None:
    # The second sync of the commit fails: what was handed over first is there, what came after it is not.
    async with Journal.open(raw, market_delay_s=3600, sync=CountingSync(2)) as journal:
        journal.buffer([quote(1)])
        with pytest.raises(JournalError, match="the disk refused it"):
            await journal.append([ops_error("a")])
        assert numbers(raw) == [1]
        assert messages(raw) == []


async def test_nothing_is_durable_after_quotes_that_are_not(raw: Path, quote: Any, ops_error: Any) -> None:
    async with Journal.open(raw, market_delay_s=3600, sync=CountingSync(1)) as journal:
        journal.buffer([quote(1)])
        with pytest.raises(JournalError):
            await journal.append([ops_error("a")])
        assert list(read_records(raw)) == []
        await journal.append([ops_error("b")])
        assert (numbers(raw), messages(raw)) == ([1], ["b"])
    assert verify(raw).faults == []


async def test_a_failed_fsync_closes_the_segment_and_the_next_append_opens_a_new_one(raw: Path, ops_error: Any) -> None:
    async with Journal.open(raw, sync=CountingSync(2)) as journal:
        await journal.append([ops_error("a")])
        with pytest.raises(
            JournalError, match=r"writing .*live-00000001.ndjson: the disk refused it .*; free the disk"
        ) as caught:
            await journal.append([ops_error("lost")])
        assert isinstance(caught.value.__cause__, OSError)
        assert "Input/output error" in journal.health
        await journal.append([ops_error("b")])
        assert journal.health == "ok"
    assert messages(raw) == ["a", "b"]
    assert [file[-20:] for file in files(raw)] == ["live-00000001.ndjson", "live-00000002.ndjson"]
    assert verify(raw).faults == []


async def test_a_defect_in_the_journals_thread_is_told_to_who_waits_and_the_thread_lives_on(
    raw: Path, ops_error: Any
) -> None:
    syncs = itertools.count(1)

    def broken_once(descriptor: int) -> None:
        if next(syncs) == 2:
            raise ZeroDivisionError("not the disk's fault")
        os.fsync(descriptor)

    async with Journal.open(raw, sync=broken_once) as journal:
        await journal.append([ops_error("a")])
        async with asyncio.timeout(10):
            with pytest.raises(JournalError, match=r"a defect stopped it \(ZeroDivisionError"):
                await journal.append([ops_error("lost")])
            await journal.append([ops_error("b")])
    assert messages(raw) == ["a", "b"]
    assert verify(raw).faults == []


async def test_a_failed_first_fsync_of_a_segment_leaves_no_segment(raw: Path, ops_error: Any) -> None:
    async with Journal.open(raw, sync=CountingSync(1)) as journal:
        with pytest.raises(JournalError):
            await journal.append([ops_error("lost")])
        assert files(raw) == []
        await journal.append([ops_error("a")])
    assert messages(raw) == ["a"]
    assert verify(raw).faults == []


async def test_a_chain_stays_closed_until_its_damaged_segment_can_be_cut(
    raw: Path, ops_error: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trading_assets.store import journal_disk

    cut, refusals = journal_disk.cut, iter([True, True, False])

    def refusing(path: Path, size: int) -> None:
        if next(refusals):
            raise OSError(errno.EROFS, "Read-only file system")
        cut(path, size)

    async with Journal.open(raw, sync=CountingSync(2)) as journal:
        await journal.append([ops_error("a")])
        monkeypatch.setattr(journal_disk, "cut", refusing)
        with pytest.raises(JournalError, match="Input/output error"):
            await journal.append([ops_error("lost")])
        with pytest.raises(JournalError, match="Read-only file system"):
            await journal.append([ops_error("refused")])
        await journal.append([ops_error("b")])
    assert messages(raw) == ["a", "b"]
    assert verify(raw).faults == []


async def test_quotes_of_a_failed_commit_are_kept_and_written_once(raw: Path, quote: Any) -> None:
    async with Journal.open(raw, market_delay_s=3600, sync=CountingSync(1, 2)) as journal:
        journal.buffer([quote(1)])
        with pytest.raises(JournalError):
            await journal.flush()
        journal.buffer([quote(2)])
        with pytest.raises(JournalError):
            await journal.flush()
        await journal.flush()
    assert numbers(raw) == [1, 2]
    assert verify(raw).faults == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
async def test_a_full_disk_is_an_error_that_names_itself(raw: Path, ops_error: Any) -> None:
    full = os.open("/dev/full", os.O_WRONLY)

    def sync(descriptor: int) -> None:
        os.write(full, b"x")
        sync_file(descriptor)

    try:
        async with Journal.open(raw, sync=sync) as journal:
            with pytest.raises(JournalError, match="No space left on device"):
                await journal.append([ops_error("lost")])
    finally:
        os.close(full)
    assert messages(raw) == []


async def test_a_slow_disk_does_not_block_the_loop(raw: Path, quote: Any, ops_error: Any) -> None:
    reached, released = threading.Event(), threading.Event()

    def sync(descriptor: int) -> None:
        reached.set()
        assert released.wait(30)
        sync_file(descriptor)

    async with Journal.open(raw, market_delay_s=0.001, sync=sync) as journal:
        waiting = [asyncio.create_task(journal.append([ops_error("a")]))]
        try:
            assert await asyncio.to_thread(reached.wait, 10)
            for number in range(1000):
                journal.buffer([quote(number)])
                await asyncio.sleep(0)
            waiting.append(asyncio.create_task(journal.append([ops_error("b")])))
            await asyncio.sleep(0)
            assert not any(task.done() for task in waiting)
        finally:
            released.set()
        await asyncio.gather(*waiting)
    assert messages(raw) == ["a", "b"]
    assert numbers(raw) == list(range(1000))


async def test_market_data_is_refused_when_the_disk_is_hopelessly_behind(
    raw: Path, quote: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trading_assets.store import journal as module

    monkeypatch.setattr(module, "_MOST_BYTES", 1000)
    async with Journal.open(raw, market_delay_s=3600) as journal:
        journal.buffer([quote(number) for number in range(10)])
        with pytest.raises(JournalError, match=r"wait for the disk .*; free the disk or slow the feed down"):
            journal.buffer([quote(10)])
        await journal.flush()
        journal.buffer([quote(11)])
    assert numbers(raw) == [*range(10), 11]


async def test_a_cancelled_append_harms_nobody(raw: Path, ops_error: Any) -> None:
    reached, released = threading.Event(), threading.Event()

    def sync(descriptor: int) -> None:
        reached.set()
        assert released.wait(30)
        sync_file(descriptor)

    async with Journal.open(raw, sync=sync) as journal:
        task = asyncio.create_task(journal.append([ops_error("a")]))
        try:
            assert await asyncio.to_thread(reached.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        finally:
            released.set()
        await journal.append([ops_error("b")])
    assert messages(raw) == ["a", "b"]


async def test_a_second_writer_is_refused_and_another_name_is_not(raw: Path, ops_error: Any) -> None:
    async with Journal.open(raw) as journal:
        with pytest.raises(
            StateError, match=rf"process {os.getpid()} already writes to it as 'live'; stop that process"
        ):
            Journal.open(raw)
        async with Journal.open(raw, "ops") as other:
            await asyncio.gather(journal.append([ops_error("a")]), other.append([ops_error("b")]))
    async with Journal.open(raw):
        pass
    assert sorted(messages(raw)) == ["a", "b"]
    assert verify(raw).faults == []


def test_a_second_process_is_refused_with_one_sentence(raw: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from trading_assets.store.journal import Journal\n"
        "from trading_assets.core.errors import TradingError\n"
        "try: Journal.open(Path(sys.argv[1]))\n"
        "except TradingError as error: sys.exit(str(error))"
    )

    async def run() -> subprocess.CompletedProcess[str]:
        async with Journal.open(raw):
            command = [sys.executable, "-c", script, str(raw)]
            return await asyncio.to_thread(
                subprocess.run, command, capture_output=True, text=True, check=False, timeout=60
            )

    result = asyncio.run(run())
    assert result.returncode == 1
    assert result.stderr.startswith("opening the journal")
    assert result.stderr.count("\n") == 1


async def test_the_chain_goes_on_when_the_journal_is_opened_again(raw: Path, ops_error: Any) -> None:
    for text in "abc":
        async with Journal.open(raw) as journal:
            assert journal.torn == ()
            await journal.append([ops_error(text)])
    assert messages(raw) == ["a", "b", "c"]
    assert [group.first_seq for group in read_groups(raw)] == [1, 2, 3]
    assert verify(raw).faults == []


async def test_the_order_is_that_of_writing_also_when_time_starts_again_earlier(raw: Path, ops_error: Any) -> None:
    async with Journal.open(raw) as journal:
        for text, seconds in (("a", 90_000), ("b", 0), ("c", 4000), ("d", 1)):
            await journal.append([ops_error(text, seconds=seconds)])
    assert messages(raw) == ["a", "b", "c", "d"]
    assert verify(raw).faults == []


async def test_close_may_be_called_again_and_nothing_is_written_after_it(raw: Path, quote: Any, ops_error: Any) -> None:
    journal = Journal.open(raw, market_delay_s=3600)
    journal.buffer([quote(1)])
    await journal.close()
    await journal.close()
    assert numbers(raw) == [1]
    with pytest.raises(JournalError, match="it is closed; open it again"):
        await journal.append([ops_error("a")])
    with pytest.raises(JournalError, match="it is closed"):
        journal.buffer([quote(2)])


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", ".hidden", "dot.", "ä", "x" * 65])
async def test_a_name_that_cannot_be_part_of_a_path_is_refused(raw: Path, quote: Any, name: str) -> None:
    with pytest.raises(InputError, match="cannot be a writer's name"):
        Journal.open(raw, name)
    async with Journal.open(raw) as journal:
        with pytest.raises(InputError, match="cannot be a tenant or account"):
            await journal.append([quote(1, account=name)])


@pytest.mark.parametrize(("at", "expected"), [(datetime(2026, 11, 2, 13), "no time zone")])  # noqa: DTZ001
async def test_a_naive_time_is_a_defect(raw: Path, quote: Any, at: datetime, expected: str) -> None:
    async with Journal.open(raw) as journal:
        with pytest.raises(ValueError, match=expected):
            await journal.append([msgspec.structs.replace(quote(1), known_at=at)])


async def test_nothing_to_write_writes_nothing(raw: Path, quote: Any) -> None:
    async with Journal.open(raw) as journal:
        await journal.append([])
        journal.buffer([])
        await journal.append([msgspec.structs.replace(quote(1), known_at=datetime(2026, 11, 2, tzinfo=UTC))])
    assert len(files(raw)) == 1


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "raw").write_text("a file")
    with pytest.raises(StateError, match=r"it cannot be written .*; make the folder writable"):
        Journal.open(tmp_path / "raw")
