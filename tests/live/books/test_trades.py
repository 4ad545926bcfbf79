"""What the book of trades keeps while a process lives for weeks: enough to know every deal again, and no more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from live.books import trades
from live.books.trades import Trade, TradeBook
from live.clock import StreamClock
from live.recorder import Recorder
from trading_assets.core.ids import signal_id, trade_id
from trading_assets.core.records.decisions import Candidate, Decision, SymbolState
from trading_assets.core.records.trading import Deal, Outcome

START = datetime(2026, 3, 2, tzinfo=UTC)
SIGNAL = signal_id(START, "t", "a", "EURUSD", "M5", "v1")


def book() -> TradeBook:
    return TradeBook(cast(Recorder, None), lambda _symbol: None)


def test_settled_trades_are_kept_a_while_and_not_for_ever(record_of: Callable[..., Any]) -> None:
    kept, decision = book(), record_of(Decision)
    for number in range(2_000):
        trade = Trade(decision, position_id=str(number))
        kept._by_position[trade.position_id] = trade
        kept._end(trade)
    assert kept.by_position("1999") is not None
    assert kept.by_position("0") is None
    assert len(kept._by_position) == len(kept._settled) == trades._SETTLED_REMEMBERED


# --- an exit that is told before its entry -------------------------------------------------------------------------------


@pytest.fixture
def decision(record_of: Callable[..., Any]) -> Decision:
    """A decision that buys 0.10 lots of EURUSD."""
    candidate = msgspec.structs.replace(
        record_of(Candidate, idea_id="i1", risk_unit=0.001, stop_price=1.099, target_price=1.102), kind="LONG"
    )
    return cast(
        Decision,
        record_of(
            Decision, symbol="EURUSD", signal_id=SIGNAL, idea_id="i1", suggestion="LONG", action="OPEN",
            candidates=(candidate,), mode="execute",
        ),
    )  # fmt: skip


@pytest.fixture
def deal_of(record_of: Callable[..., Any]) -> Callable[..., Deal]:
    """Makes a deal of that decision's position."""

    def make(ticket: str, entry: str, lots: str = "0.10", price: float = 1.1, after_s: float = 0.0) -> Deal:
        made = record_of(
            Deal, deal_ticket=ticket, position_id="p1", trade_id=trade_id(SIGNAL), symbol="EURUSD", entry=entry,
            reason="EXPERT" if entry == "IN" else "SO", price=price, volume_lots=Decimal(lots),
            event_at=START + timedelta(seconds=after_s), profit=Decimal("-5"), commission=Decimal(0), swap=Decimal(0),
            fee=Decimal(0),
        )  # fmt: skip
        return cast(Deal, msgspec.structs.replace(made, kind="BUY" if entry == "IN" else "SELL"))

    return make


@pytest.fixture
def full_book(record_of: Callable[..., Any]) -> TradeBook:
    """A book that knows the contract, so that paths are followed."""
    spec = record_of(SymbolState, symbol="EURUSD", tick_size=0.00001, tick_value=Decimal(1))
    recorder = SimpleNamespace(tenant="t", account="a", clock=StreamClock(START + timedelta(hours=1)))
    return TradeBook(cast(Recorder, recorder), lambda _symbol: spec)


def test_a_restart_between_an_exit_and_its_entry_leaves_the_trade_expected_and_the_entry_settles_it(
    full_book: TradeBook, decision: Decision, deal_of: Callable[..., Deal]
) -> None:
    full_book.expect(decision)
    full_book.restore_deal(deal_of("2", "OUT", after_s=5.0), None)
    assert full_book.open_trades() == [], "nothing of it is open: of an exit alone no path can be followed"
    assert full_book.follow_on() == []
    trade = full_book.trade_of("p1", None, "BUY", "IN")
    assert trade is not None
    assert trade.trade_id == trade_id(SIGNAL)
    (outcome,) = full_book.add(trade, deal_of("1", "IN"), None)
    assert isinstance(outcome, Outcome)
    assert (outcome.volume_lots, outcome.gross_pnl) == (Decimal("0.10"), Decimal(-10))
    assert full_book.expected(trade_id(SIGNAL)) is None


def test_a_restart_after_both_came_in_the_other_order_makes_the_outcome_a_crash_held_back(
    full_book: TradeBook, decision: Decision, deal_of: Callable[..., Deal]
) -> None:
    full_book.expect(decision)
    full_book.restore_deal(deal_of("2", "OUT", after_s=5.0), None)
    full_book.restore_deal(deal_of("1", "IN"), None)
    (outcome,) = full_book.follow_on()
    assert isinstance(outcome, Outcome)
    assert full_book.open_trades() == []


def test_more_closed_than_is_known_to_be_opened_is_nothing_open_and_no_negative_volume(
    full_book: TradeBook, decision: Decision, deal_of: Callable[..., Deal]
) -> None:
    trade = full_book.expect(decision)
    full_book.add(trade, deal_of("1", "IN", "0.04"), None)
    assert full_book.add(trade, deal_of("3", "OUT", "0.10", after_s=5.0), None) == []
    assert trade.open_lots == 0
    assert not trade.is_open
    (outcome,) = full_book.add(trade, deal_of("2", "IN", "0.06", 1.2), None)
    assert isinstance(outcome, Outcome)
    assert outcome.entry_price == pytest.approx(1.16)


def test_a_deal_that_could_not_be_booked_is_as_unknown_as_before(
    full_book: TradeBook, decision: Decision, deal_of: Callable[..., Deal]
) -> None:
    trade, deal = full_book.expect(decision), deal_of("1", "IN")
    full_book.add(trade, deal, None)
    full_book.take_back(deal, trade)
    assert deal.deal_ticket not in full_book.known
    assert trade.open_lots == 0
    full_book.add(trade, deal, None)
    assert trade.open_lots == Decimal("0.10"), "booked again it counts once"
