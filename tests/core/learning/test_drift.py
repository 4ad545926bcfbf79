"""Drift: an alarm needs enough rows and an effect that matters."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from scipy.stats import ks_2samp

from trading_assets.core.learning.drift import (
    accuracy,
    accuracy_alarm,
    calibration_alarm,
    distribution_distance,
    feature_drift,
)

NAMES = tuple(f"feature_{number}" for number in range(8))


def rows(seed: int, count: int, shifted: int = 0, by: float = 1.5) -> np.ndarray:
    """Normal features, the first `shifted` of them moved."""
    matrix = np.random.default_rng(seed).normal(size=(count, 8))
    matrix[:, :shifted] += by
    return matrix


def test_the_same_distribution_raises_no_alarm_at_any_size() -> None:
    for count in (500, 5_000, 50_000):
        report = feature_drift(rows(1, count), rows(2, count), NAMES)
        assert report.alarms == ()
        assert not any(feature.is_drifted for feature in report.features)


def test_a_small_effect_stays_small_however_many_rows_show_it() -> None:
    assert feature_drift(rows(1, 100_000), rows(2, 100_000, shifted=8, by=0.1), NAMES).alarms == ()


def test_many_moved_features_raise_the_alarm_and_are_named() -> None:
    report = feature_drift(rows(1, 2_000), rows(2, 2_000, shifted=3), NAMES)
    assert report.alarms[0].startswith("3 of 8 features have moved")
    assert {feature.feature for feature in report.features if feature.is_drifted} == {
        "feature_0",
        "feature_1",
        "feature_2",
    }


def test_one_moved_feature_is_reported_without_an_alarm() -> None:
    report = feature_drift(rows(1, 2_000), rows(2, 2_000, shifted=1), NAMES)
    assert report.alarms == ()
    assert report.features[0].is_drifted


def test_too_few_rows_say_nothing() -> None:
    assert feature_drift(rows(1, 5_000), rows(2, 499, shifted=8), NAMES).features == ()


def test_features_that_went_missing_have_drifted() -> None:
    recent = rows(2, 2_000)
    recent[:, :3] = np.nan
    report = feature_drift(rows(1, 2_000), recent, NAMES)
    assert report.features[0].missing_change == 1.0
    assert len(report.alarms) == 1


def test_the_distance_is_that_of_kolmogorov_and_smirnov() -> None:
    before, after = rows(1, 700)[:, 0], rows(2, 900, shifted=1, by=0.4)[:, 0]
    assert distribution_distance(before, after) == pytest.approx(ks_2samp(before, after).statistic)


def test_probabilities_far_from_what_came_raise_an_alarm() -> None:
    is_win = np.arange(1_000) % 10 < 4
    alarm = calibration_alarm(np.full(1_000, 0.5), is_win)
    assert alarm is not None
    assert "expected 50.0% wins and 40.0% came" in alarm
    assert calibration_alarm(np.full(1_000, 0.45), is_win) is None
    assert calibration_alarm(np.full(400, 0.9), is_win[:400]) is None


def test_fewer_than_six_winners_in_ten_of_the_last_hundred_trades_call_for_retraining() -> None:
    won, lost = Decimal("1.50"), Decimal("-1.00")
    assert accuracy([won, lost, Decimal(0)]) == pytest.approx(1 / 3)
    assert accuracy([]) is None
    assert accuracy_alarm([won] * 50 + [lost] * 49) is None
    assert accuracy_alarm([lost] * 500 + [won] * 60 + [lost] * 40) is None
    alarm = accuracy_alarm([won] * 500 + [won] * 59 + [lost] * 41)
    assert alarm == "Of the last 100 trades 59% made money after costs, under 60%."
