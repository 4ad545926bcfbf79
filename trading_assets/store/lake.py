"""The lake: every table of `core.tables` as a Delta table, partitioned by date, checked on write, counted back.

What the tables and columns mean is `core.tables`; which asset writes which is `defs`; journal lines become frames
in `store.raw_frames`. A write is one Delta commit: readers see all of it or nothing (invariant 2), and a date that
is written again replaces itself, so doing it twice is doing it once (invariant 3).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pyarrow.fs
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from trading_assets.core.columns.column import Table
from trading_assets.core.errors import InputError, StateError, UnavailableError
from trading_assets.core.tables import TABLES
from trading_assets.store.commit_notes import Provenance
from trading_assets.store.schema_changes import LOG, add, additions, as_declared, log_rows
from trading_assets.store.table_files import relative_path, scan_table
from trading_assets.store.table_log import commits_of

_TORN_HINT = "run `trading selfcheck`; what it cannot mend, restore from a backup"
_CREATE_HINT = "create the tables with Lake.ensure_tables"


UNREADABLE = (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What reading damaged files raises. A file that is cut off makes Polars panic, which is no Exception."""


@dataclass(frozen=True)
class Written:
    """What a write left behind: the table's Delta version after it, and the rows counted back from disk."""

    table: str
    version: int
    rows: int


