"""Breakers: what reduces or stops entries, for the whole account or on one symbol, and when each lets go again.

Some follow from what the decision sees (drawdown, losses, order rate, confidence, data, model); others are kept outside and
arrive in the risk state: halt, slippage anomaly, account (the broker switched trading off), no money for a symbol, journal,
reconciliation, and whatever else the daemon trips. All here are pure functions;
keeping the tripped ones across restarts is the daemon's work with `advance`, which says what to keep and record.
Breakers stop entries only: exits are never held back.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

import msgspec

from trading_assets.core.decisions.strategy import BreakerLimits
from trading_assets.core.records.decisions import AccountState, BreakerState, RiskState
from trading_assets.core.records.trading import BreakerEvent

Effect = Literal["none", "halve", "stop"]
ResetBy = Literal["cause", "day", "week", "person", "daemon"]


class BreakerRule(msgspec.Struct, frozen=True):
    """What a breaker does while tripped, and what resets it: its cause going away, a new day or week, a person.

    `daemon`: what tripped it looks again, and resets it once it is mended; a person may, too, and it trips again if it is not.

    One of scope "symbol" concerns the entries of one symbol, and may be tripped on several, each for itself. One of scope
    "decision" concerns a single decision: the decision records it and nothing is kept.
    """

    breaker: str
    effect: Effect
    reset_by: ResetBy
    scope: Literal["account", "symbol", "decision"] = "account"
    releases_at: float = 1.0
    """For one reset by its cause: the share of its limit at which the cause counts as gone, so that it does not trip at each tick."""


RULES: tuple[BreakerRule, ...] = (
    BreakerRule("halt", "stop", "person"),
    BreakerRule("drawdown_stop", "stop", "person"),
    BreakerRule("drawdown_halve", "halve", "cause", releases_at=0.8),
    BreakerRule("daily_loss", "stop", "day"),
    BreakerRule("weekly_loss", "stop", "week"),
    BreakerRule("order_rate", "stop", "cause"),
    BreakerRule("slippage_anomaly", "stop", "person", "symbol"),
    BreakerRule("account", "stop", "person"),
    BreakerRule("journal", "stop", "daemon"),
    BreakerRule("clock", "stop", "daemon"),
    BreakerRule("reconciliation", "stop", "daemon"),
    BreakerRule("exit_refused", "stop", "daemon", "symbol"),
    BreakerRule("entry_refused", "stop", "daemon", "symbol"),
    BreakerRule("unknown_position", "stop", "daemon", "symbol"),
    BreakerRule("no_money", "stop", "day", "symbol"),
    BreakerRule("data", "stop", "cause", "decision"),
    BreakerRule("low_confidence", "stop", "cause", "decision"),
    BreakerRule("model_absent", "none", "cause"),
)
RULE_BY_NAME: dict[str, BreakerRule] = {rule.breaker: rule for rule in RULES}

# The daemon may trip breakers that are not listed: they stop entries until a person resets them.
_OTHER = BreakerRule("other", "stop", "person")
_CLEAR = {
    rule.breaker: BreakerState(breaker=rule.breaker, is_tripped=False, effect=rule.effect, cause="") for rule in RULES
}


def rule_of(breaker: str) -> BreakerRule:
    """Return the rule of a breaker; one this module does not know stops entries until a person resets it."""
    return RULE_BY_NAME.get(breaker, _OTHER)


def evaluate(
    limits: BreakerLimits,
    account: AccountState,
    risk: RiskState,
    *,
    confidence: float | None,
    data_problem: str,
    has_model: bool,
) -> tuple[BreakerState, ...]:
    """Return every breaker as a decision must see it: tripped by what is seen now, or kept tripped outside.

    `confidence` is that of the suggested entry, None when nothing is suggested; `data_problem` says what is wrong
    with the quotes or bars, empty when nothing is.
    """
    causes = account_causes(limits, account, risk)
    if data_problem:
        causes["data"] = data_problem
    if confidence is not None and confidence < limits.min_confidence:
        causes["low_confidence"] = f"confidence {confidence:.2f} is under {limits.min_confidence:.2f}"
    if not has_model:
        causes["model_absent"] = "no release with a model is in use; the rules decide alone"
    others: list[BreakerState] = []
    for kept in risk.breakers:
        if kept.breaker not in _CLEAR:
            others.append(kept)
        elif kept.is_tripped and not _lingers(kept.breaker):
            causes.setdefault(kept.breaker, kept.cause or "tripped earlier")
    if not causes:
        return (*_CLEAR.values(), *others)
    states = [
        clear
        if name not in causes
        else BreakerState(breaker=name, is_tripped=True, effect=clear.effect, cause=causes[name])
        for name, clear in _CLEAR.items()
    ]
    return (*states, *others)


def account_causes(limits: BreakerLimits, account: AccountState, risk: RiskState) -> dict[str, str]:
    """Return the causes that follow from the account and the risk state alone, by breaker."""
    causes: dict[str, str] = {}
    equity = account.equity
    drawdown = _loss(risk.equity_high_water_mark, equity)
    if drawdown > limits.drawdown_stop:
        causes["drawdown_stop"] = f"drawdown of {drawdown:.1%} is over {limits.drawdown_stop:.0%}"
    release = limits.drawdown_halve * RULE_BY_NAME["drawdown_halve"].releases_at
    if drawdown > limits.drawdown_halve:
        causes["drawdown_halve"] = f"drawdown of {drawdown:.1%} is over {limits.drawdown_halve:.0%}"
    elif drawdown > release and any(kept.breaker == "drawdown_halve" and kept.is_tripped for kept in risk.breakers):
        causes["drawdown_halve"] = (
            f"drawdown of {drawdown:.1%} was over {limits.drawdown_halve:.0%} and is over {release:.1%}"
        )
    day = _loss(risk.day_start_equity, equity)
    if day > limits.daily_loss:
        causes["daily_loss"] = f"loss of {day:.1%} since the start of the day is over {limits.daily_loss:.0%}"
    week = _loss(risk.week_start_equity, equity)
    if week > limits.weekly_loss:
        causes["weekly_loss"] = f"loss of {week:.1%} since the start of the week is over {limits.weekly_loss:.0%}"
    if risk.orders_last_hour >= limits.orders_per_hour:
        causes["order_rate"] = (
            f"{risk.orders_last_hour} entry orders in the last hour, the limit is {limits.orders_per_hour}"
        )
    return causes


def slippage_cause(limits: BreakerLimits, recent_slippage: Iterable[float]) -> str:
    """Say why a symbol's last fills trip `slippage_anomaly`; empty when they do not. Fewer than three fills never do.

    They are counted in what the limit counts in: R of their trades, or points.
    """
    fills, (limit, unit) = list(recent_slippage), limits.slippage
    if len(fills) < 3:
        return ""
    mean = sum(fills) / len(fills)
    if mean <= limit:
        return ""
    return f"mean slippage of its last {len(fills)} fills is {mean:.4g} {unit}, the limit is {limit:g} {unit}"


def stops_entries(states: Iterable[BreakerState]) -> tuple[BreakerState, ...]:
    """Return the tripped breakers that stop entries."""
    return tuple([state for state in states if state.is_tripped and state.effect == "stop"])


def size_factor(states: Iterable[BreakerState]) -> Decimal:
    """Return what the risk is multiplied with: 1, or a half while a halving breaker is tripped."""
    return _HALF if any([state.is_tripped and state.effect == "halve" for state in states]) else _ONE


class KeptBreaker(msgspec.Struct, frozen=True, kw_only=True):
    """A tripped breaker as the daemon keeps it across restarts."""

    state: BreakerState
    tripped_at: datetime
    symbol: str = ""
    """Symbol whose entries it concerns; empty when it is the account's."""

    @property
    def label(self) -> str:
        """Name by which a person resets it: `NAME`, or `NAME:SYMBOL` for one of a symbol."""
        return f"{self.state.breaker}:{self.symbol}" if self.symbol else self.state.breaker

    def concerns(self, symbol: str) -> bool:
        """Return whether entries of the symbol are concerned."""
        return self.symbol in ("", symbol)


