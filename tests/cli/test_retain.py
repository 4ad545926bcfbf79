"""`trading retain` as a process on a lake with old days: what its rules name goes, everything else and every named version stays."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from played import trading
from said import Say

from trading_assets.core.errors import InputError
from trading_assets.core.tables import TABLES
from trading_assets.store.home import Home
from trading_assets.store.lake import Lake

OLD = date(2024, 1, 2)


def row_of(table: str, day: date) -> pl.DataFrame:
    """One row of a table: zeros, and the first value where only some are allowed."""
    columns = []
    for column in TABLES[table].columns:
        value: object = None
        if column.name == "date":
            value = day
        elif column.allowed:
            value = column.allowed[0]
        elif not column.nullable:
            value = {pl.String: "x", pl.Boolean: False, pl.Datetime: datetime(2024, 1, 2, tzinfo=UTC), pl.List: []}.get(
                column.dtype.base_type(), max(0, column.lowest or 0)
            )
        columns.append(pl.Series(column.name, [value], column.dtype))
    return pl.DataFrame(columns)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.raw.mkdir()
    lake, today = Lake(home.lake), datetime.now(UTC).date()
    for name in ("raw_quotes", "raw_deals", "dataset_versions"):
        lake.create(TABLES[name])
        for day in (OLD, today):
            lake.overwrite_dates(name, row_of(name, day), [day])
    return home


def files_of(lake: Lake, table: str) -> int:
    return len(list(Path(lake.path(table)).rglob("*.parquet")))


def aged(table: Path) -> None:
    """Make the table's log say that its files went two weeks ago, as a vacuum reads it."""
    at = int((datetime.now(UTC) - timedelta(days=14)).timestamp() * 1000)
    for commit in (table / "_delta_log").glob("*.json"):
        lines = [json.loads(line) for line in commit.read_text().splitlines()]
        for line in lines:
            if "remove" in line:
                line["remove"]["deletionTimestamp"] = at
        commit.write_text("\n".join(json.dumps(line) for line in lines))


def test_old_days_are_dropped_by_the_rule_of_their_table_and_their_files_a_week_later(home: Home) -> None:
    lake, today = Lake(home.lake), datetime.now(UTC).date()
    versions = {
        version: lake.read("dataset_versions", version=version)
        for version in range(lake.version("dataset_versions") + 1)
    }
    first = trading("retain", "--json", "--home", str(home.root))
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)
    assert told["dropped_days"] == {"raw_quotes": 1}
    assert (told["vacuumed_files"], told["problems"]) == (0, [])
    assert lake.dates("raw_quotes") == [today]
    assert lake.dates("raw_deals") == [OLD, today]
    assert files_of(lake, "raw_quotes") == 2
    aged(Path(lake.path("raw_quotes")))
    told = json.loads(trading("retain", "--json", "--home", str(home.root)).stdout)
    assert (told["dropped_days"], told["vacuumed_files"]) == ({}, 1)
    assert files_of(lake, "raw_quotes") == 1
    assert all(lake.read("dataset_versions", version=version).equals(frame) for version, frame in versions.items())


def test_versions_that_models_name_are_never_vacuumed(home: Home) -> None:
    lake = Lake(home.lake)
    lake.replace("dataset_versions", TABLES["dataset_versions"].empty())
    with pytest.raises(InputError, match="promotions name its versions"):
        lake.vacuum("dataset_versions", timedelta(0))
    assert lake.read("dataset_versions", version=2).height == 2


def test_the_rules_are_shown_and_nothing_is_done(home: Home, say: Say) -> None:
    told = json.loads(say("retain", "--rules", "--json", "--home", home.root).out)
    assert told["streams"] == {"market": 400, "trading": None, "ops": None}
    assert told["tables"].keys() == TABLES.keys()
    kept_for_ever = {name for name, days in told["tables"].items() if days is None}
    assert kept_for_ever >= {
        "raw_decisions", "raw_deals", "signals", "candidates", "trades", "outcomes", "pnl_events", "learning_dataset", "promotions",
    }  # fmt: skip
    assert "learning_dataset" in told["all_versions_of"]
    assert Lake(home.lake).dates("raw_quotes")[0] == OLD
    assert "raw_quotes" in say("retain", "--rules", "--home", home.root).out


def test_a_table_that_cannot_be_read_is_left_alone_and_told_of(home: Home, say: Say) -> None:
    log = Path(Lake(home.lake).path("raw_deals")) / "_delta_log"
    for commit in log.glob("*.json"):
        commit.write_text("{")
    said = say("retain", "--json", "--home", home.root)
    assert said.code == 1
    told = json.loads(said.out)
    assert told["dropped_days"] == {"raw_quotes": 1}
    assert len(told["problems"]) == 1
    assert "raw_deals" in told["problems"][0]
    assert os.path.isdir(log)
