"""Twenty markets: does the judge promote a planted edge, refuse noise, name a leak, keep the better model and demote a decayed one?

Each seed has a synthetic market with the planted edge and one without, made into a dataset of the size a demo leaves by
`synthetic_dataset` (the product's own functions, without daemon and websocket). Training, judgement, leak detection and rollout are the
product's, with its own variants and thresholds. Leaks take four forms in turn: the label itself, one in ten wrong, on one side
alone, and by a value's being there at all.

The markets are numbers 101 to 120, on which no parameter and no threshold was chosen (that was done on 1, 2, 4, 7 and 201 to 208).
An earlier model had been refused on 106, 109 and 112 for being no better than the logistic baseline; that is why the model carries
it inside now. `--seed 21` tries twenty that nobody has seen.
One missed edge in twenty and one promoted noise in twenty are within the promise; they are counted and printed all the same.
The short form draws its rows straight from a formula (`planted`) and allows no miss.
"""

from __future__ import annotations

import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1] / "core" / "learning"))

from planted import synthetic_rows
from survived import Survived, run
from synthetic_dataset import NAMES, synthetic_dataset

from trading_assets.core.learning.leaks import model_leaks
from trading_assets.core.learning.meta_model import MetaModel, TrainingParams, matrix_of
from trading_assets.core.learning.policy import DEFAULT, Requirements
from trading_assets.core.learning.promotion import Judgement, judge
from trading_assets.core.learning.rollout import judge_rollout, live_evaluation
from trading_assets.core.learning.training import Training, against_champion, fit
from trading_assets.core.learning.variants import VARIANTS, Variant

SEEDS, SHORT_SEEDS = 20, 2
FIRST_MARKET = 100
"""Added to `--seed`, which begins at 1."""
ONE_MISS_IN = 20
"""Markets in which one edge may be missed, and one of noise promoted; a leak must be named in all."""
DAYS = 30
LEAKS = ("label", "one in ten wrong", "one side", "presence")
_EMPTY = Variant(name="empty", scheme="expanding", params=TrainingParams(trees=20))
_RELEASE = "played"
DRAWN_NAMES = ("consensus", "regime_confidence", "reward_r", *(f"noise_{number}" for number in range(5)))


@dataclass(frozen=True)
class _Market:
    """Rows of one seed with the planted edge and without any, and how they are trained on."""

    edge: pl.DataFrame
    noise: pl.DataFrame
    names: tuple[str, ...]
    variants: tuple[Variant, ...]

    @property
    def requirements(self) -> Requirements:
        """What the product asks for by default, of this feature set."""
        return msgspec.structs.replace(DEFAULT.requirements, feature_set_version=self.edge["feature_set_version"][0])


@dataclass
class _Seed:
    """What became of one seed."""

    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)
    """What was not so, and a sentence of it."""

    def expect(self, is_so: bool, what: str, otherwise: object) -> None:
        self.counts[what] += is_so
        if not is_so:
            self.failures.append((what, f"seed {self.seed}: not {what}: {otherwise}"))


def survive(*, is_short: bool, seed: int, broken: str = "") -> Survived:
    """Try the judge on many markets, two at a time; the short form in this process."""
    del broken  # the switches break journals and orders
    count = SHORT_SEEDS if is_short else SEEDS
    seeds = range(FIRST_MARKET + seed, FIRST_MARKET + seed + count)
    told = []
    with ProcessPoolExecutor(2) as pool:
        for one in map(_try_drawn, seeds) if is_short else pool.map(_try_played, seeds):
            told.append(one)
            sentences = "; ".join(sentence for _, sentence in one.failures)
            print(f"  seed {one.seed}: {sentences or 'as it should be'}", flush=True)
    counts: Counter[str] = Counter({"markets with an edge and without": count})
    for one in told:
        counts.update(one.counts)
    return Survived("learning", dict(counts), _unforgiven([failure for one in told for failure in one.failures], count))


