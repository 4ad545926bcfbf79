"""The asset half at one moment of a week under virtual time: evaluates what is due and runs it, in a process of its own.

    python week_jobs.py HOME AT SINCE [--end]

AT and SINCE are UTC in ISO 8601. What Dagster's daemon does by its clock is done here at once: each schedule of the manifest whose
cadence has a moment after SINCE and up to AT is evaluated once, and what it requests is run in this process, which the harness may
kill at any moment. `datetime.now` of the product's own modules is AT. With `--end` nothing rests any more: the jobs run until none
has anything left to do, and the verdicts of `trading verify` and the self-check are printed as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

_LEFT_OUT = ("docs", "retrain")
"""They read nothing that is judged here and take most of the time; retrain has harnesses of its own."""
_MOST_ROUNDS = 6


class _MovedMeta(type):
    """`isinstance` answers as for the class that is stood in for."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)


def _datetime_at(at: datetime) -> type:
    class Moved(datetime, metaclass=_MovedMeta):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return at.astimezone(tz) if tz is not None else at.replace(tzinfo=None)

    return Moved


def _move_time(at: datetime) -> None:
    """Let the product's modules that are loaded, and read the time, read this one."""
    moved = _datetime_at(at)
    for name, module in list(sys.modules.items()):
        if not (name.startswith("trading_assets.") and isinstance(module, ModuleType) and module.__file__):
            continue
        # Who only names the type is left alone: msgspec would not know the class that stands in for it.
        is_reader = "datetime.now(" in Path(module.__file__).read_text(encoding="utf-8")
        if is_reader and getattr(module, "datetime", None) is datetime:
            module.datetime = moved  # type: ignore[attr-defined]


def _due(cadence: str, since: datetime, at: datetime) -> datetime | None:
    """Return the last moment of a cron line after `since` and up to `at`."""
    from dagster._utils.schedules import cron_string_iterator

    last = None
    for moment in cron_string_iterator(since.timestamp() + 1, cadence, "UTC"):
        if moment > at:
            return last
        last = moment
    return last


def evaluate(home: Path, since: datetime, at: datetime, skipped: tuple[str, ...] = _LEFT_OUT) -> dict[str, Any]:
    """Evaluate the schedules once and run what they request; return what was run, skipped and failed."""
    import dagster as dg

    from trading_assets.core.errors import TradingError
    from trading_assets.definitions import defs
    from trading_assets.defs.due import RANGE_TAGS
    from trading_assets.defs.resources import Storage
    from trading_assets.defs.run import run_job
    from trading_assets.defs.tasks import TASKS

    _move_time(at)
    told: dict[str, Any] = {"ran": [], "skipped": {}, "failed": {}}
    with dg.DagsterInstance.get() as instance:
        for task in TASKS:
            if task.job in skipped or not task.cadence or _due(task.cadence, since, at) is None:
                continue
            schedule = defs.resolve_schedule_def(f"{task.job}_schedule")
            with dg.build_schedule_context(
                instance=instance, scheduled_execution_time=at, resources={"storage": Storage(root=str(home))}
            ) as context:
                evaluated = schedule.evaluate_tick(context)
            if evaluated.skip_message:
                told["skipped"][task.job] = evaluated.skip_message
            for request in evaluated.run_requests or ():
                first, last = (request.tags.get(name) for name in RANGE_TAGS)
                days = (date.fromisoformat(first), date.fromisoformat(last)) if first and last else None
                try:
                    run_job(task.job, days)
                    told["ran"].append(f"{task.job} {days}")
                except TradingError as error:
                    told["failed"][task.job] = str(error)
    return told


def settle(home: Path, since: datetime, at: datetime) -> dict[str, Any]:
    """Run the jobs until nothing is left to do; return the last round and the verdicts."""
    from trading_assets.cli.selfcheck import selfcheck
    from trading_assets.cli.verify import verify
    from trading_assets.store.home import Home

    rounds: list[dict[str, Any]] = []
    for _ in range(_MOST_ROUNDS):
        rounds.append(evaluate(home, since, at))
        if not _pending(home) and len(rounds) > 1:
            break
    _move_time(at)
    checked = selfcheck(Home(home), is_repairing=True, is_thorough=True)
    evaluate(home, since, at)
    return {"rounds": rounds, "selfcheck": checked, "verify": verify(Home(home)), "pending": _pending(home)}


def _pending(home: Path) -> list[str]:
    """Return the days that are not ingested. Each run leaves records of itself, so what runs say of today is always due."""
    from trading_assets.store.home import Home
    from trading_assets.store.ingestion import grown_days
    from trading_assets.store.under_way import unfinished_days

    return sorted(map(str, grown_days(Home(home), ("market", "trading")) | unfinished_days(Home(home))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("at", type=datetime.fromisoformat)
    parser.add_argument("since", type=datetime.fromisoformat)
    parser.add_argument("--end", action="store_true")
    given = parser.parse_args()
    from trading_assets.cli.environment import quiet, running
    from trading_assets.store.home import Home

    quiet()
    with running(Home(given.home)):
        work = settle if given.end else evaluate
        told = work(given.home, given.since.astimezone(UTC), given.at.astimezone(UTC))
    print("WEEK " + json.dumps(told, default=str), flush=True)


if __name__ == "__main__":
    main()
