"""How far the weekend is: the market closes on Friday evening and opens 48 hours later."""

from __future__ import annotations

from datetime import datetime

from trading_assets.core.decisions.strategy import FilterLimits

_WEEK_MINUTES = 7 * 24 * 60
_CLOSED_MINUTES = 48 * 60


def minutes_to_weekend(limits: FilterLimits, at: datetime) -> int:
    """Return the whole minutes from `at` to Friday's close; 0 in the 48 hours after it."""
    since_monday = at.weekday() * 1440 + at.hour * 60 + at.minute
    close = 4 * 1440 + limits.weekend_close_minute
    left = (close - since_monday) % _WEEK_MINUTES
    return 0 if left == 0 or left > _WEEK_MINUTES - _CLOSED_MINUTES else left
