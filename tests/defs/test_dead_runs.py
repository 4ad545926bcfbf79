"""A run whose process died is ended, and only then: what lives, or cannot be known, is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from schedule_ticks import tick

from trading_assets.core.job_health import CHECK
from trading_assets.core.records.operations import ComponentState, Finding
from trading_assets.defs import selfcheck, sensors
from trading_assets.defs.dead_runs import DIED, STARTS_WITHIN, end_dead_runs
from trading_assets.defs.job_watch import record_death, watch_jobs
from trading_assets.defs.resources import Storage
from trading_assets.defs.selfcheck import open_findings
from trading_assets.defs.tasks import TASKS
from trading_assets.store.home import Home
from trading_assets.store.job_health import read_jobs
from trading_assets.store.journal import read_records
from trading_assets.store.lake import Lake
from trading_assets.store.run_locks import held_run, life_of, locked_runs

HOLD = """
import sys
from pathlib import Path
from trading_assets.store.home import Home
from trading_assets.store.run_locks import hold_until_exit
for run_id in sys.argv[2:]:
    hold_until_exit(Home(Path(sys.argv[1])), run_id)
print("held", flush=True)
sys.stdin.read()
"""
STARTED, FAILURE = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE


@pytest.fixture
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as local:
        yield local


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def begun(instance: dg.DagsterInstance, job: str = "ingest", status: dg.DagsterRunStatus = STARTED) -> dg.DagsterRun:
    """A run that has begun and not ended."""
    return instance.add_run(dg.DagsterRun(job_name=job, status=status))


def told_of(instance: dg.DagsterInstance, run: dg.DagsterRun, process_id: int) -> None:
    """Let a run say which process does it, as Dagster's own do."""
    instance.report_engine_event("Started process for run", run, EngineEventData.in_process(process_id))


def status_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def end(instance: dg.DagsterInstance, home: Home, *, is_own_database: bool = True) -> list[dg.DagsterRun]:
    return end_dead_runs(instance, home, datetime.now(UTC), is_own_database=is_own_database)


