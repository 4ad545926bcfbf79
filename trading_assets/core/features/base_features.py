"""Features of the base timeframe alone: short momentum, price action, volume and microstructure.

Features that every timeframe has are in `chart_features`, those of the clock in `calendar_features`. The day is that of
the bar's open.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import talib

from trading_assets.core.features.formulas import Formulas
from trading_assets.core.features.indicators import Chart, difference, location, shifted, streak
from trading_assets.core.features.window import Floats

BASE_FEATURES: Formulas[Chart] = Formulas()
feature = BASE_FEATURES


# --- trend, momentum, volatility -------------------------------------------------------------------------------


@feature("trend", "share")
def trend_fit_20(chart: Chart) -> Floats:
    """Correlation of the last 20 closes with time, -1 to 1."""
    return talib.CORREL(chart.basis_points, np.arange(len(chart), dtype=np.float64), 20)


@feature("trend", "ATR")
def sar_distance(chart: Chart) -> Floats:
    """Close less the parabolic stop and reverse (0.02, 0.2)."""
    return (chart.close - talib.SAR(chart.high, chart.low, 0.02, 0.2)) / chart.atr_14


@feature("momentum", "index")
def rsi_5(chart: Chart) -> Floats:
    """Relative strength index of 5 bars, -1 to 1."""
    return talib.RSI(chart.close, 5) / 50.0 - 1.0


@feature("momentum", "ATR")
def return_1(chart: Chart) -> Floats:
    """Change of the close over one bar."""
    return chart.step / chart.atr_14


@feature("momentum", "ATR")
def return_20(chart: Chart) -> Floats:
    """Change of the close over 20 bars."""
    return difference(chart.close, 20) / chart.atr_14


@feature("momentum", "index")
def cci_20(chart: Chart) -> Floats:
    """Commodity channel index of 20 bars, in hundreds."""
    return talib.CCI(chart.high, chart.low, chart.close, 20) / 100.0


@feature("momentum", "index")
def ultimate_oscillator(chart: Chart) -> Floats:
    """Ultimate oscillator (7, 14, 28), -1 to 1."""
    return talib.ULTOSC(chart.high, chart.low, chart.close, 7, 14, 28) / 50.0 - 1.0


@feature("volatility", "ratio")
def volatility_ratio_10_50(chart: Chart) -> Floats:
    """Standard deviation of one-bar changes, 10 bars over 50."""
    steps = difference(chart.basis_points, 1)
    return talib.STDDEV(steps, 10, 1.0) / talib.STDDEV(steps, 50, 1.0)


# --- price action ----------------------------------------------------------------------------------------------


@feature("price_action", "ATR")
def range_1(chart: Chart) -> Floats:
    """High less low of the bar."""
    return (chart.high - chart.low) / chart.atr_14


@feature("price_action", "share")
def close_location(chart: Chart) -> Floats:
    """Where the close lies between low and high of the bar, -1 to 1; 0 for a bar without range."""
    return location(chart.close, chart.low, chart.high)


@feature("price_action", "ATR")
def upper_wick(chart: Chart) -> Floats:
    """High less the higher of open and close."""
    return (chart.high - np.maximum(chart.open, chart.close)) / chart.atr_14


@feature("price_action", "ATR")
def lower_wick(chart: Chart) -> Floats:
    """Lower of open and close less the low."""
    return (np.minimum(chart.open, chart.close) - chart.low) / chart.atr_14


@feature("price_action", "ATR")
def gap(chart: Chart) -> Floats:
    """Open less the close of the bar before."""
    return (chart.open - shifted(chart.close, 1)) / chart.atr_14


@feature("price_action", "bars")
def close_streak(chart: Chart) -> Floats:
    """Bars in a row that closed higher (positive) or lower (negative)."""
    return streak(chart.step)


@feature("price_action", "share")
def range_position_100(chart: Chart) -> Floats:
    """Where the close lies between the lowest low and the highest high of 100 bars, -1 to 1."""
    return location(chart.close, talib.MIN(chart.low, 100), talib.MAX(chart.high, 100))


@feature("price_action", "signal")
def engulfing(chart: Chart) -> Floats:
    """Engulfing candle pattern: 1 bullish, -1 bearish, 0 none."""
    return _pattern(talib.CDLENGULFING(chart.open, chart.high, chart.low, chart.close))


@feature("price_action", "signal")
def rejection(chart: Chart) -> Floats:
    """Hammer and shooting star candle patterns: 1 rejects the low, -1 rejects the high, 0 none."""
    hammer = talib.CDLHAMMER(chart.open, chart.high, chart.low, chart.close)
    return _pattern(hammer + talib.CDLSHOOTINGSTAR(chart.open, chart.high, chart.low, chart.close))


@feature("price_action", "share")
def day_position(chart: Chart) -> Floats:
    """Where the close lies in the range of the UTC day so far, -1 to 1."""
    return location(chart.close, chart.day_low, chart.day_high)


@feature("price_action", "ATR")
def day_change(chart: Chart) -> Floats:
    """Close less the open of the UTC day."""
    return (chart.close - chart.day_open) / chart.atr_14


# --- volume and microstructure ---------------------------------------------------------------------------------


@feature("volume", "ratio")
def tick_trend_5_50(chart: Chart) -> Floats:
    """Mean tick count of 5 bars over the one of 50 bars."""
    return talib.SMA(chart.ticks, 5) / talib.SMA(chart.ticks, 50)


@feature("volume", "share")
def effort_correlation_20(chart: Chart) -> Floats:
    """Correlation of tick count and bar range over 20 bars, -1 to 1: whether activity moves the price."""
    spans = (chart.high - chart.low) / chart.close * 10_000.0
    return talib.CORREL(spans, chart.ticks, 20)


@feature("microstructure", "ATR")
def spread_close(chart: Chart) -> Floats:
    """Spread at the close: what a round trip costs."""
    return (chart.ask_close - chart.close) / chart.atr_14


@feature("microstructure", "bp")
def spread_close_bp(chart: Chart) -> Floats:
    """Spread at the close over the price."""
    return (chart.ask_close - chart.close) / chart.close * 10_000.0


@feature("microstructure", "ratio")
def spread_ratio_50(chart: Chart) -> Floats:
    """Mean spread of the bar over its mean of 50 bars."""
    return chart.spread_mean / talib.SMA(chart.spread_mean, 50)


@feature("microstructure", "ratio")
def spread_peak(chart: Chart) -> Floats:
    """Largest spread of the bar over its mean spread."""
    return chart.spread_max / chart.spread_mean


@feature("microstructure", "share")
def step_autocorrelation_20(chart: Chart) -> Floats:
    """Correlation of one-bar changes with the change before, 20 bars: negative when quotes bounce."""
    steps = difference(chart.basis_points, 1)
    return talib.CORREL(steps, shifted(steps, 1), 20)


@feature("microstructure", "ratio")
def move_per_tick(chart: Chart) -> Floats:
    """Range of the bar in average ranges over its tick count in average tick counts (14 bars)."""
    return (chart.high - chart.low) / chart.atr_14 * talib.SMA(chart.ticks, 14) / chart.ticks


# --- pauses ----------------------------------------------------------------------------------------------------


@feature("calendar", "hours")
def pause_before(chart: Chart) -> Floats:
    """Time without a bar before this one: 0 when it follows at once, about 48 after a weekend."""
    pause = np.full(len(chart), np.nan)
    pause[1:] = (chart.open_ms[1:] - chart.close_ms[:-1]) / 3_600_000.0
    return pause


def _pattern(hits: npt.NDArray[np.integer[Any]]) -> Floats:
    """TA-Lib writes patterns as integers of 100."""
    return hits.astype(np.float64) / 100.0
