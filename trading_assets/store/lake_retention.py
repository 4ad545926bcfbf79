"""What becomes of old days of the lake's tables, and of files no version needs any more.

How long a table is kept is declared beside its columns (`Table.keep_days`); most are kept for ever. A dropped day is noted
(`dropped_days`) and then goes in a commit like any other; the space comes back when the files are vacuumed, a week later.
Tables of the stage learning are never vacuumed, because models and dataset versions name their versions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from deltalake import DeltaTable

from trading_assets.core.errors import TradingError
from trading_assets.core.tables import TABLES
from trading_assets.store.dropped_days import note_dropped
from trading_assets.store.home import Home
from trading_assets.store.ingestion import pending_days
from trading_assets.store.lake import Lake, keeps_versions
from trading_assets.store.seals import SealingLake, folder_of

VACUUM_AFTER = timedelta(days=7)
"""Whoever reads a version, or copies the lake, has this long."""


@dataclass(frozen=True)
class Rule:
    """How long a table keeps its days (None: for ever), and whether all its versions can be read for ever."""

    table: str
    keep_days: int | None
    keeps_versions: bool


@dataclass(frozen=True)
class LakeRetained:
    """What one pass did: days dropped of each table, files vacuumed, and a sentence for each table that was left alone."""

    dropped_days: dict[str, int]
    vacuumed_files: int
    problems: tuple[str, ...] = ()


def rules() -> list[Rule]:
    """Return the rule of every table."""
    return [Rule(table.name, table.keep_days, keeps_versions(table)) for table in TABLES.values()]


def retain_lake(home: Home, today: date) -> LakeRetained:
    """Drop the days that are older than their table keeps them, then vacuum. A table that cannot be read is left alone.

    A day that waits for its ingestion, or is under way, stays: what is made from it is not made yet.
    """
    lake = SealingLake(home.lake, folder_of(home))
    dropped: dict[str, int] = {}
    problems: list[str] = []
    vacuumed = 0
    try:
        waiting = {day - timedelta(days=late) for day in pending_days(home) for late in (0, 1)}
    except TradingError as error:
        return LakeRetained({}, 0, (f"no day of a table is dropped: {error}",))
    for rule in rules():
        if not DeltaTable.is_deltatable(lake.path(rule.table)):
            continue
        try:
            if days := [day for day in _too_old(lake, rule, today) if day not in waiting]:
                note_dropped(lake, rule.table, days)
                lake.overwrite_dates(rule.table, TABLES[rule.table].empty(), days)
                dropped[rule.table] = len(days)
            if not rule.keeps_versions:
                vacuumed += lake.vacuum(rule.table, VACUUM_AFTER)
        except TradingError as error:
            problems.append(str(error))
    return LakeRetained(dropped, vacuumed, tuple(problems))


def _too_old(lake: Lake, rule: Rule, today: date) -> list[date]:
    if rule.keep_days is None:
        return []
    oldest = today - timedelta(days=rule.keep_days)
    return [day for day in lake.dates(rule.table) if day < oldest]
