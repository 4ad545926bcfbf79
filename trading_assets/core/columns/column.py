"""What a column and a table of the lake are, and which types may rest in one.

The tables themselves are declared in the modules beside this one and gathered in `core.tables`; how they rest
on disk is `store.lake`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

import polars as pl

DType: TypeAlias = pl.DataType

# Delta keeps these and gives them back as they were. It panics on, or changes, Enum, Categorical, Duration, Array,
# nanoseconds, unsigned integers and naive times, so none of them is ever declared.
STRING: DType = pl.String()
BOOLEAN: DType = pl.Boolean()
INTEGER: DType = pl.Int64()
FLOAT: DType = pl.Float64()
DATE: DType = pl.Date()
MOMENT: DType = pl.Datetime("us", "UTC")
DECIMAL: DType = pl.Decimal(38, 8)

PLAIN_TYPES: tuple[DType, ...] = (STRING, BOOLEAN, INTEGER, FLOAT, DATE, MOMENT, DECIMAL)


def is_allowed(dtype: DType) -> bool:
    """Whether Delta gives the type back as it was: one of the plain types, or lists and structs of them."""
    match dtype:
        case pl.List(inner=pl.DataType() as inner):
            return is_allowed(inner)
        case pl.Struct(fields=fields):
            return all(isinstance(field.dtype, pl.DataType) and is_allowed(field.dtype) for field in fields)
        case _:
            return dtype in PLAIN_TYPES


@dataclass(frozen=True)
class Column:
    """One column: what it says, its unit (empty when it has none), where the value comes from, what it may hold.

    `allowed` lists the only values of a text column; `lowest` and `highest` bound a number, both inclusive; `fields` say
    what the parts of a struct, or of a list of structs, are; `default` is what rows have that are older than the column.
    """

    name: str
    dtype: DType
    description: str
    unit: str = ""
    source: str = ""
    nullable: bool = False
    allowed: tuple[str, ...] = ()
    lowest: float | None = None
    highest: float | None = None
    fields: tuple[Column, ...] = ()
    default: str | int | float | bool | tuple[()] | None = None

    def named(self, name: str) -> Column:
        """Return the same column under another name."""
        return replace(self, name=name)

    def described(self, description: str) -> Column:
        """Return the same column with another description."""
        return replace(self, description=description)

    def or_null(self) -> Column:
        """Return the same column, allowed to be null."""
        return replace(self, nullable=True)


@dataclass(frozen=True)
class Table:
    """One table of the lake.

    `grain` says what one row is, `key` which columns name it (none: rows are as journalled), `keep_days` how old a day may
    get before `trading retain` drops it (None: it is kept for ever).
    """

    name: str
    stage: str
    grain: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    partition: str = "date"
    keep_days: int | None = None

    @property
    def schema(self) -> dict[str, DType]:
        """Names and types, in the order of the columns."""
        return {column.name: column.dtype for column in self.columns}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """Return one column. Raises KeyError for a name the table does not have."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name}")

    def empty(self) -> pl.DataFrame:
        """Return a frame of the table's schema without rows."""
        return pl.DataFrame(schema=self.schema)


def table(
    name: str,
    stage: str,
    grain: str,
    description: str,
    columns: Iterable[Column],
    key: Iterable[str] = (),
    *,
    keep_days: int | None = None,
) -> Table:
    """Declare a table: what every table has (tenant, account, date) comes first."""
    declared = Table(name, stage, grain, description, (*OWNER, *columns), tuple(key), keep_days=keep_days)
    names = declared.names
    if len(set(names)) != len(names) or not set(declared.key) <= set(names):
        raise ValueError(f"table {name}: a column is declared twice, or the key {declared.key} names none of {names}")
    return declared


OWNER: tuple[Column, ...] = (
    Column("tenant", STRING, "Tenant the row belongs to.", source="settings of the daemon"),
    Column(
        "account",
        STRING,
        "Trading account within the tenant, as named in the settings.",
        source="settings of the daemon",
    ),
    Column("date", DATE, "Day the row belongs to, the table's partition.", "UTC day", "core.columns"),
)


def text(name: str, description: str, source: str, *, allowed: tuple[str, ...] = (), nullable: bool = False) -> Column:
    """Declare a text column."""
    return Column(name, STRING, description, "", source, nullable, allowed)


def flag(name: str, description: str, source: str, *, nullable: bool = False) -> Column:
    """Declare a yes-or-no column."""
    return Column(name, BOOLEAN, description, "", source, nullable)


def count(name: str, description: str, unit: str, source: str, *, nullable: bool = False) -> Column:
    """Declare an integer column that is never negative."""
    return Column(name, INTEGER, description, unit, source, nullable, lowest=0)


def number(
    name: str,
    description: str,
    unit: str,
    source: str,
    *,
    nullable: bool = False,
    lowest: float | None = None,
    highest: float | None = None,
) -> Column:
    """Declare a float64 column."""
    return Column(name, FLOAT, description, unit, source, nullable, (), lowest, highest)


def share(name: str, description: str, unit: str, source: str, *, nullable: bool = False) -> Column:
    """Declare a float64 column from 0 to 1."""
    return Column(name, FLOAT, description, unit, source, nullable, (), 0.0, 1.0)


def moment(name: str, description: str, source: str, *, nullable: bool = False) -> Column:
    """Declare an instant in UTC."""
    return Column(name, MOMENT, description, "UTC", source, nullable)


def money(name: str, description: str, source: str, *, nullable: bool = False) -> Column:
    """Declare an amount of money."""
    return Column(name, DECIMAL, description, "account currency", source, nullable)


def vector(name: str, description: str, source: str, *, unit: str = "") -> Column:
    """Declare a list of float64."""
    return Column(name, pl.List(FLOAT), description, unit, source)


def texts(name: str, description: str, source: str) -> Column:
    """Declare a list of texts."""
    return Column(name, pl.List(STRING), description, "", source)
