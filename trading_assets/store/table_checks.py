"""What is checked of a frame before it may rest in the lake, told in one sentence.

The rules come from the declaration (`core.tables`). Rows are first looked at in one pass, which takes a tenth of pandera's
time and not the second pandera takes to import; only where something breaks a rule does pandera say what. Where frames rest
is `store.lake`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import polars as pl

from trading_assets.core.columns.column import Column, Table
from trading_assets.core.errors import InputError
from trading_assets.core.tables import TABLES, pandera_schema

if TYPE_CHECKING:
    from pandera.polars import DataFrameSchema

_HINT = "mend the rows where they are made; nothing was written"


@cache
def _schema(table: str) -> DataFrameSchema:
    return pandera_schema(TABLES[table])


def checked(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with its columns in the declared order.

    Raises InputError unless it has the table's columns and types, its nulls and values, and a unique key.
    """
    subject = f"table {table.name}"
    wrong = _shape_fault(table, frame)
    if wrong:
        raise InputError("check rows of", subject, wrong, _HINT)
    ordered = frame.select(table.names)
    if is_sound(table, ordered):
        return ordered
    from pandera.errors import SchemaErrors

    try:
        _schema(table.name).validate(ordered, lazy=True)
    except SchemaErrors as error:
        raise InputError("check rows of", subject, _value_fault(table, error.failure_cases), _HINT) from error
    return ordered


def is_sound(table: Table, frame: pl.DataFrame) -> bool:
    """Whether rows of the table's columns and types break none of its rules, as `pandera_schema` has them."""
    kept = [rule for column in table.columns for rule in _rules(column)]
    held = frame.select(rule.alias(str(number)) for number, rule in enumerate(kept))
    if kept and not all(held.row(0)):
        return False
    return not table.key or frame.select(table.key).n_unique() == frame.height


def _rules(column: Column) -> Iterator[pl.Expr]:
    """Yield what must be true of all values of a column; of a null only that it may be there."""
    values = pl.col(column.name)
    if not column.nullable:
        yield values.null_count() == 0
        if column.dtype.is_float():
            yield ~values.is_nan().any()
    if column.allowed:
        yield values.is_in(column.allowed).all()
    if column.lowest is not None:
        yield (values >= column.lowest).all()
    if column.highest is not None:
        yield (values <= column.highest).all()


def _shape_fault(table: Table, frame: pl.DataFrame) -> str:
    missing = [name for name in table.names if name not in frame.columns]
    surplus = [name for name in frame.columns if name not in table.names]
    if missing or surplus:
        return f"columns missing: {', '.join(missing) or 'none'}, not declared: {', '.join(surplus) or 'none'}"
    for name, dtype in table.schema.items():
        if frame.schema[name] != dtype:
            return f"column {name} is {frame.schema[name]}, declared is {dtype}"
    return ""


def _value_fault(table: Table, failures: pl.DataFrame) -> str:
    """Say each broken rule once, with how many rows break it and one of the values."""
    told = []
    for (column, check), cases in failures.group_by(["column", "check"], maintain_order=True):
        if check == "multiple_fields_uniqueness":
            told.append(f"{cases.height} rows share their key ({', '.join(table.key)})")
        elif check == "not_nullable":
            told.append(f"column {column} is null in {cases.height} rows")
        else:
            told.append(f"column {column} breaks {check} in {cases.height} rows, such as {cases['failure_case'][0]!r}")
    return "; ".join(told)
