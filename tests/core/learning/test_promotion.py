"""The judgement: noise is refused, a planted edge is found, and every rule fires."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import polars as pl
import pytest

from trading_assets.core.learning.evaluation import Evaluation
from trading_assets.core.learning.intervals import Interval
from trading_assets.core.learning.leaks import Leak
from trading_assets.core.learning.meta_model import TrainingParams
from trading_assets.core.learning.promotion import Requirements, judge
from trading_assets.core.learning.training import Training, against_champion, fit
from trading_assets.core.learning.variants import Variant

PARAMS = TrainingParams(feature_share=1.0)
"""The product's trees, but each reads all eight columns: a third of eight would seldom hold both that the edge needs."""
VARIANTS = (
    Variant(name="expanding", scheme="expanding", params=PARAMS),
    Variant(name="sliding", scheme="sliding", params=PARAMS),
)
REQUIREMENTS = Requirements(feature_set_version="synthetic-1")
SEEDS = 8


@pytest.fixture(scope="module")
def trained(make_rows: Callable[..., pl.DataFrame], feature_names: tuple[str, ...]) -> Training:
    """A model of data with a strong planted edge."""
    return fit(make_rows(5, edge=0.9), feature_names, VARIANTS)


def changed(evaluation: Evaluation, **figures: object) -> Evaluation:
    return msgspec.structs.replace(evaluation, **figures)


def test_noise_is_refused_over_many_seeds(
    make_rows: Callable[..., pl.DataFrame], feature_names: tuple[str, ...]
) -> None:
    """Without costs, so that nothing but the lack of an edge refuses."""
    verdicts = [
        judge(
            fit(make_rows(seed, edge=0.0, cost_r=0.0), feature_names, VARIANTS).evaluation, None, REQUIREMENTS
        ).verdict
        for seed in range(100, 100 + SEEDS)
    ]
    assert verdicts == ["refused"] * SEEDS


def test_a_planted_edge_is_found_over_many_seeds(
    make_rows: Callable[..., pl.DataFrame], feature_names: tuple[str, ...]
) -> None:
    judgements = [
        judge(fit(make_rows(seed, days=30, edge=0.9), feature_names, VARIANTS).evaluation, None, REQUIREMENTS)
        for seed in range(100, 106)
    ]
    assert [judgement.verdict for judgement in judgements] == ["promoted"] * 6


def test_a_promoted_model_starts_in_shadow_and_names_every_rule(trained: Training) -> None:
    judgement = judge(trained.evaluation, None, REQUIREMENTS)
    assert (judgement.verdict, judgement.blend) == ("promoted", 0.0)
    assert judgement.is_promoted
    assert len(judgement.reasons) == 12
    assert all(reason.endswith(".") for reason in judgement.reasons)


@pytest.mark.parametrize(
    ("figures", "sentence"),
    [
        ({"feature_set_version": "older-1"}, "judged on feature set older-1, in use is synthetic-1"),
        ({"rows": 4999, "wins": 2000}, "4999 candidates out of sample, at least 5000"),
        ({"days": ()}, "span 0 days, at least 10"),
        ({"wins": 199}, "199 wins and"),
        ({"log_loss_gain": Interval(value=0.01, low=-0.001, high=0.02)}, "must lie above 0"),
        ({"calibration_interval": Interval(value=0.07, low=0.051, high=0.09)}, "must not surely be above 0.05"),
        ({"selected_r": Interval(value=0.1, low=-0.01, high=0.2)}, "R each after costs, which must lie above 0"),
        ({"deflated_sharpe": 0.94}, "0.940 that this is no luck"),
    ],
)
def test_each_rule_refuses_with_its_numbers(trained: Training, figures: dict[str, object], sentence: str) -> None:
    judgement = judge(changed(trained.evaluation, **figures), None, REQUIREMENTS)
    assert judgement.verdict == "refused"
    assert any(sentence in reason for reason in judgement.reasons), judgement.reasons


def test_a_drift_alarm_refuses(trained: Training) -> None:
    judgement = judge(trained.evaluation, None, REQUIREMENTS, ["40 of 100 features have moved."])
    assert judgement.reasons == ("A drift alarm stands: 40 of 100 features have moved.",)


def test_too_few_selected_decisions_refuse(trained: Training) -> None:
    days = tuple(msgspec.structs.replace(day, selected=1) for day in trained.evaluation.days)
    judgement = judge(changed(trained.evaluation, days=days), None, REQUIREMENTS)
    assert any(f"would have selected {len(days)} decisions, at least 100" in reason for reason in judgement.reasons)


