"""The watch over the jobs, every minute: dead runs are ended, and how each job does is written down and told.

Written down in a file (`store.job_health`), which `trading status` and the self-check read without the database; told to the
journal of `ops` as states of components, from which the table `system_health` is made; the findings are the self-check's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
import msgspec
import polars as pl

from trading_assets.core import ids
from trading_assets.core.integrity import Difference
from trading_assets.core.job_health import CHECK, JobHealth, JobLimits, JobRun, job_health, waits_until
from trading_assets.core.records.operations import ComponentState
from trading_assets.defs.dead_runs import end_dead_runs
from trading_assets.defs.freshness import patience
from trading_assets.defs.ops import OPS_ACCOUNT, OPS_TENANT, write_ops
from trading_assets.defs.resources import Storage
from trading_assets.defs.retraining import failed_step
from trading_assets.defs.selfcheck import open_findings
from trading_assets.defs.table_asset import conform
from trading_assets.defs.tasks import TASKS, Task
from trading_assets.store.home import Home
from trading_assets.store.job_health import JobsReport, nothing_was_due, read_jobs, write_jobs
from trading_assets.store.run_locks import forget_locks, locked_runs

TELL_EVERY = timedelta(minutes=10)
_LOOKED_AT = 30
_FAILURES = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
_PROCESS = "dagster"
"""Component that stands for Dagster as a whole: its silence is the watch's."""
_RUNNING = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)


def watch_jobs(instance: dg.DagsterInstance, home: Home, at: datetime, *, is_own_database: bool) -> JobsReport:
    """End the runs that died, judge every job, write it down, and tell the journal when it is due."""
    end_dead_runs(instance, home, at, is_own_database=is_own_database)
    _forget_ended(instance, home)
    before = read_jobs(home)
    since = before.since if before is not None and before.is_fresh(at) and before.at <= at else at
    jobs = tuple(health_of(instance, home, task, at, since) for task in TASKS)
    is_due = (
        before is None or not timedelta(0) <= at - before.told_at < TELL_EVERY or _states(before.jobs) != _states(jobs)
    )
    if is_due:
        write_ops(home, list(_components(instance, jobs, at)))
    report = JobsReport(at=at, since=since, told_at=at if is_due or before is None else before.told_at, jobs=jobs)
    write_jobs(home, report)
    return report


def record_death(storage: Storage, run: dg.DagsterRun, why: str, at: datetime) -> None:
    """Record the finding that a run died, unless the job's trouble is known. The self-check says when it is over."""
    died = Difference(
        check=CHECK, severity="error", tenant=OPS_TENANT, account=OPS_ACCOUNT, subject=f"job {run.job_name}",
        expectation="a run that ends by itself", observed=f"run {run.run_id}: {why}",
        repair="it is tried again by itself; where that does not help, look whether memory or disk is full",
    )  # fmt: skip
    if any((one.check, one.subject) == (died.check, died.subject) for one in open_findings(storage)):
        return
    found = died.record(at, ids.ulid(at, "finding", OPS_TENANT, OPS_ACCOUNT, CHECK, died.subject, run.run_id))
    write_ops(storage.home, [found])
    row = pl.DataFrame([msgspec.structs.asdict(found)], infer_schema_length=None)
    storage.lake.append("findings", conform("findings", row.with_columns(date=pl.lit(at.date()))))


def health_of(instance: dg.DagsterInstance, home: Home, task: Task, at: datetime, since: datetime) -> JobHealth:
    """Judge one job by its last runs."""
    limits = JobLimits(
        job=task.job, cadence=task.cadence, patience=patience(task.cadence)[0] if task.cadence else timedelta(0),
        longest=timedelta(minutes=task.limit_minutes),
    )  # fmt: skip
    return job_health(
        limits, list(_runs(instance, task.job)), at, since=since, looked_at=nothing_was_due(home, task.job)
    )


