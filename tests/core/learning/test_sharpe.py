"""Sharpe ratios against the figures their authors print, and against luck."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from scipy import stats

from trading_assets.core.learning.sharpe import best_by_luck, probabilistic_sharpe, sharpe_of


def test_the_probabilistic_ratio_is_that_of_the_paper() -> None:
    """Bailey and López de Prado (2012): a fund with 24 monthly returns, a ratio of 0.458, skew -2.448, kurtosis 10.164."""
    assert probabilistic_sharpe(0.458, 24, 0.0, 3.0) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe(0.458, 24, -2.448, 10.164) == pytest.approx(0.913, abs=5e-4)


def test_the_deflated_ratio_is_that_of_the_paper() -> None:
    """Bailey and López de Prado (2014), numerical example: 100 trials with variance 1/2, five years of days, 2.5 annualised."""
    luck = best_by_luck(100, sqrt(0.5 / 250))
    assert luck == pytest.approx(0.1132, abs=5e-5)
    assert probabilistic_sharpe(2.5 / sqrt(250), 1250, -3.0, 10.0, luck) == pytest.approx(0.9004, abs=5e-5)


def test_the_expected_best_of_many_without_skill_is_what_a_simulation_finds() -> None:
    best = np.random.default_rng(1).normal(size=(20_000, 50)).max(axis=1).mean()
    assert best_by_luck(50, 1.0) == pytest.approx(best, abs=0.04)
    assert best_by_luck(1, 1.0) == 0.0


def test_skew_and_kurtosis_are_those_of_scipy() -> None:
    returns = np.random.default_rng(2).gamma(2.0, 1.0, 80) - 1.7
    found = sharpe_of(returns, 1)
    assert found.ratio == pytest.approx(returns.mean() / returns.std(ddof=1))
    expected = probabilistic_sharpe(
        found.ratio, 80, float(stats.skew(returns)), float(stats.kurtosis(returns, fisher=False))
    )
    assert found.probabilistic == pytest.approx(expected)
    assert found.deflated == found.probabilistic


def test_more_variants_tried_lower_the_deflated_ratio_alone() -> None:
    returns = np.random.default_rng(4).normal(0.4, 1.0, 60)
    found = [sharpe_of(returns, tried) for tried in (1, 2, 10, 100)]
    assert [one.deflated for one in found] == sorted((one.deflated for one in found), reverse=True)
    assert len({one.probabilistic for one in found}) == 1
    assert found[0].deflated > 0.95 > found[-1].deflated


def test_the_best_of_many_lucky_variants_is_seen_as_luck() -> None:
    rng = np.random.default_rng(5)
    believed = 0
    for _ in range(200):
        tried = rng.normal(0.0, 1.0, (20, 50))
        best = tried[np.argmax(tried.mean(axis=1) / tried.std(axis=1))]
        believed += sharpe_of(best, 20).deflated > 0.95
    assert believed <= 12


@pytest.mark.parametrize("returns", [[], [1.0, 2.0], [0.5, 0.5, 0.5, 0.5]])
def test_too_few_or_equal_returns_prove_nothing(returns: list[float]) -> None:
    found = sharpe_of(np.array(returns), 1)
    assert (found.ratio, found.probabilistic, found.deflated, found.count) == (0.0, 0.0, 0.0, len(returns))
