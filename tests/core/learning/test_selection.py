"""What would be traded: by what was known before, never by what comes later."""

from __future__ import annotations

from math import ceil

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.learning.selection import best_of_decisions, equity, selected, thresholds, top_figures


def scored(days: int = 12, seed: int = 1, per_day: int = 60) -> pl.DataFrame:
    """Rows of six candidates a decision, with probabilities."""
    rng = np.random.default_rng(seed)
    number = np.repeat(np.arange(days * per_day), 6)
    start = pl.date(2024, 3, 4)
    return pl.DataFrame(
        {
            "idea_id": [f"{decision:05d}-{place}" for decision in range(days * per_day) for place in range(6)],
            "signal_id": [f"{decision:05d}" for decision in number],
            "probability": rng.random(len(number)),
            "result_r": rng.normal(size=len(number)),
            "number": number,
        }
    ).with_columns(
        decided_at=start.cast(pl.Datetime("us", "UTC"))
        + pl.duration(days=pl.col("number") // per_day, minutes=pl.col("number") % per_day * 20)
    ).with_columns(day=pl.col("decided_at").dt.date())  # fmt: skip


def test_of_each_decision_the_most_probable_candidate_counts() -> None:
    rows = scored()
    best = best_of_decisions(rows)
    assert best["signal_id"].n_unique() == len(best) == 720
    highest = rows.group_by("signal_id").agg(pl.col("probability").max()).sort("signal_id")
    assert best.sort("signal_id")["probability"].to_list() == highest["probability"].to_list()


def test_the_threshold_is_what_the_best_tenth_of_the_decisions_before_reached() -> None:
    best = best_of_decisions(scored())
    said = best["probability"].to_list()
    found = thresholds(best, 0.1)
    assert np.isnan(found[:50]).all()
    for place in range(50, len(said)):
        before = sorted(said[max(0, place - 144) : place])
        assert found[place] == before[-ceil(len(before) / 10)]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(60, 700))
def test_nothing_that_comes_later_moves_a_threshold_or_who_is_selected(seed: int, cut: int) -> None:
    rows = scored(seed=seed)
    best = best_of_decisions(rows)
    later = best.with_row_index("place").with_columns(
        probability=pl.when(pl.col("place") >= cut).then(1 - pl.col("probability")).otherwise("probability")
    )
    assert np.array_equal(thresholds(best, 0.1)[: cut + 1], thresholds(later, 0.1)[: cut + 1], equal_nan=True)
    past = set(selected(best.head(cut))["idea_id"])
    assert past == set(selected(best)["idea_id"]) & set(best.head(cut)["idea_id"])


def test_a_day_of_low_probabilities_is_not_traded_for_being_the_best_of_itself() -> None:
    """Ranked within its own day, a tenth would have been selected with the day's hindsight; here nothing is."""
    best = best_of_decisions(scored())
    days = sorted(set(best["day"]))
    dull = best.with_columns(
        probability=pl.when(pl.col("day") == days[7]).then(pl.col("probability") / 3).otherwise("probability")
    )
    assert selected(dull).filter(pl.col("day") == days[7]).is_empty()


def test_results_have_no_say_in_what_is_selected() -> None:
    rows = scored()
    other = rows.with_columns(result_r=-pl.col("result_r"))
    assert selected(best_of_decisions(rows))["idea_id"].equals(selected(best_of_decisions(other))["idea_id"])


def test_about_a_tenth_is_selected_and_the_first_decisions_have_no_threshold() -> None:
    best = best_of_decisions(scored(days=60))
    taken = selected(best)
    assert not set(taken["signal_id"]) & set(best["signal_id"][:50])
    assert 0.09 < len(taken) / (60 * 60) < 0.12


@pytest.mark.parametrize("days", [0, 1])
def test_no_decision_before_selects_nothing(days: int) -> None:
    rows = scored(days=1).head(6 * 50 * days)
    best = best_of_decisions(rows)
    assert selected(best).is_empty()
    assert all(one.selected == 0 and one.result_r.value == 0.0 for one in top_figures(best, 0.95))
    assert equity([], [], [], 0.95) == ()


def test_a_tighter_share_selects_fewer() -> None:
    found = top_figures(best_of_decisions(scored(days=40)), 0.95)
    assert [one.selected for one in found] == sorted(one.selected for one in found)
