"""What becomes of trainings: a failed one leaves a row that says why, counts as nothing learned, and does not hide the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from table_rows import rows_of

from trading_assets.core.errors import InputError
from trading_assets.defs.learning import TRIGGER_TAG, meta_models, training_rows
from trading_assets.defs.promotion import promotions, release
from trading_assets.defs.resources import Registry, Storage
from trading_assets.defs.retraining import record_failure, retraining_runs, why_failed
from trading_assets.defs.sensors import _rows_learned, alert_on_failure
from trading_assets.store.home import Home
from trading_assets.store.lake import Lake

AT = datetime(2026, 2, 2, 2, tzinfo=UTC)
ASSETS = [meta_models, promotions, release, retraining_runs]


@pytest.fixture
def home(tmp_path: Path, new_lake: Callable[[Path], Lake]) -> Home:
    home = Home(tmp_path)
    new_lake(home.lake)
    return home


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def learn(home: Home, instance: dg.DagsterInstance, assets: list[dg.AssetsDefinition]) -> dg.ExecuteInProcessResult:
    resources = {
        "storage": Storage(root=str(home.root)), "registry": Registry(tracking_url="", artifacts=str(home.mlflow)),
    }  # fmt: skip
    return dg.materialize(ASSETS, selection=assets, instance=instance, resources=resources)


def rows(home: Home) -> list[dict[str, Any]]:
    return Lake(home.lake).read("retraining_runs").sort("ended_at").to_dicts()


def test_the_failure_sensor_keeps_the_row_of_a_training_that_failed_once(
    home: Home, instance: dg.DagsterInstance
) -> None:
    @dg.op
    def train() -> None:
        raise RuntimeError("the disk was full")

    @dg.job(name="retrain", tags={TRIGGER_TAG: "25 new labelled rows."})
    def job() -> None:
        train()

    result = job.execute_in_process(instance=instance, raise_on_error=False)
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    ended = next(iter(instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE))).dagster_event
    assert ended is not None
    for _ in range(2):
        context = dg.build_run_status_sensor_context("alert_on_failure", ended, instance, run).for_run_failure()
        alert_on_failure(context, storage=Storage(root=str(home.root)))
    (row,) = rows(home)
    assert row["run_id"] == run.run_id
    assert not row["is_deployed"]
    assert (row["model_version"], row["release_id"], row["previous_release_id"]) == (None, None, "rules-only")
    assert row["trigger"] == "25 new labelled rows."
    assert row["reasons"] == ["The run failed: step train: RuntimeError: the disk was full"]
    assert row["started_at"] <= row["ended_at"]
    assert _rows_learned(Lake(home.lake)) == 0


def test_a_training_whose_process_died_has_a_row_all_the_same(home: Home) -> None:
    run = dg.DagsterRun(job_name="retrain", run_id="r-1")
    record_failure(home, Lake(home.lake), run, why_failed([]), AT, AT + timedelta(minutes=3))
    (row,) = rows(home)
    assert row["reasons"] == ["The run failed: in no step; its process died, or was ended."]
    assert (row["trigger"], row["ended_at"]) == ("by hand", AT + timedelta(minutes=3))


def test_a_run_that_ends_what_a_failed_one_began_has_a_row_of_its_own(home: Home, instance: dg.DagsterInstance) -> None:
    trained = learn(home, instance, [meta_models]).run_id
    failed = instance.get_run_by_id(trained)
    assert failed is not None
    record_failure(home, Lake(home.lake), failed, "step release: the disk was full", AT, AT)
    ended = learn(home, instance, [promotions, release, retraining_runs]).run_id
    learn(home, instance, [retraining_runs])
    assert [one["run_id"] for one in rows(home)] == [trained, ended]
    assert "the learning dataset is empty" in rows(home)[1]["reasons"][0]


def test_a_training_as_of_a_moment_takes_no_row_whose_label_ended_later(home: Home) -> None:
    decided = [AT - timedelta(days=40), AT - timedelta(hours=9), AT - timedelta(hours=1), AT + timedelta(hours=1)]
    ends = [one + timedelta(hours=3) for one in decided]
    lake = Lake(home.lake)
    lake.append("learning_dataset", rows_of(
        "learning_dataset", 4, idea_id=list("abcd"), decided_at=decided, label_end_at=ends, date=[one.date() for one in decided],
    ))  # fmt: skip
    version = lake.version("learning_dataset")
    assert sorted(training_rows(lake, version, 90)["idea_id"]) == list("abcd")
    assert sorted(training_rows(lake, version, 90, "2026-02-02T04:00+02:00")["idea_id"]) == ["a", "b"]
    assert training_rows(lake, version, 30, "2026-02-02T02:00+00:00")["idea_id"].to_list() == ["b"]
    with pytest.raises(InputError, match="there are no rows"):
        training_rows(lake, version, 30, "2025-12-24T03:00+00:00")
    with pytest.raises(InputError, match="dataset is empty"):
        training_rows(lake, version, 30, "2025-12-01T00:00+00:00")


@pytest.mark.parametrize("wrong", ["2026-02-02T02:00", "yesterday"])
def test_a_moment_without_a_time_zone_is_refused(home: Home, wrong: str) -> None:
    with pytest.raises(InputError, match="no moment with a time zone"):
        training_rows(Lake(home.lake), 0, 90, wrong)
