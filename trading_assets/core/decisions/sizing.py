"""From a stop to a volume, and from distances to prices the broker accepts.

Money and volumes are decimals; every rounding is in the safe direction: the volume is rounded down, so the loss at the stop,
commission included, never exceeds the risk asked for, and values that divide are rounded up.
"""

from __future__ import annotations

import math
from decimal import ROUND_DOWN, ROUND_UP, Context, Decimal

import msgspec

from trading_assets.core.decisions.strategy import Strategy
from trading_assets.core.records.decisions import AccountState, SymbolState

# Not the ambient context: a decision must not depend on what a thread has set.
_DOWN = Context(prec=28, rounding=ROUND_DOWN)
_UP = Context(prec=28, rounding=ROUND_UP)
_ZERO = Decimal(0)
_CENT = Decimal("0.01")


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """A volume, what it risks, and what bounded it."""

    volume_lots: Decimal
    risk_amount: Decimal
    bound: str
    """risk, volume_max, volume_limit, leverage or margin; or why the volume is 0."""


def size(
    strategy: Strategy,
    account: AccountState,
    symbol: SymbolState,
    entry_price: float,
    stop_price: float,
    factor: Decimal,
    held_lots: Decimal = Decimal(0),
    reserved_margin: Decimal = Decimal(0),
) -> Size:
    """Return the volume whose loss at the stop is at most `risk_per_trade` of equity times `factor`.

    The loss counts the price distance and the commission of both sides; leverage, margin and the symbol's largest volume bind
    too. `held_lots` is held or ordered on this side already, `reserved_margin` will be bound by entries under way.
    """
    per_lot = loss_per_lot(symbol, entry_price, stop_price)
    if account.equity <= 0 or per_lot <= 0 or symbol.volume_step <= 0:
        return Size(
            volume_lots=_ZERO, risk_amount=_ZERO, bound="there is no equity, no stop distance or no volume step"
        )
    budget = account.equity * Decimal(str(strategy.risk_per_trade)) * factor
    lot_value = _value(symbol, Decimal(str(entry_price)))
    by_leverage = _DOWN.divide(account.equity * Decimal(str(strategy.max_leverage)), lot_value)
    free = max(account.margin_free - reserved_margin, _ZERO) * Decimal(str(strategy.max_margin_share))
    bounds = {
        "risk": _DOWN.divide(budget, per_lot),
        "leverage": by_leverage,
        "margin": _DOWN.divide(free, _margin_per_lot(symbol, lot_value, account.leverage)),
        "volume_max": symbol.volume_max,
    }
    if symbol.volume_limit > 0:
        bounds["volume_limit"] = max(symbol.volume_limit - held_lots, _ZERO)
    bound = min(bounds, key=bounds.__getitem__)
    volume = floored(bounds[bound], symbol)
    if volume < symbol.volume_min or volume <= 0:
        return Size(
            volume_lots=_ZERO,
            risk_amount=_ZERO,
            bound=f"{bound} allows {volume.normalize():f} lots, the smallest volume is {symbol.volume_min.normalize():f}",
        )
    return Size(volume_lots=volume, risk_amount=(volume * per_lot).quantize(_CENT, ROUND_UP, _UP), bound=bound)


def floored(volume: Decimal, symbol: SymbolState) -> Decimal:
    """Return the largest volume the symbol allows that is not above this one; below its smallest one, 0 or less."""
    if volume < symbol.volume_min:
        return _ZERO
    steps = _DOWN.divide_int(volume - symbol.volume_min, symbol.volume_step)
    return symbol.volume_min + steps * symbol.volume_step


def margin_of(symbol: SymbolState, volume_lots: Decimal, price: float, leverage: int) -> Decimal:
    """Return the margin a position binds: as the broker sets it for the symbol, else by its value and the account's leverage."""
    per_lot = _margin_per_lot(symbol, _value(symbol, Decimal(str(price))), leverage)
    return (per_lot * volume_lots).quantize(_CENT, ROUND_UP, _UP)


def _margin_per_lot(symbol: SymbolState, lot_value: Decimal, leverage: int) -> Decimal:
    return symbol.margin_per_lot or _UP.divide(lot_value, Decimal(max(leverage, 1)))


def loss_per_lot(symbol: SymbolState, entry_price: float, stop_price: float) -> Decimal:
    """Return what one lot loses from entry to stop, commission of both sides included, in account currency."""
    distance = abs(Decimal(str(entry_price)) - Decimal(str(stop_price)))
    if distance == 0:
        return _ZERO
    return _value(symbol, distance) + 2 * symbol.commission_per_lot


def _value(symbol: SymbolState, distance: Decimal) -> Decimal:
    """Return the value of a price distance of one lot in account currency."""
    return _UP.divide(distance * symbol.tick_value, Decimal(str(symbol.tick_size)))


def commission_distance(symbol: SymbolState) -> float:
    """Return the commission of both sides as a price distance, so that it can be counted in R."""
    if symbol.tick_value <= 0:
        return 0.0
    return 2.0 * float(symbol.commission_per_lot) / float(symbol.tick_value) * symbol.tick_size


def ticks(price: float, tick_size: float) -> int:
    """Return the nearest whole number of ticks."""
    return round(price / tick_size)


def price_of(tick_count: int, symbol: SymbolState) -> float:
    """Return the price at a whole number of ticks, written with the symbol's digits."""
    return round(tick_count * symbol.tick_size, symbol.digits)


def ticks_at_least(distance: float, tick_size: float) -> int:
    """Return the fewest ticks that cover a distance; a hair under a whole number counts as that number."""
    return max(1, math.ceil(distance / tick_size - 1e-9))
