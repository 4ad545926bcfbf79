"""How far the lake has followed the journals: which days have grown since they were last ingested.

A day's mark is the number of bytes of its segments before compression, with those that retention removed since
(`journal_sizes`); a day that a terminal's history tells of is marked with the number of bars told of it (`history_days`).
Ingestion overwrites whole days, so doing one again is harmless, and a lost mark costs work, never data.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta

from trading_assets.core.errors import StateError
from trading_assets.core.records.codec import decode_record
from trading_assets.core.records.record import Stream
from trading_assets.store.files import replace_atomically
from trading_assets.store.history_days import told_days
from trading_assets.store.home import Home
from trading_assets.store.journal import read_groups
from trading_assets.store.journal_sizes import day_sizes, removed_days
from trading_assets.store.under_way import unfinished_days

HISTORY = "history"
"""Name of the marks of days that history told of, beside those of the streams."""


def _marks(home: Home) -> dict[str, dict[str, int]]:
    try:
        marks = json.loads((home.cursors / "ingestion.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return {}  # Lost or spoilt: what it said costs work to find out again.
    return marks if isinstance(marks, dict) else {}


def mark_ingested(home: Home, stream: Stream, days: Collection[date], sizes: Mapping[date, int] | None = None) -> None:
    """Remember that these days of the stream are in the lake: as they are now, or as `sizes` says they were when read."""
    found = day_sizes(home.raw, stream, days=days) if sizes is None else sizes
    marks = _marks(home)
    marks.setdefault(stream, {}).update({day.isoformat(): size for day, size in found.items() if day in set(days)})
    replace_atomically(home.cursors / "ingestion.json", json.dumps(marks, sort_keys=True).encode())


def marked_days(home: Home, stream: Stream) -> set[date]:
    """Return the days of the stream that were ever ingested, whether they have grown since or not."""
    return {date.fromisoformat(day) for day in _marks(home).get(stream, {})}


def ingested_days(home: Home, stream: Stream) -> set[date]:
    """Return the days of the stream of which the lake has all there is."""
    known = _marks(home).get(stream, {})
    return {day for day, size in day_sizes(home.raw, stream).items() if known.get(day.isoformat()) == size}


def whole_days(home: Home, stream: Stream, days: Collection[date]) -> list[date]:
    """Return those of the days whose journal is whole: only they may be read into the lake again.

    Of the others retention has removed segments once the lake had them; the lake keeps what it has. Raises StateError
    when such a day has grown since.
    """
    known, removed = _marks(home).get(stream, {}), removed_days(home.raw, stream) & set(days)
    for day, size in day_sizes(home.raw, stream, days=removed).items() if removed else ():
        if known.get(day.isoformat(), size) != size:
            raise StateError(
                "ingesting", f"stream {stream} of {day}", "it has grown after retention removed a part of it",
                "restore the removed segments from a copy and remove their receipts, or leave the day as it is",
            )  # fmt: skip
    return [day for day in days if day not in removed]


def reached(home: Home) -> dict[tuple[str, str], datetime]:
    """Return how far each account's journal has come: the latest `known_at` of its market and trading streams."""
    latest: dict[tuple[str, str], datetime] = {}
    for account in home.raw.glob("tenant=*/account=*"):
        owner = (account.parent.name.removeprefix("tenant="), account.name.removeprefix("account="))
        days = sorted(path.name for stream in ("market", "trading") for path in account.glob(f"stream={stream}/date=*"))
        if not days:
            continue
        last = date.fromisoformat(days[-1].removeprefix("date="))
        for stream in ("market", "trading"):
            for group in read_groups(home.raw, stream=stream, tenant=owner[0], account=owner[1], dates=[last]):
                known = decode_record(group.lines[-1]).known_at
                latest[owner] = max(latest.get(owner, known), known)
    return latest


def mark_reached(home: Home, marks: dict[tuple[str, str], datetime]) -> None:
    """Remember how far the journals had come before they were ingested; later bars may lack quotes."""
    rows = [[*owner, at.isoformat()] for owner, at in sorted(marks.items())]
    replace_atomically(home.cursors / "reached.json", json.dumps(rows).encode())


def marked_reached(home: Home) -> dict[tuple[str, str], datetime]:
    """Return what `mark_reached` remembered; empty before the first ingestion."""
    try:
        rows = json.loads((home.cursors / "reached.json").read_bytes())
        return {(tenant, account): datetime.fromisoformat(at) for tenant, account, at in rows}
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def pending_days(home: Home) -> list[date]:
    """Return the days whose journals have grown since they were ingested, or whose ingestion was cut off, in order."""
    return sorted(grown_days(home) | unfinished_days(home))


def grown_days(home: Home, streams: Collection[Stream] = ("market", "trading", "ops")) -> set[date]:
    """Return the days whose journals have grown since they were ingested."""
    marks = _marks(home)
    pending: set[date] = set()
    for stream in streams:
        known = marks.get(stream, {})
        pending |= {day for day, size in day_sizes(home.raw, stream).items() if known.get(day.isoformat()) != size}
    return pending


def pending_history(home: Home) -> set[date]:
    """Return the days of which a terminal's history tells more than was made into bars: any day, however long ago."""
    made = _marks(home).get(HISTORY, {})
    return {day for day, bars in told_days(home).items() if made.get(day.isoformat(), 0) != bars}


def mark_history(home: Home, bars: Mapping[date, int]) -> None:
    """Remember how many bars of history were there when the days' bars were made."""
    marks = _marks(home)
    told = {day.isoformat(): count for day, count in bars.items() if count}
    if told.items() - marks.get(HISTORY, {}).items():
        marks.setdefault(HISTORY, {}).update(told)
        replace_atomically(home.cursors / "ingestion.json", json.dumps(marks, sort_keys=True).encode())


def stretches(days: Collection[date]) -> list[tuple[date, date]]:
    """Return the days as the fewest runs of consecutive days: one backfill run each."""
    runs: list[tuple[date, date]] = []
    for day in sorted(days):
        if runs and day - runs[-1][1] <= timedelta(days=1):
            runs[-1] = (runs[-1][0], day)
        else:
            runs.append((day, day))
    return runs
