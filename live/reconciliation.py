"""Our view held against the terminal's: positions, orders and deals, asked for together and compared once all are there.

Unknown is not no (invariant 4): an order counts as not carried out only when a search that was asked for after its deadline
found nothing. A difference becomes a finding and stops entries (invariant 5), the second time it is seen: what
happens between two answers can look like one.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from live.books import Books
from live.recorder import Recorder
from live.settlement import Settlement
from live.trader import Trader
from trading_assets.core.market.clock import ClockRule
from trading_assets.core.messages import Deals, Query, Snapshot
from trading_assets.core.records.record import Record
from trading_assets.core.trades import lifecycle
from trading_assets.core.trades.lifecycle import Missing, Working

BREAKER = "reconciliation"
# Deals are asked for from somewhat before the last one known: servers' clocks are not exact.
_OVERLAP = timedelta(hours=1)
_PATIENCE = 2


class Reconciliation:
    """One account's searches, one at a time."""

    def __init__(
        self, recorder: Recorder, rule: ClockRule, books: Books, settlement: Settlement, trader: Trader
    ) -> None:
        self._recorder = recorder
        self._rule = rule
        self._books = books
        self._settlement = settlement
        self._trader = trader
        self._number = 0
        self._asked_at: datetime | None = None
        self._request_id = ""
        self._snapshot: Snapshot | None = None
        self._differed = 0
        self.is_done_once = False
        """Whether this session has been reconciled: before that there are no entries."""

    @property
    def is_asking(self) -> bool:
        """Whether a search waits for its answers."""
        return self._asked_at is not None

    def restart(self) -> None:
        """A new session begins: nothing asked for before will be answered."""
        self._asked_at, self._snapshot, self.is_done_once = None, None, False

    async def ask(self, *, in_full: bool = False) -> None:
        """Ask for open state and deals, unless a search is under way."""
        link = self._trader.link
        if link is None or self.is_asking:
            return
        last = self._books.trades.last_deal_at
        since = 0 if in_full or last is None else max(self._rule.to_server(last - _OVERLAP), 0)
        self._number += 1
        self._asked_at = self._recorder.clock.now()
        self._request_id = f"reconcile-{self._number}"
        self._snapshot = None
        await link.send(Query, request_id=f"{self._request_id}-state", what="state")
        await link.send(Query, request_id=self._request_id, what="deals", from_msc=since)

    def give_up(self) -> None:
        """The answers did not come: ask again another time. "I could not ask" is no answer."""
        self._asked_at = None

    def snapshot(self, snapshot: Snapshot) -> None:
        """Take the answer to the first question."""
        self._snapshot = snapshot

    async def deals(self, answer: Deals) -> bool:
        """Book the deals of an answer; returns whether it ended the search."""
        for facts in answer.deals:
            await self._settlement.deal(facts, "", None)
        if answer.request_id != self._request_id or self._snapshot is None or self._asked_at is None:
            return False
        await self._compare(self._snapshot, self._asked_at)
        self._asked_at, self.is_done_once = None, True
        self._settlement.count_equity()
        return True

    async def _compare(self, snapshot: Snapshot, asked_at: datetime) -> None:
        self._resolve_orders(snapshot, asked_at)
        self._count_foreign(snapshot)
        differences = self._differences(snapshot)
        self._differed = self._differed + 1 if differences else 0
        if self._differed >= _PATIENCE:
            self._report(differences)
        if not differences and self._books.risk.is_tripped(BREAKER):
            changes = self._books.risk.reset(BREAKER, "our view and the terminal's agree again")
            self._recorder.commit(self._recorder.breaker_events(changes))

    def _resolve_orders(self, snapshot: Snapshot, asked_at: datetime) -> None:
        working = {facts.magic: facts for facts in snapshot.orders}
        held = {facts.magic for facts in snapshot.positions}
        records: list[Record] = []
        for intent in self._books.orders.pending():
            order = intent.order
            if order.state == "PLANNED" or (intent.sent_at is not None and intent.sent_at > asked_at):
                continue
            if order.magic in working:
                ticket = working[order.magic].ticket
                record = self._books.orders.advance(intent, Working(), "the terminal holds it", order_ticket=ticket)
            elif order.magic in held:
                continue  # Its deals are still to come; the next search finds them.
            else:
                missing = Missing(is_past_deadline=asked_at > order.deadline_at)
                record = self._books.orders.advance(
                    intent, missing, "the terminal knows nothing of it after its deadline"
                )
                if not lifecycle.is_open(intent.order.state):
                    self._settlement.came_to_nothing(intent)
            if record is not None:
                records.append(record)
        self._recorder.commit(records)

    def _count_foreign(self, snapshot: Snapshot) -> None:
        orders, trades = self._books.orders, self._books.trades
        self._books.foreign = {
            facts.identifier: facts
            for facts in snapshot.positions
            if trades.by_position(facts.identifier) is None and orders.find(facts.magic) is None
        }

    def _differences(self, snapshot: Snapshot) -> list[tuple[str, str, str]]:
        """Return what does not agree: subject, expectation, observation."""
        reported = {facts.identifier: facts for facts in snapshot.positions}
        found: list[tuple[str, str, str]] = []
        for trade in self._books.trades.open_trades():
            facts = reported.get(trade.position_id)
            if facts is None:
                found.append(
                    (
                        f"trade {trade.trade_id}",
                        f"position {trade.position_id} is open, by its deals",
                        "the terminal does not hold it",
                    )
                )
            elif facts.volume != trade.open_lots:
                found.append(
                    (
                        f"trade {trade.trade_id}",
                        f"{trade.open_lots} lots are open, by its deals",
                        f"the terminal holds {facts.volume}",
                    )
                )
        for facts in snapshot.positions:
            trade_known = self._books.trades.by_position(facts.identifier)
            if self._books.orders.find(facts.magic) is not None and (trade_known is None or not trade_known.is_open):
                found.append(
                    (
                        f"position {facts.identifier}",
                        "the deals of our position are known",
                        "the terminal holds it without them",
                    )
                )
        return found

    def _report(self, differences: list[tuple[str, str, str]]) -> None:
        for subject, expectation, observed in differences:
            repair = "give the command `query deals`; if it stays, compare the terminal's history with `trading trace`"
            self._recorder.finding("live.reconciliation", subject, expectation, observed, repair)
        subject, expectation, observed = differences[0]
        changes = self._books.risk.trip(
            BREAKER, f"{subject}: {expectation}, but {observed}", self._recorder.clock.now()
        )
        self._recorder.commit(self._recorder.breaker_events(changes))
