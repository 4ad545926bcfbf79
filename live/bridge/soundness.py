"""Values that no message may hold although their type allows them: numbers without end or measure, contracts without a step.

A decoder lets a decimal be `NaN` or `1e999999`, a whole number have a thousand digits and a name a million letters; whoever
counts with them later would stop, or write them down. Asked of every message but batches of ticks and bars, whose values
are judged one by one where they are taken (`live.market.feed`, `live.market.history`), as are the contracts of a snapshot
(`live.trading.holdings`).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from trading_assets.core.messages import (
    AccountFacts,
    Bars,
    DealFacts,
    Hello,
    Message,
    PositionFacts,
    Snapshot,
    SymbolFacts,
    Ticks,
)

MOST_PRICE = 1e9
"""No price is higher: what is, is no price."""
MOST_TEXT = 2_000
_MOST_NAME = 200
_LONGEST_SHOWN = 40
_MOST_WHOLE = 2**63 - 1
_MOST_AMOUNT = 15
"""Digits before the point of an amount of money or a volume at most."""
_LEAST_AMOUNT = -12
_MOST_SIZE = 1e15
_WEEK_MINUTES = 7 * 24 * 60
# The tables of switching dates end with 2099, see core.market.clock.
_END_MSC = 4_102_444_800_000
_TEXTS = frozenset({"text", "comment", "reason", "token"})


def fault_of(message: Message) -> str:
    """Return what is wrong with a message's values, where and how; empty when nothing is."""
    if isinstance(message, Ticks | Bars):
        return _envelope_fault(message)
    if isinstance(message, Snapshot):
        # One contract nobody can count with must not hide positions and orders, nor the contracts that are sound.
        message = msgspec.structs.replace(message, symbols=())
    return _struct_fault(message, str(message.__struct_config__.tag))


def fault_of_element(element: msgspec.Struct, where: str) -> str:
    """Return what is wrong with the values of one deal, position or order; empty when nothing is."""
    return _struct_fault(element, where)


def contract_fault(facts: SymbolFacts) -> str:
    """Return what is wrong with a symbol's contract; empty when nothing is."""
    return _struct_fault(facts, f"contract of {facts.symbol[:_LONGEST_SHOWN]}")


def _envelope_fault(message: Ticks | Bars) -> str:
    for name in ("sent_msc", "chain_id", "symbol"):
        fault = _value_fault(getattr(message, name), name, name)
        if fault:
            return fault
    if isinstance(message, Bars):
        return _value_fault(message.request_id, "request_id", "request_id") or _value_fault(
            message.timeframe, "timeframe", "timeframe"
        )
    return ""


def _struct_fault(struct: msgspec.Struct, where: str) -> str:
    for name in struct.__struct_fields__:
        fault = _value_fault(getattr(struct, name), name, f"{where}.{name}")
        if fault:
            return fault
    judge = _JUDGES.get(type(struct))
    problem = judge(struct) if judge is not None else ""
    return f"{where}: {problem}" if problem else ""


def _value_fault(value: Any, name: str, where: str) -> str:
    match value:
        case None | bool():
            return ""
        case str():
            most = MOST_TEXT if name in _TEXTS else _MOST_NAME
            return f"{where} has {len(value)} characters, {most} are the most" if len(value) > most else ""
        case int():
            return _whole_fault(value, name, where)
        case float():
            return "" if abs(value) <= _MOST_SIZE else f"{where} is {value:g}, which is no measure of anything"
        case Decimal():
            return _decimal_fault(value, where)
        case tuple():
            return next((fault for one in value if (fault := _value_fault(one, name, where))), "")
        case msgspec.Struct():
            return _struct_fault(value, where)
        case _:
            return ""


def _whole_fault(value: int, name: str, where: str) -> str:
    if name.endswith("_msc") or name in ("time_setup_msc", "time_done_msc"):
        # 0 stands for a time that has not come.
        return "" if 0 <= value < _END_MSC else f"{where} is {_short(value)}, a time outside 1970 to 2099"
    return "" if abs(value) <= _MOST_WHOLE else f"{where} is {_short(value)}, more than 64 bits hold"


def _decimal_fault(value: Decimal, where: str) -> str:
    if not value.is_finite():
        return f"{where} is {value}, which is no amount"
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    if value and (value.adjusted() >= _MOST_AMOUNT or exponent < _LEAST_AMOUNT or exponent > _MOST_AMOUNT):
        return f"{where} is {_short(value)}, which is no amount"
    return "" if _LEAST_AMOUNT <= exponent <= _MOST_AMOUNT else f"{where} is {_short(value)}, which is no amount"


def _short(value: object) -> str:
    text = f"{value:.3g}" if isinstance(value, Decimal) else str(value) if abs(value) < 10**30 else "too large"  # type: ignore[arg-type]
    return text[:40]


# --- what single structures must hold -------------------------------------------------------------------------------


def _hello(hello: Hello) -> str:
    limits = hello.limits
    if limits is None:
        return ""
    for name in ("risk_per_trade", "max_drawdown"):
        share = getattr(limits, name)
        if share is not None and not 0.0 <= share <= 1.0:
            return f"limits.{name} is {share:g}, not a share between 0 and 1"
    if limits.max_positions is not None and limits.max_positions < 0:
        return f"limits.max_positions is {limits.max_positions}, less than none"
    return ""


def _account(account: AccountFacts) -> str:
    return "" if account.leverage >= 1 else f"leverage is {account.leverage}"


def _symbol(facts: SymbolFacts) -> str:
    if not 0 <= facts.digits <= 15:
        return f"digits is {facts.digits}"
    for name in ("point", "trade_tick_size"):
        if not 1e-12 <= getattr(facts, name) <= 1e6:
            return f"{name} is {getattr(facts, name):g}, which is no step of a price"
    for name in ("trade_tick_value", "contract_size", "volume_min", "volume_max", "volume_step"):
        if getattr(facts, name) <= 0:
            return f"{name} is {getattr(facts, name)}, it must be more than 0"
    if facts.margin_per_lot < 0:
        return f"margin_per_lot is {facts.margin_per_lot}, it must be 0 (not told) or more"
    if facts.volume_min > facts.volume_max:
        return f"volume_min {facts.volume_min} is over volume_max {facts.volume_max}"
    if facts.stops_level < 0 or facts.freeze_level < 0:
        return "a distance is less than 0"
    if facts.week_end_minute is not None and not 0 <= facts.week_end_minute <= _WEEK_MINUTES:
        return f"week_end_minute is {_short(facts.week_end_minute)}, which is in no week"
    return ""


def _deal(facts: DealFacts) -> str:
    if facts.volume < 0:
        return f"volume is {facts.volume}"
    return "" if 0.0 <= facts.price < MOST_PRICE else f"price is {facts.price:g}"


def _position(facts: PositionFacts) -> str:
    if facts.volume < 0:
        return f"volume is {facts.volume}"
    return (
        "" if all(0.0 <= price < MOST_PRICE for price in (facts.price_open, facts.sl, facts.tp)) else "a price is none"
    )


_JUDGES: dict[type[msgspec.Struct], Callable[[Any], str]] = {
    Hello: _hello,
    AccountFacts: _account,
    SymbolFacts: _symbol,
    DealFacts: _deal,
    PositionFacts: _position,
}
