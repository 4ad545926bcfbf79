"""Series of one chart window that several features share: averages, ranges, levels of the day.

Everything here is causal and prefix-stable: the value at a bar does not change, not by a bit, when later bars are
appended. That holds for TA-Lib (its sums walk from the window's first bar), for numpy's exactly rounded elementwise
operations (+ - * / abs, comparisons) and for running maxima. It does not hold for numpy's vectorised exp, log or sin,
nor for pairwise sums: neither may appear here. What does not exist yet is NaN; features are declared elsewhere.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import talib

from trading_assets.core.features.window import DAY_MS, ChartWindow, Floats, Integers


def shifted(values: Floats, bars: int) -> Floats:
    """The values of `bars` bars earlier; NaN where the window does not reach back."""
    result = np.full(len(values), np.nan)
    result[bars:] = values[: max(len(values) - bars, 0)]
    return result


def difference(values: Floats, bars: int) -> Floats:
    """Change over `bars` bars."""
    return values - shifted(values, bars)


def location(values: Floats, low: Floats, high: Floats) -> Floats:
    """Where a value lies between two levels, -1 (low) to 1 (high), beyond when outside; 0 where they coincide."""
    width = high - low
    return np.where(width == 0.0, 0.0, 2.0 * (values - low) / width - 1.0)


def streak(steps: Floats) -> Floats:
    """Length of the run of steps of the same sign, negative for falling ones; 0 where a step is 0 or missing."""
    sign: Floats = np.where(np.isnan(steps), 0.0, np.sign(steps))
    position = np.arange(len(sign))
    is_start = np.ones(len(sign), dtype=bool)
    is_start[1:] = sign[1:] != sign[:-1]
    start = np.maximum.accumulate(np.where(is_start, position, 0))
    return (position - start + 1).astype(np.float64) * sign


class Chart:
    """One chart window and the series derived from it, each computed once, when first asked for.

    All series have the window's length. Prices are in price units; divide by `atr_14` to compare symbols.
    """

    def __init__(self, window: ChartWindow) -> None:
        self.window = window
        self.open_ms = window.open_ms
        self.close_ms = window.close_ms
        self.open = window.open
        self.high = window.high
        self.low = window.low
        self.close = window.close
        self.ask_close = window.ask_close
        self.ticks = window.tick_count
        self.spread_mean = window.spread_mean_points
        self.spread_max = window.spread_max_points

    def __len__(self) -> int:
        return len(self.close)

    @cached_property
    def basis_points(self) -> Floats:
        """Close against the window's first close, in basis points: keeps TA-Lib's sums of squares well conditioned."""
        return (self.close / self.close[:1] - 1.0) * 10_000.0

    @cached_property
    def step(self) -> Floats:
        """Change of the close over one bar."""
        return difference(self.close, 1)

    @cached_property
    def atr_14(self) -> Floats:
        """Average true range (Wilder) of 14 bars; NaN instead of 0, so that nothing is divided by no range."""
        atr = talib.ATR(self.high, self.low, self.close, 14)
        return np.where(atr > 0.0, atr, np.nan)

    @cached_property
    def atr_100(self) -> Floats:
        """Average true range (Wilder) of 100 bars."""
        return talib.ATR(self.high, self.low, self.close, 100)

    @cached_property
    def ema_20(self) -> Floats:
        """Exponential mean of the close, 20 bars."""
        return talib.EMA(self.close, 20)

    @cached_property
    def ema_50(self) -> Floats:
        """Exponential mean of the close, 50 bars."""
        return talib.EMA(self.close, 50)

    @cached_property
    def ema_200(self) -> Floats:
        """Exponential mean of the close, 200 bars."""
        return talib.EMA(self.close, 200)

    @cached_property
    def rsi_14(self) -> Floats:
        """Relative strength (Wilder) of 14 bars, scaled from 0..100 to -1..1."""
        return talib.RSI(self.close, 14) / 50.0 - 1.0

    @cached_property
    def high_20(self) -> Floats:
        """Highest high of 20 bars."""
        return talib.MAX(self.high, 20)

    @cached_property
    def low_20(self) -> Floats:
        """Lowest low of 20 bars."""
        return talib.MIN(self.low, 20)

    @cached_property
    def deviation_20(self) -> Floats:
        """Standard deviation of the close, 20 bars, in basis points of the window's first close."""
        deviation = talib.STDDEV(self.basis_points, 20, 1.0)
        return np.where(deviation > 0.0, deviation, np.nan)

    @cached_property
    def day(self) -> Integers:
        """Number of the UTC day a bar belongs to: the day of its open."""
        return self.open_ms // DAY_MS

    @cached_property
    def day_starts(self) -> Integers:
        """Positions of the first bar of each day in the window."""
        if not len(self):
            return np.empty(0, np.int64)
        return np.concatenate([np.zeros(1, np.int64), np.flatnonzero(self.day[1:] != self.day[:-1]) + 1])

    @cached_property
    def day_open(self) -> Floats:
        """Open of the day's first bar in the window."""
        return np.repeat(self.open[self.day_starts], np.diff(self.day_starts, append=len(self)))

    @cached_property
    def day_high(self) -> Floats:
        """Highest high of the day so far."""
        return self._since_day_start(self.high, np.maximum)

    @cached_property
    def day_low(self) -> Floats:
        """Lowest low of the day so far."""
        return self._since_day_start(self.low, np.minimum)

    @cached_property
    def previous_day_high(self) -> Floats:
        """Highest high of the day before, as far as the window reaches; NaN in the window's first day."""
        return self._of_previous_day(self.day_high)

    @cached_property
    def previous_day_low(self) -> Floats:
        """Lowest low of the day before, as far as the window reaches; NaN in the window's first day."""
        return self._of_previous_day(self.day_low)

    def _since_day_start(self, values: Floats, extreme: np.ufunc) -> Floats:
        result = np.empty(len(self))
        stops = [*self.day_starts[1:], len(self)]
        for start, stop in zip(self.day_starts, stops, strict=len(self) > 0):
            extreme.accumulate(values[start:stop], out=result[start:stop])
        return result

    def _of_previous_day(self, running: Floats) -> Floats:
        if not len(self):
            return np.empty(0)
        finals = np.concatenate([np.full(1, np.nan), running[self.day_starts[1:] - 1]])
        return np.repeat(finals, np.diff(self.day_starts, append=len(self)))
