"""What to do given the signal and the position: OPEN, CLOSE, REVERSE, HOLD or NONE.

    flat                       over the open threshold, nothing in the way     OPEN
                               otherwise                                       NONE
    in a position              an order's result is not known (invariant 4)    HOLD
                               the weekend is near, or its time is over        CLOSE
                               nothing is seen (stale quote, short history)    HOLD
                               the other side over the open threshold,
                               nothing in the way                              REVERSE
                               its own side under the close threshold          CLOSE
                               otherwise                                       HOLD

Obstacles (filters, breakers, no volume) stand in the way of entries, never of exits.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from trading_assets.core.decisions.strategy import Strategy
from trading_assets.core.decisions.weekend import minutes_to_weekend
from trading_assets.core.records.decisions import Decision, OpenPosition
from trading_assets.core.records.record import Action, ExitReason, Suggestion


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """The strength of both sides and what stands in the way."""

    long: float
    """Best blended score of the LONG candidates, 0 to 1; 0.5 is no opinion."""
    short: float
    entry_side: Literal[-1, 0, 1] | int
    """Side over the open threshold: 1 LONG, -1 SHORT, 0 none."""
    obstacles: tuple[str, ...]
    is_sighted: bool
    """Whether quote and history are good enough for the strengths to mean anything."""
    is_pending: bool
    """Whether the result of an order on this symbol is not known yet."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The suggestion, the action, and the sentence that gives the reason for the action."""

    suggestion: Suggestion
    action: Action
    reason: str
    obstacles: tuple[str, ...]


def act(
    strategy: Strategy,
    position: OpenPosition | None,
    at: datetime,
    signal: Signal,
    week_ends_at: datetime | None = None,
) -> Verdict:
    """Return what to do at the close of the bar at `at`; `week_ends_at`: end of the symbol's own week, where it is told."""
    may_enter = signal.entry_side != 0 and not signal.obstacles
    suggestion: Suggestion = "WAIT" if not may_enter else "LONG" if signal.entry_side > 0 else "SHORT"
    action, reason = (
        _flat(strategy, signal, may_enter)
        if position is None
        else _in_position(strategy, position, at, signal, may_enter, week_ends_at)
    )
    if action == "CLOSE":
        suggestion = "WAIT"
    return Verdict(suggestion=suggestion, action=action, reason=reason, obstacles=signal.obstacles)


def _flat(strategy: Strategy, signal: Signal, may_enter: bool) -> tuple[Action, str]:
    if may_enter:
        side = "LONG" if signal.entry_side > 0 else "SHORT"
        return (
            "OPEN",
            f"{side} has a strength of {max(signal.long, signal.short):.2f}, over {strategy.open_threshold:g}",
        )
    if signal.entry_side:
        side = "LONG" if signal.entry_side > 0 else "SHORT"
        return "NONE", f"{side} would be strong enough, but something stands in the way"
    return (
        "NONE",
        f"neither side is strong enough: LONG {signal.long:.2f}, SHORT {signal.short:.2f}, "
        f"over {strategy.open_threshold:g} is needed",
    )


def _in_position(
    strategy: Strategy,
    position: OpenPosition,
    at: datetime,
    signal: Signal,
    may_enter: bool,
    week_ends_at: datetime | None,
) -> tuple[Action, str]:
    side = 1 if position.side == "BUY" else -1
    name, other = ("LONG", "SHORT") if side > 0 else ("SHORT", "LONG")
    own, against = (signal.long, signal.short) if side > 0 else (signal.short, signal.long)
    if signal.is_pending:
        return "HOLD", f"the {name} is held until the result of the pending order is known"
    match due(strategy, position, at, week_ends_at):
        case "weekend":
            return "CLOSE", f"the {name} is closed before the weekend"
        case "timeout":
            return "CLOSE", f"the {name} has been held for {position.bars_held} bars, its time is over"
    if not signal.is_sighted:
        return "HOLD", f"the {name} is left to its stop and target: what is seen is not good enough to judge it"
    if may_enter and signal.entry_side == -side:
        return (
            "REVERSE",
            f"{other} has a strength of {against:.2f}, over {strategy.open_threshold:g}, against the {name}",
        )
    if own < strategy.close_threshold:
        return "CLOSE", f"the strength of the {name} has fallen to {own:.2f}, under {strategy.close_threshold:g}"
    return "HOLD", f"the {name} is held: its strength is {own:.2f}"


def due(
    strategy: Strategy, position: OpenPosition, at: datetime, week_ends_at: datetime | None = None
) -> Literal["weekend", "timeout", ""]:
    """Return why a position must be closed at `at` whatever the signal says; empty when it need not."""
    if minutes_to_weekend(strategy.filters, at, week_ends_at) <= strategy.filters.weekend_exit_minutes:
        return "weekend"
    return "timeout" if position.bars_held >= position.timeout_bars else ""


def close_reason(strategy: Strategy, decision: Decision) -> ExitReason | None:
    """Return why a decision closes its position: weekend, timeout or signal; None when it does not close one."""
    position = decision.inputs.position
    if position is None or decision.action not in ("CLOSE", "REVERSE"):
        return None
    return due(strategy, position, decision.bar_close_at, decision.inputs.week_ends_at) or "signal"
