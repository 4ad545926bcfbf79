"""From a closed bar to orders: inputs gathered, decide() called, the decision made durable, then its orders handed on.

Invariants: no order leaves before its decision is durable (1); a bar is decided once (3); what decide() sees is in its
record (6). How orders leave is `live.trading.sending`, what became of them `live.trading.settlement`; what a decision is,
`core.decisions`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime

from live.books.books import Books, Terms
from live.books.orders import Intent
from live.market.feed import Feed
from live.market.window import View
from live.recorder import Recorder
from live.trading.due_exits import due_exits
from live.trading.inputs import inputs_of
from live.trading.measures import Stages
from live.trading.releases import ReleaseSlot
from live.trading.sending import Sender
from trading_assets.core.decisions.actions import close_reason
from trading_assets.core.decisions.decide import DecisionContext, decide
from trading_assets.core.market.bars import BarValues
from trading_assets.core.records.decisions import (
    Decision,
    DecisionInputs,
    DecisionTiming,
)
from trading_assets.core.records.record import Record

_RECONCILIATION = "reconciliation"
_JOURNAL = "journal"
# With few symbols the rest is decided in the time a commit takes anyway.
_FEW_SYMBOLS = 4
_FIRST_ORDER_S = 0.02


class Trader:
    """Decides for one account."""

    def __init__(
        self, recorder: Recorder, terms: Terms, feed: Feed, books: Books, release: ReleaseSlot, sender: Sender
    ) -> None:
        self._recorder = recorder
        self._terms = terms
        self._feed = feed
        self._books = books
        self._release = release
        self._sender = sender
        self._timings: list[Record] = []
        self._closing_at: datetime | None = None
        self.decided_until: dict[str, datetime] = {}
        self.decisions = 0
        self.stages = Stages()
        self.failures = 0
        """Decisions that could not be made durable."""
        self._off_record: dict[str, tuple[int, datetime]] = {}
        """By symbol, how many of them have not been told, and the close of the last one's bar."""

    # --- deciding -------------------------------------------------------------------------------------------------

    async def decide(self, symbol: str, bar: BarValues, chain_id: str, arrived_ns: int) -> None:
        """Decide at a closed bar; the commit and the sending go on by themselves."""
        quote = self._feed.last.get(symbol)
        account, spec = self._books.account, self._books.specs.get(symbol)
        if (
            bar.close_at <= self.decided_until.get(symbol, bar.open_at)
            or quote is None
            or account is None
            or spec is None
        ):
            return  # Decided before (invariant 3), or built from a past nobody saw.
        self.decided_until[symbol] = bar.close_at
        self._sender.refused.look(symbol, self._terms.raw_symbols[symbol])
        self._watch_journal()
        self._watch_balance()
        started_ns = time.perf_counter_ns()
        release = self._release.current
        window = self._feed.windows[symbol]
        view = window.view(release.normaliser(window.feature_set))
        featured_ns = time.perf_counter_ns()
        # Lets a commit that has just finished send its order.
        await asyncio.sleep(0)
        resumed_ns = time.perf_counter_ns()
        inputs = inputs_of(bar, view, self._recorder.clock.now(), self._terms, self._feed, self._books, account, spec)
        context = self._context(symbol, bar, chain_id, inputs, view)
        decision = decide(self._terms.strategy, context, view.features, release)
        decided_ns = time.perf_counter_ns()
        self.decisions += 1
        intents, records = self._plan(decision)
        clocked = _Clocked(arrived_ns, featured_ns - started_ns, decided_ns - resumed_ns, decided_ns)
        # Stage times of earlier decisions share this commit: with the market's they would cost a sync of their own.
        self.take_timings()
        # From here on the decision has its place in the journal: what is recorded later stands behind it.
        acting = self._recorder.start(self._act(decision, intents, self._recorder.hand_over(records), clocked))
        if intents and bar.close_at != self._closing_at and len(self._feed.windows) > _FEW_SYMBOLS:
            self._closing_at = bar.close_at
            # The first order of many leaves before the next symbol's arithmetic takes the interpreter from its commit.
            await asyncio.wait({acting}, timeout=_FIRST_ORDER_S)

    def _watch_journal(self) -> None:
        """While nothing can be made durable there are no entries; once it can, the breaker lets go by itself."""
        risk, recorder = self._books.risk, self._recorder
        if not recorder.fault:
            self._tell_off_record()
        is_tripped = risk.is_tripped(_JOURNAL)
        if bool(recorder.fault) == is_tripped:
            return
        changes = (
            risk.reset(_JOURNAL, "the journal can be written again")
            if is_tripped
            else risk.trip(_JOURNAL, recorder.fault, recorder.clock.now())
        )
        recorder.buffer(recorder.breaker_events(changes))

    def _watch_balance(self) -> None:
        """Money that no deal explains may be a loss as well as a withdrawal: no entries until the terminal was asked."""
        risk, recorder = self._books.risk, self._recorder
        if risk.unexplained and not risk.is_tripped(_RECONCILIATION):
            cause = (
                f"the balance moved by {risk.unexplained} and no deal known so far explains it; the terminal is asked"
            )
            recorder.buffer(recorder.breaker_events(risk.trip(_RECONCILIATION, cause, recorder.clock.now())))

    def _tell_off_record(self) -> None:
        """Say which bars' decisions are on no record, once something can be recorded again: they are not decided later."""
        for symbol, (count, until) in self._off_record.items():
            text = (
                f"{count} decisions of {symbol} up to the bar of {until:%Y-%m-%d %H:%M} UTC could not be made durable; "
                "they are on no record, nothing was sent, and they are not made again"
            )
            self._recorder.error("live.trading.trader", text)
        self._off_record.clear()

    def take_timings(self) -> None:
        """Hand the stage times of earlier decisions to the journal; they can wait for the next commit."""
        if self._timings:
            self._recorder.buffer(self._timings)
            self._timings = []

    def _context(
        self, symbol: str, bar: BarValues, chain_id: str, inputs: DecisionInputs, view: View
    ) -> DecisionContext:
        return DecisionContext(
            tenant=self._recorder.tenant,
            account=self._recorder.account,
            chain_id=chain_id,
            mode=self._terms.mode,
            symbol=symbol,
            bar_open_at=bar.open_at,
            bar_close_at=bar.close_at,
            known_at=self._recorder.clock.now(),
            inputs=inputs,
            windows=view.windows,
            window_sha256=view.window_sha256,
            feature_window=view.feature_window,
        )

    # --- acting ---------------------------------------------------------------------------------------------------

    def _plan(self, decision: Decision) -> tuple[list[Intent], list[Record]]:
        """Plan the orders of a decision, so that the next symbol's decision counts them already."""
        books, recorder = self._books, self._recorder
        changes = books.risk.learn(decision.breakers, decision.decided_at, decision.symbol)
        records: list[Record] = [decision, *recorder.breaker_events(changes, decision.chain_id)]
        intents: list[Intent] = []
        if decision.mode != "execute":
            return intents, records
        if decision.action in ("CLOSE", "REVERSE"):
            reason = close_reason(self._terms.strategy, decision) or "signal"
            intents.append(books.orders.plan_close(decision, reason))
        exits = due_exits(decision, self._terms, self._feed, books)
        if decision.action in ("OPEN", "REVERSE"):
            books.trades.expect(decision)
            books.risk.observe_entry(decision.decided_at)
            intents.append(books.orders.plan_open(decision))
        if len(intents) == 2:
            # REVERSE is close, then open: the entry waits for the position to be gone.
            entry = intents.pop()
            self._sender.send_after(intents[0].order.trade_id, entry)
            intents += exits
            return intents, [*records, *(intent.order for intent in intents), entry.order]
        intents += exits
        records += [intent.order for intent in intents]
        return intents, records

    async def _act(self, decision: Decision, intents: list[Intent], commit: Awaitable[None], clocked: _Clocked) -> None:
        """Wait until the decision is durable, then send its orders (invariant 1)."""
        is_durable = await self._recorder.durable(commit)
        committed_ns = time.perf_counter_ns()
        if not is_durable:
            self.failures += 1
            count, _ = self._off_record.get(decision.symbol, (0, None))
            self._off_record[decision.symbol] = count + 1, decision.bar_close_at
            self._sender.give_up(intents, "the decision could not be made durable")
            self._watch_journal()  # At once: what waits to be sent is not sent any more.
            return
        for intent in intents:
            await self._sender.send(intent)
        if decision.mode == "recommend":
            await self._sender.show(decision)
        total_ns = time.perf_counter_ns() - clocked.arrived_ns
        commit_ns = committed_ns - clocked.decided_ns
        self.stages.observe(clocked.features_ns, clocked.decide_ns, commit_ns, total_ns)
        self._timings.append(
            self._recorder.make(
                DecisionTiming,
                decision.event_at,
                decision.chain_id,
                signal_id=decision.signal_id,
                features_us=clocked.features_ns // 1000,
                decide_us=clocked.decide_ns // 1000,
                commit_us=commit_ns // 1000,
                total_us=total_ns // 1000,
                has_order=bool(intents),
            )
        )


@dataclass(frozen=True, slots=True)
class _Clocked:
    """Times of one decision's stages, of the process's own clock: measured, never decided on."""

    arrived_ns: int
    features_ns: int
    decide_ns: int
    decided_ns: int
