"""Filters of one candidate: what keeps this idea from being chosen, whatever the rest of its cohort is worth."""

from __future__ import annotations

from collections.abc import Callable

from trading_assets.core.decisions.candidates import Idea
from trading_assets.core.decisions.strategy import FilterLimits
from trading_assets.core.decisions.verdicts import verdict_on
from trading_assets.core.records.decisions import FilterVerdict, SymbolState


def candidate_verdicts(limits: FilterLimits, idea: Idea, symbol: SymbolState) -> tuple[FilterVerdict, ...]:
    """Return the verdict of every candidate filter, in their order."""
    return tuple([judge(limits, idea, symbol) for judge in CANDIDATE_FILTERS])


def cost(limits: FilterLimits, idea: Idea, _symbol: SymbolState) -> FilterVerdict:
    """Spread and commission must be small beside the risk."""
    return verdict_on(
        "cost",
        idea.cost_r > limits.max_cost_r,
        f"{idea.cost_r:.3f} R",
        f"{limits.max_cost_r:g} R",
        "the round trip is cheap enough",
        f"the round trip costs {idea.cost_r:.2f} R, over the limit of {limits.max_cost_r:g} R",
    )


def reward(limits: FilterLimits, idea: Idea, _symbol: SymbolState) -> FilterVerdict:
    """The target, after costs, must be worth the risk."""
    net = idea.reward_r - idea.cost_r
    return verdict_on(
        "reward",
        net < limits.min_reward_r,
        f"{net:.3f} R",
        f"{limits.min_reward_r:g} R",
        "the target is worth the risk",
        f"the target is {net:.2f} R away after costs, {limits.min_reward_r:g} R is needed",
    )


def prices(_limits: FilterLimits, idea: Idea, _symbol: SymbolState) -> FilterVerdict:
    """Stop and target must be prices, on the right side of the entry."""
    lowest = min(idea.stop_price, idea.target_price)
    return verdict_on(
        "prices",
        lowest <= 0.0,
        f"{lowest:g}",
        "0",
        "stop and target are prices",
        f"stop or target would be {lowest:g}; the volatility is too large for this price",
    )


def side(_limits: FilterLimits, idea: Idea, symbol: SymbolState) -> FilterVerdict:
    """The broker may allow one side alone."""
    allowed = {"long_only": 1, "short_only": -1}.get(symbol.trade_mode, idea.side)
    return verdict_on(
        "side",
        idea.side != allowed,
        idea.kind,
        symbol.trade_mode,
        "the broker allows this side",
        f"the broker allows {symbol.symbol} to be opened {'LONG' if allowed > 0 else 'SHORT'} only",
    )


CANDIDATE_FILTERS: tuple[Callable[[FilterLimits, Idea, SymbolState], FilterVerdict], ...] = (cost, reward, prices, side)
