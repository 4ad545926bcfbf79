"""Sharpe ratios held against luck: probabilistic (Bailey and López de Prado, The Sharpe Ratio Efficient Frontier, 2012) and deflated
(The Deflated Sharpe Ratio, 2014). Nothing is annualised: a ratio belongs to the period of its returns.
"""

from __future__ import annotations

from math import e, sqrt
from statistics import NormalDist

import msgspec
import numpy as np

EULER_GAMMA = 0.5772156649015329
FEWEST = 3


class Sharpe(msgspec.Struct, frozen=True, kw_only=True):
    """The Sharpe ratio of returns, with the probabilities that it is no luck."""

    ratio: float
    count: int
    probabilistic: float
    """Probability that the true ratio is above 0."""
    deflated: float
    """Probability that it is above what the best of all variants tried would show without any skill."""


def probabilistic_sharpe(ratio: float, count: int, skew: float, kurtosis: float, benchmark: float = 0.0) -> float:
    """Return the probability that the true ratio is above the benchmark; the normal distribution has a kurtosis of 3."""
    spread = 1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2
    return NormalDist().cdf((ratio - benchmark) * sqrt(count - 1) / sqrt(max(spread, 1e-9)))


def best_by_luck(variants: int, deviation: float) -> float:
    """Return the expected best ratio of variants without skill, whose ratios have this standard deviation."""
    if variants <= 1:
        return 0.0
    normal = NormalDist()
    highest = (1 - EULER_GAMMA) * normal.inv_cdf(1 - 1 / variants)
    return deviation * (highest + EULER_GAMMA * normal.inv_cdf(1 - 1 / (variants * e)))


def sharpe_of(returns: np.ndarray, variants_tried: int) -> Sharpe:
    """Return the ratio of returns (n,). Fewer than three returns, or equal ones, prove nothing: 0.

    Without skill a ratio of n returns has variance 1 / (n - 1): that stands for the spread of the variants' ratios, which resemble
    each other too much to be measured.
    """
    count = len(returns)
    if count < FEWEST or not returns.std(ddof=1) > 0:
        return Sharpe(ratio=0.0, count=count, probabilistic=0.0, deflated=0.0)
    ratio = float(returns.mean() / returns.std(ddof=1))
    centred = (returns - returns.mean()) / returns.std()
    skew, kurtosis = float((centred**3).mean()), float((centred**4).mean())
    luck = best_by_luck(variants_tried, 1 / sqrt(count - 1))
    return Sharpe(
        ratio=ratio,
        count=count,
        probabilistic=probabilistic_sharpe(ratio, count, skew, kurtosis),
        deflated=probabilistic_sharpe(ratio, count, skew, kurtosis, luck),
    )
