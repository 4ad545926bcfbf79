"""The task manifest: jobs, schedules and the page of the docs are built from it, and from nothing else."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from trading_assets.core.tables import TABLES
from trading_assets.defs.due import NEAR_DAYS, days_to_materialise
from trading_assets.defs.partitions import LATE_DAYS, chunks, with_late
from trading_assets.defs.tasks import TASKS, page
from trading_assets.store.lake import Lake

PROJECT = Path(__file__).resolve().parents[2]
DAYS = st.sets(st.dates(date(2026, 1, 1), date(2026, 3, 1)), max_size=20)


def test_every_job_is_a_task_and_selects_its_groups(graph: dg.Definitions) -> None:
    jobs = {job.name: job for job in graph.resolve_all_job_defs() if not job.name.startswith("__")}
    assert jobs.keys() == {task.job for task in TASKS}
    nodes = graph.resolve_asset_graph()
    for task in TASKS:
        selected = jobs[task.job].asset_layer.executable_asset_keys
        assert {nodes.get(key).group_name for key in selected} == set(task.groups)
        assert jobs[task.job].tags["dagster/max_retries"] == str(task.retries)
        assert task.on_failure in str(jobs[task.job].description)


def test_every_cadence_is_a_schedule_in_utc_that_runs(graph: dg.Definitions) -> None:
    schedules = {schedule.job_name: schedule for schedule in graph.schedules or []}  # type: ignore[union-attr]
    assert {job: schedule.cron_schedule for job, schedule in schedules.items()} == {
        task.job: task.cadence for task in TASKS if task.cadence
    }
    for schedule in schedules.values():
        assert schedule.execution_timezone == "UTC"
        assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


@pytest.mark.parametrize(
    ("job", "cadence"),
    [("ingest", "*/5 * * * *"), ("ledger", "0 * * * *"), ("integrity", "*/10 * * * *"), ("retrain", "0 2 * * *")],
)
def test_the_promised_cadences(job: str, cadence: str) -> None:
    assert {task.job: task.cadence for task in TASKS}[job] == cadence


def test_the_last_tick_of_a_job_is_the_moment_its_clock_started_it_last() -> None:
    at = datetime(2026, 1, 9, 1, 17, 30, tzinfo=UTC)
    ticks = {task.job: task.last_tick(at) for task in TASKS}
    assert ticks["ingest"] == datetime(2026, 1, 9, 1, 15, tzinfo=UTC)
    assert ticks["dataset"] == datetime(2026, 1, 9, 1, 10, tzinfo=UTC)
    assert ticks["rollout"] == datetime(2026, 1, 9, 0, 25, tzinfo=UTC)
    assert ticks["retrain"] == datetime(2026, 1, 8, 2, 0, tzinfo=UTC)


def test_every_task_says_what_it_reads_writes_and_does_on_failure() -> None:
    for task in TASKS:
        assert task.inputs
        assert task.outputs
        assert task.description
        assert "ops_error" in task.on_failure


def test_the_page_of_tasks_is_the_manifest() -> None:
    assert (PROJECT / "docs" / "tasks.md").read_text(encoding="utf-8") == page()


# --- late data ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    lake.create(TABLES["trades"])
    return lake


@pytest.fixture(scope="module")
def lake_with_an_open_trade(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("open"))
    lake.create(TABLES["trades"])
    at = datetime(2026, 1, 9, 20, tzinfo=UTC)
    plain = {
        pl.String: "x",
        pl.Int64: 1,
        pl.Float64: 1.0,
        pl.Boolean: True,
        pl.Decimal: 1,
        pl.Date: at.date(),
        pl.Datetime: at,
    }
    row = {
        column.name: None if column.nullable else column.allowed[0] if column.allowed else plain[type(column.dtype)]
        for column in TABLES["trades"].columns
    }
    lake.append("trades", pl.DataFrame([row], schema=TABLES["trades"].schema))
    return lake


def days_of(stretches: list[tuple[date, date]]) -> set[date]:
    return {first + timedelta(days=n) for first, last in stretches for n in range((last - first).days + 1)}


@given(pending=DAYS)
@hypothesis_settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_day_that_grew_is_written_again_with_the_day_before_it(lake: Lake, pending: set[date]) -> None:
    first = date(2026, 1, 10)
    due = days_of(days_to_materialise(lake, pending, first))
    for day in pending:
        for late in range(LATE_DAYS + 1):
            assert (day - timedelta(days=late) in due) == (day - timedelta(days=late) >= first)
    # Besides, only what lies between two of them that are near: what a decision saw reaches back over a weekend.
    touched = {day - timedelta(days=late) for day in pending for late in range(LATE_DAYS + 1)}
    for day in due - touched:
        before, after = (max(one for one in touched if one < day), min(one for one in touched if one > day))
        assert (after - before).days <= NEAR_DAYS


def test_days_that_history_tells_of_are_one_run_with_the_days_whose_decisions_saw_them(lake: Lake) -> None:
    told = {date(2026, 1, 2), date(2026, 1, 5), date(2026, 1, 9)}
    first = date(2026, 1, 1)
    assert days_to_materialise(lake, [date(2026, 1, 12)], first, told) == [(date(2026, 1, 2), date(2026, 1, 12))]
    assert days_to_materialise(lake, [], first, told) == [(date(2026, 1, 2), date(2026, 1, 9))]
    far = [(date(2026, 1, 2), date(2026, 1, 9)), (date(2026, 3, 1), date(2026, 3, 2))]
    assert days_to_materialise(lake, [date(2026, 3, 2)], first, told) == far


def test_nothing_is_due_when_nothing_has_grown(lake_with_an_open_trade: Lake) -> None:
    assert days_to_materialise(lake_with_an_open_trade, [], date(2026, 1, 1)) == []


def test_the_day_of_an_open_trade_is_written_again_until_it_is_closed(lake_with_an_open_trade: Lake) -> None:
    due = days_to_materialise(lake_with_an_open_trade, [date(2026, 1, 14)], date(2026, 1, 1))
    # Last, for what closed it is on days of its own that are written before.
    assert due == [(date(2026, 1, 13), date(2026, 1, 14)), (date(2026, 1, 9), date(2026, 1, 9))]


@given(days=DAYS, size=st.integers(1, 12))
def test_chunks_hold_every_day_once_in_order(days: set[date], size: int) -> None:
    pieces = list(chunks(sorted(days), size))
    assert [day for piece in pieces for day in piece] == sorted(days)
    assert all(1 <= len(piece) <= size for piece in pieces)


@given(days=DAYS)
def test_late_records_of_a_day_are_read_from_it_and_the_next(days: set[date]) -> None:
    assert set(with_late(sorted(days))) == days | {day + timedelta(days=1) for day in days}
