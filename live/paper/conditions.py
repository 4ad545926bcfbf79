"""Under which conditions this broker deals: the account's mode and limits, symbols' terms, trading hours, the expert's own checks.

Values read from JSON (`--conditions`), nothing that happens by chance: that is `faults`. What a condition forbids is
refused in `checks`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from live.paper.contracts import Contract
from trading_assets.core.errors import InputError
from trading_assets.core.records.record import Execution, TradeMode

Count = Annotated[int, Meta(ge=0)]
_MINUTE_MS = 60_000
_DAY_MINUTES = 1440


class SymbolTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Terms of a symbol that differ from the usual ones, under the names the terminal reports them by."""

    trade_tick_size: float | UnsetType = UNSET
    trade_tick_value: Decimal | UnsetType = UNSET
    """As it is told: money is made by the contract's size."""
    volume_min: Decimal | UnsetType = UNSET
    volume_max: Decimal | UnsetType = UNSET
    volume_step: Decimal | UnsetType = UNSET
    volume_limit: Decimal | UnsetType = UNSET
    stops_level: Count | UnsetType = UNSET
    freeze_level: Count | UnsetType = UNSET
    filling_mode: Annotated[int, Meta(ge=0, le=3)] | UnsetType = UNSET
    trade_exemode: Execution | UnsetType = UNSET
    trade_mode: TradeMode | UnsetType = UNSET
    swap_long: float | UnsetType = UNSET
    swap_short: float | UnsetType = UNSET
    commission_per_lot: Decimal | UnsetType = UNSET
    margin_rate: Decimal | UnsetType = UNSET
    """Margin as a multiple of value / leverage: 50 is what bitcoin at 1:2 has on an account of 1:100."""

    def apply(self, contract: Contract) -> Contract:
        """Return the contract under these terms."""
        given = {name: getattr(self, name) for name in self.__struct_fields__ if getattr(self, name) is not UNSET}
        rate = given.pop("margin_rate", contract.margin_rate)
        facts = msgspec.structs.replace(contract.facts, **given)
        return Contract(facts, contract.is_quoted_in_account_currency, rate)


class Hours(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a symbol may be traded, in server time. Quotes come outside of it too, as they do at real brokers."""

    symbol: str = ""
    """Broker's name; empty for every symbol without hours of its own."""
    weekdays: tuple[Annotated[int, Meta(ge=0, le=6)], ...] = (0, 1, 2, 3, 4)
    """Monday is 0."""
    opens: time = time(0)
    closes: time = time(0)
    """Midnight: the day's end."""


class Conditions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The default is a hedging account without limits, open whenever there are quotes."""

    margin_mode: Literal["hedging", "netting"] = "hedging"
    login: str = "10001"
    first_ticket: Annotated[int, Meta(ge=1, lt=1 << 62)] = 1_000_001
    """Of a new account; above 2^53 a double no longer holds tickets exactly."""
    stop_out_level: Decimal = Decimal(50)
    """Margin level in percent at which positions are closed."""
    triple_day: Annotated[int, Meta(ge=0, le=6)] = 2
    """Weekday whose night counts three times for swap; Monday is 0."""
    fee_per_lot: Decimal = Decimal(0)
    """Fee of each deal's lot, positive."""
    max_positions: Count = 0
    """10040 beyond; 0 is no limit, here as below."""
    max_orders: Count = 0
    """Working orders: 10033 beyond."""
    requests_per_minute: Count = 0
    """10024 beyond."""
    is_fifo: bool = False
    """Whether the oldest position of a symbol must be closed first (10045)."""
    forbids_opposite: bool = False
    """Whether a position opposite to an open one is prohibited (10046)."""
    is_demo_only: bool = False
    """Whether commands are refused with 10032, as operations for live accounts alone are."""
    max_quote_age_s: Count = 120
    """The expert refuses an order whose quote is older than this."""
    max_quote_move_spreads: Annotated[float, Meta(ge=0)] = 12.0
    """The expert refuses an order when the price has gone further than this against it since that quote, in spreads of that quote."""
    max_quote_move_points: Count = 0
    """The same in points: where both are set, the wider one holds."""
    max_bars: Annotated[int, Meta(ge=1)] = 100_000
    """Most bars a chart holds: older history is not answered."""
    every_symbol: SymbolTerms = SymbolTerms()
    symbols: dict[str, SymbolTerms] = {}
    """Terms of single symbols, by the broker's name; they count before `every_symbol`."""
    hours: tuple[Hours, ...] = ()
    early_closes: dict[date, time] = {}
    """Server dates on which every symbol closes at this server time."""

    def apply(self, contract: Contract) -> Contract:
        """Return the contract under these conditions."""
        contract = self.symbols.get(contract.facts.symbol, SymbolTerms()).apply(self.every_symbol.apply(contract))
        facts = contract.facts
        own = self._hours_of(facts.symbol)
        if own:
            last = max(max(hours.weekdays) * _DAY_MINUTES + (_minute(hours.closes) or _DAY_MINUTES) for hours in own)
            facts = msgspec.structs.replace(facts, week_end_minute=last)
        return Contract(facts, contract.is_quoted_in_account_currency, contract.margin_rate)

    def is_trading(self, symbol: str, server_msc: int) -> bool:
        """Return whether the symbol may be traded at this server time, by its hours."""
        if not (self.hours or self.early_closes):
            return True
        at = datetime.fromtimestamp(server_msc / 1000, UTC)
        close = self.early_closes.get(at.date())
        if close is not None and at.time() >= close:
            return False
        own = self._hours_of(symbol)
        minute = server_msc // _MINUTE_MS % _DAY_MINUTES
        return not own or any(_covers(hours, at.weekday(), minute) for hours in own)

    def _hours_of(self, symbol: str) -> list[Hours]:
        return [hours for hours in self.hours if hours.symbol == symbol] or [h for h in self.hours if not h.symbol]


def _covers(hours: Hours, weekday: int, minute: int) -> bool:
    closes = _minute(hours.closes) or _DAY_MINUTES
    return weekday in hours.weekdays and _minute(hours.opens) <= minute < closes


def _minute(at: time) -> int:
    return at.hour * 60 + at.minute


def parse_conditions(text: str) -> Conditions:
    """Read conditions from JSON. Raises InputError naming the field that is wrong."""
    try:
        return msgspec.json.decode(text, type=Conditions)
    except (msgspec.DecodeError, UnicodeError) as error:
        known = ", ".join(Conditions.__struct_fields__)
        raise InputError("reading", "--conditions", str(error), f"pass a JSON object with some of {known}") from error
