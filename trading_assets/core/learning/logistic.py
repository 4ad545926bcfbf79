"""The logistic baseline: a regression on a few features that the meta-model must beat to be worth its trees.

Ridge-regularised, fitted by Newton's method; deterministic. Which rows train and judge is `walk_forward`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trading_assets.core.learning.calibration import HIGHEST, LOWEST
from trading_assets.core.learning.walk_forward import Fold

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


def baseline_columns(feature_names: Sequence[str]) -> list[int]:
    """Return where the baseline's features stand; empty when none is there."""
    return [feature_names.index(name) for name in FEATURES if name in feature_names]


def out_of_fold(matrix: np.ndarray, is_win: np.ndarray, columns: Sequence[int], folds: Sequence[Fold]) -> np.ndarray:
    """Return a probability for each judged row, in the order of the folds, by a regression on the fold's training rows."""
    few = np.asarray(matrix[:, list(columns)], dtype=np.float64)
    return np.concatenate([_predict(few[fold.train], is_win[fold.train], few[fold.test]) for fold in folds])


def _predict(trained: np.ndarray, is_win: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Fit on rows (n, k) and return probabilities of rows (m, k). Unknown values stand at the mean."""
    known = np.isfinite(trained)
    counts = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, trained, 0.0).sum(axis=0) / counts
    spread = np.sqrt(np.where(known, (trained - mean) ** 2, 0.0).sum(axis=0) / counts)
    scale = np.where(spread > 0, spread, 1.0)

    def design(rows: np.ndarray) -> np.ndarray:
        filled = np.where(np.isfinite(rows), (rows - mean) / scale, 0.0)
        return np.hstack([np.ones((len(rows), 1)), filled])

    weights = _newton(design(trained), is_win.astype(np.float64))
    return np.asarray(np.clip(_sigmoid(design(asked) @ weights), LOWEST, HIGHEST))


def _newton(rows: np.ndarray, won: np.ndarray) -> np.ndarray:
    penalty = np.full(rows.shape[1], _RIDGE)
    penalty[0] = 1e-6
    weights = np.zeros(rows.shape[1])
    for _ in range(_STEPS):
        p = _sigmoid(rows @ weights)
        gradient = rows.T @ (won - p) - penalty * weights
        curvature = (rows * (p * (1 - p))[:, None]).T @ rows + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        weights += step
        if np.abs(step).max() < 1e-9:
            break
    return weights


def _sigmoid(score: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(score, -30.0, 30.0))))