class Lake:
    """The Delta tables under one root: a folder, or the URI of an object store."""

    def __init__(self, root: Path | str) -> None:
        self.root = str(root)
        self.provenance = Provenance()

    def path(self, table: str) -> str:
        """Where the table rests. Raises InputError for a table that is not declared."""
        return f"{self.root.rstrip('/')}/{_declared(table).name}"

    def is_made(self, table: str) -> bool:
        """Whether the table is there: a lake of an earlier version lacks those declared since, until `ensure_tables`."""
        resting = self.path(table)
        return "://" in resting or (Path(resting) / "_delta_log").is_dir()

    def ensure_tables(self) -> int:
        """Create every table that is not there yet, empty, and add columns that are newly declared, with a log of it.

        Returns how many columns a lake of an earlier version got.

        Raises StateError when one has columns or types that are not declared; then nothing was changed. A table whose log
        is damaged is left as it is: whoever asks for it is told, and the others can be used.
        """
        there = [name for name in TABLES if DeltaTable.is_deltatable(self.path(name))]
        resting = {name: delta for name in there if (delta := self._readable(name)) is not None}
        lacking = {name: added for name, delta in resting.items() if (added := additions(TABLES[name], delta))}
        for name, added in lacking.items():
            with told("add columns to", name):
                add(resting[name], added)
                self._fill(name, [value for one in added if (value := one.filled) is not None])
        for table in TABLES.values():
            if table.name not in there:
                self.create(table)
        if lacking:
            self.append(LOG, log_rows([one for added in lacking.values() for one in added], datetime.now(UTC)))
        return sum(len(added) for added in lacking.values())

    def _readable(self, table: str) -> DeltaTable | None:
        try:
            return DeltaTable(self.path(table))
        except DeltaError:
            return None

    def torn_commit(self, table: str) -> str:
        """Return the name of the table's last commit when it is cut off or empty, as a power cut leaves it; else nothing."""
        newest = max((Path(self.path(table)) / "_delta_log").glob("[0-9]*.json"), default=None)
        return newest.name if newest is not None and not _is_commit(newest.read_bytes()) else ""

    def drop_torn_commit(self, table: str) -> None:
        """Take a last commit that is cut off out of the table's log, kept beside it: the table is as it was before it."""
        if name := self.torn_commit(table):
            folder = Path(self.path(table))
            (folder / "_delta_log" / name).replace(folder / f"_torn-{name}")

    def create(self, table: Table) -> None:
        """Create one table if it is not there yet. Raises StateError when it has columns or types that are not declared."""
        with told("create", table.name):
            path = self.path(table.name)
            if DeltaTable.is_deltatable(path):
                additions(table, DeltaTable(path))
                return
            DeltaTable.create(
                path,
                schema=table.empty().to_arrow().schema,
                mode="ignore",
                partition_by=[table.partition],
                name=table.name,
                description=f"{table.description} {table.grain}",
                configuration=_configuration(table),
            )

    def _fill(self, table: str, values: list[pl.Expr]) -> None:
        """Give rows that are older than some columns the values of these, day by day."""
        for day in self.dates(table) if values else ():
            frame = self.scan(table, dates=[day]).with_columns(values).collect()
            write_deltalake(self._open(table), frame.to_arrow(), mode="overwrite", predicate=_date_predicate([day]))

    def overwrite_dates(self, table: str, frame: pl.DataFrame, dates: Collection[date]) -> Written:
        """Replace exactly these dates by the frame, in one commit; an empty frame clears them.

        Raises InputError when the frame is not of the table's shape or holds another date, StateError when the rows
        counted back are not those written, UnavailableError when another writer replaced the same dates meanwhile.
        """
        declared = _declared(table)
        if not dates:
            raise InputError("write", f"table {table}", "no dates were given", "name the dates the frame replaces")
        foreign = sorted(set(frame["date"].unique().to_list()) - set(dates)) if "date" in frame.columns else []
        if foreign:
            raise InputError(
                "write",
                f"table {table}",
                f"the frame holds {foreign[0]}, which is not to be replaced",
                "give every date of the frame",
            )
        frame = _checked(declared, frame)
        predicate = _date_predicate(dates)
        with told("write", table):
            delta = self._open(table)
            if frame.is_empty():
                if set(dates) & set(_dates(delta)):
                    delta.delete(predicate, commit_properties=self.provenance.of_write(table))
            else:
                note = self.provenance.of_write(table)
                write_deltalake(delta, frame.to_arrow(), mode="overwrite", predicate=predicate, commit_properties=note)
        return self._counted(table, frame.height, dates)

    def append(self, table: str, frame: pl.DataFrame) -> Written:
        """Add the frame's rows as a new version. Raises InputError when a row's key is in the table already."""
        declared = _declared(table)
        frame = _checked(declared, frame)
        if frame.is_empty():
            return Written(table, self.version(table), 0)
        dates = frame["date"].unique().to_list()
        before = self._open(table)
        self._refuse_known_keys(declared, frame, dates)
        present = self._count(table, before, dates)
        with told("append to", table):
            note = self.provenance.of_write(table)
            write_deltalake(self.path(table), frame.to_arrow(), mode="append", commit_properties=note)
        after = self._open(table)
        added = self._count(table, after, dates) - present
        if added < frame.height or (added != frame.height and after.version() == before.version() + 1):
            raise StateError(
                "append to",
                f"table {table}",
                f"{frame.height} rows were written and {added} read back",
                "check the disk and write again",
            )
        return Written(table, after.version(), frame.height)

    def replace(self, table: str, frame: pl.DataFrame) -> Written:
        """Replace the whole table, in one commit. Registries are written so; tables of days by `overwrite_dates`."""
        frame = _checked(_declared(table), frame)
        with told("write", table):
            note = self.provenance.of_write(table)
            write_deltalake(self._open(table), frame.to_arrow(), mode="overwrite", commit_properties=note)
        return self._counted(table, frame.height, None)

    def read(
        self,
        table: str,
        *,
        dates: Collection[date] | None = None,
        since: date | None = None,
        until: date | None = None,
        columns: Sequence[str] | None = None,
        version: int | None = None,
    ) -> pl.DataFrame:
        """Return rows in the order of date and key (raw tables: of the journal), only files of those dates are read.

        `since` and `until` are inclusive; `version` reads the table as it was.
        """
        declared = _declared(table)
        wanted = list(columns) if columns is not None else list(declared.names)
        order = list(dict.fromkeys(("date", *(declared.key or _JOURNAL_ORDER))))
        order = [name for name in order if name in declared.names]
        if unknown := [name for name in wanted if name not in declared.names]:
            raise InputError(
                "read", f"table {table}", f"it has no column {unknown[0]}", f"use {', '.join(declared.names)}"
            )
        rows = (
            self.scan(table, dates=dates, since=since, until=until, version=version)
            .select(*wanted, *(pl.col(name).alias(f"__{name}") for name in order if name not in wanted))
            .sort([name if name in wanted else f"__{name}" for name in order], maintain_order=True)
            .select(wanted)
        )
        with told("read", table):
            return rows.collect()

    def scan(
        self,
        table: str,
        *,
        dates: Collection[date] | None = None,
        since: date | None = None,
        until: date | None = None,
        version: int | None = None,
    ) -> pl.LazyFrame:
        """Return the same as a lazy frame, in no particular order."""
        with told("read", table):
            delta = self._open(table, version)
            self.provenance.read(table, delta.version())
            rows = scan_table(delta, self.path(table), dates=dates, since=since, until=until)
            return rows.with_columns(as_declared(TABLES[table], delta))

    def dataset(self, table: str) -> Any:
        """Return the table as a pyarrow dataset: what DuckDB and dbt read."""
        with told("read", table):
            delta = self._open(table)
            if "://" in self.root:
                return delta.to_pyarrow_dataset()
            # Files are read by Arrow itself: delta's own file system is Python, whose lock DuckDB may hold while it waits.
            files = pyarrow.fs.SubTreeFileSystem(self.path(table), pyarrow.fs.LocalFileSystem())
            return delta.to_pyarrow_dataset(filesystem=files)

    def dates(self, table: str) -> list[date]:
        """Return the dates that have rows, in order; only the table's log is read."""
        with told("read", table):
            return _dates(self._open(table))

    def properties(self, table: str) -> dict[str, str]:
        """Return what is noted of the table as a whole."""
        with told("read", table):
            noted: dict[str, str] = self._open(table).metadata().configuration
            return dict(noted)

    def version(self, table: str) -> int:
        """Return the table's current Delta version."""
        with told("read", table):
            return self._open(table).version()

    def history(self, table: str, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the table's latest commits, newest first: version, timestamp, operation, metrics, note of the writer."""
        with told("read", table):
            return self._history(table, self._open(table), limit)

    def _history(self, table: str, delta: DeltaTable, limit: int | None) -> list[dict[str, Any]]:
        return delta.history(limit) if "://" in self.root else commits_of(self.path(table), delta.version(), limit)

    def rows_by_date(self, table: str, version: int | None = None) -> dict[date, int]:
        """Return the number of rows of each date, from the table's log alone."""
        with told("read", table):
            counts: dict[date, int] = {}
            for day, _, rows in _files(self._open(table, version)):
                counts[day] = counts.get(day, 0) + rows
        return counts

    def row_count(self, table: str, version: int | None = None) -> int:
        """Return the number of rows, from the table's log alone."""
        return sum(self.rows_by_date(table, version).values())

    def files(self, table: str) -> dict[date, frozenset[str]]:
        """Return the paths of each date's files, relative to the table, from the table's log alone."""
        with told("read", table):
            found: dict[date, set[str]] = {}
            for day, path, _ in _files(self._open(table)):
                found.setdefault(day, set()).add(path)
        return {day: frozenset(paths) for day, paths in found.items()}

    def changed_dates(self, table: str, earlier: int | None, later: int) -> set[date]:
        """Return the dates whose files differ between two versions; all of `later` for None. Only the log is read."""
        with told("read", table):
            new = {(day, path) for day, path, _ in _files(self._open(table, later))}
            old = {(day, path) for day, path, _ in _files(self._open(table, earlier))} if earlier is not None else set()
        return {day for day, _ in new ^ old}

    def committed_at(self, table: str, version: int) -> datetime:
        """Return when a version was committed."""
        with told("read", table):
            delta = self._open(table)
            known = self._history(table, delta, delta.version() - version + 1)
            commits = [one for one in known if one["version"] == version]
            if not commits:  # dropped, and the checkpoint of it kept
                checkpoint = Path(self.path(table)) / "_delta_log" / f"{version:020d}.checkpoint.parquet"
                return datetime.fromtimestamp(checkpoint.stat().st_mtime, tz=UTC)
        return datetime.fromtimestamp(commits[0]["timestamp"] / 1000, tz=UTC)

    def restore(self, table: str, version: int) -> int:
        """Make a new version with the content of an old one; return its number. No file is written or deleted."""
        with told("restore", table):
            delta = self._open(table)
            delta.restore(version, commit_properties=self.provenance.of_write(table))
        return self.version(table)

    def vacuum(self, table: str, keep: timedelta) -> int:
        """Delete files that no version within `keep` needs; return how many. Older versions can then not be read.

        Raises InputError for tables of the stage learning: promotions name their versions for ever.
        """
        if keeps_versions(_declared(table)):
            raise InputError("vacuum", f"table {table}", "promotions name its versions", "leave it as it is")
        with told("vacuum", table):
            hours = int(keep.total_seconds() // 3600)
            return len(self._open(table).vacuum(hours, dry_run=False, enforce_retention_duration=False))

    def _open(self, table: str, version: int | None = None) -> DeltaTable:
        try:
            return DeltaTable(self.path(table), version=version)
        except TableNotFoundError as error:
            raise StateError(
                "open", f"table {table}", f"there is no Delta table at {self.path(table)}", _CREATE_HINT
            ) from error
        except DeltaError as error:
            what = "its log" if version is None else f"version {version}"
            hint = _TORN_HINT if version is None else "name a version of Lake.history"
            raise StateError("open", f"table {table}", f"{what} cannot be read ({first_line(error)})", hint) from error

    def _refuse_known_keys(self, table: Table, frame: pl.DataFrame, dates: Collection[date]) -> None:
        if not table.key:
            return
        known = self.scan(table.name, dates=dates).select(table.key)
        again = known.join(frame.lazy().select(table.key), on=table.key, how="semi", nulls_equal=True).collect()
        if not again.is_empty():
            raise InputError(
                "append to",
                f"table {table.name}",
                f"{again.height} rows are there already, such as {again.row(0)}",
                "append only new rows",
            )

    def _count(self, table: str, delta: DeltaTable, dates: Collection[date] | None) -> int:
        return int(scan_table(delta, self.path(table), dates=dates).select(pl.len()).collect().item())

    def _counted(self, table: str, expected: int, dates: Collection[date] | None) -> Written:
        with told("read back", table):
            delta = self._open(table)
            found = self._count(table, delta, dates)
        if found != expected:
            raise StateError(
                "write",
                f"table {table}",
                f"{expected} rows were written and {found} read back",
                "check the disk and write again",
            )
        return Written(table, delta.version(), found)


# Whoever opens a table, each write too, reads its newest checkpoint and every commit after it. Delta's own interval, 100
# commits, is most of the time of a short question.
_CHECKPOINT_INTERVAL = "10"
# Rows are found by their day. Only numbers of the terminal tell none: of these alone the log says which file can hold them.
# Least and greatest value of every column made the log, which is read whole, ten times as large.
_WITHOUT_A_DAY = ("magic", "order_ticket", "position_id", "deal_ticket")
# Delta forgets versions after 30 days otherwise.
_KEEP_VERSIONS = {
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
}
_ANY = msgspec.json.Decoder(dict[str, Any])
_JOURNAL_ORDER = ("tenant", "account", "journal_index")


def _configuration(table: Table) -> dict[str, str | None]:
    told_of = ",".join(name for name in _WITHOUT_A_DAY if name in table.names)
    # One of the two: an empty list of columns would mean all.
    of_files = {"delta.dataSkippingStatsColumns": told_of} if told_of else {"delta.dataSkippingNumIndexedCols": "0"}
    versions = _KEEP_VERSIONS if keeps_versions(table) else {}
    return {"delta.checkpointInterval": _CHECKPOINT_INTERVAL, **of_files, **versions}


def _checked(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    from trading_assets.store.table_checks import checked  # pandera takes a second to import, and readers need it not

    return checked(table, frame)


def _declared(table: str) -> Table:
    try:
        return TABLES[table]
    except KeyError:
        raise InputError("find", f"table {table}", "it is not declared", "use one of core.tables.TABLES") from None


def _dates(delta: DeltaTable) -> list[date]:
    return sorted({date.fromisoformat(str(partition["date"])) for partition in delta.partitions()})


def _files(delta: DeltaTable) -> list[tuple[date, str, int]]:
    """Return date, path and rows of each file of a version."""
    actions = pl.DataFrame(delta.get_add_actions(flatten=True))
    chosen = actions.select("partition.date", "path", "num_records").rows() if len(actions) else []
    return [(date.fromisoformat(str(day)), relative_path(str(path)), int(rows)) for day, path, rows in chosen]


def keeps_versions(table: Table) -> bool:
    """Return whether every version of a table can be read for ever: models and dataset versions name them."""
    return table.stage == "learning"


def _date_predicate(dates: Collection[date]) -> str:
    days = ", ".join(f"'{day.isoformat()}'" for day in sorted(set(dates)))
    return f"date IN ({days})"


def _is_commit(content: bytes) -> bool:
    """Whether all lines of a commit are there, and at least one."""
    try:
        return bool(_ANY.decode_lines(content))
    except msgspec.MsgspecError:
        return False


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, without its full stop."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


@contextmanager
def told(operation: str, table: str) -> Iterator[None]:
    """Turn Delta's errors into one sentence."""
    try:
        yield
    except CommitFailedError as error:
        raise UnavailableError(
            operation, f"table {table}", f"another writer was faster ({first_line(error)})", "run it again"
        ) from error
    except (DeltaError, msgspec.MsgspecError, *UNREADABLE) as error:
        raise StateError(
            operation, f"table {table}", first_line(error), "check the lake's folder and its disk"
        ) from error
