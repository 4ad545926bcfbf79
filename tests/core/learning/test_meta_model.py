"""The meta-model: same data, same bytes; a row alone scores as in a batch; spoilt files are refused."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import msgspec
import numpy as np
import polars as pl
import pytest

from trading_assets.core.errors import InputError, StateError
from trading_assets.core.learning.logistic import fit_regression, probabilities
from trading_assets.core.learning.meta_model import MetaModel, TrainingParams, matrix_of, train
from trading_assets.core.release import Calibration

PARAMS = TrainingParams(trees=25, leaves=15, rows_per_leaf=50)
KNOTS = Calibration(raw=(0.2, 0.5, 0.8), calibrated=(0.3, 0.45, 0.6))


@pytest.fixture(scope="module")
def rows(make_rows: Callable[..., pl.DataFrame]) -> pl.DataFrame:
    return make_rows(1, days=8, edge=1.0)


@pytest.fixture(scope="module")
def model(rows: pl.DataFrame, feature_names: tuple[str, ...]) -> MetaModel:
    return train(rows, feature_names, PARAMS).calibrated(KNOTS)


def test_the_same_rows_and_parameters_give_the_same_bytes(
    rows: pl.DataFrame, model: MetaModel, feature_names: tuple[str, ...]
) -> None:
    again = train(rows.clone(), feature_names, PARAMS).calibrated(KNOTS)
    assert again.to_bytes() == model.to_bytes()
    assert again.version == model.version


def test_another_seed_is_another_model(rows: pl.DataFrame, model: MetaModel, feature_names: tuple[str, ...]) -> None:
    other = train(rows, feature_names, msgspec.structs.replace(PARAMS, seed=8))
    assert other.version != model.version


def test_a_row_alone_scores_exactly_as_in_a_batch(rows: pl.DataFrame, model: MetaModel) -> None:
    matrix = matrix_of(rows, 8)[:500].astype(np.float64)
    batch = model.win_probability(matrix)
    assert np.array_equal(batch, np.concatenate([model.win_probability(matrix[i : i + 1]) for i in range(500)]))
    assert np.array_equal(batch, np.concatenate([model.win_probability(matrix[i : i + 6]) for i in range(0, 500, 6)]))
    assert np.array_equal(batch, model.win_probability(matrix.astype(np.float32)))


@pytest.mark.parametrize(
    "calibration",
    [
        Calibration(method="platt", parameters=(0.8, -0.1)),
        Calibration(method="beta", parameters=(0.7, 1.1, 0.2)),
    ],
)
def test_a_curve_rests_in_the_file_and_scores_a_row_alone_exactly_as_in_a_batch(
    rows: pl.DataFrame, model: MetaModel, calibration: Calibration
) -> None:
    curved = MetaModel.from_bytes(model.calibrated(calibration).to_bytes())
    assert (curved.calibration, curved.version) == (calibration, model.calibrated(calibration).version)
    matrix = matrix_of(rows, 8)[:500].astype(np.float64)
    batch = curved.win_probability(matrix)
    assert np.array_equal(batch, np.concatenate([curved.win_probability(matrix[i : i + 1]) for i in range(500)]))
    assert np.array_equal(batch, np.concatenate([curved.win_probability(matrix[i : i + 6]) for i in range(0, 500, 6)]))


def test_the_file_of_a_model_from_before_there_were_curves_reads_as_the_very_same_version(model: MetaModel) -> None:
    assert b'"calibration":{"raw":[0.2,0.5,0.8],"calibrated":[0.3,0.45,0.6]}' in model.to_bytes()
    assert b'"method"' not in model.to_bytes()
    assert MetaModel.from_bytes(model.to_bytes()).version == model.version


def test_the_file_reads_back_as_the_same_model(rows: pl.DataFrame, model: MetaModel) -> None:
    read = MetaModel.from_bytes(model.to_bytes())
    matrix = matrix_of(rows, 8)
    assert (read.version, read.feature_names, read.calibration) == (model.version, model.feature_names, KNOTS)
    assert read.to_bytes() == model.to_bytes()
    assert np.array_equal(read.win_probability(matrix), model.win_probability(matrix))


def test_unknown_features_are_scored_too(model: MetaModel) -> None:
    probability = model.win_probability(np.full((3, 8), np.nan))
    assert probability.shape == (3,)
    assert np.isfinite(probability).all()
    assert model.win_probability(np.empty((0, 8))).shape == (0,)


def test_rows_of_another_width_are_refused(model: MetaModel) -> None:
    with pytest.raises(ValueError, match="8 candidate features"):
        model.win_probability(np.zeros((1, 7)))


def test_importance_puts_the_planted_features_first_and_sums_to_one(model: MetaModel) -> None:
    importance = model.importance()
    assert {name for name, _ in importance[:3]} == {"feature_0", "feature_1", "feature_2"}
    assert sum(share for _, share in importance) == pytest.approx(1.0)


BASELINE_NAMES = ("consensus", "dispersion", "reward_r", *(f"feature_{number}" for number in range(3, 8)))


@pytest.fixture(scope="module")
def mixed(rows: pl.DataFrame) -> MetaModel:
    """A model on features of the logistic baseline, whose regression it carries inside."""
    return train(rows, BASELINE_NAMES, PARAMS).calibrated(KNOTS)


def test_the_log_odds_of_trees_and_regression_are_averaged(rows: pl.DataFrame, mixed: MetaModel) -> None:
    matrix = matrix_of(rows, 8)
    trees = train(rows, BASELINE_NAMES, msgspec.structs.replace(PARAMS, logistic_share=0.0))
    regression = train(rows, BASELINE_NAMES, msgspec.structs.replace(PARAMS, logistic_share=1.0))
    assert (trees.logistic_share, mixed.logistic_share, regression.logistic_share) == (0.0, 0.5, 1.0)
    alone = fit_regression(matrix, rows["is_win"].to_numpy(), [0, 1, 2])
    assert np.array_equal(regression.raw_score(matrix), probabilities(alone.log_odds(matrix)))

    def logit(said: np.ndarray) -> np.ndarray:
        return np.asarray(np.log(said / (1 - said)))

    expected = 0.5 * logit(trees.raw_score(matrix)) + 0.5 * alone.log_odds(matrix)
    assert np.allclose(logit(mixed.raw_score(matrix)), expected, atol=1e-9)


def test_a_mixed_model_is_repeatable_reads_back_and_scores_a_row_alone_exactly_as_in_a_batch(
    rows: pl.DataFrame, mixed: MetaModel
) -> None:
    assert train(rows.clone(), BASELINE_NAMES, PARAMS).calibrated(KNOTS).to_bytes() == mixed.to_bytes()
    read = MetaModel.from_bytes(mixed.to_bytes())
    assert (read.version, read.logistic_share) == (mixed.version, 0.5)
    matrix = matrix_of(rows, 8)[:500].astype(np.float64)
    matrix[::7, 0] = np.nan
    batch = mixed.win_probability(matrix)
    assert np.array_equal(batch, read.win_probability(matrix))
    assert np.array_equal(batch, np.concatenate([mixed.win_probability(matrix[i : i + 1]) for i in range(500)]))
    assert np.array_equal(batch, mixed.win_probability(matrix.astype(np.float32)))


def test_contributions_of_a_mixed_model_add_up_to_its_log_odds_and_its_importance_to_one(
    rows: pl.DataFrame, mixed: MetaModel
) -> None:
    matrix = matrix_of(rows, 8)[:300]
    told, _ = mixed.contributions(matrix)
    raw = mixed.raw_score(matrix)
    constant = np.log(raw / (1 - raw)) - told.sum(axis=1)
    assert np.ptp(constant) < 1e-6
    importance = mixed.importance()
    assert {name for name, _ in importance[:3]} == {"consensus", "dispersion", "reward_r"}
    assert sum(share for _, share in importance) == pytest.approx(1.0)


def test_software_that_knows_trees_alone_cannot_read_a_mixed_model_and_a_regression_of_other_rows_is_refused(
    mixed: MetaModel, model: MetaModel
) -> None:
    assert b'"format":2' in mixed.to_bytes()
    assert b'"format":1' in model.to_bytes()
    assert b'"regression"' not in model.to_bytes()
    for old, new in (
        (b'"format":2', b'"format":1'),
        (b'"columns":[0,1,2]', b'"columns":[0,1,8]'),
        (b'"columns":[0,1,2]', b'"columns":[0,1]'),
    ):
        with pytest.raises(StateError, match="reading meta-model"):
            MetaModel.from_bytes(mixed.to_bytes().replace(old, new))


def test_the_file_of_a_model_from_before_there_was_a_regression_keeps_its_version(model: MetaModel) -> None:
    before = model.to_bytes().replace(b',"logistic_share":0.5', b"")
    read = MetaModel.from_bytes(before)
    assert read.to_bytes() == before
    assert read.version == f"meta-{sha256(before).hexdigest()[:12]}"
    assert read.logistic_share == 0.0


def test_nothing_to_learn_from_is_said_in_one_sentence(rows: pl.DataFrame, feature_names: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"99 rows with .* nothing to learn from"):
        train(rows.head(99), feature_names, PARAMS)
    with pytest.raises(InputError, match="nothing to learn from"):
        train(rows.with_columns(is_win=True), feature_names, PARAMS)
    with pytest.raises(InputError, match="do not hold 7 candidate features"):
        train(rows, feature_names[:7], PARAMS)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[:-20],
        lambda _: b"not a model",
        lambda content: content[:2] + b"\xb5" + content[3:],
        lambda content: content.replace(b'"format":1', b'"format":2'),
        lambda content: content.replace(b'"feature_0",', b""),
        lambda content: content.replace(b"num_leaves=", b"num_leafs="),
    ],
)
def test_a_spoilt_file_is_refused(model: MetaModel, spoil: Callable[[bytes], bytes]) -> None:
    with pytest.raises(StateError, match=r"^reading meta-model: .*\.$"):
        MetaModel.from_bytes(spoil(model.to_bytes()))