def held_back(instance: dg.DagsterInstance, job: str, at: datetime) -> str:
    """Say until when a job that failed again and again is not started by the clock; empty when it may start."""
    records = instance.get_run_records(dg.RunsFilter(job_name=job), limit=_LOOKED_AT)
    failed: list[datetime] = []
    for record in records:
        if record.dagster_run.status is dg.DagsterRunStatus.SUCCESS:
            break
        if record.dagster_run.status is dg.DagsterRunStatus.FAILURE:
            failed.append(_moment(record.end_time, record))
    until = waits_until(failed)
    # A failure later than now is of another clock and says nothing.
    if until is None or not failed[0] <= at < until:
        return ""
    return f"{len(failed)} runs of {job} failed in a row; it is tried again after {until:%H:%M} UTC."


def _runs(instance: dg.DagsterInstance, job: str) -> Iterator[JobRun]:
    """Go through the last runs of a job, the latest first, and the last one that succeeded."""
    records = instance.get_run_records(dg.RunsFilter(job_name=job), limit=_LOOKED_AT)
    if all(record.dagster_run.status is not dg.DagsterRunStatus.SUCCESS for record in records):
        done = dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS])
        records = [*records, *instance.get_run_records(done, limit=1)]
    is_asked = True
    for record in records:
        run = record.dagster_run
        started, ended = _moment(record.start_time, record), _moment(record.end_time, record)
        if run.status in _RUNNING:
            yield JobRun(run_id=run.run_id, status="running", started_at=started)
        elif run.status is dg.DagsterRunStatus.SUCCESS:
            yield JobRun(run_id=run.run_id, status="succeeded", started_at=started, ended_at=ended)
        elif run.status is dg.DagsterRunStatus.FAILURE:
            error, is_asked = _error(instance, run.run_id) if is_asked else "", False
            yield JobRun(run_id=run.run_id, status="failed", started_at=started, ended_at=ended, error=error)


def _moment(told: float | None, record: dg.RunRecord) -> datetime:
    if told is not None:
        return datetime.fromtimestamp(told, UTC)
    created = record.update_timestamp
    return created if created.tzinfo else created.replace(tzinfo=UTC)


def _error(instance: dg.DagsterInstance, run_id: str) -> str:
    """Return why a run failed, in one line: the step that failed first, or what is said of the run."""
    events = [
        one.dagster_event for one in instance.all_logs(run_id, of_type=_FAILURES) if one.dagster_event is not None
    ]
    steps = [one for one in events if one.is_step_failure]
    if steps:
        return ": ".join(failed_step(steps))
    said = next((one.message for one in reversed(events) if one.message), "")
    return said.strip().splitlines()[0] if said.strip() else ""


def _states(jobs: Sequence[JobHealth]) -> list[tuple[str, bool]]:
    return [(one.job, one.is_healthy) for one in jobs]


def _components(instance: dg.DagsterInstance, jobs: Sequence[JobHealth], at: datetime) -> Iterator[ComponentState]:
    """Return the state of each job as that of a component, and one for Dagster itself, whose silence is noticed."""
    for one in jobs:
        succeeded, failed = (
            instance.get_runs_count(dg.RunsFilter(job_name=one.job, statuses=[status]))
            for status in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)
        )
        yield _component(f"job {one.job}", at, one.is_healthy, one.last_success_at, succeeded, failed, one.detail)
    unwell = [one.job for one in jobs if not one.is_healthy]
    detail = f"{', '.join(unwell)} not healthy" if unwell else ""
    yield _component(
        _PROCESS, at, not unwell, at, len(jobs) - len(unwell), len(unwell), detail, TELL_EVERY.total_seconds()
    )


def _component(
    name: str, at: datetime, is_healthy: bool, last_success_at: datetime | None, successes: int, errors: int, detail: str,
    interval_s: float = 0.0,
) -> ComponentState:  # fmt: skip
    return ComponentState(
        tenant=OPS_TENANT, account=OPS_ACCOUNT, event_at=at, known_at=at, chain_id=ids.ulid(at, "component", name),
        component=name, is_healthy=is_healthy, last_success_at=last_success_at, successes=successes, errors=errors,
        detail=detail, interval_s=interval_s,
    )  # fmt: skip


def _forget_ended(instance: dg.DagsterInstance, home: Home) -> None:
    """Remove the locks of runs that are over."""
    locked = locked_runs(home)
    if not locked:
        return
    unfinished = {run.run_id for run in instance.get_runs(dg.RunsFilter(run_ids=locked)) if not run.is_finished}
    forget_locks(home, [run_id for run_id in locked if run_id not in unfinished])
