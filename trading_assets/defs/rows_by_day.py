"""A plot that costs nothing: the rows of a table's latest days as a line of bars, from the table's log alone.

Pictures of what the rows say are in `defs.plots`; this one shows days that are missing, empty or doubled.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import dagster as dg

DAYS = 60
_BARS = "▁▂▃▄▅▆▇█"
_NONE = "·"


def line(rows: Mapping[date, int]) -> str:
    """Return a bar for each of the latest days, a dot for one without rows."""
    if not rows:
        return "no rows"
    last, highest = max(rows), max(rows.values())
    first = max(min(rows), last - timedelta(days=DAYS - 1))
    counts = [rows.get(first + timedelta(days=number), 0) for number in range((last - first).days + 1)]
    bars = "".join(_BARS[min(len(_BARS) - 1, count * len(_BARS) // highest)] if count else _NONE for count in counts)
    return f"{first} {bars} {last}, at most {highest:,} rows a day"


def rows_by_day(rows: Mapping[date, int]) -> dg.MarkdownMetadataValue:
    """Return the line of a table as Dagster shows it."""
    return dg.MetadataValue.md(f"`{line(rows)}`")
