"""What the book of trades keeps while a process lives for weeks: enough to know every deal again, and no more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from live.books import trades
from live.books.trades import Trade, TradeBook
from live.recorder import Recorder
from trading_assets.core.records.decisions import Decision

START = datetime(2026, 3, 2, tzinfo=UTC)


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
