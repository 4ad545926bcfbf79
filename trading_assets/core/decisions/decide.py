"""decide(): one closed bar in, one full decision record out; also when the answer is WAIT.

A pure function of the strategy, the context, the features and the release (invariant 6): no clock, no randomness, nothing
remembered. What is seen and scored is `assessment`, the action given the position `actions`, the volume `sizing`, the words
`wording`. Here is the order of the stages alone.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

import numpy as np

from trading_assets import __version__
from trading_assets.core.decisions import breakers, filters, sizing, wording
from trading_assets.core.decisions.actions import Signal, act
from trading_assets.core.decisions.assessment import (
    Assessment,
    DecisionContext,
    Plan,
    assess,
    plan_of,
    side_of,
    strength,
)
from trading_assets.core.decisions.forecasts import View, support
from trading_assets.core.decisions.sizing import Size
from trading_assets.core.decisions.source import decisions_version
from trading_assets.core.decisions.strategy import Strategy, binding, restricted
from trading_assets.core.decisions.verdicts import blocking
from trading_assets.core.errors import StateError
from trading_assets.core.features.feature_set import encode_vector, extractor_version
from trading_assets.core.ids import signal_id
from trading_assets.core.records.decisions import BreakerState, Candidate, Decision, DecisionInputs, Versions
from trading_assets.core.release import Release

__all__ = ["DecisionContext", "decide"]


def decide(strategy: Strategy, context: DecisionContext, features: np.ndarray, release: Release) -> Decision:
    """Return the decision at one closed bar. `features` is the raw row of the strategy's feature set, shape (k,).

    Raises StateError when the release was trained on other features: the daemon must not have taken it into use.
    """
    plan = plan_of(strategy)
    versions = _versions(strategy, plan, release)
    signal = signal_id(
        context.bar_close_at, context.tenant, context.account, context.symbol, strategy.timeframe, versions.strategy
    )
    # The record names the strategy; what the trader allows beyond it is in the inputs (invariant 6).
    limits = context.inputs.limits
    own, strategy = strategy, strategy if limits is None else restricted(strategy, limits)
    seen = assess(strategy, plan, context, features, release, signal)
    leading = _leading(seen.candidates, strategy.open_threshold)
    states = _breakers(strategy, context.inputs, seen, leading, release)
    size = _size(strategy, context.inputs, leading, states)
    verdict = act(
        strategy,
        context.inputs.position,
        context.bar_close_at,
        _signal(strategy, seen, leading, states, size),
        context.inputs.week_ends_at,
    )
    chosen = leading if verdict.suggestion != "WAIT" else None
    is_entry = chosen is not None and verdict.action in ("OPEN", "REVERSE")
    raw = encode_vector(features)
    normaliser = release.normaliser(plan.feature_set)
    return Decision(
        tenant=context.tenant,
        account=context.account,
        event_at=context.bar_close_at,
        known_at=context.known_at,
        chain_id=context.chain_id,
        signal_id=signal,
        mode=context.mode,
        symbol=context.symbol,
        timeframe=strategy.timeframe,
        bar_open_at=context.bar_open_at,
        bar_close_at=context.bar_close_at,
        decided_at=context.known_at,
        versions=versions,
        inputs=context.inputs,
        windows=context.windows,
        window_sha256=context.window_sha256,
        feature_window=context.feature_window,
        features=raw,
        features_normalised=raw if normaliser.is_identity else encode_vector(normaliser.apply(features)),
        regime=seen.regime,
        forecasts=seen.view.forecasts,
        consensus=seen.view.consensus,
        dispersion=seen.view.dispersion,
        filters=seen.verdicts,
        candidates=seen.candidates,
        blend=release.blend,
        breakers=states,
        suggestion=verdict.suggestion,
        action=verdict.action,
        idea_id=chosen.idea_id if chosen else None,
        entry_price=chosen.entry_price if chosen else None,
        stop_price=chosen.stop_price if chosen else None,
        target_price=chosen.target_price if chosen else None,
        volume_lots=size.volume_lots if is_entry else _ZERO,
        risk_amount=size.risk_amount if is_entry else _ZERO,
        confidence=_confidence(seen.view, chosen),
        quality_score=_quality(strategy, seen.view, leading),
        warnings=wording.warnings(
            strategy, context.inputs, seen.view, seen.verdicts, states, size if is_entry else None
        ),
        reasons=wording.reasons(
            strategy, seen.regime, seen.view, leading, verdict, () if limits is None else binding(own, limits)
        ),
    )


def _leading(candidates: tuple[Candidate, ...], threshold: float) -> Candidate | None:
    """Return the LONG or SHORT with the best score, one that could be entered before one that could not; the first of equals."""
    best: Candidate | None = None
    best_key = (False, -1.0)
    for candidate in candidates:
        if candidate.kind in ("LONG", "SHORT"):
            score = candidate.blended_score
            key = (score > threshold and not blocking(candidate.filters), score)
            if key > best_key:
                best, best_key = candidate, key
    return best


def _breakers(
    strategy: Strategy, inputs: DecisionInputs, seen: Assessment, leading: Candidate | None, release: Release
) -> tuple[BreakerState, ...]:
    is_strong = leading is not None and leading.blended_score > strategy.open_threshold
    problems = [
        verdict.reason
        for verdict in seen.verdicts
        if verdict.verdict == "block" and verdict.filter in filters.DATA_FILTERS
    ]
    return breakers.evaluate(
        strategy.breakers,
        inputs.account_state,
        inputs.risk,
        confidence=support(seen.view.forecasts, side_of(leading)) if leading is not None and is_strong else None,
        data_problem="; ".join(problems),
        has_model=release.model is not None,
    )


def _size(
    strategy: Strategy, inputs: DecisionInputs, leading: Candidate | None, states: tuple[BreakerState, ...]
) -> Size:
    if leading is None or leading.blended_score <= strategy.open_threshold:
        return _NOTHING
    assert leading.entry_price is not None
    assert leading.stop_price is not None
    return sizing.size(
        strategy,
        inputs.account_state,
        inputs.symbol_state,
        leading.entry_price,
        leading.stop_price,
        breakers.size_factor(states),
        inputs.risk.long_lots if side_of(leading) > 0 else inputs.risk.short_lots,
        inputs.risk.reserved_margin,
    )


def _signal(
    strategy: Strategy,
    seen: Assessment,
    leading: Candidate | None,
    states: tuple[BreakerState, ...],
    size: Size,
) -> Signal:
    """Gather the strengths and everything that stands in the way of an entry, in words."""
    obstacles = [verdict.reason for verdict in blocking(seen.verdicts)]
    obstacles += [f"breaker {state.breaker}: {state.cause}" for state in breakers.stops_entries(states)]
    side = 0
    if leading is not None and leading.blended_score > strategy.open_threshold:
        side = side_of(leading)
        obstacles += [verdict.reason for verdict in blocking(leading.filters)]
        if not size.volume_lots:
            obstacles.append(f"no volume: {size.bound}")
    return Signal(
        long=strength(seen.candidates, 1),
        short=strength(seen.candidates, -1),
        entry_side=side,
        obstacles=tuple(obstacles),
        is_sighted=not any(
            [verdict.verdict == "block" and verdict.filter in filters.SIGHT_FILTERS for verdict in seen.verdicts]
        ),
        is_pending=any(
            [verdict.verdict == "block" and verdict.filter == "pending_orders" for verdict in seen.verdicts]
        ),
    )


def _confidence(opinion: View, chosen: Candidate | None) -> float:
    """Return the forecasters' support of the chosen side; for WAIT, how little they agree on any."""
    return support(opinion.forecasts, side_of(chosen)) if chosen else 1.0 - abs(opinion.consensus)


def _quality(strategy: Strategy, opinion: View, leading: Candidate | None) -> float:
    if leading is None or leading.cost_r is None:
        return 0.0
    weights = strategy.weights
    score = leading.blended_score - weights.quality * (opinion.dispersion + leading.cost_r)
    return min(max(score, 0.0), 1.0)


def _versions(strategy: Strategy, plan: Plan, release: Release) -> Versions:
    problem = release.mismatch(plan.feature_set, plan.candidate_features)
    if problem is not None:
        raise StateError(
            "deciding with", f"release {release.release_id}", problem, "load a release of this feature set"
        )
    return _cached_versions(strategy, plan.feature_set.version, release.release_id, release.model_version)


@lru_cache(maxsize=64)
def _cached_versions(strategy: Strategy, feature_set: str, release: str, model: str | None) -> Versions:
    return Versions(
        code=__version__,
        strategy=strategy.version,
        feature_set=feature_set,
        extractor=extractor_version(),
        release=release,
        model=model,
        decisions=decisions_version(),
    )


_ZERO = Decimal(0)
_NOTHING = Size(volume_lots=_ZERO, risk_amount=_ZERO, bound="")
