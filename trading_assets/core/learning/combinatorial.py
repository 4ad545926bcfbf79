"""Combinatorial purged cross-validation, for research: many histories from one, instead of a single walk forward.

Time is cut into groups; every choice of some of them judges what the others trained (López de Prado, Advances in Financial
Machine Learning, chapter 12). The predictions recombine into paths, each of which judges every row once, so that a figure
comes with its spread over paths. Training rows that know of a judged group are purged on both sides. It trains on rows after
those it judges: it says how stable a finding is, never how a model would have traded. That is `walk_forward`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations, pairwise
from math import comb

import numpy as np
import polars as pl

from trading_assets.core.errors import InputError
from trading_assets.core.learning.meta_model import TrainingParams, train_on
from trading_assets.core.learning.uniqueness import sample_weights
from trading_assets.core.learning.walk_forward import EMBARGO, symbols_of

GROUPS = 6
JUDGED_GROUPS = 2


@dataclass(frozen=True)
class Combination:
    """One choice of judged groups: rows that train, and for each judged group its rows."""

    judged: tuple[int, ...]
    train: np.ndarray
    test: dict[int, np.ndarray]


def combinations_of(
    decided_ms: np.ndarray,
    label_end_ms: np.ndarray,
    groups: int = GROUPS,
    judged_groups: int = JUDGED_GROUPS,
    embargo: timedelta = EMBARGO,
) -> tuple[Combination, ...]:
    """Cut rows (n,) into groups of equally many decision times and return every choice of judged groups.

    A row trains when its label ends before a judged group, less the embargo, or it is decided after the last label of that group
    has ended, plus the embargo. Raises InputError where there are fewer decision times than groups.
    """
    times = np.unique(decided_ms)
    if not 0 < judged_groups < groups or len(times) < groups:
        raise InputError(
            "splitting",
            "learning dataset",
            f"{len(times)} decision times do not make {groups} groups of which {judged_groups} judge",
            "collect more decisions, or choose fewer groups",
        )
    edges = np.linspace(0, len(times), groups + 1).astype(np.int64)
    margin = embargo // timedelta(milliseconds=1)
    rows, may_train = [], []
    for first, following in pairwise(edges):
        start, end = times[first], times[following - 1]
        mine = np.flatnonzero((decided_ms >= start) & (decided_ms <= end))
        known = label_end_ms[mine].max()
        rows.append(mine)
        may_train.append((label_end_ms < start - margin) | (decided_ms > max(known, end) + margin))
    return tuple(
        Combination(
            judged=chosen,
            train=np.flatnonzero(np.logical_and.reduce([may_train[group] for group in chosen])),
            test={group: rows[group] for group in chosen},
        )
        for chosen in combinations(range(groups), judged_groups)
    )


def path_count(groups: int = GROUPS, judged_groups: int = JUDGED_GROUPS) -> int:
    """Return how many paths the choices recombine into."""
    return comb(groups, judged_groups) * judged_groups // groups


def predict_paths(
    matrix: np.ndarray,
    frame: pl.DataFrame,
    feature_names: tuple[str, ...],
    chosen: tuple[Combination, ...],
    params: TrainingParams,
) -> np.ndarray:
    """Train one model for each choice on matrix (n, k) and return raw scores of every path, shape (paths, n).

    `frame` holds decided_at, label_end_at, is_win and symbol of the same n rows. The j-th choice that judges a group gives that
    group's part of path j.
    """
    is_win = frame["is_win"].to_numpy()
    start_ms, end_ms = (frame[name].dt.epoch("ms").to_numpy() for name in ("decided_at", "label_end_at"))
    symbol = symbols_of(frame)
    groups = {group for one in chosen for group in one.test}
    used = dict.fromkeys(groups, 0)
    paths = np.full((max(sum(group in one.test for one in chosen) for group in groups), len(frame)), np.nan)
    for one in chosen:
        weights = sample_weights(start_ms[one.train], end_ms[one.train], symbol[one.train])
        model = train_on(matrix[one.train], is_win[one.train], feature_names, params, weights)
        for group, rows in one.test.items():
            paths[used[group], rows] = model.raw_score(matrix[rows])
            used[group] += 1
    return paths
