"""What starts runs: schedules from the task manifest, the sensors that start trainings, and the alert after a failure.

A schedule that finds nothing to do says so and starts nothing; one whose job still runs waits for the next tick.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from trading_assets.defs.dead_runs import DIED, end_dead_runs, is_tried_again
from trading_assets.defs.decay import decay_alarms
from trading_assets.defs.due import days_of_job, days_to_ingest, heard_days, range_tags
from trading_assets.defs.job_watch import held_back, record_death, watch_jobs
from trading_assets.defs.learning import TRIGGER_TAG
from trading_assets.defs.ops import HERE_TAG, alert, record_transforms
from trading_assets.defs.resources import Storage
from trading_assets.defs.retraining import RETRAIN, record_failure, why_failed
from trading_assets.defs.settings import AssetSettings
from trading_assets.defs.tasks import TASKS, Task
from trading_assets.store.home import Home
from trading_assets.store.job_health import note_nothing_due
from trading_assets.store.lake import Lake
from trading_assets.store.policy import read_policy

SETTINGS = AssetSettings.from_environment()
RETRAIN_AFTER_ROWS = SETTINGS.retrain_rows
WINDOW_TAG = "trading/window"
ACTIVE = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


def _is_running(instance: dg.DagsterInstance, job: str) -> bool:
    return bool(instance.get_runs(dg.RunsFilter(job_name=job, statuses=ACTIVE), limit=1))


def _in_the_way(instance: dg.DagsterInstance, home: Home, job: str, at: datetime) -> str:
    """Say why the clock does not start a job now: it runs, or waits after failures; empty where nothing is in the way."""
    return _occupied(instance, home, job, at) or held_back(instance, job, at)


def _occupied(instance: dg.DagsterInstance, home: Home, job: str, at: datetime) -> str:
    """Say that a job runs, or is tried again by Dagster itself. A dead run is ended first, and occupies nothing."""
    ended = end_dead_runs(instance, home, at, job=job, is_own_database=SETTINGS.is_own_database)
    if _is_running(instance, job):
        return f"{job} is still running; the next tick takes what has come since."
    if any(is_tried_again(instance, run) for run in ended):
        return f"a run of {job} has died and is tried again; the next tick takes what has come since."
    return ""


def _requests(task: Task, storage: Storage) -> list[dg.RunRequest]:
    match task.job:
        case "ingest":
            stretches = days_to_ingest(storage.home, storage.lake)
            return [dg.RunRequest(tags=range_tags(first, last)) for first, last in stretches]
        case "ledger" | "dataset":
            days = days_of_job(storage.home, storage.lake, task.job)
            return [dg.RunRequest(tags=range_tags(*days))] if days else []
        case "operations":
            heard = heard_days(storage.home, storage.lake, datetime.now(UTC).date())
            return [dg.RunRequest(tags=range_tags(*heard))] if heard else []
        case "retrain":
            return [dg.RunRequest(tags={TRIGGER_TAG: "daily at 02:00 UTC"})]
        case _:
            return [dg.RunRequest()]


def _schedule(task: Task) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{task.job}_schedule", job_name=task.job, cron_schedule=task.cadence, execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING, description=task.description,
    )  # fmt: skip
    def evaluate(context: dg.ScheduleEvaluationContext, storage: Storage) -> Any:
        now = context.scheduled_execution_time
        if reason := _in_the_way(context.instance, storage.home, task.job, now):
            return dg.SkipReason(reason)
        if requests := _requests(task, storage):
            # Dagster refuses several requests of one tick that have no keys; one used before would start nothing.
            tick = f"{task.job}-{now:%Y-%m-%dT%H:%M}"
            return [one.with_replaced_attrs(run_key=f"{tick}-{number}") for number, one in enumerate(requests)]
        note_nothing_due(storage.home, task.job, now)
        return dg.SkipReason("nothing has changed.")

    return evaluate


def _attempt(instance: dg.DagsterInstance, sort: str, at: datetime, hours: int, most: int) -> tuple[str, str]:
    """Return the key of the next training of a sort in the window of hours that `at` lies in, or why there is none.

    One training in each window: whatever arrives meanwhile is learned together. One that failed is tried again under a key of
    its own, since a key once used starts nothing any more.
    """
    begin = datetime.fromtimestamp(at.timestamp() // (hours * 3600) * hours * 3600, UTC)
    window = f"{sort}-{begin:%Y-%m-%dT%H}"
    runs = instance.get_runs(dg.RunsFilter(job_name="retrain", tags={WINDOW_TAG: window}))
    if any(run.status is not dg.DagsterRunStatus.FAILURE for run in runs):
        return "", f"a training for it was started in this window of {hours} h."
    if len(runs) >= most:
        return "", f"{len(runs)} trainings for it have failed in this window of {hours} h; the next one begins anew."
    return f"{window}-attempt-{len(runs) + 1}", ""


def _training(
    instance: dg.DagsterInstance, home: Home, sort: str, reason: str, at: datetime, hours: int, most: int
) -> Any:
    """Return the request of a training, with what started it on the run, or why there is none."""
    if occupied := _occupied(instance, home, RETRAIN, at):
        return dg.SkipReason(f"{reason} But {occupied}")
    key, refusal = _attempt(instance, sort, at, hours, most)
    if refusal:
        return dg.SkipReason(f"{reason} But {refusal}")
    return dg.RunRequest(run_key=key, tags={TRIGGER_TAG: reason, WINDOW_TAG: key.rsplit("-attempt-", 1)[0]})


@dg.asset_sensor(
    asset_key=dg.AssetKey("learning_dataset"),
    job_name="retrain",
    name="retrain_on_new_labels",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=f"Starts retraining once {RETRAIN_AFTER_ROWS} labelled rows have come since the last training.",
)
def retrain_on_new_labels(context: dg.SensorEvaluationContext, _event: dg.EventLogEntry, storage: Storage) -> Any:
    return training_on_new_labels(context.instance, storage, datetime.now(UTC))


def training_on_new_labels(instance: dg.DagsterInstance, storage: Storage, at: datetime) -> Any:
    """Return the request of a training on new labels, or why there is none."""
    version, rows = storage.lake.version("learning_dataset"), storage.lake.row_count("learning_dataset")
    new = rows - _rows_learned(storage.lake)
    if new < RETRAIN_AFTER_ROWS:
        return dg.SkipReason(f"{new} new labelled rows; {RETRAIN_AFTER_ROWS} start a training.")
    rules = read_policy(storage.home).retraining
    reason = f"{new} new labelled rows in dataset version {version}."
    return _training(instance, storage.home, "labels", reason, at, rules.label_hours, rules.attempts)


def _rows_learned(lake: Lake) -> int:
    """Return how many rows the dataset had when the last training ran, promoted or not."""
    trained = lake.read("meta_models", columns=["dataset_version"])["dataset_version"].to_list()
    judged = lake.read("retraining_runs", columns=["dataset_version"])["dataset_version"].to_list()
    versions = [one for one in (*trained, *judged) if one <= lake.version("learning_dataset")]
    return lake.row_count("learning_dataset", max(versions)) if versions else 0


@dg.sensor(
    job_name="retrain", name="retrain_on_decay", minimum_interval_seconds=600, default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts retraining when the model in use decays: too few of the last 100 trades made money, its probabilities are off, "
    "or the features have moved. At most one training a day for all of that.",
)  # fmt: skip
def retrain_on_decay(context: dg.SensorEvaluationContext, storage: Storage) -> Any:
    return training_on_decay(context.instance, storage, datetime.now(UTC))


def training_on_decay(instance: dg.DagsterInstance, storage: Storage, at: datetime) -> Any:
    """Return the request of a training because of decay, or why there is none."""
    policy = read_policy(storage.home)
    if alarms := decay_alarms(storage.lake, policy):
        rules = policy.retraining
        return _training(instance, storage.home, "decay", " ".join(alarms), at, rules.decay_hours, rules.attempts)
    return dg.SkipReason("accuracy, calibration and features show no decay.")


@dg.sensor(
    name="watch_over_jobs", minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends runs whose process died, so that they block nothing, and writes down how every job does: last success, "
    "failures in a row, lateness, runs that take longer than they may.",
)  # fmt: skip
def watch_over_jobs(context: dg.SensorEvaluationContext, storage: Storage) -> Any:
    now = datetime.now(UTC)
    report = watch_jobs(context.instance, storage.home, now, is_own_database=SETTINGS.is_own_database)
    unwell = [f"{one.job}: {one.detail}." for one in report.jobs if not one.is_healthy]
    return dg.SkipReason(" ".join(unwell) or "every job does its work.")


@dg.run_failure_sensor(
    name="alert_on_failure", default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes an alert into the journal when a run has failed, of one whose process died a finding, and of a training the row that says so.",
)  # fmt: skip
def alert_on_failure(context: dg.RunFailureSensorContext, storage: Storage) -> None:
    run, now, why = context.dagster_run, datetime.now(UTC), context.failure_event.message
    alert(storage.home, f"job {run.job_name}", f"run {run.run_id} failed: {why}; open it in Dagster", now)
    if not context.get_step_failure_events():
        record_death(storage, run, why or DIED, now)
    if run.job_name == RETRAIN:
        known = context.instance.get_run_record_by_id(run.run_id)
        begun = now if known is None or known.start_time is None else datetime.fromtimestamp(known.start_time, UTC)
        record_failure(storage.home, storage.lake, run, why_failed(context.get_step_failure_events()), begun, now)


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


SENSORS = [retrain_on_new_labels, retrain_on_decay, watch_over_jobs, alert_on_failure, record_what_was_written]
