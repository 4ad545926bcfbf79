"""The ladder: each step on live results, one back on doubt, and the rules alone when the model surely loses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec
import numpy as np
import polars as pl
import pytest

from trading_assets.core.learning.evaluation import Evaluation, Interval
from trading_assets.core.learning.policy import Ladder
from trading_assets.core.learning.rollout import judge_rollout, live_evaluation

LADDER = Ladder()


@pytest.fixture(scope="module")
def live(make_rows: Callable[..., pl.DataFrame]) -> Evaluation:
    """Live results of a model that knows the planted edge."""
    rows = make_rows(3, edge=0.9)
    chance = rows["is_win"].to_numpy() * 0.5 + 0.25
    scored = rows.with_columns(pl.Series("win_probability", chance), release_id=pl.lit("r-1"))
    told = live_evaluation(scored, "r-1", 0.4, LADDER.confidence)
    assert told is not None
    return msgspec.structs.replace(told, calibration_interval=Interval(value=0.02, low=0.01, high=0.03))


def changed(live: Evaluation, **figures: object) -> Evaluation:
    return msgspec.structs.replace(live, **figures)


def test_the_blend_rises_step_by_step_and_stops_at_the_highest(live: Evaluation) -> None:
    blend, seen = 0.0, []
    for _ in range(3):
        judgement = judge_rollout(live, blend, LADDER)
        assert judgement.blend is not None
        blend = judgement.blend
        seen.append((judgement.move, blend))
    assert seen == [("step_up", 0.1), ("step_up", 0.3), ("hold", 0.3)]


def test_the_ladder_is_configurable(live: Evaluation) -> None:
    assert judge_rollout(live, 0.0, Ladder(steps=(0.0, 0.05))).blend == 0.05


@pytest.mark.parametrize(
    ("figures", "sentence"),
    [
        ({"decisions": 999}, "999 live decisions on 24 days have labels; a step up needs 1000 on 10 days"),
        ({"log_loss_gain": Interval(value=0.01, low=-0.01, high=0.02)}, "which must lie above 0"),
        ({"selected_r": Interval(value=0.1, low=-0.1, high=0.2)}, "R each, which must lie above 0"),
    ],
)
def test_a_step_up_needs_every_merit(live: Evaluation, figures: dict[str, object], sentence: str) -> None:
    judgement = judge_rollout(changed(live, **figures), 0.1, LADDER)
    assert (judgement.move, judgement.blend) == ("hold", 0.1)
    assert any(sentence in reason for reason in judgement.reasons), judgement.reasons


def test_too_few_results_say_nothing(live: Evaluation) -> None:
    losing = changed(live, decisions=299, selected_r=Interval(value=-1.0, low=-2.0, high=-0.5))
    assert judge_rollout(losing, 0.3, LADDER).move == "hold"
    assert judge_rollout(None, 0.3, LADDER).reasons[0].startswith("0 live decisions on 0 days")


@pytest.mark.parametrize(
    ("figures", "sentence"),
    [
        ({"calibration_interval": Interval(value=0.08, low=0.06, high=0.1)}, "surely above 0.05"),
        ({"selected_r": Interval(value=-0.1, low=-0.2, high=0.1)}, "on the whole a loss"),
        ({"log_loss_gain": Interval(value=-0.01, low=-0.02, high=0.01)}, "on the whole worse than the base rate"),
    ],
)
def test_doubt_takes_one_step_back_and_leaves_shadow_in_shadow(
    live: Evaluation, figures: dict[str, object], sentence: str
) -> None:
    doubtful = changed(live, **figures)
    judgements = [judge_rollout(doubtful, blend, LADDER) for blend in (0.3, 0.1, 0.0)]
    assert [(one.move, one.blend) for one in judgements] == [("step_back", 0.1), ("step_back", 0.0), ("hold", 0.0)]
    assert sentence in judgements[0].reasons[0]


def test_a_drift_alarm_takes_one_step_back(live: Evaluation) -> None:
    assert judge_rollout(live, 0.3, LADDER, ["40 of 100 features have moved."]).blend == 0.1


@pytest.mark.parametrize("blend", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("figure", ["selected_r", "log_loss_gain"])
def test_a_model_that_is_surely_bad_is_demoted_to_the_rules_from_any_step(
    live: Evaluation, blend: float, figure: str
) -> None:
    judgement = judge_rollout(changed(live, **{figure: Interval(value=-0.2, low=-0.3, high=-0.1)}), blend, LADDER)
    assert (judgement.move, judgement.blend) == ("demote", None)
    assert "surely" in judgement.reasons[0]
    assert judgement.reasons[-1] == "It is demoted: the rules decide alone."


def test_only_rows_scored_under_the_release_count(make_rows: Callable[..., pl.DataFrame]) -> None:
    rows = make_rows(3, edge=0.9)
    probability = np.where(np.arange(rows.height) % 2 == 0, 0.5, np.nan)
    scored = rows.with_columns(
        pl.Series("win_probability", probability, nan_to_null=True),
        release_id=pl.when(pl.col("decided_at") < pl.col("decided_at").min() + timedelta(days=5)).then(pl.lit("r-1")).otherwise(pl.lit("r-2")),
    )  # fmt: skip
    told = live_evaluation(scored, "r-1", 0.4, 0.99)
    assert told is not None
    assert len(told.days) == 5
    assert told.rows == scored.filter((pl.col("release_id") == "r-1") & pl.col("win_probability").is_not_null()).height
    assert live_evaluation(scored, "r-3", 0.4, 0.99) is None
