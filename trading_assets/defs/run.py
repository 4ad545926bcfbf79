"""Running a job of the graph from a program, with its progress: what `trading` and the tests use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from datetime import UTC, date, datetime
from uuid import uuid4

import dagster as dg
from sqlalchemy.exc import OperationalError

from trading_assets.core.errors import StateError, TradingError, UnavailableError
from trading_assets.defs.due import range_tags
from trading_assets.defs.ops import HERE_TAG, record_transforms
from trading_assets.defs.retraining import RETRAIN, failed_step, record_failure, why_failed
from trading_assets.defs.settings import AssetSettings
from trading_assets.store.home import Home
from trading_assets.store.run_locks import held_run
from trading_assets.store.seals import sealing_lake

# Dagster keeps every event in its own log; the screen belongs to the progress.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

OnStep = Callable[[int, int, str], None]


def run_job(
    job: str,
    days: tuple[date, date] | None = None,
    on_step: OnStep | None = None,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Run one job in this process, over a range of days when it has partitions; return its run id.

    `on_step(done, all, step)` is called after each step. Raises StateError naming the step that failed and why, and
    UnavailableError where Dagster's database does not answer.
    """
    from trading_assets.definitions import defs

    definition = defs.resolve_job_def(job)
    home = AssetSettings.from_environment().home
    home.logs.mkdir(parents=True, exist_ok=True)
    # dbt prints every test it runs; that belongs into a log.
    log = home.logs / f"{job}.log"
    steps = len(definition.graph.node_dict)
    with dg.DagsterInstance.get() as instance:
        done = 0

        def listen(event: dg.EventLogEntry) -> None:
            nonlocal done
            if event.dagster_event is not None and event.dagster_event.is_step_success:
                done += 1
                if on_step is not None:
                    on_step(done, steps, str(event.dagster_event.step_key))

        run_id, started_at = str(uuid4()), datetime.now(UTC)
        instance.add_event_listener(run_id, listen)
        with (
            log.open("a", encoding="utf-8") as screen,
            redirect_stdout(screen),
            held_run(home, run_id),
            _answering(job),
        ):
            try:
                result = definition.execute_in_process(
                    instance=instance,
                    run_id=run_id,
                    run_config=QUIET,
                    tags={HERE_TAG: "yes", **(tags or {})} | (range_tags(*days) if days else {}),
                    raise_on_error=False,
                )
            except dg.DagsterExecutionInterruptedError as error:
                raise KeyboardInterrupt from error
        if not result.success:
            failed = [event for event in result.all_events if event.is_step_failure]
            if job == RETRAIN:
                _keep_failure(home, result.dagster_run, failed, started_at)
            step, problem = failed_step(failed)
            if dg.DagsterExecutionInterruptedError.__name__ in problem:
                raise KeyboardInterrupt  # a signal, told as the failure of the step it fell into
            raise StateError(
                "running", f"job {job}, {step}", problem.rstrip("."), f"open run {result.run_id} in Dagster"
            )
        record_transforms(home, instance, run_id, datetime.now(UTC))
        return run_id


@contextmanager
def _answering(job: str) -> Iterator[None]:
    """Turn a database that ended under a run into one sentence; what the run has written stays, and its days stay pending."""
    try:
        yield
    except OperationalError as error:
        raise UnavailableError(
            "running", f"job {job}", "Dagster's database has ended, or was started again meanwhile",
            "give the command again; what was written is kept",
        ) from error  # fmt: skip


def _keep_failure(home: Home, run: dg.DagsterRun, failed: Sequence[dg.DagsterEvent], started_at: datetime) -> None:
    """Keep the row of a training that failed. Where the table itself is what is broken, the failure that is raised says so."""
    with suppress(TradingError):
        record_failure(home, sealing_lake(home), run, why_failed(failed), started_at, datetime.now(UTC))
