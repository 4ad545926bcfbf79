"""Calibration: what a raw score of the model means as a probability, and how far off it is.

Centered isotonic regression (Oron and Flournoy, 2017): isotonic, but each level stands at the mean score of its rows
and lines join the levels, so that two different scores between the ends keep their order. Training and scoring
the model live in `meta_model`.
"""

from __future__ import annotations

import msgspec
import numpy as np
from sklearn.isotonic import isotonic_regression

from trading_assets.core.release import CalibrationKnots

MINIMUM_ROWS = 500
ROWS_PER_LEVEL = 50
MOST_LEVELS = 100
# A probability of exactly 0 or 1 is a claim no finite sample supports and costs an infinite log loss when wrong.
LOWEST, HIGHEST = 0.001, 0.999

IDENTITY_KNOTS = CalibrationKnots(raw=(LOWEST, HIGHEST), calibrated=(LOWEST, HIGHEST))


class ReliabilityBin(msgspec.Struct, frozen=True, kw_only=True):
    """One bin of the reliability diagram."""

    rows: int
    predicted: float
    """Mean probability."""
    observed: float
    """Share of wins."""


def fit_knots(raw: np.ndarray, is_win: np.ndarray) -> CalibrationKnots:
    """Fit the map from raw scores (n,) to probabilities on outcomes (n,); the identity for fewer than 500 rows.

    Scores are first grouped into levels of equal count, at least 50 rows each, so that a level is not one row's luck.
    """
    if len(raw) < MINIMUM_ROWS:
        return IDENTITY_KNOTS
    order = np.argsort(raw, kind="stable")
    levels = min(MOST_LEVELS, len(raw) // ROWS_PER_LEVEL)
    ordered = raw[order].astype(np.float64)
    # A level begins with the first row of its score: equal scores must mean the same.
    starts = np.unique(np.searchsorted(ordered, ordered[np.linspace(0, len(raw), levels + 1).astype(np.int64)[:-1]]))
    counts = np.diff(np.append(starts, len(raw))).astype(np.float64)
    scores = np.add.reduceat(ordered, starts) / counts
    shares = np.add.reduceat(is_win[order].astype(np.float64), starts) / counts
    values = np.asarray(isotonic_regression(shares, sample_weight=counts))
    return _centered(scores, values, counts)


def _centered(scores: np.ndarray, values: np.ndarray, counts: np.ndarray) -> CalibrationKnots:
    """Put one knot at the mean score of each level of equal value."""
    starts = np.flatnonzero(np.append(True, np.diff(values) > 0))
    weight = np.add.reduceat(counts, starts)
    centre = np.add.reduceat(scores * counts, starts) / weight
    is_new = np.append(True, centre[1:] > np.maximum.accumulate(centre)[:-1])
    height = np.clip(values[starts], LOWEST, HIGHEST)
    return CalibrationKnots(raw=tuple(centre[is_new].tolist()), calibrated=tuple(height[is_new].tolist()))


def calibrate(raw: np.ndarray, knots: CalibrationKnots) -> np.ndarray:
    """Map raw scores (n,) to probabilities (n,); below the first and above the last knot they stay level."""
    return np.asarray(np.interp(raw, knots.raw, knots.calibrated))


def reliability(probability: np.ndarray, is_win: np.ndarray, bins: int = 10) -> tuple[ReliabilityBin, ...]:
    """Group rows (n,) by probability into bins of equal count and compare predicted with observed wins."""
    order = np.argsort(probability, kind="stable")
    return tuple(
        ReliabilityBin(
            rows=len(part), predicted=float(probability[part].mean()), observed=float(is_win[part].astype(float).mean())
        )
        for part in np.array_split(order, bins)
        if len(part)
    )


def calibration_error(diagram: tuple[ReliabilityBin, ...]) -> float:
    """Return the expected calibration error: mean distance of predicted from observed, weighted by rows."""
    rows = sum(part.rows for part in diagram)
    return sum(part.rows * abs(part.predicted - part.observed) for part in diagram) / rows if rows else 0.0
