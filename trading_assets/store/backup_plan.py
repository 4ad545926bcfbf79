"""When a home is copied by itself and how many of the copies are kept: the table `[backups]` of settings.toml.

Without the table nothing is copied. Copies made by hand, and those of other homes in the same folder, are never counted and never
dropped: a scheduled one bears its home in its name. Making one is `cli.scheduled_backups`, what is in it `store.backup`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from trading_assets.core.errors import InputError
from trading_assets.store.home import Home

SUFFIX = ".tar.zst"
_TIME = "%Y%m%dT%H%M%SZ"
_RETRY = timedelta(hours=1)


class BackupPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to, how often, and how many are kept."""

    folder: Annotated[str, Meta(min_length=1)]
    """Outside of the home, best on another disk; relative to the settings file."""
    every_hours: Annotated[float, Meta(ge=0.25, le=8784)] = 24.0
    keep: Annotated[int, Meta(ge=1)] = 7
    """The newest so many stay; older ones go once a newer one is complete."""

    def folder_of(self, home: Home) -> Path:
        """Return the folder of the copies."""
        return (home.root / Path(self.folder).expanduser()).resolve()

    def due_at(self, newest: datetime | None, failed_at: datetime | None) -> datetime | None:
        """Return when the next copy is due, after the newest one and a try that failed since; None for at once."""
        due = None if newest is None else newest + timedelta(hours=self.every_hours)
        again = None if failed_at is None else failed_at + min(_RETRY, timedelta(hours=self.every_hours))
        return max((one for one in (due, again) if one is not None), default=None)

    def too_many(self, copies: Sequence[Path]) -> list[Path]:
        """Return which of the scheduled copies, oldest first, are no longer kept."""
        return list(copies[: max(len(copies) - self.keep, 0)])


def plan_of(home: Home) -> BackupPlan | None:
    """Return the plan of the home's settings; None without one. Raises InputError for one that cannot be followed."""
    path = home.root / "settings.toml"
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8")).get("backups") if path.exists() else None
        plan = None if told is None else msgspec.convert(told, BackupPlan)
    except (OSError, ValueError) as error:
        hint = 'write [backups] with folder = "/elsewhere", every_hours = 24 and keep = 7'
        raise InputError("reading [backups] of", path, str(error), hint) from error
    if plan is not None and plan.folder_of(home).is_relative_to(home.root):
        raise InputError(
            "reading [backups] of", path, f"the folder {plan.folder} lies inside the home", "name one outside of it"
        )
    return plan


def standing_of(home: Home, now: datetime) -> dict[str, Any] | None:
    """Return how the scheduled copies do: the newest, how many there are, and whether one is overdue; None without a plan."""
    plan = plan_of(home)
    if plan is None:
        return None
    copies = scheduled_copies(home, plan.folder_of(home))
    newest = copies[-1][0] if copies else None
    due_at = plan.due_at(newest, None)
    return {
        "folder": str(plan.folder_of(home)),
        "newest_at": newest,
        "count": len(copies),
        "is_overdue": due_at is None or now > due_at + _RETRY,
    }


def copy_name(home: Home, at: datetime) -> str:
    """Return the name of the scheduled copy of a moment."""
    return f"{_prefix(home)}{at:{_TIME}}{SUFFIX}"


def scheduled_copies(home: Home, folder: Path) -> list[tuple[datetime, Path]]:
    """Return the complete scheduled copies of this home with their times, oldest first."""
    found = []
    for path in folder.glob(f"{_prefix(home)}*{SUFFIX}"):
        try:
            made_at = datetime.strptime(path.name[len(_prefix(home)) : -len(SUFFIX)], _TIME).replace(tzinfo=UTC)
        except ValueError:
            continue
        if path.is_file():
            found.append((made_at, path))
    return sorted(found)


def torn_copies(home: Home, folder: Path) -> list[Path]:
    """Return what copies of this home left that were ended before they were complete."""
    return sorted(folder.glob(f"{_prefix(home)}*{SUFFIX}.part"))


def _prefix(home: Home) -> str:
    return f"scheduled-{sha256(str(home.root).encode()).hexdigest()[:8]}-"
