"""When a table's declaration and its columns on disk differ: what may be put right, what is refused, and the log of it.

A declaration that has more columns than the table is newer: the columns are added; rows from before get the column's
default, or have nulls in it until their day is written again. A table with columns nobody declares was written by a later version, and one whose columns
have another type would lose something: both are refused, with nothing changed. Each change is a row of `schema_changes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from deltalake import DeltaTable, Schema

from trading_assets import __version__
from trading_assets.core.columns.column import Table
from trading_assets.core.errors import StateError
from trading_assets.core.tables import REGISTRY_OWNER, TABLES

LOG = "schema_changes"


@dataclass(frozen=True)
class Addition:
    """A column that is declared and not in the table yet."""

    table: str
    column: str
    dtype: pl.DataType
    default: str | int | float | bool | tuple[()] | None

    @property
    def filled(self) -> pl.Expr | None:
        """What rows from before have; None when they have nulls."""
        if self.default is None:
            return None
        value: object = list(self.default) if isinstance(self.default, tuple) else self.default
        return pl.lit(value, self.dtype).alias(self.column)


def additions(table: Table, delta: DeltaTable) -> list[Addition]:
    """Return the columns the table lacks. Raises StateError for columns nobody declares, or of another type."""
    found = dict(pl.Schema(delta.schema()))
    if unknown := [name for name in found if name not in table.schema]:
        raise StateError(
            "open", f"table {table.name}",
            f"it rests with other columns than declared ({', '.join(unknown[:5])}): a later version of this software wrote it",
            f"run that version or a later one, or move {delta.table_uri} aside and materialise it again; nothing was changed",
        )  # fmt: skip
    if other := [name for name, dtype in found.items() if dtype != table.schema[name]]:
        changed = ", ".join(f"{name} is {found[name]}, declared is {table.schema[name]}" for name in other[:3])
        raise StateError(
            "open", f"table {table.name}", f"it rests with other types than declared ({changed})",
            f"move {delta.table_uri} aside and materialise it again from the journal; nothing was changed",
        )  # fmt: skip
    lacking = [column for column in table.columns if column.name not in found]
    return [Addition(table.name, one.name, one.dtype, None if one.nullable else one.default) for one in lacking]


def add(delta: DeltaTable, added: Sequence[Addition]) -> None:
    """Add the columns to the table, in one commit."""
    empty = pl.DataFrame(schema={one.column: one.dtype for one in added})
    delta.alter.add_columns(list(Schema.from_arrow(empty.to_arrow().schema).fields))


def log_rows(added: Sequence[Addition], at: datetime) -> pl.DataFrame:
    """Return the rows of the log."""
    return pl.DataFrame(
        [
            {
                "tenant": REGISTRY_OWNER, "account": REGISTRY_OWNER, "date": at.date(), "changed_at": at, "table": one.table,
                "column": one.column, "old_type": None, "new_type": str(one.dtype), "code_version": __version__,
            }
            for one in added
        ],
        schema=TABLES[LOG].schema,
    )  # fmt: skip
