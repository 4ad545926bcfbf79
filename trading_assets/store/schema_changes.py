"""When a table's declaration and its columns on disk differ: what may be put right, what is refused, and the log of it.

A declaration that has more columns than the table is newer: the columns are added; rows from before get the column's
default, or have nulls in it until their day is written again. The same holds for a field within a column, which rows from before
have as null: so does a line of the journal that is older than the field. A table with columns nobody declares was written by a later version, and one whose columns
have another type would lose something: both are refused, with nothing changed. Each change is a row of `schema_changes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from deltalake import DeltaTable, Schema

from trading_assets import __version__
from trading_assets.core.columns.column import Column, Table
from trading_assets.core.errors import StateError
from trading_assets.core.tables import REGISTRY_OWNER, TABLES

LOG = "schema_changes"


@dataclass(frozen=True)
class Addition:
    """A column that is declared and not in the table yet, or that has fewer fields there; `was` is its type, if it has one."""

    table: str
    column: str
    dtype: pl.DataType
    was: pl.DataType | None
    default: str | int | float | bool | tuple[()] | None

    @property
    def filled(self) -> pl.Expr | None:
        """What rows from before have; None when they have nulls."""
        return None if self.default is None else _value(self.default, self.dtype).alias(self.column)


def additions(table: Table, delta: DeltaTable) -> list[Addition]:
    """Return the columns the table lacks. Raises StateError for columns nobody declares, or of another type."""
    found = dict(pl.Schema(delta.schema()))
    if unknown := [name for name in found if name not in table.schema]:
        raise StateError(
            "open", f"table {table.name}",
            f"it rests with other columns than declared ({', '.join(unknown[:5])}): a later version of this software wrote it",
            f"run that version or a later one, or move {delta.table_uri} aside and materialise it again; nothing was changed",
        )  # fmt: skip
    if other := [name for name, dtype in found.items() if not _is_part(dtype, table.schema[name])]:
        changed = "; ".join(f"{name}: {_difference(found[name], table.schema[name])}" for name in other[:3])
        raise StateError(
            "open", f"table {table.name}", f"it rests with other types than declared ({changed})",
            f"move {delta.table_uri} aside and materialise it again from the journal; nothing was changed",
        )  # fmt: skip
    return [
        Addition(
            table.name,
            one.name,
            one.dtype,
            found.get(one.name),
            None if one.nullable or one.name in found else one.default,
        )
        for one in table.columns
        if one.name not in found or not _is_part(one.dtype, found[one.name])
    ]


def as_declared(table: Table, delta: DeltaTable) -> list[pl.Expr]:
    """Return what makes rows of a table of an earlier version look as they are declared, before anybody adds its columns.

    Columns it lacks have their default or nulls; fields within columns stand in the order they are declared in: a table has new
    ones at the end.
    """
    found = pl.Schema(delta.schema())
    lacking = [_of_old_rows(one) for one in table.columns if one.name not in found]
    reordered = [
        pl.col(name).cast(dtype)
        for name, dtype in table.schema.items()
        if name in found and found[name] != dtype and _is_part(found[name], dtype)
    ]
    return [*lacking, *reordered]


def _of_old_rows(column: Column) -> pl.Expr:
    default = None if column.nullable else column.default
    return _value(default, column.dtype).alias(column.name)


def _value(default: object, dtype: pl.DataType) -> pl.Expr:
    return pl.lit(list(default) if isinstance(default, tuple) else default, dtype)


def _is_part(less: pl.DataType, more: pl.DataType) -> bool:
    """Return whether a type is the other one, or lacks only fields that it has; their order does not count."""
    match less, more:
        case pl.Struct(), pl.Struct():
            there = {field.name: field.dtype for field in more.fields}
            return all(one.name in there and _is_part(one.dtype, there[one.name]) for one in less.fields)  # type: ignore[arg-type]
        case pl.List(), pl.List():
            return _is_part(less.inner, more.inner)  # type: ignore[arg-type]
        case _:
            return less == more


def _difference(found: pl.DataType, declared: pl.DataType) -> str:
    """Return the first difference of two types, in words."""
    match found, declared:
        case pl.List(), pl.List():
            return _difference(found.inner, declared.inner)  # type: ignore[arg-type]
        case pl.Struct(), pl.Struct():
            there = {field.name: field.dtype for field in declared.fields}
            for one in found.fields:
                if one.name not in there:
                    return f"a field {one.name} that nobody declares, written by a later version"
                if not _is_part(one.dtype, there[one.name]):  # type: ignore[arg-type]
                    return f"{one.name}: {_difference(one.dtype, there[one.name])}"  # type: ignore[arg-type]
            return "no difference"
        case _:
            return f"is {found}, declared is {declared}"


def add(delta: DeltaTable, added: Sequence[Addition]) -> None:
    """Add the columns, and the fields within columns, to the table, in one commit."""
    empty = pl.DataFrame(schema={one.column: one.dtype for one in added})
    delta.alter.add_columns(list(Schema.from_arrow(empty.to_arrow().schema).fields))


def log_rows(added: Sequence[Addition], at: datetime) -> pl.DataFrame:
    """Return the rows of the log."""
    return pl.DataFrame(
        [
            {
                "tenant": REGISTRY_OWNER, "account": REGISTRY_OWNER, "date": at.date(), "changed_at": at, "table": one.table,
                "column": one.column, "old_type": None if one.was is None else str(one.was), "new_type": str(one.dtype), "code_version": __version__,
            }
            for one in added
        ],
        schema=TABLES[LOG].schema,
    )  # fmt: skip
