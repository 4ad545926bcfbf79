"""The figures a model is judged by, against values worked out by hand or by scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec
import numpy as np
import polars as pl
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from trading_assets.core.learning.evaluation import Evaluation, evaluate
from trading_assets.core.learning.figures import area_under_curve


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


def test_every_regime_and_symbol_has_the_figures_of_its_rows_alone(rows: pl.DataFrame, probability: np.ndarray) -> None:
    rows = rows.with_columns(
        symbol=pl.when(pl.col("signal_id").str.contains("[1-4]$")).then(pl.lit("GBPUSD")).otherwise(pl.lit("EURUSD"))
    )
    found = evaluate(rows, probability, np.full(len(rows), 0.4), variants_tried=3)
    assert [one.name for one in found.by_regime] == ["ranging", "trending_up"]
    assert [one.name for one in found.by_symbol] == ["EURUSD", "GBPUSD"]
    for groups, column in ((found.by_regime, "regime"), (found.by_symbol, "symbol")):
        assert sum(one.rows for one in groups) == found.rows
        assert sum(one.figures.selected for one in groups if one.figures) == sum(day.selected for day in found.days)
        assert sum(one.figures.total_r.value for one in groups if one.figures) == pytest.approx(found.total_r.value)
        for one in groups:
            of_group = (rows[column] == one.name).to_numpy()
            assert one.figures is not None
            assert one.figures.brier == pytest.approx(
                brier_score_loss(rows["is_win"].to_numpy()[of_group], probability[of_group])
            )
            assert one.figures.log_loss_gain.low <= one.figures.log_loss_gain.value <= one.figures.log_loss_gain.high
            assert one.figures.calibration_error.low <= one.figures.calibration_error.high
            assert one.figures.sharpe.deflated <= one.figures.sharpe.probabilistic


def test_a_group_of_too_few_rows_or_days_has_no_figures_and_says_so(
    rows: pl.DataFrame, probability: np.ndarray
) -> None:
    last = rows["decided_at"].max()
    rare = rows.with_columns(regime=pl.when(pl.col("decided_at") >= last).then(pl.lit("rare")).otherwise("regime"))
    found = evaluate(rare, probability, np.full(len(rows), 0.4))
    by_name = {one.name: one for one in found.by_regime}
    assert by_name["rare"].figures is None
    assert by_name["rare"].text == "rare: too few (6 rows on 1 days)"
    assert by_name["ranging"].figures is not None
    assert by_name["ranging"].text.startswith("ranging: log loss gain ")
    few_days = evaluate(rows.filter(pl.col("decided_at") < rows["decided_at"].min() + timedelta(days=4)),
                        probability[: 4 * 72 * 6], np.full(4 * 72 * 6, 0.4))  # fmt: skip
    assert all(one.figures is None for one in few_days.by_symbol)


def test_the_equity_ends_at_the_total_and_the_band_holds_it(rows: pl.DataFrame, probability: np.ndarray) -> None:
    found = evaluate(rows, probability, np.full(len(rows), 0.4))
    assert len(found.equity) == len(found.days) == 10
    assert found.equity[-1].total_r == pytest.approx(sum(day.selected_r for day in found.days))
    assert found.equity[-1].total_r == pytest.approx(found.total_r.value)
    assert (found.equity[-1].low, found.equity[-1].high) == (found.total_r.low, found.total_r.high)
    assert all(point.low <= point.high for point in found.equity)
    assert found.total_r.low < found.total_r.value < found.total_r.high


def test_each_share_of_the_top_is_told_with_its_number(rows: pl.DataFrame) -> None:
    knowing = np.clip(rows["result_r"].to_numpy() / 10 + 0.3, 0, 1)
    found = evaluate(rows, knowing, np.full(len(rows), 0.4))
    assert [one.share for one in found.top] == [0.01, 0.05, 0.1, 0.2]
    assert found.top[2].result_r == found.selected_r
    assert all(one.result_r.value > 1.0 for one in found.top)


def test_the_brier_score_comes_apart_and_together_again(rows: pl.DataFrame, probability: np.ndarray) -> None:
    found = evaluate(rows, probability, np.full(len(rows), 0.4))
    parts = found.brier_parts
    assert parts is not None
    whole = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins
    assert whole == pytest.approx(found.brier, abs=1e-12)


@pytest.mark.parametrize("spoilt", [np.nan, -0.1, 1.1])
def test_what_is_no_probability_cannot_be_judged(rows: pl.DataFrame, probability: np.ndarray, spoilt: float) -> None:
    said = probability.copy()
    said[7] = spoilt
    with pytest.raises(ValueError, match="not between 0 and 1"):
        evaluate(rows, said, np.full(len(rows), 0.4))
    with pytest.raises(ValueError, match="not between 0 and 1"):
        evaluate(rows, probability, np.where(np.arange(len(rows)) == 3, spoilt, 0.4))


def test_one_kind_of_outcome_gives_an_area_of_a_half() -> None:
    assert area_under_curve(np.array([0.1, 0.9]), np.array([True, True])) == 0.5


def test_an_evaluation_reads_back_from_json(rows: pl.DataFrame, probability: np.ndarray) -> None:
    found = evaluate(rows, probability, np.full(len(rows), 0.4))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Evaluation) == found


def test_no_rows_cannot_be_judged(rows: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match="no rows to judge"):
        evaluate(rows.clear(), np.empty(0), np.empty(0))
