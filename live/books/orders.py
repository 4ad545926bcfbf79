"""Our orders: intents with magic numbers, and what is known of each.

Ids are deterministic (invariant 3): the same decision always makes the same magic, which is also the request's id, so an
order that was sent before a crash is recognised after it. How states follow each other is `core.trades.lifecycle`.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from live.market.feed import LastQuote
from live.recorder import Recorder
from trading_assets.core.decisions.sizing import price_of, ticks
from trading_assets.core.decisions.strategy import Strategy
from trading_assets.core.ids import magic, trade_id
from trading_assets.core.records.decisions import Decision, OpenPosition, SymbolState
from trading_assets.core.records.record import OrderState, Side
from trading_assets.core.records.trading import Order
from trading_assets.core.trades import lifecycle
from trading_assets.core.trades.lifecycle import Event

OPPOSITE: dict[Side, Side] = {"BUY": "SELL", "SELL": "BUY"}
CANCEL = "cancel-"
"""What the id of a request to withdraw an order begins with; its magic follows."""
_DONE = 10009
# Prices are floats: a distance counts as kept when half a point is missing.
_HALF = 0.5
# A usual distance to a stop, in spreads.
_RISK_IN_SPREADS = 10.0
# Closed intents are remembered for deals and answers that come late.
_REMEMBERED = 2000


@dataclass(slots=True)
class Intent:
    """One order of ours: its latest record, and when it was sent."""

    order: Order
    quote: LastQuote | None = None
    """Quote its price was taken from; None for an order of an earlier run, which is not sent again."""
    sent_at: datetime | None = None
    sends: int = 0
    not_before: datetime | None = None
    """The server was busy, or the position frozen: not sent again before this."""
    is_working: bool = False
    """Whether the terminal holds a rest of it that may still be filled."""
    answered_lots: Decimal = Decimal(0)
    """Volume filled by the terminal's answers: deals of it that were not told are asked for."""

    @property
    def lacks_deals(self) -> bool:
        """Whether answers told of more than the deals that are known."""
        return self.order.filled_lots < self.answered_lots

    @property
    def is_pending(self) -> bool:
        """Whether what the account holds may still change by it: open, or filled in part with more to come."""
        order = self.order
        if order.state == "PARTIAL":
            return self.is_working or self.lacks_deals or not order.filled_lots
        return lifecycle.is_open(order.state)

    @property
    def is_awaited(self) -> bool:
        """Whether its answer or its deals are due at once, so that replay waits for them."""
        match self.order.state:
            case "PLANNED":
                return self.not_before is None
            case "PLACED":
                return self.order.retcode == _DONE
            case "UNKNOWN":
                return False
            case _:
                return not self.is_working or self.lacks_deals


