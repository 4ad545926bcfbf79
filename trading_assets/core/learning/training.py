"""Training from beginning to end: variants tried in walk-forward, the best one shown the holdout, and trained on all rows.

The pieces live beside it: `variants` are what is tried, `training_rows` prepares, `holdout` cuts off what no choice may see,
`walk_forward` says which rows, `base_models` forecast the market, `meta_model` trains, `search` looks for parameters, `logistic`
is the baseline, `calibration` and `evaluation` measure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import numpy as np
import polars as pl

from trading_assets.core.learning.calibration import CalibrationChoice, calibrate, choose
from trading_assets.core.learning.evaluation import Evaluation, evaluate
from trading_assets.core.learning.logistic import baseline_columns
from trading_assets.core.learning.meta_model import MetaModel, matrix_of, train_on
from trading_assets.core.learning.search import Search, search
from trading_assets.core.learning.training_rows import JUDGED_COLUMNS, TrainingRows, prepared, usable
from trading_assets.core.learning.uniqueness import sample_weights
from trading_assets.core.learning.variants import VARIANTS, Variant
from trading_assets.core.learning.walk_forward import (
    EMBARGO,
    FOLDS,
    Fold,
    OutOfFold,
    baseline_out_of_fold,
    predict_out_of_fold,
    symbols_of,
)

RECENT_DECISIONS = 20_000
MOST_ROWS = 250_000


@dataclass(frozen=True)
class Training:
    """The model of the best variant with its evaluation, and those of all variants that were tried."""

    model: MetaModel
    variant: Variant
    evaluation: Evaluation
    """On all judged rows, the holdout among them."""
    holdout: Evaluation
    """On the holdout alone: rows that had no part in any choice."""
    logistic: Evaluation | None
    """The logistic baseline on the rows of `evaluation`; None where its features are not there."""
    tried: dict[str, Evaluation]
    """On the development rows, by which the variant was chosen."""
    variants: frozenset[str]
    """Hashes of every variant ever tried, those of this training among them."""
    calibration: CalibrationChoice
    """Of the model, on all out-of-fold predictions."""
    judged: pl.DataFrame
    """Rows judged out of sample: JUDGED_COLUMNS, fold, is_holdout, raw, probability, baseline, logistic (null without one)."""
    row_count: int
    win_share: float
    trained_until: datetime
    """Latest label end among the rows: later decisions are new to the model."""
    remarks: tuple[str, ...]
    """What stands out in the rows' features."""


