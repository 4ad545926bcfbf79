"""The holdout: whatever chooses gets rows that know nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from trading_assets.core.errors import InputError
from trading_assets.core.learning import training
from trading_assets.core.learning.holdout import Development, split_off
from trading_assets.core.learning.meta_model import TrainingParams, matrix_of
from trading_assets.core.learning.search import Search, search
from trading_assets.core.learning.training import fit
from trading_assets.core.learning.variants import Variant

EMBARGO = timedelta(hours=1)
SMALL = TrainingParams(trees=10, leaves=7, rows_per_leaf=50)
VARIANTS = (Variant(name="one", scheme="expanding", params=SMALL), Variant(name="two", scheme="sliding", params=SMALL))


def development(frame: pl.DataFrame, features: int) -> Development:
    return Development.of(matrix_of(frame, features), frame)


def test_no_row_of_the_development_is_decided_or_ends_in_the_holdout(
    make_rows: Callable[..., pl.DataFrame], feature_names: tuple[str, ...]
) -> None:
    whole = development(make_rows(1, days=12), len(feature_names))
    split = split_off(whole, 6, EMBARGO)
    known = split.development
    assert (known.decided_ms < split.start_ms).all()
    assert (known.label_end_ms < split.start_ms - 3_600_000).all()
    assert (whole.decided_ms[split.holdout_rows] >= split.start_ms).all()
    assert not set(split.development_rows) & set(split.holdout_rows)
    assert 0.15 < len(split.holdout_rows) / len(whole.decided_ms) < 0.18
    with pytest.raises(InputError, match="do not make"):
        split_off(whole, 10_000, EMBARGO)


def test_variants_and_the_search_are_handed_an_object_without_the_holdout(
    make_rows: Callable[..., pl.DataFrame], feature_names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = make_rows(2, days=16, edge=0.9)
    start_ms = split_off(development(frame, len(feature_names)), 6, EMBARGO).start_ms
    seen: list[Development] = []

    def spied(known: Development, *rest: object) -> object:
        seen.append(known)
        return search(known, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "search", spied)
    made = fit(frame, feature_names, VARIANTS, asked=Search(trials=2))
    (known,) = seen
    assert known.rows["label_end_at"].dt.epoch("ms").max() < start_ms - 3_600_000  # type: ignore[operator]
    assert len(known.matrix) == len(known.rows) < len(frame)
    assert made.judged.filter("is_holdout")["decided_at"].dt.epoch("ms").min() == start_ms
    assert made.holdout.rows == made.judged["is_holdout"].sum()


def test_no_outcome_of_the_holdout_changes_what_is_chosen(
    make_rows: Callable[..., pl.DataFrame], feature_names: tuple[str, ...]
) -> None:
    frame = make_rows(3, days=16, edge=0.5)
    start_ms = split_off(development(frame, len(feature_names)), 6, EMBARGO).start_ms
    spoilt = frame.with_columns(
        is_win=pl.when(pl.col("label_end_at").dt.epoch("ms") >= start_ms - 3_600_000)
        .then(~pl.col("is_win"))
        .otherwise(pl.col("is_win"))
    )
    honest, told = (fit(one, feature_names, VARIANTS, asked=Search(trials=2)) for one in (frame, spoilt))
    assert honest.tried == told.tried
    assert honest.variant == told.variant
    assert honest.holdout != told.holdout
    before = honest.judged.filter(~pl.col("is_holdout"))["probability"].to_numpy()
    assert np.array_equal(before, told.judged.filter(~pl.col("is_holdout"))["probability"].to_numpy())


def test_the_search_is_seeded_and_its_trials_are_counted_once_over_trainings(
    make_rows: Callable[..., pl.DataFrame], feature_names: tuple[str, ...]
) -> None:
    frame = make_rows(4, days=16, edge=0.9)
    first = fit(frame, feature_names, VARIANTS, asked=Search(trials=3, seed=1))
    again = fit(frame, feature_names, VARIANTS, asked=Search(trials=3, seed=1), earlier_variants=first.variants)
    other = fit(frame, feature_names, VARIANTS, asked=Search(trials=3, seed=2), earlier_variants=first.variants)
    assert first.model.to_bytes() == again.model.to_bytes()
    assert first.evaluation.variants_tried == again.evaluation.variants_tried == 5
    assert other.evaluation.variants_tried == 8
    assert "searched" in first.tried
    assert fit(frame, feature_names, VARIANTS).evaluation.variants_tried == 2
