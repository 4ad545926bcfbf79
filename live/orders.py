"""Our orders: intents with magic numbers, the commands that carry them out, and what is known of each.

Ids are deterministic (invariant 3): the same decision always makes the same magic, which is also the request's id, so an
order that was sent before a crash is recognised after it. How states follow each other is `core.trades.lifecycle`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from live.recorder import Recorder
from trading_assets.core.decisions.strategy import Strategy
from trading_assets.core.ids import magic, trade_id
from trading_assets.core.market.clock import ClockRule
from trading_assets.core.messages import CloseCommand, Message, OrderCommand
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.record import OrderState, Side
from trading_assets.core.records.trading import Order
from trading_assets.core.trades import lifecycle
from trading_assets.core.trades.lifecycle import Event

OPPOSITE: dict[Side, Side] = {"BUY": "SELL", "SELL": "BUY"}
# Closed intents are remembered for deals and answers that come late.
_REMEMBERED = 2000


@dataclass(slots=True)
class Intent:
    """One order of ours: its latest record, and when it was sent."""

    order: Order
    sent_at: datetime | None = None
    sends: int = 0

    @property
    def is_pending(self) -> bool:
        """Whether what the account holds may still change by it: open, or filled in part with the deals still to come."""
        order = self.order
        return lifecycle.is_open(order.state) or (order.state == "PARTIAL" and not order.filled_lots)


class OrderBook:
    """All intents of one account, by magic."""

    def __init__(self, recorder: Recorder, strategy: Strategy) -> None:
        self._recorder = recorder
        self._strategy = strategy
        self._pending: dict[str, Intent] = {}
        self._closed: OrderedDict[str, Intent] = OrderedDict()

    def find(self, magic_number: str) -> Intent | None:
        """Return the intent with this magic."""
        return self._pending.get(magic_number) or self._closed.get(magic_number)

    def pending(self, symbol: str | None = None) -> list[Intent]:
        """Return the intents whose result is not known yet, of one symbol or of all."""
        return [intent for intent in self._pending.values() if symbol is None or intent.order.symbol == symbol]

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
        return self._plan(
            decision,
            magic(decision.signal_id, "CLOSE"),
            signal_id=position.signal_id,
            idea_id=None,
            trade_id=position.trade_id,
            symbol=decision.symbol,
            side=OPPOSITE[position.side],
            purpose="CLOSE",
            close_reason=reason,
            volume_lots=position.volume_lots,
            price=decision.inputs.bid if position.side == "BUY" else decision.inputs.ask,
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
        now = self._recorder.clock.now()
        intent.order = msgspec.structs.replace(after, event_at=now, known_at=now, reason=reason)
        self._file(intent)
        return intent.order

    def retarget(self, intent: Intent, price: float) -> None:
        """Give a planned order the present price and a new deadline before it is sent again."""
        deadline = self._recorder.clock.now() + timedelta(seconds=self._strategy.order_deadline_s)
        intent.order = msgspec.structs.replace(intent.order, price=price, deadline_at=deadline)

    def restore(self, order: Order) -> None:
        """Take one recorded state."""
        intent = self.find(order.magic)
        if intent is None:
            intent = Intent(order)
        intent.order = order
        self._file(intent)

    def _plan(self, decision: Decision, number: int, **fields: Any) -> Intent:
        order = self._recorder.make(
            Order,
            decision.decided_at,
            decision.chain_id,
            magic=str(number),
            state="PLANNED",
            filled_lots=Decimal(0),
            deviation_points=self._strategy.deviation_points,
            deadline_at=decision.known_at + timedelta(seconds=self._strategy.order_deadline_s),
            order_ticket=None,
            retcode=None,
            reason=f"decided by {decision.signal_id}",
            **fields,
        )
        intent = Intent(order)
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


def command(order: Order, raw_symbol: str, rule: ClockRule) -> tuple[type[Message], dict[str, Any]]:
    """Return the message that carries out an order, without its envelope."""
    fields: dict[str, Any] = {
        "chain_id": order.chain_id,
        "request_id": order.magic,
        "signal_id": order.signal_id,
        "magic": order.magic,
        "symbol": raw_symbol,
        "volume": order.volume_lots,
        "price": order.price,
        "deviation": order.deviation_points,
        "deadline_msc": rule.to_server(order.deadline_at),
    }
    if order.purpose == "OPEN":
        return OrderCommand, fields | {
            "side": order.side,
            "sl": order.stop_price,
            "tp": order.target_price,
            "comment": f"open {order.signal_id[-20:]}",
        }
    return CloseCommand, fields | {
        "position": order.position_id or "0",
        "comment": f"{order.close_reason} {order.signal_id[-18:]}",
    }
