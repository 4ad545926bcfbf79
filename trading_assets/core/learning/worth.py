"""What a model is worth, in plain words: the first paragraphs of its card, for somebody who knows no statistics.

Every sentence follows from a figure of the evaluation and the verdict; the whole card is `model_card`.
"""

from __future__ import annotations

from collections.abc import Iterator

from trading_assets.core.learning.evaluation import Evaluation
from trading_assets.core.learning.promotion import Judgement


def headline(judgement: Judgement | None) -> str:
    """Return the verdict in a few words."""
    if judgement is None:
        return "Not judged yet"
    return "Promoted into shadow" if judgement.is_promoted else "Refused: it decides nothing"


def worth(evaluation: Evaluation, holdout: Evaluation | None, judgement: Judgement | None) -> tuple[str, ...]:
    """Return the paragraphs: the verdict, what it would have done on rows it had not seen, and what that does not mean."""
    return (_verdict(evaluation, judgement), _would_have(evaluation, holdout), _not_meant(evaluation, judgement))


def _verdict(evaluation: Evaluation, judgement: Judgement | None) -> str:
    if judgement is None:
        return "This model is trained and waits for its judgement. It trades nothing."
    if judgement.is_promoted:
        return (
            "This model passed every rule of the judge and was promoted into shadow: its score is written into every new decision, "
            "but moves none of them until what it says live has proven right."
        )
    failed = list(_without_edge(evaluation))
    count = len(judgement.reasons)
    listed = (
        "The judge's reason stands below."
        if count == 1
        else f"The judge's {count} reasons stand below, with their numbers."
    )
    if failed:
        return f"No edge was found. The model was refused and decides nothing, because {' and '.join(failed)}. {listed}"
    return (
        "An edge was seen, but the model was refused all the same and decides nothing. The first reason: "
        f"{judgement.reasons[0]} {listed}"
    )


def _without_edge(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.log_loss_gain.low <= 0:
        yield "its probabilities were not surely better than always naming the usual share of wins"
    if evaluation.selected_r.low <= 0:
        yield "the decisions it rated best did not surely earn more than they cost"


def _would_have(evaluation: Evaluation, holdout: Evaluation | None) -> str:
    first, last = evaluation.days[0].day, evaluation.days[-1].day
    selected = sum(day.selected for day in evaluation.days)
    mean, total = evaluation.selected_r, evaluation.total_r
    text = (
        f"It was tested on {evaluation.decisions:,} decisions from {first} to {last} that it had not learned from. {_better(evaluation)} "
        f"Had one unit of risk (1 R, the loss at the stop) been put on each of the {selected:,} decisions it rated best, they would "
        f"have made {mean.value:+.3f} R each after costs (95 times in 100 between {mean.low:+.3f} and {mean.high:+.3f}), {total.value:+.1f} R in all; "
        f"taking every candidate would have made {evaluation.mean_r:+.3f} R each."
    )
    if holdout is None:
        return text
    part = "gained" if holdout.selected_r.value > 0 else "lost"
    return (
        f"{text} On the last stretch alone ({holdout.days[0].day} to {holdout.days[-1].day}), kept away from every choice, its picks {part}: "
        f"{holdout.selected_r.value:+.3f} R each."
    )


def _better(evaluation: Evaluation) -> str:
    gain = evaluation.log_loss_gain
    if gain.low > 0:
        return f"Its probabilities were better than always naming the usual share of wins, surely if slightly: they removed {evaluation.skill:.1%} of that guess's error."
    if gain.high < 0:
        return "Its probabilities were surely worse than always naming the usual share of wins."
    return "Its probabilities could not be told from always naming the usual share of wins."


def _not_meant(evaluation: Evaluation, judgement: Judgement | None) -> str:
    if judgement is not None and not judgement.is_promoted:
        if not any(_without_edge(evaluation)):
            return (
                "This does not mean that the edge is false: a rule that guards against mistakes was not met, and until it is, nothing "
                "is risked on what was seen."
            )
        return (
            "This does not mean that the market holds no edge: only that these features, this much data and this model do not show one "
            "well enough to risk money on it."
        )
    return (
        "This does not mean that it will earn money. The results are those of labels, in which many trades run at the same time and "
        "every order is filled as assumed; markets change; and "
        f"{_variants(evaluation.variants_tried)} before this one was chosen. With that counted in, the chance that its result is "
        f"more than luck is put at {chance(evaluation.deflated_sharpe)}."
    )


def chance(probability: float) -> str:
    """Return a probability as a person reads it: never as a certainty."""
    return (
        "over 99 %"
        if probability > 0.99
        else "under 1 %"
        if probability < 0.01
        else f"{probability:.0%}".replace("%", " %")
    )


def _variants(tried: int) -> str:
    return "one way of training was tried" if tried == 1 else f"{tried} ways of training were tried"
