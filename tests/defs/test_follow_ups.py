"""What hangs on what was written: due until it is made, however long ago it is about, and due no more then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from table_rows import AT, rows_of

from trading_assets.core.tables import TABLES
from trading_assets.defs.follow_ups import FOLLOWERS, days_due, days_left, following, span
from trading_assets.store.follow_ups import read_follow_up
from trading_assets.store.home import Home
from trading_assets.store.lake import Lake

FIRST = AT.date()


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def days(first: int, last: int) -> set[date]:
    return {day(number) for number in range(first, last + 1)}


@pytest.fixture
def home(tmp_path: Path, new_lake: Callable[[Path], Lake]) -> Home:
    home = Home(tmp_path)
    new_lake(home.lake)
    return home


def write(home: Home, table: str, numbers: list[int], **columns: Any) -> None:
    told = {"date": [day(number) for number in numbers]} | {
        name: [f"{name}-{number}" for number in numbers]
        for name in TABLES[table].key
        if name.endswith(("_id", "ticket"))
    }
    told |= {one.name: [[]] * len(numbers) for one in TABLES[table].columns if isinstance(one.dtype, pl.List)}
    Lake(home.lake).append(table, rows_of(table, len(numbers), **(told | columns)))


def run(home: Home, name: str, made: set[date]) -> None:
    """Make some days of a follower."""
    context = SimpleNamespace(partition_keys=[one.isoformat() for one in made])
    following(name)(lambda _context, _storage: None)(context, SimpleNamespace(home=home, lake=Lake(home.lake)))


def test_days_that_a_run_did_not_reach_stay_due(home: Home) -> None:
    lake = Lake(home.lake)
    write(home, "raw_deals", list(range(11)))
    assert days_left(home, lake, "pnl_events") == days(0, 10)
    run(home, "pnl_events", days(7, 10))
    assert days_left(home, lake, "pnl_events") == days(0, 6)
    write(home, "raw_deals", [11], deal_ticket=["later"])
    assert days_left(home, lake, "pnl_events") == days(0, 6) | days(11, 11)
    run(home, "pnl_events", days(0, 11))
    assert days_left(home, lake, "pnl_events") == set()


def test_what_comes_while_a_run_works_is_due_after_it(home: Home) -> None:
    write(home, "raw_deals", [0])
    context = SimpleNamespace(partition_keys=[day(0).isoformat()])

    @following("pnl_events")
    def work(_context: Any, _storage: Any) -> None:
        write(home, "raw_deals", [0], deal_ticket=["meanwhile"])

    work(context, SimpleNamespace(home=home, lake=Lake(home.lake)))
    assert days_left(home, Lake(home.lake), "pnl_events") == days(0, 0)


def test_a_run_that_fails_does_nothing_and_a_lost_note_costs_work(home: Home) -> None:
    write(home, "raw_deals", [0, 1])
    context = SimpleNamespace(partition_keys=[day(0).isoformat()])

    @following("pnl_events")
    def work(_context: Any, _storage: Any) -> None:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        work(context, SimpleNamespace(home=home, lake=Lake(home.lake)))
    assert days_left(home, Lake(home.lake), "pnl_events") == days(0, 1)
    run(home, "pnl_events", days(0, 1))
    for content in (b"", b"{", b"[1]"):
        (home.cursors / "follow_ups" / "pnl_events.json").write_bytes(content)
        assert days_left(home, Lake(home.lake), "pnl_events") == days(0, 1)


def test_labels_are_due_as_far_as_their_future_reaches_back(home: Home) -> None:
    lake = Lake(home.lake)
    write(home, "candidates", list(range(0, 20, 2)))
    run(home, "labels", days(0, 20))
    assert days_left(home, lake, "labels") == set()
    write(home, "bars", [15], open_at=[AT])
    # Days of decisions alone: 8, 10, 12, 14 and 16, whose prices begin the day before.
    assert days_left(home, lake, "labels") == {day(number) for number in (8, 10, 12, 14, 16)}


def test_a_late_deal_moves_every_day_of_performance_after_it(home: Home) -> None:
    lake = Lake(home.lake)
    write(home, "performance_daily", [0, 9], scope_name=["a", "b"])
    run(home, "performance_daily", days(0, 9))
    write(home, "raw_deals", [9], event_at=[AT + timedelta(days=3)])
    assert days_left(home, lake, "performance_daily") == days(3, 9)


def test_a_trade_of_long_ago_is_due_when_its_deals_are_told(home: Home) -> None:
    lake = Lake(home.lake)
    write(home, "trades", [0, 1, 2], trade_id=["open", "closed", "other"], is_open=[True, False, False])
    run(home, "trades", days(0, 2))
    assert days_left(home, lake, "trades") == set()
    write(home, "raw_deals", [9], trade_id=["closed"])
    assert days_left(home, lake, "trades") == days(0, 1) | days(9, 9)
    run(home, "trades", days(9, 9))
    assert days_left(home, lake, "trades") == days(0, 1)


def test_every_job_knows_what_of_it_is_due(home: Home) -> None:
    for job in ("ledger", "dataset", "operations"):
        assert days_due(home, Lake(home.lake), job) == set()
    assert {one.job for one in FOLLOWERS.values()} == {"ingest", "ledger", "dataset", "operations"}
    assert read_follow_up(home, "curves").left == []
    assert span([], FIRST) is None
    assert span([day(-3), day(4), day(1)], FIRST) == (day(1), day(4))
