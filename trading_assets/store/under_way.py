"""Days whose ingestion has begun and not ended: a run that was killed between the raw tables and the last table made of them.

The marks of `store.ingestion` say what the raw tables have. A run that was killed after them would leave the days
ingested and their bars, signals or trades missing; so they stay pending until a run over them has ended well. A file
for each run, because runs may write side by side.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import date
from pathlib import Path

from trading_assets.store.files import replace_atomically
from trading_assets.store.home import Home


def begin_days(home: Home, run_id: str, days: Collection[date]) -> None:
    """Note, before anything of them is written, that a run begins these days."""
    path = _folder(home) / f"{run_id}.json"
    _folder(home).mkdir(parents=True, exist_ok=True)
    replace_atomically(path, json.dumps([day.isoformat() for day in sorted({*_days(path), *days})]).encode())


def end_days(home: Home, run_id: str) -> None:
    """Note that a run has written all of its days, and with them those that killed runs left."""
    ended = _days(_folder(home) / f"{run_id}.json")
    if not ended:
        return
    for path in sorted(_folder(home).glob("*.json")):
        left = _days(path) - ended
        if left:
            replace_atomically(path, json.dumps([day.isoformat() for day in sorted(left)]).encode())
        else:
            path.unlink(missing_ok=True)


def forget_run(home: Home, run_id: str) -> None:
    """Take back that a run has begun its days: what it wrote of them is whole, and nothing else hangs on it."""
    (_folder(home) / f"{run_id}.json").unlink(missing_ok=True)


def unfinished_days(home: Home, *, but: str = "") -> set[date]:
    """Return the days that some run, but the one named, has begun and none has ended since."""
    return {day for path in _folder(home).glob("*.json") if path.stem != but for day in _days(path)}


def days_of_run(home: Home, run_id: str) -> set[date]:
    """Return the days that this run has begun and not ended."""
    return _days(_folder(home) / f"{run_id}.json")


def _folder(home: Home) -> Path:
    return home.cursors / "under_way"


def _days(path: Path) -> set[date]:
    try:
        return {date.fromisoformat(day) for day in json.loads(path.read_bytes())}
    except (FileNotFoundError, ValueError):
        return set()
