"""What a filter looks at and what it says. The filters themselves: `filters`, `broker_filters`, `candidate_filters`."""

from __future__ import annotations

from datetime import datetime

import msgspec

from trading_assets.core.decisions.strategy import Strategy
from trading_assets.core.records.decisions import DecisionInputs, FilterVerdict, Regime
from trading_assets.core.records.record import Verdict


class Scene(msgspec.Struct, frozen=True):
    """What the cohort's filters look at."""

    strategy: Strategy
    inputs: DecisionInputs
    bar_close_at: datetime
    known_at: datetime
    minimum_bars: int
    regime: Regime
    consensus: float
    dispersion: float
    atr: float | None
    """ATR of the base timeframe in price; None when it is not known yet."""
    volatility_ratio: float | None


def blocking(verdicts: tuple[FilterVerdict, ...]) -> list[FilterVerdict]:
    """Return the verdicts that block."""
    return [verdict for verdict in verdicts if verdict.verdict == "block"]


def verdict_on(name: str, is_blocked: bool, observed: str, limit: str, passing: str, blocking_: str) -> FilterVerdict:
    verdict: Verdict = "block" if is_blocked else "pass"
    reason = blocking_ if is_blocked else passing
    return FilterVerdict(filter=name, verdict=verdict, observed=observed, limit=limit, reason=reason)


def not_available(name: str, observed: str, limit: str, reason: str) -> FilterVerdict:
    return FilterVerdict(filter=name, verdict="not_available", observed=observed, limit=limit, reason=reason)
