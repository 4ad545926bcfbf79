"""The logistic baseline, against scikit-learn's, and the judge's rule on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression

from trading_assets.core.learning.logistic import FEATURES, baseline_columns, fit_regression
from trading_assets.core.learning.meta_model import TrainingParams, matrix_of
from trading_assets.core.learning.promotion import Requirements, judge
from trading_assets.core.learning.training import fit
from trading_assets.core.learning.variants import Variant
from trading_assets.core.learning.walk_forward import Fold, baseline_out_of_fold


def test_it_is_a_ridge_regression_on_standardised_features() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(3000, 3)) * [1, 10, 0.1] + [0, 5, 1]
    is_win = rng.random(3000) < 1 / (1 + np.exp(-(matrix[:, 0] + 0.1 * (matrix[:, 1] - 5))))
    train, test = np.arange(2000), np.arange(2000, 3000)
    found = baseline_out_of_fold(matrix, is_win, [0, 1, 2], [Fold(train, test, 0, 1)])
    scaled = (matrix - matrix[train].mean(axis=0)) / matrix[train].std(axis=0)
    expected = LogisticRegression(C=1.0, tol=1e-10).fit(scaled[train], is_win[train]).predict_proba(scaled[test])[:, 1]
    assert np.allclose(found, expected, atol=1e-4)


def test_unknown_and_constant_features_do_no_harm() -> None:
    rng = np.random.default_rng(1)
    matrix = np.column_stack([rng.normal(size=600), np.full(600, 3.0), np.full(600, np.nan)])
    matrix[::7, 0] = np.nan
    found = baseline_out_of_fold(
        matrix, rng.random(600) < 0.4, [0, 1, 2], [Fold(np.arange(400), np.arange(400, 600), 0, 1)]
    )
    assert np.isfinite(found).all()
    assert 0.3 < found.mean() < 0.5


def test_a_row_alone_has_the_same_bits_as_among_others_and_its_parts_add_up(
    make_rows: Callable[..., pl.DataFrame],
) -> None:
    frame = make_rows(2, days=3, edge=0.9)
    matrix = matrix_of(frame, 8).copy()
    matrix[::5, 1] = np.nan
    fitted = fit_regression(matrix, frame["is_win"].to_numpy(), [0, 1, 2])
    together = fitted.log_odds(matrix)
    assert np.array_equal(together, np.concatenate([fitted.log_odds(matrix[n : n + 1]) for n in range(len(matrix))]))
    assert np.allclose(together, fitted.intercept + fitted.parts(matrix).sum(axis=1))
    assert (fitted.parts(matrix)[::5, 1] == 0).all()


def test_a_model_that_a_regression_equals_is_refused_with_that_reason(make_rows: Callable[..., pl.DataFrame]) -> None:
    """The first feature holds a linear edge that few trees find less of than a regression does."""
    frame = make_rows(6, days=20, edge=0.9)
    names = ("consensus", "regime_with_trend", "reward_r", *(f"feature_{number}" for number in range(5)))
    assert baseline_columns(names) == [0, 2, 1]
    assert set(names[:3]) <= set(FEATURES)
    poor = Variant(name="poor", scheme="expanding", params=TrainingParams(trees=2, leaves=2))
    made = fit(frame, names, (poor,))
    assert made.logistic is not None
    assert made.logistic.rows_sha256 == made.evaluation.rows_sha256
    asked = Requirements(feature_set_version="synthetic-1")
    reasons = judge(made.evaluation, None, asked, logistic=(made.evaluation, made.logistic)).reasons
    assert any("of a logistic regression on a few features" in reason for reason in reasons)
    better = fit(frame, names, (Variant(name="good", scheme="expanding"),))
    assert better.logistic is not None
    assert better.evaluation.log_loss < better.logistic.log_loss
