"""How far the lake has followed the journals: which days have grown since they were last ingested.

A day's mark is the number of bytes of its segments, torn files left out. Ingestion overwrites whole days, so doing one
again is harmless, and a lost mark costs work, never data.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import date, datetime, timedelta

from trading_assets.core.records.codec import decode_record
from trading_assets.core.records.record import Stream
from trading_assets.store.files import replace_atomically
from trading_assets.store.home import Home
from trading_assets.store.journal import read_groups


def _sizes(home: Home, stream: Stream, days: Collection[date] | None = None) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for folder in home.raw.glob(f"tenant=*/account=*/stream={stream}/date=*"):
        day = folder.name.removeprefix("date=")
        if days is None or date.fromisoformat(day) in days:
            segments = [path for path in folder.glob("hour=*/*") if ".ndjson" in path.name and ".torn" not in path.name]
            sizes[day] = sizes.get(day, 0) + sum(path.stat().st_size for path in segments)
    return sizes


def _read(home: Home) -> dict[str, dict[str, int]]:
    path = home.cursors / "ingestion.json"
    return json.loads(path.read_bytes()) if path.exists() else {}


def mark_ingested(home: Home, stream: Stream, days: Collection[date]) -> None:
    """Remember that these days of the stream are in the lake as they are now."""
    marks = _read(home)
    marks.setdefault(stream, {}).update(_sizes(home, stream, days))
    replace_atomically(home.cursors / "ingestion.json", json.dumps(marks, sort_keys=True).encode())


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
    path = home.cursors / "reached.json"
    rows = json.loads(path.read_bytes()) if path.exists() else []
    return {(tenant, account): datetime.fromisoformat(at) for tenant, account, at in rows}


def pending_days(home: Home) -> list[date]:
    """Return the days whose journals have grown since they were ingested, in order."""
    marks = _read(home)
    pending: set[date] = set()
    streams: tuple[Stream, ...] = ("market", "trading", "ops")
    for stream in streams:
        known = marks.get(stream, {})
        pending |= {date.fromisoformat(day) for day, size in _sizes(home, stream).items() if known.get(day) != size}
    return sorted(pending)


def stretches(days: Collection[date]) -> list[tuple[date, date]]:
    """Return the days as the fewest runs of consecutive days: one backfill run each."""
    runs: list[tuple[date, date]] = []
    for day in sorted(days):
        if runs and day - runs[-1][1] <= timedelta(days=1):
            runs[-1] = (runs[-1][0], day)
        else:
            runs.append((day, day))
    return runs
