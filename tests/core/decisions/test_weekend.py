"""No position is held over a weekend: in weeks of daylight saving changes, on every clock, for symbols that close early."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from trading_assets.core.decisions.actions import due
from trading_assets.core.decisions.decide import decide
from trading_assets.core.decisions.strategy import INTRADAY, SCALP
from trading_assets.core.decisions.weekend import minutes_to_weekend, week_end
from trading_assets.core.market.clock import ClockRule
from trading_assets.core.release import RULES_ONLY

NEW_YORK = ZoneInfo("America/New_York")
FRIDAYS = [date(2023, 1, 6) + timedelta(weeks=index) for index in range(4 * 52)]


def close_of(day: date) -> datetime:
    """When the FX market closes: 17:00 in New York, summer and winter."""
    return datetime(day.year, day.month, day.day, 17, tzinfo=NEW_YORK).astimezone(UTC)


@pytest.mark.parametrize("strategy", [INTRADAY, SCALP], ids=lambda one: one.name)
def test_every_friday_of_four_years_positions_are_due_before_the_market_closes(market: Any, strategy: Any) -> None:
    step = timedelta(minutes=5)
    for friday in FRIDAYS:
        close = close_of(friday)
        bars = [close - index * step for index in range(1, 60)]
        exits = [at for at in bars if due(strategy, market.position(), at) == "weekend"]
        assert exits, friday
        # There are several bars to try, and the last entry was long before the first exit.
        assert close - min(exits) >= timedelta(minutes=20)
        entries = [
            at for at in bars if minutes_to_weekend(strategy.filters, at) > strategy.filters.weekend_entry_minutes
        ]
        assert min(exits) - max(entries) >= 6 * step


@pytest.mark.parametrize("rule", ["us", "eu", "utc", "+2", "-5"])
def test_a_symbol_that_closes_earlier_is_left_earlier_on_every_clock_and_in_every_week(rule: str) -> None:
    clock = ClockRule.parse(rule)
    for friday in FRIDAYS:
        closes = datetime(friday.year, friday.month, friday.day, 16, 30, tzinfo=UTC)
        server = clock.to_server(closes)
        minute = (server - 4 * 86_400_000) % (7 * 86_400_000) // 60_000
        for hours in (90, 24, 1):
            at = closes - timedelta(hours=hours)
            assert week_end(clock, minute, at) == closes, (rule, friday, hours)
        near = closes - timedelta(minutes=15)
        assert minutes_to_weekend(INTRADAY.filters, near, week_end(clock, minute, near)) == 15
        after = closes + timedelta(hours=2)
        assert minutes_to_weekend(INTRADAY.filters, after, week_end(clock, minute, after)) == 0


def test_a_symbol_that_closes_later_than_the_market_is_left_with_the_market() -> None:
    friday = datetime(2024, 3, 8, 20, 40, tzinfo=UTC)
    assert minutes_to_weekend(INTRADAY.filters, friday, friday + timedelta(hours=5)) == 20


def test_a_position_on_a_symbol_that_closes_early_is_closed_and_says_why(market: Any) -> None:
    ends_at = market.close_at + timedelta(minutes=20)
    context = market.context(position=market.position(), week_ends_at=ends_at)
    decision = decide(INTRADAY, context, market.rising(), RULES_ONLY)
    assert (decision.action, decision.reasons[0]) == ("CLOSE", "the LONG is closed before the weekend")
    later = market.context(position=market.position(), week_ends_at=ends_at + timedelta(minutes=5))
    assert decide(INTRADAY, later, market.rising(), RULES_ONLY).action == "HOLD"


def test_entries_end_before_positions_have_to(market: Any) -> None:
    context = market.context(week_ends_at=market.close_at + timedelta(minutes=115))
    decision = decide(INTRADAY, context, market.rising(), RULES_ONLY)
    assert decision.suggestion == "WAIT"
    assert any("last 120 minutes of the week" in reason for reason in decision.reasons)
