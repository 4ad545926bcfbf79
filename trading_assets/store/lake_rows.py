"""Rows of a few days out of many tables at once, without the declarations: what one question about one id needs.

Whoever writes, or wants rows in a promised shape, uses `store.lake`, whose declarations and checks take most of a second to
import. Here a table is what its log says (`store.table_log`); one that is not there has no rows. The log also says which files
can hold what is asked for, so of a year of days two files of a table are opened, and the others are not even planned for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from trading_assets.core.errors import StateError
from trading_assets.store.commit_notes import told_by
from trading_assets.store.table_files import rows_of_files
from trading_assets.store.table_log import TableLog, Unfamiliar, read_log

if TYPE_CHECKING:
    from trading_assets.store.delta_log import DeltaLog

Row = dict[str, Any]
_LATEST = 20


@dataclass(frozen=True)
class Ask:
    """Rows of a table for which a condition holds, on some days (None: on all), with some columns (none named: all).

    `one_of`: columns and values of which a row must have at least one for the condition to hold. Files that by the log's
    statistics have none of them are passed over; this is what makes a look-up over all days cheap.
    """

    table: str
    where: pl.Expr
    dates: Sequence[date] | None = None
    columns: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    order: str = ""
    one_of: tuple[tuple[str, str], ...] = ()


class LakeRows:
    """Reads a lake; every table's log is read once."""

    def __init__(self, root: Path | str) -> None:
        self.root = str(root).rstrip("/")
        self._logs: dict[str, TableLog | DeltaLog | None] = {}

    def ask(self, *asks: Ask) -> list[list[Row]]:
        """Return the rows of each question, all read together."""
        self.open({one.table for one in asks})
        frames = [self._frame(one) for one in asks]
        with _told():
            found = iter(pl.collect_all([frame for frame in frames if frame is not None]))
        return [next(found).to_dicts() if frame is not None else [] for frame in frames]

    def open(self, tables: Iterable[str]) -> None:
        """Read the logs of several tables."""
        # One after the other: most of it is Python, whose threads only get in each other's way.
        self._logs |= {table: self._opened(table) for table in tables if table not in self._logs}

    def at_version(self, ask: Ask, version: int) -> list[Row]:
        """Return the rows as they were in a version of the table."""
        log = self._opened(ask.table, version)
        frame = _asked(log, ask) if log is not None else None
        with _told():
            return frame.collect().to_dicts() if frame is not None else []

    def written_at(self, table: str, day: date) -> datetime | None:
        """Return when the newest file of a day was written, as the table's log says; None when the day has none."""
        log = self._log(table)
        latest = log.written_ms(day) if log is not None else None
        return datetime.fromtimestamp(latest / 1000, UTC) if latest is not None else None

    def note_of(self, table: str, at: datetime) -> dict[str, Any]:
        """Return what the commit of a file written at a time says of itself; empty when it is not among the latest."""
        log = self._log(table)
        commits = log.commits(_LATEST) if log is not None else []
        after = [one for one in commits if datetime.fromtimestamp(one["timestamp"] / 1000, UTC) >= at]
        # Where all of them are later, the commit itself may be older than what was looked at.
        return told_by(after[-1]) if after and (len(after) < len(commits) or after[-1]["version"] == 0) else {}

    def _frame(self, ask: Ask) -> pl.LazyFrame | None:
        log = self._log(ask.table)
        return _asked(log, ask) if log is not None else None

    def _log(self, table: str) -> TableLog | DeltaLog | None:
        self.open([table])
        return self._logs[table]

    def _opened(self, table: str, version: int | None = None) -> TableLog | DeltaLog | None:
        location = f"{self.root}/{table}"
        try:
            if "://" not in location:
                return read_log(location, version)
        except Unfamiliar:
            pass  # Delta's own reader understands it, or says what is wrong with it.
        from trading_assets.store.delta_log import read_delta

        return read_delta(location, version)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what a damaged file raises into one sentence. One that is cut off makes Polars panic, which is no Exception."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise StateError(
            "reading", "the lake", first, "run `trading selfcheck`, which names the table and mends it"
        ) from error


def _asked(log: TableLog | DeltaLog, ask: Ask) -> pl.LazyFrame | None:
    """Return the rows asked for, not yet read; None when no file can hold one."""
    if not (files := log.paths(ask.dates, ask.one_of)):
        return None
    frame = _rows(log, files).filter(ask.where)
    if ask.dates is not None:
        frame = frame.filter(pl.col("date").is_in(list(ask.dates)))
    if ask.order:
        frame = frame.sort(ask.order)
    if ask.columns:
        frame = frame.select(ask.columns)
    return frame.drop(ask.without) if ask.without else frame


def _rows(log: TableLog | DeltaLog, files: list[str]) -> pl.LazyFrame:
    """Return some files of a table as Polars' own reading of it would: a file older than a column has nulls there."""
    # Rows that are marked as deleted, renamed columns: not of the lake's making, and the files alone do not tell.
    if not isinstance(log, TableLog) and (told := log.rows_alone()) is not None:
        return told
    return rows_of_files(files, log.schema)
