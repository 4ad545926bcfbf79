"""Days of tables that are left as they are, because retention dropped rows they were made from.

What can still be made is only what is left of the sources, so a run over such days, or a repair, would replace good rows by
fewer. How long a table is kept is declared beside its columns; which days were dropped is `store.dropped_days`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from trading_assets.defs.partitions import LATE_DAYS
from trading_assets.store.dropped_days import dropped_days
from trading_assets.store.ingestion import stretches
from trading_assets.store.lake import Lake

LABEL_DAYS = 7
"""How far a label can reach."""


@dataclass(frozen=True)
class Reach:
    """The sources of a table that do not stay, which days of theirs a day of it is made from, and the job that makes it."""

    job: str
    sources: tuple[str, ...]
    before: int = 0
    after: int = 0
    to_last_heard: bool = False
    """Also the last day before it on which there was anything."""


REACHES: Mapping[str, Reach] = {
    "bars": Reach("ingest", ("raw_quotes",), after=LATE_DAYS),
    "labels": Reach("dataset", ("raw_quotes",), before=1, after=LABEL_DAYS),
    "system_health": Reach("operations", ("raw_component_states", "raw_daemon_heartbeats"), to_last_heard=True),
}
"""Every table that is made from one whose days are dropped."""


def beyond_making(lake: Lake, table: str, days: Collection[date]) -> set[date]:
    """Return those of the days that cannot be made as they were, because rows they were made from were dropped."""
    reach = REACHES.get(table)
    found: set[date] = set()
    for source in reach.sources if reach is not None else ():
        assert reach is not None
        if not (gone := dropped_days(lake, source)):
            continue
        shifts = [timedelta(days=shift) for shift in range(-reach.before, reach.after + 1)]
        found |= {day for day in days if any(day + shift in gone for shift in shifts)}
        if reach.to_last_heard:
            held = set(lake.dates(source)) | gone
            found |= {day for day in days if max((one for one in held if one < day), default=None) in gone}
    return found


def days_to_make(lake: Lake, table: str, days: Sequence[date]) -> tuple[list[date], str]:
    """Return the days that may be written, in order, and what is to be said of the others; nothing when there are none.

    A day without any rows yet is made of what there is: that is no loss.
    """
    kept = beyond_making(lake, table, days) & set(lake.dates(table))
    return [day for day in days if day not in kept], _sentence(table, kept)


def sentences(lake: Lake, jobs: Collection[str], first: date, last: date) -> list[str]:
    """Return what is to be said of the days of a range that a run of these jobs left as they are."""
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    told = (days_to_make(lake, table, days)[1] for table, reach in REACHES.items() if reach.job in jobs)
    return [sentence for sentence in told if sentence]


def _sentence(table: str, kept: Collection[date]) -> str:
    if not kept:
        return ""
    which = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in stretches(kept))
    sources = " and ".join(REACHES[table].sources)
    return (
        f"{table} of {which}: left as it is, because retention dropped {sources} of these days or of days beside them; where "
        "the journal still has them, ingest all of these days in one run"
    )
