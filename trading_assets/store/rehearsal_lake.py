"""A lake that is read as it rests and written into memory alone: what a computation would write, without writing it.

What was written here lies over what rests, so a computation that follows reads it, too. What is compared with what, and
what becomes of the result, is `defs.rehearsal`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import polars as pl

from trading_assets.core.tables import TABLES
from trading_assets.store.lake import Lake, Written
from trading_assets.store.table_checks import checked


class RehearsalLake(Lake):
    """Reads go to the lake at `root` and what was written here before; writes stay here."""

    def __init__(self, root: Path | str) -> None:
        super().__init__(root)
        self.written: dict[str, dict[date, pl.DataFrame]] = {}
        self._hidden: Mapping[str, Collection[date]] = {}

    @contextmanager
    def without(self, hidden: Mapping[str, Collection[date]]) -> Iterator[None]:
        """Read what rests on these days of these tables as if there were nothing, while the block runs.

        A table that looks at its own earlier rows must not look at those it is to replace: they may be wrong, or gone.
        """
        self._hidden = hidden
        try:
            yield
        finally:
            self._hidden = {}

    def overwrite_dates(self, table: str, frame: pl.DataFrame, dates: Collection[date]) -> Written:
        frame = checked(TABLES[table], frame)
        for day in dates:
            self.written.setdefault(table, {})[day] = frame.filter(pl.col("date") == day)
        return Written(table, -1, frame.height)

    def append(self, table: str, frame: pl.DataFrame) -> Written:
        for (day,), rows in frame.group_by("date"):
            assert isinstance(day, date)
            resting = self.read(table, dates=[day])
            self.written.setdefault(table, {})[day] = pl.concat([resting, rows.select(resting.columns)])
        return Written(table, -1, frame.height)

    def replace(self, table: str, frame: pl.DataFrame) -> Written:
        days = {*self.dates(table), *frame["date"].to_list()}
        return self.overwrite_dates(table, frame, days)

    def scan(
        self,
        table: str,
        *,
        dates: Collection[date] | None = None,
        since: date | None = None,
        until: date | None = None,
        version: int | None = None,
    ) -> pl.LazyFrame:
        if not self.is_made(table):
            return self._unmade(table, dates, since, until)
        shown = dates
        if hidden := set(self._hidden.get(table, ())):
            # Named by days, so that no file of the others is opened.
            shown = [day for day in (super().dates(table) if dates is None else dates) if day not in hidden]
        resting = super().scan(table, dates=shown, since=since, until=until, version=version)
        over = {
            day: frame
            for day, frame in self.written.get(table, {}).items()
            if (dates is None or day in dates) and (since is None or day >= since) and (until is None or day <= until)
        }
        if not over or version is not None:
            return resting
        # A lake of an earlier version has its newer columns last: rows are put together in the declared order.
        names = TABLES[table].names
        kept = resting.filter(~pl.col("date").is_in(list(over))).select(names)
        return pl.concat([kept, *(frame.lazy().select(names) for frame in over.values())])

    def _unmade(
        self, table: str, dates: Collection[date] | None, since: date | None, until: date | None
    ) -> pl.LazyFrame:
        """Return what was written here of a table that does not rest yet."""
        frames = [
            frame
            for day, frame in self.written.get(table, {}).items()
            if (dates is None or day in dates) and (since is None or day >= since) and (until is None or day <= until)
        ]
        empty = pl.DataFrame(schema=TABLES[table].schema)
        return pl.concat([empty, *(frame.select(empty.columns) for frame in frames)]).lazy()

    def rows_by_date(self, table: str, version: int | None = None) -> dict[date, int]:
        counts = super().rows_by_date(table, version) if self.is_made(table) else {}
        if version is None:
            counts |= {day: frame.height for day, frame in self.written.get(table, {}).items()}
        return {day: rows for day, rows in counts.items() if rows}

    def dates(self, table: str) -> list[date]:
        if self.written.get(table) or not self.is_made(table):
            return sorted(self.rows_by_date(table))
        return super().dates(table)

    def forget(self, table: str, days: Collection[date]) -> None:
        """Let go of what was written on these days of a table here."""
        for day in days:
            self.written.get(table, {}).pop(day, None)
