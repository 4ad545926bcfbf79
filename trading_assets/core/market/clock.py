"""The broker's clock: which rule turns its server time into UTC, and whether a rule fits the data.

Server time is the server's wall time written as if it were an epoch, in milliseconds (`*_msc`). Rules: `utc`;
a fixed offset in hours such as `-5` or `+5:30`; `eu` and `us` for servers at UTC+2, and UTC+3 in summer, that
switch on European or American dates (`us` is New York + 7 h). Which hours a market is open lives in `sessions`.

Where a server's clock is set back, one hour occurs twice: server times in it are read as their first occurrence
(summer time). The hour skipped in spring is read with the winter offset. Both as PEP 495 does with fold=0; both
lie on a Sunday morning, when the FX market is closed.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import numpy as np
import numpy.typing as npt

from trading_assets.core.errors import InputError
from trading_assets.core.market.timeframes import EPOCH, to_ms

Milliseconds = npt.NDArray[np.int64]

HOUR_MS = 3_600_000
_WINTER_MS = 2 * HOUR_MS
_SUMMER_MS = 3 * HOUR_MS
# The tables of switching dates end here; so do the server times that are accepted.
_FIRST_YEAR, _LAST_YEAR = 1970, 2100
_END_MS = to_ms(datetime(_LAST_YEAR, 1, 1, tzinfo=UTC))
_OFFSET = re.compile(r"([+-])(\d{1,2})(?::([0-5]\d))?")
_MAX_OFFSET_MS = 14 * HOUR_MS


@dataclass(frozen=True, slots=True)
class ClockRule:
    """One rule. Make it with `ClockRule.parse`; two rules of the same name are equal."""

    name: str
    _winter_ms: int = field(repr=False)
    # UTC of every change, summer first: an odd count of changes passed means summer. Empty for fixed offsets.
    _changes: tuple[int, ...] = field(repr=False, compare=False, default=())
    _changes_server: tuple[int, ...] = field(repr=False, compare=False, default=())

    @staticmethod
    def parse(text: str) -> ClockRule:
        """Read `utc`, `-5`, `+3`, `+5:30`, `eu` or `us`. Raises InputError for anything else."""
        name = text.strip().lower()
        if name in _NAMED:
            return _NAMED[name]
        match = _OFFSET.fullmatch(name)
        offset = _offset_ms(match) if match else None
        if offset is None or abs(offset) > _MAX_OFFSET_MS:
            raise InputError(
                "reading the clock rule",
                repr(text),
                "it is not one",
                "use utc, a fixed offset such as -5 or +3, or eu or us for a server at UTC+2/+3 on European or American dates",
            )
        return ClockRule(_offset_name(offset), offset) if offset else _NAMED["utc"]

    def to_utc(self, server_msc: int) -> datetime:
        """Return the instant of a server time. Raises InputError outside 1970 to 2099."""
        if not 0 <= server_msc < _END_MS:
            raise _out_of_range(server_msc)
        if self._changes_server and bisect_right(self._changes_server, server_msc) & 1:
            return EPOCH + timedelta(0, 0, 0, server_msc - _SUMMER_MS)
        return EPOCH + timedelta(0, 0, 0, server_msc - self._winter_ms)

    def to_server(self, at: datetime) -> int:
        """Return the server time of an instant, in milliseconds."""
        at_ms = to_ms(at)
        if self._changes and bisect_right(self._changes, at_ms) & 1:
            return at_ms + _SUMMER_MS
        return at_ms + self._winter_ms

    def to_utc_ms(self, server_msc: Milliseconds) -> Milliseconds:
        """Return the epoch milliseconds of server times. Raises InputError outside 1970 to 2099."""
        if server_msc.size and not (int(server_msc.min()) >= 0 and int(server_msc.max()) < _END_MS):
            outside = server_msc[(server_msc < 0) | (server_msc >= _END_MS)]
            raise _out_of_range(int(outside[0]))
        return server_msc - self._offsets(server_msc, self._changes_server)

    def to_server_ms(self, at_ms: Milliseconds) -> Milliseconds:
        """Return the server times of epoch milliseconds."""
        return at_ms + self._offsets(at_ms, self._changes)

    def _offsets(self, times: Milliseconds, changes: tuple[int, ...]) -> Milliseconds:
        if not changes:
            return np.full(times.shape, self._winter_ms, dtype=np.int64)
        passed = np.searchsorted(np.array(changes, dtype=np.int64), times, side="right")
        return np.where(passed & 1, _SUMMER_MS, _WINTER_MS).astype(np.int64)


def _offset_ms(match: re.Match[str]) -> int:
    sign, hours, minutes = match.groups()
    size = int(hours) * HOUR_MS + int(minutes or 0) * 60_000
    return -size if sign == "-" else size


def _offset_name(offset_ms: int) -> str:
    hours, rest = divmod(abs(offset_ms), HOUR_MS)
    sign = "-" if offset_ms < 0 else "+"
    return f"{sign}{hours}:{rest // 60_000:02d}" if rest else f"{sign}{hours}"


def _out_of_range(server_msc: int) -> InputError:
    return InputError(
        "reading a server time", f"{server_msc} ms", "it lies outside 1970 to 2099", "correct the time's unit or source"
    )


def _sunday(year: int, month: int, which: int) -> date:
    """Return the n-th Sunday of a month, or the last one for -1."""
    if which == -1:
        end = date(year, month, 31)  # asked for March and October alone
        return end - timedelta(days=(end.weekday() + 1) % 7)
    first = date(year, month, 1)
    return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (which - 1))


def _at_hour(day: date, hour: int) -> int:
    return to_ms(datetime(day.year, day.month, day.day, hour, tzinfo=UTC))


def _european_changes() -> tuple[int, ...]:
    """01:00 UTC of the last Sundays of March and October (Directive 2000/84/EC, applied to all years)."""
    return tuple(_at_hour(_sunday(year, month, -1), 1) for year in range(_FIRST_YEAR, _LAST_YEAR) for month in (3, 10))


def _american_changes() -> tuple[int, ...]:
    """02:00 New York time of the second Sunday of March and the first of November (Energy Policy Act of 2005).

    Before 2007: first Sunday of April, last of October (applied to all earlier years).
    """
    changes = []
    for year in range(_FIRST_YEAR, _LAST_YEAR):
        spring, autumn = ((3, 2), (11, 1)) if year >= 2007 else ((4, 1), (10, -1))
        changes += [_at_hour(_sunday(year, *spring), 7), _at_hour(_sunday(year, *autumn), 6)]
    return tuple(changes)


def _switching(name: str, changes: tuple[int, ...]) -> ClockRule:
    # In server time both kinds of change end at UTC + 3 h: the skipped hour reads as winter, the doubled one as summer.
    return ClockRule(name, _WINTER_MS, changes, tuple(change + _SUMMER_MS for change in changes))


_NAMED: dict[str, ClockRule] = {
    "utc": ClockRule("utc", 0),
    "eu": _switching("eu", _european_changes()),
    "us": _switching("us", _american_changes()),
}
