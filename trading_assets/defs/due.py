"""Which days are due, and how a run is told: asked by the schedules and by the commands alike.

Nothing here is an asset. The partitions begin at the first day of the environment at the moment an asset's module is imported,
and a command sets that day only once it knows its home: whatever it imports before may not reach an asset's module.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta

import polars as pl

from trading_assets.defs.partitions import LATE_DAYS
from trading_assets.store.ingestion import stretches
from trading_assets.store.lake import Lake

LABEL_LAG_DAYS = 4
RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def range_tags(first: date, last: date) -> dict[str, str]:
    """Return the tags of one run over consecutive days."""
    return dict(zip(RANGE_TAGS, (first.isoformat(), last.isoformat()), strict=True))


def days_to_materialise(lake: Lake, pending: Collection[date], first: date) -> list[tuple[date, date]]:
    """Return the stretches of days to write for days that have grown, none before the first partition.

    Each touches the days before it that its late records may belong to, and the day of every trade that was still open.
    """
    if not pending:
        return []
    touched = {day - timedelta(days=late) for day in pending for late in range(LATE_DAYS + 1)}
    still_open = lake.scan("trades").filter(pl.col("is_open")).select(pl.col("date").unique()).collect()["date"]
    return stretches({day for day in touched | set(still_open) if day >= first})


def recent_days(lake: Lake, first: date) -> tuple[date, date] | None:
    """Return the days that may still change: the last ingested one and those whose labels wait for their future.

    None lies before `first`, the first partition.
    """
    ingested = lake.dates("signals")
    return (max(first, ingested[-1] - timedelta(days=LABEL_LAG_DAYS)), ingested[-1]) if ingested else None


def heard_days(lake: Lake, first: date, today: date) -> tuple[date, date] | None:
    """Return the days whose hours may have changed: from the last day written, or the one before today, to today.

    Also when nothing was heard on them: that is what their hours say. None while nothing has ever been heard.
    """
    heard, written = lake.dates("raw_daemon_heartbeats"), lake.dates("system_health")
    if not heard:
        return None
    since = min(written[-1] if written else heard[0], today - timedelta(days=1))
    return max(first, since), today
