"""Walk-forward: which rows train and which judge, so that no row is judged by a model that could know its future.

Time is cut into a first stretch that only trains and `n_folds` stretches that judge, each with the same number of decision
times. Training rows end before the fold: those whose label reaches into it, or into the embargo before it, are purged
(López de Prado, Advances in Financial Machine Learning, chapter 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
import polars as pl

from trading_assets.core.errors import InputError
from trading_assets.core.learning.calibration import CalibrationChoice, calibrate, choose
from trading_assets.core.learning.logistic import fit_regression, probabilities
from trading_assets.core.learning.meta_model import TrainingParams, train_on
from trading_assets.core.learning.uniqueness import sample_weights

Scheme: TypeAlias = Literal["expanding", "sliding"]

FOLDS = 5
EMBARGO = timedelta(hours=1)
FOLDS_AT_ONCE = 2


@dataclass(frozen=True)
class Fold:
    """Row numbers that train and row numbers that judge, and the fold's span of decision times, both inclusive."""

    train: np.ndarray
    test: np.ndarray
    start_ms: int
    end_ms: int


def splits(
    decided_ms: np.ndarray,
    label_end_ms: np.ndarray,
    n_folds: int = FOLDS,
    embargo: timedelta = EMBARGO,
    scheme: Scheme = "expanding",
) -> tuple[Fold, ...]:
    """Cut rows (n,) into folds by time; rows may be in any order. Rows of one decision time stay together.

    `sliding` keeps the training stretch as long as the first one. Raises InputError where there are fewer decision
    times than stretches.
    """
    times = np.unique(decided_ms)
    if n_folds < 1 or len(times) < n_folds + 1:
        raise InputError(
            "splitting",
            "learning dataset",
            f"{len(times)} decision times do not make {n_folds} folds",
            "collect more decisions",
        )
    edges = np.linspace(0, len(times), n_folds + 2).astype(np.int64)
    margin = embargo // timedelta(milliseconds=1)
    span = int(times[edges[1]] - times[0])
    folds = []
    for first, following in pairwise(edges[1:]):
        start, end = int(times[first]), int(times[following - 1])
        may_train = (decided_ms < start) & (label_end_ms < start - margin)
        if scheme == "sliding":
            may_train &= decided_ms >= start - span
        is_test = (decided_ms >= start) & (decided_ms <= end)
        folds.append(Fold(np.flatnonzero(may_train), np.flatnonzero(is_test), start, end))
    return tuple(folds)


@dataclass(frozen=True)
class OutOfFold:
    """Predictions for the rows that were judged, each by a model that knew only rows before its fold. Arrays (m,)."""

    rows: np.ndarray
    """Row numbers in the data."""
    fold: np.ndarray
    raw: np.ndarray
    probability: np.ndarray
    """Calibrated on the folds before; the first fold has nothing to calibrate on and keeps its raw score."""
    baseline: np.ndarray
    """Share of wins of the same exit profile among the fold's training rows: what is known without a model."""
    calibrations: tuple[CalibrationChoice, ...]
    """How each fold's scores were calibrated, chosen and fitted on the folds before it."""

    def judged(self) -> OutOfFold:
        """Return the rows after the first fold: those whose probability was calibrated."""
        keep = self.fold > 0
        return OutOfFold(
            rows=self.rows[keep],
            fold=self.fold[keep],
            raw=self.raw[keep],
            probability=self.probability[keep],
            baseline=self.baseline[keep],
            calibrations=self.calibrations[1:],
        )


def predict_out_of_fold(
    matrix: np.ndarray,
    frame: pl.DataFrame,
    feature_names: tuple[str, ...],
    folds: Sequence[Fold],
    params: TrainingParams,
    embargo: timedelta = EMBARGO,
) -> OutOfFold:
    """Train one model per fold on matrix (n, k) and score the fold's rows with it.

    `frame` holds `is_win`, `exit_profile`, `symbol`, `decided_at` and `label_end_at` of the same n rows. The matrix may hold
    further columns behind the features: forecasts of base models that knew only rows before each row's own stretch.
    """
    is_win = frame["is_win"].to_numpy()
    decided_ms, symbol = frame["decided_at"].dt.epoch("ms").to_numpy(), symbols_of(frame)
    profile = frame["exit_profile"].to_numpy()
    label_end_ms = frame["label_end_at"].dt.epoch("ms").to_numpy()
    margin = embargo // timedelta(milliseconds=1)

    def score(fold: Fold) -> np.ndarray:
        train = fold.train
        weights = sample_weights(decided_ms[train], label_end_ms[train], symbol[train])
        return train_on(matrix[train], is_win[train], feature_names, params, weights).raw_score(matrix[fold.test])

    # Each fold is trained by one thread and knows nothing of the others, so side by side they give the same bytes. The
    # longest go first, so that no thread waits at the end for another's.
    with ThreadPoolExecutor(FOLDS_AT_ONCE) as pool:
        longest_first = sorted(range(len(folds)), key=lambda number: -len(folds[number].train))
        scoring = {number: pool.submit(score, folds[number]) for number in longest_first}
        raws = [scoring[number].result() for number in range(len(folds))]
    probabilities, choices = [], []
    for number, fold in enumerate(folds):
        before = np.concatenate([part.test for part in folds[:number]]) if number else np.empty(0, dtype=np.int64)
        is_known = label_end_ms[before] < fold.start_ms - margin
        scores = np.concatenate(raws[:number])[is_known] if number else np.empty(0)
        known = before[is_known]
        choices.append(choose(scores, is_win[known], decided_ms[known], label_end_ms[known], margin))
        probabilities.append(calibrate(raws[number], choices[-1].calibration))
    return OutOfFold(
        rows=np.concatenate([fold.test for fold in folds]),
        fold=np.repeat(np.arange(len(folds)), [len(fold.test) for fold in folds]),
        raw=np.concatenate(raws),
        probability=np.concatenate(probabilities),
        baseline=np.concatenate([_win_share(is_win, profile, fold) for fold in folds]),
        calibrations=tuple(choices),
    )


def baseline_out_of_fold(
    matrix: np.ndarray, is_win: np.ndarray, columns: Sequence[int], folds: Sequence[Fold]
) -> np.ndarray:
    """Return the logistic baseline's probability for each judged row, in the order of the folds, fitted on the fold's training rows."""
    fitted = [fit_regression(matrix[fold.train], is_win[fold.train], columns) for fold in folds]
    return np.concatenate(
        [probabilities(one.log_odds(matrix[fold.test])) for one, fold in zip(fitted, folds, strict=True)]
    )


def symbols_of(frame: pl.DataFrame) -> np.ndarray:
    """Return a number for each row's symbol, shape (n,)."""
    return frame["symbol"].rank("dense").to_numpy()


def _win_share(is_win: np.ndarray, profile: np.ndarray, fold: Fold) -> np.ndarray:
    """Return for each row of the fold the share of wins of its exit profile in training; of all for a new profile."""
    trained, asked = profile[fold.train], profile[fold.test]
    shares = np.full(len(fold.test), is_win[fold.train].mean())
    for name in np.unique(asked.astype(str)):
        of_profile = trained == name
        if of_profile.any():
            shares[asked == name] = is_win[fold.train][of_profile].mean()
    return np.asarray(np.clip(shares, 0.001, 0.999))
