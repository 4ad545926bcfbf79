"""Runs of the asset graph on a played home: real journals, Delta tables, PostgreSQL and Dagster runs.

A run over a range writes that range and nothing else, doing it again changes nothing, late records find their day, and a
failure is a sentence and an alert.
"""

from __future__ import annotations

import asyncio
import base64
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from played import DAYS

from trading_assets.core.errors import StateError
from trading_assets.core.job_health import JobHealth
from trading_assets.core.learning.dataset import content_hash
from trading_assets.core.records.decisions import SymbolState
from trading_assets.core.records.market import Quote
from trading_assets.core.records.operations import OpsError, Transform
from trading_assets.core.records.trading import SymbolSpec
from trading_assets.core.tables import TABLES
from trading_assets.defs.dead_runs import end_dead_runs
from trading_assets.defs.due import days_to_materialise
from trading_assets.defs.due_runs import run_what_is_due
from trading_assets.defs.event_log import PooledEventLogStorage
from trading_assets.defs.job_watch import watch_jobs
from trading_assets.defs.ledger import CURVES
from trading_assets.defs.resources import Storage
from trading_assets.defs.run import run_job
from trading_assets.defs.sensors import alert_on_failure, record_what_was_written
from trading_assets.defs.tasks import TASKS
from trading_assets.store.home import Home
from trading_assets.store.ingestion import pending_days
from trading_assets.store.journal import Journal, read_records
from trading_assets.store.lake import Lake

pytestmark = pytest.mark.timeout(900)

GROUPS = {task.job: task.groups for task in TASKS}
INGESTED = sorted(
    name for name, table in TABLES.items() if table.stage in GROUPS["ingest"] and name != "feature_definitions"
)


@pytest.fixture
def lake(played_home: Home) -> Lake:
    return Lake(played_home.lake)


def contents(lake: Lake, names: list[str], dates: list[date] | None = None) -> dict[str, pl.DataFrame]:
    """What tables say, whatever files and versions it rests in."""
    return {name: lake.read(name, dates=dates) for name in names}


def changed(before: dict[str, pl.DataFrame], after: dict[str, pl.DataFrame]) -> list[str]:
    return [name for name, frame in before.items() if not frame.equals(after[name])]


def of_run(run_id: str, asset: str) -> list[dg.AssetMaterialization]:
    with dg.DagsterInstance.get() as instance:
        logged = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    found = [one.asset_materialization for one in logged]
    return [one for one in found if one is not None and one.asset_key == dg.AssetKey(asset)]


# --- ranges -------------------------------------------------------------------------------------------------------


def test_a_backfill_over_a_range_is_one_run_that_writes_exactly_it_and_doing_it_again_changes_nothing(
    lake: Lake,
) -> None:
    before = contents(lake, INGESTED, DAYS)
    assert all(frame.height for name, frame in before.items() if not name.startswith("raw_"))
    emptied = ["bars", "features", "signals", "candidates", "chart_windows"]
    for name in emptied:
        lake.overwrite_dates(name, TABLES[name].empty(), DAYS[1:])
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_runs_count()
    run_id = run_job("ingest", (DAYS[1], DAYS[2]))
    with dg.DagsterInstance.get() as instance:
        assert instance.get_runs_count() == runs + 1
    assert {one.partition for one in of_run(run_id, "bars")} == {day.isoformat() for day in DAYS[1:3]}
    assert {lake.dates(name)[-1] for name in emptied} == {DAYS[2]}
    run_job("ingest", (DAYS[0], DAYS[-1]))
    assert changed(before, contents(lake, INGESTED, DAYS)) == []


def test_the_learning_dataset_takes_each_row_once_and_keeps_its_versions(lake: Lake) -> None:
    version, rows = lake.version("learning_dataset"), lake.read("learning_dataset")
    run_job("dataset", (DAYS[0], DAYS[-1]))
    assert lake.version("learning_dataset") == version
    assert content_hash(lake.read("learning_dataset", version=version)) == content_hash(rows)
    assert rows.select("tenant", "account", "idea_id").is_duplicated().sum() == 0


def test_each_step_is_told_of_and_each_table_written_gets_a_record(played_home: Home) -> None:
    steps: list[tuple[int, int, str]] = []
    run_id = run_job("ledger", (DAYS[0], DAYS[-1]), lambda *told: steps.append(told))
    assert [done for done, _, _ in steps] == list(range(1, len(steps) + 1))
    assert {total for _, total, _ in steps} == {len(steps)}
    assert {name for _, _, name in steps} >= {"pnl_events", "curves", "performance_daily"}
    written = [
        one for one in read_records(played_home.raw, stream="ops", types=(Transform,))
        if isinstance(one, Transform) and one.run_id == run_id
    ]  # fmt: skip
    assert {one.table for one in written} == {"pnl_events", *CURVES, "performance_daily"}
    assert {one.partitions for one in written} == {f"{DAYS[0]} to {DAYS[-1]}"}
    events = next(one for one in written if one.table == "pnl_events")
    assert events.rows_out == Lake(played_home.lake).read("pnl_events", dates=DAYS).height


