"""Rows of a few days out of many tables at once, without the declarations: what one question about one id needs.

Whoever writes, or wants rows in a promised shape, uses `store.lake`, whose declarations and checks take most of a second to
import. Here a table is what its Delta log says; one that is not there has no rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from trading_assets.store.commit_notes import told_by

Row = dict[str, Any]
_LATEST = 20


@dataclass(frozen=True)
class Ask:
    """Rows of a table for which a condition holds, on some days (None: on all), with some columns (none named: all)."""

    table: str
    where: pl.Expr
    dates: Sequence[date] | None = None
    columns: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    order: str = ""


class LakeRows:
    """Reads a lake; every table's log is read once."""

    def __init__(self, root: Path | str) -> None:
        self.root = str(root).rstrip("/")
        self._tables: dict[str, DeltaTable | None] = {}

    def ask(self, *asks: Ask) -> list[list[Row]]:
        """Return the rows of each question, all read together."""
        frames = [self._frame(one) for one in asks]
        found = iter(pl.collect_all([frame for frame in frames if frame is not None]))
        return [next(found).to_dicts() if frame is not None else [] for frame in frames]

    def at_version(self, ask: Ask, version: int) -> list[Row]:
        """Return the rows as they were in a version of the table."""
        frame = _asked(pl.scan_delta(DeltaTable(f"{self.root}/{ask.table}", version=version)), ask)
        return frame.collect().to_dicts()

    def written_at(self, table: str, day: date) -> datetime | None:
        """Return when the newest file of a day was written, as the table's log says; None when the day has none."""
        delta = self._delta(table)
        if delta is None:
            return None
        actions = pl.DataFrame(delta.get_add_actions(flatten=True))
        times = actions.filter(pl.col("partition.date").cast(pl.String) == day.isoformat())[
            "modification_time"
        ].to_list()
        latest = max(times, default=None)
        if latest is None:
            return None
        return (
            latest.replace(tzinfo=UTC) if isinstance(latest, datetime) else datetime.fromtimestamp(latest / 1000, UTC)
        )

    def note_of(self, table: str, at: datetime) -> dict[str, Any]:
        """Return what the commit of a file written at a time says of itself; empty when it is not among the latest."""
        delta = self._delta(table)
        commits = delta.history(_LATEST) if delta is not None else []
        after = [one for one in commits if datetime.fromtimestamp(one["timestamp"] / 1000, UTC) >= at]
        # Where all of them are later, the commit itself may be older than what was looked at.
        return told_by(after[-1]) if after and (len(after) < len(commits) or after[-1]["version"] == 0) else {}

    def _frame(self, ask: Ask) -> pl.LazyFrame | None:
        delta = self._delta(ask.table)
        return _asked(pl.scan_delta(delta), ask) if delta is not None else None

    def _delta(self, table: str) -> DeltaTable | None:
        if table not in self._tables:
            try:
                self._tables[table] = DeltaTable(f"{self.root}/{table}")
            except TableNotFoundError:
                self._tables[table] = None
        return self._tables[table]


def _asked(frame: pl.LazyFrame, ask: Ask) -> pl.LazyFrame:
    if ask.dates is not None:
        frame = frame.filter(pl.col("date").is_in(list(ask.dates)))
    frame = frame.filter(ask.where)
    if ask.order:
        frame = frame.sort(ask.order)
    if ask.columns:
        frame = frame.select(ask.columns)
    return frame.drop(ask.without) if ask.without else frame
