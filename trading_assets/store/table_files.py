"""Where the files of a Delta table lie on this machine, and their rows: the one place that makes a path out of a log's entry.

The table library gives addresses, with `%20` for a blank, and Polars opens them letter by letter: in a folder with a blank, an
accent or a `#` in its name none is found. So a path is made of the entry of the log, which is relative and decoded once, and the
folder as we know it. Object stores have addresses and no folders: theirs are the library's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import unquote

import polars as pl

if TYPE_CHECKING:
    from deltalake import DeltaTable

# A later version's column is missing in an older file, and so is a field within a column.
_CASTS = pl.ScanCastOptions(
    integer_cast="upcast", float_cast=["upcast", "downcast"], datetime_cast=["nanosecond-downcast", "convert-timezone"],
    missing_struct_fields="insert", extra_struct_fields="ignore", categorical_to_string="allow",
)  # fmt: skip


def relative_path(entry: str) -> str:
    """Return the path, relative to the table's folder, of a file that the table's log names, percent-encoded."""
    return unquote(entry)


def file_path(folder: str, entry: str) -> str:
    """Return the path of a file that the table's log names."""
    return f"{folder}/{relative_path(entry)}"


def rows_of_files(files: Sequence[str], schema: pl.Schema) -> pl.LazyFrame:
    """Return the rows of files of a table that is partitioned by date; a file older than a column has nulls there."""
    if not files:
        return pl.LazyFrame(schema=schema)
    return pl.scan_parquet(
        list(files), glob=False, schema=schema, hive_partitioning=True, hive_schema={"date": pl.Date},
        cast_options=_CASTS, missing_columns="insert", extra_columns="ignore",
    ).select(schema.names())  # fmt: skip


def scan_table(
    delta: DeltaTable,
    folder: str,
    *,
    dates: Collection[date] | None = None,
    since: date | None = None,
    until: date | None = None,
) -> pl.LazyFrame:
    """Return the rows of one version of a table, of some days or all; only their files are opened."""
    if "://" in folder or delta.protocol().min_reader_version > 1:
        frame = rows_by_library(delta, folder)
    else:
        actions = pl.DataFrame(delta.get_add_actions(flatten=True))
        entries = actions.select("path", "partition.date").rows() if len(actions) else []
        frame = rows_of_files(
            [
                file_path(folder, entry)
                for entry, day in entries
                if (dates is None or day in dates)
                and (since is None or day >= since)
                and (until is None or day <= until)
            ],
            pl.Schema(delta.schema()),
        )
    if dates is not None:
        frame = frame.filter(pl.col("date").is_in(list(dates)))
    if since is not None:
        frame = frame.filter(pl.col("date") >= since)
    if until is not None:
        frame = frame.filter(pl.col("date") <= until)
    return frame


def rows_by_library(delta: DeltaTable, folder: str) -> pl.LazyFrame:
    """Return all rows as only the table library tells them: rows marked as deleted, columns renamed, no folder of ours."""
    if "://" in folder:
        return pl.scan_delta(delta)
    from deltalake import QueryBuilder

    rows = pl.DataFrame(QueryBuilder().register("rows", delta).execute('SELECT * FROM "rows"').read_all())
    schema = pl.Schema(delta.schema())
    return rows.lazy().select(pl.col(name).cast(dtype) for name, dtype in schema.items())
