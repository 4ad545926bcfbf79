"""Many journal lines of one record type as one frame of its raw table, fast and with floats bit-identical.

Which lines to read is the journal's business; where the frame rests is `store.lake`. polars' NDJSON reader parses
floats exactly and refuses a number that is none; times and decimals are read as text and converted after it, ten
times faster, decimals rounded half to even at the eighth place (the journal keeps every digit).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
import polars as pl
import pyarrow

from trading_assets.core.columns.column import DECIMAL, MOMENT, STRING, DType, Table
from trading_assets.core.columns.raw import JOURNAL_INDEX
from trading_assets.core.errors import InputError, StateError
from trading_assets.core.records.codec import RECORD_TYPES, encode_record
from trading_assets.core.records.record import Record
from trading_assets.core.tables import TABLES, raw_name

_KIND_OF_TABLE = {raw_name(kind): kind for kind in RECORD_TYPES}
_LAKE_COLUMNS = ("date", JOURNAL_INDEX.name)
_CHUNK_BYTES = 8 << 20
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%.fZ"
_HINT = "run `trading verify` and keep the line for inspection"


def records_frame(table: str, rows: Sequence[Record] | Sequence[bytes], *, first_index: int = 0) -> pl.DataFrame:
    """Return records, or their journal lines, as a frame of the raw table, in the given order.

    `table` is a raw table's name. journal_index counts the rows of each day; a day passed in several calls continues
    its count with `first_index`. Raises InputError for a table that is not raw, StateError for a line that is not such a record.
    """
    kind = _KIND_OF_TABLE.get(table)
    if kind is None:
        raise InputError("read records into", table, "it is not a raw table", f"use one of {', '.join(_KIND_OF_TABLE)}")
    lines = [row if isinstance(row, bytes) else encode_record(row) for row in rows]
    _check_tags(kind, lines)
    declared = TABLES[table]
    wire = {name: dtype for name, dtype in declared.schema.items() if name not in _LAKE_COLUMNS}
    try:
        chunks = [_parsed(chunk, wire) for chunk in _chunks(lines)] or [_parsed([], wire)]
    except pl.exceptions.PolarsError as error:
        first_words = str(error).splitlines()[0]
        raise StateError("read records into", table, f"a line does not fit the record: {first_words}", _HINT) from error
    frame = pl.DataFrame(pyarrow.concat_tables(chunks))
    if frame.height != len(lines):
        raise StateError("read records into", table, f"{len(lines)} lines gave {frame.height} rows", _HINT)
    return _completed(kind, declared, frame, first_index)


def _chunks(lines: list[bytes]) -> Iterator[list[bytes]]:
    """Split the lines so that the parser's working memory, ten times a chunk's text, stays small."""
    start = size = 0
    for end, line in enumerate(lines, 1):
        size += len(line)
        if size >= _CHUNK_BYTES or end == len(lines):
            yield lines[start:end]
            start, size = end, 0


def _parsed(lines: list[bytes], wire: dict[str, DType]) -> pyarrow.Table:
    """Parse the lines into the types of the table; as an Arrow table, since a parsed frame keeps 15 times its text."""
    parsed = pl.read_ndjson(b"\n".join(lines), schema={name: _wire_type(dtype) for name, dtype in wire.items()})
    return parsed.select(_from_wire(pl.col(name), dtype) for name, dtype in wire.items()).to_arrow()


def _check_tags(kind: type[Record], lines: Iterable[bytes]) -> None:
    prefix = b'{"type":"%s"' % str(kind.__struct_config__.tag).encode()
    for number, line in enumerate(lines, 1):
        if not line.startswith(prefix):
            shown = line[:60].decode(errors="replace")
            raise StateError(
                "read records into",
                raw_name(kind),
                f"line {number} starts with {shown!r}",
                f"pass only lines that start with {prefix.decode()}",
            )


def _wire_type(dtype: DType) -> DType:
    """The type a value has in JSON: as in the table, but times and decimals are text."""
    match dtype:
        case pl.List(inner=pl.DataType() as inner):
            return pl.List(_wire_type(inner))
        case pl.Struct(fields=fields):
            return pl.Struct({field.name: _wire_type(_dtype(field)) for field in fields})
        case _:
            return STRING if dtype in (MOMENT, DECIMAL) else dtype


def _from_wire(value: pl.Expr, dtype: DType) -> pl.Expr:
    """Convert the text of times and decimals, however deep they lie; what needs no conversion is not touched."""
    if _wire_type(dtype) == dtype:
        return value
    match dtype:
        case pl.List(inner=pl.DataType() as inner):
            return value.list.eval(_from_wire(pl.element(), inner))
        case pl.Struct(fields=fields):
            changed = (field for field in fields if _wire_type(_dtype(field)) != field.dtype)
            return value.struct.with_fields(_from_wire(pl.field(field.name), _dtype(field)) for field in changed)
        case _ if dtype == MOMENT:
            return value.str.to_datetime(_TIME_FORMAT, time_unit="us", time_zone="UTC")
        case _:
            return value.cast(dtype)


def _dtype(field: pl.Field) -> DType:
    assert isinstance(field.dtype, pl.DataType)
    return field.dtype


def _completed(kind: type[Record], table: Table, frame: pl.DataFrame, first_index: int) -> pl.DataFrame:
    """Add the lake's own columns, and the defaults of fields that lines of an older schema do not have."""
    defaults = [
        pl.col(field.encode_name).fill_null(field.default)
        for field in msgspec.structs.fields(kind)
        if isinstance(field.default, (str, int, float, bool))
    ]
    defaults += [
        pl.col(name).fill_null(pl.lit([], dtype))
        for name, dtype in table.schema.items()
        if table.column(name).default == ()
    ]
    dated = frame.with_columns(
        *defaults,
        pl.col("known_at").dt.date().alias("date"),
    )
    index = first_index + pl.int_range(pl.len(), dtype=pl.Int64).over("date")
    return dated.with_columns(index.alias("journal_index")).select(table.names)
