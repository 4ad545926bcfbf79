"""How a table becomes an asset: exactly its columns, nothing made up, and what Dagster shows of it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import polars as pl
import pytest

from trading_assets.core.tables import TABLES
from trading_assets.defs.rehearsal import _Context
from trading_assets.defs.table_asset import conform, counting, describe, is_shown, materialised, picture, table_schema
from trading_assets.store.lake import Lake

ROW = {
    "tenant": "t", "account": "a", "date": date(2026, 1, 5), "symbol": "EURUSD", "timeframe": "M1",
    "open_at": datetime(2026, 1, 5, 10, tzinfo=UTC), "close_at": datetime(2026, 1, 5, 10, 1, tzinfo=UTC),
    "open": 1.1, "high": 1.2, "low": 1.0, "close": 1.1, "ask_open": 1.1, "ask_high": 1.2, "ask_low": 1.0, "ask_close": 1.1,
    "tick_count": 3, "spread_min_points": 1, "spread_max_points": 2, "spread_sum_points": 4, "source": "quotes",
}  # fmt: skip


def test_a_frame_gets_the_tables_columns_in_order_and_type() -> None:
    mixed = (
        pl.DataFrame([ROW])
        .select(reversed(list(ROW)))
        .with_columns(extra=1, tick_count=pl.col("tick_count").cast(pl.Int32))
    )
    frame = conform("bars", mixed)
    assert dict(frame.schema) == TABLES["bars"].schema
    assert list(frame.columns) == list(TABLES["bars"].names)


def test_pictures_are_drawn_for_dagster_alone() -> None:
    assert is_shown(dg.build_asset_context())
    assert not is_shown(_Context([]))


def test_constants_fill_what_the_frame_lacks() -> None:
    frame = conform("bars", pl.DataFrame([ROW]).drop("tenant"), tenant="given")
    assert frame["tenant"].to_list() == ["given"]


@pytest.mark.parametrize("missing", ["tenant", "close", "source"])
def test_a_column_that_is_missing_is_refused_and_nothing_is_made_up(missing: str) -> None:
    with pytest.raises(pl.exceptions.ColumnNotFoundError, match=missing):
        conform("bars", pl.DataFrame([ROW]).drop(missing))


def test_a_value_of_another_kind_is_refused() -> None:
    with pytest.raises(pl.exceptions.InvalidOperationError):
        conform("bars", pl.DataFrame([ROW | {"tick_count": "many"}]))


@pytest.mark.parametrize("name", sorted(TABLES))
def test_dagster_shows_a_tables_words_and_every_column_with_unit_and_source(name: str) -> None:
    about, table = describe(name), TABLES[name]
    assert table.grain in about["description"]
    shown = {column.name: column.description or "" for column in table_schema(name).columns}
    assert list(shown) == list(table.names)
    for column in table.columns:
        assert f"Source: {column.source}." in shown[column.name]
        assert f"Unit: {column.unit}." in shown[column.name] or not column.unit


def test_dagster_names_types_as_the_data_docs_do() -> None:
    shown = {column.name: column.type for column in table_schema("equity_daily").columns}
    assert (shown["closing_balance"], shown["rate_at"]) == ("decimal(38,8)", "timestamp with time zone")


def test_a_materialisation_says_its_rows() -> None:
    assert materialised("bars", 3, rows_in=4, unequal=1).metadata == {
        "rows_out": 3,
        "rows_in": 4,
        "unequal": 1,
    }
    assert materialised(None, 0).metadata == {"rows_out": 0}


def test_what_a_table_holds_is_told_beside_what_a_run_wrote(tmp_path: Path) -> None:
    class Kept(NamedTuple):
        lake: Lake

    kept = Kept(Lake(tmp_path))
    kept.lake.ensure_tables()
    kept.lake.overwrite_dates("bars", conform("bars", pl.DataFrame([ROW])), [date(2026, 1, 5)])

    @counting
    def wrote_nothing(storage: Kept) -> Iterator[dg.MaterializeResult[Any]]:  # noqa: ARG001 - the decorator reads it
        yield materialised("bars", 0)

    (told,) = wrote_nothing(storage=kept)
    assert told.metadata["rows_out"] == 0
    assert told.metadata["dagster/row_count"] == 1
    assert "2026-01-05 █ 2026-01-05" in str(told.metadata["rows_by_day"].value)


def test_a_picture_needs_no_file_server() -> None:
    shown = str(picture(b"\x89PNG...", "equity").value)
    assert base64.b64decode(shown.split("base64,")[1].removesuffix(")")) == b"\x89PNG..."
