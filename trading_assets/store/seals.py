"""Seals of the lake: which files each day of a table was written as, with their hashes, noted by whoever writes it rightly.

Delta tells what a table holds now, and not who made it so. A file that is gone, other bytes in it, and a commit that no
asset made are found by holding the table's log and its files against the seals. What follows from a suspicion is
`defs.selfcheck`; a lost seal costs a day computed again, never data.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from hashlib import file_digest
from pathlib import Path
from typing import ClassVar

import msgspec
import polars as pl
from deltalake import DeltaTable

from trading_assets.core.tables import TABLES
from trading_assets.store.home import Home
from trading_assets.store.lake import Lake, Written, told


class SealedFile(msgspec.Struct, frozen=True, array_like=True):
    """One file of a table as it was written."""

    size: int
    modified_ns: int
    sha256: str


class SealedDay(msgspec.Struct, frozen=True):
    """One day of a table: when it was written, and as which files."""

    at: datetime
    files: dict[str, SealedFile]


class TableSeals(msgspec.Struct, frozen=True):
    """The seals of a table by day, and its Delta version when the last one was set."""

    version: int = -1
    days: dict[str, SealedDay] = {}


class Suspicion(msgspec.Struct, frozen=True, order=True):
    """One day of a table that is not as it was written. `is_lost`: a file is gone or other bytes are in it.

    `is_guess`: nothing shows on its files, but what it was made from was damaged, or it may be.
    """

    table: str
    day: date
    problem: str
    is_lost: bool
    is_guess: bool = False


def folder_of(home: Home) -> Path:
    """Where the seals of a home rest, a file each table."""
    return home.cursors / "seals"


def sealing_lake(home: Home) -> SealingLake:
    """Return a home's lake for whoever writes into it."""
    return SealingLake(home.lake, folder_of(home))


def read_seals(folder: Path, table: str) -> TableSeals | None:
    """Return a table's seals; None when there are none, or none that can be read."""
    try:
        return msgspec.json.decode((folder / f"{table}.json").read_bytes(), type=TableSeals)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def sealed_since(folder: Path, table: str, moment: datetime | None) -> set[date]:
    """Return the days of a table that were written at `moment` or later; all for None."""
    seals = read_seals(folder, table)
    days = seals.days if seals is not None else {}
    return {date.fromisoformat(day) for day, sealed in days.items() if moment is None or sealed.at >= moment}


