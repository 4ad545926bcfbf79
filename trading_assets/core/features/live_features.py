"""Feature rows bar after bar, as the daemon needs them: bit-equal to `FeatureSet.day`, without computing the day again.

A timeframe is recomputed only when one of its bars has closed or the anchor has moved; the row is put together by the
same function as a whole day's. Nothing here defines a feature.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from trading_assets.core.features.blocks import Block
from trading_assets.core.features.feature_set import FeatureRows, FeatureSet
from trading_assets.core.features.feature_window import FEATURE_WINDOW_ROWS, FeatureWindow, RollingRows
from trading_assets.core.features.normaliser import Normaliser
from trading_assets.core.features.window import ChartWindow, Floats

_Key = tuple[int, int, int]


class LiveFeatures:
    """Features of one symbol in one feature set. Give it the anchored windows at each close of a base bar.

    Between two calls bars may only be appended; after a correction of bars it has seen, call `forget`.
    """

    def __init__(self, feature_set: FeatureSet) -> None:
        self.feature_set = feature_set
        self.forget()

    def forget(self) -> None:
        """Drop everything computed so far."""
        self._blocks: dict[str, tuple[_Key, Block]] = {}
        self._rolling: RollingRows | None = None

    def row(self, windows: Mapping[str, ChartWindow]) -> Floats:
        """The feature row of the last base bar, shape (k,). Raises ValueError when there is no base bar."""
        base = windows[self.feature_set.base]
        if not len(base):
            raise ValueError(f"no {self.feature_set.base} bar has closed; there is no row to compute")
        before = self._blocks.get(self.feature_set.base)
        blocks = [self._block(timeframe, windows) for timeframe in self.feature_set.timeframes]
        last = len(base) - 1
        if self._rolling is None or before is None or not _is_continued(before[0], base):
            self._rolling = self._restarted(blocks, last)
        elif before[0] != _key(base):
            row = self.feature_set.assemble(blocks, np.array([last]))
            self._rolling.append(int(base.open_ms[-1]), int(base.close_ms[-1]), row)
        latest: Floats = self._rolling.rows.matrix[-1].copy()
        return latest

    def feature_window(self, normaliser: Normaliser) -> FeatureWindow:
        """The last rows up to the one `row` returned, raw and normalised. Raises ValueError before the first row."""
        if self._rolling is None:
            raise ValueError("there is no feature window before the first row")
        return self._rolling.view(normaliser)

    def _block(self, timeframe: str, windows: Mapping[str, ChartWindow]) -> Block:
        window = windows.get(timeframe, _EMPTY)
        key = _key(window)
        cached = self._blocks.get(timeframe)
        if cached is None or cached[0] != key:
            cached = (key, self.feature_set.block(timeframe, windows))
            self._blocks[timeframe] = cached
        return cached[1]

    def _restarted(self, blocks: list[Block], last: int) -> RollingRows:
        """First call, new anchor or new history: the rows before the last one are computed as well."""
        positions = np.arange(max(0, last + 1 - FEATURE_WINDOW_ROWS), last + 1)
        chart = blocks[0].chart
        matrix = self.feature_set.assemble(blocks, positions)
        return RollingRows(FeatureRows(chart.open_ms[positions], chart.close_ms[positions], matrix))


_EMPTY = ChartWindow.empty("")


def _key(window: ChartWindow) -> _Key:
    if not len(window):
        return (0, 0, 0)
    return (int(window.open_ms[0]), int(window.open_ms[-1]), len(window))


def _is_continued(before: _Key, window: ChartWindow) -> bool:
    """Whether `window` is the one before, or that one and a single bar more."""
    first, last, count = before
    if not count or window.open_ms[0] != first:
        return False
    extra = len(window) - count
    return extra in (0, 1) and int(window.open_ms[count - 1]) == last
