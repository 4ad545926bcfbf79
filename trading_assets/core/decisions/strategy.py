"""Every parameter a decision depends on, frozen in one struct with a version.

Two strategies with the same parameters have the same version, and any change of a parameter changes it. What the
parameters do lives beside their use (forecasts, filters, sizing, ...); nothing here decides.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from math import ceil
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trading_assets.core.errors import InputError
from trading_assets.core.records.decisions import TraderLimits

Share = Annotated[float, Meta(gt=0.0, le=1.0)]
Score = Annotated[float, Meta(ge=0.0, le=1.0)]
Positive = Annotated[float, Meta(gt=0.0)]
Count = Annotated[int, Meta(ge=1)]


SlippageUnit = Literal["R", "points"]

# Where a strategy names neither unit. The strategies below name theirs, so that the version tells.
_MAX_SLIPPAGE_R = 0.25
_DEVIATION_R = 0.15


class ExitProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a candidate leaves: stop and target as multiples of the base ATR, and a time limit."""

    name: Annotated[str, Meta(min_length=1)]
    stop_atr: Positive
    target_atr: Positive
    timeout_bars: Count
    trend_fit: Annotated[float, Meta(ge=-1.0, le=1.0)]
    """How well the profile suits a trend, from -1 (made for ranges) to 1 (made for trends)."""


