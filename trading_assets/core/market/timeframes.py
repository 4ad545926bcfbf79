"""Lengths of bars and the grid they stand on: every bar starts at a multiple of its length since 1970 UTC.

So H4 bars open at 00, 04, ... UTC and D1 bars at 00:00 UTC, whatever the broker's server time is. Turning
server time into UTC lives in `clock`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from trading_assets.core.errors import InputError

MINUTES: dict[str, int] = {"M1": 1, "M5": 5, "M15": 15, "M30": 30, "H1": 60, "H4": 240, "D1": 1440}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MILLISECOND = timedelta(milliseconds=1)


def minutes(timeframe: str) -> int:
    """Return the length in minutes. Raises InputError for a name that is not a timeframe."""
    try:
        return MINUTES[timeframe]
    except KeyError:
        raise InputError(
            "reading a timeframe", repr(timeframe), "it is not one", f"use one of {', '.join(MINUTES)}"
        ) from None


def duration(timeframe: str) -> timedelta:
    """Return the length of a bar."""
    return timedelta(minutes=minutes(timeframe))


def duration_ms(timeframe: str) -> int:
    """Return the length of a bar in milliseconds."""
    return minutes(timeframe) * 60_000


def floor(at: datetime, timeframe: str) -> datetime:
    """Return the open of the bar that holds the instant `at` (aware)."""
    return at.astimezone(UTC) - (at - EPOCH) % duration(timeframe)


def floor_ms(at_ms: int, timeframe: str) -> int:
    """Return the open of the bar that holds `at_ms`, in milliseconds since 1970 UTC."""
    return at_ms - at_ms % duration_ms(timeframe)


def to_ms(at: datetime) -> int:
    """Return the instant as whole milliseconds since 1970 UTC, rounded down."""
    return (at - EPOCH) // _MILLISECOND


def from_ms(at_ms: int) -> datetime:
    """Return the instant of whole milliseconds since 1970 UTC."""
    return EPOCH + timedelta(milliseconds=at_ms)


def named(length_ms: int) -> str | None:
    """Return the timeframe of a length in milliseconds, or None when there is none."""
    return next((name for name, length in MINUTES.items() if length * 60_000 == length_ms), None)
