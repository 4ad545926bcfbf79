"""The timeframes of a set side by side: for every base bar, the last bar of each longer timeframe closed by then.

Longer timeframes are joined on their *close*: a bar that is still open at the base bar's close does not exist yet.
Joining on the open is the look-ahead that detectors miss; the prefix check in `prefix` catches it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trading_assets.core.features.indicators import Chart
from trading_assets.core.features.window import Floats, Integers


def closed_by(close_ms: Integers, at_ms: Integers) -> Integers:
    """Position of the last bar closed at or before each instant; -1 where there is none."""
    return np.searchsorted(close_ms, at_ms, side="right") - 1


class Ladder:
    """Charts of all timeframes, base first, and the base bars (`rows`) for which values are asked.

    `at_ms` is when each of them closes, the moment of the decision. Features on it must be elementwise: live asks for
    one row, batch for all, and both must give the same bits.
    """

    def __init__(self, charts: Sequence[Chart], rows: Integers, positions: Sequence[Integers]) -> None:
        self.charts = tuple(charts)
        self.rows = rows
        self.at_ms = charts[0].close_ms[rows]
        self._positions = tuple(positions)
        self._taken: dict[tuple[int, str], Floats] = {}

    @property
    def base(self) -> Chart:
        """Chart of the base timeframe."""
        return self.charts[0]

    def series(self, level: int, name: str) -> Floats:
        """Series `name` of the chart at `level` (0 = base) as known at each row; NaN where no bar has closed."""
        taken = self._taken.get((level, name))
        if taken is None:
            taken = take(getattr(self.charts[level], name), self._positions[level])
            self._taken[level, name] = taken
        return taken


def take(values: Floats, positions: Integers) -> Floats:
    """Values at `positions`, NaN for -1."""
    if not len(values):
        return np.full(len(positions), np.nan)
    taken = values[positions]
    return np.where(positions < 0, np.nan, taken) if len(positions) and positions.min() < 0 else taken
