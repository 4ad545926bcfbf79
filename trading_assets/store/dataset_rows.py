"""Which versions of the learning dataset hold a decision's rows.

Rows only ever enter, but for a rollback; so between two rollbacks they are there from one version on, and a search by halves
over the versions in which their day changed finds it. What a version is lives in `store.dataset_versions`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import polars as pl

from trading_assets.store.lake_rows import Ask, LakeRows, Row

DATASET = "learning_dataset"


@dataclass(frozen=True)
class Held:
    """A run of recorded versions that hold the rows; `last` is None while the newest one does."""

    first: int
    last: int | None


def versions_with(
    rows: LakeRows, signal_id: str, days: Sequence[date], recorded: Sequence[Row], *, is_held: bool
) -> list[Held]:
    """Return the runs of recorded versions, oldest first, that hold rows of a decision made on the days.

    `recorded`: the rows of dataset_versions by version; `is_held`: whether the table holds them now.
    """
    ask = Ask(DATASET, pl.col("signal_id") == signal_id, days, ("signal_id",))
    texts = {day.isoformat() for day in days}
    known: dict[int, bool] = {}

    def holds(version: int) -> bool:
        if version not in known:
            known[version] = bool(rows.at_version(ask, version))
        return known[version]

    runs: list[Held] = []
    for segment in _segments(recorded):
        ends_here = segment[-1] is recorded[-1]
        changing = [row["delta_version"] for row in segment if row is segment[0] or texts & set(row["changed_days"])]
        if ends_here and is_held:
            known[changing[-1]] = True
        if (first := _first_that(holds, changing)) is not None:
            runs.append(Held(first, None if ends_here else segment[-1]["delta_version"]))
    return _joined(runs, [row["delta_version"] for row in recorded])


def _segments(recorded: Sequence[Row]) -> list[list[Row]]:
    """Cut the versions where one was rolled back to: within a piece rows only enter."""
    segments: list[list[Row]] = []
    for row in recorded:
        if not segments or row["operation"] == "rollback":
            segments.append([])
        segments[-1].append(row)
    return segments


def _first_that(holds: Callable[[int], bool], versions: Sequence[int]) -> int | None:
    if not versions or not holds(versions[-1]):
        return None
    low, high = 0, len(versions) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(versions[middle]) else (middle + 1, high)
    return versions[low]


def _joined(runs: list[Held], versions: Sequence[int]) -> list[Held]:
    """Put runs together between which no recorded version lies."""
    after = dict(pairwise(versions))
    joined: list[Held] = []
    for run in runs:
        if joined and joined[-1].last is not None and after.get(joined[-1].last) == run.first:
            run = Held(joined.pop().first, run.last)
        joined.append(run)
    return joined
