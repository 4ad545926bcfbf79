"""The record computed again from the journal and held against the tables, in memory: nothing is written, nothing is mended.

A day is made again from its journal, each table from the one computed before it, and compared row by row. Which days: those
that do not rest as they were written, and of the others a few, drawn anew each day, or all of them. What mends is
`defs.selfcheck`; what compares a row is `core.comparison`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from trading_assets.core.comparison import Compared, compare_rows
from trading_assets.core.errors import TradingError
from trading_assets.core.tables import TABLES
from trading_assets.defs.follow_ups import FOLLOWERS, days_left
from trading_assets.defs.left_alone import beyond_making
from trading_assets.defs.rehearsal import Maker, makers, rehearse
from trading_assets.store.dropped_days import dropped_days
from trading_assets.store.home import Home
from trading_assets.store.ingestion import grown_days, pending_history
from trading_assets.store.lake import UNREADABLE, first_line
from trading_assets.store.rehearsal_lake import RehearsalLake
from trading_assets.store.seals import SealingLake, sealed_tables
from trading_assets.store.under_way import unfinished_days

SAMPLED_DAYS = 1
MOST_SUSPECTS = 5
"""Days that do not rest as they were written and are looked at in a sample; the others are named by their files alone."""
EQUALITY = {"windows": "chart_windows", "features": "feature_windows"}
"""Tables whose rows say whether a decision saw what is computed here."""


@dataclass
class Recomputed:
    """What was computed again, what rests otherwise, and how many windows and feature rows the decisions of the days share."""

    days: list[date] = field(default_factory=list)
    of_days: int = 0
    different: list[Compared] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    compared: dict[str, int] = field(default_factory=lambda: dict.fromkeys(EQUALITY, 0))
    mismatched: dict[str, int] = field(default_factory=lambda: dict.fromkeys(EQUALITY, 0))


def recompute(
    home: Home,
    lake: SealingLake,
    today: date,
    *,
    is_thorough: bool = False,
    on_day: Callable[[int, int], None] | None = None,
) -> Recomputed:
    """Compute days again and compare. `today` draws the sample; `on_day(done, all)` is called after each day."""
    waiting = grown_days(home) | unfinished_days(home) | pending_history(home)
    there = sorted({*lake.dates("raw_decisions"), *lake.dates("bars"), *lake.dates("raw_deals")} - waiting)
    found = Recomputed(of_days=len(there))
    suspects = _suspects(lake, waiting, found, is_thorough=is_thorough)
    found.days = there if is_thorough else _sampled(lake, there, suspects, today)
    rehearsal = RehearsalLake(home.lake)
    due = {name: days_left(home, lake, name) for name in FOLLOWERS}
    for number, day in enumerate(found.days, 1):
        for maker in makers():
            if maker.group != "operations" and day not in due.get(maker.name, ()):
                _hold(home, lake, rehearsal, maker, day, found)
        for table in TABLES:
            rehearsal.forget(table, [day])
        if on_day is not None:
            on_day(number, len(found.days))
    return found


def _suspects(lake: SealingLake, waiting: set[date], found: Recomputed, *, is_thorough: bool) -> dict[date, list[str]]:
    """Return the days whose files are not those that were written, and the tables; name what cannot be looked at."""
    suspects: dict[date, list[str]] = {}
    written = sealed_tables(lake.seals)
    for maker in makers():
        for table in maker.tables:
            if table not in written and not lake.is_made(table):
                continue  # declared since this lake was written
            try:
                suspicions = lake.suspicions(table, is_thorough=is_thorough)
            except (TradingError, *UNREADABLE) as error:
                found.troubles.append(f"{table} cannot be read: {first_line(error)}; run `trading selfcheck`")
                continue
            dropped = dropped_days(lake, table) if suspicions else set()
            for one in suspicions:
                if one.day in waiting or one.day in dropped:
                    continue
                suspects.setdefault(one.day, []).append(table)
                if one.is_lost:
                    found.troubles.append(
                        f"{table} of {one.day}: {one.problem}; `trading selfcheck` makes the day again"
                    )
    return suspects


def _sampled(lake: SealingLake, there: Iterable[date], suspects: dict[date, list[str]], today: date) -> list[date]:
    decided = sorted(set(lake.dates("raw_decisions")) & set(there))
    drawn = random.Random(today.toordinal()).sample(decided, min(SAMPLED_DAYS, len(decided)))
    return sorted({*drawn, *sorted(set(suspects) & set(there))[:MOST_SUSPECTS]})


def _hold(home: Home, lake: SealingLake, rehearsal: RehearsalLake, maker: Maker, day: date, found: Recomputed) -> None:
    """Make a day of the maker's tables again, from what was made again before it, and compare."""
    if any(beyond_making(lake, table, [day]) for table in maker.tables):
        return
    try:
        with rehearsal.without({table: {day} for table in maker.tables}):
            due = rehearse(home, rehearsal, maker, [day])
    except (TradingError, *UNREADABLE) as error:
        found.troubles.append(f"{maker.name} of {day} cannot be computed again: {first_line(error)}")
        return
    for table in maker.tables:
        is_new = not lake.is_made(table) and due[table].get(day, pl.DataFrame()).is_empty()
        if day not in due[table] or is_new or day in dropped_days(lake, table):
            rehearsal.forget(table, [day])
            continue
        try:
            compared = compare_rows(TABLES[table], day, lake.read(table, dates=[day]), due[table][day])
        except (TradingError, *UNREADABLE) as error:
            found.troubles.append(f"{table} of {day} cannot be read: {first_line(error)}; run `trading selfcheck`")
            continue
        if not compared.is_equal:
            found.different.append(compared)
        for name, of in EQUALITY.items():
            if of == table:
                found.compared[name] += due[table][day].height
                found.mismatched[name] += due[table][day].filter(~pl.col("is_equal")).height


def sentences(found: Recomputed) -> list[str]:
    """Return what is wrong, one sentence for each day of a table, with what mends it."""
    told = [
        f"{one.table} of {one.day}: {one.words()}, where the journal gives {one.due}; "
        f"`trading selfcheck` makes the day again, or trading materialise {_job(one.table)} --from {one.day} --to {one.day}"
        for one in found.different
    ]
    return [*found.troubles, *told]


def _job(table: str) -> str:
    maker = next(one for one in makers() if table in one.tables)
    follower = FOLLOWERS.get(maker.name)
    return follower.job if follower is not None else "ingest"
