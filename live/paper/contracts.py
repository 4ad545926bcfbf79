"""What a symbol is worth: contract terms, and money from prices and volumes.

Prices become decimals here, by the digits they are written with, so that every amount is exact before it is
rounded to the cent (half away from zero, as trade servers do). Fills and the account live in `broker`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from trading_assets.core.errors import InputError
from trading_assets.core.messages import PositionFacts, SymbolFacts
from trading_assets.core.records.record import Side

CENT = Decimal("0.01")
LOT_UNITS = Decimal(100_000)
_VALUE_STEP = Decimal("0.00000001")


@dataclass(frozen=True)
class Contract:
    """One symbol of the account: the facts the terminal reports and how its money turns into the account's."""

    facts: SymbolFacts
    is_quoted_in_account_currency: bool
    """Whether profit arises in the account's currency; otherwise the base is the account's currency."""
    margin_rate: Decimal = Decimal(1)
    """How much of its value, divided by the account's leverage, a position binds as margin."""

    def profit(self, side: Side, volume: Decimal, price_open: float, price_close: float) -> Decimal:
        """Return the profit of a move in account currency, to the cent."""
        move = exact(price_close) - exact(price_open)
        signed = move if side == "BUY" else -move
        return self._in_account_currency(signed * self.facts.contract_size * volume, price_close)

    def swap(self, side: Side, volume: Decimal, nights: int, price: float) -> Decimal:
        """Return what `nights` nights cost (negative) or earn, to the cent."""
        points = self.facts.swap_long if side == "BUY" else self.facts.swap_short
        amount = exact(points) * exact(self.facts.point) * self.facts.contract_size * volume * nights
        return self._in_account_currency(amount, price)

    def commission(self, volume: Decimal) -> Decimal:
        """Return the commission of one side, zero or negative, to the cent."""
        return -cents(self.facts.commission_per_lot * volume)

    def margin(self, volume: Decimal, price: float, leverage: int) -> Decimal:
        """Return the margin a position binds, at its opening price, to the cent."""
        units = self.facts.contract_size * volume
        value = units * exact(price) if self.is_quoted_in_account_currency else units
        return cents(value * self.margin_rate / leverage)

    def told(self, ask: float, leverage: int) -> SymbolFacts:
        """Return the facts as the terminal tells them at a quote, with the margin a lot binds now; an ask of 0 is none yet."""
        per_lot = self.margin(Decimal(1), ask, leverage) if ask else Decimal(0)
        return msgspec.structs.replace(self.facts, margin_per_lot=per_lot)

    def round_price(self, price: float) -> float:
        """Return the price as it is written."""
        return round(price, self.facts.digits)

    def _in_account_currency(self, amount: Decimal, price: float) -> Decimal:
        return cents(amount if self.is_quoted_in_account_currency else amount / exact(price))


def exact(price: float) -> Decimal:
    """Return the decimal a float is written as."""
    return Decimal(repr(float(price)))


def cents(amount: Decimal) -> Decimal:
    """Round to the cent, half away from zero. Never returns a negative zero."""
    return amount.quantize(CENT, ROUND_HALF_UP) + Decimal("0.00")


def unrealised(contract: Contract, position: PositionFacts, bid: float, ask: float) -> Decimal:
    """Return a position's profit if it were closed at this quote."""
    return contract.profit(position.side, position.volume, position.price_open, bid if position.side == "BUY" else ask)


def account_currency(symbols: Sequence[str]) -> str:
    """Return the currency an account for these symbols is kept in: USD where every symbol has it, else their quote currency.

    Raises InputError where neither fits, because the rates between the others are not in the data.
    """
    legs = [currencies(symbol) for symbol in symbols]
    if all("USD" in pair for pair in legs):
        return "USD"
    quoted = {quote for _, quote in legs}
    if len(quoted) == 1:
        return quoted.pop()
    raise InputError(
        "opening an account for",
        ", ".join(symbols),
        "no account currency fits all of them",
        "play symbols that share USD or a quote currency",
    )


def currencies(symbol: str) -> tuple[str, str]:
    """Return base and quote currency of a broker's symbol such as EURUSD or EURUSDm."""
    letters = symbol[:6].upper()
    if len(letters) < 6 or not letters.isalpha():
        raise InputError(
            "reading currencies of", symbol, "it does not start with two currency codes", "name the symbol like EURUSD"
        )
    return letters[:3], letters[3:]


def standard_contract(symbol: str, digits: int, price: float, currency: str, commission_per_lot: Decimal) -> Contract:
    """Return the terms of a usual retail FX contract: 100,000 units a lot, 0.01 to 50 lots, stops one pip away at least."""
    base, quote = currencies(symbol)
    point = float(f"1e-{digits}")
    tick = exact(point) * LOT_UNITS
    facts = SymbolFacts(
        symbol=symbol,
        digits=digits,
        point=point,
        trade_tick_size=point,
        trade_tick_value=(tick if quote == currency else tick / exact(price)).quantize(_VALUE_STEP).normalize() + 0,
        contract_size=LOT_UNITS,
        volume_min=Decimal("0.01"),
        volume_max=Decimal(50),
        volume_step=Decimal("0.01"),
        stops_level=10,
        freeze_level=0,
        filling_mode=3,
        swap_long=-4.0,
        swap_short=-1.0,
        commission_per_lot=commission_per_lot,
    )
    if currency not in (base, quote):
        raise InputError(
            "opening an account for", symbol, f"it cannot be valued in {currency}", "play symbols that share a currency"
        )
    return Contract(facts, quote == currency)
