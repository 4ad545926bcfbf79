"""The registry, on a real MLflow store: runs, figures, versions, aliases, and the model it gives back."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from trading_assets.core.errors import UnavailableError
from trading_assets.core.learning.meta_model import MetaModel, TrainingParams, train_on
from trading_assets.store.registry import (
    TrackedTraining,
    Tracking,
    find,
    load_registered,
    register,
    set_alias,
)

AT = datetime(2024, 3, 4, 2, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n"


def trained(seed: int) -> MetaModel:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(400, 3)).astype(np.float32)
    params = TrainingParams(trees=5, leaves=4, rows_per_leaf=20)
    return train_on(matrix, rng.random(400) < 0.4, ("spread_bp", "consensus", "cost_r"), params)


def training(model: MetaModel) -> TrackedTraining:
    return TrackedTraining(
        model=model,
        trained_at=AT,
        params={"trees": 5, "scheme": "expanding"},
        metrics={"brier": 0.21, "log_loss": 0.6, "auc": float("nan")},
        tags={"dataset_sha256": "ab" * 32},
        figures={"reliability": PNG},
        documents={"evaluation.json": "{}"},
    )


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    folder = tmp_path_factory.mktemp("mlflow")
    return Tracking(f"sqlite:///{folder / 'mlflow.db'}", (folder / "artifacts").as_uri())


@pytest.fixture(scope="module")
def first(tracking: Tracking) -> MetaModel:
    model = trained(1)
    register(tracking, training(model))
    return model


def test_a_training_is_kept_with_parameters_metrics_and_figures(tracking: Tracking, first: MetaModel) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking.uri, tracking.uri)
    version = find(tracking, first.version)
    assert version is not None
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"trees": "5", "scheme": "expanding"}
    assert run.data.metrics == {"brier": 0.21, "log_loss": 0.6}
    assert run.data.tags["model_version"] == first.version
    # The market's time, which may lie years back, is no time of the run: it would have taken years.
    assert run.data.tags["trained_at"] == training(first).trained_at.isoformat()
    assert 0 <= run.info.end_time - run.info.start_time < 3_600_000
    assert [file.path for file in client.list_artifacts(version.run_id, "figures")] == ["figures/reliability.png"]
    assert {file.path for file in client.list_artifacts(version.run_id)} == {
        "evaluation.json",
        "figures",
        "meta_model.json",
    }


def test_registering_the_same_model_again_makes_no_second_version(tracking: Tracking, first: MetaModel) -> None:
    assert register(tracking, training(first)) == find(tracking, first.version)


def test_another_model_is_the_next_version(tracking: Tracking, first: MetaModel) -> None:
    known = find(tracking, first.version)
    other = register(tracking, training(trained(2)))
    assert known is not None
    assert int(other.number) == int(known.number) + 1


def test_an_alias_moves_and_gives_back_the_same_bytes(tracking: Tracking, first: MetaModel) -> None:
    set_alias(tracking, first.version, "shadow", {"verdict": "promoted"})
    assert load_registered(tracking, "shadow").to_bytes() == first.to_bytes()


def test_mlflow_itself_loads_the_registered_model(
    tracking: Tracking, first: MetaModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_alias(tracking, first.version, "shadow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.uri)
    matrix = np.random.default_rng(9).normal(size=(6, 3))
    with warnings.catch_warnings():
        # MLflow warns about type hints of its own when pyfunc is imported.
        warnings.simplefilter("ignore")
        import mlflow.pyfunc

        loaded = mlflow.pyfunc.load_model("models:/meta-model@shadow")
        assert np.array_equal(loaded.predict(matrix), first.win_probability(matrix))


def test_naming_an_unknown_model_or_loading_an_unknown_alias_is_said_in_one_sentence(tracking: Tracking) -> None:
    with pytest.raises(UnavailableError, match=r"^naming meta-unknown: .*register the training first\.$"):
        set_alias(tracking, "meta-unknown", "shadow")
    with pytest.raises(UnavailableError, match=r"^loading meta-model@nobody: MLflow at .*\.$"):
        load_registered(tracking, "nobody")


def test_a_store_that_does_not_answer_is_said_in_one_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    place = Tracking(f"sqlite:///{blocked}/mlflow.db", tmp_path.as_uri())
    with pytest.raises(UnavailableError, match=r"^registering meta-.*: MLflow at .*\.$"):
        register(place, training(trained(1)))
