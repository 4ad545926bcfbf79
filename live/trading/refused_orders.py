"""Orders that come to nothing again and again: told, and answered by a breaker on their symbol, whatever the code.

One refusal is an end like another; a row of them is a position nobody closes, or noise towards the broker. An exit is tried at each bar
all the same. What one answer means is `core.trades.lifecycle`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from live.books.books import Books
from live.recorder import Recorder
from trading_assets.core.messages import PositionFacts
from trading_assets.core.records.trading import Order

EXITS, ENTRIES = "exit_refused", "entry_refused"
# The broker says that there is no such position.
_NO_POSITION = 10036
_MOST_EXITS, _MOST_ENTRIES = 2, 3
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(minutes=30), timedelta(hours=8)


class RefusedOrders:
    """Those of one account, in a row, by symbol."""

    def __init__(self, recorder: Recorder, books: Books) -> None:
        self._recorder = recorder
        self._books = books
        self._exits: Counter[str] = Counter()
        self._entries: Counter[str] = Counter()
        self._paused_until: dict[str, datetime] = {}
        self._contested: dict[str, Order] = {}

    def failed(self, order: Order) -> None:
        """An order that was sent came to nothing."""
        symbol = order.symbol
        if order.purpose == "OPEN":
            self._entries[symbol] += 1
            if self._entries[symbol] >= _MOST_ENTRIES:
                self._pause(order)
            return
        self._exits[symbol] += 1
        if order.retcode == _NO_POSITION:
            # True or not: the terminal is asked at once.
            self._contested[order.position_id or ""] = order
            self._books.is_doubted = True
        if self._exits[symbol] >= _MOST_EXITS:
            self._report(order, f"{self._exits[symbol]} exits in a row came to nothing, the last: {order.reason}")

    def entered(self, symbol: str) -> None:
        """An entry was carried out."""
        self._entries.pop(symbol, None)
        self._paused_until.pop(symbol, None)

    def compare(self, positions: Iterable[PositionFacts]) -> None:
        """Hold what the broker said is closed against what the terminal holds."""
        held = {facts.identifier: facts for facts in positions if facts.volume}
        for position_id, order in self._contested.items():
            if position_id in held and self._books.is_held(order):
                ticket = held[position_id].ticket
                self._report(
                    order, f"the broker says there is no such position (10036), the terminal holds it under {ticket}"
                )
        self._contested.clear()

    def look(self, symbol: str, raw_symbol: str) -> None:
        """Let go what has ended: the exit succeeded, or entries have paused long enough."""
        risk, now = self._books.risk, self._recorder.clock.now()
        if not self._books.holds(symbol, raw_symbol):
            self._exits.pop(symbol, None)
            if risk.is_tripped(EXITS, symbol):
                changes = risk.reset(EXITS, "nothing of ours is held on it any more", symbol)
                self._recorder.commit(self._recorder.breaker_events(changes))
        if risk.is_tripped(ENTRIES, symbol) and now >= self._paused_until.get(symbol, now):
            changes = risk.reset(ENTRIES, "the pause is over; an entry is tried again", symbol)
            self._recorder.commit(self._recorder.breaker_events(changes))

    def _pause(self, order: Order) -> None:
        """Let entries of a symbol rest, longer each time; told the first time."""
        symbol, now, count = order.symbol, self._recorder.clock.now(), self._entries[order.symbol]
        pause = min(_FIRST_PAUSE * 2 ** min(count - _MOST_ENTRIES, 10), _LONGEST_PAUSE)
        self._paused_until[symbol] = now + pause
        cause = f"{count} entries in a row came to nothing, the last: {order.reason}"
        if count == _MOST_ENTRIES:
            self._recorder.finding(
                "live.trading.refused_orders",
                f"entries on {symbol}",
                "an entry that is allowed is carried out",
                _coded(cause, order),
                "look at the symbol's contract and at the account in the terminal; entries are tried again after a pause by themselves",
                "warning",
            )
        words = f"{_coded(cause, order)}; tried again at {now + pause:%Y-%m-%d %H:%M} UTC"
        self._recorder.commit(self._recorder.breaker_events(self._books.risk.trip(ENTRIES, words, now, symbol)))

    def _report(self, order: Order, observed: str) -> None:
        """Say that a position is not closed, once until it is; its symbol is not entered meanwhile."""
        risk, words = self._books.risk, _coded(observed, order)
        changes = risk.trip(EXITS, f"position {order.position_id}: {words}", self._recorder.clock.now(), order.symbol)
        if changes:
            self._recorder.finding(
                "live.trading.refused_orders",
                f"position {order.position_id} on {order.symbol}",
                f"it is closed ({order.close_reason})",
                words,
                "close it by hand in the terminal, or ask the broker why it cannot be closed; it is tried again at each bar",
            )
        self._recorder.commit(self._recorder.breaker_events(changes))


def _coded(words: str, order: Order) -> str:
    return words if order.retcode is None or str(order.retcode) in words else f"{words} ({order.retcode})"
