"""Rows that rest held against rows that are due, as pure functions over frames: what is missing, surplus, or another.

Where the two come from is `defs.rehearsal` and `defs.selfcheck`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import msgspec
import polars as pl

from trading_assets.core.columns.column import Table

_JOURNAL = ("tenant", "account", "date", "journal_index")


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """How the rows of one day of a table differ from those that are due. `example` names one that does."""

    table: str
    day: date
    due: int
    resting: int
    missing: int
    surplus: int
    changed: int
    columns: tuple[str, ...]
    example: str

    @property
    def is_equal(self) -> bool:
        """Whether they are the same rows."""
        return not (self.missing or self.surplus or self.changed)

    def words(self) -> str:
        """Say what is wrong."""
        told = [f"{count} {what}" for count, what in ((self.missing, "missing"), (self.surplus, "too many"), (self.changed, "changed")) if count]  # fmt: skip
        columns = f" in {', '.join(self.columns[:5])}" if self.columns else ""
        return f"{self.resting} rows: {', '.join(told)}{columns}, such as {self.example}" if told else "the same rows"


def identity_of(table: Table) -> list[str]:
    """Return the columns that name a row: the key, or its place in the journal."""
    names = table.key or _JOURNAL
    return list(dict.fromkeys(("tenant", "account", *(name for name in names if name in table.names))))


def compare_rows(table: Table, day: date, resting: pl.DataFrame, due: pl.DataFrame) -> Compared:
    """Compare the rows of one day, whatever their order."""
    key = identity_of(table)
    resting, due = (
        frame.select(table.names).sort(key, nulls_last=True, maintain_order=True) for frame in (resting, due)
    )
    if resting.equals(due):
        return _compared(table, day, resting, due)
    missing = _surplus(due, resting, key)
    surplus = _surplus(resting, due, key)
    once = resting.unique(key, keep="first", maintain_order=True)
    both = due.join(once.select(key), on=key, how="semi", nulls_equal=True)
    theirs = both.select(key).join(once, on=key, how="left", nulls_equal=True, maintain_order="left")
    unequal = {name: both[name].ne_missing(theirs[name]) for name in table.names if name not in key}
    columns = tuple(name for name, flags in unequal.items() if flags.any())
    differs = pl.Series([False] * both.height, dtype=pl.Boolean)
    for name in columns:
        differs |= unequal[name]
    changed = both.filter(differs)
    example = next((frame.select(key) for frame in (missing, surplus, changed) if frame.height), due.select(key))
    return _compared(
        table, day, resting, due, missing=missing.height, surplus=surplus.height, changed=changed.height, columns=columns,
        example=_named(example, key),
    )  # fmt: skip


def _surplus(more: pl.DataFrame, less: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Return the rows that one has more often than the other, one row a key."""
    counted = more.group_by(key, maintain_order=True).len("mine")
    other = less.group_by(key, maintain_order=True).len("theirs")
    joined = counted.join(other, on=key, how="left", nulls_equal=True).with_columns(pl.col("theirs").fill_null(0))
    more_often = joined.filter(pl.col("mine") > pl.col("theirs"))
    return more_often.select(pl.all().repeat_by(pl.col("mine") - pl.col("theirs")).explode())


def _named(rows: pl.DataFrame, key: Sequence[str]) -> str:
    if rows.is_empty():
        return "their order"
    return ", ".join(f"{name} {rows[name][0]}" for name in key if name not in ("tenant", "date"))


def _compared(
    table: Table,
    day: date,
    resting: pl.DataFrame,
    due: pl.DataFrame,
    *,
    missing: int = 0,
    surplus: int = 0,
    changed: int = 0,
    columns: tuple[str, ...] = (),
    example: str = "",
) -> Compared:
    return Compared(
        table=table.name, day=day, due=due.height, resting=resting.height, missing=missing, surplus=surplus, changed=changed,
        columns=columns, example=example,
    )  # fmt: skip
