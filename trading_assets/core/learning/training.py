"""Training from beginning to end: variants tried in walk-forward, the best one judged and trained on all rows.

The pieces live beside it: `walk_forward` says which rows, `meta_model` trains, `calibration` and `evaluation` measure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import numpy as np
import polars as pl

from trading_assets.core.errors import InputError
from trading_assets.core.learning.calibration import fit_knots
from trading_assets.core.learning.evaluation import Evaluation, evaluate
from trading_assets.core.learning.meta_model import MetaModel, TrainingParams, matrix_of, train_on
from trading_assets.core.learning.walk_forward import (
    EMBARGO,
    FOLDS,
    OutOfFold,
    Scheme,
    predict_out_of_fold,
    splits,
)

RECENT_DECISIONS = 20_000
MOST_ROWS = 250_000

JUDGED_COLUMNS = (
    "idea_id",
    "signal_id",
    "decided_at",
    "label_end_at",
    "feature_set_version",
    "regime",
    "exit_profile",
    "is_win",
    "result_r",
    "profit_tier",
)


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One way to train: which rows a fold learns from, and the trees' parameters."""

    name: str
    scheme: Scheme
    params: TrainingParams = TrainingParams()


VARIANTS = (Variant(name="expanding", scheme="expanding"), Variant(name="sliding", scheme="sliding"))


@dataclass(frozen=True)
class Training:
    """The model of the best variant with its evaluation, and those of all variants that were tried."""

    model: MetaModel
    variant: Variant
    evaluation: Evaluation
    tried: dict[str, Evaluation]
    judged: pl.DataFrame
    """Rows judged out of sample: JUDGED_COLUMNS, fold, probability, baseline."""
    row_count: int
    win_share: float
    trained_until: datetime
    """Latest label end among the rows: later decisions are new to the model."""


def fit(
    frame: pl.DataFrame,
    feature_names: tuple[str, ...],
    variants: Sequence[Variant] = VARIANTS,
    *,
    n_folds: int = FOLDS,
    embargo: timedelta = EMBARGO,
    recent_decisions: int = RECENT_DECISIONS,
    most_rows: int = MOST_ROWS,
    progress: Callable[[str], None] = lambda _: None,
) -> Training:
    """Train on dataset rows of one feature set version. Same rows and arguments, same bytes.

    Beyond `most_rows` the oldest rows are left out. A sliding variant trains the final model on its last span too.
    Raises InputError where the rows do not suffice.
    """
    rows = _usable(frame, most_rows)
    matrix = matrix_of(rows, len(feature_names))
    # The matrix holds the features from here on; a second copy would only take memory.
    rows = rows.select(JUDGED_COLUMNS)
    results: dict[str, tuple[Variant, OutOfFold, Evaluation]] = {}
    for variant in variants:
        progress(f"walk-forward, {variant.name}")
        results[variant.name] = _try(
            variant, matrix, rows, feature_names, n_folds, embargo, recent_decisions, len(variants)
        )
    best = min(results.values(), key=lambda result: result[2].log_loss)
    variant, out_of_fold, evaluation = best
    progress("training on all rows")
    model = _final(variant, matrix, rows, feature_names, n_folds, out_of_fold)
    judged = out_of_fold.judged()
    return Training(
        model=model,
        variant=variant,
        evaluation=evaluation,
        tried={name: result[2] for name, result in results.items()},
        judged=rows[judged.rows].with_columns(
            pl.Series("fold", judged.fold),
            pl.Series("probability", judged.probability),
            pl.Series("baseline", judged.baseline),
        ),
        row_count=len(rows),
        win_share=float(rows["is_win"].mean()),  # type: ignore[arg-type]
        trained_until=rows["label_end_at"].max(),  # type: ignore[arg-type]
    )


def _usable(frame: pl.DataFrame, most_rows: int) -> pl.DataFrame:
    versions = sorted(set(frame["feature_set_version"]))
    if len(versions) != 1:
        raise InputError(
            "training",
            "meta-model",
            f"the rows are of {len(versions)} feature set versions ({', '.join(versions) or 'none'})",
            "pass labelled rows of exactly one",
        )
    return frame.sort("decided_at", "idea_id").tail(most_rows)


def _try(
    variant: Variant,
    matrix: np.ndarray,
    rows: pl.DataFrame,
    feature_names: tuple[str, ...],
    n_folds: int,
    embargo: timedelta,
    recent_decisions: int,
    variants_tried: int,
) -> tuple[Variant, OutOfFold, Evaluation]:
    decided_ms, label_end_ms = _times(rows)
    folds = splits(decided_ms, label_end_ms, n_folds, embargo, variant.scheme)
    out_of_fold = predict_out_of_fold(matrix, rows, feature_names, folds, variant.params, embargo)
    judged = out_of_fold.judged()
    evaluation = evaluate(
        rows[judged.rows],
        judged.probability,
        judged.baseline,
        variants_tried=variants_tried,
        recent_decisions=recent_decisions,
    )
    return variant, out_of_fold, evaluation


def _final(
    variant: Variant,
    matrix: np.ndarray,
    rows: pl.DataFrame,
    feature_names: tuple[str, ...],
    n_folds: int,
    out_of_fold: OutOfFold,
) -> MetaModel:
    """Train on all rows, for sliding on the last span alone, calibrated on the out-of-fold predictions."""
    is_win = rows["is_win"].to_numpy()
    first = 0
    if variant.scheme == "sliding":
        decided_ms, _ = _times(rows)
        times = np.unique(decided_ms)
        span = times[len(times) // (n_folds + 1)] - times[0]
        first = int(np.searchsorted(decided_ms, times[-1] - span))
    knots = fit_knots(out_of_fold.raw, is_win[out_of_fold.rows])
    return train_on(matrix[first:], is_win[first:], feature_names, variant.params).calibrated(knots)


def _times(rows: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return rows["decided_at"].dt.epoch("ms").to_numpy(), rows["label_end_at"].dt.epoch("ms").to_numpy()


def against_champion(
    training: Training, champion: MetaModel, frame: pl.DataFrame, champion_trained_until: datetime
) -> tuple[Evaluation, Evaluation] | None:
    """Judge challenger and champion on the same rows: those judged out of fold and decided after the champion was trained.

    `frame` is the dataset the challenger was trained on. None when there are no such rows, or the champion reads other features.
    """
    if champion.feature_names != training.model.feature_names:
        return None
    fresh = training.judged.filter(pl.col("decided_at") > champion_trained_until)
    rows = fresh.join(
        frame.select("idea_id", "features"), on="idea_id", how="inner", maintain_order="left", validate="1:1"
    )
    if rows.is_empty():
        return None
    baseline = rows["baseline"].to_numpy()
    theirs = champion.win_probability(matrix_of(rows, len(champion.feature_names)))
    tried = training.evaluation.variants_tried
    return (
        evaluate(rows, rows["probability"].to_numpy(), baseline, variants_tried=tried),
        evaluate(rows, theirs, baseline, variants_tried=tried),
    )
