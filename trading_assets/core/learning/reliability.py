"""Reliability: how far off probabilities are. The diagram, its mean distance, and the parts of the Brier score.

The parts are those of Murphy (A New Vector Partition of the Probability Score, 1973). What makes probabilities of
scores is `calibration`.
"""

from __future__ import annotations

import msgspec
import numpy as np


class ReliabilityBin(msgspec.Struct, frozen=True, kw_only=True):
    """One bin of the reliability diagram."""

    rows: int
    predicted: float
    """Mean probability."""
    observed: float
    """Share of wins."""


class BrierParts(msgspec.Struct, frozen=True, kw_only=True):
    """Brier score = reliability - resolution + uncertainty + within_bins."""

    reliability: float
    """Squared distance of predicted from observed: 0 is honest."""
    resolution: float
    """How much the bins differ in what was observed: 0 tells nothing apart."""
    uncertainty: float
    """Brier score of always saying the share of wins."""
    within_bins: float
    """What binning leaves over: probabilities of one bin differ a little (Stephenson, Coelho and Jolliffe, 2008)."""


def bins_of(probability: np.ndarray, bins: int = 10) -> np.ndarray:
    """Return the number of each row's bin (n,): bins of equal count by probability, or one for each where there are few.

    Equal probabilities share a bin.
    """
    ordered = np.sort(probability)
    distinct = np.unique(ordered)
    if len(distinct) <= bins:
        return np.searchsorted(distinct, probability)
    edges = np.unique(ordered[np.linspace(0, len(ordered), min(bins, len(ordered)) + 1).astype(np.int64)[:-1]])
    return np.searchsorted(edges, probability, side="right") - 1


def reliability(probability: np.ndarray, is_win: np.ndarray, bins: int = 10) -> tuple[ReliabilityBin, ...]:
    """Compare predicted with observed wins in each bin of rows (n,)."""
    part = bins_of(probability, bins)
    counts = np.bincount(part)
    predicted, observed = (np.bincount(part, weights=values) for values in (probability, is_win.astype(np.float64)))
    return tuple(
        ReliabilityBin(rows=int(count), predicted=float(said / count), observed=float(won / count))
        for count, said, won in zip(counts, predicted, observed, strict=True)
        if count
    )


def calibration_error(diagram: tuple[ReliabilityBin, ...]) -> float:
    """Return the expected calibration error: mean distance of predicted from observed, weighted by rows."""
    rows = sum(part.rows for part in diagram)
    return sum(part.rows * abs(part.predicted - part.observed) for part in diagram) / rows if rows else 0.0


def brier_parts(diagram: tuple[ReliabilityBin, ...], brier: float) -> BrierParts:
    """Return the parts of a Brier score, by the diagram of the same rows."""
    counts = np.array([part.rows for part in diagram], dtype=np.float64)
    predicted = np.array([part.predicted for part in diagram])
    observed = np.array([part.observed for part in diagram])
    share = float((counts * observed).sum() / counts.sum())
    off = float((counts * (predicted - observed) ** 2).sum() / counts.sum())
    apart = float((counts * (observed - share) ** 2).sum() / counts.sum())
    uncertainty = share * (1.0 - share)
    return BrierParts(
        reliability=off, resolution=apart, uncertainty=uncertainty, within_bins=brier - (off - apart + uncertainty)
    )
