"""Places in an order's life at which a process kills itself or cuts its connection, the n-th time it comes by.

The product is not changed: its methods are wrapped in the process under torture. Coming by is counted in each life of
a process, so the same plan meets the same visit. What is due where is `torture_orders`' business.
"""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Literal

Action = Literal["kill", "cut"]
When = Callable[..., bool]


@dataclass(frozen=True)
class Due:
    """What is to happen in one life of a process: at the `visit`-th visit of `point`, counted from 1."""

    point: str
    visit: int
    action: Action = "kill"


DAEMON_POINTS = (
    "restoring the past",
    "restarting",
    "opening the session",
    "asking for history",
    "decided, not handed over",
    "written, not synced",
    "synced, not told",
    "durable, not sent",
    "sent, SENT not recorded",
    "result arrived, not taken",
    "result taken, not durable",
    "fill arrived, deal not taken",
    "deal taken, not durable",
    "between partial fills",
    "close filled, not recorded",
    "outcome made, not durable",
    "asked for state and deals",
    "reconciling",
    "processed not said",
    "protection durable, modify not sent",
    "modify sent, answer not heard",
    "withdrawal durable, cancel not sent",
    "cancel sent, answer not heard",
)
TERMINAL_POINTS = (
    "greeting",
    "answering history",
    "answering state",
    "command read",
    "command carried out, not saved",
    "result saved, not sent",
    "between two results",
    "stop or target hit, not saved",
    "stop or target saved, not sent",
    "step done, not acknowledged",
)
# Only these are passed in the life after a death.
AT_START = ("restoring the past", "restarting", "opening the session", "greeting", "answering state", "reconciling")


