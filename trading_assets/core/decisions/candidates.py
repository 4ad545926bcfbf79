"""The cohort of a decision: every idea it could act on, priced at the same quote at the same time.

LONG and SHORT with each exit profile, always; HOLD and CLOSE while a position is open. Prices are on the symbol's tick
grid and respect its stops and freeze levels. Scores and verdicts are given elsewhere (scoring, filters).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from trading_assets.core.decisions.sizing import commission_distance, price_of, ticks, ticks_at_least
from trading_assets.core.decisions.strategy import ExitProfile, Strategy
from trading_assets.core.ids import idea_id
from trading_assets.core.records.decisions import Candidate, DecisionInputs, SymbolState


class Idea(msgspec.Struct, frozen=True):
    """A LONG or SHORT with its prices, before it is judged."""

    kind: Literal["LONG", "SHORT"]
    side: int
    """1 for LONG, -1 for SHORT."""
    profile: ExitProfile
    entry_price: float
    stop_price: float
    target_price: float
    risk_unit: float
    reward_r: float
    cost_r: float


def ideas(strategy: Strategy, inputs: DecisionInputs, atr: float) -> list[Idea]:
    """Return LONG and SHORT for each exit profile, in that order. `atr` is the base timeframe's, in price, and positive.

    Entry is the ask for LONG and the bid for SHORT. A LONG's stop and target are reached by the bid, so stops level counts from
    the bid, and from the ask for SHORT (https://www.mql5.com/en/docs/constants/tradingconstants/enum_trade_request_actions).
    """
    symbol = inputs.symbol_state
    bid, ask = ticks(inputs.bid, symbol.tick_size), ticks(inputs.ask, symbol.tick_size)
    # Inside the freeze level a stop could not be changed any more and the position not be closed.
    least = max(symbol.stops_level, symbol.freeze_level)
    level = ticks_at_least(least * symbol.point, symbol.tick_size) if least > 0 else 0
    cost = (ask - bid) * symbol.tick_size + commission_distance(symbol)
    profiles = strategy.exit_profiles
    return [
        *[_idea("LONG", 1, ask, ask - bid, level, cost, profile, atr, symbol) for profile in profiles],
        *[_idea("SHORT", -1, bid, ask - bid, level, cost, profile, atr, symbol) for profile in profiles],
    ]


def _idea(
    kind: Literal["LONG", "SHORT"],
    side: int,
    entry: int,
    spread: int,
    level: int,
    cost: float,
    profile: ExitProfile,
    atr: float,
    symbol: SymbolState,
) -> Idea:
    stop_ticks = max(ticks_at_least(profile.stop_atr * atr, symbol.tick_size), level + spread)
    target_ticks = max(ticks_at_least(profile.target_atr * atr, symbol.tick_size), level)
    entry_price = price_of(entry, symbol)
    stop_price = price_of(entry - side * stop_ticks, symbol)
    target_price = price_of(entry + side * target_ticks, symbol)
    risk_unit = price_of(stop_ticks, symbol)
    return Idea(
        kind,
        side,
        profile,
        entry_price,
        stop_price,
        target_price,
        risk_unit,
        target_ticks / stop_ticks,
        cost / risk_unit,
    )


def unpriced(kind: Literal["HOLD", "CLOSE"], signal_id: str, score: float) -> Candidate:
    """Return HOLD or CLOSE of the open position: an idea with a score and no prices of its own."""
    return Candidate(
        idea_id=idea_id(signal_id, kind, ""),
        kind=kind,
        exit_profile="",
        entry_price=None,
        stop_price=None,
        target_price=None,
        timeout_bars=None,
        risk_unit=None,
        reward_r=None,
        cost_r=None,
        rule_score=score,
        win_probability=None,
        blended_score=score,
        filters=(),
    )
