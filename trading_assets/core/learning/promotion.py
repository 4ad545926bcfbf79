"""The judgement on a model: promoted or refused, and every reason as a sentence with its numbers.

A model that passes starts in shadow (blend 0); `judge_blend` lets it count more, step by step, on what it said live. Noise must
be refused: each rule asks for more than luck gives. The figures come from `evaluation`, alarms from `drift`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, TypeAlias

import msgspec

from trading_assets.core.learning.evaluation import Evaluation, Interval, interval_of

Verdict: TypeAlias = Literal["promoted", "refused"]

BLEND_STEPS = (0.0, 0.1, 0.3)


class Requirements(msgspec.Struct, frozen=True, kw_only=True):
    """What a model must show."""

    feature_set_version: str
    """The feature set in use: a model of another one could not judge a single decision."""
    minimum_rows: int = 5_000
    minimum_days: int = 10
    minimum_wins: int = 200
    """Of wins and of losses alike."""
    minimum_selected: int = 100
    maximum_calibration_error: float = 0.05
    minimum_deflated_sharpe: float = 0.95
    margin: Annotated[float, msgspec.Meta(ge=0.0)] = 0.05
    """How much better than the champion's skill a challenger's must be, relative."""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict, why, and the blend it gives the model."""

    verdict: Verdict
    reasons: tuple[str, ...]
    blend: float

    @property
    def is_promoted(self) -> bool:
        """Whether the model goes into use."""
        return self.verdict == "promoted"


_Finding: TypeAlias = tuple[bool, str]


def judge(
    evaluation: Evaluation,
    champion_evaluation: Evaluation | None,
    requirements: Requirements,
    drift_alarms: Sequence[str] = (),
) -> Judgement:
    """Judge a challenger, against the champion on the same rows when there is one. Passing all rules means shadow.

    Neither model may have been trained on the rows of either evaluation. Reasons name every rule when all pass, and
    those that failed when not.
    """
    findings = [
        *_sample(evaluation, requirements),
        *_drift(drift_alarms),
        *_probabilities(evaluation, requirements),
        *_utility(evaluation, requirements),
    ]
    if champion_evaluation is not None:
        findings.extend(_against_champion(evaluation, champion_evaluation, requirements))
    failed = tuple(sentence for is_met, sentence in findings if not is_met)
    if failed:
        return Judgement(verdict="refused", reasons=failed, blend=0.0)
    passed = tuple(sentence for _, sentence in findings)
    return Judgement(verdict="promoted", reasons=(*passed, "It starts in shadow: blend 0."), blend=0.0)


def _sample(evaluation: Evaluation, requirements: Requirements) -> Iterator[_Finding]:
    known, asked = evaluation.feature_set_version, requirements.feature_set_version
    yield known == asked, f"It was judged on feature set {known or 'none'}, in use is {asked}."
    yield (
        evaluation.rows >= requirements.minimum_rows,
        f"It was judged on {evaluation.rows} candidates out of sample, at least {requirements.minimum_rows} are needed.",
    )
    yield (
        len(evaluation.days) >= requirements.minimum_days,
        f"They span {len(evaluation.days)} days, at least {requirements.minimum_days} are needed.",
    )
    losses = evaluation.rows - evaluation.wins
    yield (
        min(evaluation.wins, losses) >= requirements.minimum_wins,
        f"They hold {evaluation.wins} wins and {losses} losses, at least {requirements.minimum_wins} of each are needed.",
    )


def _drift(alarms: Sequence[str]) -> Iterator[_Finding]:
    if not alarms:
        yield True, "No drift alarm stands."
    for alarm in alarms:
        yield False, f"A drift alarm stands: {alarm}"


