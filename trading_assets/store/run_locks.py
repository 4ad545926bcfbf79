"""Whether the process of a run still lives: a lock for each run, held by its process until that ends, however it ends.

The system takes the lock from whoever dies, so that a free lock is knowledge and not a guess: no clock and no process id, which
another process may bear by now, has a part in it. What follows from it is the matter of `defs.dead_runs`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

from trading_assets.core.errors import StateError
from trading_assets.store.home import Home
from trading_assets.store.journal_disk import WriterLock

Life: TypeAlias = Literal["alive", "gone", "unknown"]

_TRIES = 50
_LOCKS_OF_PROCESS: list[WriterLock] = []


@contextmanager
def held_run(home: Home, run_id: str) -> Iterator[None]:
    """Hold a run's lock while the block runs: longer than the run, whose end must be on record before the lock is free."""
    lock = _take(home, run_id)
    try:
        yield
    finally:
        lock.release()


def hold_until_exit(home: Home, run_id: str) -> None:
    """Hold a run's lock until this process ends: for a process that does nothing but this run."""
    _LOCKS_OF_PROCESS.append(_take(home, run_id))


def life_of(home: Home, run_id: str) -> Life:
    """Say whether the process of a run lives. Unknown where it never took its lock, or takes it just now."""
    path = _path(home, run_id)
    try:
        # The process id is written once the lock is held: an empty file says that it is being taken.
        if not path.read_bytes().strip():
            return "unknown"
    except OSError:
        return "unknown"
    try:
        WriterLock(path.parent, run_id).release()
    except StateError:
        return "alive"
    return "gone"


def locked_runs(home: Home) -> list[str]:
    """Return the ids of the runs that have a lock, held or free."""
    return sorted(path.stem for path in _folder(home).glob("*.lock"))


def forget_locks(home: Home, run_ids: Collection[str]) -> None:
    """Remove the locks of runs that have ended, where no process holds them any more."""
    for run_id in run_ids:
        if life_of(home, run_id) == "gone":
            _path(home, run_id).unlink(missing_ok=True)


def _take(home: Home, run_id: str) -> WriterLock:
    for attempt in range(_TRIES):
        try:
            return WriterLock(_folder(home), run_id)
        except StateError:
            # Whoever looks whether the lock is free holds it for the blink of an eye.
            if attempt == _TRIES - 1:
                raise
            time.sleep(0.02)
    raise AssertionError("unreachable")


def _folder(home: Home) -> Path:
    return home.dagster / "running"


def _path(home: Home, run_id: str) -> Path:
    return _folder(home) / f"{run_id}.lock"
