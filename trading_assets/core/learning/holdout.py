"""The final holdout: the last stretch of time, cut off before anything is chosen.

Whatever chooses (variants, the hyperparameter search) gets a `Development` and nothing else, so it cannot see the holdout by
mistake: no row decided in it, and none whose label ends in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from trading_assets.core.errors import InputError


@dataclass(frozen=True)
class Development:
    """Rows that may be looked at as often as one likes: matrix (n, k), and the same rows' times and outcomes."""

    matrix: np.ndarray
    rows: pl.DataFrame
    decided_ms: np.ndarray
    label_end_ms: np.ndarray

    @staticmethod
    def of(matrix: np.ndarray, rows: pl.DataFrame) -> Development:
        """Take rows as they are, in the order of their decisions."""
        times = (rows[name].dt.epoch("ms").to_numpy() for name in ("decided_at", "label_end_at"))
        return Development(matrix, rows, *times)

    def narrowed(self, columns: int) -> Development:
        """Return the same rows with the first columns of the matrix alone."""
        return Development(self.matrix[:, :columns], self.rows, self.decided_ms, self.label_end_ms)

    def before(self, until_ms: int, embargo: timedelta) -> Development:
        """Return the rows whose label ended before an instant, less the embargo."""
        margin = embargo // timedelta(milliseconds=1)
        return self._of(np.flatnonzero((self.decided_ms < until_ms) & (self.label_end_ms < until_ms - margin)))

    def _of(self, chosen: np.ndarray) -> Development:
        return Development(self.matrix[chosen], self.rows[chosen], self.decided_ms[chosen], self.label_end_ms[chosen])


@dataclass(frozen=True)
class Split:
    """Development and the rows of the holdout, by their numbers in the whole."""

    development: Development
    development_rows: np.ndarray
    holdout_rows: np.ndarray
    start_ms: int
    """First decision of the holdout."""


def split_off(whole: Development, stretches: int, embargo: timedelta) -> Split:
    """Cut off the last of `stretches` stretches with equally many decision times. Raises InputError where there are fewer."""
    times = np.unique(whole.decided_ms)
    if stretches < 2 or len(times) < stretches:
        raise InputError(
            "splitting off the holdout of",
            "learning dataset",
            f"{len(times)} decision times do not make {stretches} stretches",
            "collect more decisions",
        )
    start = int(times[np.linspace(0, len(times), stretches + 1).astype(np.int64)[-2]])
    margin = embargo // timedelta(milliseconds=1)
    before = np.flatnonzero((whole.decided_ms < start) & (whole.label_end_ms < start - margin))
    return Split(whole._of(before), before, np.flatnonzero(whole.decided_ms >= start), start)
