"""Features that compare timeframes: agreement, the base close against levels of longer timeframes, volatility ratios.

They are named by place, not by minutes: base, middle, higher, highest (M5, M15, H1, H4 in the intraday set), so that
both sets have the same names. Every operation is elementwise, see `ladder`.
"""

from __future__ import annotations

import numpy as np

from trading_assets.core.features.formulas import Formulas
from trading_assets.core.features.indicators import location
from trading_assets.core.features.ladder import Ladder
from trading_assets.core.features.window import DAY_MS, Floats

LADDER_FEATURES: Formulas[Ladder] = Formulas()
feature = LADDER_FEATURES

MIDDLE, HIGHER, HIGHEST = 1, 2, 3


@feature("cross_timeframe", "share")
def trend_agreement(ladder: Ladder) -> Floats:
    """Timeframes whose close is above their mean of 50 bars less those below, over their number, -1 to 1."""
    signs = [np.sign(ladder.series(level, "close") - ladder.series(level, "ema_50")) for level in range(4)]
    return (signs[0] + signs[1] + signs[2] + signs[3]) / 4.0


@feature("cross_timeframe", "index")
def momentum_agreement(ladder: Ladder) -> Floats:
    """Mean relative strength index (14) of the four timeframes, -1 to 1."""
    strength = [ladder.series(level, "rsi_14") for level in range(4)]
    return (strength[0] + strength[1] + strength[2] + strength[3]) / 4.0


@feature("cross_timeframe", "index")
def momentum_pullback(ladder: Ladder) -> Floats:
    """Relative strength index (14) of the base timeframe less that of the higher one."""
    return ladder.series(0, "rsi_14") - ladder.series(HIGHER, "rsi_14")


@feature("cross_timeframe", "ATR of middle")
def middle_ema_20_distance(ladder: Ladder) -> Floats:
    """Base close less the middle timeframe's exponential mean of 20 bars."""
    return _ema_distance(ladder, MIDDLE)


@feature("cross_timeframe", "ATR of higher")
def higher_ema_20_distance(ladder: Ladder) -> Floats:
    """Base close less the higher timeframe's exponential mean of 20 bars."""
    return _ema_distance(ladder, HIGHER)


@feature("cross_timeframe", "ATR of highest")
def highest_ema_20_distance(ladder: Ladder) -> Floats:
    """Base close less the highest timeframe's exponential mean of 20 bars."""
    return _ema_distance(ladder, HIGHEST)


@feature("cross_timeframe", "share")
def middle_range_position(ladder: Ladder) -> Floats:
    """Where the base close lies in the middle timeframe's range of 20 bars, -1 to 1, beyond on a breakout."""
    return _range_position(ladder, MIDDLE)


@feature("cross_timeframe", "share")
def higher_range_position(ladder: Ladder) -> Floats:
    """Where the base close lies in the higher timeframe's range of 20 bars, -1 to 1, beyond on a breakout."""
    return _range_position(ladder, HIGHER)


@feature("cross_timeframe", "share")
def highest_range_position(ladder: Ladder) -> Floats:
    """Where the base close lies in the highest timeframe's range of 20 bars, -1 to 1, beyond on a breakout."""
    return _range_position(ladder, HIGHEST)


@feature("cross_timeframe", "share")
def previous_day_position(ladder: Ladder) -> Floats:
    """Where the base close lies in the range of the UTC day before, -1 to 1, from bars of the higher timeframe."""
    # Early in the day the last closed bar is still of the day before: then that day's own range is the level.
    is_day_before = ladder.series(HIGHER, "day") < ladder.series(0, "open_ms") // DAY_MS
    low = np.where(is_day_before, ladder.series(HIGHER, "day_low"), ladder.series(HIGHER, "previous_day_low"))
    high = np.where(is_day_before, ladder.series(HIGHER, "day_high"), ladder.series(HIGHER, "previous_day_high"))
    return location(ladder.series(0, "close"), low, high)


@feature("cross_timeframe", "ratio")
def volatility_to_middle(ladder: Ladder) -> Floats:
    """Average true range of the base timeframe over that of the middle one."""
    return ladder.series(0, "atr_14") / ladder.series(MIDDLE, "atr_14")


@feature("cross_timeframe", "ratio")
def volatility_to_higher(ladder: Ladder) -> Floats:
    """Average true range of the base timeframe over that of the higher one."""
    return ladder.series(0, "atr_14") / ladder.series(HIGHER, "atr_14")


@feature("cross_timeframe", "ratio")
def volatility_to_highest(ladder: Ladder) -> Floats:
    """Average true range of the base timeframe over that of the highest one."""
    return ladder.series(0, "atr_14") / ladder.series(HIGHEST, "atr_14")


def _ema_distance(ladder: Ladder, level: int) -> Floats:
    return (ladder.series(0, "close") - ladder.series(level, "ema_20")) / ladder.series(level, "atr_14")


def _range_position(ladder: Ladder, level: int) -> Floats:
    return location(ladder.series(0, "close"), ladder.series(level, "low_20"), ladder.series(level, "high_20"))
