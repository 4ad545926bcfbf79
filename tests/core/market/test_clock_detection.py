from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.market.clock import HOUR_MS, ClockRule, Milliseconds
from trading_assets.core.market.clock_detection import HISTORY, detect, explains, offset_text
from trading_assets.core.market.sessions import are_open
from trading_assets.core.market.timeframes import from_ms, to_ms
from trading_assets.store.market_files import read_market

DATA = Path(__file__).parents[4] / "shared" / "data" / "h1"
DAY_MS = 24 * HOUR_MS
SUMMER = datetime(2023, 4, 5, tzinfo=UTC)


def market(start: datetime = datetime(2022, 6, 1, tzinfo=UTC), days: int = HISTORY.days) -> Milliseconds:
    """Hours in which the market is open, UTC."""
    opens = np.arange(to_ms(start), to_ms(start + timedelta(days=days)), HOUR_MS, dtype=np.int64)
    return opens[are_open(opens)]


@pytest.mark.parametrize("name", ["utc", "eu", "us", "-5", "+2", "+3"])
def test_a_year_of_hours_tells_the_rule(name: str) -> None:
    found = detect(ClockRule.parse(name).to_server_ms(market()))
    assert found.rule == ClockRule.parse(name)


@pytest.mark.parametrize("name", ["eu", "us", "+3"])
def test_a_summer_alone_fits_several_rules_and_is_refused(name: str) -> None:
    found = detect(ClockRule.parse(name).to_server_ms(market(SUMMER, 120)))
    assert found.rule is None
    assert found.problem == "eu, us and +3 all fit the 17 weekends of its history"


def test_a_fixed_offset_seen_in_one_season_alone_is_not_believed() -> None:
    found = detect(ClockRule.parse("-5").to_server_ms(market(SUMMER, 120)))
    assert found.candidates == ("-5",)
    assert "none of them lies on the other side of a change to or from summer time" in found.problem


def test_the_server_s_offset_decides_between_what_history_leaves_open() -> None:
    """In the second half of March Europe has winter, America summer."""
    server = ClockRule.parse("us").to_server_ms(market(datetime(2023, 1, 2, tzinfo=UTC), 72))
    now = datetime(2023, 3, 15, 12, tzinfo=UTC)
    assert set(detect(server).candidates) == {"eu", "us", "+2"}
    assert detect(server, offset_ms=3 * HOUR_MS + 4000, now=now).rule == ClockRule.parse("us")


def test_an_offset_that_no_rule_explains_changes_nothing() -> None:
    server = ClockRule.parse("us").to_server_ms(market())
    assert detect(server, offset_ms=-37 * HOUR_MS, now=datetime(2023, 7, 4, tzinfo=UTC)).rule == ClockRule.parse("us")


@pytest.mark.parametrize("days", [0, 4])
def test_history_without_a_weekend_is_refused(days: int) -> None:
    found = detect(market(datetime(2023, 5, 1, tzinfo=UTC), days))
    assert found.problem == "its history holds no weekend by which a rule could be told"
    assert not found.contradicts("utc")


@settings(deadline=None, max_examples=15)
@given(st.sampled_from(["eu", "us"]), st.integers(0, 55), st.integers(-600, 600), st.booleans())
def test_one_odd_weekend_never_leads_to_another_rule(name: str, week: int, minutes: int, is_open: bool) -> None:
    opens = market()
    ends = np.nonzero(np.diff(opens) > DAY_MS)[0]
    at = int(ends[week % len(ends)])
    edge, sign = (int(opens[at + 1]), 1) if is_open else (int(opens[at]), -1)
    moved = edge + sign * minutes // 60 * HOUR_MS
    low, high = sorted((edge, moved))
    odd = opens[~((opens >= low) & (opens <= high))]
    found = detect(ClockRule.parse(name).to_server_ms(np.unique(np.append(odd, moved))))
    assert found.rule is None or found.rule.name == name
    assert name in found.candidates


@pytest.mark.parametrize(("name", "wrong"), [("eu", "us"), ("us", "eu"), ("eu", "utc"), ("us", "+3"), ("eu", "+5:30")])
def test_a_wrong_rule_is_contradicted_and_the_right_one_never(name: str, wrong: str) -> None:
    server = ClockRule.parse(name).to_server_ms(market())
    assert not detect(server, ClockRule.parse(name)).contradicts(name)
    why = detect(server, ClockRule.parse(wrong)).contradicts(wrong)
    assert why == f"the rule {wrong} does not fit the 57 weekends of the server's history, {name} would"


def test_holidays_are_no_contradiction() -> None:
    """Good Friday, Christmas and New Year: whole days without an hour, next to weekends and between them."""
    opens = market(datetime(2022, 11, 1, tzinfo=UTC), 200)
    days = [(2022, 12, 25), (2022, 12, 26), (2023, 1, 1), (2023, 1, 2), (2023, 4, 7), (2023, 5, 1), (2023, 3, 17)]
    for year, month, day in days:
        start = to_ms(datetime(year, month, day, tzinfo=UTC))
        opens = opens[(opens < start) | (opens >= start + DAY_MS)]
    for name in ("eu", "us"):
        found = detect(ClockRule.parse(name).to_server_ms(opens))
        assert not found.contradicts(name)
        assert found.rule is None or found.rule.name == name


@pytest.mark.parametrize(
    ("file", "rule"),
    [("oanda/EURUSD.zip", "utc"), ("mt5/EURJPYh1.csv.gz", "eu"), ("mt5/USDJPYh1.csv.gz", "eu")],
)
def test_real_years_give_the_true_rule_or_a_refusal_never_another_one(file: str, rule: str) -> None:
    """USDJPY of 2013 closed most weeks an hour early and by itself fits `us`: its closes are too noisy to be believed."""
    if not (DATA / file).exists():
        pytest.skip(f"there is no ../shared/data/h1/{file}")
    server = read_market(DATA / file).quotes["server_msc"].to_numpy()
    hours = np.unique(server // HOUR_MS * HOUR_MS)
    certain = 0
    for end in range(int(hours[0]) + 400 * DAY_MS, int(hours[-1]), 211 * DAY_MS):
        for days in (400, 70):
            found = detect(hours[(hours >= end - days * DAY_MS) & (hours < end)])
            assert found.rule is None or found.rule.name == rule, from_ms(end)
            certain += found.rule is not None
    assert certain >= 10


@pytest.mark.parametrize(
    ("hours", "text"), [(2.0, "UTC+2"), (-5.5, "UTC-5:30"), (0.1, "UTC+0"), (-0.5, "UTC-0:30"), (13.0, "UTC+13")]
)
def test_an_offset_is_written_as_people_do(hours: float, text: str) -> None:
    assert offset_text(int(hours * HOUR_MS)) == text


def test_a_server_a_few_minutes_off_still_follows_its_rule() -> None:
    at = datetime(2023, 7, 3, 12, tzinfo=UTC)
    assert explains(ClockRule.parse("eu"), 3 * HOUR_MS - 9 * 60_000, at)
    assert not explains(ClockRule.parse("eu"), 2 * HOUR_MS, at)