def killed(home: Home, *run_ids: str) -> None:
    """Let a real process take the runs' locks and die of SIGKILL."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home.root), *run_ids], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    assert [life_of(home, run_id) for run_id in run_ids] == ["alive"] * len(run_ids)
    child.kill()
    child.communicate()


def test_runs_of_a_killed_process_are_ended_block_nothing_and_are_on_record(
    graph: dg.Definitions, instance: dg.DagsterInstance, home: Home
) -> None:
    ingest, training, ending = begun(instance), begun(instance, "retrain"), begun(instance, "marts")
    instance.report_run_canceling(ending)
    assert tick(graph, instance, home, "retrain").run_requests == []
    killed(home, *(run.run_id for run in (ingest, training, ending)))
    # The schedule ends what is in its way by itself, and starts its job again.
    assert len(tick(graph, instance, home, "retrain").run_requests) == 1
    assert status_of(instance, training) is FAILURE
    report = watch_jobs(instance, home, datetime.now(UTC), is_own_database=False)
    assert status_of(instance, ingest) is FAILURE
    assert status_of(instance, ending) is dg.DagsterRunStatus.CANCELED
    assert report == read_jobs(home)
    unwell = {one.job: one for one in report.jobs if not one.is_healthy}
    assert unwell.keys() == {"ingest", "retrain"}
    assert DIED in unwell["ingest"].detail
    told = [
        one for one in read_records(home.raw, stream="ops", types=(ComponentState,)) if isinstance(one, ComponentState)
    ]
    assert {one.component for one in told} == {"dagster", *(f"job {task.job}" for task in TASKS)}
    assert [one.errors for one in told if one.component == "job ingest"] == [1]
    assert locked_runs(home) == []


def test_a_run_whose_process_lives_is_never_ended(instance: dg.DagsterInstance, home: Home) -> None:
    run = begun(instance)
    told_of(instance, run, 2**22 + 1)
    with held_run(home, run.run_id):
        assert end(instance, home) == []
    assert [one.run_id for one in end(instance, home)] == [run.run_id]


def test_a_run_that_takes_its_lock_just_now_is_left_alone(instance: dg.DagsterInstance, home: Home) -> None:
    run = begun(instance)
    (home.dagster / "running").mkdir(parents=True)
    (home.dagster / "running" / f"{run.run_id}.lock").touch()
    assert end(instance, home) == []


def test_without_a_lock_a_run_is_dead_when_no_process_of_it_exists_and_the_database_is_our_own(
    instance: dg.DagsterInstance, home: Home
) -> None:
    alive, gone, silent = begun(instance), begun(instance, "marts"), begun(instance, "docs")
    told_of(instance, alive, os.getpid())
    told_of(instance, gone, 2**22 + 1)
    assert end(instance, home, is_own_database=False) == []
    assert [run.run_id for run in end(instance, home)] == [gone.run_id]
    assert [status_of(instance, run) for run in (alive, silent)] == [STARTED, STARTED]


def test_a_run_that_nobody_started_is_ended_after_a_while(instance: dg.DagsterInstance, home: Home) -> None:
    run = begun(instance, status=dg.DagsterRunStatus.STARTING)
    assert end(instance, home) == []
    later = datetime.now(UTC) + STARTS_WITHIN + timedelta(seconds=5)
    assert [one.run_id for one in end_dead_runs(instance, home, later, is_own_database=True)] == [run.run_id]


def test_a_death_is_one_finding_until_the_self_check_takes_it_back(
    instance: dg.DagsterInstance, home: Home, new_lake: Callable[[Path], Lake]
) -> None:
    new_lake(home.lake)
    storage, run = Storage(root=str(home.root)), begun(instance)
    for _ in range(2):
        record_death(storage, run, f"{DIED}: it was killed", datetime.now(UTC))
    assert [(one.check, one.subject) for one in open_findings(storage)] == [(CHECK, "job ingest")]
    assert len(list(read_records(home.raw, stream="ops", types=(Finding,)))) == 1


def test_a_job_that_dies_again_and_again_waits_and_is_tried_again(instance: dg.DagsterInstance, home: Home) -> None:
    for _ in range(3):
        instance.report_run_failed(begun(instance, "marts"), DIED)
    now = datetime.now(UTC)
    assert sensors._in_the_way(instance, home, "marts", now).startswith("3 runs of marts failed in a row; it is tried")
    assert sensors._in_the_way(instance, home, "marts", now + timedelta(minutes=6)) == ""
    begun(instance, "marts", dg.DagsterRunStatus.SUCCESS)
    assert sensors._in_the_way(instance, home, "marts", now) == ""


def test_the_self_check_finds_a_job_that_fails_and_takes_nothing_old_for_now(
    instance: dg.DagsterInstance, home: Home, new_lake: Callable[[Path], Lake]
) -> None:
    new_lake(home.lake)
    storage, at = Storage(root=str(home.root)), datetime.now(UTC)

    def looked(later: timedelta) -> list[str]:
        look = selfcheck._Look(storage, at + later, is_repairing=False, is_thorough=False, is_whole=False)
        return [one.subject for one in look._look_at_jobs()]

    instance.report_run_failed(begun(instance), DIED)
    watch_jobs(instance, home, at, is_own_database=True)
    assert looked(timedelta(minutes=1)) == ["job ingest"]
    # Old news neither finds anything nor takes anything back.
    assert looked(timedelta(hours=1)) == []
    record_death(storage, begun(instance, "marts"), DIED, at)
    assert looked(timedelta(hours=1)) == ["job marts"]


def test_the_watch_tells_the_journal_at_intervals_and_at_once_when_a_job_changes(
    instance: dg.DagsterInstance, home: Home
) -> None:
    at = datetime.now(UTC)

    def told(minutes: float) -> int:
        watch_jobs(instance, home, at + timedelta(minutes=minutes), is_own_database=True)
        return len(list(read_records(home.raw, stream="ops", types=(ComponentState,)))) // (len(TASKS) + 1)

    assert [told(0), told(1), told(9), told(10)] == [1, 1, 1, 2]
    instance.report_run_failed(begun(instance), DIED)
    assert told(11) == 3
