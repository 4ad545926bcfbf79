"""How far the weekend is: the market closes on Friday evening and opens 48 hours later; some symbols close earlier."""

from __future__ import annotations

from datetime import datetime, timedelta

from trading_assets.core.decisions.strategy import FilterLimits
from trading_assets.core.market.clock import ClockRule

_WEEK_MINUTES = 7 * 24 * 60
_CLOSED_MINUTES = 48 * 60
_MINUTE = timedelta(minutes=1)
_MINUTE_MS = 60_000
# 1970-01-05, the first Monday.
_MONDAY_MS = 4 * 24 * 60 * _MINUTE_MS


def minutes_to_weekend(limits: FilterLimits, at: datetime, ends_at: datetime | None = None) -> int:
    """Return the whole minutes from `at` to Friday's close; 0 in the 48 hours after it.

    `ends_at` is when the symbol's own last session of the week ends, where the terminal tells it; the earlier one counts.
    """
    since_monday = at.weekday() * 1440 + at.hour * 60 + at.minute
    close = 4 * 1440 + limits.weekend_close_minute
    left = (close - since_monday) % _WEEK_MINUTES
    if left == 0 or left > _WEEK_MINUTES - _CLOSED_MINUTES:
        return 0
    return left if ends_at is None else max(min(left, (ends_at - at) // _MINUTE), 0)


def week_end(rule: ClockRule, end_minute: int, at: datetime) -> datetime:
    """Return when trading ends in the server's week of `at`; `end_minute` counts from its Monday 00:00.

    The offset is that of the end itself, not of `at`: in a week whose clocks change these differ.
    """
    server_ms = rule.to_server(at)
    monday_ms = server_ms - (server_ms - _MONDAY_MS) % (_WEEK_MINUTES * _MINUTE_MS)
    return rule.to_utc(monday_ms + end_minute * _MINUTE_MS)
