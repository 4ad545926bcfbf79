"""What a model would have traded, by thresholds known before, and what that would have made.

Of each decision its most probable candidate counts; it is taken when its probability reaches the level that the best share of
the decisions before it reached. Nothing that comes later has a say. Each decision that is taken risks one R for itself: many
run at the same time, so sums are a measure of the judgement and no account's equity.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from datetime import date
from math import ceil

import msgspec
import numpy as np
import polars as pl

from trading_assets.core.learning.intervals import Interval, around, interval_of, resampled_paths

TOP_SHARE = 0.1
TOP_SHARES = (0.01, 0.05, TOP_SHARE, 0.2)
DECISIONS_BEFORE = 144
"""Long enough to know a tenth, short enough to follow a model that is trained anew and speaks on another level."""
FEWEST_BEFORE = 50
"""Decisions without which there is no threshold."""


class TopFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The decisions that reached the level of the best share of those before them."""

    share: float
    selected: int
    result_r: Interval
    """Mean result after costs."""


class EquityPoint(msgspec.Struct, frozen=True, kw_only=True):
    """What the selected decisions made up to the end of a day, with the band in which resampled days stay."""

    day: date
    selected: int
    total_r: float
    low: float
    high: float


def best_of_decisions(scored: pl.DataFrame) -> pl.DataFrame:
    """Return of each decision its most probable candidate, in the order of decisions; equals by id, which knows no result.

    `scored` holds idea_id, signal_id, decided_at, day and probability.
    """
    return (
        scored.sort("probability", "idea_id", descending=[True, False])
        .unique("signal_id", keep="first", maintain_order=True)
        .sort("decided_at", "signal_id")
    )


def thresholds(best: pl.DataFrame, share: float) -> np.ndarray:
    """Return for each decision (n,), in their order, what the best `share` of the 144 before it reached, at least.

    NaN for the first decisions, with fewer than 50 before them.
    """
    said = best["probability"].to_numpy()
    found = np.full(len(said), np.nan)
    window: list[float] = []
    for place, probability in enumerate(said.tolist()):
        if place >= FEWEST_BEFORE:
            found[place] = window[-ceil(share * len(window))]
        insort(window, probability)
        if place >= DECISIONS_BEFORE:
            del window[bisect_left(window, said[place - DECISIONS_BEFORE])]
    return found


def selected(best: pl.DataFrame, share: float = TOP_SHARE) -> pl.DataFrame:
    """Return the decisions that would have been taken."""
    return best.filter(pl.Series(best["probability"].to_numpy() >= thresholds(best, share), dtype=pl.Boolean))


def top_figures(best: pl.DataFrame, confidence: float) -> tuple[TopFigures, ...]:
    """Return what each share of the decisions would have made."""
    found = []
    for share in TOP_SHARES:
        taken = selected(best, share).group_by("day").agg(pl.len(), pl.col("result_r").sum())
        # Days on which nothing was taken are days too: they are drawn like the others.
        daily = best.select("day").unique().join(taken, on="day", how="left").sort("day").fill_null(0)
        interval = interval_of(daily["result_r"].to_list(), daily["len"].to_list(), confidence)
        found.append(TopFigures(share=share, selected=int(daily["len"].sum()), result_r=interval))
    return tuple(found)


def equity(days: list[date], counts: list[int], sums: list[float], confidence: float) -> tuple[EquityPoint, ...]:
    """Return the running total of days' sums, with the band by blocks of days at the same confidence."""
    if not days:
        return ()
    daily = np.array(sums, dtype=np.float64)
    low, high = np.quantile(resampled_paths(daily), [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return tuple(
        EquityPoint(day=day, selected=count, total_r=total, low=below, high=above)
        for day, count, total, below, above in zip(
            days, counts, np.cumsum(daily).tolist(), low.tolist(), high.tolist(), strict=True
        )
    )


def total_of(sums: list[float], confidence: float) -> Interval:
    """Return what all days made together, with its interval by blocks of days."""
    if not sums:
        return Interval(value=0.0, low=0.0, high=0.0)
    daily = np.array(sums, dtype=np.float64)
    return around(float(daily.sum()), resampled_paths(daily)[:, -1], confidence)
