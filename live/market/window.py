"""What one symbol's decisions see: closed bars of every timeframe, the anchored chart windows, features and their hashes.

Bars are built here from accepted quotes, longer ones from shorter ones; how history gets in is `live.market.history`. What
a window, a feature or a hash is lives in `core.features`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from trading_assets.core.features.feature_set import FeatureSet
from trading_assets.core.features.live_features import LiveFeatures
from trading_assets.core.features.normaliser import Normaliser
from trading_assets.core.features.window import (
    TIME_COLUMNS,
    VALUE_COLUMNS,
    ChartWindow,
    Floats,
    WindowHasher,
    anchor_ms,
    anchored,
    combined_sha256,
)
from trading_assets.core.market.bars import BarAggregator, BarBuilder, BarValues
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.records.decisions import FeatureWindowReference, WindowReference

# Enough for the warm-up and two days of M1; older bars are dropped when the arrays are full.
KEPT_BARS = 4096
_ROOM = KEPT_BARS + 1024
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


class GrowingChart:
    """Closed bars of one timeframe in arrays that grow at the end; windows are views into them."""

    def __init__(self, timeframe: str) -> None:
        self.timeframe = timeframe
        # Written to at once, so that the system gives the memory now: a chart fills for days, the process must not grow.
        self._times = np.full((len(TIME_COLUMNS), _ROOM), 0, np.int64)
        self._values = np.full((len(VALUE_COLUMNS), _ROOM), 0.0, np.float64)
        self._count = 0
        self.appended = 0
        """Bars ever taken."""
        self.closed_until = BEGINNING

    def __len__(self) -> int:
        return self._count

    def append(self, bar: BarValues) -> None:
        """Add one bar that opened at or after the last one's close."""
        if self._count == self._times.shape[1]:
            self._drop_old()
        self._times[:, self._count] = to_ms(bar.open_at), to_ms(bar.close_at)
        mean = bar.spread_sum_points / bar.tick_count if bar.tick_count else 0.0
        self._values[:, self._count] = (
            bar.open,
            bar.high,
            bar.low,
            bar.close,
            bar.ask_close,
            bar.tick_count,
            mean,
            bar.spread_max_points,
        )
        self._count += 1
        self.appended += 1
        self.closed_until = bar.close_at

    @property
    def last_open_ms(self) -> int:
        """Open of the last bar. Raises IndexError for an empty chart."""
        return int(self._times[0, : self._count][-1])

    @property
    def last_close_ms(self) -> int:
        """Close of the last bar. Raises IndexError for an empty chart."""
        return int(self._times[1, : self._count][-1])

    def window(self) -> ChartWindow:
        """Return all bars as views."""
        count = self._count
        columns: list[Any] = [row[:count] for row in (*self._times, *self._values)]
        return ChartWindow(self.timeframe, *columns)

    def closed_after(self, close_ms: int) -> int:
        """Return how many bars closed after `close_ms`."""
        times = self._times[1, : self._count]
        return self._count - int(np.searchsorted(times, close_ms, side="right"))

    def _drop_old(self) -> None:
        """Start new arrays with the latest bars; views handed out keep the old ones."""
        times, values = self._times, self._values
        self._times, self._values = np.empty_like(times), np.empty_like(values)
        self._times[:, :KEPT_BARS] = times[:, -KEPT_BARS:]
        self._values[:, :KEPT_BARS] = values[:, -KEPT_BARS:]
        self._count = KEPT_BARS


class View(NamedTuple):
    """What a decision at one base bar is made on, besides quote, account and risk."""

    features: Floats
    windows: tuple[WindowReference, ...]
    window_sha256: str
    feature_window: FeatureWindowReference
    base_bar_count: int


@dataclass(frozen=True, slots=True)
class Closing:
    """One base bar that closed, with the longer bars that closed by it."""

    bar: BarValues
    longer: tuple[BarValues, ...]


