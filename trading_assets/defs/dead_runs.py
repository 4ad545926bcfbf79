"""Runs whose process died: found, and ended as failed, so that they block nothing and are tried again.

A run is dead only where that is known: its lock is free (`store.run_locks`), or it is of a version that took no lock and none
of the processes it told of exists. Everything else is left alone; a run that hangs is named by `defs.job_watch`.
Dagster tries what it has launched itself again (`retries` of the task), the schedules take up the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import dagster as dg
import psutil  # type: ignore[import-untyped]  # its types are a package of their own, not worth a pin

from trading_assets.store.home import Home
from trading_assets.store.run_locks import life_of

UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
STARTS_WITHIN = timedelta(minutes=10)
"""A run that has no process by then gets none: once it is ended, Dagster refuses to start it."""
DIED = "its process died"
_OURS = ("python", "trading", "dagster")


def end_dead_runs(
    instance: dg.DagsterInstance, home: Home, at: datetime, *, job: str | None = None, is_own_database: bool
) -> list[dg.DagsterRun]:
    """End the runs of a job, or of all, whose process died; return those that were ended.

    Without a lock a run is judged only where the database is the home's own: a shared one has runs of other machines, too.
    """
    ended = []
    for record in instance.get_run_records(dg.RunsFilter(job_name=job, statuses=UNFINISHED)):
        run = record.dagster_run
        why = _why_dead(instance, home, record, at, is_own_database=is_own_database)
        if not why:
            continue
        # The end of a run is recorded before its lock is free: what is unfinished now stays so.
        now = instance.get_run_by_id(run.run_id)
        if now is None or now.is_finished:
            continue
        if now.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(now, why)
        else:
            instance.report_run_failed(now, why)
        ended.append(now)
    return ended


def is_tried_again(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Say whether Dagster itself starts a run that was ended again: one it launched, as often as its task says."""
    ended = instance.get_run_by_id(run.run_id)
    return ended is not None and run.remote_job_origin is not None and ended.tags.get("dagster/will_retry") == "true"


def _why_dead(
    instance: dg.DagsterInstance, home: Home, record: dg.RunRecord, at: datetime, *, is_own_database: bool
) -> str:
    """Return the sentence that says why a run is known to be dead; empty where that is not known."""
    run_id = record.dagster_run.run_id
    match life_of(home, run_id):
        case "alive":
            return ""
        case "gone":
            return f"{DIED}: it was killed, or the machine went down"
    if not is_own_database:
        return ""
    processes = set(_processes(instance, run_id))
    if any(_may_be_ours(process) for process in processes):
        return ""
    if processes:
        return f"{DIED}: process {', '.join(map(str, sorted(processes)))} does not exist any more"
    if record.dagster_run.status is dg.DagsterRunStatus.STARTING and at - record.update_timestamp > STARTS_WITHIN:
        return f"it was not started within {STARTS_WITHIN.seconds // 60} minutes: whoever was to start it died"
    return ""


def _processes(instance: dg.DagsterInstance, run_id: str) -> Iterator[int]:
    """Go through the ids of the processes that said they do this run."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        data = entry.dagster_event.event_specific_data if entry.dagster_event is not None else None
        value = data.metadata.get("pid") if data is not None else None  # type: ignore[union-attr]
        if value is not None and (told := str(value.value)).isdigit():
            yield int(told)


def _may_be_ours(process_id: int) -> bool:
    """Say whether a process of that id may be the run's: it exists, and is a program that does runs."""
    try:
        process = psutil.Process(process_id)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return any(name in process.name().lower() for name in _OURS)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
