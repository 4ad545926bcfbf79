"""Which days the journals are about: a terminal's history tells of days long before the one it became known on.

Counted from the sealed bars of the market stream, and kept in `cursors/history_days.json` so that only what has grown is
read again; losing it costs a reading of the journals. Which days are ingested is `store.ingestion`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path

import msgspec

from trading_assets.core.records.record import Stream
from trading_assets.store import journal_disk
from trading_assets.store.files import replace_atomically
from trading_assets.store.home import Home
from trading_assets.store.journal_bars import bar_lines
from trading_assets.store.journal_format import SEAL_MARK, JournalError
from trading_assets.store.journal_sizes import day_sizes, removed_days

MARKET: Stream = "market"
_TAG = b'{"type":"bar"'


class _Bar(msgspec.Struct):
    open_at: datetime
    source: str


class _Read(msgspec.Struct):
    """How far a segment was read, and how many bars of history it tells of each day."""

    size: int
    told: dict[str, int] = {}


class _Day(msgspec.Struct):
    """A day of an account's journal. `segments` are kept for the latest day alone: earlier ones rarely grow."""

    size: int
    told: dict[str, int] = {}
    segments: dict[str, _Read] = {}


def told_days(home: Home) -> dict[date, int]:
    """Return the days that the terminals' history tells of, each with its number of bars in the journals."""
    path = home.cursors / "history_days.json"
    known = _known(path)
    found: dict[str, _Day] = {}
    for tenant, account in _accounts(home.raw):
        sizes = day_sizes(home.raw, MARKET, tenant=tenant, account=account)
        for day, size in sizes.items():
            name = f"{tenant}/{account}/{day}"
            before = known.get(name)
            is_latest = day == max(sizes)
            if before is None or before.size != size:
                before = _read_day(home.raw, (tenant, account), day, size, before)
            found[name] = before if is_latest else _Day(before.size, before.told)
    if found != known:
        replace_atomically(path, msgspec.json.encode(found, order="sorted"))
    total: Counter[date] = Counter()
    for one in found.values():
        total.update({date.fromisoformat(day): count for day, count in one.told.items()})
    return dict(total)


def first_day(home: Home) -> date | None:
    """Return the first day the journals are about, as far as they were read: it is noted, and only ever moves earlier.

    None while they hold nothing.
    """
    days = sorted(path.name.removeprefix("date=") for path in home.raw.glob("tenant=*/account=*/stream=*/date=*"))
    told = (day for one in _known(home.cursors / "history_days.json").values() for day in one.told)
    noted = home.cursors / "first_day"
    before = _date(noted)
    found = [date.fromisoformat(day) for day in (*days[:1], *told)] + ([before] if before else [])
    if not found:
        return None
    first = min(found)
    if first != before:
        with suppress(OSError):  # what cannot be noted is found again
            noted.parent.mkdir(parents=True, exist_ok=True)
            replace_atomically(noted, first.isoformat().encode())
    return first


def _date(path: Path) -> date | None:
    try:
        return date.fromisoformat(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return None


def _known(path: Path) -> dict[str, _Day]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, _Day])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _accounts(raw: Path) -> Iterator[tuple[str, str]]:
    for folder in sorted(raw.glob("tenant=*/account=*")):
        yield folder.parent.name.removeprefix("tenant="), folder.name.removeprefix("account=")


def _read_day(raw: Path, owner: tuple[str, str], day: date, size: int, before: _Day | None) -> _Day:
    """Read what has come since; a day of which retention removed segments from what is left of its bars."""
    tenant, account = owner
    if day in removed_days(raw, MARKET):
        try:
            return _Day(size, dict(_told(bar_lines(raw, tenant, account, day))))
        except JournalError:
            return before or _Day(size)
    segments = before.segments if before is not None else {}
    read: dict[str, _Read] = {}
    for segment in journal_disk.segments(raw, tenant=tenant, account=account, stream=MARKET, dates=[day]):
        known = segments.get(segment.name, _Read(0))
        with suppress(JournalError):  # a damaged segment is the ingestion's to tell
            data = journal_disk.read(raw, segment, known.size)
            # What stands after the last seal is nobody's yet.
            seal = max(data.rfind(b"\n" + SEAL_MARK), 0)
            told = Counter(known.told)
            told.update(_told(_bar_lines(data[:seal])))
            read[segment.name] = _Read(known.size + seal, dict(told))
    total: Counter[str] = Counter()
    for one in read.values():
        total.update(one.told)
    return _Day(size, dict(total), read)


def _bar_lines(data: bytes) -> Iterator[bytes]:
    """Find the lines of bars without looking at the quotes between them."""
    found = data.find(b"\n" + _TAG)
    while found >= 0:
        end = data.find(b"\n", found + 1)
        yield data[found + 1 : end if end >= 0 else len(data)]
        found = data.find(b"\n" + _TAG, end) if end >= 0 else -1


def _told(lines: Iterator[bytes] | list[bytes]) -> Counter[str]:
    told: Counter[str] = Counter()
    for line in lines:
        if b'"source":"history"' in line:
            with suppress(msgspec.DecodeError):
                bar = msgspec.json.decode(line, type=_Bar)
                told[bar.open_at.date().isoformat()] += 1
    return told