def test_dagster_shows_row_counts_and_the_picture_of_the_equity_curve(lake: Lake) -> None:
    run_id = run_job("ledger", (DAYS[0], DAYS[-1]))
    shown = of_run(run_id, "equity_curve")[-1].metadata
    assert shown["rows_out"].value == lake.read("equity_curve", dates=DAYS).height
    assert shown["dagster/row_count"].value == lake.row_count("equity_curve")
    image = re.fullmatch(r"!\[equity\]\(data:image/png;base64,(.+)\)", str(shown["equity"].value))
    assert image is not None
    assert base64.b64decode(image[1]).startswith(b"\x89PNG")


def test_the_learning_dataset_shows_how_its_candidates_ended(lake: Lake) -> None:
    run_id = run_job("dataset", (DAYS[0], DAYS[-1]))
    (written,) = of_run(run_id, "learning_dataset")
    assert written.metadata["dagster/row_count"].value == lake.row_count("learning_dataset")
    image = re.fullmatch(
        r"!\[results\]\(data:image/png;base64,(.+)\)", str(written.metadata["results_of_30_days"].value)
    )
    assert image is not None
    assert base64.b64decode(image[1]).startswith(b"\x89PNG")


def test_a_run_of_dagsters_own_is_recorded_by_the_sensor_and_one_of_ours_only_once(played_home: Home) -> None:
    run_id = run_job("ledger", (DAYS[0], DAYS[0]))
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        ended = next(iter(instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_SUCCESS))).dagster_event
        assert ended is not None
        for tags in (run.tags, {}):
            context = dg.build_run_status_sensor_context(
                "record_what_was_written", ended, instance, run.with_tags(tags)
            )
            record_what_was_written(context, storage=storage_of(played_home))
    records = [
        one for one in read_records(played_home.raw, stream="ops", types=(Transform,))
        if isinstance(one, Transform) and one.run_id == run_id and one.table == "pnl_events"
    ]  # fmt: skip
    assert len(records) == 2


def storage_of(home: Home) -> Any:
    return Storage(root=str(home.root))


# --- late data ----------------------------------------------------------------------------------------------------


def test_a_record_filed_a_day_late_lands_in_the_day_it_is_about(
    played_home: Home, lake: Lake, record_of: Callable[..., Any]
) -> None:
    midnight = datetime(2026, 1, 7, tzinfo=UTC)
    owner = {"tenant": "late", "account": "late"}

    def quote(event: timedelta, known: timedelta) -> Quote:
        return Quote(
            **owner, event_at=midnight + event, known_at=midnight + known, chain_id="c", symbol="EURUSD", bid=1.1,
            ask=1.1002, server_msc=0, clock_rule="utc",
        )  # fmt: skip

    second = timedelta(seconds=1)
    contract = record_of(
        SymbolSpec, **owner, event_at=midnight - 60 * second, known_at=midnight - 60 * second, symbol="EURUSD",
        spec=record_of(SymbolState, symbol="EURUSD", point=0.00001, digits=5),
    )  # fmt: skip
    on_time, late = quote(-50 * second, -50 * second), quote(-10 * second, 5 * second)
    # The second of these shows that the first one's minute is over; its own is still forming.
    next_day = [quote(20 * second, 20 * second), quote(70 * second, 70 * second)]

    async def file() -> None:
        async with Journal.open(played_home.raw, "late") as journal:
            await journal.append([contract, on_time])
            await journal.append([late, *next_day])

    asyncio.run(file())
    pending = pending_days(played_home)
    assert {date(2026, 1, 6), date(2026, 1, 7)} <= set(pending)
    others = bars_of_others(lake)
    for first, last in days_to_materialise(lake, [day for day in pending if day in DAYS], DAYS[0]):
        run_job("ingest", (first, last))
    mine = pl.col("tenant") == "late"
    minutes = lake.read("bars", dates=DAYS).filter(mine & (pl.col("timeframe") == "M1"))
    assert minutes.select("date", "open_at", "tick_count").rows() == [
        (date(2026, 1, 6), midnight - timedelta(minutes=1), 2),
        (date(2026, 1, 7), midnight, 1),
    ]
    # Raw tables keep the day on which a record became known.
    filed = lake.read("raw_quotes", dates=DAYS).filter(mine)
    assert filed["date"].to_list() == [date(2026, 1, 6), *[date(2026, 1, 7)] * 3]
    assert bars_of_others(lake).equals(others)
    assert not set(pending_days(played_home)) & set(DAYS)


def bars_of_others(lake: Lake) -> pl.DataFrame:
    return lake.read("bars", dates=DAYS).filter(pl.col("tenant") != "late")


# --- a process that dies -------------------------------------------------------------------------------------------