def _unforgiven(failures: list[tuple[str, str]], count: int) -> tuple[str, ...]:
    """Leave out what one market in twenty may get wrong: an edge not found, noise promoted."""
    missed = Counter(what for what, _ in failures)
    forgiven = {what for what in ("edge promoted", "noise refused") if missed[what] <= count // ONE_MISS_IN}
    return tuple(sentence for what, sentence in failures if what not in forgiven)


def _try_played(seed: int) -> _Seed:
    rows, noise = (synthetic_dataset(seed, DAYS, edge) for edge in (1.0, 0.0))
    return _try(seed, _Market(rows, noise, NAMES, VARIANTS))


def _try_drawn(seed: int) -> _Seed:
    """Draw rows without costs, so that nothing but the lack of an edge refuses noise.

    Their eight columns bear names of the logistic baseline, which so knows what the edge is made of, one by one. The trees
    read all of them: of a third, as in the product, a tree would seldom see the two that the edge needs.
    """
    rows, noise = (synthetic_rows(seed, days=30, edge=edge, cost_r=0.0) for edge in (0.9, 0.0))
    variants = tuple(
        msgspec.structs.replace(one, params=msgspec.structs.replace(one.params, feature_share=1.0))
        for one in VARIANTS
        if not one.is_stacked
    )
    return _try(seed, _Market(rows, noise, DRAWN_NAMES, variants))


def _try(seed: int, market: _Market) -> _Seed:
    told = _Seed(seed)
    good = fit(market.edge, market.names, market.variants)
    judgement = _judged(market, market.edge, good)
    told.expect(judgement.is_promoted, "edge promoted", judgement.reasons)
    judgement = _judged(market, market.noise, fit(market.noise, market.names, market.variants))
    told.expect(not judgement.is_promoted, "noise refused", judgement.reasons)
    _leaks(told, market)
    _worse_challenger(told, market, good)
    _live(told, market, good)
    return told


def _judged(market: _Market, rows: pl.DataFrame, training: Training) -> Judgement:
    """Judge a training as the asset does, alone."""
    found = model_leaks(rows, training.model, training.evaluation.auc, DEFAULT.leaks)
    assert training.logistic is not None
    beside = (training.evaluation, training.logistic)
    return judge(training.evaluation, None, market.requirements, (), beside, found, training.holdout)


def _leaks(told: _Seed, market: _Market) -> None:
    name = market.names[told.seed * 37 % len(market.names)]
    form = LEAKS[told.seed % len(LEAKS)]
    leaked = _with_leak(market.edge, market.names, name, form, told.seed)
    judgement = _judged(market, leaked, fit(leaked, market.names, market.variants[:1]))
    is_named = any(f"Feature {name} leaks" in reason for reason in judgement.reasons)
    told.expect(is_named and not judgement.is_promoted, "leak refused and named", (name, form, judgement.reasons))


def _with_leak(rows: pl.DataFrame, names: tuple[str, ...], name: str, form: str, seed: int) -> pl.DataFrame:
    """Put the label into a feature."""
    chance = np.random.default_rng(seed)
    matrix, column = matrix_of(rows, len(names)).astype(np.float64), names.index(name)
    won = rows["is_win"].to_numpy().astype(np.float64)
    match form:
        case "label":
            matrix[:, column] = won
        case "one in ten wrong":
            matrix[:, column] = np.where(chance.random(len(won)) < 0.1, 1.0 - won, won) + 0.01 * chance.normal(
                size=len(won)
            )
        case "one side":
            short = rows["kind"].to_numpy() == "SHORT"
            matrix[short, column] = chance.normal(size=short.sum()) - 5.0 * won[short]
        case _:
            matrix[won > 0, column] = np.nan
    return rows.with_columns(features=pl.Series(matrix).arr.to_list())


def _worse_challenger(told: _Seed, market: _Market, good: Training) -> None:
    """Let a challenger whose features mean nothing meet a champion of the first half."""
    rows = market.edge
    middle: datetime = rows["decided_at"].sort()[rows.height // 2]
    champion = fit(rows.filter(pl.col("label_end_at") < middle), market.names, market.variants[:1])
    order = np.random.default_rng(told.seed).permutation(rows.height).tolist()
    challenger = fit(rows.with_columns(features=rows["features"][order]), market.names, [_EMPTY])
    pair = against_champion(challenger, champion.model, rows, champion.trained_until)
    assert pair is not None
    judgement = judge(*pair, market.requirements)
    told.expect(not judgement.is_promoted, "worse challenger refused", judgement.reasons)
    ours, theirs = pair
    told.expect(ours.rows_sha256 == theirs.rows_sha256, "judged on the same rows", pair)
    told.expect(
        not judge(good.evaluation, good.evaluation, market.requirements).is_promoted, "equal challenger refused", ""
    )


def _live(told: _Seed, market: _Market, good: Training) -> None:
    """Play the model's own out-of-fold forecasts as live results, then those of a market that has lost its edge."""
    healthy = good.judged.with_columns(release_id=pl.lit(_RELEASE), win_probability=pl.col("probability"))
    blend = 0.0
    for step in DEFAULT.ladder.steps[1:]:
        live = live_evaluation(healthy, _RELEASE, good.win_share, DEFAULT.ladder.confidence)
        judgement = judge_rollout(live, blend, DEFAULT.ladder)
        if judgement.move == "step_up":
            blend = judgement.blend or 0.0
            told.counts["steps up on healthy results"] += 1
        told.expect(
            judgement.move in ("step_up", "hold") and blend <= step, "healthy results never taken back", judgement
        )
    decayed = _scored(good.model, market.noise)
    judgement = judge_rollout(
        live_evaluation(decayed, _RELEASE, good.win_share, DEFAULT.ladder.confidence), blend, DEFAULT.ladder
    )
    told.expect(judgement.move in ("demote", "step_back") or blend == 0.0, "decayed champion taken back", judgement)
    told.counts["of them demoted at once"] += judgement.move == "demote"


def _scored(model: MetaModel, rows: pl.DataFrame) -> pl.DataFrame:
    scores = model.win_probability(matrix_of(rows, len(model.feature_names)))
    return rows.drop("win_probability", "release_id", strict=False).with_columns(
        pl.Series("win_probability", scores), release_id=pl.lit(_RELEASE)
    )


if __name__ == "__main__":
    sys.exit(run(survive, __doc__))
