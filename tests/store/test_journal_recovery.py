"""Crashes: cut anywhere, garbled at the end, killed at any moment. What was acknowledged stays, the rest is set aside."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.records.market import Quote
from trading_assets.core.records.operations import OpsError
from trading_assets.store import journal_disk
from trading_assets.store.journal import Journal, read_groups, read_records, verify
from trading_assets.store.journal_recovery import recover

KILLS = 15


def texts(raw: Path) -> list[str]:
    return [record.message for record in read_records(raw) if isinstance(record, OpsError)]


def only_segment(raw: Path) -> Path:
    (path,) = raw.glob("**/*.ndjson")
    return path


def name_of(raw: Path, path: Path) -> str:
    return path.relative_to(raw).as_posix()


def torn_files(raw: Path) -> list[Path]:
    return list(raw.glob("**/*.torn"))


async def write(raw: Path, groups: list[list[OpsError]]) -> None:
    async with Journal.open(raw, sync=lambda _: None) as journal:
        for records in groups:
            await journal.append(records)


def test_a_segment_cut_at_any_byte_loses_no_sealed_group_and_shows_no_part(raw: Path, ops_error: Any) -> None:
    groups = [["a"], ["b", "c"], ["d"]]
    asyncio.run(write(raw, [[ops_error(text) for text in group] for group in groups]))
    path = only_segment(raw)
    content = path.read_bytes()
    ends = [group.cursor.offset for group in read_groups(raw)]
    for size in range(len(content)):
        path.write_bytes(content[:size])
        sealed = [text for end, group in zip(ends, groups, strict=True) if end <= size for text in group]
        assert texts(raw) == sealed
        heads, torn = recover(raw, "live")
        kept = max((end for end in ends if end <= size), default=0)
        assert texts(raw) == sealed
        assert [head.last for head in heads.values()] == [len(sealed)]
        assert [item.size for item in torn] == ([size - kept] if kept < size or size == 0 else [])
        # The writer had noted its end when it closed: what was acknowledged and is cut off is missed.
        assert [fault.segment for fault in verify(raw).faults] == [name_of(raw, path)]
        for item in torn:
            assert (raw / item.file).read_bytes() == content[kept:size]
            (raw / item.file).unlink()


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    cut=st.integers(0, 5000),
    garbage=st.binary(max_size=300) | st.just(b'\n{"seal":{"first":1,"last":2,"sha256":"' + b"0" * 64 + b'"}}\n'),
)
def test_after_any_crash_the_writer_goes_on_behind_the_last_seal(
    ops_error: Any, sizes: list[int], cut: int, garbage: bytes
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder)
        asyncio.run(
            write(raw, [[ops_error(f"{group}-{row}") for row in range(size)] for group, size in enumerate(sizes)])
        )
        before = texts(raw)
        path = only_segment(raw)
        content = path.read_bytes()
        path.write_bytes(content[:cut] + garbage)
        acknowledged = [
            group.cursor.offset for group in read_groups(raw) if group.cursor.offset <= min(cut, len(content))
        ]
        asyncio.run(write(raw, [[ops_error("after")]]))
        kept = texts(raw)
        assert kept[-1] == "after"
        assert kept[:-1] == before[: len(kept) - 1]
        assert sum(sizes[: len(acknowledged)]) <= len(kept) - 1
        faults = [] if cut >= len(content) else [name_of(raw, path)]
        assert [fault.segment for fault in verify(raw).faults] == faults


async def test_pages_that_never_reached_the_disk_are_set_aside_with_their_seal(raw: Path, ops_error: Any) -> None:
    await write(raw, [[ops_error("a")], [ops_error("b" * 9000)]])
    path = only_segment(raw)
    content = bytearray(path.read_bytes())
    content[4096:8192] = bytes(4096)
    path.write_bytes(content)
    assert texts(raw) == ["a"]  # not recovered yet: torn at the end of the chain, so not read
    async with Journal.open(raw) as journal:
        (torn,) = journal.torn
        assert torn.segment.endswith("live-00000001.ndjson")
        assert (raw / torn.file).read_bytes() in bytes(content)
        # It was acknowledged, and a disk that promised it has lost it: that is said, now and by every verification.
        assert [(end.segment, end.last_seq) for end in journal.lost] == [(torn.segment, 2)]
    assert texts(raw) == ["a"]
    report = verify(raw)
    assert [fault.segment for fault in report.faults] == [torn.segment]
    assert report.torn == [torn.file]


async def test_an_altered_group_before_the_last_seal_is_no_reason_to_move_what_follows(
    raw: Path, ops_error: Any
) -> None:
    await write(raw, [[ops_error("a")], [ops_error("b")], [ops_error("c")]])
    path = only_segment(raw)
    path.write_bytes(path.read_bytes().replace(b'"b"', b'"x"'))
    async with Journal.open(raw) as journal:
        assert journal.torn == ()
        await journal.append([ops_error("d")])
    (fault,) = verify(raw).faults
    assert fault.segment == path.relative_to(raw).as_posix()


async def test_torn_bytes_are_never_overwritten(raw: Path, ops_error: Any) -> None:
    for text in ("a", "b"):
        await write(raw, [[ops_error(text)]])
        path = only_segment(raw)
        path.write_bytes(path.read_bytes()[:-5])  # the seal is gone, and with it the segment's only group
        async with Journal.open(raw) as journal:
            assert len(journal.torn) == 1
    assert sorted(path.name for path in torn_files(raw)) == [
        "live-00000001.ndjson.1.torn",
        "live-00000001.ndjson.torn",
    ]


VICTIM = """
import asyncio, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from trading_assets.core.records.market import (Quote)
from trading_assets.core.records.operations import (OpsError)
from trading_assets.store.journal import Journal