class ScoreWeights(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Weights of the rule score, core.decisions.scoring."""

    conviction: Positive = 0.5
    """Score added by a consensus of 1 without dispersion; 0.5 is a score without opinion."""
    dispersion: Score = 0.5
    """Share of the conviction lost at a dispersion of 1."""
    cost: Score = 0.15
    """Score lost for each R of cost."""
    regime: Score = 0.06
    """Score gained or lost where the exit profile suits the regime or not."""
    quality: Score = 0.2
    """Quality lost at a dispersion of 1, and for each R of cost."""


class FilterLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of core.decisions.filters."""

    max_spread_atr: Positive
    max_quote_age_s: Positive
    session_start_hour: Annotated[int, Meta(ge=0, le=23)] = 0
    """First hour of the day (UTC) with entries."""
    session_end_hour: Annotated[int, Meta(ge=1, le=24)] = 21
    """Hour from which there are no entries any more; before the start hour it wraps around midnight."""
    weekend_close_minute: Annotated[int, Meta(ge=1, le=1440)] = 21 * 60
    """Minute of Friday (UTC) taken as the close: the earliest of the year, New York's 17:00 in summer."""
    weekend_entry_minutes: Annotated[int, Meta(ge=0)] = 120
    """No entries in this many minutes before the close."""
    weekend_exit_minutes: Annotated[int, Meta(ge=0)] = 20
    """Open positions are closed this many minutes before the close."""
    blocked_regimes: tuple[str, ...] = ("volatile",)
    min_regime_confidence: Score = 0.6
    """A blocked regime blocks from this confidence on."""
    min_consensus: Score = 0.15
    max_dispersion: Positive = 0.8
    max_volatility_ratio: Positive = 3.0
    """Largest ratio of the fast to the slow ATR."""
    max_cost_r: Positive = 0.35
    min_reward_r: Positive = 0.8


class BreakerLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of core.decisions.breakers."""

    drawdown_halve: Share = 0.10
    drawdown_stop: Share = 0.20
    daily_loss: Share = 0.03
    weekly_loss: Share = 0.06
    orders_per_hour: Count = 20
    max_slippage_points: Positive | UnsetType = UNSET
    """In place of `max_slippage_r` where it is set, as older settings have it. A point is another part of each symbol's price."""
    min_confidence: Score = 0.25
    max_slippage_r: Positive | UnsetType = UNSET
    """Mean slippage of a symbol's last fills, in R of their trades, from which `slippage_anomaly` stops that symbol."""

    @property
    def slippage(self) -> tuple[float, SlippageUnit]:
        """The limit of the mean slippage, and what it counts in."""
        if self.max_slippage_points is not UNSET:
            return self.max_slippage_points, "points"
        return (_MAX_SLIPPAGE_R if self.max_slippage_r is UNSET else self.max_slippage_r), "R"


class Strategy(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True, forbid_unknown_fields=True):
    """All parameters of one strategy on one timeframe."""

    name: Annotated[str, Meta(min_length=1)]
    timeframe: str
    feature_set: str
    exit_profiles: Annotated[tuple[ExitProfile, ...], Meta(min_length=1)]
    filters: FilterLimits
    breakers: BreakerLimits = BreakerLimits()
    weights: ScoreWeights = ScoreWeights()
    forecast_gain: Positive = 0.7
    """Scales every forecast before it is bounded to -1 to 1: larger means more trades."""
    open_threshold: Score = 0.7
    close_threshold: Score = 0.3
    risk_per_trade: Share = 0.01
    """Share of equity lost when the stop is hit."""
    max_leverage: Positive = 20.0
    """Largest notional value of a position as a multiple of equity."""
    max_margin_share: Share = 0.5
    """Largest share of the free margin one position may take."""
    max_positions_per_symbol: Annotated[int, Meta(ge=1, le=1)] = 1
    """A decision sees one position of its symbol, so more than one is refused."""
    max_positions: Count = 5
    allowed_symbols: tuple[str, ...] = ()
    """Empty allows all symbols of the settings."""
    deviation_points: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    """In place of `deviation_r` where it is set, as older settings have it."""
    order_deadline_s: Positive = 10.0
    deviation_r: Positive | UnsetType = UNSET
    """How much worse than expected the price of an order may become, in R: the distance from entry to stop."""

    def __post_init__(self) -> None:
        for problem, hint in _faults(self):
            raise InputError("reading", f"strategy {self.name}", problem, hint)

    @property
    def version(self) -> str:
        """Name and hash of all parameters."""
        return _version(self)

    def deviation(self, risk_unit: float, point: float) -> int:
        """Return the deviation an order accepts, in whole points of its symbol. `risk_unit` is 1 R as a price distance.

        Rounded up, so that it is never without room where prices move in steps larger than the share of R.
        """
        if self.deviation_points is not UNSET:
            return self.deviation_points
        share = _DEVIATION_R if self.deviation_r is UNSET else self.deviation_r
        return max(1, ceil(share * risk_unit / point - 1e-6))

    @property
    def unit_warnings(self) -> tuple[str, ...]:
        """What is set in points, and what to set instead: a point is a hundred-thousandth of EURUSD and a cent of bitcoin."""
        older = (
            (self.breakers.max_slippage_points, "breakers.max_slippage_points", "breakers.max_slippage_r"),
            (self.deviation_points, "deviation_points", "deviation_r"),
        )
        return tuple(
            f"{name} = {value:g} counts in points, which differ from symbol to symbol: set {instead} (in R) in its place"
            for value, name, instead in older
            if value is not UNSET
        )

    def to_json(self) -> str:
        """Return the canonical JSON: fields in the order they are declared, floats that read back bit-identical."""
        return msgspec.json.encode(self).decode()

    @staticmethod
    def from_json(text: str | bytes) -> Strategy:
        """Read a strategy back. Raises InputError for anything that is not one, unknown fields included."""
        try:
            return msgspec.json.decode(text, type=Strategy)
        except (msgspec.DecodeError, UnicodeError) as fault:
            raise InputError("reading", "strategy", str(fault), "correct that field in the parameters") from fault

    def with_overrides(self, overrides: dict[str, Any]) -> Strategy:
        """Return a strategy with some parameters replaced; nested tables name nested parameters."""
        merged = _merge(msgspec.to_builtins(self), overrides)
        return Strategy.from_json(msgspec.json.encode(merged))


@lru_cache(maxsize=16)
def restricted(strategy: Strategy, limits: TraderLimits) -> Strategy:
    """Return the strategy under the trader's limits: of two limits the stricter one binds.

    Which symbols the trader allows is looked at by the filter of that name. A limit of nothing allows nothing (invariant 9).
    """
    stop = _stricter(strategy.breakers.drawdown_stop, limits.max_drawdown)
    return msgspec.structs.replace(
        strategy,
        risk_per_trade=_stricter(strategy.risk_per_trade, limits.risk_per_trade),
        max_positions=int(_stricter(strategy.max_positions, limits.max_positions)),
        breakers=msgspec.structs.replace(
            strategy.breakers, drawdown_stop=stop, drawdown_halve=min(strategy.breakers.drawdown_halve, stop)
        ),
    )


def binding(strategy: Strategy, limits: TraderLimits) -> tuple[str, ...]:
    """Say which of the trader's limits bind, because they are stricter than the strategy's."""
    words: list[str] = []
    if limits.risk_per_trade is not None and limits.risk_per_trade < strategy.risk_per_trade:
        words.append(f"{limits.risk_per_trade:.2%} of equity at risk in a trade, not {strategy.risk_per_trade:.2%}")
    if limits.max_drawdown is not None and limits.max_drawdown < strategy.breakers.drawdown_stop:
        words.append(
            f"entries stop at a drawdown of {limits.max_drawdown:.0%}, not {strategy.breakers.drawdown_stop:.0%}"
        )
    if limits.max_positions is not None and limits.max_positions < strategy.max_positions:
        words.append(f"{limits.max_positions} positions at most, not {strategy.max_positions}")
    if limits.allowed_symbols is not None:
        words.append(f"only {', '.join(limits.allowed_symbols) or 'no symbol'} may be traded")
    return tuple(words)


def _stricter(own: float, other: float | None) -> float:
    return own if other is None else min(own, other)


def _merge(base: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in overrides.items():
        nested = merged.get(key)
        merged[key] = _merge(nested, value) if isinstance(nested, dict) and isinstance(value, dict) else value
    return merged


def _faults(strategy: Strategy) -> list[tuple[str, str]]:
    faults = []
    if strategy.close_threshold >= strategy.open_threshold:
        faults.append(("close_threshold is not below open_threshold", "lower close_threshold"))
    if strategy.breakers.drawdown_halve > strategy.breakers.drawdown_stop:
        faults.append(("drawdown_halve is above drawdown_stop", "lower drawdown_halve"))
    names = [profile.name for profile in strategy.exit_profiles]
    if len(set(names)) != len(names):
        faults.append(("two exit profiles share a name", "give each its own"))
    if strategy.filters.session_start_hour == strategy.filters.session_end_hour:
        faults.append(("the session starts and ends in the same hour", "use 0 and 24 for the whole day"))
    return faults


@lru_cache(maxsize=64)
def _version(strategy: Strategy) -> str:
    return f"{strategy.name}-{sha256(strategy.to_json().encode()).hexdigest()[:12]}"


INTRADAY = Strategy(
    name="intraday",
    timeframe="M5",
    feature_set="intraday",
    exit_profiles=(
        ExitProfile(name="tight", stop_atr=2.0, target_atr=2.0, timeout_bars=24, trend_fit=-1.0),
        ExitProfile(name="balanced", stop_atr=2.5, target_atr=4.0, timeout_bars=48, trend_fit=0.0),
        ExitProfile(name="wide", stop_atr=3.0, target_atr=7.5, timeout_bars=96, trend_fit=1.0),
    ),
    filters=FilterLimits(max_spread_atr=0.5, max_quote_age_s=180.0),
    breakers=BreakerLimits(max_slippage_r=_MAX_SLIPPAGE_R),
    deviation_r=_DEVIATION_R,
)

SCALP = Strategy(
    name="scalp",
    timeframe="M1",
    feature_set="scalp",
    exit_profiles=(
        ExitProfile(name="tight", stop_atr=3.0, target_atr=3.0, timeout_bars=30, trend_fit=-1.0),
        ExitProfile(name="balanced", stop_atr=4.0, target_atr=6.0, timeout_bars=60, trend_fit=0.0),
        ExitProfile(name="wide", stop_atr=5.0, target_atr=12.0, timeout_bars=120, trend_fit=1.0),
    ),
    filters=FilterLimits(max_spread_atr=1.0, max_quote_age_s=60.0),
    breakers=BreakerLimits(max_slippage_r=_MAX_SLIPPAGE_R),
    deviation_r=_DEVIATION_R,
)

DEFAULT_STRATEGIES: dict[str, Strategy] = {"M1": SCALP, "M5": INTRADAY}
