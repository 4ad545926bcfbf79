from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.market.sessions import (
    are_open,
    is_market_open,
    is_weekend_gap,
    open_time_between,
    running_at,
)
from trading_assets.core.market.timeframes import to_ms

INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2050, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        (utc(2024, 1, 5, 21, 59), True),  # winter: Friday 16:59 in New York
        (utc(2024, 1, 5, 22), False),
        (utc(2024, 1, 7, 21, 59), False),
        (utc(2024, 1, 7, 22), True),
        (utc(2024, 7, 5, 20, 59), True),  # summer
        (utc(2024, 7, 5, 21), False),
        (utc(2024, 7, 7, 21), True),
        (utc(2024, 3, 10, 20, 59), False),  # New York switched this Sunday, Europe has not
        (utc(2024, 3, 10, 21), True),
    ],
)
def test_the_week_runs_from_sunday_to_friday_five_in_new_york(at: datetime, is_open: bool) -> None:
    assert is_market_open(at) is is_open
    assert are_open(np.array([to_ms(at)], dtype=np.int64)).tolist() == [is_open]


@given(INSTANTS, INSTANTS, INSTANTS)
def test_market_time_adds_up(first: datetime, second: datetime, third: datetime) -> None:
    first, second, third = sorted((first, second, third))
    whole, parts = open_time_between(first, third), open_time_between(first, second) + open_time_between(second, third)
    assert whole == parts
    assert timedelta(0) <= whole <= third - first + timedelta(milliseconds=1)


def test_a_week_has_five_days_of_market_time_also_when_the_clocks_change() -> None:
    for monday in (utc(2024, 1, 8), utc(2024, 3, 4), utc(2024, 10, 28)):
        friday_close = open_time_between(monday - timedelta(days=7), monday + timedelta(days=7))
        assert abs(friday_close - timedelta(days=10)) <= timedelta(hours=1)
    assert open_time_between(utc(2024, 3, 8, 22), utc(2024, 3, 10, 21)) == timedelta(0)


def test_a_weekend_is_no_missing_bar_and_a_missing_day_is() -> None:
    assert is_weekend_gap(utc(2024, 1, 5, 21, 55), utc(2024, 1, 7, 22, 5))
    assert is_weekend_gap(utc(2024, 3, 15, 21), utc(2024, 3, 17, 22))  # a server that opens an hour late
    assert not is_weekend_gap(utc(2024, 1, 5, 12), utc(2024, 1, 7, 22))
    assert not is_weekend_gap(utc(2024, 1, 5, 21, 55), utc(2024, 1, 8, 6))
    assert not is_weekend_gap(utc(2024, 1, 3, 10), utc(2024, 1, 3, 11))


def test_sessions_run_by_their_own_local_hours() -> None:
    assert running_at(utc(2024, 1, 3, 3)) == ("asia",)
    assert running_at(utc(2024, 1, 3, 7, 30)) == ("asia",)
    assert running_at(utc(2024, 7, 3, 7, 30)) == ("asia", "london")  # London's summer time
    assert running_at(utc(2024, 1, 3, 14)) == ("london", "newyork")
    assert running_at(utc(2024, 1, 3, 22, 30)) == ()
    assert running_at(utc(2024, 1, 6, 14)) == ()  # Saturday
