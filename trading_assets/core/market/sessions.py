"""When the FX market is open, and which of its sessions are running.

The week runs from Sunday 17:00 to Friday 17:00 New York time. In New York + 7 h, the clock rule `us`, that is
Monday 00:00 to Saturday 00:00, summer and winter. Holidays are not known here. The broker's own clock is `clock`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt

from trading_assets.core.market.clock import HOUR_MS, ClockRule, Milliseconds
from trading_assets.core.market.timeframes import to_ms

Session = Literal["asia", "london", "newyork"]

_DAY_MS = 24 * HOUR_MS
_WEEK_MS = 7 * _DAY_MS
# 1970-01-05, the first Monday.
_MONDAY_MS = 4 * _DAY_MS
_US, _EU, _UTC = ClockRule.parse("us"), ClockRule.parse("eu"), ClockRule.parse("utc")

# Rule of the clock, how far the session's city is behind it, local hours of opening and closing.
_SESSIONS: dict[Session, tuple[ClockRule, int, int, int]] = {
    "asia": (_UTC, -9, 9, 18),  # Tokyo, no daylight saving
    "london": (_EU, 2, 8, 17),
    "newyork": (_US, 7, 8, 17),
}

WEEKEND_TOLERANCE = timedelta(minutes=75)
"""Market time that may be missing around a weekend: brokers close minutes early and some open up to an hour late."""


def is_market_open(at: datetime) -> bool:
    """Say whether the FX market trades at `at`."""
    return (_US.to_server(at) - _MONDAY_MS) % _WEEK_MS < 5 * _DAY_MS


def are_open(at_ms: Milliseconds) -> npt.NDArray[np.bool_]:
    """Say for each epoch millisecond whether the FX market trades."""
    return np.asarray((_US.to_server_ms(at_ms) - _MONDAY_MS) % _WEEK_MS < 5 * _DAY_MS)


def open_ms_between(from_ms: Milliseconds, to_ms: Milliseconds) -> Milliseconds:
    """Return how much market time lies between the instants of each pair, in milliseconds.

    The clocks change while the market is closed, so that market time in New York + 7 h is market time in UTC.
    """
    return _open_ms_until(to_ms) - _open_ms_until(from_ms)


def _open_ms_until(at_ms: Milliseconds) -> Milliseconds:
    weeks, within = np.divmod(_US.to_server_ms(at_ms) - _MONDAY_MS, _WEEK_MS)
    return np.asarray(weeks * 5 * _DAY_MS + np.minimum(within, 5 * _DAY_MS), dtype=np.int64)


def open_time_between(from_at: datetime, to_at: datetime) -> timedelta:
    """Return how much market time lies between two instants."""
    ends = np.array([[to_ms(from_at)], [to_ms(to_at)]], dtype=np.int64)
    return timedelta(milliseconds=int(open_ms_between(ends[0], ends[1])[0]))


def is_weekend_gap(from_at: datetime, to_at: datetime) -> bool:
    """Say whether a gap between the end of a bar and the start of the next is a weekend and nothing more."""
    open_time = open_time_between(from_at, to_at)
    return to_at - from_at - open_time >= timedelta(days=1) and open_time <= WEEKEND_TOLERANCE


def running(at_ms: Milliseconds) -> dict[Session, npt.NDArray[np.bool_]]:
    """Say for each epoch millisecond which sessions run, by their own local hours, while the market is open."""
    is_open = are_open(at_ms)
    flags: dict[Session, npt.NDArray[np.bool_]] = {}
    for name, (rule, behind, opens, closes) in _SESSIONS.items():
        local = (rule.to_server_ms(at_ms) - behind * HOUR_MS) % _DAY_MS
        flags[name] = is_open & (local >= opens * HOUR_MS) & (local < closes * HOUR_MS)
    return flags


def running_at(at: datetime) -> tuple[Session, ...]:
    """Return the names of the sessions that run at `at`."""
    return tuple(name for name, flags in running(np.array([to_ms(at)], dtype=np.int64)).items() if flags[0])
