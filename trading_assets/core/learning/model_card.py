"""The model card: one page that says what a model is worth, what it was made of and how well it knew what it said.

Pure: facts and drawn figures go in, HTML comes out, with nothing to load from elsewhere; the same facts give the same bytes. The plain
words are `worth`; the figures are drawn, and the page is written, by the assets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape

import msgspec
import numpy as np

from trading_assets.core.learning.evaluation import Evaluation
from trading_assets.core.learning.figures import GroupFigures
from trading_assets.core.learning.intervals import Interval
from trading_assets.core.learning.meta_model import MetaModel, TrainingParams
from trading_assets.core.learning.promotion import Judgement
from trading_assets.core.learning.worth import chance, headline, worth

CARD_FILE = "card.html"
FACTS_FILE = "card.json"
SHAP_ROWS = 600
SHAP_FEATURES = 20
GROUP_PICKS = 30
_TOO_FEW = "too few"


class ShapFeature(msgspec.Struct, frozen=True, kw_only=True):
    """One input of the model: its mean absolute contribution to the log odds, and points to draw."""

    name: str
    mean: float
    contributions: tuple[float, ...]
    ranks: tuple[float | None, ...]
    """Where the input stands among the drawn rows, 0 lowest to 1 highest; null where it is unknown."""


class CardFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a card tells but the verdict."""

    model_version: str
    dataset_version: int
    dataset_sha256: str
    labels: str
    """Versions of the labels and of their costs."""
    feature_set_version: str
    strategy_version: str
    symbols: tuple[str, ...]
    first_at: datetime
    last_at: datetime
    row_count: int
    win_share: float
    feature_count: int
    base_names: tuple[str, ...]
    variant: str
    params: TrainingParams
    tried: dict[str, float]
    """Log loss of each variant of this training on the development rows."""
    evaluation: Evaluation
    holdout: Evaluation | None
    logistic: Evaluation | None
    champion: tuple[Evaluation, Evaluation] | None
    """This model and the one in use, both on the rows new to the latter."""
    importance: tuple[tuple[str, float], ...]
    shap: tuple[ShapFeature, ...]
    remarks: tuple[str, ...] = ()
    """What was noticed about the data."""


def shap_summary(model: MetaModel, matrix: np.ndarray) -> tuple[ShapFeature, ...]:
    """Return the inputs that move the model most on rows (n, k), of which at most 600, evenly spaced, are looked at."""
    chosen = np.linspace(0, len(matrix) - 1, min(len(matrix), SHAP_ROWS)).astype(np.int64)
    told, inputs = model.contributions(matrix[chosen])
    means = np.abs(told).mean(axis=0)
    names = (*model.feature_names, *model.base_names)
    largest = sorted(range(len(names)), key=lambda place: (-means[place], names[place]))[:SHAP_FEATURES]
    return tuple(
        ShapFeature(
            name=names[place],
            mean=round(float(means[place]), 6),
            contributions=tuple(np.round(told[:, place], 5).tolist()),
            ranks=_ranks(inputs[:, place]),
        )
        for place in largest
        if means[place] > 0
    )


def _ranks(values: np.ndarray) -> tuple[float | None, ...]:
    known = np.sort(values[~np.isnan(values)])
    # Equal values stand together, half-way between where they begin and end.
    places = (np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")) / 2
    return tuple(
        None if np.isnan(value) else round(float(place) / max(len(known), 1), 3)
        for value, place in zip(values.tolist(), places.tolist(), strict=True)
    )


def card_html(facts: CardFacts, judgement: Judgement | None, figures: Mapping[str, str]) -> str:
    """Return the page. `figures` are SVG elements by name: reliability, equity, importance, shap."""
    kind = "open" if judgement is None else "good" if judgement.is_promoted else "bad"
    words = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in worth(facts.evaluation, facts.holdout, judgement))
    parts = [
        f'<header class="{kind}"><small>Model card of {escape(facts.model_version)}</small>'
        f"<h1>{escape(headline(judgement))}</h1>{words}</header>",
        _section("The figures in short", _beside(facts), _R_NOTE),
        _section("What its picks would have made", figures["equity"] + _top(facts.evaluation), _EQUITY_NOTE),
        _section("Whether it means what it says", figures["reliability"] + _calibration(facts), _RELIABILITY_NOTE),
        _section("In each regime and on each symbol", _groups(facts.evaluation), _GROUPS_NOTE),
        _section("What it looks at", figures["shap"] + figures["importance"], _SHAP_NOTE),
        _section("The judgement", _reasons(judgement), ""),
        _section("What it was made of", _made_of(facts), ""),
        _section("Limits", _list(_limits(facts)), ""),
    ]
    return _PAGE.format(title=escape(facts.model_version), body="\n".join(parts))


