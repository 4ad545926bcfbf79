"""The logistic baseline: a regression on a few features, which the meta-model must beat and which it carries inside.

Ridge-regularised, fitted by Newton's method; deterministic. How its log odds and those of the trees make one score is
`meta_model`; which rows train and judge is `walk_forward`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp

import msgspec
import numpy as np

from trading_assets.core.learning.calibration import HIGHEST, LOWEST

FEATURES = (
    "consensus",
    "dispersion",
    "rule_score",
    "reward_r",
    "cost_r",
    "regime_confidence",
    "regime_with_trend",
    "regime_against_trend",
)
"""Columns of the candidate matrix it reads; those that are not there it does without."""
_RIDGE = 1.0
_STEPS = 25
_FARTHEST = 30.0


class Regression(msgspec.Struct, frozen=True, kw_only=True):
    """A fitted regression. One entry for each of its columns: where it stands in the row, mean, spread and weight."""

    columns: tuple[int, ...]
    mean: tuple[float, ...]
    spread: tuple[float, ...]
    """Standard deviation; 1 where a column never changes."""
    weight: tuple[float, ...]
    """Log odds for one spread above the mean."""
    intercept: float

    def parts(self, matrix: np.ndarray) -> np.ndarray:
        """Return what each column adds to the log odds of rows (n, k), shape (n, columns). Unknown values add nothing."""
        few = matrix[:, list(self.columns)].astype(np.float64)
        scaled = (few - np.array(self.mean)) / np.array(self.spread)
        return np.asarray(np.where(np.isfinite(scaled), scaled, 0.0) * np.array(self.weight))

    def log_odds(self, matrix: np.ndarray) -> np.ndarray:
        """Return log odds (n,). Added column by column, so that a row alone has the same bits as among others (invariant 7)."""
        total = np.full(len(matrix), self.intercept)
        for part in self.parts(matrix).T:
            total = total + part
        return total


def baseline_columns(feature_names: Sequence[str]) -> list[int]:
    """Return where the baseline's features stand; empty when none is there."""
    return [feature_names.index(name) for name in FEATURES if name in feature_names]


def fit_regression(matrix: np.ndarray, is_win: np.ndarray, columns: Sequence[int]) -> Regression:
    """Fit on the columns of rows (n, k) and outcomes (n,). Unknown values stand at the mean.

    Sums are numpy's own and not the linear algebra library's, whose order of adding depends on its threads: the weights are part
    of a model's bytes.
    """
    few = np.ascontiguousarray(matrix[:, list(columns)].T, dtype=np.float64)
    known = np.isfinite(few)
    counts = np.maximum(known.sum(axis=1), 1)
    mean = np.where(known, few, 0.0).sum(axis=1) / counts
    apart = np.where(known, few - mean[:, None], 0.0)
    spread = np.sqrt((apart**2).sum(axis=1) / counts)
    spread = np.where(spread > 0, spread, 1.0)
    weights = _newton(np.vstack([np.ones(len(is_win)), apart / spread[:, None]]), is_win.astype(np.float64))
    return Regression(
        columns=tuple(columns),
        mean=tuple(mean.tolist()),
        spread=tuple(spread.tolist()),
        weight=tuple(weights[1:].tolist()),
        intercept=float(weights[0]),
    )


def _newton(rows: np.ndarray, won: np.ndarray) -> np.ndarray:
    """Return the weights of rows (k, n), the first of which is the intercept's."""
    penalty = np.full(len(rows), _RIDGE)
    penalty[0] = 1e-6
    weights = np.zeros(len(rows))
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(_summed(rows, weights), -_FARTHEST, _FARTHEST)))
        gradient = np.array([(row * (won - p)).sum() for row in rows]) - penalty * weights
        steepness = p * (1.0 - p)
        curvature = np.diag(penalty)
        for number, row in enumerate(rows):
            weighted = row * steepness
            curvature[number, number:] += [(weighted * other).sum() for other in rows[number:]]
            curvature[number:, number] = curvature[number, number:]
        step = np.linalg.solve(curvature, gradient)
        weights += step
        if np.abs(step).max() < 1e-9:
            break
    return weights


def _summed(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = np.zeros(rows.shape[1])
    for row, weight in zip(rows, weights.tolist(), strict=True):
        total += row * weight
    return total


def probabilities(log_odds: np.ndarray) -> np.ndarray:
    """Return probabilities (n,) of log odds (n,), one by one: vectorised exponentials need not have the same bits for a row alone."""
    inside = [1.0 / (1.0 + exp(-min(max(one, -_FARTHEST), _FARTHEST))) for one in log_odds.tolist()]
    return np.clip(np.array(inside, dtype=np.float64), LOWEST, HIGHEST)
