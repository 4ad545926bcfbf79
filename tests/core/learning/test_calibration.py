"""Calibration: monotone, bounded, closer to the truth than the raw score, and chosen by rows it was not fitted on."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from trading_assets.core.learning.calibration import (
    HIGHEST,
    IDENTITY,
    LOWEST,
    CalibrationChoice,
    calibrate,
    choose,
    fit,
)
from trading_assets.core.learning.reliability import calibration_error, reliability
from trading_assets.core.release import CALIBRATION_METHODS, Calibration, CalibrationMethod

HOUR = 3_600_000
METHODS = pytest.mark.parametrize("method", CALIBRATION_METHODS)


def logit(p: np.ndarray) -> np.ndarray:
    return np.log(p) - np.log1p(-p)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000), st.integers(500, 3000), st.sampled_from([1, 3, 1000]), st.sampled_from(CALIBRATION_METHODS)
)
def test_probabilities_keep_the_order_of_the_scores(
    seed: int, rows: int, distinct: int, method: CalibrationMethod
) -> None:
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, distinct, rows) / distinct
    chosen = fit(method, raw, rng.random(rows) < 0.05 + 0.9 * raw)
    assert (np.diff(chosen.raw) > 0).all()
    assert (np.diff(chosen.calibrated) >= 0).all()
    mapped = calibrate(np.linspace(-1, 2, 500), chosen)
    assert (np.diff(mapped) >= -1e-15).all()
    assert ((mapped >= LOWEST) & (mapped <= HIGHEST)).all()


@METHODS
def test_scores_of_a_model_that_knows_the_opposite_are_never_turned_around(method: CalibrationMethod) -> None:
    rng = np.random.default_rng(9)
    raw = rng.uniform(0.1, 0.9, 5000)
    mapped = calibrate(np.sort(raw), fit(method, raw, rng.random(5000) < 1 - raw))
    assert (np.diff(mapped) >= -1e-15).all()
    assert np.ptp(mapped) < 0.1


def test_scores_between_the_ends_are_never_tied() -> None:
    rng = np.random.default_rng(1)
    raw = rng.random(20_000)
    knots = fit("isotonic", raw, rng.random(20_000) < raw**2)
    inside = np.linspace(knots.raw[0], knots.raw[-1], 1000)
    assert (np.diff(calibrate(inside, knots)) > 0).all()


@METHODS
def test_an_overconfident_score_is_mended(method: CalibrationMethod) -> None:
    rng = np.random.default_rng(2)
    truth = rng.uniform(0.3, 0.6, 40_000)
    raw = np.clip(0.45 + 3 * (truth - 0.45), 0, 1)
    is_win = rng.random(40_000) < truth
    fitted = fit(method, raw[:20_000], is_win[:20_000])
    before = calibration_error(reliability(raw[20_000:], is_win[20_000:]))
    after = calibration_error(reliability(calibrate(raw[20_000:], fitted), is_win[20_000:]))
    assert before > 0.1
    assert after < 0.025


def test_platt_equals_an_unpenalised_regression_of_scikit_learn_on_the_logit() -> None:
    rng = np.random.default_rng(3)
    raw = rng.uniform(0.05, 0.95, 4000)
    is_win = rng.random(4000) < sigmoid(0.5 * logit(raw) - 0.3)
    slope, intercept = fit("platt", raw, is_win).parameters
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logit(raw)[:, None], is_win)
    assert (slope, intercept) == pytest.approx((peer.coef_[0, 0], peer.intercept_[0]), abs=1e-4)
    asked = np.linspace(0.1, 0.9, 50)
    assert calibrate(asked, fit("platt", raw, is_win)) == pytest.approx(
        peer.predict_proba(logit(asked)[:, None])[:, 1], abs=1e-4
    )


def test_beta_equals_the_regression_its_authors_give() -> None:
    """Kull, Silva Filho and Flach (2017), section 4: a logistic regression on ln(s) and -ln(1-s)."""
    rng = np.random.default_rng(4)
    raw = rng.uniform(0.05, 0.95, 6000)
    true = sigmoid(1.4 * np.log(raw) - 0.6 * np.log1p(-raw) + 0.2)
    is_win = rng.random(6000) < true
    chosen = fit("beta", raw, is_win)
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(
        np.column_stack([np.log(raw), -np.log1p(-raw)]), is_win
    )
    assert chosen.parameters == pytest.approx((*peer.coef_[0], peer.intercept_[0]), abs=1e-3)
    assert np.abs(calibrate(raw, chosen) - true).max() < 0.04


def test_a_negative_slope_of_the_beta_curve_is_left_out_and_the_rest_fitted_again() -> None:
    rng = np.random.default_rng(5)
    raw = rng.uniform(0.05, 0.95, 20_000)
    is_win = rng.random(20_000) < sigmoid(1.5 * np.log(raw) + 0.6 * np.log1p(-raw) + 1.0)
    of_win, of_loss, intercept = fit("beta", raw, is_win).parameters
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(np.log(raw)[:, None], is_win)
    assert of_loss == 0.0
    assert (of_win, intercept) == pytest.approx((peer.coef_[0, 0], peer.intercept_[0]), abs=1e-3)


@METHODS
def test_a_score_alone_has_the_same_bits_as_among_others(method: CalibrationMethod) -> None:
    rng = np.random.default_rng(6)
    raw = rng.uniform(0, 1, 3000)
    chosen = fit(method, raw, rng.random(3000) < raw)
    together = calibrate(raw, chosen)
    assert np.array_equal(together, np.concatenate([calibrate(raw[i : i + 1], chosen) for i in range(3000)]))
    assert np.array_equal(together[::7], calibrate(raw[::7], chosen))
    assert np.array_equal(together, calibrate(raw, msgspec.json.decode(msgspec.json.encode(chosen), type=Calibration)))


@METHODS
def test_too_few_rows_or_one_kind_of_outcome_leave_the_score_as_it_is(method: CalibrationMethod) -> None:
    assert fit(method, np.linspace(0, 1, 499), np.arange(499) % 2 == 0) == IDENTITY
    assert fit(method, np.linspace(0, 1, 900), np.ones(900, dtype=bool)) == IDENTITY
    assert calibrate(np.array([0.25, 0.75]), IDENTITY).tolist() == [0.25, 0.75]


def chosen_for(truth_of: str, seed: int = 7, rows: int = 30_000) -> CalibrationChoice:
    rng = np.random.default_rng(seed)
    raw = rng.uniform(0.05, 0.95, rows)
    truth = {
        "steps": np.where(raw < 0.35, 0.2, np.where(raw < 0.65, 0.5, 0.55)),
        "logistic": sigmoid(0.4 * logit(raw) - 0.2),
        "beta": sigmoid(2.0 * np.log(raw) - 0.05 * np.log1p(-raw) + 1.0),
    }[truth_of]
    at = np.arange(rows) * HOUR // 10
    return choose(raw, rng.random(rows) < truth, at, at + HOUR, HOUR)


@pytest.mark.parametrize(("truth", "best"), [("steps", "isotonic"), ("logistic", "platt"), ("beta", "beta")])
def test_the_way_that_fits_the_truth_is_chosen_and_every_score_is_kept(truth: str, best: str) -> None:
    choice = chosen_for(truth)
    losses = {one.method: one.log_loss for one in choice.scores}
    assert set(losses) == set(CALIBRATION_METHODS)
    assert choice.method == min(losses, key=lambda name: losses[name])
    # Platt's curve is one of beta's: where both are right, chance decides between them.
    assert choice.method == best or (truth == "logistic" and choice.method == "beta")
    assert choice.rows == 30_000
    assert choice.scored_rows == 22_500


def test_what_is_chosen_is_scored_on_later_rows_alone() -> None:
    """The three stretches, made by hand."""
    rng = np.random.default_rng(8)
    rows = 6000
    raw = rng.uniform(0.3, 0.7, rows)
    at = np.arange(rows) * HOUR
    is_win = rng.random(rows) < sigmoid(0.8 * logit(raw))
    choice = choose(raw, is_win, at, at + HOUR, HOUR)
    by_hand: dict[str, float] = {}
    for start, end in ((1, 2), (2, 3), (3, 4)):
        known = at + HOUR < at[start * rows // 4] - HOUR
        stretch = (np.arange(rows) >= start * rows // 4) & (np.arange(rows) < end * rows // 4)
        for method in CALIBRATION_METHODS:
            p = calibrate(raw[stretch], fit(method, raw[known], is_win[known]))
            by_hand[method] = by_hand.get(method, 0.0) - np.log(np.where(is_win[stretch], p, 1 - p)).sum()
    for one in choice.scores:
        assert one.log_loss == pytest.approx(by_hand[one.method] / choice.scored_rows)
    assert choice.method == min(by_hand, key=lambda name: by_hand[name])


def test_too_few_rows_to_choose_by_take_the_fewest_parameters_or_none() -> None:
    rng = np.random.default_rng(10)
    at = np.arange(600) * HOUR
    few = choose(rng.random(600), rng.random(600) < 0.5, at, at + HOUR, HOUR)
    assert (few.method, few.scores) == ("platt", ())
    assert few.calibration != IDENTITY
    nothing = choose(np.empty(0), np.empty(0, dtype=bool), np.empty(0), np.empty(0), HOUR)
    assert (nothing.method, nothing.calibration, nothing.scores) == ("none", IDENTITY, ())


def test_knots_have_the_bytes_they_had_before_there_were_curves() -> None:
    content = b'{"raw":[0.2,0.8],"calibrated":[0.3,0.6]}'
    read = msgspec.json.decode(content, type=Calibration)
    assert (read.method, msgspec.json.encode(read)) == ("isotonic", content)


@pytest.mark.parametrize(
    "content",
    [
        b'{"raw":[0.2,0.8],"calibrated":[0.3]}',
        b'{"method":"platt"}',
        b'{"method":"platt","parameters":[1.0,0.0,0.0]}',
        b'{"method":"beta","parameters":[1.0,0.0,0.0],"raw":[0.1],"calibrated":[0.1]}',
        b'{"method":"spline","parameters":[]}',
        b"{}",
    ],
)
def test_a_calibration_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(content, type=Calibration)