DIES = """
import sys
from datetime import date
from trading_assets.defs.run import run_job

def stay(done, steps, name):
    print(name, file=sys.__stdout__, flush=True)
    sys.stdin.read()

run_job("ingest", (date.fromisoformat(sys.argv[1]),) * 2, stay)
"""


def test_a_run_killed_halfway_is_ended_on_record_and_started_again_to_its_end(played_home: Home) -> None:
    day, now = DAYS[2], datetime.now(UTC)
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", DIES, day.isoformat()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline()
    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        assert end_dead_runs(instance, played_home, now, is_own_database=True) == []
        child.kill()
        child.communicate()
        assert not watched(instance, played_home, now)["ingest"].is_healthy
        ended = instance.get_run_by_id(run.run_id)
        assert ended is not None
        assert ended.status is dg.DagsterRunStatus.FAILURE
        # What it had begun is not taken for done, and the next moment of the clock takes it up.
        assert day in pending_days(played_home)
        others = {task.job for task in TASKS} - {"ingest"}
        done = run_what_is_due(now - timedelta(minutes=6), now, but=others)
        assert [job for job, run_id in done if run_id] == ["ingest"] * len(done)
        assert day not in pending_days(played_home)
        assert watched(instance, played_home, now)["ingest"].is_healthy


def watched(instance: dg.DagsterInstance, home: Home, at: datetime) -> dict[str, JobHealth]:
    return {one.job: one for one in watch_jobs(instance, home, at, is_own_database=True).jobs}


# --- failures -----------------------------------------------------------------------------------------------------


@contextmanager
def broken(lake: Lake, name: str) -> Iterator[None]:
    """Put another table in a table's place."""
    path, aside = Path(lake.path(name)), Path(lake.path(name) + ".aside")
    path.rename(aside)
    shutil.copytree(lake.path("pnl_events"), path)
    try:
        yield
    finally:
        shutil.rmtree(path)
        aside.rename(path)


def test_a_failed_run_is_one_sentence_with_job_step_and_reason_and_leaves_an_alert(
    played_home: Home, lake: Lake
) -> None:
    with broken(lake, "equity_daily"), pytest.raises(StateError) as failed:
        run_job("marts")
    sentence = str(failed.value)
    found = re.fullmatch(
        r"running job marts, step dbt_models: (.*open table equity_daily: it rests with other columns.*); "
        r"open run ([0-9a-f-]{36}) in Dagster\.",
        sentence,
    )
    assert found, sentence
    assert "\n" not in sentence

    run_id = found[2]
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status is dg.DagsterRunStatus.FAILURE
        ended = next(iter(instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE))).dagster_event
        assert ended is not None
        context = dg.build_run_status_sensor_context("alert_on_failure", ended, instance, run).for_run_failure()
        alert_on_failure(context, storage=storage_of(played_home))
    errors = [
        one for one in read_records(played_home.raw, stream="ops", types=(OpsError,)) if isinstance(one, OpsError)
    ]
    assert errors[-1].component == "job marts"
    assert run_id in errors[-1].message
    assert errors[-1].tenant == "ops"


def test_the_marts_keep_their_last_state_when_their_job_fails(played_home: Home, lake: Lake) -> None:
    before = played_home.marts.read_bytes()
    with broken(lake, "equity_daily"), pytest.raises(StateError):
        run_job("marts")
    assert played_home.marts.read_bytes() == before


# --- the event log ------------------------------------------------------------------------------------------------


def test_dagster_keeps_its_events_in_postgresql_over_a_small_pool(databases: Home) -> None:
    assert databases
    with dg.DagsterInstance.get() as instance:
        storage = instance.event_log_storage
        assert isinstance(storage, PooledEventLogStorage)
        pool = storage._engine.pool
        assert pool.size() <= 4  # type: ignore[attr-defined]


def test_events_survive_connections_that_the_server_closed(databases: Home) -> None:
    import sqlalchemy

    assert databases
    key = dg.AssetKey("survivor")
    with dg.DagsterInstance.get() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata={"number": 1}))
        engine = instance.event_log_storage._engine  # type: ignore[attr-defined]
        other = sqlalchemy.create_engine(engine.url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
        with other.connect() as connection:
            connection.execute(
                sqlalchemy.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        other.dispose()
        instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata={"number": 2}))
        records = instance.fetch_materializations(key, limit=10).records
        numbers = [record.asset_materialization.metadata["number"].value for record in records]  # type: ignore[union-attr]
    assert numbers == [2, 1]


def test_the_web_server_takes_its_own_pool_and_closing_gives_connections_back(databases: Home) -> None:
    assert databases
    with dg.DagsterInstance.get() as instance:
        storage = instance.event_log_storage
        assert isinstance(storage, PooledEventLogStorage)
        storage.optimize_for_webserver(statement_timeout=5000, pool_recycle=3600, max_overflow=3)
        assert instance.all_asset_keys() is not None
        assert storage._engine.pool._max_overflow == 3  # type: ignore[attr-defined]
    assert storage._engine.pool.checkedout() == 0  # type: ignore[attr-defined]