def _section(title: str, content: str, note: str) -> str:
    said = f'<p class="note">{note}</p>' if note else ""
    return f"<section><h2>{title}</h2>{said}{content}</section>"


def _beside(facts: CardFacts) -> str:
    """Put the model beside the base rate, the logistic baseline and the champion."""
    own, logistic = facts.evaluation, facts.logistic
    heads = ["", "this model", "base rate", "logistic regression", "what it says"]

    def of(name: str) -> str:
        return f"{getattr(logistic, name):.4f}" if logistic else "–"

    def earned(evaluation: Evaluation | None) -> str:
        return _interval(evaluation.selected_r, "+.3f") if evaluation else "–"

    rows = [
        ["Log loss", f"{own.log_loss:.4f}", f"{own.baseline_log_loss:.4f}", of("log_loss"), "error of the probabilities; lower is better"],
        ["Gain over the base rate", _interval(own.log_loss_gain, "+.4f"), "0", _interval(logistic.log_loss_gain, "+.4f") if logistic else "–",
         "must lie above 0 with its whole interval"],
        ["Brier score", f"{own.brier:.4f}", f"{own.baseline_brier:.4f}", of("brier"), "squared error; lower is better"],
        ["Calibration error", _interval(own.calibration_interval, ".3f"), "–", of("calibration_error"), "how far said and seen lie apart; lower is better"],
        ["Area under the curve", f"{own.auc:.3f}", "0.500", of("auc"), "how well wins and losses are told apart; 0.5 is not at all"],
        ["Result of its picks, R each", earned(own), f"{own.mean_r:+.3f}", earned(logistic), "after costs; base rate: every candidate"],
        ["Full losses among the worst rated tenth", _interval(own.worst_tier_interval, ".1%"), f"{own.worst_tier_share:.1%}",
         f"{logistic.worst_tier_precision:.1%}" if logistic else "–", "higher is better: it knows what to avoid"],
        ["Sharpe ratio of its days", f"{own.sharpe:.2f}", "–", f"{logistic.sharpe:.2f}" if logistic else "–", "mean over spread of the daily result"],
        ["Chance that this is no luck", chance(own.deflated_sharpe), "–", "–",
         f"deflated over {own.variants_tried} variants tried; {chance(own.probabilistic_sharpe)} if it had been the only one"],
    ]  # fmt: skip
    table = _table(heads, rows)
    if facts.champion is None:
        return table + '<p class="note">No model was in use with which it could be compared on rows new to both.</p>'
    ours, theirs = facts.champion
    return table + _table(
        [f"On the {ours.rows:,} rows new to the model in use", "this model", "model in use"],
        [
            ["Log loss", f"{ours.log_loss:.4f}", f"{theirs.log_loss:.4f}"],
            ["Share of the base rate's error removed", f"{ours.skill:.2%}", f"{theirs.skill:.2%}"],
            ["Result of its picks, R each", earned(ours), earned(theirs)],
        ],
    )


def _top(evaluation: Evaluation) -> str:
    rows = [
        [f"best {one.share:.0%}", f"{one.selected:,}", _interval(one.result_r, "+.3f"), f"{one.selected * one.result_r.value:+,.1f}"]
        for one in evaluation.top
    ]  # fmt: skip
    return _table(["decisions taken", "number", "R each, after costs", "R in all"], rows)


