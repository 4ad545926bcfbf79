"""Where an instant lies in the day, the week and the trading sessions, for arrays of epoch milliseconds.

London and New York keep their local hours through summer time (EU and US dates, by rule, since core reads no time zone
files); Tokyo has none. Sines come from a table filled once by the scalar library function, so that a value never
depends on its place in an array.
"""

from __future__ import annotations

import math
from datetime import date, timedelta
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from trading_assets.core.features.window import DAY_MS, Floats, Integers

MINUTE_MS = 60_000
DAY_MINUTES = 1_440
WEEK_MINUTES = 7 * DAY_MINUTES

# FX closes on Friday at 17:00 New York, 21:00 UTC in summer; the later winter close is a matter of an hour.
WEEK_CLOSE_MINUTE = 4 * DAY_MINUTES + 21 * 60

_EPOCH = date(1970, 1, 1)
_SINE = np.array([math.sin(2.0 * math.pi * minute / DAY_MINUTES) for minute in range(DAY_MINUTES)])
_COSINE = np.array([math.cos(2.0 * math.pi * minute / DAY_MINUTES) for minute in range(DAY_MINUTES)])
_WEEK_SINE = np.array([math.sin(2.0 * math.pi * minute / WEEK_MINUTES) for minute in range(WEEK_MINUTES)])
_WEEK_COSINE = np.array([math.cos(2.0 * math.pi * minute / WEEK_MINUTES) for minute in range(WEEK_MINUTES)])


def minute_of_day(at_ms: Integers) -> Integers:
    """Whole minutes since midnight UTC, 0 to 1439."""
    return at_ms % DAY_MS // MINUTE_MS


def minute_of_week(at_ms: Integers) -> Integers:
    """Whole minutes since Monday midnight UTC, 0 to 10079. The epoch was a Thursday."""
    return (at_ms // MINUTE_MS + 3 * DAY_MINUTES) % WEEK_MINUTES


def day_circle(at_ms: Integers) -> tuple[Floats, Floats]:
    """Sine and cosine of the time of day."""
    minute = minute_of_day(at_ms)
    return _SINE[minute], _COSINE[minute]


def week_circle(at_ms: Integers) -> tuple[Floats, Floats]:
    """Sine and cosine of the time of the week."""
    minute = minute_of_week(at_ms)
    return _WEEK_SINE[minute], _WEEK_COSINE[minute]


def hours_to_week_close(at_ms: Integers) -> Floats:
    """Hours until Friday 21:00 UTC, 0 to 168."""
    hours: Floats = (WEEK_CLOSE_MINUTE - minute_of_week(at_ms)) % WEEK_MINUTES / 60.0
    return hours


def in_tokyo(at_ms: Integers) -> npt.NDArray[np.bool_]:
    """Whether it is 9:00 to 18:00 in Tokyo."""
    return _is_between(minute_of_day(at_ms), 0, 9 * 60)


def in_london(at_ms: Integers) -> npt.NDArray[np.bool_]:
    """Whether it is 8:00 to 17:00 in London."""
    local = minute_of_day(at_ms) + 60 * _summer(at_ms, is_eu_summer)
    return _is_between(local, 8 * 60, 17 * 60)


def in_new_york(at_ms: Integers) -> npt.NDArray[np.bool_]:
    """Whether it is 8:00 to 17:00 in New York."""
    local = minute_of_day(at_ms) - 5 * 60 + 60 * _summer(at_ms, is_us_summer)
    return _is_between(local, 8 * 60, 17 * 60)


@lru_cache(maxsize=65_536)
def is_eu_summer(day: int) -> bool:
    """Whether day number `day` since the epoch lies from the last Sunday of March to before the last of October."""
    today = _EPOCH + timedelta(days=day)
    return _last_sunday(today.year, 3) <= today < _last_sunday(today.year, 10)


@lru_cache(maxsize=65_536)
def is_us_summer(day: int) -> bool:
    """Whether day number `day` since the epoch lies from the second Sunday of March to before the first of November."""
    today = _EPOCH + timedelta(days=day)
    return _sunday_from(date(today.year, 3, 8)) <= today < _sunday_from(date(today.year, 11, 1))


def _summer(at_ms: Integers, is_summer: object) -> Integers:
    """1 in summer time and 0 otherwise, day by day: FX is closed at the hour of the switch."""
    days = at_ms // DAY_MS
    if not len(days):
        return days
    assert callable(is_summer)
    first = int(days[0])
    table = np.array([is_summer(day) for day in range(first, int(days[-1]) + 1)], dtype=np.int64)
    return table[days - first]


def _is_between(minute: Integers, start: int, stop: int) -> npt.NDArray[np.bool_]:
    return (minute >= start) & (minute < stop)


def _last_sunday(year: int, month: int) -> date:
    """March and October both have 31 days."""
    return _sunday_from(date(year, month, 25))


def _sunday_from(day: date) -> date:
    return day + timedelta(days=(6 - day.weekday()) % 7)
