"""The judgement on a model: promoted or refused, and every reason as a sentence with its numbers.

A model that passes starts in shadow (blend 0); how it comes to count more, or is taken back, is `rollout`. Noise must be refused:
each rule asks for more than luck gives. The figures come from `evaluation`, alarms from `drift`, leaks from `leaks`, and what is
asked for from `policy`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import msgspec

from trading_assets.core.learning.evaluation import Evaluation
from trading_assets.core.learning.intervals import Interval, interval_of
from trading_assets.core.learning.leaks import Leak
from trading_assets.core.learning.policy import Requirements

__all__ = ["Judgement", "Requirements", "judge", "spoken"]

Verdict: TypeAlias = Literal["promoted", "refused"]


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
    logistic: tuple[Evaluation, Evaluation] | None = None,
    leaks: Sequence[Leak] = (),
    holdout: Evaluation | None = None,
) -> Judgement:
    """Judge a challenger, against the champion on the same rows when there is one. Passing all rules means shadow.

    `logistic`: the model and the logistic baseline, on the same rows. `holdout`: the model on the last stretch alone, which no choice
    has seen. No model may have been trained on the rows of its evaluation. Reasons name every rule when all pass, and those that
    failed when not.
    """
    findings = [
        *_sample(evaluation, requirements),
        *_leaks(leaks),
        *_drift(drift_alarms),
        *_probabilities(evaluation, requirements),
        *_utility(evaluation, requirements),
    ]
    if holdout is not None:
        findings.extend(_on_holdout(holdout))
    if logistic is not None:
        findings.extend(_against_logistic(*logistic))
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


def _leaks(leaks: Sequence[Leak]) -> Iterator[_Finding]:
    if not leaks:
        yield True, "No feature knows more than it can."
    for leak in leaks:
        yield False, f"Feature {leak.feature} leaks: {leak.evidence}."


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
        f"{spoken(gain, evaluation.confidence)}, which must lie above 0.",
    )
    yield (
        evaluation.calibration_interval.low <= requirements.maximum_calibration_error,
        f"Its calibration error is {spoken(evaluation.calibration_interval, evaluation.confidence)}; it must not surely "
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
        f"They made {spoken(evaluation.selected_r, evaluation.confidence)} R each after costs, which must lie above 0; "
        f"all candidates made {evaluation.mean_r:.4f} R.",
    )
    yield (
        evaluation.deflated_sharpe >= requirements.minimum_deflated_sharpe,
        f"The deflated Sharpe ratio over {evaluation.variants_tried} variants tried gives a probability of "
        f"{evaluation.deflated_sharpe:.3f} that this is no luck, at least {requirements.minimum_deflated_sharpe} is needed.",
    )


def _on_holdout(holdout: Evaluation) -> Iterator[_Finding]:
    """What was chosen on the stretches before must not fail on the one that had no part in the choice.

    A stretch of days is too short to show an edge by itself, so it need not: all rows do that, those of the holdout among
    them. But one on which the model is surely wrong, or surely loses, says that the edge was chosen into being, or is gone.
    """
    yield (
        holdout.log_loss_gain.high >= 0,
        f"{_latest(holdout)}, which had no part in any choice, its log loss gains "
        f"{spoken(holdout.log_loss_gain, holdout.confidence)} over the base rate, which must not surely be under 0.",
    )
    yield (
        holdout.selected_r.high >= 0,
        f"{_latest(holdout)} the decisions it selected made {spoken(holdout.selected_r, holdout.confidence)} R each, "
        "which must not surely be a loss.",
    )


def _latest(holdout: Evaluation) -> str:
    return "On the latest day" if len(holdout.days) == 1 else f"On the latest {len(holdout.days)} days"


def _against_logistic(model: Evaluation, baseline: Evaluation) -> Iterator[_Finding]:
    """A model that a regression on a few features equals has learned nothing that needs a model.

    It carries that regression inside (`meta_model`), so it can always come close; what its trees add must have helped on rows it
    had not seen. So close is not enough and no margin is given. Nor must it surely be lower: an edge that is all but linear leaves
    trees little to add, and is an edge over the base rate all the same, for which the interval is asked. How sure it is stands
    in the sentence.
    """
    if model.rows_sha256 != baseline.rows_sha256:
        yield (
            False,
            f"It was judged on {model.rows} rows, the logistic baseline on {baseline.rows} others: they cannot be compared.",
        )
        return
    gain = _gain(model, baseline)
    yield (
        model.log_loss < baseline.log_loss,
        f"Its log loss is {model.log_loss:.4f} against {baseline.log_loss:.4f} of a logistic regression on a few features, on the "
        f"same {model.rows} rows: a gain of {spoken(gain, model.confidence)}; the model's own must be the lower one.",
    )


def _gain(ours: Evaluation, theirs: Evaluation) -> Interval:
    """Return by how much our log loss is lower on the same rows, day by day."""
    pairs = list(zip(ours.days, theirs.days, strict=True))
    return interval_of([b.log_loss - a.log_loss for a, b in pairs], [a.rows for a, _ in pairs], ours.confidence)


def _against_champion(evaluation: Evaluation, champion: Evaluation, requirements: Requirements) -> Iterator[_Finding]:
    if evaluation.rows_sha256 != champion.rows_sha256:
        yield (
            False,
            f"It was judged on {evaluation.rows} rows, the champion on {champion.rows} others: they cannot be compared.",
        )
        return
    gain = _gain(evaluation, champion)
    needed = max(champion.skill, 0.0) * (1.0 + requirements.margin)
    yield (
        evaluation.skill >= needed,
        f"Its skill is {evaluation.skill:.4f} against {champion.skill:.4f} of the champion on the same {evaluation.rows} rows; "
        f"at least {needed:.4f} is needed, {requirements.margin:.0%} more.",
    )
    yield (
        gain.low > 0,
        f"Its log loss is better than the champion's by {spoken(gain, evaluation.confidence)}, which must lie above 0.",
    )


def spoken(interval: Interval, confidence: float) -> str:
    """Return an interval as sentences say it."""
    return f"{interval.value:.4f} ({confidence:.0%} interval {interval.low:.4f} to {interval.high:.4f})"