class BreakerChange(msgspec.Struct, frozen=True, kw_only=True):
    """A trip or a reset, to be recorded."""

    breaker: str
    change: Literal["trip", "reset"]
    effect: str
    cause: str
    symbol: str = ""


def advance(
    kept: tuple[KeptBreaker, ...], seen: Iterable[BreakerState], at: datetime, symbol: str = ""
) -> tuple[tuple[KeptBreaker, ...], tuple[BreakerChange, ...]]:
    """Return what to keep after the decision of `symbol` saw `seen` at `at`, and the changes to record.

    A breaker of the account or of the symbol that trips is kept. One reset by its cause goes when `seen` (of evaluate(),
    whose risk state holds no more than `latched`) no longer has it tripped; daily and weekly ones go when a new UTC day or
    week (from Sunday 00:00) has begun; the rest wait for a person or the daemon. Those of other symbols stay as they are.
    """
    tripped = {state.breaker: state for state in seen if state.is_tripped}
    unkept = dict(tripped)
    staying: list[KeptBreaker] = []
    changes: list[BreakerChange] = []
    for breaker in kept:
        state = breaker.state
        if not breaker.concerns(symbol):
            staying.append(breaker)
            continue
        cause = _reset_cause(rule_of(state.breaker), breaker.tripped_at, at, is_seen=state.breaker in tripped)
        unkept.pop(state.breaker, None)
        if cause:
            changes.append(_change(state, "reset", cause, breaker.symbol))
        else:
            staying.append(breaker)
    for state in unkept.values():
        scope = rule_of(state.breaker).scope
        if scope != "decision":
            concerned = symbol if scope == "symbol" else ""
            staying.append(KeptBreaker(state=state, tripped_at=at, symbol=concerned))
            changes.append(_change(state, "trip", state.cause, concerned))
    return tuple(staying), tuple(changes)


