"""The terminal's memory: all or nothing, one owner, one market."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from live.paper.account import Terms
from live.paper.book import Book
from live.paper.broker import Broker
from live.paper.contracts import standard_contract
from live.paper.state import PlayPosition, State
from trading_assets.core.errors import StateError
from trading_assets.core.messages import Goodbye, OrderCommand

POSITION = PlayPosition(played=10, acknowledged=8, now_ms=1_704_700_800_000)


def traded() -> Broker:
    broker = Broker(Terms(), {"EURUSD": standard_contract("EURUSD", 5, 1.085, "USD", Decimal("2.50"))}, Book())
    broker.deposit(Decimal("10000"), 0)
    broker.price("EURUSD", 1_704_700_800_000, 1.085, 1.0851)
    command = OrderCommand(
        session="", seq=1, sent_msc=0, request_id="7", magic="7", signal_id="S", symbol="EURUSD", side="BUY", volume=Decimal("0.10"),
        price=1.0851, sl=1.08, tp=1.09, deviation=20, deadline_msc=1_804_700_800_000, comment="",
    )  # fmt: skip
    assert broker.open(command, 1_704_700_800_000).retcode == 10009
    return broker


def test_what_was_saved_comes_back_and_answers_repeat_after_a_restart(tmp_path: Path):
    broker = traded()
    state = State(tmp_path / "state")
    farewell = Goodbye(session="", seq=0, sent_msc=0, reason="kept")
    state.save(POSITION, broker.book.take_changes(), [(1, farewell), (2, farewell)])
    state.save(POSITION, delivered=[1])
    state.close()
    state.close()
    again = State(tmp_path / "state")
    book = again.load_book()
    assert book.deals == broker.book.deals
    assert book.positions == broker.book.positions
    assert book.balance == broker.book.balance
    assert book.ticket() == broker.book.ticket()
    assert book.answer_to("7", "7", is_open=True) == broker.book.answer_to("7", "7", is_open=True)
    assert book.answer_to("another", "7", is_open=True) is not None
    assert again.load_position() == POSITION
    assert again.load_results() == [(2, farewell)]
    again.close()


def test_a_save_that_fails_leaves_the_last_one(tmp_path: Path):
    broker = traded()
    state = State(tmp_path)
    state.save(POSITION, broker.book.take_changes())
    duplicate = broker.book.deals[0]
    broker.book.add(duplicate)
    broker.book.roll(99)
    with pytest.raises(StateError, match="saving terminal state"):
        state.save(PlayPosition(played=99, acknowledged=99, now_ms=99), broker.book.take_changes())
    assert state.load_position() == POSITION
    assert state.load_book().rollover_day != 99
    state.close()


def test_a_second_terminal_on_the_same_folder_is_refused(tmp_path: Path):
    state = State(tmp_path)
    with pytest.raises(StateError, match="another terminal is using it"):
        State(tmp_path)
    state.close()
    State(tmp_path).close()


def test_a_folder_belongs_to_one_market(tmp_path: Path):
    state = State(tmp_path)
    state.claim("a")
    state.claim("a")
    with pytest.raises(StateError, match="belongs to another market"):
        state.claim("b")
    state.close()


def test_a_file_that_is_no_state_is_named(tmp_path: Path):
    (tmp_path / "terminal.sqlite").write_bytes(b"not a database, and long enough to be read as one" * 100)
    with pytest.raises(StateError, match="opening terminal state"):
        State(tmp_path)


@pytest.mark.parametrize("table", ["deals", "positions", "answers", "facts"])
def test_a_flipped_byte_in_the_memory_is_named_and_never_a_traceback(tmp_path: Path, table: str):
    broker = traded()
    state = State(tmp_path / "state")
    state.save(POSITION, broker.book.take_changes())
    state.close()
    with closing(sqlite3.connect(tmp_path / "state" / "terminal.sqlite")) as database, database:
        for row, body in database.execute(f"SELECT rowid, body FROM {table}").fetchall():
            spoilt = bytes(body).replace(b'":"', b'":"\xff', 1).replace(b'":', b'":\xff', 1)
            database.execute(f"UPDATE {table} SET body = ? WHERE rowid = ?", (spoilt, row))
    with closing(State(tmp_path / "state")) as again, pytest.raises(StateError, match="it is damaged"):
        assert (again.load_book(), again.load_position()) is None, "neither is to be had"
