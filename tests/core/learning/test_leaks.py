"""Leaks are named, in every form they take, and a strong honest feature is not."""

from __future__ import annotations

from typing import cast

import numpy as np
import polars as pl
import pytest
from planted import synthetic_rows

from trading_assets.core.learning.leaks import LeakThresholds, differing, implausible_model, leaks, model_leaks
from trading_assets.core.learning.meta_model import MetaModel

THRESHOLDS = LeakThresholds()
NAMES = ("honest", "noise", "strange")
ROWS = 6_000


@pytest.fixture
def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows whose first feature is a strong but honest one, their outcomes and their sides."""
    chance = np.random.default_rng(4)
    matrix = chance.normal(size=(ROWS, 3))
    won = chance.random(ROWS) < 1 / (1 + np.exp(-1.2 * matrix[:, 0]))
    return matrix, won, np.where(np.arange(ROWS) % 2 == 0, "LONG", "SHORT")


def test_a_strong_honest_feature_is_no_leak(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    assert leaks(*drawn, NAMES, THRESHOLDS) == ()


@pytest.mark.parametrize("form", ["label", "against", "one side", "in the middle", "presence", "one in ten wrong"])
def test_a_leaked_label_is_named_in_every_form(drawn: tuple[np.ndarray, np.ndarray, np.ndarray], form: str) -> None:
    matrix, won, kinds = drawn
    chance = np.random.default_rng(9)
    noise = chance.normal(size=ROWS)
    matrix[:, 2] = {
        "label": won.astype(float),
        "against": noise - 4.0 * won,
        "one side": np.where(kinds == "LONG", noise + 4.0 * won, noise),
        "in the middle": np.where(won, 0.1 * noise, np.sign(noise) * (3.0 + np.abs(noise))),
        "presence": np.where(won, np.nan, noise),
        "one in ten wrong": np.where(chance.random(ROWS) < 0.1, ~won, won).astype(float),
    }[form]
    found = leaks(matrix, won, kinds, NAMES, THRESHOLDS)
    assert [leak.feature for leak in found] == ["strange"]
    assert "under the ROC curve" in found[0].evidence


def test_one_kind_of_outcome_or_few_rows_say_nothing(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    matrix, won, kinds = drawn
    assert leaks(matrix, np.ones(ROWS, dtype=bool), kinds, NAMES, THRESHOLDS) == ()
    assert leaks(matrix[:60], won[:60], kinds[:60], NAMES, THRESHOLDS) == ()
    assert leaks(np.full_like(matrix, np.nan), won, kinds, NAMES, THRESHOLDS) == ()


def test_a_model_too_good_to_be_true_names_what_it_leans_on() -> None:
    importance = [("honest", 0.2), ("strange", 0.8)]
    assert implausible_model(0.89, importance, THRESHOLDS) == ()
    (leak,) = implausible_model(0.95, importance, THRESHOLDS)
    assert leak.feature == "strange"
    assert "80% of its importance" in leak.evidence


def test_values_that_are_not_those_recorded_are_named() -> None:
    truth = np.random.default_rng(1).normal(size=(500, 3))
    truth[::7, 1] = np.nan
    used = truth.copy()
    assert differing(used, truth, NAMES, "recorded", THRESHOLDS) == ()
    used[:5, 2] += 1e-12
    assert differing(used, truth, NAMES, "recorded", THRESHOLDS) == ()
    used[:6, 2] = np.nan
    (leak,) = differing(used, truth, NAMES, "recorded", THRESHOLDS)
    assert leak.feature == "strange"
    assert leak.evidence == "6 of 500 values are not those recorded"


class _Leaning:
    """What is asked of a model here: what its features are called, and what it leans on."""

    feature_names = tuple(f"f{number}" for number in range(8))

    def importance(self) -> list[tuple[str, float]]:
        return [("f3", 1.0)]


@pytest.mark.parametrize(("days", "named"), [(10, ["f5", "f3"]), (9, [])])
def test_on_a_few_days_nothing_is_called_a_leak(days: int, named: list[str]) -> None:
    rows = synthetic_rows(3, days=days)
    matrix = np.array(rows["features"].to_list())
    matrix[:, 5] = rows["is_win"].to_numpy()
    leaked = rows.with_columns(features=pl.Series(matrix).arr.to_list())
    model = cast("MetaModel", _Leaning())
    assert [leak.feature for leak in model_leaks(leaked, model, 0.95, THRESHOLDS)] == named
