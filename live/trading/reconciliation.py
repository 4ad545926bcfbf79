"""Our view held against the terminal's: positions, orders and deals, asked for together and compared once all are there.

Unknown is not no (invariant 4): an order counts as not carried out only when a search that was asked for after its deadline
found nothing. A difference becomes a finding and stops entries (invariant 5), the second time it is seen: what
happens between two answers can look like one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from live.books.books import Books
from live.books.orders import Intent
from live.books.unowned import BREAKER as UNKNOWN_POSITION
from live.books.unowned import owner_of, unowned_of
from live.clock import ServerClock
from live.recorder import Recorder
from live.trading.holdings import Holdings
from live.trading.protection import Protector
from live.trading.sending import Sender
from live.trading.settlement import Settlement
from trading_assets.core.decisions.breakers import BreakerChange
from trading_assets.core.messages import Deals, PositionFacts, Query, Snapshot
from trading_assets.core.records.operations import Finding
from trading_assets.core.records.record import Record
from trading_assets.core.trades import lifecycle
from trading_assets.core.trades.lifecycle import Missing, Working

BREAKER = "reconciliation"
# Deals are asked for from somewhat before the last one known: servers' clocks are not exact.
_OVERLAP = timedelta(hours=1)
_PATIENCE = 2
_UNOWNED_REPAIR = (
    "nothing at once: its symbol is not entered, and it is closed at its time limit or before the weekend; close it by hand if it "
    "is not wanted; its trade's outcome is told only if its deals are found"
)


class Reconciliation:
    """One account's searches, one at a time."""

    def __init__(
        self,
        recorder: Recorder,
        rule: ServerClock,
        books: Books,
        settlement: Settlement,
        sender: Sender,
        protector: Protector,
        holdings: Holdings,
        canonical: Mapping[str, str],
    ) -> None:
        """`canonical`: our names of the account's symbols, by the broker's."""
        self._recorder = recorder
        self._rule = rule
        self._books = books
        self._settlement = settlement
        self._sender = sender
        self._protector = protector
        self._holdings = holdings
        self._canonical = canonical
        self._reported: set[tuple[str, str, str]] = set()
        self._foreign_told: set[str] = set()
        self._number = 0
        self._asked_at: datetime | None = None
        self._asked_from: datetime | None = None
        self._request_id = ""
        self._snapshot: Snapshot | None = None
        self._is_partial = self._is_next_partial = False
        """Whether positions or orders of the snapshot, or of the next one, could not be read."""
        self._is_booked = True
        """Whether every part of the answer so far could be booked."""
        self._is_readable = True
        """Likewise whether every deal of it could be read."""
        self._differed = 0
        self._suspects: set[str] = set()
        """Positions that had no owner when the snapshot came."""
        self._unowned_told: set[str] = set()
        self._is_in_full = False
        """Whether the next search asks for all deals."""
        self.searches = self.differences = 0
        """Searches that were answered, and those that found a difference, since the start."""
        self.is_done_once = False
        """Whether this session has been reconciled: before that there are no entries."""

    @property
    def is_asking(self) -> bool:
        """Whether a search waits for its answers."""
        return self._asked_at is not None

    @property
    def is_urgent(self) -> bool:
        """Whether the session was not compared yet, or something was told that only a search can make sense of.

        Money of the account that no deal explains, or a position of ours that seems to have no owner.
        """
        return (
            not self.is_done_once or bool(self._books.money.unexplained) or self._is_in_full or self._books.is_doubted
        )

    def restart(self) -> None:
        """A new session begins: nothing asked for before will be answered."""
        self._asked_at, self._snapshot, self.is_done_once = None, None, False

    async def ask(self, *, in_full: bool = False) -> None:
        """Ask for open state and deals, unless a search is under way."""
        link = self._sender.link
        if link is None or self.is_asking:
            return
        known = self._books.trades.known
        # What a first search does not explain may lie further back: a deal of long ago that was changed.
        in_full = in_full or self._books.money.is_doubted
        # In full is as far back as tickets are kept: what lies before was reconciled before they were let go.
        in_full, self._is_in_full = in_full or self._is_in_full, False
        first = known.since if in_full or known.is_full or known.last_at is None else known.last_at
        waiting_since = self._books.orders.waiting_since()
        if first is not None and waiting_since is not None:
            # Deals that came later may be known: of what an order did before them nothing is, until it is asked for.
            first = min(first, waiting_since)
        self._asked_from = None if first is None else first - _OVERLAP
        since = 0 if self._asked_from is None else max(self._rule.to_server(self._asked_from), 0)
        self._number += 1
        self._asked_at = self._recorder.clock.now()
        self._request_id = f"reconcile-{self._number}"
        self._snapshot, self._is_booked, self._is_readable = None, True, True
        await link.send(Query, request_id=f"{self._request_id}-state", what="state")
        await link.send(Query, request_id=self._request_id, what="deals", from_msc=since)

    def give_up(self) -> None:
        """The answers did not come: ask again another time. "I could not ask" is no answer."""
        self._asked_at = None

    def snapshot(self, snapshot: Snapshot) -> None:
        """Take the answer to the first question."""
        self._snapshot = snapshot
        self._is_partial, self._is_next_partial = self._is_next_partial, False
        for facts in snapshot.positions:
            trade = self._books.trades.by_position(facts.identifier)
            if trade is not None:
                trade.ticket = facts.ticket
        # Held now; a deal that is told later may close it, and is booked before this is looked at again.
        self._suspects = set(unowned_of(snapshot.positions, self._books.orders, self._books.trades))

    def miss_positions(self) -> None:
        """Positions or orders of the snapshot that comes next cannot be read: what it lacks may be there (invariant 4)."""
        self._is_next_partial = True

    def miss_deals(self) -> None:
        """Deals of the answer that comes next cannot be read: their time is asked for again."""
        self._is_readable = False

    async def deals(self, answer: Deals) -> bool:
        """Book the deals of an answer, or of a part of one; returns whether it ended the search."""
        is_booked = await self._settlement.deals(answer.deals)
        snapshot = self._snapshot
        if answer.request_id != self._request_id or snapshot is None or self._asked_at is None:
            return False
        self._is_booked = self._is_booked and is_booked
        if not answer.is_last:
            return False
        if self._is_booked and self._is_readable:
            # Up to an hour before it was asked: servers' clocks are not exact.
            self._books.trades.known.reconciled(self._asked_from, self._asked_at - _OVERLAP)
        if self._is_partial:
            self._look_at_readable(snapshot, self._asked_at)
            self._asked_at = None
            return True
        await self._compare(snapshot, self._asked_at)
        self._asked_at, self.is_done_once = None, True
        if self._is_booked:
            # Money of a deal that cannot be read counts as profit or loss.
            self._holdings.agree()
        return True

    def _look_at_readable(self, snapshot: Snapshot, asked_at: datetime) -> None:
        """Look after what can be read of open state; nothing is concluded from what is absent, and nothing is entered."""
        self.searches += 1
        for facts in snapshot.positions:
            trade = self._books.trades.by_position(facts.identifier)
            if trade is not None and trade.is_open:
                self._protector.look(facts, trade, asked_at)
        self._sender.refused.compare(snapshot.positions)
        cause = "positions or orders that the terminal told cannot be read; the terminal is asked again"
        changes = self._books.risk.trip(BREAKER, cause, self._recorder.clock.now())
        self._recorder.commit(self._recorder.breaker_events(changes))

    async def _compare(self, snapshot: Snapshot, asked_at: datetime) -> None:
        await self._resolve_orders(snapshot, asked_at)
        self._count_foreign(snapshot)
        for facts in snapshot.positions:
            trade = self._books.trades.by_position(facts.identifier)
            if trade is not None and trade.is_open:
                self._protector.look(facts, trade, asked_at)
        self._see_unowned(snapshot)
        self._sender.refused.compare(snapshot.positions)
        differences = self._differences(snapshot)
        self._differed = self._differed + 1 if differences else 0
        self.searches += 1
        self.differences += bool(differences)
        if self._differed >= _PATIENCE:
            self._report(differences)
        if not differences:
            self._reported.clear()
        if not differences and self._books.risk.is_tripped(BREAKER):
            changes = self._books.risk.reset(BREAKER, "our view and the terminal's agree again")
            self._recorder.commit(self._recorder.breaker_events(changes))

    async def _resolve_orders(self, snapshot: Snapshot, asked_at: datetime) -> None:
        working = {facts.magic: facts for facts in snapshot.orders}
        held = {facts.magic for facts in snapshot.positions}
        records: list[Record] = []
        overdue: list[tuple[Intent, str]] = []
        # What was taken for over and works all the same is looked at, too.
        found = {number: intent for number in working if (intent := self._books.orders.find(number)) is not None}
        for intent in (found | {intent.order.magic: intent for intent in self._books.orders.pending()}).values():
            order = intent.order
            if order.state == "PLANNED" or (intent.sent_at is not None and intent.sent_at > asked_at):
                continue
            if order.magic in working:
                ticket = working[order.magic].ticket
                record = self._books.orders.advance(intent, Working(), "the terminal holds it", order_ticket=ticket)
                self._books.orders.work_on(intent, True)
                if asked_at > order.deadline_at and intent.is_pending:
                    overdue.append((intent, ticket))
            elif order.state == "PARTIAL":
                self._books.orders.work_on(intent, False)
                continue
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
        for intent, ticket in overdue:
            await self._sender.withdraw(intent, ticket)

    def _count_foreign(self, snapshot: Snapshot) -> None:
        orders, trades = self._books.orders, self._books.trades
        self._books.foreign = {
            facts.identifier: facts for facts in snapshot.positions if owner_of(facts, orders, trades) == "foreign"
        }
        self._books.foreign_orders = {
            facts.ticket: facts for facts in snapshot.orders if orders.find(facts.magic) is None
        }
        for facts in self._books.foreign.values():
            if facts.identifier not in self._foreign_told:
                self._foreign_told.add(facts.identifier)
                self._tell_foreign(facts)

    def _see_unowned(self, snapshot: Snapshot) -> None:
        """Take note of positions of ours that no open trade holds: at once, since nothing may be opened beside them."""
        books, recorder = self._books, self._recorder
        found = unowned_of(snapshot.positions, books.orders, books.trades)
        books.unowned = {identifier: one for identifier, one in found.items() if identifier in self._suspects}
        symbols = {symbol for one in books.unowned.values() if (symbol := self._canonical.get(one.facts.symbol))}
        changes: list[BreakerChange] = []
        for identifier, one in books.unowned.items():
            subject, expectation, observed = one.finding
            if identifier not in self._unowned_told:
                self._unowned_told.add(identifier)
                # Its deals may be older than what is asked for usually.
                self._is_in_full = True
                recorder.finding("live.trading.reconciliation", subject, expectation, observed, _UNOWNED_REPAIR)
            symbol = self._canonical.get(one.facts.symbol)
            if symbol is not None:
                cause = f"{subject}: {expectation}, but {observed}"
                changes += books.risk.trip(UNKNOWN_POSITION, cause, recorder.clock.now(), symbol)
        for kept in books.risk.kept:
            if kept.state.breaker == UNKNOWN_POSITION and kept.symbol not in symbols:
                changes += books.risk.reset(UNKNOWN_POSITION, "each position of ours on it has its trade", kept.symbol)
        self._unowned_told &= books.unowned.keys()
        books.is_doubted = False
        recorder.commit(recorder.breaker_events(changes))

    def _tell_foreign(self, facts: PositionFacts) -> None:
        recorder = self._recorder
        finding = recorder.make(
            Finding,
            recorder.clock.now(),
            recorder.chain(),
            check="live.trading.reconciliation",
            severity="info",
            subject=f"position {facts.identifier}",
            expectation="the positions of the account are ours",
            observed=f"{facts.side} {facts.volume} lots of {facts.symbol} with magic {facts.magic} are not",
            repair="nothing, if it is wanted: it counts in the number of positions and in the margin, and is left alone",
        )
        recorder.buffer([finding])

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
        found += [
            (
                f"position {facts.identifier}",
                "the deals of our position are known",
                "the terminal holds it without them",
            )
            for facts in snapshot.positions
            if owner_of(facts, self._books.orders, self._books.trades) == "order"
        ]
        return found

    def _report(self, differences: list[tuple[str, str, str]]) -> None:
        fresh = [difference for difference in differences if difference not in self._reported]
        self._reported = set(differences)
        for subject, expectation, observed in fresh:
            repair = "give the command `query deals`; if it stays, compare the terminal's history with `trading trace`"
            self._recorder.finding("live.trading.reconciliation", subject, expectation, observed, repair)
        subject, expectation, observed = differences[0]
        changes = self._books.risk.trip(
            BREAKER, f"{subject}: {expectation}, but {observed}", self._recorder.clock.now()
        )
        self._recorder.commit(self._recorder.breaker_events(changes))
