"""Positions of ours that no open trade holds: the journal of their trade is lost, or their trade has ended by its deals.

They bear a magic of ours, or are the position of a trade of ours. While one is held its symbol is not entered, and it is closed at its
time or before the weekend (`live.trading.due_exits`). Whose a position is follows from books alone; nothing here is sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from live.books.orders import OrderBook
from live.books.trades import Trade, TradeBook
from trading_assets.core.ids import is_magic
from trading_assets.core.messages import PositionFacts

BREAKER = "unknown_position"

Owner = Literal["trade", "order", "nobody", "foreign"]


class Unowned(NamedTuple):
    """One of them, as the terminal told it last."""

    facts: PositionFacts
    trade: Trade | None
    """The trade of ours whose position it was; None where no record knows one."""

    @property
    def finding(self) -> tuple[str, str, str]:
        """Return subject, expectation and observation."""
        facts = self.facts
        held = f"{facts.side} {facts.volume} lots of {facts.symbol} with magic {facts.magic}"
        if self.trade is None:
            return (
                f"position {facts.identifier}",
                "each position with a magic of ours has its decision in the journal",
                f"{held} is ours by its making, and no record knows it",
            )
        return (
            f"position {facts.identifier} of trade {self.trade.trade_id}",
            "a position is held while its trade is open, by its deals",
            f"{held} is held although its trade has ended",
        )


def owner_of(facts: PositionFacts, orders: OrderBook, trades: TradeBook) -> Owner:
    """Return whose a position is: an open trade's, an order's whose deals are to come, ours without an owner, or another's."""
    trade = trades.by_position(facts.identifier)
    if trade is not None:
        # Not open and not settled: its exit was told before its entry.
        return "trade" if trade.is_open else "nobody" if trade.is_settled else "order"
    intent = orders.find(facts.magic)
    if intent is not None:
        return "order" if intent.is_pending else "nobody"
    return "nobody" if is_magic(facts.magic) else "foreign"


def unowned_of(positions: Iterable[PositionFacts], orders: OrderBook, trades: TradeBook) -> dict[str, Unowned]:
    """Return those of some positions that have no owner, by identifier."""
    return {
        facts.identifier: Unowned(facts, trades.by_position(facts.identifier))
        for facts in positions
        if facts.volume and owner_of(facts, orders, trades) == "nobody"
    }