class OrderBook:
    """All intents of one account, by magic."""

    def __init__(self, recorder: Recorder, strategy: Strategy) -> None:
        self._recorder = recorder
        self._strategy = strategy
        self._pending: dict[str, Intent] = {}
        self._closed: OrderedDict[str, Intent] = OrderedDict()
        self.market_closed_at: dict[str, datetime] = {}
        """When the server said last that a symbol's market is closed (10018), until it is quoted again."""
        self.reached: Counter[str] = Counter()
        """How often a state was reached."""
        self.retcodes: Counter[int] = Counter()
        """How often the terminal answered with a code."""

    def begin_anew(self) -> None:
        """The account is another one: none of the orders is its own."""
        self._pending.clear()
        self._closed.clear()
        self.market_closed_at.clear()

    def find(self, magic_number: str) -> Intent | None:
        """Return the intent with this magic."""
        return self._pending.get(magic_number) or self._closed.get(magic_number)

    def pending(self, symbol: str | None = None) -> list[Intent]:
        """Return the intents whose result is not known yet, of one symbol or of all."""
        return [intent for intent in self._pending.values() if symbol is None or intent.order.symbol == symbol]

    def withdrawn(self, request_id: str) -> Intent | None:
        """Return the intent that a cancel command with this id withdraws."""
        return self.find(request_id.removeprefix(CANCEL)) if request_id.startswith(CANCEL) else None

    def is_market_closed(self, symbol: str, quote_at: datetime) -> bool:
        """Return whether the server said that the market is closed and has not quoted since; quoting opens it."""
        closed_at = self.market_closed_at.get(symbol)
        if closed_at is not None and quote_at > closed_at:
            del self.market_closed_at[symbol]
            return False
        return closed_at is not None

    def is_search_due(self, now: datetime) -> bool:
        """Return whether an order's result must be asked for: it is UNKNOWN, or works past its deadline."""
        return any(
            intent.order.state == "UNKNOWN"
            or intent.lacks_deals
            or ((intent.order.state == "PLACED" or intent.is_working) and now > intent.order.deadline_at)
            for intent in self._pending.values()
        )

    def waiting_since(self) -> datetime | None:
        """Return since when the oldest order that left may have been carried out; None without one."""
        patience = timedelta(seconds=self._strategy.order_deadline_s)
        return min(
            (
                intent.order.deadline_at - patience
                for intent in self._pending.values()
                if intent.order.state != "PLANNED"
            ),
            default=None,
        )

    def put_back(self, intent: Intent, order: Order) -> None:
        """What was to be booked of an order could not be: it is as it was before."""
        intent.order = order
        self._file(intent)

    def work_on(self, intent: Intent, is_working: bool) -> None:
        """Note whether the terminal holds a rest of an order that is filled in part."""
        intent.is_working = is_working
        self._file(intent)

    def answer(self, intent: Intent, filled: Decimal) -> None:
        """Note how much of an order is filled by an answer."""
        intent.answered_lots = max(intent.answered_lots, filled)
        self._file(intent)

    def in_state(self, state: OrderState) -> list[Intent]:
        """Return the pending intents in a state."""
        return [intent for intent in self._pending.values() if intent.order.state == state]

    def plan_open(self, decision: Decision) -> Intent:
        """Plan the one order a decision may open a position with."""
        side: Side = "BUY" if decision.suggestion == "LONG" else "SELL"
        assert decision.entry_price is not None, "decide() names an entry for OPEN and REVERSE"
        return self._plan(
            decision,
            magic(decision.signal_id, "OPEN"),
            abs(decision.entry_price - (decision.stop_price or 0.0)),
            signal_id=decision.signal_id,
            idea_id=decision.idea_id,
            trade_id=trade_id(decision.signal_id),
            symbol=decision.symbol,
            side=side,
            purpose="OPEN",
            close_reason="",
            volume_lots=decision.volume_lots,
            price=decision.entry_price,
            stop_price=decision.stop_price or 0.0,
            target_price=decision.target_price or 0.0,
            position_id=None,
        )

    def plan_close(self, decision: Decision, reason: str) -> Intent:
        """Plan the order a decision closes its open position with."""
        position = decision.inputs.position
        assert position is not None, "decide() closes only a position it saw"
        return self._plan_close(decision, position, reason, magic(decision.signal_id, "CLOSE"))

    def plan_exit(self, decision: Decision, position: OpenPosition, reason: str) -> Intent:
        """Plan the order that closes another position of ours when a decision is made."""
        number = magic(f"{decision.signal_id}/{position.position_id}", "CLOSE")
        return self._plan_close(decision, position, reason, number)

    def _plan_close(self, decision: Decision, position: OpenPosition, reason: str, number: int) -> Intent:
        symbol = decision.inputs.symbol_state
        return self._plan(
            decision,
            number,
            _risk_unit(decision, position),
            signal_id=position.signal_id,
            idea_id=None,
            trade_id=position.trade_id,
            symbol=decision.symbol,
            side=OPPOSITE[position.side],
            purpose="CLOSE",
            close_reason=reason,
            volume_lots=position.volume_lots,
            # Quotes may lie between the steps prices are traded in.
            price=price_of(
                ticks(decision.inputs.bid if position.side == "BUY" else decision.inputs.ask, symbol.tick_size), symbol
            ),
            stop_price=0.0,
            target_price=0.0,
            position_id=position.position_id,
        )

    def advance(self, intent: Intent, event: Event | int, reason: str, **changes: Any) -> Order | None:
        """Let an event befall an intent; returns the record to write, None when nothing changed."""
        before = intent.order
        state = lifecycle.advance(before.state, event)
        after = msgspec.structs.replace(before, state=state, **changes)
        if after == before:
            return None
        if state != before.state:
            self.reached[state] += 1
        if after.retcode is not None and after.retcode != before.retcode:
            self.retcodes[after.retcode] += 1
        now = self._recorder.clock.now()
        intent.order = msgspec.structs.replace(after, event_at=now, known_at=now, reason=reason)
        self._file(intent)
        return intent.order

    def note(self, intent: Intent, reason: str) -> Order:
        """Say why an order stays as it is; returns the record to write."""
        now = self._recorder.clock.now()
        intent.order = msgspec.structs.replace(intent.order, event_at=now, known_at=now, reason=reason)
        return intent.order

    def retarget(self, intent: Intent, quote: LastQuote, symbol: SymbolState) -> None:
        """Give a planned order the present price and a new deadline before it is sent again."""
        deadline = self._recorder.clock.now() + timedelta(seconds=self._strategy.order_deadline_s)
        price = price_of(ticks(quote.bid if intent.order.side == "SELL" else quote.ask, symbol.tick_size), symbol)
        intent.quote, intent.not_before = quote, None
        intent.order = msgspec.structs.replace(intent.order, price=price, deadline_at=deadline)

    def restore(self, order: Order) -> None:
        """Take one recorded state."""
        intent = self.find(order.magic)
        if intent is None:
            intent = Intent(order)
        intent.order = order
        self._file(intent)

    def _plan(self, decision: Decision, number: int, risk_unit: float, **fields: Any) -> Intent:
        order = self._recorder.make(
            Order,
            decision.decided_at,
            decision.chain_id,
            magic=str(number),
            state="PLANNED",
            filled_lots=Decimal(0),
            deviation_points=self._strategy.deviation(risk_unit, decision.inputs.symbol_state.point),
            deadline_at=decision.known_at + timedelta(seconds=self._strategy.order_deadline_s),
            order_ticket=None,
            retcode=None,
            reason=f"decided by {decision.signal_id}",
            **fields,
        )
        inputs = decision.inputs
        intent = Intent(order, LastQuote(inputs.quote_at, inputs.bid, inputs.ask))
        self._file(intent)
        return intent

    def _file(self, intent: Intent) -> None:
        number = intent.order.magic
        if intent.is_pending:
            self._closed.pop(number, None)
            self._pending[number] = intent
            return
        self._pending.pop(number, None)
        self._closed[number] = intent
        while len(self._closed) > _REMEMBERED:
            self._closed.popitem(last=False)


def _risk_unit(decision: Decision, position: OpenPosition) -> float:
    """Return 1 R of an exit as a price distance: the largest of what an entry would risk now and what the position risks.

    Without either (no volatility is known and the stop is gone) some spreads stand in: an exit must get through.
    """
    spreads = _RISK_IN_SPREADS * (decision.inputs.ask - decision.inputs.bid)
    now = [candidate.risk_unit for candidate in decision.candidates if candidate.risk_unit is not None]
    held = abs(position.entry_price - position.stop_price) if position.stop_price else 0.0
    return max([*now, held]) or spreads
