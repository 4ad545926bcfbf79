"""What starts runs: schedules that find nothing start nothing, and the dataset's growth starts a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import polars as pl
import pytest
from played import Played
from schedule_ticks import tick
from table_rows import AT, rows_of

from trading_assets.core.learning.drift import Thresholds
from trading_assets.core.learning.policy import DEFAULT
from trading_assets.core.records.market import Quote
from trading_assets.core.tables import TABLES
from trading_assets.defs import sensors
from trading_assets.defs.decay import decay_alarms
from trading_assets.defs.due import RANGE_TAGS
from trading_assets.defs.learning import TRIGGER_TAG
from trading_assets.defs.resources import Storage
from trading_assets.defs.sensors import RETRAIN_AFTER_ROWS, retrain_on_new_labels
from trading_assets.defs.tasks import TASKS
from trading_assets.store.home import Home
from trading_assets.store.ingestion import mark_ingested
from trading_assets.store.journal import Journal
from trading_assets.store.lake import Lake

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as local:
        yield local


@pytest.fixture
def home(tmp_path: Path, new_lake: Callable[[Path], Lake]) -> Home:
    """A home with empty tables."""
    home = Home(tmp_path)
    new_lake(home.lake)
    return home


# --- schedules ----------------------------------------------------------------------------------------------------


def test_a_schedule_that_finds_nothing_says_so_and_starts_nothing(
    graph: dg.Definitions, instance: dg.DagsterInstance, home: Home
) -> None:
    for job in ("ingest", "ledger", "dataset"):
        seen = tick(graph, instance, home, job)
        assert seen.run_requests == []
        assert seen.skip_message == "nothing has changed."


async def test_ingestion_takes_the_days_that_have_grown_and_the_day_before(
    graph: dg.Definitions, instance: dg.DagsterInstance, home: Home, record_of: Callable[..., Any]
) -> None:
    async with Journal.open(home.raw, "test") as journal:
        await journal.append([record_of(Quote, tenant="t", account="a", event_at=AT, known_at=AT)])
    (request,) = tick(graph, instance, home, "ingest").run_requests
    assert [request.tags[tag] for tag in RANGE_TAGS] == ["2026-01-08", "2026-01-09"]
    mark_ingested(home, "market", [AT.date()])
    assert tick(graph, instance, home, "ingest").run_requests == []


async def test_days_that_lie_apart_are_a_run_for_each_stretch(
    graph: dg.Definitions, instance: dg.DagsterInstance, home: Home, record_of: Callable[..., Any]
) -> None:
    async with Journal.open(home.raw, "test") as journal:
        for at in (AT, AT + timedelta(days=10)):
            await journal.append([record_of(Quote, tenant="t", account="a", event_at=at, known_at=at)])
    requests = tick(graph, instance, home, "ingest").run_requests
    assert [request.tags[RANGE_TAGS[0]] for request in requests] == ["2026-01-08", "2026-01-18"]
    assert len({request.run_key for request in requests}) == 2


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
def test_a_job_that_still_runs_waits_for_the_next_tick(
    graph: dg.Definitions, instance: dg.DagsterInstance, home: Home, status: dg.DagsterRunStatus
) -> None:
    for task in TASKS:
        instance.add_run(dg.DagsterRun(job_name=task.job, status=status))
        seen = tick(graph, instance, home, task.job)
        assert seen.run_requests == []
        assert seen.skip_message == f"{task.job} is still running; the next tick takes what has come since."


def test_a_job_without_days_is_started_by_the_clock(
    graph: dg.Definitions, instance: dg.DagsterInstance, home: Home
) -> None:
    for job in ("integrity", "retrain", "rollout", "marts", "docs"):
        assert len(tick(graph, instance, home, job).run_requests) == 1


def test_ledger_and_dataset_take_the_days_that_are_not_done(
    graph: dg.Definitions, instance: dg.DagsterInstance, played: Played, home: Home
) -> None:
    # The demo has done everything: there is nothing to do again, for no window of recent days is meant.
    for job in ("ledger", "dataset"):
        assert tick(graph, instance, played.home, job).run_requests == []
    lake = Lake(home.lake)
    days = [AT.date() + timedelta(days=number) for number in range(15)]
    lake.append("raw_deals", rows_of("raw_deals", 15, date=days, deal_ticket=[f"{n}" for n in range(15)]))
    (request,) = tick(graph, instance, home, "ledger").run_requests
    assert [request.tags[tag] for tag in RANGE_TAGS] == [days[0].isoformat(), days[-1].isoformat()]


# --- the sensor on the dataset ------------------------------------------------------------------------------------


def look(graph: dg.Definitions, instance: dg.DagsterInstance, home: Home) -> Any:
    """Materialise the dataset and let the sensor look."""
    instance.report_runless_asset_event(dg.AssetMaterialization("learning_dataset"))
    resources = {"storage": Storage(root=str(home.root))}
    with dg.build_sensor_context(
        instance, definitions=graph, resources=resources, sensor_name="retrain_on_new_labels"
    ) as context:
        return retrain_on_new_labels.evaluate_tick(context)


def fill(lake: Lake, like: pl.DataFrame, rows: int) -> None:
    """Fill the dataset with rows of a played one, numbered where it has too few."""
    numbered = pl.concat([like.head(1)] * rows).with_columns(idea_id=pl.int_range(rows).cast(pl.String))
    lake.append("learning_dataset", numbered.select(TABLES["learning_dataset"].names))


def test_too_few_new_labels_start_no_training(
    graph: dg.Definitions, instance: dg.DagsterInstance, home: Home, played: Played
) -> None:
    like = Lake(played.home.lake).read("learning_dataset")
    fill(Lake(home.lake), like, RETRAIN_AFTER_ROWS - 1)
    seen = look(graph, instance, home)
    assert not seen.run_requests
    assert seen.skip_message == f"{RETRAIN_AFTER_ROWS - 1} new labelled rows; {RETRAIN_AFTER_ROWS} start a training."


def test_enough_new_labels_start_one_training_in_each_window(
    graph: dg.Definitions, instance: dg.DagsterInstance, home: Home, played: Played
) -> None:
    lake = Lake(home.lake)
    fill(lake, Lake(played.home.lake).read("learning_dataset"), RETRAIN_AFTER_ROWS)
    (request,) = look(graph, instance, home).run_requests
    assert request.job_name in (None, "retrain")
    assert request.run_key.endswith("-attempt-1")
    assert (
        request.tags[TRIGGER_TAG]
        == f"{RETRAIN_AFTER_ROWS} new labelled rows in dataset version {lake.version('learning_dataset')}."
    )


def test_rows_a_training_has_seen_are_not_new(
    graph: dg.Definitions, instance: dg.DagsterInstance, home: Home, played: Played
) -> None:
    lake, theirs = Lake(home.lake), Lake(played.home.lake)
    fill(lake, theirs.read("learning_dataset"), RETRAIN_AFTER_ROWS)
    trained = theirs.read("meta_models").head(1)
    lake.append("meta_models", trained.with_columns(dataset_version=pl.lit(lake.version("learning_dataset"), pl.Int64)))
    seen = look(graph, instance, home)
    assert not seen.run_requests
    assert seen.skip_message.startswith("0 new labelled rows")


# --- one training in each window ----------------------------------------------------------------------------------


def asked(instance: dg.DagsterInstance, home: Home, at: datetime = AT) -> Any:
    """Ask for a training because of decay."""
    return sensors._training(instance, home, "decay", "It decays.", at, hours=24, most=3)


def add_run(instance: dg.DagsterInstance, request: Any, status: dg.DagsterRunStatus) -> None:
    instance.add_run(dg.DagsterRun(job_name="retrain", status=status, tags=dict(request.tags)))


def test_alarms_of_one_day_start_one_training_and_the_run_says_why(instance: dg.DagsterInstance, home: Home) -> None:
    request = asked(instance, home)
    assert request.run_key == "decay-2026-01-09T00-attempt-1"
    assert request.tags[TRIGGER_TAG] == "It decays."
    add_run(instance, request, dg.DagsterRunStatus.SUCCESS)
    for minutes in (0, 10, 600):
        assert "was started in this window" in asked(instance, home, AT + timedelta(minutes=minutes)).skip_message
    assert asked(instance, home, AT + timedelta(days=1)).run_key == "decay-2026-01-10T00-attempt-1"


def test_a_training_that_failed_is_tried_again_under_another_key_and_not_for_ever(
    instance: dg.DagsterInstance, home: Home
) -> None:
    keys = []
    for _ in range(3):
        request = asked(instance, home)
        keys.append(request.run_key)
        add_run(instance, request, dg.DagsterRunStatus.FAILURE)
    assert [key.rsplit("-", 1)[1] for key in keys] == ["1", "2", "3"]
    assert "3 trainings for it have failed" in asked(instance, home).skip_message


def test_a_training_that_runs_is_waited_for(instance: dg.DagsterInstance, home: Home) -> None:
    instance.add_run(dg.DagsterRun(job_name="retrain", status=dg.DagsterRunStatus.STARTED))
    assert "still running" in asked(instance, home).skip_message


def test_without_trades_scores_and_models_nothing_decays(home: Home) -> None:
    assert decay_alarms(Lake(home.lake), DEFAULT) == []


def test_the_daily_training_says_that_it_is_the_daily_one(
    graph: dg.Definitions, instance: dg.DagsterInstance, home: Home
) -> None:
    (request,) = tick(graph, instance, home, "retrain").run_requests
    assert request.tags[TRIGGER_TAG] == "daily at 02:00 UTC"


def test_too_few_trades_that_made_money_and_probabilities_that_are_off_are_alarms(home: Home) -> None:
    lake = Lake(home.lake)
    won = [n % 2 == 0 for n in range(100)]
    lake.append("trades", rows_of(
        "trades", 100, trade_id=[f"t-{n:03d}" for n in range(100)], signal_id=[f"s-{n}" for n in range(100)],
        net_pnl=[Decimal(1 if one else -1) for one in won],
        closed_at=[AT + timedelta(minutes=n) for n in range(100)],
    ))  # fmt: skip
    lake.append("learning_dataset", rows_of(
        "learning_dataset", 600, idea_id=[f"i-{n}" for n in range(600)], signal_id=[f"s-{n}" for n in range(600)],
        win_probability=[0.7] * 600, is_win=[n % 2 == 0 for n in range(600)],
    ))  # fmt: skip
    accuracy, calibration = decay_alarms(lake, DEFAULT)
    assert accuracy == "Of the last 100 trades 50% made money after costs, under 60%."
    assert "expected 70.0% wins and 50.0% came" in calibration
    lenient = msgspec.structs.replace(DEFAULT, drift=Thresholds(accuracy=0.5, calibration=0.3))
    assert decay_alarms(lake, lenient) == []
