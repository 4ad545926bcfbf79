"""Which days are due, and how a run is told: asked by the schedules and by the commands alike.

What is due is what is not done, by the days it is about. Nothing here is an asset. The partitions begin at the home's first day
at the moment an asset's module is imported, and a command knows its home only later: whatever it imports before may not reach
an asset's module.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from itertools import pairwise

import polars as pl

from trading_assets.defs.follow_ups import days_due, days_left, span
from trading_assets.defs.partitions import LATE_DAYS
from trading_assets.defs.settings import first_date_of
from trading_assets.store.home import Home
from trading_assets.store.ingestion import grown_days, pending_days, pending_history, stretches
from trading_assets.store.lake import Lake

NEAR_DAYS = 7
"""Days this near to each other are one run: what a decision saw reaches back over weekends and holidays."""
RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def range_tags(first: date, last: date) -> dict[str, str]:
    """Return the tags of one run over consecutive days."""
    return dict(zip(RANGE_TAGS, (first.isoformat(), last.isoformat()), strict=True))


def days_to_ingest(home: Home, lake: Lake) -> list[tuple[date, date]]:
    """Return the stretches of days an ingestion has to write.

    Those that have grown, those that history told of, and those of trades of which more was told than they rest with.
    """
    history = pending_history(home)  # first, for it may move the home's first day
    first = first_date_of(home)
    due = days_to_materialise(lake, pending_days(home), first, history)
    held = {begin + timedelta(days=number) for begin, end in due for number in range((end - begin).days + 1)}
    return [*due, *stretches({day for day in days_left(home, lake, "trades") if day >= first} - held)]


def days_before(home: Home, first: date) -> list[date]:
    """Return the days before `first` that what comes after is made from and that are not in the lake, in order."""
    return sorted(day for day in grown_days(home, ("market", "trading")) | pending_history(home) if day < first)


def days_to_materialise(
    lake: Lake, pending: Collection[date], first: date, history: Collection[date] = ()
) -> list[tuple[date, date]]:
    """Return the stretches of days to write for days that have grown, none before the first partition.

    Each touches the days before it that its late records may belong to, and the day of every trade that was still open,
    which comes last. `history` are days that bars of the terminal's history are about: they are written in one run with the
    days near them, whose decisions saw these bars.
    """
    if not pending and not history:
        return []
    touched = {day - timedelta(days=late) for day in pending for late in range(LATE_DAYS + 1)}
    due = {day for day in _joined(touched | set(history)) if day >= first}
    still_open = lake.scan("trades").filter(pl.col("is_open")).select(pl.col("date").unique()).collect()["date"]
    return [*stretches(due), *stretches({day for day in still_open if day >= first} - due)]


def _joined(days: Collection[date]) -> set[date]:
    """Return the days, and those between two of them that are near to each other."""
    joined = set(days)
    ordered = sorted(days)
    for before, after in pairwise(ordered):
        if (after - before).days <= NEAR_DAYS:
            joined |= {before + timedelta(days=number) for number in range(1, (after - before).days)}
    return joined


def days_of_job(home: Home, lake: Lake, job: str) -> tuple[date, date] | None:
    """Return the days from the first to the last that are due of what an hourly job makes; None when nothing is."""
    return span(days_due(home, lake, job), first_date_of(home))


def heard_days(home: Home, lake: Lake, today: date) -> tuple[date, date] | None:
    """Return the days whose hours may have changed: those that are due, and from the last one written to today.

    Also when nothing was heard on them: that is what their hours say. None while nothing has ever been heard.
    """
    heard, written = lake.dates("raw_daemon_heartbeats"), lake.dates("system_health")
    if not heard:
        return None
    since = min(written[-1] if written else heard[0], today - timedelta(days=1))
    return span({*days_due(home, lake, "operations"), since, today}, first_date_of(home))
