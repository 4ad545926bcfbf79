from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.errors import InputError
from trading_assets.core.market.clock import HOUR_MS, ClockRule
from trading_assets.core.market.timeframes import to_ms

RULES = [ClockRule.parse(text) for text in ("utc", "-5", "+3", "+5:30", "eu", "us")]
INSTANTS = st.datetimes(datetime(1971, 1, 1), datetime(2099, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001


def wall(*parts: int) -> int:
    """Server wall time, written as if it were an epoch."""
    return to_ms(datetime(*parts, tzinfo=UTC))  # type: ignore[misc, arg-type]


@given(st.sampled_from(RULES), INSTANTS)
def test_server_time_leads_back_to_the_instant_but_for_the_hour_that_occurs_twice(
    rule: ClockRule, at: datetime
) -> None:
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    back = rule.to_utc(rule.to_server(at))
    repeats = rule.to_server(at) == rule.to_server(at - timedelta(hours=1))
    assert back == (at - timedelta(hours=1) if repeats else at)


@given(st.sampled_from(RULES), st.lists(INSTANTS, max_size=30))
def test_arrays_give_what_single_times_give(rule: ClockRule, instants: list[datetime]) -> None:
    at_ms = np.array([to_ms(at) for at in instants], dtype=np.int64)
    server = rule.to_server_ms(at_ms)
    assert server.tolist() == [rule.to_server(at) for at in instants]
    assert rule.to_utc_ms(server).tolist() == [to_ms(rule.to_utc(int(time))) for time in server]
    assert server.dtype == np.int64


@given(st.datetimes(datetime(2007, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_the_us_rule_is_new_york_plus_seven_hours(at: datetime) -> None:
    new_york = at.astimezone(ZoneInfo("America/New_York")).replace(tzinfo=UTC)
    assert ClockRule.parse("us").to_server(at) == to_ms(new_york + timedelta(hours=7))


@given(st.datetimes(datetime(1996, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_the_eu_rule_is_the_wall_time_of_athens(at: datetime) -> None:
    athens = at.astimezone(ZoneInfo("Europe/Athens")).replace(tzinfo=UTC)
    assert ClockRule.parse("eu").to_server(at) == to_ms(athens)


@given(st.datetimes(datetime(1987, 1, 1), datetime(2006, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_the_us_rule_knows_the_dates_before_2007(at: datetime) -> None:
    new_york = at.astimezone(ZoneInfo("America/New_York")).replace(tzinfo=UTC)
    assert ClockRule.parse("us").to_server(at) == to_ms(new_york + timedelta(hours=7))


def test_the_rules_differ_by_an_hour_between_the_american_and_the_european_dates() -> None:
    at = datetime(2024, 3, 20, 12, tzinfo=UTC)
    assert ClockRule.parse("us").to_server(at) - ClockRule.parse("eu").to_server(at) == HOUR_MS


def test_the_hour_that_occurs_twice_is_read_as_its_first_occurrence() -> None:
    eu = ClockRule.parse("eu")
    assert eu.to_utc(wall(2024, 10, 27, 3, 30)) == datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    assert eu.to_utc(wall(2024, 10, 27, 4)) == datetime(2024, 10, 27, 2, tzinfo=UTC)


def test_the_hour_that_never_occurs_is_read_with_the_winter_offset() -> None:
    eu = ClockRule.parse("eu")
    assert eu.to_utc(wall(2024, 3, 31, 2, 59)) == datetime(2024, 3, 31, 0, 59, tzinfo=UTC)
    assert eu.to_utc(wall(2024, 3, 31, 3, 30)) == datetime(2024, 3, 31, 1, 30, tzinfo=UTC)
    assert eu.to_utc(wall(2024, 3, 31, 4)) == datetime(2024, 3, 31, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("UTC", "utc"),
        (" eu ", "eu"),
        ("+0", "utc"),
        ("-05", "-5"),
        ("+3:00", "+3"),
        ("+5:30", "+5:30"),
        ("-3:30", "-3:30"),
    ],
)
def test_a_rule_has_one_name_however_it_is_written(text: str, name: str) -> None:
    rule = ClockRule.parse(text)
    assert rule.name == name
    assert rule == ClockRule.parse(name)


@pytest.mark.parametrize("text", ["", "gmt", "5", "+15", "-14:30", "eu+1", "Europe/Athens", "+3:75"])
def test_an_unknown_rule_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(InputError, match="it is not one; use utc, a fixed offset such as -5"):
        ClockRule.parse(text)


@pytest.mark.parametrize("server_msc", [-1, wall(2100, 1, 1), 10**18])
def test_a_time_outside_the_tables_is_refused(server_msc: int) -> None:
    for rule in RULES:
        with pytest.raises(InputError, match="outside 1970 to 2099"):
            rule.to_utc(server_msc)
        with pytest.raises(InputError, match="outside 1970 to 2099"):
            rule.to_utc_ms(np.array([0, server_msc], dtype=np.int64))


@given(
    st.sampled_from([rule for rule in RULES if rule.name in ("eu", "us")]),
    st.integers(2008, 2090),
    st.lists(st.integers(0, 6 * 3_600_000), min_size=2, max_size=30),
)
def test_in_autumn_only_the_second_hour_of_two_is_read_as_a_step_back(
    rule: ClockRule, year: int, steps: list[int]
) -> None:
    """A server that runs on through its repeated hour: times go back only there, by less than an hour, and never ahead."""
    month, last = (10, 31) if rule.name == "eu" else (11, 7)
    day = next(d for d in range(last, last - 7, -1) if datetime(year, month, d, tzinfo=UTC).weekday() == 6)
    start = datetime(year, month, day, tzinfo=UTC) - timedelta(hours=2)
    instants = sorted(start + timedelta(milliseconds=step * 2) for step in steps)
    read = [rule.to_utc(rule.to_server(at)) for at in instants]
    assert all(timedelta(0) <= at - seen <= timedelta(hours=1) for at, seen in zip(instants, read, strict=True))
    for at, seen in zip(instants, read, strict=True):
        assert seen == at or rule.to_server(at) == rule.to_server(at - timedelta(hours=1))
