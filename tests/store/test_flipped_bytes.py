"""A byte that is no text any more, in a file at rest: each reader names the file and what to do, none ends with a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from live.books.recovery import Past
from live.paper.conditions import parse_conditions
from live.paper.faults import parse_faults
from live.paper.script import parse_script
from live.paper.shape import parse_shape
from trading_assets.core.decisions.strategy import Strategy
from trading_assets.core.errors import InputError, StateError
from trading_assets.core.records.trading import Deal
from trading_assets.store import journal as journal_module
from trading_assets.store.control import answer_of
from trading_assets.store.journal import Journal, JournalError, read_groups, read_records
from trading_assets.store.tokens import read_token

AT = datetime(2026, 3, 2, 8, tzinfo=UTC)
SPOILT = "\xff".encode("latin-1")


def test_a_token_with_a_flipped_byte_is_refused_and_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(b'{"name": "mi' + SPOILT + b'ne", "account": "paper"}')
    with pytest.raises(StateError, match=r"mine\.json.*it is damaged"):
        read_token(path)


def test_an_answer_with_a_flipped_byte_is_refused_and_named(tmp_path: Path) -> None:
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "one.json").write_bytes(b'{"command_id": "o' + SPOILT + b'e"}')
    with pytest.raises(StateError, match=r"one: it is damaged"):
        answer_of(tmp_path, "one")


def test_a_strategy_with_a_flipped_byte_is_refused() -> None:
    with pytest.raises(InputError, match="reading strategy"):
        Strategy.from_json(b'{"name": "trend' + SPOILT + b'"}')


@pytest.mark.parametrize("parse", [parse_faults, parse_conditions, parse_shape, parse_script])
def test_an_argument_that_is_no_text_is_refused(parse: Callable[[str], Any]) -> None:
    # What a shell passes that is no UTF-8 arrives as a lone surrogate.
    with pytest.raises(InputError):
        parse(json.dumps({"seed": "x"}, ensure_ascii=False).replace("x", "\udcff"))


@pytest.fixture
async def spoilt_record(tmp_path: Path, record_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journal of one deal whose seal holds, although a byte of its comment is no text: written so, not damaged later."""
    deal = record_of(Deal, tenant="t", account="a", comment="QQQQ", event_at=AT, known_at=AT)
    original = journal_module.encode_records
    monkeypatch.setattr(
        journal_module, "encode_records", lambda records: original(records).replace(b"QQQQ", b"Q\xffQQ")
    )
    monkeypatch.setattr(journal_module, "_check_readable", lambda _batch: None)
    async with Journal.open(tmp_path / "raw") as journal:
        await journal.append([deal])
    return tmp_path / "raw"


def test_a_sealed_record_that_is_no_text_is_named_by_every_reader(spoilt_record: Path) -> None:
    assert len(list(read_groups(spoilt_record))) == 1
    with pytest.raises(JournalError, match="record 1 is none of this schema"):
        list(read_records(spoilt_record))
    past = Past(spoilt_record, "t", "a")
    with pytest.raises(JournalError, match="none of this schema"):
        list(past._trading([AT.date()]))
    ticket = {"1": AT}
    assert past.booked(ticket) == set(), "of a deal of long ago only its ticket is read"


async def test_what_would_not_read_back_is_not_written(
    tmp_path: Path, record_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    deal = record_of(Deal, tenant="t", account="a", comment="QQQQ", event_at=AT, known_at=AT)
    original = journal_module.encode_records
    monkeypatch.setattr(
        journal_module, "encode_records", lambda records: original(records).replace(b"QQQQ", b"Q\xffQQ")
    )
    async with Journal.open(tmp_path / "raw") as journal:
        with pytest.raises(JournalError, match="would not read back"):
            await journal.append([deal])
