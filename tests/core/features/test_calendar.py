"""Time features against the time zone database, which core itself does not read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.features import calendar
from trading_assets.core.features.window import milliseconds

moments = st.datetimes(datetime(2007, 3, 20), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def at(*instants: datetime) -> np.ndarray:
    return np.array(sorted(milliseconds(one) for one in instants), dtype=np.int64)


@settings(max_examples=300, deadline=None)
@given(moments)
def test_sessions_keep_their_local_hours(moment: datetime) -> None:
    for in_session, zone, first, last in (
        (calendar.in_london, "Europe/London", 8, 17),
        (calendar.in_new_york, "America/New_York", 8, 17),
        (calendar.in_tokyo, "Asia/Tokyo", 9, 18),
    ):
        local = moment.astimezone(ZoneInfo(zone))
        # On the Sunday of a switch the rule goes by the day: the market is closed then.
        switches = local.utcoffset() != (local + timedelta(hours=24)).utcoffset() or moment.weekday() == 6
        if not switches:
            assert bool(in_session(at(moment))[0]) == (first <= local.hour < last)


def test_summer_starts_and_ends_on_the_stated_sundays() -> None:
    def day(*parts: int) -> int:
        return (datetime(*parts, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days  # type: ignore[arg-type,misc]

    assert [calendar.is_eu_summer(day(2024, 3, one)) for one in (30, 31)] == [False, True]
    assert [calendar.is_eu_summer(day(2024, 10, one)) for one in (26, 27)] == [True, False]
    assert [calendar.is_us_summer(day(2024, 3, one)) for one in (9, 10)] == [False, True]
    assert [calendar.is_us_summer(day(2024, 11, one)) for one in (2, 3)] == [True, False]


def test_hours_to_the_week_close_count_down_to_friday_evening() -> None:
    friday = datetime(2024, 5, 17, 21, 0, tzinfo=UTC)
    hours = calendar.hours_to_week_close(at(friday - timedelta(hours=30), friday - timedelta(minutes=5), friday))
    assert hours.tolist() == [30.0, 5.0 / 60.0, 0.0]


def test_the_circles_close() -> None:
    midnight = datetime(2024, 5, 20, tzinfo=UTC)  # a Monday
    assert calendar.minute_of_week(at(midnight)).tolist() == [0]
    sine, cosine = calendar.day_circle(at(midnight, midnight + timedelta(hours=6), midnight + timedelta(hours=12)))
    np.testing.assert_allclose(sine, [0.0, 1.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(cosine, [1.0, 0.0, -1.0], atol=1e-12)
    week_sine, _ = calendar.week_circle(at(midnight, midnight + timedelta(hours=42)))
    np.testing.assert_allclose(week_sine, [0.0, 1.0], atol=1e-12)