class SealingLake(Lake):
    """A lake whose writes are sealed. Assets and repairs write through it."""

    NEVER: ClassVar[datetime] = datetime.fromtimestamp(0, UTC)

    def __init__(self, root: Path | str, seals: Path) -> None:
        super().__init__(root)
        self.seals = seals
        self._kept: dict[str, tuple[int, DeltaTable]] | None = None

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Keep the tables' logs in memory while the block runs: reading what has come since takes a tenth of reading all."""
        self._kept = {}
        try:
            yield
        finally:
            self._kept = None

    def _open(self, table: str, version: int | None = None) -> DeltaTable:
        if self._kept is None or version is not None:
            return super()._open(table, version)
        log = Path(self.path(table)) / "_delta_log"
        folder = log.stat().st_ino if log.is_dir() else 0
        known = self._kept.get(table)
        if known is None or known[0] != folder:
            self._kept[table] = known = (folder, super()._open(table))
        else:
            known[1].update_incremental()
        return known[1]

    def overwrite_dates(self, table: str, frame: pl.DataFrame, dates: Collection[date]) -> Written:
        written = super().overwrite_dates(table, frame, dates)
        self.seal(table, dates)
        return written

    def drop_torn_commit(self, table: str) -> None:
        super().drop_torn_commit(table)
        if self._kept is not None:
            self._kept.pop(table, None)

    def append(self, table: str, frame: pl.DataFrame) -> Written:
        if self._kept is not None:
            # Before and after are held against each other, so they must be two.
            return SealingLake(self.root, self.seals).append(table, frame)
        before = {path for files in self.files(table).values() for path in files}
        written = super().append(table, frame)
        # What else lies on these days keeps the seal it has, or has not.
        self._seal(table, set(frame["date"].to_list()), added_to=before)
        return written

    def replace(self, table: str, frame: pl.DataFrame) -> Written:
        written = super().replace(table, frame)
        self.seal(table, None)
        return written

    def restore(self, table: str, version: int) -> int:
        made = super().restore(table, version)
        self.seal(table, None)
        return made

    def _fill(self, table: str, values: list[pl.Expr]) -> None:
        right = set(self.dates(table)) - {one.day for one in self.suspicions(table)}
        super()._fill(table, values)
        if right:
            self.seal(table, right)

    def seal(self, table: str, dates: Collection[date] | None) -> None:
        """Note that these days, all for None, are as they should be."""
        self._seal(table, dates, added_to=frozenset())

    def _seal(self, table: str, dates: Collection[date] | None, *, added_to: Collection[str]) -> None:
        if "://" in self.root:
            return
        with told("seal", table):
            self._note(table, dates, added_to)

    def _note(self, table: str, dates: Collection[date] | None, added_to: Collection[str]) -> None:
        files, now = self.files(table), datetime.now(UTC)
        known = read_seals(self.seals, table) or TableSeals()
        days = dict(known.days) if dates is not None else {}
        for day in dates if dates is not None else files:
            old = days.get(day.isoformat())
            sealed = dict(old.files) if old is not None else {}
            present = files.get(day, ())
            kept = {path: sealed[path] for path in present if path in sealed}
            new = {path: self._sealed(table, path) for path in present if path not in sealed and path not in added_to}
            days[day.isoformat()] = SealedDay(now, kept | new)
        self.seals.mkdir(parents=True, exist_ok=True)
        path = self.seals / f"{table}.json"
        temporary = path.with_suffix(".tmp")
        # Not synced: a seal that a power cut takes is set again by the next self-check.
        temporary.write_bytes(msgspec.json.encode(TableSeals(self.version(table), days)))
        temporary.replace(path)

    def _sealed(self, table: str, path: str) -> SealedFile:
        file = Path(self.path(table)) / path
        state = file.stat()
        return SealedFile(state.st_size, state.st_mtime_ns, _sha256(file))

    def drop_lost_files(self, table: str) -> None:
        """Take the files that are gone out of the table's log, so that the rest can be read and written."""
        with told("mend", table):
            DeltaTable(self.path(table)).repair()

    def suspicions(self, table: str, *, is_thorough: bool = False) -> list[Suspicion]:
        """Return the days of a table that are not as they were written.

        Files of the size and time they were written with are taken for unchanged, unless the look is thorough.
        """
        seals, files = read_seals(self.seals, table) or TableSeals(), self.files(table)
        found = []
        for day in sorted({*files, *(date.fromisoformat(text) for text in seals.days)}):
            sealed = seals.days.get(day.isoformat(), SealedDay(self.NEVER, {})).files
            problem, is_lost = self._problem(table, sealed, files.get(day, frozenset()), is_thorough)
            if problem:
                found.append(Suspicion(table, day, problem, is_lost))
        return found

    def _problem(
        self, table: str, sealed: dict[str, SealedFile], present: Collection[str], is_thorough: bool
    ) -> tuple[str, bool]:
        if gone := [path for path in present if not (Path(self.path(table)) / path).is_file()]:
            return f"{len(gone)} of its files are gone, such as {gone[0]}", True
        if changed := [path for path in present if path in sealed and self._is_changed(table, path, sealed[path], is_thorough)]:  # fmt: skip
            return f"{len(changed)} of its files hold other bytes than were written, such as {changed[0]}", True
        foreign, dropped = set(present) - sealed.keys(), sealed.keys() - set(present)
        if foreign or dropped:
            return f"{len(foreign)} files were added and {len(dropped)} dropped by no asset's write", False
        return "", False

    def _is_changed(self, table: str, path: str, sealed: SealedFile, is_thorough: bool) -> bool:
        file = Path(self.path(table)) / path
        with suppress(FileNotFoundError):
            state = file.stat()
            is_alike = (state.st_size, state.st_mtime_ns) == (sealed.size, sealed.modified_ns)
            return (is_thorough or not is_alike) and _sha256(file) != sealed.sha256
        return True


def sealed_tables(folder: Path) -> set[str]:
    """Return the tables that have seals."""
    return {path.stem for path in folder.glob("*.json")} & TABLES.keys()


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return file_digest(opened, "sha256").hexdigest()
