"""The rollout: how much the model in use may count, judged on what it said live since its release was loaded.

A step up the ladder asks for as much as the promotion did, of live results. Doubt takes one step back. A model that surely
loses, or knows surely less than the base rate, is demoted: the rules decide alone. What is asked for is `policy.Ladder`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import msgspec
import numpy as np
import polars as pl

from trading_assets.core.learning.evaluation import Evaluation, evaluate
from trading_assets.core.learning.policy import Ladder
from trading_assets.core.learning.promotion import spoken

Move: TypeAlias = Literal["step_up", "hold", "step_back", "demote"]


class LiveJudgement(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the release in use, why, and the blend from now on; None for the rules alone."""

    move: Move
    blend: float | None
    reasons: tuple[str, ...]


_Finding: TypeAlias = tuple[bool, str]


def live_evaluation(rows: pl.DataFrame, release_id: str, base_rate: float, confidence: float) -> Evaluation | None:
    """Judge the probabilities recorded live under a release against the labels; None without such rows.

    `rows` are of the learning dataset. `base_rate` is the share of wins the model was trained on: what always saying that
    would have scored is what it is held against.
    """
    live = rows.filter((pl.col("release_id") == release_id) & pl.col("win_probability").is_not_null())
    if live.is_empty():
        return None
    baseline = np.full(live.height, base_rate)
    return evaluate(live, live["win_probability"].to_numpy(), baseline, confidence=confidence)


def judge_rollout(
    live: Evaluation | None, blend: float, ladder: Ladder, drift_alarms: Sequence[str] = ()
) -> LiveJudgement:
    """Say what becomes of a release of this blend after what it said live."""
    if live is None or live.decisions < ladder.alarm_decisions or len(live.days) < ladder.alarm_days:
        return LiveJudgement(
            move="hold", blend=blend, reasons=(_too_few(live, ladder), f"The blend stays at {blend:.0%}.")
        )
    if gone := tuple(_surely_bad(live)):
        return LiveJudgement(
            move="demote", blend=None, reasons=(*gone, _seen(live), "It is demoted: the rules decide alone.")
        )
    if doubts := (*_doubts(live, ladder), *(f"A drift alarm stands: {alarm}" for alarm in drift_alarms)):
        return _back(doubts, live, blend, ladder)
    findings = list(_merits(live, ladder))
    failed = tuple(sentence for is_met, sentence in findings if not is_met)
    higher = [step for step in ladder.steps if step > blend]
    if failed or not higher:
        reasons = failed or (f"It has reached the highest step, {blend:.0%}.",)
        return LiveJudgement(move="hold", blend=blend, reasons=(*reasons, f"The blend stays at {blend:.0%}."))
    passed = tuple(sentence for _, sentence in findings)
    return LiveJudgement(
        move="step_up", blend=higher[0], reasons=(*passed, f"The blend rises from {blend:.0%} to {higher[0]:.0%}.")
    )


def _back(doubts: tuple[str, ...], live: Evaluation, blend: float, ladder: Ladder) -> LiveJudgement:
    lower = [step for step in ladder.steps if step < blend]
    if not lower:
        return LiveJudgement(move="hold", blend=blend, reasons=(*doubts, "It stays in shadow."))
    sentence = f"The blend goes back from {blend:.0%} to {lower[-1]:.0%}."
    return LiveJudgement(move="step_back", blend=lower[-1], reasons=(*doubts, _seen(live), sentence))


def _seen(live: Evaluation) -> str:
    return f"That is after {live.decisions} labelled live decisions on {len(live.days)} days."


def _too_few(live: Evaluation | None, ladder: Ladder) -> str:
    decisions, days = (0, 0) if live is None else (live.decisions, len(live.days))
    return (
        f"{decisions} live decisions on {days} days have labels; {ladder.alarm_decisions} on {ladder.alarm_days} days are "
        f"needed to say anything, {ladder.minimum_decisions} on {ladder.minimum_days} days for a step up."
    )


def _surely_bad(live: Evaluation) -> Iterator[str]:
    if live.selected_r.high < 0:
        yield f"The decisions it selected live made {spoken(live.selected_r, live.confidence)} R each, surely a loss."
    if live.log_loss_gain.high < 0:
        yield (
            f"Its live probabilities are surely worse than the base rate: a gain in log loss of "
            f"{spoken(live.log_loss_gain, live.confidence)}."
        )


def _doubts(live: Evaluation, ladder: Ladder) -> Iterator[str]:
    if live.calibration_interval.low > ladder.maximum_calibration_error:
        yield (
            f"Its live calibration error is {spoken(live.calibration_interval, live.confidence)}, surely above "
            f"{ladder.maximum_calibration_error}."
        )
    if live.selected_r.value < 0:
        yield f"The decisions it selected live made {spoken(live.selected_r, live.confidence)} R each, on the whole a loss."
    if live.log_loss_gain.value < 0:
        yield (
            f"Its live probabilities were on the whole worse than the base rate: a gain in log loss of "
            f"{spoken(live.log_loss_gain, live.confidence)}."
        )


def _merits(live: Evaluation, ladder: Ladder) -> Iterator[_Finding]:
    yield (
        live.decisions >= ladder.minimum_decisions and len(live.days) >= ladder.minimum_days,
        f"{live.decisions} live decisions on {len(live.days)} days have labels; a step up needs {ladder.minimum_decisions} on "
        f"{ladder.minimum_days} days.",
    )
    yield (
        live.log_loss_gain.low > 0,
        f"Live its log loss is better than the base rate's by {spoken(live.log_loss_gain, live.confidence)}, which must lie above 0.",
    )
    yield (
        live.calibration_interval.low <= ladder.maximum_calibration_error,
        f"Its live calibration error is {spoken(live.calibration_interval, live.confidence)}; it must not surely be above "
        f"{ladder.maximum_calibration_error}.",
    )
    yield (
        live.selected_r.low > 0,
        f"The decisions it selected live made {spoken(live.selected_r, live.confidence)} R each, which must lie above 0.",
    )
