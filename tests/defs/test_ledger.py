"""Written again, an old day moves every day behind it and none is left as it was; what is taken back is counted."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from table_rows import rows_of

from trading_assets.core.tables import TABLES
from trading_assets.core.trades.ledger import distinct_deals
from trading_assets.defs.ledger import CURVE_SOURCES, CURVES, first_to_write
from trading_assets.defs.rehearsal import Stage, maker_of
from trading_assets.store.home import Home
from trading_assets.store.seals import SealingLake, sealing_lake

DAYS = [date(2026, 1, 5) + timedelta(days=number) for number in range(4)]
PROFITS = (1000, 10, 20, 30)
"""A deposit, then a deal a day."""


@pytest.fixture
def lake(tmp_path: Path) -> SealingLake:
    """Four days of an account, with their curves."""
    home = Home(tmp_path)
    home.cursors.mkdir()
    lake = sealing_lake(home)
    for name in {*CURVE_SOURCES, *CURVES, "pnl_events"}:
        lake.create(TABLES[name])
    lake.append("raw_accounts", rows_of("raw_accounts", 1, date=[DAYS[0]], currency=["USD"]))
    for number, profit in enumerate(PROFITS):
        tell(lake, number, DAYS[number], profit, "BALANCE" if number == 0 else "BUY")
    make(lake, "equity_daily", DAYS)
    return lake


def tell(lake: SealingLake, ticket: int, day: date, profit: int, kind: str = "BUY") -> None:
    """File a deal of a day on that day."""
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    money = {"profit": [profit], "commission": [0], "swap": [0], "fee": [0]}
    none: dict[str, Any] = {"trade_id": [None], "signal_id": [None]}
    lake.append(
        "raw_deals",
        rows_of("raw_deals", 1, date=[day], event_at=[at], known_at=[at], deal_ticket=[str(ticket)], kind=[kind], **money, **none),
    )  # fmt: skip


def make(lake: SealingLake, table: str, days: list[date]) -> Any:
    """Make days of a table as a run does; return what it reports of it."""
    maker = maker_of(table)
    assert maker is not None
    run = SimpleNamespace(partition_keys=[day.isoformat() for day in days], log=logging.getLogger(__name__))
    told = maker.compute(run, storage=Stage(Home(Path(lake.root).parent), lake))
    return told if hasattr(told, "metadata") else next(iter(told))


def balances(lake: SealingLake) -> list[Decimal]:
    return lake.read("equity_daily").sort("date")["closing_balance"].cast(pl.Decimal(38, 0)).to_list()


def first(lake: SealingLake, asked: date) -> date:
    return first_to_write(lake, distinct_deals(lake.read("raw_deals")), asked)


def test_a_day_is_taken_up_from_the_day_before_where_nothing_has_moved(lake: SealingLake) -> None:
    assert balances(lake) == [1000, 1010, 1030, 1060]
    assert first(lake, DAYS[3]) == DAYS[3]
    lake.overwrite_dates("equity_daily", TABLES["equity_daily"].empty(), DAYS)
    assert first(lake, DAYS[3]) == DAYS[3], "there is nothing to take up"


def test_writing_begins_at_the_day_that_a_late_deal_has_moved(lake: SealingLake) -> None:
    tell(lake, 9, DAYS[1], 5)
    assert first(lake, DAYS[3]) == DAYS[1]
    make(lake, "equity_daily", [DAYS[3]])
    assert balances(lake) == [1000, 1015, 1035, 1065]


def test_writing_begins_at_a_day_that_is_missing(lake: SealingLake) -> None:
    lake.overwrite_dates("equity_daily", TABLES["equity_daily"].empty(), [DAYS[2]])
    assert first(lake, DAYS[3]) == DAYS[2]
    make(lake, "equity_daily", [DAYS[3]])
    assert balances(lake) == [1000, 1010, 1030, 1060]


def test_an_old_day_that_is_written_again_moves_every_day_behind_it(lake: SealingLake) -> None:
    tell(lake, 9, DAYS[1], 5)
    told = make(lake, "equity_daily", [DAYS[1]])
    assert balances(lake) == [1000, 1015, 1035, 1065]
    opened = lake.read("equity_daily").sort("date")["opening_balance"].cast(pl.Decimal(38, 0)).to_list()
    assert opened[1:] == balances(lake)[:-1]
    assert told.metadata["days_moved_besides"] == 2


def test_an_old_day_that_is_written_again_unchanged_moves_nothing_behind_it(lake: SealingLake) -> None:
    version = lake.version("equity_daily")
    # The piece that follows is looked at only where the day itself has moved.
    assert make(lake, "equity_daily", [DAYS[1]]).metadata["days_moved_besides"] == 0
    assert lake.version("equity_daily") == version + 1


def test_an_event_that_is_taken_back_is_counted_and_an_addition_is_not(lake: SealingLake) -> None:
    def taken_back() -> Any:
        return make(lake, "pnl_events", DAYS).metadata["events_taken_back"]

    assert taken_back() == 0
    tell(lake, 9, DAYS[3], 7)
    assert taken_back() == 0
    told = lake.read("raw_deals")
    lake.overwrite_dates("raw_deals", told.filter((pl.col("date") == DAYS[2]) & (pl.col("profit") != 20)), [DAYS[2]])
    assert taken_back() == 1
    assert taken_back() == 0
