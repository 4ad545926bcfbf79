"""Three forecasters that look at the same features in different ways: trend, mean reversion, breakout.

Each gives a value from -1 (down) to 1 (up), a confidence and a sentence, and none knows of the others. Together they give the
consensus (confidence-weighted mean) and the dispersion (confidence-weighted standard deviation). A forecaster whose
features are not known yet abstains: value 0, confidence 0. Whether an opinion is acted on is decided elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec

from trading_assets.core.features.feature_set import FeatureSet
from trading_assets.core.records.decisions import Forecast

VERSION = "1"


class View(msgspec.Struct, frozen=True):
    """The ensemble's opinion."""

    forecasts: tuple[Forecast, ...]
    consensus: float
    dispersion: float


class Columns(msgspec.Struct, frozen=True):
    """Where the forecasters find their features in a row of one feature set; base timeframe first, then upwards."""

    timeframes: tuple[str, ...]
    ema_spread: tuple[int, ...]
    slope: tuple[int, ...]
    adx: tuple[int, ...]
    band: tuple[int, ...]
    rsi: tuple[int, ...]
    channel: tuple[int, ...]
    efficiency: tuple[int, ...]
    width: int
    activity: int
    long_channel: int


def columns(feature_set: FeatureSet) -> Columns:
    """Return the places of the features the forecasters need. Raises KeyError when the set lacks one."""
    frames = feature_set.timeframes[:3]

    def each(indicator: str) -> tuple[int, ...]:
        return tuple(feature_set.index(indicator, timeframe) for timeframe in frames)

    return Columns(
        timeframes=frames,
        ema_spread=each("ema_20_50_spread"),
        slope=each("slope_20"),
        adx=each("adx_14"),
        band=each("band_position_20"),
        rsi=each("rsi_14"),
        channel=each("range_position_20"),
        efficiency=each("efficiency_10"),
        width=feature_set.index("band_width_20"),
        activity=feature_set.index("tick_ratio_20"),
        long_channel=feature_set.index("range_position_100"),
    )


def view(at: Columns, row: Sequence[float], gain: float) -> View:
    """Return all forecasts on one row of features, with consensus and dispersion."""
    forecasts = tuple([forecast(at, row, gain) for forecast in FORECASTERS])
    consensus, dispersion = combine(forecasts)
    return View(forecasts, consensus, dispersion)


def combine(forecasts: Sequence[Forecast]) -> tuple[float, float]:
    """Return the confidence-weighted mean and standard deviation of the values; 0, 0 when nobody has an opinion."""
    weight = 0.0
    total = 0.0
    for forecast in forecasts:
        weight += forecast.confidence
        total += forecast.confidence * forecast.value
    if weight <= 0.0:
        return 0.0, 0.0
    mean = total / weight
    spread = 0.0
    for forecast in forecasts:
        spread += forecast.confidence * (forecast.value - mean) ** 2
    return mean, math.sqrt(spread / weight)


def support(forecasts: Sequence[Forecast], side: int) -> float:
    """Return the confidence in a side: that of the forecasters on it, less the share of those against it, 0 to 1."""
    mine = weight = against = 0.0
    for forecast in forecasts:
        force = forecast.value * side
        if force > 0.0:
            weight += force
            mine += force * forecast.confidence
        else:
            against -= force * forecast.confidence
    if mine <= 0.0:
        return 0.0
    return mine / weight * mine / (mine + against)


# --- the forecasters ---------------------------------------------------------------------------------------------


