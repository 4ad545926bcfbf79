"""How far a table has followed those it is made from: their versions when it was last made, and the days that were left.

One file for each follower under `cursors/follow_ups/`, since runs may write side by side. A lost one costs work, never rows:
every day of its sources is due again then. Which days of a table hang on which of its sources is `defs.follow_ups`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date

import msgspec

from trading_assets.core.errors import TradingError
from trading_assets.store.files import replace_atomically
from trading_assets.store.home import Home
from trading_assets.store.lake import Lake


class FollowUp(msgspec.Struct, frozen=True):
    """What a follower read last, and its days that were due then and not made."""

    versions: dict[str, int] = {}
    left: list[date] = []


def read_follow_up(home: Home, name: str) -> FollowUp:
    """Return what is noted of a follower; nothing when it never ran, or the note is lost."""
    try:
        return msgspec.json.decode((home.cursors / "follow_ups" / f"{name}.json").read_bytes(), type=FollowUp)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return FollowUp()


def note_follow_up(home: Home, name: str, versions: Mapping[str, int], left: Collection[date]) -> None:
    """Note that a follower has read its sources at these versions, and which of its days are left."""
    note = FollowUp(dict(versions), sorted(left))
    replace_atomically(home.cursors / "follow_ups" / f"{name}.json", msgspec.json.encode(note))


def versions_of(lake: Lake, tables: Iterable[str]) -> dict[str, int]:
    """Return the present versions of some tables."""
    return {table: lake.version(table) for table in tables}


def changed_days(lake: Lake, read: Mapping[str, int], now: Mapping[str, int]) -> dict[str, set[date]]:
    """Return the days of each table that were written between two readings; all of them where the first is not known."""
    return {table: _changed(lake, table, read.get(table), version) for table, version in now.items()}


def _changed(lake: Lake, table: str, earlier: int | None, later: int) -> set[date]:
    if earlier == later:
        return set()
    if earlier is not None and earlier < later:
        try:
            return lake.changed_dates(table, earlier, later)
        except TradingError:
            pass  # its log does not reach back so far any more
    return set(lake.dates(table))