def _probabilities(evaluation: Evaluation, requirements: Requirements) -> Iterator[_Finding]:
    gain = evaluation.log_loss_gain
    yield (
        gain.low > 0,
        f"Its log loss is {evaluation.log_loss:.4f} against {evaluation.baseline_log_loss:.4f} of the base rate: a gain of "
        f"{_interval(gain, evaluation.confidence)}, which must lie above 0.",
    )
    yield (
        evaluation.calibration_interval.low <= requirements.maximum_calibration_error,
        f"Its calibration error is {_interval(evaluation.calibration_interval, evaluation.confidence)}; it must not surely "
        f"be above {requirements.maximum_calibration_error}.",
    )


def _utility(evaluation: Evaluation, requirements: Requirements) -> Iterator[_Finding]:
    selected = sum(day.selected for day in evaluation.days)
    yield (
        selected >= requirements.minimum_selected,
        f"It would have selected {selected} decisions, at least {requirements.minimum_selected} are needed.",
    )
    yield (
        evaluation.selected_r.low > 0,
        f"They made {_interval(evaluation.selected_r, evaluation.confidence)} R each after costs, which must lie above 0; "
        f"all candidates made {evaluation.mean_r:.4f} R.",
    )
    yield (
        evaluation.deflated_sharpe >= requirements.minimum_deflated_sharpe,
        f"The deflated Sharpe ratio over {evaluation.variants_tried} variants tried gives a probability of "
        f"{evaluation.deflated_sharpe:.3f} that this is no luck, at least {requirements.minimum_deflated_sharpe} is needed.",
    )


def _against_champion(evaluation: Evaluation, champion: Evaluation, requirements: Requirements) -> Iterator[_Finding]:
    if evaluation.rows_sha256 != champion.rows_sha256:
        yield (
            False,
            f"It was judged on {evaluation.rows} rows, the champion on {champion.rows} others: they cannot be compared.",
        )
        return
    pairs = list(zip(evaluation.days, champion.days, strict=True))
    counts = [ours.rows for ours, _ in pairs]
    gain = interval_of([theirs.log_loss - ours.log_loss for ours, theirs in pairs], counts, evaluation.confidence)
    needed = max(champion.skill, 0.0) * (1.0 + requirements.margin)
    yield (
        evaluation.skill >= needed,
        f"Its skill is {evaluation.skill:.4f} against {champion.skill:.4f} of the champion on the same {evaluation.rows} rows; "
        f"at least {needed:.4f} is needed, {requirements.margin:.0%} more.",
    )
    yield (
        gain.low > 0,
        f"Its log loss is better than the champion's by {_interval(gain, evaluation.confidence)}, which must lie above 0.",
    )


def judge_blend(
    live: Evaluation, blend: float, requirements: Requirements, steps: Sequence[float] = BLEND_STEPS
) -> Judgement:
    """Judge how much the model in use may count, on the probabilities it gave live: a step up, as it is, or shadow.

    A step up needs what the promotion needed; selected decisions that surely lose send it back to shadow.
    """
    if live.selected_r.high < 0:
        lost = (
            f"The decisions it selected live made {_interval(live.selected_r, live.confidence)} R each, surely a loss."
        )
        return Judgement(verdict="refused", reasons=(lost, "It goes back to shadow."), blend=0.0)
    findings = [*_sample(live, requirements), *_probabilities(live, requirements), *_utility(live, requirements)]
    failed = tuple(sentence for is_met, sentence in findings if not is_met)
    higher = [step for step in steps if step > blend]
    if failed or not higher:
        reasons = failed or (f"It has reached the highest blend, {blend:.0%}.",)
        return Judgement(verdict="refused", reasons=(*reasons, f"The blend stays at {blend:.0%}."), blend=blend)
    passed = tuple(sentence for _, sentence in findings)
    return Judgement(
        verdict="promoted", reasons=(*passed, f"The blend rises from {blend:.0%} to {higher[0]:.0%}."), blend=higher[0]
    )


def _interval(interval: Interval, confidence: float) -> str:
    return f"{interval.value:.4f} ({confidence:.0%} interval {interval.low:.4f} to {interval.high:.4f})"
