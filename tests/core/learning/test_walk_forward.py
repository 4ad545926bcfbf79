"""Walk-forward: no training label reaches into the fold that judges."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.errors import InputError
from trading_assets.core.learning.meta_model import TrainingParams, matrix_of
from trading_assets.core.learning.walk_forward import predict_out_of_fold, splits

HOUR = 3_600_000


@st.composite
def timelines(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Decision times, several rows each, and label ends at any distance, in any order."""
    times = draw(st.lists(st.integers(0, 400), min_size=8, max_size=60))
    decided = np.repeat(np.array(times, dtype=np.int64), 2) * HOUR
    lengths = draw(st.lists(st.integers(0, 300), min_size=len(decided), max_size=len(decided)))
    return decided, decided + np.array(lengths, dtype=np.int64) * HOUR


@settings(max_examples=200, deadline=None)
@given(timelines(), st.integers(1, 6), st.integers(0, 48), st.sampled_from(["expanding", "sliding"]))
def test_no_training_label_reaches_into_the_fold_or_its_embargo(
    timeline: tuple[np.ndarray, np.ndarray], n_folds: int, embargo_hours: int, scheme: str
) -> None:
    decided, label_end = timeline
    if len(np.unique(decided)) < n_folds + 1:
        with pytest.raises(InputError, match="do not make"):
            splits(decided, label_end, n_folds)
        return
    folds = splits(decided, label_end, n_folds, timedelta(hours=embargo_hours), scheme)  # type: ignore[arg-type]
    assert len(folds) == n_folds
    for fold in folds:
        assert (label_end[fold.train] < fold.start_ms - embargo_hours * HOUR).all()
        assert (decided[fold.train] < decided[fold.test].min()).all()
        assert not set(fold.train) & set(fold.test)


@settings(max_examples=100, deadline=None)
@given(timelines(), st.integers(1, 6))
def test_folds_follow_each_other_and_judge_each_row_at_most_once(
    timeline: tuple[np.ndarray, np.ndarray], n_folds: int
) -> None:
    decided, label_end = timeline
    if len(np.unique(decided)) < n_folds + 1:
        return
    folds = splits(decided, label_end, n_folds)
    judged = np.concatenate([fold.test for fold in folds])
    assert len(judged) == len(set(judged))
    assert set(judged) == set(np.flatnonzero(decided >= folds[0].start_ms))
    assert all(before.end_ms < after.start_ms for before, after in pairwise(folds))


def test_expanding_keeps_every_row_that_may_train_and_sliding_a_span_as_long_as_the_first() -> None:
    decided = np.arange(120, dtype=np.int64) * HOUR
    label_end = decided + HOUR
    expanding = splits(decided, label_end, 5, timedelta(0), "expanding")
    sliding = splits(decided, label_end, 5, timedelta(0), "sliding")
    assert [len(fold.train) for fold in expanding] == [19, 39, 59, 79, 99]
    assert [len(fold.train) for fold in sliding] == [19, 19, 19, 19, 19]


def test_purging_takes_out_the_rows_whose_label_is_still_open() -> None:
    decided = np.arange(120, dtype=np.int64) * HOUR
    short = splits(decided, decided + HOUR, 5, timedelta(0))
    long = splits(decided, decided + 10 * HOUR, 5, timedelta(0))
    embargoed = splits(decided, decided + 10 * HOUR, 5, timedelta(hours=4))
    assert [len(fold.train) for fold in short] == [19, 39, 59, 79, 99]
    assert [len(fold.train) for fold in long] == [10, 30, 50, 70, 90]
    assert [len(fold.train) for fold in embargoed] == [6, 26, 46, 66, 86]


def test_a_fold_is_scored_without_its_own_and_later_outcomes(make_rows, feature_names) -> None:  # type: ignore[no-untyped-def]
    """Turning every outcome from a fold on into a win changes nothing that was predicted up to it."""
    frame = make_rows(3, days=12, edge=0.5)
    decided = frame["decided_at"].dt.epoch("ms").to_numpy()
    label_end = frame["label_end_at"].dt.epoch("ms").to_numpy()
    folds = splits(decided, label_end, 3)
    params = TrainingParams(trees=10, leaves=7, rows_per_leaf=50)
    matrix = matrix_of(frame, len(feature_names))
    honest = predict_out_of_fold(matrix, frame, feature_names, folds, params)
    spoilt = frame.with_columns(is_win=pl.col("is_win") | (pl.col("label_end_at").dt.epoch("ms") >= folds[1].start_ms))
    told = predict_out_of_fold(matrix, spoilt, feature_names, folds, params)
    until = honest.fold <= 1
    assert np.array_equal(honest.raw[until], told.raw[until])
    assert np.array_equal(honest.probability[until], told.probability[until])
    assert np.array_equal(honest.baseline[until], told.baseline[until])
    assert not np.array_equal(honest.raw[~until], told.raw[~until])
    assert set(honest.judged().fold) == {1, 2}


def test_folds_trained_side_by_side_score_as_each_does_alone(make_rows, feature_names) -> None:  # type: ignore[no-untyped-def]
    frame = make_rows(4, days=12, edge=0.5)
    decided = frame["decided_at"].dt.epoch("ms").to_numpy()
    folds = splits(decided, frame["label_end_at"].dt.epoch("ms").to_numpy(), 4)
    params = TrainingParams(trees=20, leaves=7, rows_per_leaf=50)
    matrix = matrix_of(frame, len(feature_names))
    together = predict_out_of_fold(matrix, frame, feature_names, folds, params)
    alone = [predict_out_of_fold(matrix, frame, feature_names, [fold], params).raw for fold in folds]
    assert np.array_equal(together.raw, np.concatenate(alone))
