"""Figures are PNG images, drawn also from little, and the same each time."""

from __future__ import annotations

import struct
import warnings
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from trading_assets.core.learning.evaluation import Evaluation, evaluate
from trading_assets.core.tables import TABLES
from trading_assets.defs.plots import equity_figure, importance_figure, reliability_figure, results_figure

START = datetime(2024, 3, 4, tzinfo=UTC)
MONEY = pl.Decimal(38, 8)


def size(png: bytes) -> tuple[int, int]:
    """Width and height from the image's header."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", png[16:24])  # type: ignore[return-value]


def curve(rows: int, account: str = "a") -> pl.DataFrame:
    equity = 10_000 + np.cumsum(np.random.default_rng(1).normal(size=rows))
    high = np.maximum.accumulate(equity)
    return pl.DataFrame(
        {
            "tenant": "t",
            "account": account,
            "minute_at": [START + timedelta(minutes=number) for number in range(rows)],
            "equity": equity,
            "balance": equity,
            "high_water_mark": high,
            "drawdown_share": 1 - equity / high,
        }
    ).with_columns(pl.col("equity", "balance", "high_water_mark").cast(MONEY))


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    rng = np.random.default_rng(2)
    probability = rng.uniform(0.2, 0.7, 600)
    is_win = rng.random(600) < probability
    rows = pl.DataFrame(
        {
            "idea_id": [str(number) for number in range(600)],
            "signal_id": [str(number // 6) for number in range(600)],
            "decided_at": [START + timedelta(minutes=5 * (number // 6)) for number in range(600)],
            "feature_set_version": "v",
            "symbol": "EURUSD",
            "regime": "ranging",
            "is_win": is_win,
            "result_r": np.where(is_win, 1.0, -1.0),
            "profit_tier": np.where(is_win, "large_gain", "full_loss"),
        }
    )
    return evaluate(rows, probability, np.full(600, 0.45))


@pytest.mark.parametrize("rows", [1, 2, 10_000])
def test_an_equity_curve_of_any_length_is_drawn(rows: int) -> None:
    width, height = size(equity_figure(curve(rows)))
    assert (width, height) == (880, 550)


def test_no_curve_and_several_accounts_are_drawn() -> None:
    empty = TABLES["equity_curve"].empty()
    two = pl.concat([curve(100), curve(50, "b")])
    assert size(equity_figure(empty)) == size(equity_figure(two))


def test_more_accounts_than_a_legend_can_name_leave_the_picture_its_room() -> None:
    many = pl.concat([curve(20, f"account-{number}") for number in range(40)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a legend that is too tall makes the axes collapse, with a warning
        assert size(equity_figure(many)) == size(equity_figure(curve(20)))


def labelled(*rows: tuple[str, str, float]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"kind": pl.String, "barrier": pl.String, "result_r": pl.Float64}, orient="row")


def test_results_are_drawn_of_many_candidates_of_one_side_alone_and_of_none() -> None:
    many = labelled(
        ("LONG", "stop", -1.1), ("LONG", "target", 1.9), ("SHORT", "weekend", 9.0), ("SHORT", "timeout", 0.1)
    )
    drawn = [results_figure(rows) for rows in (many, many.head(2), labelled())]
    assert {size(png) for png in drawn} == {(880, 550)}
    assert len(set(drawn)) == 3
    assert results_figure(many) == drawn[0]


def test_reliability_is_drawn_and_is_the_same_each_time(evaluation: Evaluation) -> None:
    assert size(reliability_figure(evaluation)) == (880, 550)
    assert reliability_figure(evaluation) == reliability_figure(evaluation)


@pytest.mark.parametrize("count", [1, 20, 115])
def test_importance_shows_at_most_twenty_features(count: int) -> None:
    tall = size(importance_figure([(f"feature_{number}", 1 / count) for number in range(count)]))[1]
    twenty = size(importance_figure([(f"feature_{number}", 0.05) for number in range(20)]))[1]
    assert tall <= twenty
