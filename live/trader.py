"""From a closed bar to an order frame: inputs gathered, decide() called, the decision made durable, the orders sent.

Invariants: no order leaves before its decision is durable (1); a bar is decided once (3); what decide() sees is in its
record (6). What became of orders is `live.settlement`; what a decision is, `core.decisions`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime

from live.books import Books, Terms
from live.feed import Feed
from live.link import Link
from live.orders import Intent, command
from live.recorder import Recorder
from live.releases import ReleaseSlot
from live.trades import Trade
from live.window import View
from trading_assets.core.decisions.actions import close_reason
from trading_assets.core.decisions.decide import DecisionContext, decide
from trading_assets.core.market.bars import BarValues
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.records.decisions import (
    AccountState,
    Decision,
    DecisionInputs,
    DecisionTiming,
    OpenPosition,
    SymbolState,
)
from trading_assets.core.records.record import Record
from trading_assets.core.trades import lifecycle
from trading_assets.core.trades.outcomes import candidate_of

# A close whose price moved away is sent again this often before the next bar decides anew.
_CLOSE_SENDS = 3
_JOURNAL = "journal"


class Trader:
    """Decides and sends for one account."""

    def __init__(self, recorder: Recorder, terms: Terms, feed: Feed, books: Books, release: ReleaseSlot) -> None:
        self._recorder = recorder
        self._terms = terms
        self._feed = feed
        self._books = books
        self._release = release
        self._after_close: dict[str, Intent] = {}
        self._timings: list[Record] = []
        self.link: Link | None = None
        self.decided_until: dict[str, datetime] = {}
        self.decisions = 0
        self.orders_sent = 0
        self.latencies_us: deque[int] = deque(maxlen=4096)

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
        self._watch_journal()
        started_ns = time.perf_counter_ns()
        release = self._release.current
        window = self._feed.windows[symbol]
        view = window.view(release.normaliser(window.feature_set))
        featured_ns = time.perf_counter_ns()
        # Lets a commit that has just finished send its order.
        await asyncio.sleep(0)
        resumed_ns = time.perf_counter_ns()
        inputs = self._inputs(symbol, view, account, spec)
        context = self._context(symbol, bar, chain_id, inputs, view)
        decision = decide(self._terms.strategy, context, view.features, release)
        decided_ns = time.perf_counter_ns()
        self.decisions += 1
        intents, records = self._plan(decision)
        clocked = _Clocked(arrived_ns, featured_ns - started_ns, decided_ns - resumed_ns, decided_ns)
        # Stage times of earlier decisions share this commit: with the market's they would cost a sync of their own.
        self.take_timings()
        # From here on the decision has its place in the journal: what is recorded later stands behind it.
        self._recorder.start(self._act(decision, intents, self._recorder.hand_over(records), clocked))

    def _watch_journal(self) -> None:
        """While nothing can be made durable there are no entries; once it can, the breaker lets go by itself."""
        risk, recorder = self._books.risk, self._recorder
        is_tripped = risk.is_tripped(_JOURNAL)
        if bool(recorder.fault) == is_tripped:
            return
        changes = (
            risk.reset(_JOURNAL, "the journal can be written again")
            if is_tripped
            else risk.trip(_JOURNAL, recorder.fault, recorder.clock.now())
        )
        recorder.buffer(recorder.breaker_events(changes))

    def take_timings(self) -> None:
        """Hand the stage times of earlier decisions to the journal; they can wait for the next commit."""
        if self._timings:
            self._recorder.buffer(self._timings)
            self._timings = []

    def _inputs(self, symbol: str, view: View, account: AccountState, spec: SymbolState) -> DecisionInputs:
        quote, books = self._feed.last[symbol], self._books
        trade = books.trades.open_on(symbol)
        pending = len(books.orders.pending(symbol))
        return DecisionInputs(
            bid=quote.bid,
            ask=quote.ask,
            quote_at=quote.at,
            base_bar_count=view.base_bar_count,
            account_state=account,
            symbol_state=spec,
            position=None if trade is None else self._position(trade),
            risk=books.risk.state(self._recorder.clock.now(), books.open_positions, pending),
        )

    def _position(self, trade: Trade) -> OpenPosition:
        decision, candidate = trade.decision, candidate_of(trade.decision)
        quote, window = self._feed.last[decision.symbol], self._feed.windows[decision.symbol]
        side = 1.0 if candidate.kind == "LONG" else -1.0
        price = quote.bid if side > 0.0 else quote.ask
        entry = trade.entry_price
        return OpenPosition(
            trade_id=trade.trade_id,
            signal_id=decision.signal_id,
            position_id=trade.position_id,
            side="BUY" if side > 0.0 else "SELL",
            volume_lots=trade.open_lots,
            entry_price=entry,
            stop_price=candidate.stop_price or 0.0,
            target_price=candidate.target_price or 0.0,
            opened_at=trade.opened_at,
            bars_held=window.bars_since(to_ms(decision.bar_close_at)),
            timeout_bars=candidate.timeout_bars or 0,
            unrealised_r=side * (price - entry) / (candidate.risk_unit or 1.0),
        )

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
        changes = books.risk.learn(decision.breakers, decision.decided_at)
        records: list[Record] = [decision, *recorder.breaker_events(changes, decision.chain_id)]
        intents: list[Intent] = []
        if decision.mode != "execute":
            return intents, records
        if decision.action in ("CLOSE", "REVERSE"):
            reason = close_reason(self._terms.strategy, decision) or "signal"
            intents.append(books.orders.plan_close(decision, reason))
        if decision.action in ("OPEN", "REVERSE"):
            books.trades.expect(decision)
            books.risk.observe_entry(decision.decided_at)
            intents.append(books.orders.plan_open(decision))
        if len(intents) == 2:
            # REVERSE is close, then open: the entry waits for the position to be gone.
            self._after_close[intents[0].order.trade_id] = intents.pop()
        records += [intent.order for intent in intents]
        records += [entry.order for entry in self._after_close.values() if entry.order.signal_id == decision.signal_id]
        return intents, records

    async def _act(self, decision: Decision, intents: list[Intent], commit: Awaitable[None], clocked: _Clocked) -> None:
        """Wait until the decision is durable, then send its orders (invariant 1)."""
        is_durable = await self._recorder.durable(commit)
        committed_ns = time.perf_counter_ns()
        if not is_durable:
            self._drop(intents, "the decision could not be made durable")
            return
        for intent in intents:
            await self.send(intent)
        total_us = (time.perf_counter_ns() - clocked.arrived_ns) // 1000
        self.latencies_us.append(total_us)
        self._timings.append(
            self._recorder.make(
                DecisionTiming,
                decision.event_at,
                decision.chain_id,
                signal_id=decision.signal_id,
                features_us=clocked.features_ns // 1000,
                decide_us=clocked.decide_ns // 1000,
                commit_us=(committed_ns - clocked.decided_ns) // 1000,
                total_us=total_us,
                has_order=bool(intents),
            )
        )

    async def send(self, intent: Intent) -> None:
        """Send an order's frame, unless its deadline has passed."""
        orders, recorder, link = self._books.orders, self._recorder, self.link
        now = recorder.clock.now()
        if link is None or not link.is_open or now > intent.order.deadline_at:
            self._drop(
                [intent], "no terminal is connected" if link is None else "its deadline passed before it was sent"
            )
            return
        sent = orders.advance(intent, lifecycle.Sent(), "written to the terminal")
        intent.sent_at, intent.sends = now, intent.sends + 1
        kind, fields = command(intent.order, self._terms.raw_symbols[intent.order.symbol], self._terms.rule)
        self.orders_sent += 1
        if not await link.send(kind, **fields):
            sent = orders.advance(intent, lifecycle.Lost(), "the connection broke while it was written")
        if sent is not None:
            recorder.buffer([sent])

    async def position_closed(self, trade: str) -> None:
        """A trade ended: send the entry that waited for it."""
        entry = self._after_close.pop(trade, None)
        if entry is not None:
            await self.send(entry)

    def closing_failed(self, trade: str, why: str) -> None:
        """A trade is not closed by the order that should have: give up the entry that waited for it."""
        entry = self._after_close.pop(trade, None)
        if entry is not None:
            self._drop([entry], why)

    async def send_again(self, intent: Intent) -> None:
        """Send a close once more at the present price; entries are left to the next bar's decision."""
        order = intent.order
        quote = self._feed.last.get(order.symbol)
        if order.purpose == "OPEN" or intent.sends >= _CLOSE_SENDS or quote is None:
            self._drop([intent], f"not sent again: {order.reason}")
            return
        self._books.orders.retarget(intent, quote.bid if order.side == "SELL" else quote.ask)
        await self.send(intent)

    def disconnected(self) -> None:
        """The connection is gone: what was sent is UNKNOWN (invariant 4), what waited is given up."""
        self.link = None
        changed = [
            record
            for intent in self._books.orders.in_state("SENT")
            if (record := self._books.orders.advance(intent, lifecycle.Lost(), "the connection broke")) is not None
        ]
        self._recorder.buffer(changed)
        for trade in list(self._after_close):
            self.closing_failed(trade, "the connection broke before the position was closed")

    def _drop(self, intents: list[Intent], why: str) -> None:
        """Give up orders that were not sent."""
        for intent in intents:
            record = self._books.orders.advance(intent, lifecycle.Abandoned(), why)
            if record is None:
                continue
            self._recorder.buffer([record])
            if record.purpose == "OPEN":
                self._books.trades.give_up(record.trade_id)
            else:
                self.closing_failed(record.trade_id, why)


@dataclass(frozen=True, slots=True)
class _Clocked:
    """Times of one decision's stages, of the process's own clock: measured, never decided on."""

    arrived_ns: int
    features_ns: int
    decide_ns: int
    decided_ns: int
