"""The lake: real Delta tables, one commit a write, checked and counted."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_assets.core.errors import InputError, StateError
from trading_assets.core.records.codec import RECORD_TYPES
from trading_assets.core.records.trading import Deal, Mark
from trading_assets.core.tables import TABLES, raw_name
from trading_assets.store.lake import Lake, Written
from trading_assets.store.raw_frames import records_frame

MONDAY, TUESDAY, WEDNESDAY = (date(2026, 3, day) for day in (2, 3, 4))


def bars(day: date, count: int = 3, *, close: float = 1.1, symbol: str = "EURUSD") -> pl.DataFrame:
    """M5 bars of a day."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    prices = ("open", "high", "low", "close", "ask_open", "ask_high", "ask_low", "ask_close")
    rows = [
        {
            "tenant": "market", "account": "a", "date": day, "symbol": symbol, "timeframe": "M5",
            "open_at": start + timedelta(minutes=5 * index), "close_at": start + timedelta(minutes=5 * index + 5),
            **dict.fromkeys(prices, close), "tick_count": 1, "spread_min_points": 1, "spread_max_points": 1,
            "spread_sum_points": 1, "source": "quotes",
        }
        for index in range(count)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=TABLES["bars"].schema)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with every table and no rows."""
    lake = Lake(tmp_path_factory.mktemp("empty"))
    lake.ensure_tables()
    return lake


@pytest.fixture
def lake(tmp_path: Path, new_lake: Callable[[Path], Lake]) -> Lake:
    """A lake with the tables these tests write."""
    return new_lake(tmp_path / "lake")


def test_every_table_is_there_empty_and_of_its_schema(empty: Lake) -> None:
    for name, declared in TABLES.items():
        assert empty.read(name).equals(declared.empty())
        assert empty.version(name) == 0
        assert empty.dates(name) == []


def test_ensuring_again_changes_nothing(empty: Lake) -> None:
    empty.ensure_tables()
    assert {empty.version(name) for name in TABLES} == {0}


def test_every_raw_record_rests_and_reads_back_unchanged(lake: Lake, record_of: Callable[..., Any]) -> None:
    for kind in RECORD_TYPES:
        frame = records_frame(raw_name(kind), [record_of(kind, seed, tenant="t", account="a") for seed in range(5)])
        written = lake.overwrite_dates(raw_name(kind), frame, frame["date"].unique().to_list())
        assert written.rows == 5
        assert lake.read(raw_name(kind)).equals(frame)


def test_a_date_written_again_replaces_itself_and_no_other(lake: Lake) -> None:
    lake.overwrite_dates("bars", pl.concat([bars(MONDAY), bars(TUESDAY)]), [MONDAY, TUESDAY])
    written = lake.overwrite_dates("bars", bars(TUESDAY, 1, close=2.0), [TUESDAY])
    assert written == Written("bars", lake.version("bars"), 1)
    assert lake.read("bars").equals(pl.concat([bars(MONDAY), bars(TUESDAY, 1, close=2.0)]))


def test_writing_the_same_twice_is_writing_it_once(lake: Lake) -> None:
    for _ in range(2):
        lake.overwrite_dates("bars", bars(MONDAY), [MONDAY])
    assert lake.read("bars").equals(bars(MONDAY))


def test_dates_without_rows_are_cleared(lake: Lake) -> None:
    lake.overwrite_dates("bars", pl.concat([bars(MONDAY), bars(TUESDAY)]), [MONDAY, TUESDAY])
    lake.overwrite_dates("bars", bars(MONDAY, 2), [MONDAY, TUESDAY])
    assert lake.dates("bars") == [MONDAY]
    assert lake.overwrite_dates("bars", TABLES["bars"].empty(), [MONDAY]).rows == 0
    assert lake.read("bars").is_empty()


def test_a_write_is_one_version(lake: Lake) -> None:
    lake.overwrite_dates("bars", pl.concat([bars(MONDAY), bars(TUESDAY)]), [MONDAY, TUESDAY])
    lake.overwrite_dates("bars", pl.concat([bars(MONDAY, 1), bars(WEDNESDAY)]), [MONDAY, TUESDAY, WEDNESDAY])
    assert lake.version("bars") == 2


def test_clearing_dates_that_hold_nothing_makes_no_version(lake: Lake) -> None:
    lake.overwrite_dates("bars", TABLES["bars"].empty(), [MONDAY])
    assert lake.version("bars") == 0


def test_an_older_version_reads_as_it_was(lake: Lake) -> None:
    first = lake.overwrite_dates("bars", bars(MONDAY), [MONDAY]).version
    lake.overwrite_dates("bars", bars(MONDAY, 1), [MONDAY])
    assert lake.read("bars", version=first).equals(bars(MONDAY))
    assert [commit["version"] for commit in lake.history("bars")] == [2, 1, 0]


def test_reading_narrows_dates_and_columns(lake: Lake) -> None:
    days = [MONDAY, TUESDAY, WEDNESDAY]
    lake.overwrite_dates("bars", pl.concat([bars(day) for day in days]), days)
    assert lake.read("bars", since=TUESDAY)["date"].unique().sort().to_list() == [TUESDAY, WEDNESDAY]
    assert lake.read("bars", until=TUESDAY, since=TUESDAY).equals(bars(TUESDAY))
    assert lake.read("bars", dates=[MONDAY, WEDNESDAY], columns=["close", "symbol"]).columns == ["close", "symbol"]
    assert lake.read("bars", dates=[]).is_empty()


def test_rows_come_back_in_the_order_of_date_and_key(lake: Lake) -> None:
    lake.overwrite_dates("bars", bars(TUESDAY).reverse(), [TUESDAY])
    lake.overwrite_dates("bars", bars(MONDAY).reverse(), [MONDAY])
    expected = pl.concat([bars(MONDAY), bars(TUESDAY)])
    assert lake.read("bars").equals(expected)
    assert lake.read("bars", columns=["open_at"])["open_at"].to_list() == expected["open_at"].to_list()


def test_the_order_of_columns_does_not_matter(lake: Lake) -> None:
    lake.overwrite_dates("bars", bars(MONDAY).select(sorted(bars(MONDAY).columns)), [MONDAY])
    assert lake.read("bars").equals(bars(MONDAY))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    writes=st.lists(
        st.tuples(st.sets(st.sampled_from([MONDAY, TUESDAY, WEDNESDAY]), min_size=1), st.integers(0, 3)),
        min_size=1,
        max_size=4,
    )
)
def test_the_lake_is_what_was_last_written_for_each_date(tmp_path: Path, writes: list[tuple[set[date], int]]) -> None:
    lake = Lake(tmp_path / str(len(list(tmp_path.iterdir()))))
    table = TABLES["bars"]
    Lake.create(lake, table)
    expected: dict[date, pl.DataFrame] = {}
    for days, count in writes:
        parts = {day: bars(day, count) for day in sorted(days)}
        lake.overwrite_dates("bars", pl.concat(parts.values()), days)
        expected |= parts
    assert lake.read("bars").equals(pl.concat([table.empty(), *(expected[day] for day in sorted(expected))]))


# --- append and replace -----------------------------------------------------------------------------------------


def test_appending_makes_a_version_and_keeps_what_was_there(lake: Lake) -> None:
    lake.append("bars", bars(MONDAY))
    written = lake.append("bars", bars(TUESDAY, 2))
    assert (written.version, written.rows) == (2, 2)
    assert lake.read("bars").equals(pl.concat([bars(MONDAY), bars(TUESDAY, 2)]))


def test_a_key_that_is_there_cannot_be_appended_again(lake: Lake) -> None:
    lake.append("bars", bars(MONDAY))
    with pytest.raises(
        InputError, match=r"append to table bars: 1 rows are there already, such as \('market', 'a', 'EURUSD'"
    ):
        lake.append("bars", bars(MONDAY, 1))
    assert lake.version("bars") == 1


def test_appending_nothing_makes_no_version(lake: Lake) -> None:
    assert lake.append("bars", TABLES["bars"].empty()) == Written("bars", 0, 0)


def test_a_registry_is_replaced_whole(lake: Lake) -> None:
    lake.replace("bars", bars(MONDAY))
    assert lake.replace("bars", bars(TUESDAY, 2)).rows == 2
    assert lake.read("bars").equals(bars(TUESDAY, 2))


def write_day(root: str, day: date) -> None:
    Lake(root).overwrite_dates("bars", bars(day), [day])


def test_processes_that_write_different_dates_do_not_disturb_each_other(lake: Lake) -> None:
    days = [MONDAY, TUESDAY]
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write_day, args=(lake.root, day)) for day in days]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert lake.read("bars").equals(pl.concat([bars(day) for day in days]))


def test_vacuum_deletes_what_no_kept_version_needs(lake: Lake) -> None:
    for count in (1, 2, 3):
        lake.overwrite_dates("bars", bars(MONDAY, count), [MONDAY])
    assert lake.vacuum("bars", timedelta(0)) == 2
    assert lake.read("bars").equals(bars(MONDAY))


def test_few_commits_are_read_to_open_a_table(lake: Lake) -> None:
    for number in range(25):
        lake.overwrite_dates("bars", bars(MONDAY, number + 1), [MONDAY])
    log = Path(lake.path("bars")) / "_delta_log"
    assert [int(path.name[:20]) for path in sorted(log.glob("*.checkpoint.parquet"))] == [9, 19]
    for path in log.glob("*.json"):
        if int(path.name[:20]) < 19:
            path.unlink()
    assert lake.row_count("bars") == 25


def test_the_log_tells_least_and_greatest_only_of_what_has_no_day(lake: Lake, record_of: Callable[..., Any]) -> None:
    lake.overwrite_dates("bars", bars(MONDAY), [MONDAY])
    deal = record_of(Deal, 1, deal_ticket="7001", known_at=datetime(2026, 3, 2, tzinfo=UTC))
    lake.overwrite_dates("raw_deals", records_frame("raw_deals", [deal]), [MONDAY])
    told = {name: DeltaTable(lake.path(name)).get_add_actions(flatten=True) for name in ("bars", "raw_deals")}
    assert [name for name in told["bars"].column_names if name.startswith(("min.", "max."))] == []
    of_deals = {name for name in told["raw_deals"].column_names if name.startswith("min.")}
    assert "min.deal_ticket" in of_deals
    assert of_deals <= {"min.deal_ticket", "min.order_ticket", "min.position_id", "min.magic"}


def test_versions_of_learning_tables_are_kept_for_ever(lake: Lake) -> None:
    configuration = DeltaTable(lake.path("learning_dataset")).metadata().configuration
    assert configuration["delta.logRetentionDuration"] == "interval 36500 days"
    with pytest.raises(InputError, match="vacuum table learning_dataset: promotions name its versions"):
        lake.vacuum("learning_dataset", timedelta(days=365))


# --- guards -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda frame: frame.drop("close"), "columns missing: close, not declared: none"),
        (lambda frame: frame.with_columns(extra=1), "columns missing: none, not declared: extra"),
        (lambda frame: frame.cast({"tick_count": pl.Int32}), "column tick_count is Int32, declared is Int64"),
        (lambda frame: frame.with_columns(close=pl.lit(None, pl.Float64)), "column close is null in 3 rows"),
        (lambda frame: pl.concat([frame, frame]), r"6 rows share their key \(tenant, account, symbol, timeframe, open_at\)"),
        (lambda frame: frame.with_columns(source=pl.lit("guess")), "column source breaks isin.* in 3 rows, such as 'guess'"),
    ],
    ids=["missing", "surplus", "type", "null", "key", "value"],
)  # fmt: skip
def test_rows_that_break_the_declaration_are_refused_and_nothing_is_written(
    lake: Lake, spoil: Callable[[pl.DataFrame], pl.DataFrame], problem: str
) -> None:
    lake.overwrite_dates("bars", bars(MONDAY), [MONDAY])
    for write in (
        lambda frame: lake.overwrite_dates("bars", frame, [MONDAY]),
        lambda frame: lake.append("bars", frame),
    ):
        with pytest.raises(InputError, match=f"check rows of table bars: {problem}; mend the rows"):
            write(spoil(bars(MONDAY, close=9.0)))
    assert lake.version("bars") == 1


def test_a_number_out_of_its_range_is_refused(lake: Lake, record_of: Callable[..., Any]) -> None:
    marks = records_frame("raw_marks", [record_of(Mark)]).with_columns(mark_index=pl.lit(-1, pl.Int64))
    frame = marks.select(TABLES["marks"].names)
    with pytest.raises(
        InputError, match=r"column mark_index breaks greater_than_or_equal_to\(0\) in 1 rows, such as '-1'"
    ):
        lake.overwrite_dates("marks", frame, frame["date"].to_list())


def test_a_date_that_was_not_named_is_refused(lake: Lake) -> None:
    with pytest.raises(InputError, match="holds 2026-03-03, which is not to be replaced"):
        lake.overwrite_dates("bars", bars(TUESDAY), [MONDAY])
    with pytest.raises(InputError, match="no dates were given"):
        lake.overwrite_dates("bars", bars(TUESDAY), [])


def test_a_table_nobody_declared_is_refused(lake: Lake) -> None:
    with pytest.raises(InputError, match="find table candles: it is not declared"):
        lake.read("candles")


def test_a_table_that_was_not_created_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"there is no Delta table at .*; create the tables with Lake.ensure_tables"):
        Lake(tmp_path).read("bars")


def test_a_version_that_never_was_is_one_sentence(lake: Lake) -> None:
    with pytest.raises(
        StateError, match=r"open table bars: version 7 cannot be read .*; name a version of Lake.history"
    ):
        lake.read("bars", version=7)


def test_a_column_the_table_does_not_have_is_one_sentence(lake: Lake) -> None:
    with pytest.raises(InputError, match=r"read table bars: it has no column colour"):
        lake.read("bars", columns=["colour"])


def test_a_table_with_other_columns_on_disk_is_one_sentence(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    pl.DataFrame({"date": [MONDAY], "price": [1]}).write_delta(lake.path("bars"))
    with pytest.raises(
        StateError,
        match=r"open table bars: it rests with other columns than declared \(price\): a later .*; run that version",
    ):
        lake.ensure_tables()


def test_a_lost_file_is_one_sentence(lake: Lake) -> None:
    lake.overwrite_dates("bars", bars(MONDAY), [MONDAY])
    for file in Path(lake.path("bars")).rglob("*.parquet"):
        file.unlink()
    with pytest.raises(StateError, match="read table bars"):
        lake.read("bars")


def test_rows_that_do_not_read_back_are_noticed(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    # A disk that loses what it acknowledged cannot be had on demand, so the count after the write is given wrong.
    monkeypatch.setattr(Lake, "_count", lambda *_: 2)
    with pytest.raises(StateError, match="3 rows were written and 2 read back"):
        lake.overwrite_dates("bars", bars(MONDAY), [MONDAY])


def test_the_dataset_is_what_duckdb_reads(lake: Lake) -> None:
    import duckdb

    lake.overwrite_dates("bars", bars(MONDAY), [MONDAY])
    with duckdb.connect() as connection:
        connection.register("bars", lake.dataset("bars"))
        assert connection.sql("SELECT count(*), max(date) FROM bars WHERE date = '2026-03-02'").fetchall() == [
            (3, MONDAY)
        ]
