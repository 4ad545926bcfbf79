from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.errors import InputError
from trading_assets.core.market.clock import HOUR_MS, ClockRule, Milliseconds
from trading_assets.core.market.clock_fit import check_fit, find_weekends, fitting_rules, misfit
from trading_assets.core.market.sessions import are_open
from trading_assets.core.market.timeframes import duration_ms, to_ms


def market_year(
    timeframe: str = "M15", start: datetime = datetime(2023, 1, 2, tzinfo=UTC), days: int = 364
) -> Milliseconds:
    """Opens of all bars while the market is open, in UTC."""
    step = duration_ms(timeframe)
    opens = np.arange(to_ms(start), to_ms(start + timedelta(days=days)), step, dtype=np.int64)
    return opens[are_open(opens)]


@pytest.mark.parametrize("name", ["utc", "eu", "us"])
def test_of_the_named_rules_only_the_right_one_fits_a_year(name: str) -> None:
    server = ClockRule.parse(name).to_server_ms(market_year())
    assert fitting_rules(server) == [name]


@pytest.mark.parametrize("timeframe", ["M1", "M15", "H1"])
@pytest.mark.parametrize("hours", [-12, -5, -2, -1, 1, 2, 7, 12])
def test_a_clock_wrong_by_whole_hours_is_refused(hours: int, timeframe: str) -> None:
    opens = market_year(timeframe, days=30)
    assert not misfit(opens)
    assert misfit(opens + hours * HOUR_MS)


def test_a_wrong_rule_is_refused_with_the_one_that_fits() -> None:
    server = ClockRule.parse("eu").to_server_ms(market_year())
    us = ClockRule.parse("us")
    with pytest.raises(
        InputError,
        match=r"^reading year\.csv: the clock rule us does not fit its weekends: .*; pass the clock eu, which fits\.$",
    ):
        check_fit(us.to_utc_ms(server), us, "year.csv")


def test_a_server_that_opens_at_its_own_midnight_an_hour_late_fits_its_own_rule_alone() -> None:
    """Between the American and European dates New York opens an hour before such a server's Monday begins."""
    eu = ClockRule.parse("eu")
    server = eu.to_server_ms(market_year("M1", datetime(2024, 2, 1, tzinfo=UTC), 58))
    server = server[(server // (24 * HOUR_MS) + 3) % 7 < 5]
    assert find_weekends(eu.to_utc_ms(server)).open.max() == 60
    assert fitting_rules(server) == ["eu"]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 51), st.integers(-240, 600)), max_size=12, unique_by=lambda noise: noise[0]))
def test_noisy_opens_never_refuse_the_right_rule(noise: list[tuple[int, int]]) -> None:
    opens = market_year()
    starts = opens[1:][np.diff(opens) > 24 * HOUR_MS]
    keep = np.ones(opens.size, dtype=bool)
    early = []
    for week, minutes in noise:
        start = int(starts[week % starts.size])
        if minutes >= 0:
            keep &= (opens < start) | (opens >= start + minutes * 60_000)
        else:
            early.append(start + minutes * 60_000)
    noisy = np.sort(np.append(opens[keep], np.array(early, dtype=np.int64)))
    assert not misfit(noisy)


def test_a_market_that_always_opens_early_but_closes_on_time_is_a_habit_and_no_misfit() -> None:
    opens = market_year()
    starts = opens[1:][np.diff(opens) > 24 * HOUR_MS]
    assert not misfit(np.sort(np.append(opens, starts - 30 * 60_000)))


def test_holidays_that_close_early_change_nothing() -> None:
    opens = market_year()
    ends = opens[:-1][np.diff(opens) > 24 * HOUR_MS][[3, 11, 12, 25, 51 % 52 - 1]]
    early = np.ones(opens.size, dtype=bool)
    for end in ends:
        early &= (opens <= end - 5 * HOUR_MS) | (opens > end)
    assert not misfit(opens[early])


@given(st.integers(-14 * 60, 14 * 60))
def test_two_days_without_a_weekend_cannot_be_refused(minutes: int) -> None:
    opens = market_year("M5", datetime(2014, 5, 5, tzinfo=UTC), 2)
    assert not misfit(opens + minutes * 60_000)


def test_nothing_and_one_time_cannot_be_refused() -> None:
    assert not misfit(np.empty(0, dtype=np.int64))
    assert not misfit(np.array([to_ms(datetime(2024, 1, 6, 12, tzinfo=UTC))], dtype=np.int64))


def test_bars_longer_than_an_hour_are_not_judged() -> None:
    opens = market_year("H4")
    assert not misfit(opens + 5 * HOUR_MS)