def _calibration(facts: CardFacts) -> str:
    choice, parts = facts.evaluation.calibration, facts.evaluation.brier_parts
    content = ""
    if parts is not None:
        content += _table(
            ["Brier score", "= reliability", "− resolution", "+ uncertainty", "+ within bins"],
            [[f"{facts.evaluation.brier:.5f}", f"{parts.reliability:.5f}", f"{parts.resolution:.5f}", f"{parts.uncertainty:.5f}",
              f"{parts.within_bins:+.5f}"]],
        )  # fmt: skip
    if choice is None:
        return content
    rows = [
        [one.method, f"{one.log_loss:.5f}", f"{one.brier:.5f}", "chosen" if one.method == choice.method else ""]
        for one in choice.scores
    ]
    folds = ", ".join(facts.evaluation.fold_calibrations)
    said = (
        f"Calibration in use: <b>{choice.method}</b>, fitted on {choice.rows:,} out-of-fold scores; compared on {choice.scored_rows:,} of "
        f"them, each later than those it was fitted on. The judged folds, in order, used {folds or 'none'}."
    )
    return f'{content}<p class="note">{said}</p>{_table(["calibration", "log loss", "Brier score", ""], rows)}'


def _groups(evaluation: Evaluation) -> str:
    heads = [
        "",
        "candidates",
        "days",
        "gain in log loss",
        "calibration error",
        "full losses in worst tenth",
        "picks",
        "R each",
        "chance that it is no luck",
    ]
    rows: list[list[str]] = []
    for title, groups in (("Regime", evaluation.by_regime), ("Symbol", evaluation.by_symbol)):
        rows.extend(_group(f"{title} {one.name}", one) for one in groups)
    return _table(heads, rows)


def _group(title: str, group: GroupFigures) -> list[str]:
    figures = group.figures
    if figures is None:
        return [title, f"{group.rows:,}", f"{group.days}", _TOO_FEW, "", "", "", "", ""]
    earned = [_TOO_FEW, ""]
    if figures.selected >= GROUP_PICKS:
        earned = [_interval(figures.selected_r, "+.3f"), chance(figures.sharpe.deflated)]
    return [
        title, f"{group.rows:,}", f"{figures.days}", _interval(figures.log_loss_gain, "+.4f"),
        _interval(figures.calibration_error, ".3f"), _interval(figures.worst_tier_precision, ".0%"), f"{figures.selected:,}", *earned,
    ]  # fmt: skip


def _reasons(judgement: Judgement | None) -> str:
    return _list(judgement.reasons) if judgement else "<p>It was not judged yet.</p>"


def _made_of(facts: CardFacts) -> str:
    evaluation = facts.evaluation
    tried = ", ".join(f"{name} {loss:.4f}" for name, loss in sorted(facts.tried.items(), key=lambda pair: pair[1]))
    params = ", ".join(f"{name} {value}" for name, value in msgspec.structs.asdict(facts.params).items())
    bases = f" and the forecasts {', '.join(facts.base_names)}" if facts.base_names else ""
    rows = [
        ["Data", f"{facts.row_count:,} labelled candidates, decided {facts.first_at:%Y-%m-%d %H:%M} to {facts.last_at:%Y-%m-%d %H:%M} UTC, on "
                 f"{', '.join(facts.symbols)}; {facts.win_share:.1%} of them won"],
        ["Dataset", f"version {facts.dataset_version}, sha256 {facts.dataset_sha256}"],
        ["Label", "triple barrier: stop, target, timeout or the close before the weekend, whichever comes first, at bid or ask, after costs. "
                  f"A win is a result above 0. Definition {facts.labels}"],
        ["Features", f"{facts.feature_count} of {facts.feature_set_version}{bases}"],
        ["Rules beside it", f"strategy {facts.strategy_version}"],
        ["Training", f"LightGBM's trees and the logistic regression, log odds averaged; variant {facts.variant}: {params}"],
        ["Variants of this training", f"log loss on the development rows: {tried}"],
        ["Variants tried, ever", f"{evaluation.variants_tried}"],
        ["Judged", f"{evaluation.rows:,} candidates of {evaluation.decisions:,} decisions on {len(evaluation.days)} days, walk-forward, purged by label "
                   "end with an embargo; intervals by bootstrap over days"],
        ["Seen in the data", "; ".join(facts.remarks) or "nothing unusual"],
    ]  # fmt: skip
    return _table(["", ""], [[escape(cell) for cell in row] for row in rows], "facts")


