"""What is looked at in one pass before rows are written is what pandera, which then says what is wrong, makes of them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandera.errors import SchemaErrors

from trading_assets.core.columns.column import Column, Table
from trading_assets.core.errors import InputError
from trading_assets.core.tables import TABLES, pandera_schema
from trading_assets.store.table_checks import checked, is_sound

EVERY_TABLE = list(TABLES.values())
PLAIN: dict[Any, Any] = {
    pl.String: "x",
    pl.Boolean: False,
    pl.Int64: 1,
    pl.Float64: 0.5,
    pl.Decimal: Decimal(0),
    pl.Date: date(2026, 3, 2),
    pl.Datetime: datetime(2026, 3, 2, tzinfo=UTC),
    pl.List: [],
}


def plain(column: Column) -> Any:
    """Return a value that the column may hold."""
    if column.allowed:
        return column.allowed[0]
    value = PLAIN.get(type(column.dtype), {})
    bounded = column.lowest if column.lowest is not None else column.highest
    return value if bounded is None else type(value)(bounded)


def rows(table: Table, *changes: dict[str, Any]) -> pl.DataFrame:
    """Return rows of the table, each with its changes; nothing breaks a rule by itself but that they are the same."""
    whole = {column.name: None if column.nullable else plain(column) for column in table.columns}
    return pl.DataFrame([whole | change for change in changes], schema=table.schema)


CURVE = pandera_schema(TABLES["equity_curve"])


def pandera_takes(frame: pl.DataFrame) -> bool:
    try:
        CURVE.validate(frame, lazy=True)
    except SchemaErrors:
        return False
    return True


def breaches(table: Table) -> list[dict[str, Any]]:
    """Return a change for each rule of the table's columns, which breaks it."""
    broken: list[dict[str, Any]] = []
    for column in table.columns:
        broken += [] if column.nullable else [{column.name: None}]
        broken += [{column.name: "none of them"}] if column.allowed else []
        number = type(plain(column))
        broken += [{column.name: number(column.lowest - 1)}] if column.lowest is not None else []
        broken += [{column.name: number(column.highest + 1)}] if column.highest is not None else []
        broken += [{column.name: float("nan")}] if column.dtype.is_float() and not column.nullable else []
    return broken


@pytest.mark.parametrize("table", EVERY_TABLE, ids=lambda table: table.name)
def test_each_rule_of_each_table_is_looked_at(table: Table) -> None:
    assert is_sound(table, rows(table, {}))
    assert is_sound(table, table.empty())
    unseen = [breach for breach in breaches(table) if is_sound(table, rows(table, {}, breach))]
    assert unseen == []
    assert is_sound(table, rows(table, {}, {})) == (not table.key)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "drawdown_share": st.sampled_from([None, -0.1, 0.0, 0.5, 1.0, 1.1, float("nan"), float("inf")]),
    "open_trades": st.sampled_from([None, -1, 0, 3]),
    "equity": st.sampled_from([None, Decimal(-1), Decimal(0)]),
    "account": st.sampled_from([None, "a", "b"]),
    "date": st.sampled_from([None, date(2026, 3, 2), date(2026, 3, 3)]),
}


@settings(deadline=None)  # pandera's first look at a table takes longer than others
@given(st.lists(st.fixed_dictionaries({}, optional=VALUES), max_size=3))
def test_one_pass_and_pandera_take_the_same_rows(changes: list[dict[str, Any]]) -> None:
    table = TABLES["equity_curve"]
    frame = rows(table, *changes)
    assert is_sound(table, frame) == pandera_takes(frame)


def test_what_is_wrong_is_said_by_pandera_in_a_sentence() -> None:
    table = TABLES["equity_curve"]
    with pytest.raises(InputError, match=r"2 rows share their key .*column drawdown_share breaks .* in 1 rows"):
        checked(table, rows(table, {}, {"drawdown_share": 2.0}))
