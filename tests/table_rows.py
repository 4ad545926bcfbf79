"""Rows of a table for tests that care about few of its columns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl

from trading_assets.core.tables import TABLES

AT = datetime(2026, 1, 9, 12, tzinfo=UTC)
_PLAIN: dict[Any, Any] = {
    pl.String: "x",
    pl.Int64: 1,
    pl.Float64: 1.0,
    pl.Boolean: False,
    pl.Decimal: 1,
    pl.Date: AT.date(),
    pl.Datetime: AT,
    pl.List: [0.0],
}


def rows_of(name: str, count: int, **columns: Any) -> pl.DataFrame:
    """Return rows of a table: the columns given, and plain values for the rest."""
    values = {
        column.name: columns.get(
            column.name, [column.allowed[0] if column.allowed else _PLAIN[type(column.dtype)]] * count
        )
        for column in TABLES[name].columns
    }
    return pl.DataFrame(values, schema=TABLES[name].schema)
