"""`trading backfill`: a long range of days from the journals to the learning dataset, in pieces, with what is done kept.

Every piece is a run of a job over consecutive days, in the order ingest, ledger, dataset; a piece that was cut off is done
again whole, which is harmless. Days that touch a piece by the rule for late data are written with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from trading_assets import __version__
from trading_assets.cli.environment import running
from trading_assets.cli.screen import OUT
from trading_assets.core.errors import InputError, StateError
from trading_assets.core.records.record import Stream
from trading_assets.store.files import replace_atomically
from trading_assets.store.home import Home
from trading_assets.store.ingestion import grown_days, pending_history
from trading_assets.store.journal_sizes import day_sizes

JOBS = ("ingest", "ledger", "dataset")
PIECE_DAYS = 30
# Records of the operation are of the days on which it ran, in a replay long after those that were played.
MARKET: Stream = "market"


@dataclass(frozen=True)
class Piece:
    """One run: a job over consecutive days."""

    job: str
    first: date
    last: date

    @property
    def name(self) -> str:
        """Job and days, as noted when it is done."""
        return f"{self.job} {self.first} to {self.last}"


def backfill(home: Home, first: date | None, last: date | None, piece_days: int = PIECE_DAYS) -> dict[str, Any]:
    """Do every piece that is not done; return how many days and pieces there were, and how many were done before.

    Without days: all the journals have. Raises InputError for a range the journals have nothing of, StateError while
    another backfill runs: who started PostgreSQL stops it at the end, under whoever else works there.
    """
    days = journal_days(home)
    if not days:
        raise InputError("backfilling", home.root, "the journals hold nothing", "name a home that was traded in")
    first, last = first or days[0], last or days[-1]
    if not days[0] <= first <= last <= days[-1]:
        raise InputError(
            "backfilling", f"{first} to {last}", f"the journals reach from {days[0]} to {days[-1]}",
            "name the first day with --from and the last with --to within them",
        )  # fmt: skip
    with _alone(home):
        return _backfilled(home, list(pieces_of(first, last, piece_days)))


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Have no other backfill in this home while the block runs. Raises StateError while there is one."""
    lock = FileLock(home.cursors / "backfill.lock", timeout=0)
    try:
        home.cursors.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise StateError("backfilling", home.root, "another backfill runs in this home", "wait for its end") from error
    except OSError as error:
        raise InputError(
            "backfilling", home.root, f"{error.strerror or error} ({home.cursors})", "mend its permissions"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _backfilled(home: Home, pieces: list[Piece]) -> dict[str, Any]:
    first, last, noted = pieces[0].first, pieces[-1].last, home.cursors / "backfill.json"
    named = _done(noted, first, last)
    # What has grown is not done whatever the note says. Days that the piece cut off began are written by it again.
    due = grown_days(home)
    done = [one for one in pieces if one.name in named and (one.job != "ingest" or not due & set(_days(one)))]
    with running(home):
        _run(home, pieces, list(done), noted)
    noted.unlink(missing_ok=True)
    return {"first": first, "last": last, "days": (last - first).days + 1, "pieces": len(pieces), "done_before": len(done)}  # fmt: skip


def journal_days(home: Home) -> list[date]:
    """Return the days the journals have any market data of, in order."""
    return sorted(day_sizes(home.raw, MARKET))


def pieces_of(first: date, last: date, piece_days: int) -> Iterator[Piece]:
    """Return the runs of a backfill in their order: a label needs the prices of the next pieces, so jobs come one after the other."""
    for job in JOBS:
        start = first
        while start <= last:
            end = min(start + timedelta(days=piece_days - 1), last)
            yield Piece(job, start, end)
            start = end + timedelta(days=1)


def _days(piece: Piece) -> list[date]:
    return [piece.first + timedelta(days=number) for number in range((piece.last - piece.first).days + 1)]


def _run(home: Home, pieces: list[Piece], done: list[Piece], noted: Path) -> None:
    # The partitions begin at the home's first day when these are imported.
    pending_history(home)
    from trading_assets.cli.materialise import ready_lake, tell_left_alone
    from trading_assets.cli.progress import run_with_progress, steps
    from trading_assets.defs.due import days_to_materialise
    from trading_assets.defs.settings import first_date_of

    lake = ready_lake(home)
    with steps() as progress:
        for number, piece in enumerate(pieces, 1):
            if piece in done:
                continue
            title = f"{number}/{len(pieces)} {piece.name}"
            stretches = [(piece.first, piece.last)]
            if piece.job == "ingest":
                # What this piece tells of days before it is written with it.
                told = [day for day in pending_history(home) if day <= piece.last]
                stretches = days_to_materialise(lake, _days(piece), first_date_of(home), told)
            for start, end in stretches:
                run_with_progress(progress, piece.job, title, (start, end))
            done.append(piece)
            _note(noted, pieces[0].first, pieces[-1].last, done)
    tell_left_alone(home, JOBS, [(pieces[0].first, pieces[-1].last)])


def _done(noted: Path, first: date, last: date) -> set[str]:
    """Return the pieces that a backfill of the same days, by the same code, has done before it was cut off."""
    try:
        note = json.loads(noted.read_bytes())
    except (FileNotFoundError, ValueError):
        return set()
    same = {"first": first.isoformat(), "last": last.isoformat(), "code": __version__}
    return set(note["done"]) if {name: note.get(name) for name in same} == same else set()


def _note(noted: Path, first: date, last: date, done: list[Piece]) -> None:
    note = {
        "first": first.isoformat(),
        "last": last.isoformat(),
        "code": __version__,
        "done": [one.name for one in done],
    }
    noted.parent.mkdir(parents=True, exist_ok=True)
    replace_atomically(noted, json.dumps(note).encode())


def backfill_report(result: dict[str, Any]) -> None:
    """Print what was done."""
    again = f", {result['done_before']} of them done before" if result["done_before"] else ""
    OUT.print(f"{result['days']} days, {result['first']} to {result['last']}, in {result['pieces']} pieces{again}.")
