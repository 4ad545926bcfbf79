"""A bar that is still forming is in nobody's sight; one whose end the journal has passed is, also over a holiday."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from trading_assets.core.records.market import Quote
from trading_assets.defs.market import _is_complete
from trading_assets.store.home import Home
from trading_assets.store.ingestion import mark_reached, marked_reached, reached
from trading_assets.store.journal import Journal

FRIDAY = datetime(2023, 12, 22, 21, 59, 47, tzinfo=UTC)
TUESDAY = datetime(2023, 12, 26, 8, 5, tzinfo=UTC)
OWNER = ("t", "a")


def quote(at: datetime) -> Quote:
    return Quote(
        tenant="t", account="a", event_at=at, known_at=at, chain_id="c", symbol="EURUSD", bid=1.1, ask=1.2,
        server_msc=0, clock_rule="utc",
    )  # fmt: skip


def closes(*ends: datetime) -> pl.DataFrame:
    return pl.DataFrame({"tenant": "t", "account": "a", "close_at": list(ends)})


async def test_the_journal_says_how_far_each_account_has_come(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with Journal.open(home.raw) as journal:
        await journal.append([quote(FRIDAY)])
        assert reached(home) == {OWNER: FRIDAY}
        await journal.append([quote(TUESDAY)])
    assert marked_reached(home) == {}
    mark_reached(home, reached(home))
    assert marked_reached(home) == {OWNER: TUESDAY}


def test_a_bar_that_ends_after_the_last_record_is_left_out() -> None:
    ends = closes(FRIDAY - timedelta(minutes=5), FRIDAY + timedelta(seconds=13))
    assert ends.filter(_is_complete({OWNER: FRIDAY}))["close_at"].to_list() == [FRIDAY - timedelta(minutes=5)]


def test_the_last_bars_before_a_holiday_are_complete_once_the_journal_goes_on() -> None:
    ends = closes(FRIDAY + timedelta(seconds=13))
    assert ends.filter(_is_complete({OWNER: TUESDAY})).height == 1
    assert ends.filter(_is_complete({("t", "other"): FRIDAY})).height == 1
