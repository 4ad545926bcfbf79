"""Which days of a table retention dropped: known as dropped, and not as missing.

The note is a property of the table itself, so it goes where the table goes and no lost cursor takes it along. Who drops is
`store.lake_retention`; what may not be made again because of it is `defs.left_alone`.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta

from deltalake import DeltaTable

from trading_assets.store.ingestion import stretches
from trading_assets.store.lake import Lake, told

_NOTE = "trading.droppedDays"


def note_dropped(lake: Lake, table: str, days: Collection[date]) -> None:
    """Note, before their rows go, that these days of a table are dropped."""
    known = _noted(lake, table)
    if set(days) <= known:
        return
    text = ",".join(f"{first}/{last}" for first, last in stretches(known | set(days)))
    with told("write", table):
        DeltaTable(lake.path(table)).alter.set_table_properties({_NOTE: text}, raise_if_not_exists=False)


def dropped_days(lake: Lake, table: str) -> set[date]:
    """Return the days of a table that were dropped and that nobody has ingested again since."""
    noted = _noted(lake, table)
    return noted - set(lake.dates(table)) if noted else noted


def _noted(lake: Lake, table: str) -> set[date]:
    days: set[date] = set()
    for stretch in filter(None, lake.properties(table).get(_NOTE, "").split(",")):
        first, last = map(date.fromisoformat, stretch.split("/"))
        days |= {first + timedelta(days=number) for number in range((last - first).days + 1)}
    return days
