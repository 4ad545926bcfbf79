"""What the clock and the sensors would start at a moment, run in this process: the schedules without Dagster's daemon.

For whoever has a clock of its own, a replay of weeks above all. It evaluates the same schedules and the same rules of training as
Dagster does, and watches over the jobs as its sensor does; runs follow one another.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from trading_assets.core.errors import StateError
from trading_assets.defs.job_watch import watch_jobs
from trading_assets.defs.ops import alert
from trading_assets.defs.resources import Storage
from trading_assets.defs.retraining import RETRAIN
from trading_assets.defs.run import run_job
from trading_assets.defs.sensors import training_on_decay, training_on_new_labels
from trading_assets.defs.settings import AssetSettings
from trading_assets.defs.tasks import TASKS


def run_what_is_due(since: datetime, at: datetime, *, but: Collection[str] = ()) -> list[tuple[str, str]]:
    """Run what the clock started after `since` and up to `at`, and the trainings the sensors ask for; return jobs and run ids.

    A job whose moment has come more than once is started once, as after a rest; `but` names jobs to leave out. A run that
    fails is an alert, and its id is empty. The watch over the jobs, which ends dead runs, looks before and after.
    """
    settings = AssetSettings.from_environment()
    storage = Storage(root=str(settings.home.root))
    done: list[tuple[str, str]] = []
    with dg.DagsterInstance.get() as instance:
        watch_jobs(instance, storage.home, at, is_own_database=settings.is_own_database)
        for task in TASKS:
            tick = task.last_tick(at)
            if tick is not None and tick > since and task.job not in but:
                done += [_run(storage, task.job, one, at) for one in _requested(instance, storage, task.job, tick)]
        for ask in (training_on_new_labels, training_on_decay):
            asked = ask(instance, storage, at) if RETRAIN not in but else None
            if isinstance(asked, dg.RunRequest):
                done.append(_run(storage, RETRAIN, asked, at))
        watch_jobs(instance, storage.home, at, is_own_database=settings.is_own_database)
    return done


def _requested(instance: dg.DagsterInstance, storage: Storage, job: str, tick: datetime) -> Sequence[Any]:
    """Return what a job's schedule asks for at one of its moments."""
    from trading_assets.definitions import defs

    with dg.build_schedule_context(instance, scheduled_execution_time=tick, resources={"storage": storage}) as context:
        return defs.resolve_schedule_def(f"{job}_schedule").evaluate_tick(context).run_requests or ()


def _run(storage: Storage, job: str, request: dg.RunRequest, at: datetime) -> tuple[str, str]:
    try:
        return job, run_job(job, tags=dict(request.tags))
    except StateError as error:
        alert(storage.home, f"job {job}", str(error), at)
        return job, ""
