"""How far the lake has followed the journals: which days have grown since they were last ingested.

A day's mark is the number of bytes of its segments, torn files left out. Ingestion overwrites whole days, so doing one
again is harmless, and a lost mark costs work, never data.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import date, timedelta

from trading_assets.core.records import Stream
from trading_assets.store.files import replace_atomically
from trading_assets.store.home import Home


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
