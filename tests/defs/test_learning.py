"""The learning stage on too little to learn from: a recorded refusal, no release, and nothing fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import polars as pl
import pytest
from played import Played

from trading_assets.core.records.operations import Promotion
from trading_assets.defs.learning import LATEST, Trained, meta_models
from trading_assets.defs.promotion import promotions, release
from trading_assets.defs.resources import Registry, Storage
from trading_assets.defs.retraining import retraining_runs
from trading_assets.store.home import Home
from trading_assets.store.journal import read_records
from trading_assets.store.lake import Lake
from trading_assets.store.release import current_id

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def home(tmp_path: Path, new_lake: Callable[[Path], Lake]) -> Home:
    home = Home(tmp_path)
    new_lake(home.lake)
    return home


def learn(home: Home) -> dg.ExecuteInProcessResult:
    """Train, judge and release in a home, with no MLflow: what is refused never reaches it."""
    resources = {
        "storage": Storage(root=str(home.root)), "registry": Registry(tracking_url="", artifacts=str(home.mlflow)),
    }  # fmt: skip
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [meta_models, promotions, release, retraining_runs], instance=instance, resources=resources
        )


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    (written,) = result.asset_materializations_for_node(asset)
    return {name: one.value for name, one in written.metadata.items()}


def judged(home: Home) -> list[Promotion]:
    found = read_records(home.raw, stream="ops", types=(Promotion,))
    return [one for one in found if isinstance(one, Promotion)]


def test_an_empty_dataset_is_a_recorded_refusal_and_no_release(home: Home) -> None:
    result = learn(home)
    assert result.success
    assert "the learning dataset is empty" in metadata(result, "meta_models")["refusal"]
    assert metadata(result, "promotions")["verdict"] == "refused"
    assert metadata(result, "release") == {"release_id": "rules-only", "reason": "no model has been promoted"}
    (record,) = judged(home)
    assert record.model_version == "none"
    assert record.release_id is None
    assert "the learning dataset is empty; let labels grow, or ingest the journal first" in record.reasons[0]
    assert current_id(home.releases) is None
    assert not home.releases.exists()


@pytest.mark.parametrize("rows", [1, 60])
def test_a_dataset_too_small_to_split_is_a_recorded_refusal(home: Home, played: Played, rows: int) -> None:
    lake = Lake(home.lake)
    lake.append("learning_dataset", Lake(played.home.lake).read("learning_dataset").head(rows))
    result = learn(home)
    assert result.success
    (record,) = judged(home)
    assert record.verdict == "refused"
    assert len(record.reasons) == 1
    assert record.reasons[0] == metadata(result, "meta_models")["refusal"]
    assert lake.read("promotions")["reasons"].to_list() == [list(record.reasons)]
    assert lake.read("meta_models").is_empty()
    assert current_id(home.releases) is None


def test_each_judgement_is_kept(home: Home) -> None:
    learn(home)
    learn(home)
    assert [one.verdict for one in judged(home)] == ["refused", "refused"]
    assert Lake(home.lake).read("promotions").height == 2


def test_the_model_of_a_played_home_left_its_evaluation_its_rows_and_its_figures(played: Played) -> None:
    home = played.home
    trained = msgspec.json.decode((home.models / LATEST).read_bytes(), type=Trained)
    assert trained.model_version == played.answer["model"]["version"]
    folder = home.models / str(trained.model_version)
    assert {path.name for path in folder.iterdir()} >= {"trained.json", "judged.parquet"}
    (row,) = Lake(home.lake).read("meta_models").to_dicts()
    assert row["dataset_sha256"] == trained.dataset_sha256
    assert row["row_count"] > row["evaluated_rows"] > 0
    assert json.loads(row["evaluation"])["rows"] == row["evaluated_rows"]
    figures = {path.stem for path in home.mlflow.rglob("*.png")}
    assert figures >= {"reliability", "importance"}


def test_no_row_enters_the_dataset_before_its_label_ends(played: Played) -> None:
    lake = Lake(played.home.lake)
    rows = lake.read("learning_dataset", columns=["idea_id", "decided_at", "label_end_at"])
    last_bar = lake.read("bars").filter(pl.col("timeframe") == "M1")["close_at"].max()
    assert rows["label_end_at"].max() <= last_bar
    assert (rows["label_end_at"] >= rows["decided_at"]).all()


def test_the_registry_without_an_address_is_one_sentence() -> None:
    registry = Registry(tracking_url="", artifacts="/nowhere")
    with pytest.raises(Exception, match="TRADING_MLFLOW_URL is not set; start the run with `trading`"):
        _ = registry.tracking


def test_a_promotion_record_holds_what_the_table_holds(played: Played, record_of: Callable[..., Any]) -> None:
    assert record_of(Promotion).verdict in ("promoted", "refused")
    (record,) = judged(played.home)
    (row,) = Lake(played.home.lake).read("promotions").to_dicts()
    assert (row["verdict"], row["model_version"], row["dataset_version"]) == (
        record.verdict, record.model_version, record.dataset_version,
    )  # fmt: skip
    assert row["judged_at"] == record.event_at <= datetime.now(UTC)
