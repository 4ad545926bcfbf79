"""Reliability: every row in one bin, the error of scikit-learn's curve, and the parts of the Brier score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from trading_assets.core.learning.reliability import bins_of, brier_parts, calibration_error, reliability


def test_the_diagram_counts_every_row() -> None:
    diagram = reliability(np.linspace(0, 1, 103), np.arange(103) % 2 == 0)
    assert sum(part.rows for part in diagram) == 103
    assert [part.predicted for part in diagram] == sorted(part.predicted for part in diagram)


def test_equal_probabilities_share_a_bin_whatever_the_order_of_the_rows() -> None:
    rng = np.random.default_rng(1)
    p = rng.choice([0.2, 0.4, 0.9], 5000, p=[0.7, 0.2, 0.1])
    diagram = reliability(p, rng.random(5000) < p)
    assert sorted(round(part.predicted, 6) for part in diagram) == [0.2, 0.4, 0.9]
    assert [part.rows for part in diagram] == [int((p == level).sum()) for level in (0.2, 0.4, 0.9)]


def test_the_curve_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    p = rng.random(4000)
    is_win = rng.random(4000) < p**2
    diagram = reliability(p, is_win)
    observed, predicted = calibration_curve(is_win, p, n_bins=10, strategy="quantile")
    assert [part.observed for part in diagram] == pytest.approx(observed, abs=0.01)
    assert [part.predicted for part in diagram] == pytest.approx(predicted, abs=0.01)
    by_hand = sum(part.rows * abs(part.observed - part.predicted) for part in diagram) / 4000
    assert calibration_error(diagram) == pytest.approx(by_hand)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 400), st.sampled_from([2, 5, 10_000]))
def test_the_parts_make_the_whole(seed: int, rows: int, distinct: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.integers(0, distinct, rows) / distinct
    is_win = rng.random(rows) < 0.3
    brier = float(((p - is_win) ** 2).mean())
    parts = brier_parts(reliability(p, is_win), brier)
    assert parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins == pytest.approx(brier)
    assert min(parts.reliability, parts.resolution, parts.uncertainty) >= 0
    if distinct <= 5:
        # Bins of one probability each: Murphy's three parts alone, as he gave them.
        assert parts.within_bins == pytest.approx(0.0, abs=1e-12)


def test_the_parts_are_those_worked_out_by_hand() -> None:
    """Ten rows: said 0.8 of five, four of which won; said 0.2 of five, two of which won."""
    p = np.array([0.8] * 5 + [0.2] * 5)
    is_win = np.array([True] * 4 + [False] + [True] * 2 + [False] * 3)
    parts = brier_parts(reliability(p, is_win), brier_score_loss(is_win, p))
    assert parts.reliability == pytest.approx(0.5 * (0.2 - 0.4) ** 2)
    assert parts.resolution == pytest.approx(0.5 * (0.8 - 0.6) ** 2 + 0.5 * (0.4 - 0.6) ** 2)
    assert parts.uncertainty == pytest.approx(0.6 * 0.4)
    assert parts.within_bins == pytest.approx(0.0, abs=1e-12)


def test_a_single_row_has_a_bin() -> None:
    assert bins_of(np.array([0.4])).tolist() == [0]