START = datetime(2026, 11, 2, tzinfo=UTC)

async def main(raw, life):
    number = 0
    async with Journal.open(raw, market_delay_s=0.002) as journal:
        async def work(worker):
            nonlocal number
            while True:
                number += 1
                name, at = f"{life}-{number}", START + timedelta(seconds=20 * number)
                common = dict(account="demo", event_at=at, known_at=at, chain_id=name)
                journal.buffer([Quote(tenant="market", symbol="EURUSD", bid=1.1, ask=1.2, server_msc=number, clock_rule="utc", **common)] * 3)
                await journal.append([OpsError(tenant="t", component=part, message=name, **common) for part in "ab"])
                print(name, flush=True)
        async with asyncio.TaskGroup() as group:
            for worker in range(4):
                group.create_task(work(worker))

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


def test_a_writer_killed_at_random_points_keeps_every_acknowledged_record_exactly_once(raw: Path) -> None:
    chance = random.Random(7)
    acknowledged: list[str] = []
    for life in range(KILLS):
        victim = subprocess.Popen(
            [sys.executable, "-c", VICTIM, str(raw), str(life)], stdout=subprocess.PIPE, text=True
        )
        assert victim.stdout is not None
        acknowledged += [victim.stdout.readline().strip() for _ in range(chance.randrange(1, 150))]
        victim.kill()
        acknowledged += victim.stdout.read().split("\n")[:-1]
        victim.stdout.close()
        victim.wait()
    asyncio.run(write(raw, []))
    written = [
        (record.message, record.component)
        for record in read_records(raw, types=[OpsError])
        if isinstance(record, OpsError)
    ]
    assert len(set(written)) == len(written)
    assert {(name, part) for name in acknowledged for part in "ab"} <= set(written)
    assert written == [(name, part) for name, _ in written[::2] for part in "ab"]  # never one without the other
    quotes: dict[str, int] = {}
    for record in read_records(raw, types=[Quote]):
        quotes[record.chain_id] = quotes.get(record.chain_id, 0) + 1
    # What was buffered before an acknowledged append is durable too, and once.
    assert all(quotes[name] == 3 for name in acknowledged)
    assert verify(raw).faults == []


async def test_folders_a_killed_process_left_are_made_durable_before_anything_in_them_is_acknowledged(
    raw: Path, ops_error: Any, monkeypatch: Any
) -> None:
    """A folder that is there may be in memory alone: its name is synced by each process that builds on it."""
    synced: list[Path] = []
    folder = raw / "tenant=t" / "account=demo" / "stream=ops" / "date=2026-11-02" / "hour=13"
    folder.mkdir(parents=True)
    monkeypatch.setattr(journal_disk, "sync_folder", synced.append)
    async with Journal.open(raw) as journal:
        await journal.append([ops_error("a")])
        assert set(synced) == {folder, *folder.parents[:5], raw.parent}
        assert folder.parents[4] == raw
