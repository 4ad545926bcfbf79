"""Which days are beyond making once retention has dropped rows of their sources, and which are not."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from table_rows import rows_of

from trading_assets.core.tables import TABLES
from trading_assets.defs.left_alone import REACHES, beyond_making, days_to_make, sentences
from trading_assets.store.dropped_days import dropped_days, note_dropped
from trading_assets.store.home import Home
from trading_assets.store.lake_retention import retain_lake
from trading_assets.store.seals import SealingLake, sealing_lake
from trading_assets.store.under_way import begin_days, end_days

DAYS = [date(2024, 5, 1) + timedelta(days=number) for number in range(12)]
MIDNIGHTS = [datetime.combine(day, time(), UTC) for day in DAYS]
OLD = DAYS[:3]
TODAY = DAYS[3] + timedelta(days=400)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Rows on every day but one of each table that is made from one whose days are dropped, and of these."""
    home = Home(tmp_path)
    home.raw.mkdir()
    lake = sealing_lake(home)
    for name in {*REACHES, *(source for reach in REACHES.values() for source in reach.sources)}:
        lake.create(TABLES[name])
        own = {
            "open_at": MIDNIGHTS,
            "hour_at": MIDNIGHTS,
            "idea_id": [str(day) for day in DAYS],
            "mae_r": [0.0] * len(DAYS),
        }
        lake.overwrite_dates(name, rows_of(name, len(DAYS), date=DAYS, **own), DAYS)
    # Nobody was heard on the first day that is kept.
    for name in REACHES["system_health"].sources:
        lake.overwrite_dates(name, TABLES[name].empty(), [DAYS[3]])
    return home


@pytest.fixture
def lake(home: Home) -> SealingLake:
    assert set(retain_lake(home, TODAY).dropped_days.values()) == {len(OLD)}
    return sealing_lake(home)


def test_a_day_is_known_as_dropped_until_its_rows_are_back(lake: SealingLake) -> None:
    assert dropped_days(lake, "raw_quotes") == set(OLD)
    assert dropped_days(lake, "bars") == set()
    lake.overwrite_dates("raw_quotes", rows_of("raw_quotes", 1, date=[OLD[1]]), [OLD[1]])
    assert dropped_days(lake, "raw_quotes") == {OLD[0], OLD[2]}
    note_dropped(lake, "raw_quotes", [DAYS[-1] + timedelta(days=9)])
    assert dropped_days(lake, "raw_quotes") == {OLD[0], OLD[2], DAYS[-1] + timedelta(days=9)}


@pytest.mark.parametrize(
    ("table", "first_made"),
    # A bar has its quotes on its day and the next, a label the day before, and silence is counted from the last word.
    [("bars", DAYS[3]), ("labels", DAYS[4]), ("system_health", DAYS[5])],
)
def test_a_day_is_left_alone_as_far_as_what_was_dropped_reaches(
    lake: SealingLake, table: str, first_made: date
) -> None:
    made, said = days_to_make(lake, table, DAYS)
    assert made == [day for day in DAYS if day >= first_made]
    assert said.startswith(f"{table} of {DAYS[0]} to {first_made - timedelta(days=1)}: left as it is")
    assert sentences(lake, [REACHES[table].job], DAYS[0], DAYS[-1]) == [said]


def test_a_day_without_rows_is_made_of_what_there_is_and_still_known_as_beyond_making(lake: SealingLake) -> None:
    lake.overwrite_dates("bars", TABLES["bars"].empty(), [OLD[0]])
    assert days_to_make(lake, "bars", OLD)[0] == [OLD[0]]
    assert beyond_making(lake, "bars", OLD) == set(OLD)


def test_nothing_is_left_alone_where_nothing_was_dropped(home: Home) -> None:
    lake = sealing_lake(home)
    assert all(days_to_make(lake, table, DAYS) == (DAYS, "") for table in REACHES)


def test_a_day_that_is_being_ingested_is_not_dropped_nor_the_one_before(home: Home) -> None:
    begin_days(home, "run", [OLD[2]])
    assert retain_lake(home, TODAY).dropped_days["raw_quotes"] == 1
    end_days(home, "run")
    assert retain_lake(home, TODAY).dropped_days["raw_quotes"] == 2
