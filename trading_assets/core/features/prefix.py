"""The exact test against look-ahead: a row computed from data cut at its bar's close equals the row of the full data.

It sees what statistical detectors miss, a peek of one bar and a longer timeframe joined on its open. It takes any
function from windows to rows, so that a new feature is checked before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from trading_assets.core.features.feature_set import FeatureRows, FeatureSet
from trading_assets.core.features.window import ChartWindow, canonical

Compute = Callable[[Mapping[str, ChartWindow]], FeatureRows]


@dataclass(frozen=True)
class Violation:
    """A feature whose value at one bar changed when later data was taken away."""

    feature: str
    close_ms: int
    full: float
    cut: float


def violations(
    feature_set: FeatureSet,
    windows: Mapping[str, ChartWindow],
    positions: Iterable[int],
    compute: Compute | None = None,
) -> list[Violation]:
    """Compare, bit for bit, the rows at base bars `positions` with those from data closed by then.

    `compute` replaces `feature_set.day` and must give rows with the same columns.
    """
    rows_of = compute if compute is not None else feature_set.day
    full = rows_of(windows)
    found: list[Violation] = []
    for position in positions:
        close_ms = int(full.close_ms[position])
        cut = rows_of({timeframe: window.until(close_ms) for timeframe, window in windows.items()})
        expected, observed = full.matrix[position], cut.matrix[-1]
        differs = canonical(expected).view(np.int64) != canonical(observed).view(np.int64)
        found += [
            Violation(feature_set.names[index], close_ms, float(expected[index]), float(observed[index]))
            for index in np.flatnonzero(differs)
        ]
    return found
