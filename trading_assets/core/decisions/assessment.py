"""What is seen and thought of one closed bar before anything is decided: regime, forecasts, verdicts, the scored cohort."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

import msgspec
import numpy as np

from trading_assets.core.decisions import filters, scoring
from trading_assets.core.decisions.candidate_filters import candidate_verdicts
from trading_assets.core.decisions.candidates import Idea, ideas, unpriced
from trading_assets.core.decisions.forecasts import Columns, View, columns, view
from trading_assets.core.decisions.scoring import Mirror, candidate_feature_names, mirror
from trading_assets.core.decisions.strategy import Strategy
from trading_assets.core.decisions.verdicts import Scene
from trading_assets.core.errors import InputError
from trading_assets.core.features.feature_set import FEATURE_SETS, FeatureSet
from trading_assets.core.features.regimes import classify
from trading_assets.core.ids import idea_id
from trading_assets.core.records.decisions import (
    Candidate,
    DecisionInputs,
    FeatureWindowReference,
    FilterVerdict,
    Regime,
    SymbolState,
    WindowReference,
)
from trading_assets.core.records.record import Mode
from trading_assets.core.release import Release


class DecisionContext(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a decision is made on, besides the features and the release."""

    tenant: str
    account: str
    chain_id: str
    mode: Mode
    symbol: str
    bar_open_at: datetime
    bar_close_at: datetime
    known_at: datetime
    inputs: DecisionInputs
    windows: tuple[WindowReference, ...]
    window_sha256: str
    feature_window: FeatureWindowReference


class Plan(msgspec.Struct, frozen=True):
    """What decide() needs to know of a strategy's feature set, looked up once."""

    feature_set: FeatureSet
    columns: Columns
    mirror: Mirror
    candidate_features: tuple[str, ...]
    atr_bp: int
    volatility: int


class Assessment(msgspec.Struct, frozen=True):
    """What is seen and thought of one bar before anything is decided."""

    regime: Regime
    view: View
    verdicts: tuple[FilterVerdict, ...]
    candidates: tuple[Candidate, ...]


@lru_cache(maxsize=16)
def plan_of(strategy: Strategy) -> Plan:
    """Return the plan of a strategy. Raises InputError when its feature set or timeframe is not known."""
    feature_set = FEATURE_SETS.get(strategy.feature_set)
    if feature_set is None or feature_set.base != strategy.timeframe:
        known = ", ".join(f"{one.name} on {one.base}" for one in FEATURE_SETS.values())
        raise InputError(
            "preparing",
            f"strategy {strategy.name}",
            f"there is no feature set {strategy.feature_set} on {strategy.timeframe}",
            f"choose one of: {known}",
        )
    return Plan(
        feature_set,
        columns(feature_set),
        mirror(feature_set),
        candidate_feature_names(feature_set),
        feature_set.index("atr_14_bp"),
        feature_set.index("atr_ratio_14_100"),
    )


def assess(
    strategy: Strategy, plan: Plan, context: DecisionContext, features: np.ndarray, release: Release, signal: str
) -> Assessment:
    """Return regime, forecasts, the verdicts on the cohort and the scored cohort itself."""
    inputs = context.inputs
    row: list[float] = features.tolist()
    regime = classify(plan.feature_set, features)
    opinion = view(plan.columns, row, strategy.forecast_gain)
    range_ = row[plan.atr_bp] / 10_000.0 * inputs.bid
    atr = range_ if range_ > 0.0 else None  # NaN is not
    ratio = row[plan.volatility]
    scene = Scene(
        strategy,
        inputs,
        context.bar_close_at,
        context.known_at,
        plan.feature_set.minimum_base_bars,
        regime,
        opinion.consensus,
        opinion.dispersion,
        atr,
        ratio if math.isfinite(ratio) else None,
    )
    # Without an ATR there is no distance to put a stop at, so there are no ideas to price.
    priced = () if atr is None else ideas(strategy, inputs, atr)
    judged = [_candidate(strategy, idea, opinion, regime, signal, inputs.symbol_state) for idea in priced]
    if release.model is not None and judged:
        judged = _with_model(plan, features, regime, opinion, inputs, judged, release)
    if inputs.position is not None:
        hold = strength(judged, 1 if inputs.position.side == "BUY" else -1)
        judged += [unpriced("HOLD", signal, hold), unpriced("CLOSE", signal, 1.0 - hold)]
    return Assessment(regime, opinion, filters.cohort_verdicts(scene), tuple(judged))


def strength(candidates: Sequence[Candidate], side: int) -> float:
    """Return the best blended score of a side; 0.5, no opinion, when it has no candidates."""
    kind = "LONG" if side > 0 else "SHORT"
    return max([candidate.blended_score for candidate in candidates if candidate.kind == kind], default=0.5)


def _candidate(
    strategy: Strategy, idea: Idea, opinion: View, regime: Regime, signal: str, symbol: SymbolState
) -> Candidate:
    score = scoring.rule_score(strategy.weights, idea, opinion.consensus, opinion.dispersion, regime)
    return Candidate(
        idea_id=idea_id(signal, idea.kind, idea.profile.name),
        kind=idea.kind,
        exit_profile=idea.profile.name,
        entry_price=idea.entry_price,
        stop_price=idea.stop_price,
        target_price=idea.target_price,
        timeout_bars=idea.profile.timeout_bars,
        risk_unit=idea.risk_unit,
        reward_r=idea.reward_r,
        cost_r=idea.cost_r,
        rule_score=score,
        win_probability=None,
        blended_score=score,
        filters=candidate_verdicts(strategy.filters, idea, symbol),
    )


def _with_model(
    plan: Plan,
    features: np.ndarray,
    regime: Regime,
    opinion: View,
    inputs: DecisionInputs,
    judged: list[Candidate],
    release: Release,
) -> list[Candidate]:
    assert release.model is not None
    matrix = scoring.candidate_matrix(
        plan.mirror, features, regime, opinion.forecasts, opinion.consensus, opinion.dispersion, inputs, judged
    )
    probabilities: list[float] = release.model.win_probability(matrix).tolist()
    return [
        msgspec.structs.replace(
            candidate,
            win_probability=probability,
            blended_score=scoring.blended(candidate.rule_score, probability, release.blend),
        )
        for candidate, probability in zip(judged, probabilities, strict=True)
    ]


def side_of(candidate: Candidate) -> int:
    """Return 1 for LONG and -1 for SHORT."""
    return 1 if candidate.kind == "LONG" else -1
