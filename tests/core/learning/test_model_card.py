"""The model card: says what the model is worth in plain words, loads nothing, and is the same for the same facts."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import msgspec
import numpy as np
import polars as pl
import pytest

from trading_assets.core.learning.intervals import Interval
from trading_assets.core.learning.meta_model import TrainingParams, matrix_of
from trading_assets.core.learning.model_card import CardFacts, card_html, shap_summary
from trading_assets.core.learning.promotion import Judgement, Requirements, judge
from trading_assets.core.learning.training import Training, fit
from trading_assets.core.learning.variants import Variant
from trading_assets.core.learning.worth import chance, headline, worth
from trading_assets.defs.card_plots import card_figures
from trading_assets.defs.model_card import card_facts

PARAMS = TrainingParams(trees=30, leaves=15, rows_per_leaf=100)
VARIANTS = (Variant(name="expanding", scheme="expanding", params=PARAMS),)
REQUIREMENTS = Requirements(feature_set_version="synthetic-1")
REFUSED = Judgement(verdict="refused", reasons=("It leaks <b>much</b>.", "It drifts."), blend=0.0)


def facts_of(rows: pl.DataFrame, training: Training) -> CardFacts:
    told = rows.with_columns(
        labels_version=pl.lit("labels-1"), costs_version=pl.lit("costs-1"), strategy_version=pl.lit("strategy-1")
    )
    return card_facts(training, told, dataset_version=3, dataset_sha256="ab" * 32, champion=None)  # fmt: skip


@pytest.fixture(scope="module")
def rows(make_rows: Callable[..., pl.DataFrame]) -> pl.DataFrame:
    return make_rows(100, days=30, edge=0.9)


@pytest.fixture(scope="module")
def training(rows: pl.DataFrame, feature_names: tuple[str, ...]) -> Training:
    return fit(rows, feature_names, VARIANTS)


@pytest.fixture(scope="module")
def facts(rows: pl.DataFrame, training: Training) -> CardFacts:
    return facts_of(rows, training)


@pytest.fixture(scope="module")
def figures(facts: CardFacts) -> dict[str, str]:
    return card_figures(facts)


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<style.*?</style>|<svg.*?</svg>|<[^>]+>", " ", html, flags=re.S))


def test_the_first_words_of_a_promoted_model_say_what_it_would_have_made_and_what_that_is_not(
    facts: CardFacts, training: Training, figures: dict[str, str]
) -> None:
    judgement = judge(training.evaluation, None, REQUIREMENTS)
    assert judgement.is_promoted, judgement.reasons
    html = card_html(facts, judgement, figures)
    head = text_of(html.split("</header>")[0])
    assert "Promoted into shadow" in head
    assert f"{training.evaluation.selected_r.value:+.3f} R each after costs" in head
    assert "moves none of them" in head
    assert "does not mean that it will earn money" in head
    assert all(reason.split(",")[0] in text_of(html) for reason in judgement.reasons)


def test_a_refused_model_of_noise_says_that_no_edge_was_found(
    make_rows: Callable[..., pl.DataFrame], feature_names: tuple[str, ...]
) -> None:
    rows = make_rows(7, edge=0.0)
    training = fit(rows, feature_names, VARIANTS)
    judgement = judge(training.evaluation, None, REQUIREMENTS)
    said = worth(training.evaluation, training.holdout, judgement)
    assert headline(judgement) == "Refused: it decides nothing"
    assert said[0].startswith("No edge was found. The model was refused and decides nothing, because its probabilities")
    assert "does not mean that the market holds no edge" in said[2]


def test_a_refusal_for_another_reason_than_the_figures_names_it_first(training: Training) -> None:
    said = worth(training.evaluation, None, REFUSED)
    assert said[0].startswith("An edge was seen, but the model was refused")
    assert "It leaks <b>much</b>." in said[0]


def test_what_was_not_judged_says_so(facts: CardFacts, figures: dict[str, str]) -> None:
    assert "Not judged yet" in text_of(card_html(facts, None, figures))


def test_every_part_of_a_card_is_there(facts: CardFacts, training: Training, figures: dict[str, str]) -> None:
    text = text_of(card_html(facts, REFUSED, figures))
    for part in (
        "abab", "version 3", "labels-1", "costs-1", "8 of synthetic-1", "expanding", "trees 30", "Log loss", "Brier score", "reliability",
        "resolution", "Calibration in use", "isotonic", "platt", "beta", "best 10%", "Regime trending_up", "Symbol EURUSD", "Limits",
        "Variants tried, ever 1", training.model.version, "chance that it is no luck",
    ):  # fmt: skip
        assert part.lower() in text.lower(), part


def test_a_card_loads_nothing_and_holds_no_foreign_markup(facts: CardFacts, figures: dict[str, str]) -> None:
    html = card_html(facts, REFUSED, figures)
    assert "&lt;b&gt;much&lt;/b&gt;" in html
    assert "<script" not in html
    for address in re.findall(r'(?:href|src|url)\s*[=(]\s*["\']?([^"\'\s)>]+)', html):
        assert address.startswith(("#", "data:")), address

    class Balanced(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.stack: list[str] = []

        def handle_starttag(self, tag: str, _attrs: object) -> None:
            if tag not in ("meta", "br", "link"):
                self.stack.append(tag)

        def handle_startendtag(self, _tag: str, _attrs: object) -> None:
            pass

        def handle_endtag(self, tag: str) -> None:
            assert self.stack.pop() == tag

    parser = Balanced()
    parser.feed(html)
    assert parser.stack == []


def test_the_same_model_gives_the_same_bytes(
    rows: pl.DataFrame, facts: CardFacts, figures: dict[str, str], feature_names: tuple[str, ...]
) -> None:
    shuffled = rows.sample(fraction=1.0, shuffle=True, seed=1)
    again = facts_of(shuffled, fit(shuffled, feature_names, VARIANTS))
    kept = msgspec.json.decode(msgspec.json.encode(again), type=CardFacts)
    assert kept == facts
    assert card_html(kept, REFUSED, card_figures(kept)) == card_html(facts, REFUSED, figures)


def test_a_group_with_too_few_rows_or_picks_says_so(facts: CardFacts, figures: dict[str, str]) -> None:
    (regime, *others) = facts.evaluation.by_regime
    none = msgspec.structs.replace(regime, figures=None, name="rare", rows=12, days=2)
    evaluation = msgspec.structs.replace(facts.evaluation, by_regime=(none, *others))
    text = text_of(card_html(msgspec.structs.replace(facts, evaluation=evaluation), None, figures))
    assert re.search(r"Regime rare\s+12\s+2\s+too few", text)


def test_the_model_in_use_stands_beside_it_on_the_same_rows(facts: CardFacts, figures: dict[str, str]) -> None:
    pair = (facts.evaluation, msgspec.structs.replace(facts.evaluation, log_loss=0.66666))
    text = text_of(card_html(msgspec.structs.replace(facts, champion=pair), None, figures))
    assert "0.6667" in text
    assert "rows new to the model in use" in text


def test_contributions_add_up_to_the_log_odds(rows: pl.DataFrame, training: Training) -> None:
    matrix = matrix_of(rows, 8)[:400]
    told, inputs = training.model.contributions(matrix)
    raw = training.model.raw_score(matrix)
    rest = np.log(raw / (1 - raw)) - told.sum(axis=1)
    assert told.shape == inputs.shape == (400, 8)
    assert np.ptp(rest) < 1e-6
    assert np.array_equal(inputs, matrix)


def test_the_summary_puts_the_planted_feature_first_and_shows_unknown_values_as_such(
    rows: pl.DataFrame, training: Training
) -> None:
    matrix = matrix_of(rows, 8).copy()
    matrix[::2, 0] = np.nan
    summary = {one.name: one for one in shap_summary(training.model, matrix)}
    first = next(iter(summary.values()))
    assert first.mean == max(one.mean for one in summary.values())
    assert len(first.contributions) == 600
    ranks = summary["feature_0"].ranks
    assert None in ranks
    assert all(one is None or 0 <= one <= 1 for one in ranks)


@pytest.mark.parametrize(("probability", "said"), [(0.999, "over 99 %"), (0.001, "under 1 %"), (0.512, "51 %")])
def test_no_chance_is_said_to_be_a_certainty(probability: float, said: str) -> None:
    assert chance(probability) == said


def test_a_gain_that_is_surely_negative_is_called_worse(facts: CardFacts) -> None:
    worse = msgspec.structs.replace(facts.evaluation, log_loss_gain=Interval(value=-0.1, low=-0.2, high=-0.05))
    assert "surely worse" in worth(worse, None, None)[1]
    unsure = msgspec.structs.replace(facts.evaluation, log_loss_gain=Interval(value=0.0, low=-0.2, high=0.05))
    assert "could not be told" in worth(unsure, None, None)[1]
