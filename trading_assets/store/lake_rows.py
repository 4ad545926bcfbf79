"""Rows of a few days out of many tables at once, without the declarations: what one question about one id needs.

Whoever writes, or wants rows in a promised shape, uses `store.lake`, whose declarations and checks take most of a second to
import. Here a table is what its Delta log says; one that is not there has no rows. The log also says which files can hold
what is asked for, so of a year of days two files of a table are opened, and the others are not even planned for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from trading_assets.store.commit_notes import told_by

Row = dict[str, Any]
_Condition = tuple[str, str, Any]
_Files = list[_Condition] | list[list[_Condition]] | None
_LATEST = 20
_AT_ONCE = 4


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
        self._tables: dict[str, DeltaTable | None] = {}

    def ask(self, *asks: Ask) -> list[list[Row]]:
        """Return the rows of each question, all read together."""
        self.open({one.table for one in asks})
        frames = [self._frame(one) for one in asks]
        found = iter(pl.collect_all([frame for frame in frames if frame is not None]))
        return [next(found).to_dicts() if frame is not None else [] for frame in frames]

    def open(self, tables: Iterable[str]) -> None:
        """Read the logs of several tables at once: most of what a first question costs."""
        unread = [table for table in tables if table not in self._tables]
        if unread:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                self._tables.update(zip(unread, pool.map(self._opened, unread), strict=True))

    def at_version(self, ask: Ask, version: int) -> list[Row]:
        """Return the rows as they were in a version of the table."""
        frame = _asked(DeltaTable(f"{self.root}/{ask.table}", version=version), ask)
        return frame.collect().to_dicts() if frame is not None else []

    def written_at(self, table: str, day: date) -> datetime | None:
        """Return when the newest file of a day was written, as the table's log says; None when the day has none."""
        delta = self._delta(table)
        if delta is None:
            return None
        actions = delta.get_add_actions()
        days = pl.Series(actions.column("partition")).struct.field("date")
        latest = pl.Series(actions.column("modification_time")).filter(days == day).max()
        return datetime.fromtimestamp(int(str(latest)) / 1000, UTC) if latest is not None else None

    def note_of(self, table: str, at: datetime) -> dict[str, Any]:
        """Return what the commit of a file written at a time says of itself; empty when it is not among the latest."""
        delta = self._delta(table)
        commits = delta.history(_LATEST) if delta is not None else []
        after = [one for one in commits if datetime.fromtimestamp(one["timestamp"] / 1000, UTC) >= at]
        # Where all of them are later, the commit itself may be older than what was looked at.
        return told_by(after[-1]) if after and (len(after) < len(commits) or after[-1]["version"] == 0) else {}

    def _frame(self, ask: Ask) -> pl.LazyFrame | None:
        delta = self._delta(ask.table)
        return _asked(delta, ask) if delta is not None else None

    def _delta(self, table: str) -> DeltaTable | None:
        self.open([table])
        return self._tables[table]

    def _opened(self, table: str) -> DeltaTable | None:
        try:
            return DeltaTable(f"{self.root}/{table}")
        except TableNotFoundError:
            return None


def _asked(delta: DeltaTable, ask: Ask) -> pl.LazyFrame | None:
    """Return the rows asked for, not yet read; None when no file can hold one."""
    if not (files := delta.file_uris(file_pruning_predicate=_holding(ask))):
        return None
    frame = _rows(delta, files).filter(ask.where)
    if ask.dates is not None:
        frame = frame.filter(pl.col("date").is_in(list(ask.dates)))
    if ask.order:
        frame = frame.sort(ask.order)
    if ask.columns:
        frame = frame.select(ask.columns)
    return frame.drop(ask.without) if ask.without else frame


def _holding(ask: Ask) -> _Files:
    """Return what the log is asked for: files of the days, with one of the values."""
    on_days = [("date", "in", list(ask.dates))] if ask.dates is not None else []
    return [[*on_days, (column, "=", value)] for column, value in ask.one_of] or on_days or None


def _rows(delta: DeltaTable, files: list[str]) -> pl.LazyFrame:
    """Return some files of a table as Polars' own reading of it would: a file older than a column has nulls there."""
    if delta.protocol().min_reader_version > 1:
        # Rows that are marked as deleted, renamed columns: not of the lake's making, and the files alone do not tell.
        return pl.scan_delta(delta)
    return pl.scan_parquet(
        files, schema=pl.Schema(delta.schema()), hive_schema={"date": pl.Date}, missing_columns="insert",
        extra_columns="ignore",
    )  # fmt: skip