def fit(
    frame: pl.DataFrame,
    feature_names: tuple[str, ...],
    variants: Sequence[Variant] = VARIANTS,
    *,
    n_folds: int = FOLDS,
    embargo: timedelta = EMBARGO,
    recent_decisions: int = RECENT_DECISIONS,
    most_rows: int = MOST_ROWS,
    asked: Search | None = None,
    earlier_variants: Collection[str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> Training:
    """Train on dataset rows of one feature set version. Same rows and arguments, same bytes.

    The last of `n_folds` folds is the holdout. Beyond `most_rows` the oldest rows are left out. A sliding variant trains the final
    model on its last span too. Stacked variants are left out where rows carry no forward returns. `earlier_variants` are the
    hashes of those that earlier trainings tried. Raises InputError where the rows do not suffice.
    """
    data = prepared(usable(frame, most_rows), feature_names, variants, n_folds, embargo, progress)
    variants = [one for one in variants if data.base_rows is not None or not one.is_stacked]
    hashes = set(earlier_variants)
    if asked is not None and asked.trials:
        progress(f"searching, {asked.trials} trials")
        trials = search(
            data.split.development.narrowed(len(feature_names)), feature_names, data.first_judged_ms(), asked, embargo
        )
        hashes |= {Variant(name="", scheme="expanding", params=one.params).sha256 for one in trials}
        variants = [*variants, Variant(name="searched", scheme="expanding", params=trials[0].params)]
    hashes |= {one.sha256 for one in variants}
    results: dict[str, tuple[Variant, OutOfFold, Evaluation]] = {}
    for variant in variants:
        progress(f"walk-forward, {variant.name}")
        results[variant.name] = _try(variant, data, recent_decisions, len(hashes))
    variant, out_of_fold, _ = min(results.values(), key=lambda result: result[2].log_loss)
    progress("judging on the holdout, training on all rows")
    # The final trees know nothing of the holdout's, so they are trained beside them; only the calibration waits for both.
    with ThreadPoolExecutor(1) as pool:
        trees = pool.submit(_final, variant, data)
        out_of_fold = _with_holdout(variant, data, out_of_fold)
        judged = _judged_rows(variant, data, out_of_fold)
        chosen = _calibration(data, out_of_fold.rows, out_of_fold.raw)
    rows = data.whole.rows
    return Training(
        model=trees.result().calibrated(chosen.calibration),
        variant=variant,
        evaluation=msgspec.structs.replace(
            _evaluation(judged, "probability", len(hashes), recent_decisions),
            calibration=chosen,
            fold_calibrations=tuple(one.method for one in out_of_fold.calibrations[1:]),
        ),
        holdout=_evaluation(judged.filter("is_holdout"), "probability", len(hashes), recent_decisions),
        logistic=None
        if judged["logistic"].is_null().any()
        else _evaluation(judged, "logistic", len(hashes), recent_decisions),
        tried={name: result[2] for name, result in results.items()},
        variants=frozenset(hashes),
        calibration=chosen,
        judged=judged,
        row_count=len(rows),
        win_share=float(rows["is_win"].mean()),  # type: ignore[arg-type]
        trained_until=rows["label_end_at"].max(),  # type: ignore[arg-type]
        remarks=data.remarks,
    )


def _try(
    variant: Variant, data: TrainingRows, recent_decisions: int, variants_tried: int
) -> tuple[Variant, OutOfFold, Evaluation]:
    """Judge a variant on the development rows alone."""
    columns = data.columns(variant)
    known = data.split.development.narrowed(len(columns))
    folds = data.development_folds(variant.scheme)
    out_of_fold = predict_out_of_fold(known.matrix, known.rows, columns, folds, variant.params, data.embargo)
    judged = out_of_fold.judged()
    evaluation = evaluate(
        known.rows[judged.rows],
        judged.probability,
        judged.baseline,
        variants_tried=variants_tried,
        recent_decisions=recent_decisions,
    )
    return variant, out_of_fold, evaluation


def _with_holdout(variant: Variant, data: TrainingRows, development: OutOfFold) -> OutOfFold:
    """Add the holdout's predictions, calibrated on the folds before it; rows are numbered in the whole from here on."""
    columns = data.columns(variant)
    fold = data.holdout_fold(variant)
    held = predict_out_of_fold(
        data.whole.matrix[:, : len(columns)], data.whole.rows, columns, [fold], variant.params, data.embargo
    )
    rows = data.split.development_rows[development.rows]
    chosen = _calibration(data, rows, development.raw)
    probability = calibrate(held.raw, chosen.calibration)
    return OutOfFold(
        rows=np.concatenate([rows, held.rows]),
        fold=np.concatenate([development.fold, np.full(len(held.rows), data.n_folds - 1)]),
        raw=np.concatenate([development.raw, held.raw]),
        probability=np.concatenate([development.probability, probability]),
        baseline=np.concatenate([development.baseline, held.baseline]),
        calibrations=(*development.calibrations, chosen),
    )


def _calibration(data: TrainingRows, rows: np.ndarray, raw: np.ndarray) -> CalibrationChoice:
    """Choose a calibration on out-of-fold scores of these rows of the whole, and fit it on all of them."""
    whole = data.whole
    is_win = whole.rows["is_win"].to_numpy()[rows]
    margin = data.embargo // timedelta(milliseconds=1)
    return choose(raw, is_win, whole.decided_ms[rows], whole.label_end_ms[rows], margin)


def _calibrated_alike(
    data: TrainingRows, out_of_fold: OutOfFold, said: np.ndarray, folds: Sequence[Fold]
) -> np.ndarray:
    """Calibrate the baseline's scores as the model's were, each fold on those before it: like is compared with like."""
    margin = data.embargo // timedelta(milliseconds=1)
    calibrated = said.copy()
    for number, fold in enumerate(folds):
        is_before = (out_of_fold.fold < number) & (data.whole.label_end_ms[out_of_fold.rows] < fold.start_ms - margin)
        is_here = out_of_fold.fold == number
        calibrated[is_here] = calibrate(
            said[is_here], _calibration(data, out_of_fold.rows[is_before], said[is_before]).calibration
        )
    return calibrated


def _judged_rows(variant: Variant, data: TrainingRows, out_of_fold: OutOfFold) -> pl.DataFrame:
    """Return the rows whose probability was calibrated, each with what was said of it."""
    known = data.split.development_rows
    folds = [
        Fold(known[fold.train], known[fold.test], fold.start_ms, fold.end_ms)
        for fold in data.development_folds(variant.scheme)
    ]
    folds.append(data.holdout_fold(variant))
    columns = baseline_columns(data.feature_names)
    is_win = data.whole.rows["is_win"].to_numpy()
    said = (
        baseline_out_of_fold(data.whole.matrix, is_win, columns, folds)
        if columns
        else np.full(len(out_of_fold.rows), np.nan)
    )
    if columns:
        said = _calibrated_alike(data, out_of_fold, said, folds)
    judged = out_of_fold.judged()
    return data.whole.rows[judged.rows].select(JUDGED_COLUMNS).with_columns(
        pl.Series("fold", judged.fold),
        pl.Series("is_holdout", judged.fold == data.n_folds - 1),
        pl.Series("raw", judged.raw),
        pl.Series("probability", judged.probability),
        pl.Series("baseline", judged.baseline),
        pl.Series("logistic", said[out_of_fold.fold > 0], nan_to_null=True),
    )  # fmt: skip


def _evaluation(judged: pl.DataFrame, said: str, variants_tried: int, recent_decisions: int) -> Evaluation:
    return evaluate(
        judged,
        judged[said].to_numpy(),
        judged["baseline"].to_numpy(),
        variants_tried=variants_tried,
        recent_decisions=recent_decisions,
    )


def _final(variant: Variant, data: TrainingRows) -> MetaModel:
    """Train on all rows, for sliding on the last span alone; uncalibrated."""
    whole, rows = data.whole, data.whole.rows
    is_win = rows["is_win"].to_numpy()
    first = 0
    if variant.scheme == "sliding":
        first = int(np.searchsorted(whole.decided_ms, whole.decided_ms[-1] - data.span_ms()))
    weights = sample_weights(whole.decided_ms[first:], whole.label_end_ms[first:], symbols_of(rows)[first:])
    matrix = whole.matrix[first:, : len(data.columns(variant))]
    return train_on(matrix, is_win[first:], data.feature_names, variant.params, weights, data.bases(variant))


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
