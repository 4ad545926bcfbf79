"""The figures a model is judged by, against values worked out by hand or by scikit-learn."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import polars as pl
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from trading_assets.core.learning.evaluation import (
    Evaluation,
    area_under_curve,
    deflated_sharpe,
    evaluate,
    interval_of,
)


@pytest.fixture(scope="module")
def rows(make_rows: Callable[..., pl.DataFrame]) -> pl.DataFrame:
    return make_rows(2, days=10)


@pytest.fixture(scope="module")
def probability(rows: pl.DataFrame) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.05, 0.95, len(rows))


def test_scores_equal_those_of_scikit_learn(rows: pl.DataFrame, probability: np.ndarray) -> None:
    is_win = rows["is_win"].to_numpy()
    found = evaluate(rows, probability, np.full(len(rows), 0.4))
    assert found.brier == pytest.approx(brier_score_loss(is_win, probability))
    assert found.log_loss == pytest.approx(log_loss(is_win, probability))
    assert found.baseline_log_loss == pytest.approx(log_loss(is_win, np.full(len(rows), 0.4)))
    assert found.auc == pytest.approx(roc_auc_score(is_win, probability))
    assert found.log_loss_gain.value == pytest.approx(found.baseline_log_loss - found.log_loss)
    assert found.skill == pytest.approx(1 - found.log_loss / found.baseline_log_loss)


def test_of_each_decision_one_candidate_and_of_each_day_a_tenth_is_selected(
    rows: pl.DataFrame, probability: np.ndarray
) -> None:
    found = evaluate(rows, probability, np.full(len(rows), 0.4))
    scored = rows.with_columns(p=pl.Series(probability), day=pl.col("decided_at").dt.date())
    best = scored.sort("p", descending=True).unique("signal_id", keep="first", maintain_order=True)
    expected = pl.concat([part.sort("p", descending=True).head(8) for part in best.partition_by("day")])
    assert sum(day.selected for day in found.days) == len(expected) == 80
    assert found.selected_r.value == pytest.approx(expected["result_r"].mean())


def test_the_order_of_the_rows_does_not_matter(rows: pl.DataFrame, probability: np.ndarray) -> None:
    order = np.random.default_rng(1).permutation(len(rows))
    straight = evaluate(rows, probability, np.full(len(rows), 0.4))
    shuffled = evaluate(rows[order], probability[order], np.full(len(rows), 0.4))
    assert straight.rows_sha256 == shuffled.rows_sha256
    assert straight.brier == pytest.approx(shuffled.brier)
    assert straight.selected_r.value == pytest.approx(shuffled.selected_r.value)


def test_only_the_most_recent_decisions_count_when_asked(rows: pl.DataFrame, probability: np.ndarray) -> None:
    found = evaluate(rows, probability, np.full(len(rows), 0.4), recent_decisions=144)
    assert (found.decisions, found.rows, len(found.days)) == (144, 864, 2)


def test_the_worst_tier_is_measured_among_the_least_probable_rows(rows: pl.DataFrame) -> None:
    knowing = np.where(rows["profit_tier"] == "full_loss", 0.1, 0.8)
    found = evaluate(rows, knowing, np.full(len(rows), 0.4))
    assert found.worst_tier_precision == 1.0
    assert 0.5 < found.worst_tier_share < 0.7


def test_every_regime_has_its_figures(rows: pl.DataFrame, probability: np.ndarray) -> None:
    found = evaluate(rows, probability, np.full(len(rows), 0.4))
    assert [figures.regime for figures in found.regimes] == ["ranging", "trending_up"]
    assert sum(figures.rows for figures in found.regimes) == found.rows
    assert sum(figures.selected for figures in found.regimes) == 80


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(200):
        days = rng.normal(0.3, 1.0, 40)
        interval = interval_of(days.tolist(), [1] * 40, 0.9)
        held += interval.low <= 0.3 <= interval.high
    assert 165 <= held <= 195


def test_the_interval_is_the_same_every_time_and_empty_counts_give_zero() -> None:
    assert interval_of([1.0, 2.0, -1.0], [2, 3, 1], 0.95) == interval_of([1.0, 2.0, -1.0], [2, 3, 1], 0.95)
    assert interval_of([0.0], [0], 0.95).value == 0.0


def test_more_variants_tried_lower_the_deflated_sharpe_ratio() -> None:
    returns = np.random.default_rng(4).normal(0.4, 1.0, 60)
    sharpe, alone = deflated_sharpe(returns, 1)
    assert sharpe == pytest.approx(returns.mean() / returns.std(ddof=1))
    probabilities = [alone] + [deflated_sharpe(returns, tried)[1] for tried in (2, 10, 100)]
    assert probabilities == sorted(probabilities, reverse=True)
    assert alone > 0.95 > probabilities[-1]


def test_the_best_of_many_lucky_variants_is_seen_as_luck() -> None:
    rng = np.random.default_rng(5)
    believed = 0
    for _ in range(200):
        tried = rng.normal(0.0, 1.0, (20, 50))
        best = tried[np.argmax(tried.mean(axis=1) / tried.std(axis=1))]
        believed += deflated_sharpe(best, 20)[1] > 0.95
    assert believed <= 12


@pytest.mark.parametrize("returns", [[], [1.0, 2.0], [0.5, 0.5, 0.5, 0.5]])
def test_too_few_or_equal_returns_prove_nothing(returns: list[float]) -> None:
    assert deflated_sharpe(np.array(returns), 1) == (0.0, 0.0)


def test_one_kind_of_outcome_gives_an_area_of_a_half() -> None:
    assert area_under_curve(np.array([0.1, 0.9]), np.array([True, True])) == 0.5


def test_an_evaluation_reads_back_from_json(rows: pl.DataFrame, probability: np.ndarray) -> None:
    found = evaluate(rows, probability, np.full(len(rows), 0.4))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Evaluation) == found


def test_no_rows_cannot_be_judged(rows: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match="no rows to judge"):
        evaluate(rows.clear(), np.empty(0), np.empty(0))
