"""What each column of the candidate matrix means, for the registry of the lake. The matrix itself is in `scoring`."""

from __future__ import annotations

from typing import NamedTuple

from trading_assets.core.decisions.forecasts import FORECASTER_NAMES
from trading_assets.core.decisions.scoring import CONTEXT_FEATURES, REGIMES, candidate_feature_names
from trading_assets.core.features.feature_set import FeatureSet


class CandidateColumn(NamedTuple):
    """One column: its name, the timeframe it comes from, its group, what it says and in which unit."""

    name: str
    timeframe: str
    group: str
    description: str
    unit: str


_CONTEXT: dict[str, tuple[str, str]] = {
    **{
        f"forecast_{name}": (f"Forecast of {name}, positive when it favours the side.", "score")
        for name in FORECASTER_NAMES
    },
    **{f"confidence_{name}": (f"Confidence of {name}.", "share") for name in FORECASTER_NAMES},
    "consensus": ("Consensus of the forecasters, positive when it favours the side.", "score"),
    "dispersion": ("Dispersion of the forecasters.", "score"),
    **{
        f"regime_{name}": (f"1 when the regime is {name.replace('_', ' ')}, seen from the side.", "flag")
        for name in REGIMES
    },
    "regime_confidence": ("Confidence of the regime.", "share"),
    "risk_bp": ("Distance from entry to stop as a share of the price.", "basis points"),
    "reward_r": ("Distance from entry to target in multiples of risk.", "R"),
    "cost_r": ("Spread and commission in multiples of risk.", "R"),
    "timeout_bars": ("Bars after which it is closed.", "bars"),
    "rule_score": ("Score of the rules.", "score"),
    "spread_bp": ("Spread as a share of the price.", "basis points"),
    "held_side": ("1 when a position of the same side is open, -1 of the other, 0 when flat.", "sign"),
}


def candidate_columns(feature_set: FeatureSet) -> tuple[CandidateColumn, ...]:
    """Return the columns of candidate_matrix() for a feature set, in order."""
    names = candidate_feature_names(feature_set)
    seen = [
        CandidateColumn(
            name,
            definition.timeframe,
            definition.group,
            definition.description if name == definition.name else f"{definition.description} Seen from the side.",
            definition.unit,
        )
        for name, definition in zip(names, feature_set.definitions, strict=False)
    ]
    return (*seen, *(CandidateColumn(name, "", "candidate", *_CONTEXT[name]) for name in CONTEXT_FEATURES))
