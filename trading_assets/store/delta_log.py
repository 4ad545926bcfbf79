"""The log of a Delta table as Delta's own reader has it: of object stores, and whatever `store.table_log` is not made for.

The same questions and the same answers as there, at several times the price.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import PurePosixPath
from typing import Any

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from trading_assets.core.errors import StateError
from trading_assets.store.table_files import file_path, rows_by_library
from trading_assets.store.table_log import commits_of

_Condition = tuple[str, str, Any]


class DeltaLog:
    """What Delta says of one version of a table."""

    def __init__(self, table: DeltaTable, location: str) -> None:
        self._table = table
        self._location = location
        self.schema = pl.Schema(table.schema())

    def rows_alone(self) -> pl.LazyFrame | None:
        """Return the rows as only Delta's rules tell them (marked as deleted, renamed); None when files are enough."""
        if self._table.protocol().min_reader_version > 1:
            return rows_by_library(self._table, self._location)
        return None

    def paths(self, dates: Sequence[date] | None = None, one_of: Sequence[tuple[str, str]] = ()) -> list[str]:
        """Return the files of the dates that can hold, by their statistics, one of the values in its column."""
        on_days: list[_Condition] = [("date", "in", list(dates))] if dates is not None else []
        either: list[list[_Condition]] = [[*on_days, (column, "=", value)] for column, value in one_of]
        addresses = list(self._table.file_uris(file_pruning_predicate=either or on_days or None))
        if "://" in self._location or not addresses:
            return addresses
        entries = map(str, pl.DataFrame(self._table.get_add_actions())["path"])
        # Of an address only the file's own name is sure, and it holds a random number.
        chosen = {PurePosixPath(address).name for address in addresses}
        paths = [file_path(self._location, entry) for entry in entries]
        return [path for path in paths if PurePosixPath(path).name in chosen]

    def written_ms(self, day: date) -> int | None:
        """Return when the newest file of a day was written; None when the day has none."""
        actions = self._table.get_add_actions()
        days = pl.Series(actions.column("partition")).struct.field("date")
        latest = pl.Series(actions.column("modification_time")).filter(days == day).max()
        return int(str(latest)) if latest is not None else None

    def commits(self, limit: int) -> list[dict[str, Any]]:
        """Return what the latest commits note, newest first, each with its version; fewer where the log has fewer."""
        if "://" in self._location:
            return self._table.history(limit)
        return commits_of(self._location, self._table.version(), limit)


def read_delta(location: str, version: int | None = None) -> DeltaLog | None:
    """Return what Delta says of a version of a table, the newest for None; None when no table is there.

    Raises StateError for a log that is damaged.
    """
    try:
        return DeltaLog(DeltaTable(location, version=version), location)
    except TableNotFoundError:
        return None
    except DeltaError as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise StateError("reading", location, f"its log cannot be read ({first})", "run `trading selfcheck`") from error
