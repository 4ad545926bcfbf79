"""One raw table for each record of the journal, derived from the record types: `raw_<tag>s`.

Nothing is declared here twice: name, description, unit and source of a column are those of the field. Nested structs
and tuples become Struct and List columns, decimals Decimal(38, 8), literals text.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import msgspec
import polars as pl

from trading_assets.core.columns.column import (
    BOOLEAN,
    DECIMAL,
    FLOAT,
    INTEGER,
    MOMENT,
    OWNER,
    STRING,
    Column,
    DType,
    Table,
)
from trading_assets.core.records.codec import RECORD_TYPES
from trading_assets.core.records.market import BookSnapshot, Quote
from trading_assets.core.records.operations import ComponentState, DaemonHeartbeat
from trading_assets.core.records.record import Record

_PLAIN: dict[type[msgspec.inspect.Type], DType] = {
    msgspec.inspect.StrType: STRING,
    msgspec.inspect.LiteralType: STRING,
    msgspec.inspect.BoolType: BOOLEAN,
    msgspec.inspect.IntType: INTEGER,
    msgspec.inspect.FloatType: FLOAT,
    msgspec.inspect.DateTimeType: MOMENT,
    msgspec.inspect.DecimalType: DECIMAL,
}

# Of these nobody asks after so long what each one said: bars, decisions and hours of health stay.
_KEEP_DAYS: dict[type[Record], int] = {Quote: 400, BookSnapshot: 400, DaemonHeartbeat: 400, ComponentState: 400}

JOURNAL_INDEX = Column(
    "journal_index",
    INTEGER,
    "Position among the records of this type on this day, in the order of the journal: breaks ties of known_at.",
    "rows",
    "journal",
    lowest=0,
)


def raw_name(kind: type[Record]) -> str:
    """Return the name of the raw table of a record type."""
    return f"raw_{kind.__struct_config__.tag}s"


@cache  # nested structs are asked for again and again: a second at every start without it
def field_columns(kind: type[msgspec.Struct]) -> Mapping[str, Column]:
    """Return the columns a struct's fields become, by name. Raises TypeError for a field without a lake type."""
    inspected = msgspec.inspect.type_info(kind)
    assert isinstance(inspected, msgspec.inspect.StructType)
    return MappingProxyType({field.encode_name: _column(kind, field) for field in inspected.fields})


def _column(kind: type[msgspec.Struct], field: msgspec.inspect.Field) -> Column:
    documented, inner = _unwrap(field.type)
    if documented is None or documented.extra is None or not documented.extra_json_schema:
        raise TypeError(
            f"{kind.__name__}.{field.name} has no description; annotate it with fields.doc or fields.moment"
        )
    core, nullable = _without_none(inner)
    return Column(
        name=field.encode_name,
        dtype=_dtype(core, f"{kind.__name__}.{field.name}"),
        description=str(documented.extra_json_schema["description"]),
        unit=documented.extra["unit"],
        source=documented.extra["source"],
        nullable=nullable,
        allowed=tuple(str(value) for value in core.values) if isinstance(core, msgspec.inspect.LiteralType) else (),
        fields=_fields(core),
        default=field.default if isinstance(field.default, (str, int, float, bool)) or field.default == () else None,
    )


def _fields(inspected: msgspec.inspect.Type) -> tuple[Column, ...]:
    """Return the parts of a struct, or of the structs of a tuple."""
    match inspected:
        case msgspec.inspect.StructType(cls=cls):
            return tuple(field_columns(cls).values())
        case msgspec.inspect.VarTupleType(item_type=item):
            return _fields(_unwrap(item)[1])
        case _:
            return ()


def _unwrap(inspected: msgspec.inspect.Type) -> tuple[msgspec.inspect.Metadata | None, msgspec.inspect.Type]:
    """Return the outermost documentation and the type beneath all of it."""
    documented = None
    while isinstance(inspected, msgspec.inspect.Metadata):
        documented = documented or inspected
        inspected = inspected.type
    return documented, inspected


def _without_none(inspected: msgspec.inspect.Type) -> tuple[msgspec.inspect.Type, bool]:
    """Return the type without None, and whether None was part of it."""
    if not isinstance(inspected, msgspec.inspect.UnionType):
        return inspected, False
    others = [kind for kind in inspected.types if not isinstance(kind, msgspec.inspect.NoneType)]
    if len(others) != 1:
        raise TypeError(f"a union of {len(others)} types cannot rest in one column")
    return _unwrap(others[0])[1], len(others) < len(inspected.types)


def _dtype(inspected: msgspec.inspect.Type, where: str) -> DType:
    core, _ = _without_none(_unwrap(inspected)[1])
    match core:
        case msgspec.inspect.StructType(cls=cls):
            return pl.Struct({name: column.dtype for name, column in field_columns(cls).items()})
        case msgspec.inspect.VarTupleType(item_type=item) | msgspec.inspect.ListType(item_type=item):
            return pl.List(_dtype(item, where))
        case _ if type(core) in _PLAIN:
            return _PLAIN[type(core)]
        case _:
            raise TypeError(f"{where}: {type(core).__name__} has no type in the lake")


def columns_of(kind: type[msgspec.Struct], *names: str) -> tuple[Column, ...]:
    """Return the columns of the named fields, in the given order; a derived table takes them over as they are."""
    columns = field_columns(kind)
    return tuple(columns[name] for name in names)


def payload_of(kind: type[Record]) -> tuple[Column, ...]:
    """Return the columns of the fields a record adds to what every record carries."""
    envelope = field_columns(Record)
    return tuple(column for name, column in field_columns(kind).items() if name not in envelope)


def _raw_table(kind: type[Record]) -> Table:
    description = " ".join((kind.__doc__ or "").split())
    said, _, grain = description.rpartition(" One row per ")
    if not said:
        raise TypeError(f"{kind.__name__}: its docstring must end with the grain, 'One row per ...'")
    columns = dict(field_columns(kind))
    return Table(
        name=raw_name(kind),
        stage="raw",
        grain=f"One row per {grain}",
        description=f"{said} As journalled.",
        columns=(
            columns.pop("tenant"),
            columns.pop("account"),
            OWNER[2].described("Day of known_at, the table's partition."),
            JOURNAL_INDEX,
            *columns.values(),
        ),
        keep_days=_KEEP_DAYS.get(kind),
    )


RAW_TABLES: tuple[Table, ...] = tuple(_raw_table(kind) for kind in RECORD_TYPES)
