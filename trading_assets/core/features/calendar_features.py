"""Features of the clock: time of day and week and the trading sessions, at the close of the base bar.

They belong to no timeframe. How an instant is placed in day, week and session is `calendar`'s.
"""

from __future__ import annotations

import numpy as np

from trading_assets.core.features import calendar
from trading_assets.core.features.formulas import Formulas
from trading_assets.core.features.ladder import Ladder
from trading_assets.core.features.window import Floats

CALENDAR_FEATURES: Formulas[Ladder] = Formulas()
feature = CALENDAR_FEATURES


@feature("calendar", "sine")
def day_sine(ladder: Ladder) -> Floats:
    """Sine of the time of day, UTC."""
    return calendar.day_circle(ladder.at_ms)[0]


@feature("calendar", "cosine")
def day_cosine(ladder: Ladder) -> Floats:
    """Cosine of the time of day, UTC."""
    return calendar.day_circle(ladder.at_ms)[1]


@feature("calendar", "sine")
def week_sine(ladder: Ladder) -> Floats:
    """Sine of the time of the week, from Monday midnight UTC."""
    return calendar.week_circle(ladder.at_ms)[0]


@feature("calendar", "cosine")
def week_cosine(ladder: Ladder) -> Floats:
    """Cosine of the time of the week, from Monday midnight UTC."""
    return calendar.week_circle(ladder.at_ms)[1]


@feature("calendar", "flag")
def in_tokyo(ladder: Ladder) -> Floats:
    """1 from 9:00 to 18:00 in Tokyo."""
    return calendar.in_tokyo(ladder.at_ms).astype(np.float64)


@feature("calendar", "flag")
def in_london(ladder: Ladder) -> Floats:
    """1 from 8:00 to 17:00 in London."""
    return calendar.in_london(ladder.at_ms).astype(np.float64)


@feature("calendar", "flag")
def in_new_york(ladder: Ladder) -> Floats:
    """1 from 8:00 to 17:00 in New York."""
    return calendar.in_new_york(ladder.at_ms).astype(np.float64)


@feature("calendar", "hours")
def week_remaining(ladder: Ladder) -> Floats:
    """Hours until the market closes for the weekend (Friday 21:00 UTC)."""
    return calendar.hours_to_week_close(ladder.at_ms)