def _limits(facts: CardFacts) -> Iterable[str]:
    yield "Results are those of labels: every order filled at the recorded quote with the stated costs, no refusals, no gaps in the connection."
    yield "Each pick risks 1 R for itself and many run at the same time, so the sums are no account's equity and their drawdowns no account's."
    yield "The days are few and resemble their neighbours; an interval is no better than the span it was drawn from."
    yield f"It speaks of {', '.join(escape(one) for one in facts.symbols)} and of decisions of this strategy alone."
    yield "The model in use is trained on all rows; what is judged are its predecessors, each of which knew only the past."


def _interval(interval: Interval, form: str) -> str:
    low, high = format(interval.low, form), format(interval.high, form)
    return f"{format(interval.value, form)} <small>({low} to {high})</small>"


def _list(sentences: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(sentence, quote=False)}</li>' for sentence in sentences)}</ul>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], name: str = "") -> str:
    """Return a table; cells are HTML already."""
    head = f"<tr>{''.join(f'<th>{cell}</th>' for cell in heads)}</tr>" if any(heads) else ""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table class="{name}">{head}{body}</table></div>'


_R_NOTE = (
    "1 R is what a trade risks: its loss at the stop. In brackets: where the figure lies 95 times in 100. The base rate says of every "
    "candidate the share of wins seen before; the logistic regression is a simple model of eight features, which this one carries "
    "inside and must beat."
)
_EQUITY_NOTE = (
    "The best tenth of the decisions by win probability, taken when it reaches what the best tenth of the 144 decisions before it "
    "reached, so without hindsight. Line: what they made in all. Band: where it would have ended up each day, 95 times in 100, had blocks of "
    "these days come in another order and number."
)
_RELIABILITY_NOTE = (
    "Of the candidates it gave 40 %, about 40 % should win: points on the diagonal are honest. Points that lie close together "
    "sideways say that the model tells little apart. The Brier score in parts: reliability is what is lost by saying too much or too "
    "little, resolution what is won by telling candidates apart, uncertainty what the market itself leaves open."
)
_GROUPS_NOTE = (
    "A group of fewer than 500 candidates or 5 days says nothing, nor do fewer than 30 picks: there it says “too few”."
)
_SHAP_NOTE = (
    "Left, each point is a candidate: to the right, the feature raised its win probability; red is a high value of the feature, blue a low "
    "one, grey an unknown one. Right: each feature's share in the model: in what the trees gained by it, and in the weights of the regression "
    "beside them."
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: #1e293b; background: #f1f5f9; margin: 0; }}
header, section {{ max-width: 1060px; margin: 18px auto; padding: 18px 28px; background: #fff; border-radius: 8px; box-sizing: border-box; }}
header {{ border-left: 10px solid #64748b; }} header.good {{ border-color: #16a34a; }} header.bad {{ border-color: #dc2626; }}
header small {{ color: #64748b; }} h1 {{ margin: 2px 0 8px; font-size: 28px; }} header p {{ font-size: 16.5px; margin: 10px 0; max-width: 920px; }}
h2 {{ font-size: 19px; margin: 0 0 8px; }} .note {{ color: #64748b; font-size: 13.5px; max-width: 940px; }}
.wide {{ overflow-x: auto; }} table {{ border-collapse: collapse; width: 100%; margin: 12px 0; font-size: 13.5px; }}
th {{ text-align: left; color: #64748b; font-weight: 600; }} th, td {{ padding: 5px 10px 5px 0; border-bottom: 1px solid #e2e8f0; vertical-align: top; }}
td small {{ color: #64748b; white-space: nowrap; }} td:first-child {{ font-weight: 600; }} .facts td {{ overflow-wrap: anywhere; }}
.facts td:first-child {{ white-space: nowrap; padding-right: 24px; }} svg {{ max-width: 100%; height: auto; }} li {{ margin: 3px 0; }}
</style></head><body>
{body}
</body></html>
"""
