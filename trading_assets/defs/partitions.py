"""Daily partitions, the same for every partitioned asset, and how a run over many of them is cut into pieces.

Mapping is identity everywhere: an asset that needs bars before its day, or prices after it, reads them from the lake
itself. Late data: a record is filed under the day it became known and may be up to one day late. An asset of day D
reads the raw partitions D and D + 1, and whoever ingests day D materialises D - 1 again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import dagster as dg

LATE_DAYS = 1
CHUNK_DAYS = 10


def daily_partitions(first_date: date) -> dg.DailyPartitionsDefinition:
    """Return the partitions from `first_date` to today, today included."""
    return dg.DailyPartitionsDefinition(start_date=first_date.isoformat(), end_offset=1)


def dates_of(context: dg.AssetExecutionContext) -> list[date]:
    """Return the days a run is asked for, in order."""
    return [date.fromisoformat(key) for key in sorted(context.partition_keys)]


def chunks(dates: Sequence[date], size: int = CHUNK_DAYS) -> Iterator[list[date]]:
    """Cut the days into pieces of at most `size`, so that memory does not grow with the length of a backfill."""
    for start in range(0, len(dates), size):
        yield list(dates[start : start + size])


def with_late(dates: Sequence[date]) -> list[date]:
    """Return the days and those after them in which late records of theirs may be filed."""
    return sorted({day + timedelta(days=late) for day in dates for late in range(LATE_DAYS + 1)})
