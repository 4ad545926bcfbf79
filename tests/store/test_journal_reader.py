"""Readers: cursors, dates, types, compressed segments, and the reader printed in the documentation."""

from __future__ import annotations

import json
import re
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trading_assets.core.records.market import Quote
from trading_assets.core.records.operations import OpsError
from trading_assets.store.journal import (
    Cursor,
    Journal,
    JournalError,
    compress_closed,
    journal_dates,
    read_groups,
    read_records,
    verify,
)

DAY = 86_400
DOCUMENT = Path(__file__).parents[2] / "docs" / "journal-format.md"


@pytest.fixture
async def two_days(raw: Path, quote: Any, ops_error: Any) -> Path:
    """Quotes 0 to 5, one a group, two an hour over midnight; beside every second one an error of its number."""
    async with Journal.open(raw, sync=lambda _: None) as journal:
        for number in range(6):
            seconds = number // 2 * DAY / 2
            await journal.append([quote(number, seconds=seconds)])
            if number % 2:
                await journal.append([ops_error(str(number), seconds=seconds)])
    return raw


def numbers(raw: Path, **selection: Any) -> list[int]:
    return [record.server_msc for record in read_records(raw, types=[Quote], **selection) if isinstance(record, Quote)]


def test_a_date_is_the_date_of_known_at(two_days: Path) -> None:
    assert journal_dates(two_days) == [date(2026, 11, 2), date(2026, 11, 3)]
    assert numbers(two_days, dates=[date(2026, 11, 2)]) == [0, 1]
    assert numbers(two_days, dates=[date(2026, 11, 3)]) == [2, 3, 4, 5]
    assert numbers(two_days, dates=[]) == []


def test_streams_tenants_and_accounts_select(two_days: Path) -> None:
    assert len(list(read_records(two_days))) == 9
    assert len(list(read_records(two_days, stream="ops"))) == 3
    assert len(list(read_records(two_days, tenant="market", account="demo"))) == 6
    assert list(read_records(two_days, account="other")) == []
    assert journal_dates(two_days, stream="trading") == []


def test_types_are_told_apart_before_decoding(two_days: Path) -> None:
    assert [type(record) for record in read_records(two_days, types=[OpsError])] == [OpsError] * 3
    assert len(list(read_records(two_days, types=(OpsError, Quote)))) == 9
    assert list(read_records(two_days, types=[])) == []


def test_reading_goes_on_after_every_cursor(two_days: Path) -> None:
    groups = list(read_groups(two_days, stream="market"))
    for index, group in enumerate(groups):
        cursor = msgspec.json.decode(msgspec.json.encode(group.cursor), type=Cursor)
        assert list(read_groups(two_days, stream="market", after=cursor)) == groups[index + 1 :]


def test_a_cursor_moves_its_own_chain_alone(two_days: Path) -> None:
    ends = {group.stream: group.cursor for group in read_groups(two_days)}
    assert len(list(read_records(two_days, after=ends["market"]))) == 3
    assert list(read_records(two_days, after=ends.values())) == []


def test_a_cursor_that_follows_no_seal_is_refused(two_days: Path) -> None:
    cursor = next(read_groups(two_days, stream="market")).cursor
    for wrong in (1, cursor.offset - 1, cursor.offset + 1, 10**9):
        with pytest.raises(JournalError, match="no seal ends there; use a cursor a group came with"):
            list(read_groups(two_days, after=Cursor(cursor.segment, wrong)))
    with pytest.raises(JournalError, match="is not the path of a segment"):
        list(read_groups(two_days, after=Cursor("elsewhere", 0)))


async def test_a_follower_sees_what_was_written_since(two_days: Path, quote: Any) -> None:
    *_, last = read_groups(two_days, stream="market")
    async with Journal.open(two_days) as journal:
        for number in (6, 7):
            await journal.append([quote(number, seconds=DAY)])
            (group,) = read_groups(two_days, stream="market", after=last.cursor)
            assert [msgspec.json.decode(line)["server_msc"] for line in group.lines] == [number]
            last = group


