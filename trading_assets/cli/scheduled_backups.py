"""`trading backup --scheduled`: a copy of the home whenever one is due, and the oldest dropped, until it is told to stop.

An old copy is dropped only after a new one was read back and has its name. One that fails is an alert and drops nothing.
What is due and what is kept is `store.backup_plan`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trading_assets.cli.backup import backup
from trading_assets.cli.processes import end_request
from trading_assets.core.errors import InputError, TradingError, UnavailableError
from trading_assets.store.backup_plan import BackupPlan, copy_name, plan_of, scheduled_copies, torn_copies
from trading_assets.store.home import Home
from trading_assets.store.journal_disk import WriterLock
from trading_assets.store.journal_format import JournalError

_LOOK_S = 60.0

Make = Callable[[Home, Path], dict[str, Any]]


def scheduled_backup(home: Home, plan: BackupPlan, at: datetime, make: Make | None = None) -> dict[str, Any]:
    """Make the copy that is due and drop what is no longer kept. Raises TradingError, after an alert; nothing is dropped then.

    `make` writes a copy of a home to a place; by default with its databases.
    """
    folder = plan.folder_of(home)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made = (make or _with_databases)(home, folder / copy_name(home, at))
        too_many = plan.too_many([path for _, path in scheduled_copies(home, folder)])
        for path in (*too_many, *torn_copies(home, folder)):
            path.unlink(missing_ok=True)
    except (TradingError, OSError) as error:
        _alert(home, f"the scheduled backup to {folder} failed, older ones are kept: {error}", at)
        if isinstance(error, TradingError):
            raise
        problem, hint = error.strerror or str(error), "make room, mend permissions, or name another place"
        raise InputError("writing a backup to", folder, problem, hint) from error
    return made | {"dropped": [path.name for path in too_many]}


def next_due(home: Home, plan: BackupPlan, failed_at: datetime | None) -> datetime | None:
    """Return when the next copy is due; None for at once. The copies themselves say when the last one was."""
    copies = scheduled_copies(home, plan.folder_of(home))
    return plan.due_at(copies[-1][0] if copies else None, failed_at)


def backup_as_planned(home: Home, tell: Callable[[dict[str, Any]], None]) -> None:
    """Copy the home as its settings say, until Ctrl-C or a request to end; a copy under way is finished."""
    if plan_of(home) is None:
        raise InputError(
            "backing up", home.root, "its settings.toml has no [backups]",
            'add [backups] with folder = "/elsewhere", every_hours = 24 and keep = 7',
        )  # fmt: skip
    try:
        lock = WriterLock(home.root, "backups")
    except JournalError as error:
        problem = f"its scheduled backups are made already ({error.problem})"
        raise UnavailableError("backing up", home.root, problem, "let that process go on, or stop it") from error
    stop, failed_at = end_request(), None
    try:
        while not stop.is_set():
            now = datetime.now(UTC)
            try:
                plan = plan_of(home)  # read anew: it may be changed while this runs
                due = None if plan is None else next_due(home, plan, failed_at)
                if plan is not None and home.raw.is_dir() and (due is None or now >= due):
                    tell(scheduled_backup(home, plan, now))
                    failed_at = None
            except TradingError as error:
                failed_at = now
                tell({"problem": str(error)})
            stop.wait(_LOOK_S)
    finally:
        lock.release()


def _with_databases(home: Home, target: Path) -> dict[str, Any]:
    return backup(home, target, with_databases=True)


def _alert(home: Home, message: str, at: datetime) -> None:
    """Put the failure on record; on a full disk the journal cannot take it either, and the caller says it all the same."""
    from trading_assets.defs.ops import alert

    with suppress(TradingError, OSError):
        alert(home, "scheduled backup", message, at)
