"""Bad input to a training: each is refused in one sentence, or left out and told; never a model from nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from trading_assets.core.errors import InputError
from trading_assets.core.learning.inspection import known_by, remarks_on
from trading_assets.core.learning.meta_model import TrainingParams
from trading_assets.core.learning.training import Training, fit
from trading_assets.core.learning.variants import Variant

PARAMS = TrainingParams(trees=10, leaves=7, rows_per_leaf=100)
VARIANTS = (Variant(name="expanding", scheme="expanding", params=PARAMS),)


@pytest.fixture(scope="module")
def rows(make_rows: Callable[..., pl.DataFrame]) -> pl.DataFrame:
    return make_rows(3, days=10, edge=0.9)


def with_feature(rows: pl.DataFrame, place: int, values: np.ndarray) -> pl.DataFrame:
    """The rows with one feature replaced."""
    matrix = np.array(rows["features"].to_list())
    matrix[:, place] = values
    return rows.with_columns(features=pl.Series(matrix).arr.to_list())


def trained(rows: pl.DataFrame, names: tuple[str, ...]) -> Training:
    return fit(rows, names, VARIANTS)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda rows: rows.clear(), "there are no rows"),
        (lambda rows: rows.head(1), "decision times do not make"),
        (lambda rows: rows.head(6 * 5), "decision times do not make"),
        (lambda rows: rows.head(60), "decision times do not make"),
        (lambda rows: rows.with_columns(is_win=True), "nothing to learn from"),
        (lambda rows: rows.with_columns(is_win=False), "nothing to learn from"),
        (lambda rows: pl.concat([rows, rows.head(2)]), "4 rows share an idea_id with another"),
        (lambda rows: rows.with_columns(is_win=pl.lit(None, pl.Boolean)), "4320 rows have no result"),
        (lambda rows: rows.with_columns(result_r=float("nan")), "4320 rows have no result"),
        (lambda rows: rows.with_columns(result_r=float("inf")), "4320 rows have no result"),
        (lambda rows: rows.with_columns(label_end_at=pl.col("decided_at") - timedelta(seconds=1)), "labels end before"),
        (lambda rows: rows.with_columns(label_end_at=pl.lit(None, pl.Datetime("us", "UTC"))), "labels end before"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_in_one_sentence(
    rows: pl.DataFrame,
    feature_names: tuple[str, ...],
    spoil: Callable[[pl.DataFrame], pl.DataFrame],
    sentence: str,
) -> None:
    with pytest.raises(InputError, match=sentence) as refused:
        trained(spoil(rows), feature_names)
    assert str(refused.value).endswith(".")
    assert "\n" not in str(refused.value)


def test_a_constant_feature_is_told_and_does_no_harm(rows: pl.DataFrame, feature_names: tuple[str, ...]) -> None:
    training = trained(with_feature(rows, 5, np.full(len(rows), 7.0)), feature_names)
    assert training.remarks == ("1 features never change: feature_5",)
    assert dict(training.model.importance())["feature_5"] == 0.0
    assert np.isfinite(training.judged["probability"].to_numpy()).all()


def test_a_feature_that_is_never_known_is_told_and_does_no_harm(
    rows: pl.DataFrame, feature_names: tuple[str, ...]
) -> None:
    training = trained(with_feature(rows, 6, np.full(len(rows), np.nan)), feature_names)
    assert training.remarks == ("1 features are never known: feature_6",)
    assert np.isfinite(training.judged["probability"].to_numpy()).all()


def test_infinite_values_are_told_and_every_probability_is_one(
    rows: pl.DataFrame, feature_names: tuple[str, ...]
) -> None:
    spoilt = np.where(np.arange(len(rows)) % 50 == 0, np.inf, np.arange(len(rows)) % 7)
    training = trained(with_feature(rows, 6, spoilt), feature_names)
    assert "87 values are infinite" in training.remarks[0]
    assert training.judged["probability"].is_between(0, 1).all()


def test_a_storm_of_unknown_values_is_refused_and_a_shower_is_told() -> None:
    rng = np.random.default_rng(1)
    names = tuple(f"f{number}" for number in range(10))
    matrix = rng.normal(size=(30_000, 10)).astype(np.float32)
    assert remarks_on(matrix, names) == ()
    shower, storm = (np.where(rng.random(matrix.shape) < share, np.nan, matrix) for share in (0.1, 0.6))
    assert remarks_on(shower, names) == ("10% of the values are unknown",)
    with pytest.raises(InputError, match=r"60% of the features' values are unknown"):
        remarks_on(storm, names)
    silent = matrix.copy()
    silent[:16_000] = np.nan
    with pytest.raises(InputError, match="16000 of 30000 rows know nothing"):
        remarks_on(silent, names)
    with pytest.raises(InputError, match="not one feature is ever known"):
        remarks_on(np.full_like(matrix, np.nan), names)


def test_labels_that_end_after_the_cut_are_left_out_as_if_they_were_not_there(
    rows: pl.DataFrame, feature_names: tuple[str, ...]
) -> None:
    cut = rows["label_end_at"].sort()[len(rows) // 2 + 1000]
    known = rows.filter(pl.col("label_end_at") <= cut)
    assert known_by(rows, cut).equals(known)
    training = trained(known_by(rows, cut), feature_names)
    assert training.row_count == len(known) < len(rows)
    assert training.trained_until <= cut
    with pytest.raises(InputError, match="there are no rows"):
        trained(known_by(rows, rows["decided_at"].min() - timedelta(days=1)), feature_names)


def test_rows_of_two_feature_sets_are_refused_by_name(rows: pl.DataFrame, feature_names: tuple[str, ...]) -> None:
    mixed = rows.with_columns(
        feature_set_version=pl.when(pl.int_range(pl.len()) < 100)
        .then(pl.lit("older-1"))
        .otherwise("feature_set_version")
    )
    with pytest.raises(InputError, match=r"2 feature set versions \(older-1, synthetic-1\)"):
        trained(mixed, feature_names)
