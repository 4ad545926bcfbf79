"""A lake of another version: columns that are new are added and noted, anything else is refused with nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trading_assets import __version__
from trading_assets.core.errors import StateError
from trading_assets.core.records.decisions import Decision
from trading_assets.core.tables import TABLES
from trading_assets.store.lake import Lake
from trading_assets.store.raw_frames import records_frame

DAY = date(2026, 3, 2)


def test_a_lake_of_an_older_version_gets_the_columns_and_old_rows_their_defaults(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    table = TABLES["raw_transforms"]
    old = {
        "tenant": "ops", "account": "ops", "date": DAY, "journal_index": 0, "schema_version": 1, "chain_id": "c", "table": "bars",
        "run_id": "r", "partitions": "all", "rows_in": 1, "rows_out": 1, "code_version": "0.0.1",
    }  # fmt: skip
    kept = [name for name in table.names if name not in ("sources", "feature_sets", "delta_version")]
    rows = pl.DataFrame([old]).with_columns(
        event_at=pl.datetime(2026, 3, 2, time_zone="UTC"), known_at=pl.datetime(2026, 3, 2, time_zone="UTC")
    )
    rows.select(kept).write_delta(lake.path("raw_transforms"), delta_write_options={"partition_by": ["date"]})
    lake.ensure_tables()
    found = lake.read("raw_transforms")
    assert found.select("sources", "feature_sets", "delta_version").rows() == [([], [], None)]
    assert found.select(kept).equals(rows.select(kept))
    lake.overwrite_dates("raw_transforms", found, [DAY])
    noted = lake.read("schema_changes").sort("column")
    assert noted.select("table", "column", "old_type", "new_type", "code_version").rows() == [
        ("raw_transforms", "delta_version", None, "Int64", __version__),
        ("raw_transforms", "feature_sets", None, "List(String)", __version__),
        ("raw_transforms", "sources", None, "List(String)", __version__),
    ]
    lake.ensure_tables()
    assert lake.row_count("schema_changes") == 3


def test_a_lake_of_a_later_version_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.create(TABLES["bars"])
    TABLES["trades"].empty().with_columns(mood=pl.lit("calm")).write_delta(lake.path("trades"))
    TABLES["marks"].empty().drop("mark_index").write_delta(lake.path("marks"))
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    with pytest.raises(
        StateError,
        match=r"open table trades: it rests with other columns than declared \(mood\): a later version of this software wrote "
        r"it; run that version or a later one, or move .* aside .*; nothing was changed\.",
    ):
        lake.ensure_tables()
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


def test_a_column_of_another_type_is_refused(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    TABLES["marks"].empty().with_columns(pl.col("bid").cast(pl.String)).write_delta(lake.path("marks"))
    with pytest.raises(
        StateError, match=r"open table marks: it rests with other types .*bid: is String, declared is Float64"
    ):
        lake.ensure_tables()


def fewer_fields(dtype: pl.DataType, name: str) -> pl.Struct:
    assert isinstance(dtype, pl.Struct)
    return pl.Struct([field for field in dtype.fields if field.name != name])


def test_a_field_within_a_column_is_added_and_old_rows_have_none(tmp_path: Path, record_of: Callable[..., Any]) -> None:
    lake, table = Lake(tmp_path), TABLES["raw_decisions"]
    decisions = [record_of(Decision, seed, tenant="t", account="a") for seed in range(4)]
    frame = records_frame("raw_decisions", decisions)
    inputs = table.schema["inputs"]
    old = frame.head(2).with_columns(pl.col("inputs").cast(fewer_fields(inputs, "base_bar_count")))
    old.write_delta(lake.path("raw_decisions"), delta_write_options={"partition_by": ["date"]})
    lake.ensure_tables()
    new = frame[2:].with_columns(date=pl.lit(DAY + timedelta(days=1)))
    lake.overwrite_dates("raw_decisions", new, [DAY + timedelta(days=1)])
    assert lake.read("raw_decisions", dates=[DAY + timedelta(days=1)]).equals(new)
    found = lake.read("raw_decisions", dates=[DAY])
    assert found.schema == pl.Schema(table.schema)
    assert found["inputs"].struct.field("base_bar_count").to_list() == [None, None]
    assert found["inputs"].struct.field("bid").to_list() == old["inputs"].struct.field("bid").to_list()
    assert lake.read("schema_changes").select("table", "column").rows() == [("raw_decisions", "inputs")]
    assert lake.read("schema_changes")["old_type"].str.contains("base_bar_count").to_list() == [False]
    lake.ensure_tables()
    assert lake.row_count("schema_changes") == 1


def test_a_field_that_nobody_declares_is_refused(tmp_path: Path) -> None:
    lake, table = Lake(tmp_path), TABLES["raw_decisions"]
    inputs = table.schema["inputs"]
    assert isinstance(inputs, pl.Struct)
    later = pl.Struct([*inputs.fields, pl.Field("mood", pl.String)])
    table.empty().with_columns(pl.col("inputs").cast(later)).write_delta(lake.path("raw_decisions"))
    with pytest.raises(StateError, match=r"inputs: a field mood that nobody declares, written by a later version"):
        lake.ensure_tables()
