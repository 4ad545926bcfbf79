"""What starts runs: schedules from the task manifest, the sensor on the learning dataset, and the alert after a failure.

A schedule that finds nothing to do says so and starts nothing; one whose job still runs waits for the next tick.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl

from trading_assets.defs.ops import HERE_TAG, alert, record_transforms
from trading_assets.defs.resources import Storage
from trading_assets.defs.settings import AssetSettings
from trading_assets.defs.tasks import LABEL_LAG_DAYS, RANGE_TAGS, TASKS, Task, days_to_materialise
from trading_assets.store.ingestion import pending_days
from trading_assets.store.lake import Lake

SETTINGS = AssetSettings.from_environment()
RETRAIN_AFTER_ROWS = SETTINGS.retrain_rows
ACTIVE = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


def _is_running(instance: dg.DagsterInstance, job: str) -> bool:
    return bool(instance.get_runs(dg.RunsFilter(job_name=job, statuses=ACTIVE), limit=1))


def range_tags(first: date, last: date) -> dict[str, str]:
    """Return the tags of one run over consecutive days."""
    return dict(zip(RANGE_TAGS, (first.isoformat(), last.isoformat()), strict=True))


def recent_days(lake: Lake, first: date) -> tuple[date, date] | None:
    """Return the days that may still change: the last ingested one and those whose labels wait for their future.

    None lies before `first`, the first partition.
    """
    ingested = lake.dates("signals")
    return (max(first, ingested[-1] - timedelta(days=LABEL_LAG_DAYS)), ingested[-1]) if ingested else None


def _requests(task: Task, storage: Storage) -> list[dg.RunRequest]:
    match task.job:
        case "ingest":
            stretches = days_to_materialise(storage.lake, pending_days(storage.home), SETTINGS.first_date)
            return [dg.RunRequest(tags=range_tags(first, last)) for first, last in stretches]
        case "ledger" | "dataset":
            days = recent_days(storage.lake, SETTINGS.first_date)
            return [dg.RunRequest(tags=range_tags(*days))] if days else []
        case _:
            return [dg.RunRequest()]


def _schedule(task: Task) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{task.job}_schedule", job_name=task.job, cron_schedule=task.cadence, execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING, description=task.description,
    )  # fmt: skip
    def evaluate(context: dg.ScheduleEvaluationContext, storage: Storage) -> Any:
        if _is_running(context.instance, task.job):
            return dg.SkipReason(f"{task.job} is still running; the next tick takes what has come since.")
        return _requests(task, storage) or dg.SkipReason("nothing has changed.")

    return evaluate


@dg.asset_sensor(
    asset_key=dg.AssetKey("learning_dataset"),
    job_name="retrain",
    name="retrain_on_new_labels",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=f"Starts retraining once {RETRAIN_AFTER_ROWS} labelled rows have come since the last training.",
)
def retrain_on_new_labels(_context: dg.SensorEvaluationContext, _event: dg.EventLogEntry, storage: Storage) -> Any:
    trained = storage.lake.read("meta_models", columns=["trained_at", "row_count"]).sort("trained_at")
    known = int(trained["row_count"][-1]) if trained.height else 0
    rows = storage.lake.scan("learning_dataset").select(pl.len()).collect().item()
    if rows - known < RETRAIN_AFTER_ROWS:
        return dg.SkipReason(f"{rows - known} new labelled rows; {RETRAIN_AFTER_ROWS} start a training.")
    version = storage.lake.version("learning_dataset")
    return dg.RunRequest(run_key=f"dataset-{version}", tags={"trigger": f"{rows - known} new labelled rows"})


@dg.run_failure_sensor(
    name="alert_on_failure", default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes an alert into the journal when a run has failed for good.",
)  # fmt: skip
def alert_on_failure(context: dg.RunFailureSensorContext, storage: Storage) -> None:
    alert(storage.home, f"job {context.dagster_run.job_name}",
          f"run {context.dagster_run.run_id} failed: {context.failure_event.message}; open it in Dagster", datetime.now(UTC))  # fmt: skip


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS, name="record_what_was_written", default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes a record of each table a run has written into the journal of `ops`.",
)  # fmt: skip
def record_what_was_written(context: dg.RunStatusSensorContext, storage: Storage) -> None:
    if HERE_TAG not in context.dagster_run.tags:
        record_transforms(storage.home, context.instance, context.dagster_run.run_id, datetime.now(UTC))


def schedules() -> Iterator[dg.ScheduleDefinition]:
    """Return a schedule for each task with a cadence."""
    yield from (_schedule(task) for task in TASKS if task.cadence)


SENSORS = [retrain_on_new_labels, alert_on_failure, record_what_was_written]
