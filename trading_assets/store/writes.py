"""Which run wrote a day of a table, with which code, from which versions of its sources: provenance, looked up.

A write leaves it in two places: in the Delta commit (`commit_notes`), which the table's log forgets in time, and, once its run
has ended, in a record of the journal (table raw_transforms). The time of a file, which the log keeps as long as the file is
part of the table, leads to both without a search.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from trading_assets.store.lake_rows import Ask, LakeRows, Row

TOLD = ("run_id", "code_version", "sources", "delta_version", "feature_sets")


def writes_of(rows: LakeRows, tables: Sequence[str], day: date) -> dict[str, dict[str, Any]]:
    """Return by table the run that wrote its rows of a day; when alone for a table whose write nobody has told of yet."""
    written = {table: at for table in tables if (at := rows.written_at(table, day)) is not None}
    days = sorted({at.date() + timedelta(days=late) for at in written.values() for late in (0, 1)})
    (runs,) = rows.ask(Ask("raw_transforms", pl.col("table").is_in(list(written)), days, order="known_at"))
    return {table: {"written_at": at} | _told(rows, runs, table, day, at) for table, at in written.items()}


def _told(rows: LakeRows, runs: list[Row], table: str, day: date, at: datetime) -> dict[str, Any]:
    # The record is made when the run has ended: the first one after the file is that of the run that wrote it.
    for run in runs:
        if run["table"] == table and run["known_at"] >= at and _covers(run["partitions"], day):
            return {name: run[name] for name in TOLD if name in run}
    return rows.note_of(table, at)


def _covers(partitions: str, day: date) -> bool:
    first, _, last = partitions.partition(" to ")
    return not last or first <= day.isoformat() <= last
