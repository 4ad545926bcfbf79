"""Combinatorial purged cross-validation: every choice judged, nothing known of what is judged, every path whole."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from math import comb

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.errors import InputError
from trading_assets.core.learning.combinatorial import combinations_of, path_count, predict_paths
from trading_assets.core.learning.figures import area_under_curve
from trading_assets.core.learning.meta_model import TrainingParams, matrix_of

HOUR = 3_600_000


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60)), min_size=8, max_size=60),
    st.integers(3, 6),
    st.integers(0, 24),
    st.data(),
)
def test_no_training_label_touches_a_judged_group_or_its_embargo(
    rows: list[tuple[int, int]], groups: int, embargo_hours: int, data: st.DataObject
) -> None:
    decided = np.array([at for at, _ in rows], dtype=np.int64) * HOUR
    label_end = decided + np.array([length for _, length in rows], dtype=np.int64) * HOUR
    judged = data.draw(st.integers(1, groups - 1))
    if len(np.unique(decided)) < groups:
        with pytest.raises(InputError, match="do not make"):
            combinations_of(decided, label_end, groups, judged)
        return
    found = combinations_of(decided, label_end, groups, judged, timedelta(hours=embargo_hours))
    assert len(found) == comb(groups, judged)
    margin = embargo_hours * HOUR
    for one in found:
        for test in one.test.values():
            begin, end = decided[test].min() - margin, label_end[test].max() + margin
            assert ((label_end[one.train] < begin) | (decided[one.train] > end)).all()
        assert not set(one.train) & set(np.concatenate(list(one.test.values())))
    every = {group: rows for one in found for group, rows in one.test.items()}
    assert sorted(np.concatenate(list(every.values()))) == list(range(len(decided)))


def test_every_path_judges_every_row_once(
    make_rows: Callable[..., pl.DataFrame], feature_names: tuple[str, ...]
) -> None:
    frame = make_rows(11, days=16, edge=0.9)
    decided, label_end = (frame[name].dt.epoch("ms").to_numpy() for name in ("decided_at", "label_end_at"))
    chosen = combinations_of(decided, label_end, 4, 2)
    params = TrainingParams(trees=15, leaves=7, rows_per_leaf=50)
    paths = predict_paths(matrix_of(frame, len(feature_names)), frame, feature_names, chosen, params)
    assert paths.shape == (path_count(4, 2), len(frame)) == (3, len(frame))
    assert np.isfinite(paths).all()
    is_win = frame["is_win"].to_numpy()
    assert min(area_under_curve(path, is_win) for path in paths) > 0.6


def test_a_choice_of_all_or_no_groups_is_refused() -> None:
    times = np.arange(20) * HOUR
    for judged in (0, 4):
        with pytest.raises(InputError, match="do not make"):
            combinations_of(times, times, 4, judged)
