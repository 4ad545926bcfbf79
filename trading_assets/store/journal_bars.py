"""The bars of a day, taken out of its market stream: what a restart needs of many days without reading their quotes.

An extract, `bars.extract` in the folder of an account's day, holds the journal's own bar lines under a line that says of
how many bytes of journal they are and what their sha256 is. One that does not fit the day is made again; it is
derived, losing it costs time. Only for a day whose segments retention removed it is what is left of its bars.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from hashlib import sha256
from pathlib import Path

import msgspec

from trading_assets.store.files import replace_atomically
from trading_assets.store.journal_reader import read_groups
from trading_assets.store.journal_sizes import day_sizes

_TAG = b'{"type":"bar"'
_FILE = "bars.extract"


class _Head(msgspec.Struct, frozen=True):
    size: int
    sha256: str


def bar_lines(raw: Path, tenant: str, account: str, day: date, *, is_kept: bool = False) -> list[bytes]:
    """Return the journal's bar lines of a day in their order; from the extract when there is one that fits.

    With `is_kept` an extract is left for the next time: for days that are over. A disk that refuses it changes nothing.
    """
    path = _path(raw, tenant, account, day)
    size = day_sizes(raw, "market", tenant=tenant, account=account, days=[day]).get(day, 0)
    lines = _extracted(path, size)
    if lines is None:
        lines = _read(raw, tenant, account, day)
        if is_kept:
            with suppress(OSError):
                _write(path, size, lines)
    return lines


def bar_days(raw: Path, tenant: str, account: str) -> list[date]:
    """Return the days that have an extract, in order."""
    found = raw.glob(f"tenant={tenant}/account={account}/stream=market/date=*/{_FILE}")
    return sorted(date.fromisoformat(path.parent.name.removeprefix("date=")) for path in found)


def keep_bars(raw: Path, tenant: str, account: str, day: date) -> None:
    """Make sure a day has an extract that fits. Raises OSError when the disk refuses it."""
    path = _path(raw, tenant, account, day)
    size = day_sizes(raw, "market", tenant=tenant, account=account, days=[day]).get(day, 0)
    if _extracted(path, size) is None:
        _write(path, size, _read(raw, tenant, account, day))


def _read(raw: Path, tenant: str, account: str, day: date) -> list[bytes]:
    groups = read_groups(raw, stream="market", tenant=tenant, account=account, dates=[day])
    return [line for group in groups for line in group.lines if line.startswith(_TAG)]


def _extracted(path: Path, size: int) -> list[bytes] | None:
    """Return the lines of an extract; None for one that is of another size of the day, or spoilt."""
    try:
        first, _, rest = path.read_bytes().partition(b"\n")
        head = msgspec.json.decode(first, type=_Head)
    except (OSError, ValueError):
        return None
    if head != _Head(size, sha256(rest).hexdigest()):
        return None
    return rest.splitlines()


def _write(path: Path, size: int, lines: list[bytes]) -> None:
    rest = b"".join(line + b"\n" for line in lines)
    replace_atomically(path, msgspec.json.encode(_Head(size, sha256(rest).hexdigest())) + b"\n" + rest)


def _path(raw: Path, tenant: str, account: str, day: date) -> Path:
    return raw / f"tenant={tenant}" / f"account={account}" / "stream=market" / f"date={day}" / _FILE
