"""Orders on their way out: sent, sent again, withdrawn, held back or given up; recommendations shown.

Whoever calls `send` has made the order durable (invariant 1). An order that must not leave any more is given up here, with
the reason on record. Which orders there are is decided in `live.trading.trader`, what became of them booked in
`live.trading.settlement`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from live.books.books import Books, Terms
from live.books.orders import Intent
from live.bridge.link import Link
from live.market.feed import Feed, LastQuote
from live.recorder import Recorder
from live.trading.frames import cancel_command, command, entry_problem
from live.trading.refused_orders import RefusedOrders
from trading_assets.core.decisions.breakers import rule_of
from trading_assets.core.messages import CancelCommand, SignalNotice
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.trading import Order
from trading_assets.core.trades import lifecycle
from trading_assets.core.trades.outcomes import candidate_of

# A close whose price moved away is sent again this often before the next bar decides anew.
_CLOSE_SENDS = 3
# Wait before an order is sent again to a busy server or for a frozen position; doubled with each sending.
_BACK_OFF = timedelta(seconds=1)
_HALF = 0.5
_CLOSED = "the position is closed already"
_FROZEN = "the position is frozen: the price is too near to its stop or target"


class Sender:
    """Sends for one account."""

    def __init__(self, recorder: Recorder, terms: Terms, feed: Feed, books: Books) -> None:
        self._recorder = recorder
        self._terms = terms
        self._feed = feed
        self._books = books
        self._after_close: dict[str, Intent] = {}
        self._again: list[Intent] = []
        self.link: Link | None = None
        """The terminal that is connected."""
        self.refused = RefusedOrders(recorder, books)
        self.orders_sent = 0

    def quote(self, symbol: str) -> LastQuote | None:
        """Return the latest quote of a symbol."""
        return self._feed.last.get(symbol)

    # --- on the way -----------------------------------------------------------------------------------------------

    async def send(self, intent: Intent) -> None:
        """Send an order's frame, unless its deadline has passed."""
        orders, recorder, link = self._books.orders, self._recorder, self.link
        order, now = intent.order, recorder.clock.now()
        problem = self._problem(order, now)
        if problem or link is None:
            self.give_up([intent], problem)
            return
        if order.purpose == "CLOSE" and self._is_frozen(order):
            self._wait_frozen(intent)
            return
        sent = orders.advance(intent, lifecycle.Sent(), "written to the terminal")
        intent.sent_at, intent.sends = now, intent.sends + 1
        symbol = self._books.specs[order.symbol]
        kind, fields = command(
            intent, self._terms.raw_symbols[order.symbol], self._terms.rule, symbol, self._ticket_of(order)
        )
        self.orders_sent += 1
        if not await link.send(kind, **fields):
            sent = orders.advance(intent, lifecycle.Lost(), "the connection broke while it was written")
        if sent is not None:
            recorder.buffer([sent])

    def _ticket_of(self, order: Order) -> str:
        """Return the ticket the terminal told last for the position an order closes; the identifier only joins deals."""
        return self._books.ticket_of(order)

    def _is_frozen(self, order: Order) -> bool:
        """Return whether the server would refuse a close: the price is too near to the position's stop or target."""
        trade, quote, symbol = self._books.trades.open_on(order.symbol), self.quote(order.symbol), self._books.specs
        if trade is None or trade.trade_id != order.trade_id or quote is None:
            return False
        spec = symbol[order.symbol]
        price = quote.bid if trade.side == "BUY" else quote.ask
        candidate = candidate_of(trade.decision)
        stop = candidate.stop_price if trade.stop_price is None else trade.stop_price
        target = candidate.target_price if trade.target_price is None else trade.target_price
        least = (spec.freeze_level + _HALF) * spec.point
        return spec.freeze_level > 0 and any(abs(price - level) < least for level in (stop, target) if level)

    def _wait_frozen(self, intent: Intent) -> None:
        """Hold a close back until the price has moved away, or the position's own stop or target has closed it.

        Told again once the deadline on record has passed: it has a later one and is still tried.
        """
        waits_for = self._recorder.clock.now() - intent.order.event_at
        is_overdue = waits_for > timedelta(seconds=self._terms.strategy.order_deadline_s)
        if intent.order.reason != _FROZEN or is_overdue:
            self._recorder.buffer([self._books.orders.note(intent, _FROZEN)])
        self.back_off(intent)
        self.try_again(intent)

    def _problem(self, order: Order, now: datetime) -> str:
        """Say why an order must not be sent now; empty when it may. Entries are looked at once more, exits are not held back."""
        books, quote, link = self._books, self._feed.last.get(order.symbol), self.link
        if link is None or not link.is_open:
            return "no terminal is connected"
        if now > order.deadline_at:
            return "its deadline passed before it was sent"
        if quote is None or order.symbol not in books.specs:
            return "the symbol is not quoted"
        if books.orders.is_market_closed(order.symbol, quote.at):
            return "the server said that the market is closed and has not quoted since"
        if order.purpose == "CLOSE":
            return "" if order.volume_lots > 0 else "by its deals nothing of the position is open"
        # A decision taken before these tripped is not carried out after. Those that let go by themselves with their cause
        # were looked at by the decision; the next symbol's may have tripped them with this very entry counted.
        stopping = [
            state.breaker
            for state in books.risk.tripped_on(order.symbol)
            if state.effect == "stop" and rule_of(state.breaker).reset_by != "cause"
        ]
        if stopping:
            return f"breaker {', '.join(stopping)} tripped before it was sent"
        if books.account is not None and not books.account.trade_allowed:
            return "the terminal forbids trading on this account by now"
        if books.contract_problems.get(order.symbol):
            return f"what the broker allows is not known: {books.contract_problems[order.symbol]}"
        return entry_problem(order, books.specs[order.symbol], quote)

    async def show(self, decision: Decision) -> None:
        """Show a recommendation to the trader; it is durable by now (invariant 1)."""
        if self.link is None or decision.action in ("HOLD", "NONE"):
            return
        is_entry = decision.action in ("OPEN", "REVERSE")
        await self.link.send(
            SignalNotice,
            chain_id=decision.chain_id,
            signal_id=decision.signal_id,
            symbol=self._terms.raw_symbols[decision.symbol],
            suggestion=decision.suggestion,
            action=decision.action,
            volume=decision.volume_lots,
            entry=(decision.entry_price or 0.0) if is_entry else 0.0,
            sl=(decision.stop_price or 0.0) if is_entry else 0.0,
            tp=(decision.target_price or 0.0) if is_entry else 0.0,
            confidence=decision.confidence,
            reasons=decision.reasons,
        )

    async def withdraw(self, intent: Intent, ticket: str) -> None:
        """Ask the terminal to cancel what still works of an order past its deadline; until it says so, nothing is known."""
        orders, recorder, link, order = self._books.orders, self._recorder, self.link, intent.order
        if link is None:
            return
        # Durable before it is asked for (invariant 1): a restart in between finds it UNKNOWN and searches.
        words = "it works past its deadline and is withdrawn"
        record = orders.advance(intent, lifecycle.Withdrawn(), words, order_ticket=ticket)
        if record is not None and not await recorder.append([record]):
            return
        deadline_at = recorder.clock.now() + timedelta(seconds=self._terms.strategy.order_deadline_s)
        raw = self._terms.raw_symbols[order.symbol]
        await link.send(CancelCommand, **cancel_command(intent.order, ticket, raw, self._terms.rule, deadline_at))

    # --- once more ------------------------------------------------------------------------------------------------

    def send_after(self, trade: str, entry: Intent) -> None:
        """Let an entry wait until a trade has ended."""
        self._after_close[trade] = entry

    def back_off(self, intent: Intent) -> None:
        """Let an order wait a while, longer with each sending, before its price is looked at again."""
        intent.not_before = self._recorder.clock.now() + _BACK_OFF * 2 ** max(intent.sends - 1, 0)

    def try_again(self, intent: Intent) -> None:
        """Note an order that may be sent once more; `retry` deals with it."""
        self._again.append(intent)

    async def retry(self) -> None:
        """Deal with orders that may be sent again: their price had moved, the server was busy, the position frozen."""
        now, again, self._again = self._recorder.clock.now(), self._again, []
        for intent in again:
            if intent.order.state != "PLANNED":
                continue
            if intent.order.purpose == "CLOSE" and intent.not_before is not None and now < intent.not_before:
                self._again.append(intent)
            else:
                await self.send_again(intent)

    async def position_closed(self, trade: str) -> None:
        """A trade ended: send the entry that waited for it; nothing is left for a close that was to be sent again."""
        entry = self._after_close.pop(trade, None)
        over = [one for one in self._again if one.order.trade_id == trade and one.order.purpose == "CLOSE"]
        if over:
            self._again = [intent for intent in self._again if intent not in over]
            self.give_up([intent for intent in over if intent.order.state == "PLANNED"], _CLOSED)
        if entry is not None:
            await self.send(entry)

    def closing_failed(self, trade: str, why: str) -> None:
        """A trade is not closed by the order that should have: give up the entry that waited for it."""
        entry = self._after_close.pop(trade, None)
        if entry is not None:
            self.give_up([entry], why)

    async def send_again(self, intent: Intent) -> None:
        """Send a close once more at the present price; entries are left to the next bar's decision."""
        order = intent.order
        quote, symbol = self._feed.last.get(order.symbol), self._books.specs.get(order.symbol)
        if order.purpose == "OPEN" or intent.sends >= _CLOSE_SENDS or quote is None or symbol is None:
            self.give_up([intent], f"not sent again: {order.reason}")
            return
        if not self._books.is_held(order):
            self.give_up([intent], _CLOSED)
            return
        self._books.orders.retarget(intent, quote, symbol)
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

    def left(self) -> None:
        """All work of a session is over: what was to be sent by a piece of it that failed is not sent any more."""
        planned = self._books.orders.in_state("PLANNED")
        self.give_up(
            [intent for intent in planned if intent not in self._again], "it was not sent before the session ended"
        )

    def give_up(self, intents: list[Intent], why: str) -> None:
        """Give up orders that were not sent."""
        for intent in intents:
            record = self._books.orders.advance(intent, lifecycle.Abandoned(), why)
            if record is None:
                continue
            self._recorder.buffer([record])
            if intent.sends and why != _CLOSED:
                self.refused.failed(record)
            if record.purpose == "OPEN":
                self._books.trades.give_up(record.trade_id)
            else:
                self.closing_failed(record.trade_id, why)
