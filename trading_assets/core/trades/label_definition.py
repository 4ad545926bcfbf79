"""What a label means, as data: the definition of barriers, tiers and horizons, and the costs of an account.

Both are frozen and named by a hash of their content; each label carries both names, the table `label_definitions` keeps
what they stand for. How candidates are walked through prices lives in `labels`.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

import msgspec

from trading_assets.core.records.decisions import SymbolState

RULES = "triple-barrier-2"
"""Name of the rules in the docstring of `labels`; it changes with them."""


class LabelDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a label depends on besides prices and costs. The weekend's minutes are those of the strategy's exits."""

    rules: str = RULES
    weekend_close_minute: int = 21 * 60
    """Minute of Friday (UTC) at which the market closes."""
    weekend_exit_minutes: int = 20
    """A position is closed at the first bar that closes this near to it."""
    full_loss_r: float = -0.9
    large_gain_r: float = 1.0
    slippage_points: float = 0.5
    """What a market exit (stop, timeout, weekend) loses beyond the price: the stated model."""
    nights: tuple[int, ...] = (1, 1, 3, 1, 1, 0, 0)
    """Nights of swap booked at the server's midnight after Monday, Tuesday, ... Sunday."""
    horizons: tuple[int, ...] = (1, 5, 15, 60)
    """Minutes of the forward returns."""
    flat_spreads: float = 0.5
    """A forward move of less than this many spreads has no direction."""

    @property
    def version(self) -> str:
        """Return the name of the rules with a hash of all values."""
        return f"{self.rules}-{_hash(self)}"


class SymbolCosts(msgspec.Struct, frozen=True, kw_only=True):
    """Costs of one unit of a symbol as price distances; a swap is negative where it costs."""

    commission: float = 0.0
    """Both sides."""
    slippage: float = 0.0
    """Of a market exit."""
    swap_long: float = 0.0
    """Of one night."""
    swap_short: float = 0.0


class LabelCosts(msgspec.Struct, frozen=True, kw_only=True):
    """Costs of an account's symbols, and the clock its server's midnights follow."""

    symbols: dict[str, SymbolCosts] = msgspec.field(default_factory=dict)
    clock: str = "utc"

    def of(self, symbol: str) -> SymbolCosts:
        """Return a symbol's costs; a symbol without a known contract is free."""
        return self.symbols.get(symbol, _FREE)

    @property
    def version(self) -> str:
        """Return a name by content."""
        return f"costs-{_hash(self)}"


_FREE = SymbolCosts()


def costs_of(symbols: Iterable[SymbolState], definition: LabelDefinition, clock: str = "utc") -> LabelCosts:
    """Turn contracts into costs: money per lot becomes a price distance by tick value and tick size."""
    costs = {}
    for state in symbols:
        commission = 2.0 * float(state.commission_per_lot) / float(state.tick_value) * state.tick_size
        costs[state.symbol] = SymbolCosts(
            commission=commission,
            slippage=definition.slippage_points * state.point,
            swap_long=state.swap_long * state.point,
            swap_short=state.swap_short * state.point,
        )
    return LabelCosts(symbols=costs, clock=clock)


def _hash(content: msgspec.Struct) -> str:
    return sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:8]
