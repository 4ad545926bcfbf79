"""Leaks: features that know what they cannot know. Each is named, with what gave it away.

Two signs. A single feature that by itself tells wins from losses better than a market allows: each feature is scored alone, for
LONG and SHORT apart (a leak need not point with the side), and from its value as well as from its being there at all. And a
recorded feature that differs from the one recomputed of the chart windows (invariant 7). What follows is `promotion`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import polars as pl

from trading_assets.core.learning.meta_model import MetaModel, matrix_of

MOST_ROWS = 24_000
_BINS = 20
_FEWEST = 50


class LeakThresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From which discrimination on a feature is held to be a leak.

    On the synthetic market, whose edge is many times a real one, the best single feature reaches 0.76, the whole model 0.77.
    """

    feature_auc: float = 0.85
    """Area under the ROC curve of one feature alone."""
    model_auc: float = 0.90
    """Of the whole model out of sample; the feature with the largest share of its importance is named."""
    fewest_days: int = 10
    """Of decisions. On fewer, a slow feature tells the market's two or three moves apart by chance (H1 ADX on two days of FXCM
    ticks: 0.90); nothing trained on them is promoted either."""
    unequal_share: float = 0.01
    """Of decisions whose features are not those recorded, or not those their windows give."""


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """A feature that knows too much, and what gave it away."""

    feature: str
    evidence: str


def leaks(
    matrix: np.ndarray, is_win: np.ndarray, kinds: np.ndarray, names: Sequence[str], thresholds: LeakThresholds
) -> tuple[Leak, ...]:
    """Return the features of (n, k) that tell the wins (n,) from the losses too well, the best first.

    `kinds` (n,) holds LONG and SHORT. Of more than 24,000 rows, evenly spaced ones are looked at.
    """
    chosen = _spread(len(matrix))
    found: dict[str, tuple[float, str]] = {}
    for kind in ("LONG", "SHORT"):
        rows = chosen[kinds[chosen] == kind]
        won = is_win[rows].astype(bool)
        if min(won.sum(), len(won) - won.sum()) < _FEWEST:
            continue
        for column, name in enumerate(names):
            area, how = _discrimination(matrix[rows, column], won)
            if area >= thresholds.feature_auc and area > found.get(name, (0.0, ""))[0]:
                found[name] = (
                    area,
                    f"alone {how} it tells {kind} wins from losses with an area of {area:.3f} under the ROC curve",
                )
    return tuple(
        Leak(feature=name, evidence=evidence)
        for name, (_, evidence) in sorted(found.items(), key=lambda one: (-one[1][0], one[0]))
    )


def _discrimination(values: np.ndarray, won: np.ndarray) -> tuple[float, str]:
    """Return the best area under the ROC curve a feature reaches by itself, at least 0.5, and by what."""
    known = np.isfinite(values)
    by_presence = 0.5 if known.all() else _two_sided(known.astype(np.float64), won)
    by_value = by_shape = 0.5
    if min(won[known].sum(), known.sum() - won[known].sum()) >= _FEWEST:
        by_value = _two_sided(values[known], won[known])
        by_shape = _shaped(values[known], won[known])
    return max((by_value, "by its value"), (by_shape, "by ranges of its value"), (by_presence, "by being there or not"))


def _shaped(values: np.ndarray, won: np.ndarray) -> float:
    """Return the area reached with the share of wins of each range of values, learned on the first half, on the second.

    Catches what does not rise or fall with the chance of a win.
    """
    half = len(values) // 2
    edges = np.unique(np.quantile(values[:half], np.linspace(0, 1, _BINS + 1)[1:-1]))
    place = np.searchsorted(edges, values, side="right")
    counts = np.bincount(place[:half], minlength=len(edges) + 1)
    wins = np.bincount(place[:half], weights=won[:half], minlength=len(edges) + 1)
    share = (wins + won[:half].mean()) / (counts + 1.0)
    return area_of(share[place[half:]], won[half:])


def _two_sided(values: np.ndarray, won: np.ndarray) -> float:
    area = area_of(values, won)
    return max(area, 1.0 - area)


def area_of(score: np.ndarray, won: np.ndarray) -> float:
    """Return the area under the ROC curve, ties counting half; 0.5 without both outcomes."""
    wins, losses = int(won.sum()), int(len(won) - won.sum())
    if not wins or not losses:
        return 0.5
    ranks = pl.Series(score).rank("average").to_numpy()
    return float((ranks[won].sum() - wins * (wins + 1) / 2) / (wins * losses))


def model_leaks(frame: pl.DataFrame, model: MetaModel, auc: float, thresholds: LeakThresholds) -> tuple[Leak, ...]:
    """Return the features of dataset rows that know too much, and the one a model that knows too much leans on.

    `auc` is the model's area out of sample. Of fewer days than the thresholds name nothing is said.
    """
    if frame["decided_at"].dt.date().n_unique() < thresholds.fewest_days:
        return ()
    names = model.feature_names
    in_time = frame.select(pl.arg_sort_by("decided_at", "idea_id")).to_series().to_numpy()
    rows = frame[in_time[_spread(len(in_time))].tolist()]
    told = leaks(matrix_of(rows, len(names)), rows["is_win"].to_numpy(), rows["kind"].to_numpy(), names, thresholds)
    known = {leak.feature for leak in told}
    return (*told, *(one for one in implausible_model(auc, model.importance(), thresholds) if one.feature not in known))


def _spread(count: int) -> np.ndarray:
    return np.linspace(0, count - 1, min(count, MOST_ROWS)).astype(np.int64)


def implausible_model(
    auc: float, importance: Sequence[tuple[str, float]], thresholds: LeakThresholds
) -> tuple[Leak, ...]:
    """Name the feature a model leans on most when it tells wins from losses better than a market allows."""
    if auc < thresholds.model_auc or not importance:
        return ()
    name, share = max(importance, key=lambda one: one[1])
    return (
        Leak(
            feature=name,
            evidence=f"the model tells wins from losses with an area of {auc:.3f} under the ROC curve out of sample, and "
            f"{share:.0%} of its importance is that feature's",
        ),
    )


def differing(
    used: np.ndarray, truth: np.ndarray, names: Sequence[str], what: str, thresholds: LeakThresholds
) -> tuple[Leak, ...]:
    """Return the features whose values (n, k) are not bit for bit those of the truth (n, k), most differences first."""
    is_same = (used == truth) | (np.isnan(used) & np.isnan(truth))
    different = (~is_same).sum(axis=0)
    return tuple(
        Leak(feature=names[column], evidence=f"{different[column]} of {len(used)} values are not those {what}")
        for column in np.argsort(-different, kind="stable").tolist()
        if different[column] > thresholds.unequal_share * len(used)
    )
