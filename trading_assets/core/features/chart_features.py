"""Features computed on every timeframe of a set, each from its own chart window alone.

Prices enter as multiples of the average true range or as shares, so that one model serves several symbols. Features of
the base timeframe alone are in `base_features`, those that compare timeframes in `ladder_features`.
"""

from __future__ import annotations

import numpy as np
import talib

from trading_assets.core.features.formulas import Formulas
from trading_assets.core.features.indicators import Chart, difference, location
from trading_assets.core.features.window import Floats

CHART_FEATURES: Formulas[Chart] = Formulas()
feature = CHART_FEATURES


# --- trend -----------------------------------------------------------------------------------------------------


@feature("trend", "ATR")
def ema_20_distance(chart: Chart) -> Floats:
    """Close less its exponential mean of 20 bars."""
    return (chart.close - chart.ema_20) / chart.atr_14


@feature("trend", "ATR")
def ema_50_distance(chart: Chart) -> Floats:
    """Close less its exponential mean of 50 bars."""
    return (chart.close - chart.ema_50) / chart.atr_14


@feature("trend", "ATR")
def ema_200_distance(chart: Chart) -> Floats:
    """Close less its exponential mean of 200 bars."""
    return (chart.close - chart.ema_200) / chart.atr_14


@feature("trend", "ATR")
def ema_20_50_spread(chart: Chart) -> Floats:
    """Exponential mean of 20 bars less the one of 50 bars."""
    return (chart.ema_20 - chart.ema_50) / chart.atr_14


@feature("trend", "share")
def adx_14(chart: Chart) -> Floats:
    """Average directional index of 14 bars, 0 (no trend) to 1."""
    return talib.ADX(chart.high, chart.low, chart.close, 14) / 100.0


@feature("trend", "share")
def di_balance_14(chart: Chart) -> Floats:
    """Plus less minus directional indicator over their sum, 14 bars, -1 to 1."""
    plus = talib.PLUS_DI(chart.high, chart.low, chart.close, 14)
    minus = talib.MINUS_DI(chart.high, chart.low, chart.close, 14)
    return (plus - minus) / (plus + minus)


@feature("trend", "ATR")
def slope_20(chart: Chart) -> Floats:
    """Rise of the least-squares line through the last 20 closes, over its whole length."""
    slope_bp = talib.LINEARREG_SLOPE(chart.basis_points, 20) * 19.0
    return slope_bp / 10_000.0 * chart.close[:1] / chart.atr_14


@feature("trend", "share")
def aroon_25(chart: Chart) -> Floats:
    """Aroon oscillator of 25 bars: how much more recent the high is than the low, -1 to 1."""
    return talib.AROONOSC(chart.high, chart.low, 25) / 100.0


# --- momentum --------------------------------------------------------------------------------------------------


@feature("momentum", "index")
def rsi_14(chart: Chart) -> Floats:
    """Relative strength index of 14 bars, -1 to 1."""
    return chart.rsi_14


@feature("momentum", "index")
def stochastic_14(chart: Chart) -> Floats:
    """Slow stochastic %K of 14 bars smoothed over 3, -1 to 1."""
    # 0 is the simple mean; the package exports no name for it that a type checker sees.
    slow_k, _ = talib.STOCH(chart.high, chart.low, chart.close, 14, 3, 0, 3, 0)  # type: ignore[arg-type]
    return slow_k / 50.0 - 1.0


@feature("momentum", "ATR")
def macd_histogram(chart: Chart) -> Floats:
    """MACD (12, 26) less its signal line (9)."""
    _, _, histogram = talib.MACD(chart.close, 12, 26, 9)
    return histogram / chart.atr_14


@feature("momentum", "ATR")
def return_5(chart: Chart) -> Floats:
    """Change of the close over 5 bars."""
    return difference(chart.close, 5) / chart.atr_14


@feature("momentum", "share")
def efficiency_10(chart: Chart) -> Floats:
    """Net change over the path travelled in 10 bars (Kaufman), signed, -1 to 1."""
    return difference(chart.close, 10) / talib.SUM(np.abs(chart.step), 10)


# --- volatility ------------------------------------------------------------------------------------------------


@feature("volatility", "bp")
def atr_14_bp(chart: Chart) -> Floats:
    """Average true range of 14 bars over the close."""
    return chart.atr_14 / chart.close * 10_000.0


@feature("volatility", "ratio")
def atr_ratio_14_100(chart: Chart) -> Floats:
    """Average true range of 14 bars over the one of 100 bars."""
    return chart.atr_14 / chart.atr_100


@feature("volatility", "deviations")
def band_position_20(chart: Chart) -> Floats:
    """Close less its mean of 20 bars, in standard deviations (Bollinger)."""
    return (chart.basis_points - talib.SMA(chart.basis_points, 20)) / chart.deviation_20


@feature("volatility", "ATR")
def band_width_20(chart: Chart) -> Floats:
    """Width of the Bollinger band, four standard deviations of 20 closes: low means a squeeze."""
    return 4.0 * chart.deviation_20 / 10_000.0 * chart.close[:1] / chart.atr_14


# --- price action and volume -----------------------------------------------------------------------------------


@feature("price_action", "share")
def range_position_20(chart: Chart) -> Floats:
    """Where the close lies between the lowest low and the highest high of 20 bars, -1 to 1."""
    return location(chart.close, chart.low_20, chart.high_20)


@feature("price_action", "ATR")
def body(chart: Chart) -> Floats:
    """Close less open of the bar."""
    return (chart.close - chart.open) / chart.atr_14


@feature("volume", "ratio")
def tick_ratio_20(chart: Chart) -> Floats:
    """Tick count of the bar over its mean of 20 bars."""
    return chart.ticks / talib.SMA(chart.ticks, 20)


@feature("volume", "index")
def money_flow_14(chart: Chart) -> Floats:
    """Money flow index of 14 bars on the tick count, -1 to 1."""
    return talib.MFI(chart.high, chart.low, chart.close, chart.ticks, 14) / 50.0 - 1.0