def test_a_challenger_no_better_than_the_champion_is_refused(trained: Training) -> None:
    judgement = judge(trained.evaluation, trained.evaluation, REQUIREMENTS)
    assert judgement.verdict == "refused"
    assert any("5% more" in reason for reason in judgement.reasons)
    assert any("better than the champion's by 0.0000" in reason for reason in judgement.reasons)


def test_evaluations_of_different_rows_are_not_compared(trained: Training) -> None:
    other = changed(trained.evaluation, rows_sha256="0" * 64)
    assert any("cannot be compared" in reason for reason in judge(trained.evaluation, other, REQUIREMENTS).reasons)


def test_a_challenger_that_knows_more_beats_a_champion_of_noise(
    make_rows: Callable[..., pl.DataFrame], feature_names: tuple[str, ...], trained: Training
) -> None:
    champion = fit(make_rows(77, edge=0.0), feature_names, VARIANTS[:1]).model
    frame = make_rows(5, edge=0.9)
    pair = against_champion(trained, champion, frame, frame["decided_at"].min())  # type: ignore[arg-type]
    assert pair is not None
    ours, theirs = pair
    assert ours.rows_sha256 == theirs.rows_sha256
    assert ours.skill > 0 > theirs.skill
    assert judge(ours, theirs, REQUIREMENTS).is_promoted
    assert not judge(theirs, ours, REQUIREMENTS).is_promoted


def test_without_rows_new_to_the_champion_there_is_nothing_to_compare(
    make_rows: Callable[..., pl.DataFrame], trained: Training
) -> None:
    assert against_champion(trained, trained.model, make_rows(5, edge=0.9), trained.trained_until) is None


def test_a_leak_refuses_and_names_the_feature(trained: Training) -> None:
    leak = Leak(feature="m5_rsi_14", evidence="alone by its value it tells LONG wins from losses")
    judgement = judge(trained.evaluation, None, REQUIREMENTS, leaks=[leak])
    assert judgement.reasons == ("Feature m5_rsi_14 leaks: alone by its value it tells LONG wins from losses.",)


def test_a_model_that_a_logistic_regression_equals_is_refused(trained: Training) -> None:
    judgement = judge(trained.evaluation, None, REQUIREMENTS, logistic=(trained.evaluation, trained.evaluation))
    assert judgement.verdict == "refused"
    assert "of a logistic regression on a few features" in judgement.reasons[0]


def test_a_model_that_is_surely_wrong_or_surely_loses_on_the_holdout_is_refused(trained: Training) -> None:
    assert judge(trained.evaluation, None, REQUIREMENTS, holdout=trained.holdout).is_promoted
    unsure, below = Interval(value=-0.01, low=-0.02, high=0.01), Interval(value=-0.02, low=-0.03, high=-0.01)
    unlucky = changed(trained.holdout, log_loss_gain=unsure, selected_r=unsure)
    assert judge(trained.evaluation, None, REQUIREMENTS, holdout=unlucky).is_promoted
    for figure, sentence in (("log_loss_gain", "had no part in any choice"), ("selected_r", "surely be a loss")):
        judgement = judge(trained.evaluation, None, REQUIREMENTS, holdout=changed(trained.holdout, **{figure: below}))
        assert not judgement.is_promoted
        assert len(judgement.reasons) == 1
        assert sentence in judgement.reasons[0]


def test_a_logistic_regression_on_other_rows_is_no_baseline(trained: Training) -> None:
    other = changed(trained.evaluation, log_loss=9.0, rows_sha256="0" * 64)
    reasons = judge(trained.evaluation, None, REQUIREMENTS, logistic=(trained.evaluation, other)).reasons
    assert "the logistic baseline on" in reasons[0]


def test_the_margin_is_what_the_policy_says(trained: Training) -> None:
    champion = changed(trained.evaluation, log_loss=trained.evaluation.log_loss * 1.001)
    assert any("at least" in one for one in judge(trained.evaluation, champion, REQUIREMENTS).reasons)
    lenient = msgspec.structs.replace(REQUIREMENTS, margin=0.0)
    reasons = judge(trained.evaluation, champion, lenient).reasons
    assert all("Its skill is" not in one for one in reasons)


def test_training_is_repeatable_to_the_byte(
    make_rows: Callable[..., pl.DataFrame], feature_names: tuple[str, ...], trained: Training
) -> None:
    shuffled = make_rows(5, edge=0.9).sample(fraction=1.0, shuffle=True, seed=1)
    again = fit(shuffled, feature_names, VARIANTS)
    assert again.model.to_bytes() == trained.model.to_bytes()
    assert again.evaluation == trained.evaluation
    assert set(again.tried) == {"expanding", "sliding"}