async def test_a_line_of_an_unknown_schema_is_named(two_days: Path, quote: Any) -> None:
    async with Journal.open(two_days, "other") as journal:
        journal.buffer([msgspec.structs.replace(quote(9), bid=float("nan"))])
    with pytest.raises(JournalError, match=r"other-00000001.ndjson: record 1 is none of this schema"):
        numbers(two_days)


def test_closed_segments_compress_and_everything_stays_as_it_was(two_days: Path) -> None:
    groups, report = list(read_groups(two_days)), verify(two_days)
    assert compress_closed(two_days) == 4
    assert compress_closed(two_days) == 0
    assert len(list(two_days.glob("**/*.ndjson"))) == 2
    assert list(read_groups(two_days)) == groups
    assert verify(two_days) == report
    first = groups[0]
    assert list(read_groups(two_days, stream=first.stream, after=first.cursor)) == [
        group for group in groups[1:] if group.stream == first.stream
    ]


async def test_a_writer_goes_on_behind_compressed_segments(two_days: Path, quote: Any) -> None:
    compress_closed(two_days)
    async with Journal.open(two_days) as journal:
        assert journal.torn == ()
        await journal.append([quote(6)])
    assert numbers(two_days) == [0, 1, 2, 3, 4, 5, 6]
    assert verify(two_days).faults == []


def test_a_compression_that_was_interrupted_is_harmless(two_days: Path) -> None:
    original = next(two_days.glob("tenant=market/**/live-00000001.ndjson"))
    copy = original.with_suffix(".kept")
    shutil.copy(original, copy)
    compress_closed(two_days)
    copy.rename(original)
    assert numbers(two_days) == [0, 1, 2, 3, 4, 5]
    assert verify(two_days).faults == []
    assert compress_closed(two_days) == 1


def test_an_altered_segment_is_not_compressed_and_an_altered_copy_is_found(two_days: Path) -> None:
    original = next(two_days.glob("tenant=market/**/live-00000001.ndjson"))
    content = original.read_bytes()
    original.write_bytes(content.replace(b"1.2", b"1.3", 1))
    with pytest.raises(JournalError, match="do not give the sha256"):
        compress_closed(two_days)
    original.write_bytes(content)
    compress_closed(two_days)
    compressed = original.with_name(original.name + ".zst")
    compressed.write_bytes(compressed.read_bytes()[:-3])
    assert "does not decompress" in verify(two_days).faults[0].observed


def documented_reader() -> dict[str, Any]:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert len(code.splitlines()) < 60
    names: dict[str, Any] = {}
    exec(compile(code, str(DOCUMENT), "exec"), names)
    return names


@pytest.mark.parametrize("is_compressed", [False, True])
def test_the_documented_reader_reads_what_ours_reads(two_days: Path, is_compressed: bool) -> None:
    if is_compressed:
        compress_closed(two_days)
    read_chain = documented_reader()["read_chain"]
    ours = [json.loads(line) for group in read_groups(two_days, stream="market") for line in group.lines]
    assert list(read_chain(two_days, "market", "demo", "market", "live")) == ours
    assert len(ours) == 6
    assert list(read_chain(two_days, "market", "demo", "market", "nobody")) == []


def test_the_documented_reader_finds_what_was_altered(two_days: Path) -> None:
    read_chain = documented_reader()["read_chain"]
    path = next(two_days.glob("tenant=market/**/live-00000002.ndjson"))
    content = path.read_bytes()
    for altered, words in (
        (content.replace(b"1.2", b"1.3", 1), "not what was sealed"),
        (content.replace(b'"previous":"', b'"previous":"0', 1), "does not follow"),
    ):
        path.write_bytes(altered)
        with pytest.raises(ValueError, match=words):
            list(read_chain(two_days, "market", "demo", "market", "live"))
    path.unlink()
    with pytest.raises(ValueError, match="segment 2 is missing"):
        list(read_chain(two_days, "market", "demo", "market", "live"))


def test_the_documented_header_and_seal_are_the_ones_written(two_days: Path) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for path in two_days.glob("**/*.ndjson"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.startswith('{"type":"'):
                shape = re.sub(r'"[^"]*"(?=[,}])|\d+(?=[,}])', "_", line)
                documented = [re.sub(r'"[^"]*"(?=[,}])|\d+(?=[,}])', "_", shown) for shown in text.splitlines()]
                assert shape in documented
