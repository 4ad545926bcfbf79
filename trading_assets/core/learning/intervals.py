"""Intervals by bootstrap over days: rows of one day resemble each other, so whole days are drawn, never rows.

Same input, same interval: the draws are seeded.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import msgspec
import numpy as np

RESAMPLES = 2000


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate with its bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


@lru_cache(maxsize=64)
def draws_of(days: int) -> np.ndarray:
    """Return how often each day is drawn, one row for each resample. Same number of days, same draws."""
    return np.random.default_rng(0).multinomial(days, np.full(days, 1 / days), size=RESAMPLES).astype(np.float64)


def interval_of(sums: Sequence[float], counts: Sequence[int], confidence: float) -> Interval:
    """Return Σ sums / Σ counts with a percentile bootstrap interval over the entries (days)."""
    total, number = np.asarray(sums, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if number.sum() == 0:
        return Interval(value=0.0, low=0.0, high=0.0)
    draws = draws_of(len(total))
    drawn = draws @ number
    means = (draws @ total)[drawn > 0] / drawn[drawn > 0]
    return around(float(total.sum() / number.sum()), means, confidence)


def around(value: float, resampled: np.ndarray, confidence: float) -> Interval:
    """Return an estimate with the percentiles of its resamples (m,)."""
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value=value, low=float(low), high=float(high))


def resampled_paths(daily: np.ndarray) -> np.ndarray:
    """Return cumulative sums (RESAMPLES, n) of days drawn in circular blocks (Politis and Romano, 1992).

    A block has the cube root of n days, so that what lasts some days is drawn together.
    """
    count = len(daily)
    length = max(1, round(count ** (1 / 3)))
    blocks = -(-count // length)
    starts = np.random.default_rng(0).integers(0, count, size=(RESAMPLES, blocks))
    places = (starts[:, :, None] + np.arange(length)).reshape(RESAMPLES, -1)[:, :count] % count
    return np.cumsum(daily[places], axis=1)
