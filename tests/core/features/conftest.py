"""Charts for the feature tests: real bars of a year, and random ones with gaps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trading_assets.core.features.window import DAY_MS, ChartWindow, anchored

MINUTES = {"M1": 1, "M5": 5, "M15": 15, "H1": 60, "H4": 240}


def aggregated(base: ChartWindow, timeframe: str) -> ChartWindow:
    """Longer bars on the UTC grid from base bars, written out here so that the tests stand on their own."""
    length = MINUTES[timeframe] * 60_000
    starts = base.open_ms // length * length
    first = np.flatnonzero(np.r_[True, starts[1:] != starts[:-1]])
    last = np.r_[first[1:], len(base)] - 1
    ticks = np.add.reduceat(base.tick_count, first)
    return ChartWindow(
        timeframe,
        starts[first],
        starts[first] + length,
        base.open[first],
        np.maximum.reduceat(base.high, first),
        np.minimum.reduceat(base.low, first),
        base.close[last],
        base.ask_close[last],
        ticks,
        np.add.reduceat(base.spread_mean_points * base.tick_count, first) / ticks,
        np.maximum.reduceat(base.spread_max_points, first),
    )


def ladder_of(base: ChartWindow, timeframes: tuple[str, ...]) -> dict[str, ChartWindow]:
    """Charts of all timeframes built from the base one."""
    return {timeframe: base if timeframe == base.timeframe else aggregated(base, timeframe) for timeframe in timeframes}


def random_chart(
    seed: int, count: int, timeframe: str = "M5", *, gaps: float = 0.02, flat: float = 0.05
) -> ChartWindow:
    """A random walk on the grid from a Monday on, with missing bars, pauses, flat bars and changing spreads."""
    random = np.random.default_rng(seed)
    length = MINUTES[timeframe] * 60_000
    steps = np.where(random.random(count) < gaps, random.integers(2, 400, count), 1)
    open_ms = (1_704_067_200_000 // length + np.cumsum(steps)).astype(np.int64) * length
    moves = np.where(random.random(count) < flat, 0.0, random.normal(0.0, 2e-4, count))
    close = np.round(1.1 * np.exp(np.cumsum(moves)), 5)
    opened = np.r_[close[:1], close[:-1]]
    reach = np.where(moves == 0.0, 0.0, random.exponential(1e-4, count))
    spread = random.integers(0, 20, count).astype(np.float64)
    return ChartWindow(
        timeframe,
        open_ms,
        open_ms + length,
        opened,
        np.round(np.maximum(opened, close) + reach, 5),
        np.round(np.minimum(opened, close) - reach, 5),
        close,
        close + spread * 1e-5,
        random.integers(1, 300, count).astype(np.float64),
        spread,
        spread + random.integers(0, 5, count),
    )


def windows_at(charts: Mapping[str, ChartWindow], base: ChartWindow, position: int) -> dict[str, ChartWindow]:
    """What the daemon holds when the base bar at `position` closes."""
    start = int(base.open_ms[position]) // DAY_MS * DAY_MS
    return {name: anchored(chart, start, int(base.close_ms[position])) for name, chart in charts.items()}


class Charts:
    """The functions above, as tests reach them."""

    random = staticmethod(random_chart)
    ladder = staticmethod(ladder_of)
    windows_at = staticmethod(windows_at)


@pytest.fixture(scope="session")
def charts() -> type[Charts]:
    """Make random charts, ladders of timeframes and the windows of one moment."""
    return Charts


@pytest.fixture(scope="session")
def real_m5(shared_data: Path) -> ChartWindow:
    """A year of M5 bars of EURUSD; the server's UTC+2 is taken off, and a spread that follows the tick count added."""
    frame = pl.read_csv(shared_data / "m5" / "mt5" / "EURUSD_M5_2023.csv.gz", try_parse_dates=True)
    frame = frame.unique("Date", keep="first").sort("Date")
    open_ms = frame["Date"].dt.epoch("ms").to_numpy() - 7_200_000
    ticks = frame["Adj Close"].cast(pl.Float64).to_numpy()
    close = frame["Close"].to_numpy()
    spread = 8.0 + ticks % 7.0
    return ChartWindow(
        "M5",
        open_ms,
        open_ms + 300_000,
        frame["Open"].to_numpy(),
        frame["High"].to_numpy(),
        frame["Low"].to_numpy(),
        close,
        close + spread * 1e-5,
        ticks,
        spread,
        spread + 2.0,
    )
