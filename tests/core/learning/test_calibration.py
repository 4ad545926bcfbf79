"""Calibration: monotone, bounded, and closer to the truth than the raw score."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.learning.calibration import (
    HIGHEST,
    IDENTITY_KNOTS,
    LOWEST,
    calibrate,
    calibration_error,
    fit_knots,
    reliability,
)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(500, 3000), st.sampled_from([1, 3, 1000]))
def test_knots_rise_and_probabilities_keep_the_order_of_the_scores(seed: int, rows: int, distinct: int) -> None:
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, distinct, rows) / distinct
    knots = fit_knots(raw, rng.random(rows) < raw)
    assert (np.diff(knots.raw) > 0).all()
    assert (np.diff(knots.calibrated) >= 0).all()
    mapped = calibrate(np.linspace(-1, 2, 500), knots)
    assert (np.diff(mapped) >= 0).all()
    assert ((mapped >= LOWEST) & (mapped <= HIGHEST)).all()


def test_scores_between_the_ends_are_never_tied() -> None:
    rng = np.random.default_rng(1)
    raw = rng.random(20_000)
    knots = fit_knots(raw, rng.random(20_000) < raw**2)
    inside = np.linspace(knots.raw[0], knots.raw[-1], 1000)
    assert (np.diff(calibrate(inside, knots)) > 0).all()


def test_an_overconfident_score_is_mended() -> None:
    rng = np.random.default_rng(2)
    truth = rng.uniform(0.3, 0.6, 40_000)
    raw = np.clip(0.45 + 3 * (truth - 0.45), 0, 1)
    is_win = rng.random(40_000) < truth
    knots = fit_knots(raw[:20_000], is_win[:20_000])
    before = calibration_error(reliability(raw[20_000:], is_win[20_000:]))
    after = calibration_error(reliability(calibrate(raw[20_000:], knots), is_win[20_000:]))
    assert before > 0.1
    assert after < 0.015


def test_too_few_rows_leave_the_score_as_it_is() -> None:
    assert fit_knots(np.linspace(0, 1, 499), np.ones(499, dtype=bool)) == IDENTITY_KNOTS
    assert calibrate(np.array([0.25, 0.75]), IDENTITY_KNOTS).tolist() == [0.25, 0.75]


def test_the_diagram_counts_every_row() -> None:
    diagram = reliability(np.linspace(0, 1, 103), np.arange(103) % 2 == 0)
    assert sum(part.rows for part in diagram) == 103
    assert [part.predicted for part in diagram] == sorted(part.predicted for part in diagram)