class Points:
    """Counts visits in this process and does what is due."""

    def __init__(self, due: Due | None, diary: Path) -> None:
        """`diary` is told what was done, before it is done."""
        self._due = due
        self._diary = os.open(diary, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._visits = 0
        self.cut: Callable[[], None] = lambda: None

    def visit(self, point: str) -> None:
        """Come by a point."""
        due = self._due
        if due is None or due.point != point:
            return
        self._visits += 1
        if self._visits != due.visit:
            return
        self._due = None
        os.write(self._diary, f"{due.action}: {point}\n".encode())
        if due.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        self.cut()

    def before(self, owner: type, method: str, point: str, when: When = lambda *_, **__: True) -> None:
        """Come by whenever a method begins for which `when` holds."""
        self._wrap(owner, method, point, when, is_before=True)

    def after(self, owner: type, method: str, point: str, when: When = lambda *_, **__: True) -> None:
        """Come by whenever a method has ended for which `when` held at its beginning."""
        self._wrap(owner, method, point, when, is_before=False)

    def _wrap(self, owner: type, method: str, point: str, when: When, *, is_before: bool) -> None:
        original = getattr(owner, method)

        @wraps(original)
        def plain(*arguments: Any, **named: Any) -> Any:
            is_there = when(*arguments, **named)
            if is_there and is_before:
                self.visit(point)
            result = original(*arguments, **named)
            if is_there and not is_before:
                self.visit(point)
            return result

        @wraps(original)
        async def awaited(*arguments: Any, **named: Any) -> Any:
            is_there = when(*arguments, **named)
            if is_there and is_before:
                self.visit(point)
            result = await original(*arguments, **named)
            if is_there and not is_before:
                self.visit(point)
            return result

        setattr(owner, method, awaited if inspect.iscoroutinefunction(original) else plain)


def place_in_daemon(points: Points) -> None:
    """Wrap what the daemon does with an order."""
    from live.books.trades import TradeBook
    from live.bridge.link import Link
    from live.desk.account import Account
    from live.market.opening import Opening
    from live.trading.reconciliation import Reconciliation
    from live.trading.sending import Sender
    from live.trading.settlement import Settlement
    from live.trading.trader import Trader
    from trading_assets.core.messages import CancelCommand, CloseCommand, ModifyCommand, OrderCommand, Processed

    def is_ours(self: Any, facts: Any, *_: Any, **__: Any) -> bool:
        return self._books.orders.find(facts.magic) is not None

    def is_second(self: Any, facts: Any, *_: Any, **__: Any) -> bool:
        intent = self._books.orders.find(facts.magic)
        return intent is not None and 0 < intent.order.filled_lots < intent.order.volume_lots and facts.entry == "IN"

    def is_exit(_self: Any, facts: Any, *_: Any, **__: Any) -> bool:
        return bool(facts.entry == "OUT")

    def is_trade(_self: Any, kind: type, **_: Any) -> bool:
        return kind in (OrderCommand, CloseCommand)

    def is_processed(_self: Any, kind: type, **_: Any) -> bool:
        return kind is Processed

    def is_modify(_self: Any, kind: type, **_: Any) -> bool:
        return kind is ModifyCommand

    def is_cancel(_self: Any, kind: type, **_: Any) -> bool:
        return kind is CancelCommand

    points.after(Account, "restore", "restoring the past")
    points.before(Account, "start", "restarting")
    points.after(Opening, "ask", "asking for history")
    points.before(Opening, "finish", "opening the session")
    points.after(Trader, "_plan", "decided, not handed over", lambda _self, decision: decision.action != "NONE")
    points.before(Sender, "send", "durable, not sent")
    points.after(Link, "send", "sent, SENT not recorded", is_trade)
    points.before(Link, "send", "processed not said", is_processed)
    points.before(Link, "send", "protection durable, modify not sent", is_modify)
    points.after(Link, "send", "modify sent, answer not heard", is_modify)
    points.before(Link, "send", "withdrawal durable, cancel not sent", is_cancel)
    points.after(Link, "send", "cancel sent, answer not heard", is_cancel)
    points.before(Settlement, "order_update", "result arrived, not taken")
    points.after(Settlement, "order_update", "result taken, not durable")
    points.before(Settlement, "deal", "fill arrived, deal not taken", is_ours)
    points.after(Settlement, "deal", "deal taken, not durable", is_ours)
    points.before(Settlement, "deal", "between partial fills", is_second)
    points.before(Settlement, "deal", "close filled, not recorded", is_exit)
    points.after(TradeBook, "_settle", "outcome made, not durable")
    points.after(Reconciliation, "ask", "asked for state and deals")
    points.before(Reconciliation, "_compare", "reconciling")
    _keep_cutting(points, Link, "_connection")


def place_in_terminal(points: Points) -> None:
    """Wrap what the simulated terminal does with a command."""
    from live.paper.desk import Desk
    from live.paper.link import Link
    from live.paper.session import Session
    from trading_assets.core.messages import DealUpdate, OrderUpdate

    sent: list[int] = []

    def is_later(_self: Any, message: Any, *_: Any, **__: Any) -> bool:
        if isinstance(message, OrderUpdate | DealUpdate):
            sent.append(1)
            return len(sent) % 2 == 0
        return False

    def is_state(_self: Any, query: Any, *_: Any, **__: Any) -> bool:
        return bool(query.what == "state")

    points.after(Link, "send", "greeting", lambda _self, kind, **_: kind.__name__ == "Hello")
    points.before(Session, "_answer", "answering history", lambda self, query: not is_state(self, query))
    points.before(Session, "_answer", "answering state", is_state)
    points.before(Desk, "carry_out", "command read")
    points.before(Desk, "_queue", "command carried out, not saved")
    points.after(Desk, "carry_out", "result saved, not sent")
    points.before(Link, "send_again", "between two results", is_later)
    points.before(Desk, "report", "stop or target hit, not saved", lambda _self, fills, *_: bool(fills))
    points.after(Desk, "report", "stop or target saved, not sent", lambda _self, fills, *_: bool(fills))
    points.before(Desk, "acknowledge", "step done, not acknowledged")
    _keep_cutting(points, Link, "_socket")


def _keep_cutting(points: Points, kind: type, socket: str) -> None:
    """A cut breaks the connection made last, without a goodbye."""
    original = kind.__init__  # type: ignore[misc]

    @wraps(original)
    def init(self: Any, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        points.cut = lambda: getattr(self, socket).transport.abort()

    kind.__init__ = init  # type: ignore[misc]
