"""The ends a writer notes: always durable seals, missed when they are gone, for as long as nobody has looked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trading_assets.store import journal_ends
from trading_assets.store.journal import Journal, read_records, verify
from trading_assets.store.journal_ends import Noted, noted_path, read_noted


async def write(raw: Path, *records: Any) -> Journal:
    async with Journal.open(raw) as journal:
        for record in records:
            await journal.append([record])
    return journal


def segments(raw: Path) -> list[Path]:
    return sorted(raw.glob("**/*.ndjson"), key=lambda path: path.name)


def noted(raw: Path) -> Noted:
    return read_noted(noted_path(raw, "live"))


async def test_a_journal_that_is_closed_has_noted_the_end_of_every_chain(raw: Path, ops_error: Any, quote: Any) -> None:
    await write(raw, ops_error("a"), quote(1), ops_error("b", seconds=7200))
    assert noted(raw).ends == sorted(verify(raw).ends, key=lambda end: end.segment)
    assert [end.last_seq for end in noted(raw).ends] == [1, 2]


async def test_a_writer_notes_its_ends_while_it_runs(raw: Path, ops_error: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(journal_ends, "NOTE_EVERY_S", 0.0)
    async with Journal.open(raw) as journal:
        assert noted(raw) == Noted([])
        for number in range(3):
            await journal.append([ops_error(str(number))])
        # The note of a commit is written before the next commit's answer.
        assert noted(raw).ends[0].last_seq >= 2


async def test_what_was_noted_and_is_gone_is_reported_once_and_found_by_every_verification(
    raw: Path, ops_error: Any
) -> None:
    await write(raw, ops_error("a"), ops_error("b", seconds=7200))
    last = segments(raw)[-1]
    (end,) = noted(raw).ends
    last.unlink()
    later = await write(raw, ops_error("c", seconds=7300))
    assert later.lost == (end,)
    assert (await write(raw, ops_error("d", seconds=7400))).lost == ()
    (fault,) = verify(raw).faults
    assert fault.segment == end.segment
    assert fault.expectation.startswith("record 2 sealed as")
    assert noted(raw).lost == [end]
    assert [record.message for record in read_records(raw)] == ["a", "c", "d"]  # type: ignore[union-attr]


async def test_a_chain_of_which_nothing_is_left_is_missed(raw: Path, ops_error: Any) -> None:
    await write(raw, ops_error("a"))
    segments(raw)[0].unlink()
    assert "no such seal" in verify(raw).faults[0].observed


@pytest.mark.parametrize("content", [b"", b"{", b'{"ends":[{"segment":"../x","last_seq":1,"sha256":""}]}', b"\xff"])
async def test_a_spoilt_note_is_named_and_the_writer_begins_a_new_one(
    raw: Path, ops_error: Any, content: bytes
) -> None:
    await write(raw, ops_error("a"))
    noted_path(raw, "live").write_bytes(content)
    (fault,) = verify(raw).faults
    assert (fault.segment, "is no note of ends" in fault.observed) == ("live.ends", True)
    await write(raw, ops_error("b"))
    assert verify(raw).faults == []
    assert (raw / "live.ends.torn").read_bytes() == content


async def test_a_disk_that_refuses_the_note_fails_no_commit(raw: Path, ops_error: Any, monkeypatch: Any) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    async with Journal.open(raw) as journal:
        monkeypatch.setattr(journal_ends, "replace_atomically", refuse)
        await journal.append([ops_error("a")])
        assert journal.health == "ok"
    assert noted(raw) == Noted([])
    assert verify(raw).faults == []
