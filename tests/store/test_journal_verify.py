"""Verification: every altered byte, line and file is found and named."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from trading_assets.store.journal import Journal, JournalError, read_groups, read_records, verify

SEAL = re.compile(rb'{"seal":{"first":(\d+),"last":(\d+),"sha256":"([0-9a-f]{64})"}}\n')


async def write(raw: Path, ops_error: Any) -> None:
    async with Journal.open(raw, sync=lambda _: None) as journal:
        for seconds, group in ((0, "a"), (0, "bc"), (3600, "d"), (3600, "e"), (7200, "f")):
            await journal.append([ops_error(text, seconds=seconds) for text in group])


@pytest.fixture
def chain(raw: Path, ops_error: Any) -> list[Path]:
    """Three segments of one chain, an hour each; the groups are a, bc | d, e | f."""
    asyncio.run(write(raw, ops_error))
    paths = sorted(raw.glob("**/*.ndjson"), key=lambda path: path.name)
    assert len(paths) == 3
    return paths


def name(raw: Path, path: Path) -> str:
    return path.relative_to(raw).as_posix()


def test_an_untouched_journal_has_no_faults_and_is_counted(raw: Path, chain: list[Path]) -> None:
    report = verify(raw)
    assert (report.records, report.seals, report.segments, report.faults) == (6, 5, 3, [])
    (end,) = report.ends
    assert (end.segment, end.last_seq, report.unsealed_bytes) == (name(raw, chain[2]), 6, 0)


def test_an_empty_journal_is_in_order(raw: Path) -> None:
    assert verify(raw).faults == []
    assert list(read_records(raw)) == []


def test_a_flipped_bit_anywhere_is_found_and_its_segment_named(raw: Path, chain: list[Path]) -> None:
    content = chain[0].read_bytes()
    middle = next(group.cursor.offset for group in read_groups(raw))  # end of the first group
    lines_before = content.count(b"\n", 0, middle)
    for position in range(len(content)):
        altered = bytearray(content)
        altered[position] ^= 1 << position % 8
        chain[0].write_bytes(altered)
        faults = verify(raw).faults
        assert faults, f"byte {position}"
        assert faults[0].segment in (name(raw, chain[0]), name(raw, chain[1]))
        if faults[0].segment == name(raw, chain[0]) and middle < position < len(content) - 120:
            assert lines_before < faults[0].line <= lines_before + 2
        with pytest.raises(JournalError, match="run `trading verify`"):
            list(read_groups(raw))


def test_a_flip_that_makes_a_line_unreadable_is_named_by_its_line(raw: Path, chain: list[Path]) -> None:
    lines = chain[0].read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b'"ops_error"', b'"ops_errer"')
    chain[0].write_bytes(b"".join(lines))
    (fault,) = verify(raw).faults
    assert (fault.segment, fault.line) == (name(raw, chain[0]), 5)
    assert "restore the segment from a copy" in fault.repair


def test_an_edited_line_is_found_and_groups_after_it_still_hold(raw: Path, chain: list[Path]) -> None:
    chain[0].write_bytes(chain[0].read_bytes().replace(b'"message":"a"', b'"message":"z"'))
    (fault,) = verify(raw).faults
    assert fault.observed == "records 1 to 1 and the seal before them do not give the sha256 of their seal"


@pytest.mark.parametrize("change", ["removed", "doubled", "reordered"])
def test_a_line_removed_doubled_or_reordered_is_found(raw: Path, chain: list[Path], change: str) -> None:
    lines = chain[0].read_bytes().splitlines(keepends=True)
    order = {"removed": [0, 1, 2, 3, 5], "doubled": [0, 1, 2, 3, 3, 4, 5], "reordered": [0, 1, 2, 4, 3, 5]}[change]
    chain[0].write_bytes(b"".join(lines[index] for index in order))
    faults = verify(raw).faults
    assert [fault.segment for fault in faults] == [name(raw, chain[0])]
    assert faults[0].line in (4, 5)


def test_a_whole_group_removed_is_found(raw: Path, chain: list[Path]) -> None:
    lines = chain[1].read_bytes().splitlines(keepends=True)
    chain[1].write_bytes(b"".join(lines[:1] + lines[3:]))
    assert verify(raw).faults[0].segment == name(raw, chain[1])


def test_a_group_altered_and_sealed_again_is_found_by_what_follows_it(raw: Path, chain: list[Path]) -> None:
    content = chain[1].read_bytes().replace(b'"message":"e"', b'"message":"z"')
    first, second = SEAL.finditer(content)
    digest = hashlib.sha256(first[3] + content[first.end() : second.start()]).hexdigest().encode()
    chain[1].write_bytes(content.replace(second[3], digest))
    (fault,) = verify(raw).faults
    assert (fault.segment, fault.line) == (name(raw, chain[2]), 1)
    assert "the end of the segment before it was altered" in fault.repair
    with pytest.raises(JournalError, match="does not follow the last seal of the segment before it"):
        list(read_groups(raw))


@pytest.mark.parametrize("index", [0, 1])
def test_a_removed_file_is_found_by_whom_it_is_followed(raw: Path, chain: list[Path], index: int) -> None:
    chain[index].unlink()
    (fault,) = verify(raw).faults
    assert fault.segment == name(raw, chain[index + 1])
    assert fault.expectation == f"segment {index + 1} of the chain before it"


def test_exchanged_files_are_found(raw: Path, chain: list[Path]) -> None:
    first, second = chain[0].read_bytes(), chain[1].read_bytes()
    chain[0].write_bytes(second)
    chain[1].write_bytes(first)
    assert {fault.segment for fault in verify(raw).faults} >= {name(raw, chain[0]), name(raw, chain[1])}
    with pytest.raises(JournalError, match="the header names"):
        list(read_groups(raw))


def test_a_copied_file_is_found(raw: Path, chain: list[Path]) -> None:
    copy = chain[0].parent / "live-00000009.ndjson"
    shutil.copy(chain[0], copy)
    observed = [fault.observed for fault in verify(raw).faults if fault.segment == name(raw, copy)]
    assert any("the header names" in text for text in observed)


def test_bytes_behind_the_last_seal_are_a_fault_unless_the_chain_ends_there(raw: Path, chain: list[Path]) -> None:
    for path in (chain[0], chain[2]):
        path.write_bytes(path.read_bytes() + b'{"type":"ops_error"')
    report = verify(raw)
    assert [fault.segment for fault in report.faults] == [name(raw, chain[0])]
    assert report.unsealed_bytes == 19


def test_an_end_that_was_cut_off_is_found_by_whoever_noted_it(raw: Path, chain: list[Path]) -> None:
    ends = verify(raw).ends
    chain[2].unlink()
    (fault,) = verify(raw).faults
    assert fault.segment == name(raw, chain[2])
    assert "cut off" in fault.repair
    (raw / "live.ends").unlink()
    assert verify(raw).faults == []
    assert verify(raw, ends).faults == [fault]


async def test_a_noted_end_is_still_there_when_the_chain_has_grown(
    raw: Path, chain: list[Path], ops_error: Any
) -> None:
    ends = verify(raw).ends
    async with Journal.open(raw) as journal:
        await journal.append([ops_error("g")])
    assert verify(raw, ends).faults == []
    assert len(chain) == 3