def trip(
    kept: tuple[KeptBreaker, ...], breaker: str, cause: str, at: datetime, symbol: str = ""
) -> tuple[tuple[KeptBreaker, ...], tuple[BreakerChange, ...]]:
    """Trip a breaker from outside (halt, slippage anomaly, reconciliation); one that is tripped already stays as it is.

    `symbol` names the symbol of a breaker of that scope; only those have one.
    """
    rule = rule_of(breaker)
    if symbol and rule.scope != "symbol":
        raise ValueError(f"breaker {breaker} is no symbol's")
    if any(other.state.breaker == breaker and other.concerns(symbol) for other in kept):
        return kept, ()
    state = BreakerState(breaker=breaker, is_tripped=True, effect=rule.effect, cause=cause)
    return (*kept, KeptBreaker(state=state, tripped_at=at, symbol=symbol)), (_change(state, "trip", cause, symbol),)


def reset(
    kept: tuple[KeptBreaker, ...], breaker: str, cause: str, symbol: str | None = None
) -> tuple[tuple[KeptBreaker, ...], tuple[BreakerChange, ...]]:
    """Reset a breaker, of one symbol or (None) wherever it is tripped; without one of that name tripped, nothing changes."""
    going = [other for other in kept if other.state.breaker == breaker and symbol in (None, other.symbol)]
    changes = tuple(_change(other.state, "reset", cause, other.symbol) for other in going)
    return tuple(other for other in kept if other not in going), changes


def latched(kept: Iterable[KeptBreaker], at: datetime, symbol: str = "") -> tuple[BreakerState, ...]:
    """Return the kept breakers that concern the symbol and still hold at `at`: what belongs into the risk state.

    They hold whatever is seen, or let go later than they trip, so that what is seen is judged knowing that they did.
    """
    return tuple(
        breaker.state
        for breaker in kept
        if breaker.concerns(symbol)
        and is_remembered(breaker.state.breaker)
        and not _reset_cause(rule_of(breaker.state.breaker), breaker.tripped_at, at, is_seen=True)
    )


def is_remembered(breaker: str) -> bool:
    """Return whether a trip says something that what is seen next does not: it holds by itself, or lets go later than it trips."""
    return rule_of(breaker).reset_by != "cause" or _lingers(breaker)


def change_of(event: BreakerEvent) -> BreakerChange:
    """Return the change a record tells of."""
    return BreakerChange(
        breaker=event.breaker, change=event.change, effect=event.effect, cause=event.cause, symbol=event.symbol
    )


def remembered(kept: tuple[KeptBreaker, ...], change: BreakerChange, at: datetime) -> tuple[KeptBreaker, ...]:
    """Return what is kept after a recorded trip or reset: folded over the records, what is tripped now."""
    others = tuple(other for other in kept if (other.state.breaker, other.symbol) != (change.breaker, change.symbol))
    if change.change == "reset":
        return others
    state = BreakerState(breaker=change.breaker, is_tripped=True, effect=change.effect, cause=change.cause)
    return (*others, KeptBreaker(state=state, tripped_at=at, symbol=change.symbol))


def inherited(
    kept: tuple[KeptBreaker, ...], seen: Iterable[BreakerState], at: datetime, symbol: str = ""
) -> tuple[KeptBreaker, ...]:
    """Return what is kept with those a recorded risk state names and no record read so far does: tripped long before.

    `symbol` is that of the decision whose risk state it is.
    """
    known = {other.state.breaker for other in kept if other.concerns(symbol)}
    older = [
        KeptBreaker(state=state, tripped_at=at, symbol=symbol if rule_of(state.breaker).scope == "symbol" else "")
        for state in seen
        if state.breaker not in known
    ]
    return (*kept, *older)


def week_of(at: datetime) -> datetime:
    """Return the start of the trading week: Sunday 00:00 UTC."""
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=(day.weekday() + 1) % 7)


def _lingers(breaker: str) -> bool:
    return rule_of(breaker).releases_at < 1.0


def _change(state: BreakerState, change: Literal["trip", "reset"], cause: str, symbol: str) -> BreakerChange:
    return BreakerChange(breaker=state.breaker, change=change, effect=state.effect, cause=cause, symbol=symbol)


def _reset_cause(rule: BreakerRule, tripped_at: datetime, at: datetime, *, is_seen: bool) -> str:
    match rule.reset_by:
        case "cause":
            return "" if is_seen else "its cause is gone"
        case "day":
            return "a new day has begun" if at.date() > tripped_at.date() else ""
        case "week":
            return "a new week has begun" if week_of(at) > week_of(tripped_at) else ""
        case "person" | "daemon":
            return ""


def _loss(start: Decimal, now: Decimal) -> float:
    return float((start - now) / start) if start > 0 else 0.0


_ONE = Decimal(1)
_HALF = Decimal("0.5")
