"""Scores of candidates: what the rules say, and the row of numbers the meta-model judges.

`candidate_matrix` is the one definition of that row. It is used live and for the dataset, there from a decoded Decision
record, and gives the same bits (invariant 7). It is relative to the side: a feature that points up or down is multiplied by 1 for
LONG and -1 for SHORT, so that the model learns one edge from both. The features are raw, since normalisers change
between releases and trees do not need one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import msgspec
import numpy as np

from trading_assets.core.decisions.candidates import Idea
from trading_assets.core.decisions.forecasts import FORECASTER_NAMES
from trading_assets.core.decisions.strategy import ScoreWeights
from trading_assets.core.features.feature_set import FeatureSet, by_version, decode_vector
from trading_assets.core.records.decisions import Decision, DecisionInputs, Forecast, Regime
from trading_assets.core.release import WinModel

__all__ = ["WinModel", "candidate_feature_names", "candidate_matrix", "candidate_matrix_of", "rule_score"]

_TRENDS = {"trending_up": 1, "trending_down": -1}


def rule_score(weights: ScoreWeights, idea: Idea, consensus: float, dispersion: float, regime: Regime) -> float:
    """Return the rules' score of an idea, 0 to 1, where 0.5 is no opinion.

    The consensus on the idea's side, less what the dispersion takes away, less its cost, and a little for an exit profile that
    suits the regime: wide targets with the trend, near ones in a range.
    """
    conviction = weights.conviction * consensus * idea.side * (1.0 - weights.dispersion * dispersion)
    score = 0.5 + conviction - weights.cost * idea.cost_r + weights.regime * regime_fit(idea, regime)
    return 0.0 if score < 0.0 else 1.0 if score > 1.0 else score


def regime_fit(idea: Idea, regime: Regime) -> float:
    """Return how well the exit profile and the side suit the regime, -1 to 1."""
    direction = _TRENDS.get(regime.label)
    if direction is not None:
        return regime.confidence * (idea.profile.trend_fit if direction == idea.side else -1.0)
    return -regime.confidence * idea.profile.trend_fit if regime.label == "ranging" else 0.0


def blended(rule: float, win_probability: float | None, blend: float) -> float:
    """Return (1 - blend) * rule score + blend * win probability; the rule score without a probability."""
    return rule if win_probability is None else (1.0 - blend) * rule + blend * win_probability


# --- the meta-model's row --------------------------------------------------------------------------------------

# Indicators that point up (positive) or down (negative): multiplied by the side.
DIRECTED = frozenset(
    {
        "ema_20_distance",
        "ema_50_distance",
        "ema_200_distance",
        "ema_20_50_spread",
        "di_balance_14",
        "slope_20",
        "aroon_25",
        "rsi_14",
        "stochastic_14",
        "macd_histogram",
        "return_5",
        "efficiency_10",
        "band_position_20",
        "range_position_20",
        "body",
        "money_flow_14",
        "trend_fit_20",
        "sar_distance",
        "rsi_5",
        "return_1",
        "return_20",
        "cci_20",
        "ultimate_oscillator",
        "close_location",
        "gap",
        "close_streak",
        "range_position_100",
        "engulfing",
        "rejection",
        "day_position",
        "day_change",
        "trend_agreement",
        "momentum_agreement",
        "momentum_pullback",
        "middle_ema_20_distance",
        "higher_ema_20_distance",
        "highest_ema_20_distance",
        "middle_range_position",
        "higher_range_position",
        "highest_range_position",
        "previous_day_position",
    }
)

# Indicators that change places for SHORT: the wick with the side and the one against it.
MIRRORED = {"upper_wick": "lower_wick", "lower_wick": "upper_wick"}

REGIMES = ("with_trend", "against_trend", "ranging", "volatile", "unknown")

CONTEXT_FEATURES: tuple[str, ...] = (
    *(f"forecast_{name}" for name in FORECASTER_NAMES),
    *(f"confidence_{name}" for name in FORECASTER_NAMES),
    "consensus",
    "dispersion",
    *(f"regime_{name}" for name in REGIMES),
    "regime_confidence",
    "risk_bp",
    "reward_r",
    "cost_r",
    "timeout_bars",
    "rule_score",
    "spread_bp",
    "held_side",
)
"""What the row holds beside the features; forecasts, consensus and the held side are relative to the side."""


class PricedCandidate(Protocol):
    """What the row needs of a LONG or SHORT candidate; records.Candidate has it."""

    @property
    def kind(self) -> str: ...
    @property
    def timeout_bars(self) -> int | None: ...
    @property
    def entry_price(self) -> float | None: ...
    @property
    def risk_unit(self) -> float | None: ...
    @property
    def reward_r(self) -> float | None: ...
    @property
    def cost_r(self) -> float | None: ...
    @property
    def rule_score(self) -> float: ...


class Mirror(msgspec.Struct, frozen=True):
    """How a row of features looks from the SHORT side: which column stands where, and with which sign."""

    names: tuple[str, ...]
    places: np.ndarray
    signs: np.ndarray


@lru_cache(maxsize=16)
def mirror(feature_set: FeatureSet) -> Mirror:
    """Return the mirror of a feature set."""
    places, signs, names = [], [], []
    for definition in feature_set.definitions:
        indicator = definition.indicator
        other = MIRRORED.get(indicator)
        places.append(definition.index if other is None else feature_set.index(other, definition.timeframe))
        signs.append(-1.0 if indicator in DIRECTED else 1.0)
        names.append(f"{definition.name}_side" if indicator in DIRECTED or other is not None else definition.name)
    return Mirror(tuple(names), np.array(places), np.array(signs))


@lru_cache(maxsize=16)
def candidate_feature_names(feature_set: FeatureSet) -> tuple[str, ...]:
    """Return the names of the columns of candidate_matrix(), in order."""
    return mirror(feature_set).names + CONTEXT_FEATURES


def candidate_matrix(
    seen_by: Mirror,
    features: np.ndarray,
    regime: Regime,
    forecasts: Sequence[Forecast],
    consensus: float,
    dispersion: float,
    inputs: DecisionInputs,
    candidates: Sequence[PricedCandidate],
) -> np.ndarray:
    """Return one row of float64 for each LONG or SHORT in `candidates`, shape (n, k); others are left out.

    `features` is the raw row of the feature set `seen_by` belongs to. Unknown values are NaN.
    """
    priced = [candidate for candidate in candidates if candidate.kind in ("LONG", "SHORT")]
    width = len(seen_by.signs)
    matrix = np.empty((len(priced), width + len(CONTEXT_FEATURES)))
    sides = {"LONG": features, "SHORT": features[seen_by.places] * seen_by.signs}
    for row, candidate in enumerate(priced):
        matrix[row, :width] = sides[candidate.kind]
        side = 1.0 if candidate.kind == "LONG" else -1.0
        matrix[row, width:] = (
            *[forecast.value * side for forecast in forecasts],
            *[forecast.confidence for forecast in forecasts],
            consensus * side,
            dispersion,
            *_regime_flags(regime, side),
            regime.confidence,
            *_numbers(candidate, inputs),
            _held(inputs, side),
        )
    return matrix


def candidate_matrix_of(decision: Decision) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the idea ids and the matrix of a recorded decision, bit for bit what the model saw when it was made."""
    matrix = candidate_matrix(
        mirror(_feature_set(decision.versions.feature_set)),
        decode_vector(decision.features),
        decision.regime,
        decision.forecasts,
        decision.consensus,
        decision.dispersion,
        decision.inputs,
        decision.candidates,
    )
    return tuple([idea.idea_id for idea in decision.candidates if idea.kind in ("LONG", "SHORT")]), matrix


@lru_cache(maxsize=16)
def _feature_set(version: str) -> FeatureSet:
    return by_version(version)


def _regime_flags(regime: Regime, side: float) -> tuple[float, ...]:
    direction = _TRENDS.get(regime.label)
    label = regime.label if direction is None else "with_trend" if direction == side else "against_trend"
    return tuple([1.0 if label == name else 0.0 for name in REGIMES])


def _numbers(candidate: PricedCandidate, inputs: DecisionInputs) -> tuple[float, ...]:
    entry = _known(candidate.entry_price)
    return (
        _known(candidate.risk_unit) / entry * 10_000.0,
        _known(candidate.reward_r),
        _known(candidate.cost_r),
        _known(candidate.timeout_bars),
        candidate.rule_score,
        (inputs.ask - inputs.bid) / inputs.bid * 10_000.0,
    )


def _held(inputs: DecisionInputs, side: float) -> float:
    if inputs.position is None:
        return 0.0
    return side if inputs.position.side == "BUY" else -side


def _known(value: float | None) -> float:
    return float("nan") if value is None else float(value)