def trend(at: Columns, row: Sequence[float], gain: float) -> Forecast:
    """Follow the direction in which the averages of three timeframes are ordered and slope; longer ones weigh more."""
    direction = 0.0
    strength = 0.0
    agreeing = 0
    for weight, ema, slope, adx in zip((0.25, 0.40, 0.35), at.ema_spread, at.slope, at.adx, strict=True):
        pull = math.tanh(0.45 * row[ema] + 0.20 * row[slope])
        direction += weight * pull
        strength += weight * row[adx]
        agreeing += 1 if pull > 0.0 else -1
    if not math.isfinite(direction + strength):
        return _abstain("trend")
    value = math.tanh(1.4 * gain * direction)
    confidence = _ramp(strength, 0.12, 0.40) * (1.0 if abs(agreeing) == 3 else 0.6)
    word = "rise" if direction > 0.0 else "fall"
    extent = "all of" if abs(agreeing) == 3 else "on balance"
    reason = (
        f"{extent} {', '.join(at.timeframes)} {word}: EMA 20 is {row[at.ema_spread[1]]:+.1f} ATR from EMA 50 "
        f"on {at.timeframes[1]}, ADX {100.0 * row[at.adx[1]]:.0f}"
    )
    return Forecast(forecaster="trend", version=VERSION, value=value, confidence=confidence, reason=reason)


def mean_reversion(at: Columns, row: Sequence[float], gain: float) -> Forecast:
    """Expect a stretched price to come back to its mean, the more so the less the next timeframe trends."""
    band, rsi = row[at.band[0]], row[at.rsi[0]]
    wider, calm = row[at.band[1]], 1.0 - _ramp(row[at.adx[1]], 0.15, 0.40)
    stretch = 0.5 * band + 1.5 * rsi + 0.25 * wider
    if not math.isfinite(stretch + calm):
        return _abstain("mean_reversion")
    value = -math.tanh(0.75 * gain * _beyond(stretch, 0.5))
    confidence = (0.25 + 0.75 * calm) * min(abs(stretch) / 2.0, 1.0)
    where = "above" if band > 0.0 else "below"
    market = "calm" if calm > 0.5 else "trending"
    reason = (
        f"the close is {abs(band):.1f} deviations {where} its mean of 20 bars, RSI {50.0 + 50.0 * rsi:.0f}, "
        f"{at.timeframes[1]} is {market}"
    )
    return Forecast(forecaster="mean_reversion", version=VERSION, value=value, confidence=confidence, reason=reason)


def breakout(at: Columns, row: Sequence[float], gain: float) -> Forecast:
    """Follow a close at the edge of its channel when it gets there directly, on more ticks than usual, out of a narrow band."""
    near, far = row[at.channel[0]], row[at.long_channel]
    path, activity, width = row[at.efficiency[0]], row[at.activity], row[at.width]
    push = 0.5 * _beyond(near, 0.6) / 0.4 + 0.5 * _beyond(far, 0.7) / 0.3
    if not math.isfinite(push + path + activity + width):
        return _abstain("breakout")
    value = math.tanh(1.3 * gain * push * max(0.0, 1.0 + path if push > 0.0 else 1.0 - path))
    squeeze = 1.0 - _ramp(width, 4.0, 9.0)
    confidence = min(abs(push), 1.0) * (0.4 + 0.4 * _ramp(activity, 0.8, 2.0) + 0.2 * squeeze)
    if push == 0.0:
        reason = f"the close is inside its channels of 20 and 100 bars ({near:+.2f}, {far:+.2f})"
    else:
        edge = "upper" if push > 0.0 else "lower"
        reason = f"the close is at the {edge} edge of its channels on {activity:.1f} times the usual ticks"
    return Forecast(forecaster="breakout", version=VERSION, value=value, confidence=confidence, reason=reason)


FORECASTERS: tuple[Callable[[Columns, Sequence[float], float], Forecast], ...] = (trend, mean_reversion, breakout)
FORECASTER_NAMES = ("trend", "mean_reversion", "breakout")


def _abstain(forecaster: str) -> Forecast:
    return Forecast(
        forecaster=forecaster,
        version=VERSION,
        value=0.0,
        confidence=0.0,
        reason="no forecast: there is too little history for its features",
    )


def _ramp(value: float, low: float, high: float) -> float:
    """Return 0 up to `low`, 1 from `high` on, and a straight line between; NaN stays NaN."""
    share = (value - low) / (high - low)
    return 0.0 if share < 0.0 else 1.0 if share > 1.0 else share


def _beyond(value: float, edge: float) -> float:
    """Return how far a value lies beyond an edge on either side of zero, signed; NaN stays NaN."""
    if value > edge:
        return value - edge
    return value + edge if value < -edge else value * 0.0