class SymbolWindow:
    """Bars, windows and features of one symbol. Quotes must come in time order."""

    def __init__(self, symbol: str, feature_set: FeatureSet, point: float) -> None:
        self.symbol = symbol
        self.feature_set = feature_set
        self.point = point
        self.last_bar: BarValues | None = None
        """The base bar that closed last."""
        self.charts = {timeframe: GrowingChart(timeframe) for timeframe in feature_set.timeframes}
        self._builder = BarBuilder(symbol, feature_set.base, point)
        self._aggregators = {timeframe: BarAggregator(symbol, timeframe) for timeframe in feature_set.timeframes[1:]}
        # A day of M1: no longer bar holds more base bars.
        self._recent: deque[BarValues] = deque(maxlen=1440)
        self._features = LiveFeatures(feature_set)
        self._cached: dict[str, tuple[tuple[int, int], ChartWindow, WindowReference]] = {}
        self._hashers = {timeframe: WindowHasher() for timeframe in feature_set.timeframes}

    @property
    def closed_until(self) -> datetime:
        """Close of the last base bar: a quote from before it comes too late."""
        return self.charts[self.feature_set.base].closed_until

    @property
    def forming_open(self) -> datetime | None:
        """Open of the base bar that is forming; None when there is none."""
        forming = self._builder.forming
        return None if forming is None else forming.open_at

    def add(self, at: datetime, bid: float, ask: float) -> Closing | None:
        """Take a quote; returns the base bar it closes, when it belongs to a later one."""
        closed = self._builder.add(at, bid, ask)
        return None if closed is None else self._close(closed)

    def advance(self, at: datetime) -> Closing | None:
        """Let time pass without a quote; returns the base bar that has ended at or before `at`."""
        closed = self._builder.advance(at)
        return None if closed is None else self._close(closed)

    def fill(self, bars: Iterable[BarValues]) -> list[BarValues]:
        """Take closed base bars that were not built here, in order; returns the longer bars they close."""
        longer: list[BarValues] = []
        for bar in bars:
            longer += self._close(bar).longer
        return longer

    def restore(self, timeframe: str, bar: BarValues) -> None:
        """Take a bar of an earlier run or of the terminal's history as it is; then call `resume`."""
        self.charts[timeframe].append(bar)
        if timeframe == self.feature_set.base:
            self._recent.append(bar)
            self.last_bar = bar

    def resume(self) -> list[BarValues]:
        """Go on after `restore`: tell the longer bars of the base bars they hold; returns those that close by it."""
        base = self.charts[self.feature_set.base]
        self._builder.closed_until = base.closed_until
        closed: list[BarValues] = []
        for timeframe, aggregator in self._aggregators.items():
            since = self.charts[timeframe].closed_until
            for bar in self._recent:
                if bar.open_at >= since:
                    closed += self._lengthen(timeframe, aggregator, bar)
        self._recent.clear()
        return closed

    def bars_since(self, close_ms: int) -> int:
        """Return how many base bars closed after the one that closed at `close_ms`."""
        return self.charts[self.feature_set.base].closed_after(close_ms)

    def view(self, normaliser: Normaliser) -> View:
        """Return what the decision at the last closed base bar sees (invariants 7 and 8)."""
        base = self.charts[self.feature_set.base]
        start, until = anchor_ms(base.last_open_ms), base.last_close_ms
        seen = [self._seen_chart(chart, start, until) for chart in self.charts.values()]
        windows = {window.timeframe: window for window, _ in seen}
        references = tuple([reference for _, reference in seen])
        return View(
            features=self._features.row(windows),
            windows=references,
            window_sha256=combined_sha256(references),
            feature_window=self._features.feature_window(normaliser).reference(),
            base_bar_count=references[0].bar_count,
        )

    def _seen_chart(self, chart: GrowingChart, start: int, until: int) -> tuple[ChartWindow, WindowReference]:
        """Return the anchored window of one timeframe: the one before while neither the day nor the chart has changed.

        A chart holds no bar that closes after the last base bar, so `until` changes nothing by itself.
        """
        key = (start, chart.appended)
        cached = self._cached.get(chart.timeframe)
        if cached is None or cached[0] != key:
            window = anchored(chart.window(), start, until)
            reference = window.reference(self._hashers[chart.timeframe].sha256(window))
            cached = self._cached[chart.timeframe] = (key, window, reference)
        return cached[1], cached[2]

    def _close(self, bar: BarValues) -> Closing:
        self.last_bar = bar
        self.charts[self.feature_set.base].append(bar)
        longer: list[BarValues] = []
        for timeframe, aggregator in self._aggregators.items():
            longer += self._lengthen(timeframe, aggregator, bar)
        return Closing(bar, tuple(longer))

    def _lengthen(self, timeframe: str, aggregator: BarAggregator, bar: BarValues) -> list[BarValues]:
        """A longer bar may end because this one lies beyond it, or because both end together."""
        closed = [ended for ended in (aggregator.add(bar), aggregator.advance(bar.close_at)) if ended is not None]
        for ended in closed:
            self.charts[timeframe].append(ended)
        return closed
