"""Models in MLflow: a run with parameters, metrics and figures for each training, and the registered model with its aliases.

The daemon never reads it: what trades is a release (`store.release`). The tracking store and the folder of artifacts are
passed in; no global state of MLflow is touched. A registered model loads anywhere this package is installed:
`mlflow.pyfunc.load_model("models:/meta-model@shadow").predict(matrix)` gives calibrated win probabilities.

MLflow takes seconds to import, so it is imported when it is asked: most runs of the graph never do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Any

import numpy as np

from trading_assets.core.errors import UnavailableError
from trading_assets.core.learning.meta_model import MODEL_FILE, MetaModel
from trading_assets.store.mlflow_addresses import EXPERIMENT

if TYPE_CHECKING:
    from mlflow import MlflowClient

REGISTERED_MODEL = "meta-model"
_VERSION_TAG = "model_version"


@dataclass(frozen=True)
class Tracking:
    """Where MLflow keeps runs and models (a SQLAlchemy or http address), and where artifacts lie (a folder's address)."""

    uri: str
    artifacts: str
    experiment: str = EXPERIMENT
    registered_model: str = REGISTERED_MODEL


@dataclass(frozen=True)
class TrackedTraining:
    """What is kept of one training. `figures` are PNG images by file name, `documents` texts by file name."""

    model: MetaModel
    trained_at: datetime
    params: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, bytes] = field(default_factory=dict)
    documents: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RegisteredVersion:
    """A model in the registry: its number there, and the run it came from."""

    model_version: str
    number: str
    run_id: str


def register(tracking: Tracking, training: TrackedTraining) -> RegisteredVersion:
    """Log a training and register its model. A model that is registered already is returned as it is.

    Raises UnavailableError when MLflow's store does not answer.
    """
    with _answering("registering", training.model.version, tracking):
        known = find(tracking, training.model.version)
        if known is not None:
            return known
        client = _client(tracking)
        run_id = _log_run(client, tracking, training)
        number = _log_model(client, tracking, training, run_id)
        client.set_terminated(run_id)
    return RegisteredVersion(training.model.version, number, run_id)


def find(tracking: Tracking, model_version: str) -> RegisteredVersion | None:
    """Return the registered version of a model; None when it is not registered."""
    client = _client(tracking)
    found = client.search_model_versions(
        f"name='{tracking.registered_model}' and tags.{_VERSION_TAG}='{model_version}'"
    )
    if not found:
        return None
    latest = max(found, key=lambda version: int(version.version))
    return RegisteredVersion(model_version, str(latest.version), str(latest.run_id))


def set_alias(tracking: Tracking, model_version: str, alias: str, tags: Mapping[str, str] | None = None) -> None:
    """Point an alias (shadow, champion) at a model and add tags to it. MLflow keeps no history of this: `promotions` does."""
    with _answering("naming", model_version, tracking):
        version = find(tracking, model_version)
        if version is None:
            raise UnavailableError(
                "naming",
                model_version,
                f"it is not registered as {tracking.registered_model}",
                "register the training first",
            )
        client = _client(tracking)
        client.set_registered_model_alias(tracking.registered_model, alias, version.number)
        for key, value in (tags or {}).items():
            client.set_model_version_tag(tracking.registered_model, version.number, key, value)


def attach(tracking: Tracking, model_version: str, name: str, text: str, tags: Mapping[str, str]) -> bool:
    """Put a document beside a model's training, in place of one of the same name, and add tags; False for an unknown model."""
    with _answering("adding to", model_version, tracking):
        version = find(tracking, model_version)
        if version is None:
            return False
        client = _client(tracking)
        client.log_text(version.run_id, text, name)
        for key, value in tags.items():
            client.set_tag(version.run_id, key, value)
            client.set_model_version_tag(tracking.registered_model, version.number, key, value)
    return True


def load_registered(tracking: Tracking, alias: str) -> MetaModel:
    """Return the model an alias points at, from the registry's artifacts."""
    with _answering("loading", f"{tracking.registered_model}@{alias}", tracking):
        client = _client(tracking)
        version = client.get_model_version_by_alias(tracking.registered_model, alias)
        with tempfile.TemporaryDirectory() as folder:
            client.download_artifacts(str(version.run_id), MODEL_FILE, folder)
            return MetaModel.from_bytes((Path(folder) / MODEL_FILE).read_bytes())


def _client(tracking: Tracking) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(tracking.uri, tracking.uri)


def _log_run(client: MlflowClient, tracking: Tracking, training: TrackedTraining) -> str:
    """Write one run with everything that belongs to the training; return its id."""
    from mlflow.entities import Metric, Param, RunTag

    experiment = client.get_experiment_by_name(tracking.experiment)
    experiment_id = (
        experiment.experiment_id
        if experiment is not None
        else client.create_experiment(tracking.experiment, artifact_location=tracking.artifacts)
    )
    # Begin and end of a run are the wall clock's, by MLflow; the market's time, which may lie years back, is a tag.
    run = client.create_run(experiment_id, run_name=training.model.version).info
    run_id, at_ms = str(run.run_id), int(run.start_time)
    tags = {_VERSION_TAG: training.model.version, "trained_at": training.trained_at.isoformat(), **training.tags}
    client.log_batch(
        run_id,
        metrics=[Metric(key, float(value), at_ms, 0) for key, value in training.metrics.items() if np.isfinite(value)],
        params=[Param(key, str(value)) for key, value in training.params.items()],
        tags=[RunTag(key, value) for key, value in tags.items()],
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, content in _files(training).items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        client.log_artifacts(run_id, folder)
    return run_id


def _files(training: TrackedTraining) -> dict[str, bytes]:
    return {
        MODEL_FILE: training.model.to_bytes(),
        **{f"figures/{name}.png": content for name, content in training.figures.items()},
        **{name: text.encode() for name, text in training.documents.items()},
    }


def _log_model(client: MlflowClient, tracking: Tracking, training: TrackedTraining, run_id: str) -> str:
    """Put the model into the registry, in MLflow's own form; return its number there."""
    from mlflow.models import Model

    experiment_id = client.get_run(run_id).info.experiment_id
    logged = client.create_logged_model(experiment_id, name=training.model.version, source_run_id=run_id)
    with tempfile.TemporaryDirectory() as folder:
        # Written by hand: log_model would start processes to find out what the model needs, for five seconds and more,
        # and importing it takes as long again. It needs this package.
        (Path(folder) / MODEL_FILE).write_bytes(training.model.to_bytes())
        (Path(folder) / "requirements.txt").write_text("trading-assets\n")
        form = Model(run_id=run_id, model_id=logged.model_id)
        form.add_flavor("python_function", loader_module=__name__, data=MODEL_FILE, python_version=python_version())
        form.save(str(Path(folder) / "MLmodel"))
        client.log_model_artifacts(logged.model_id, folder)
    client.finalize_logged_model(logged.model_id, "READY")
    if not client.search_registered_models(f"name='{tracking.registered_model}'"):
        client.create_registered_model(tracking.registered_model)
    version = client.create_model_version(
        tracking.registered_model,
        source=logged.artifact_location,
        run_id=run_id,
        model_id=logged.model_id,
        tags={_VERSION_TAG: training.model.version},
    )
    return str(version.version)


class _WinProbability:
    """What MLflow calls `predict` on."""

    def __init__(self, model: MetaModel) -> None:
        self._model = model

    def predict(self, rows: Any, params: dict[str, Any] | None = None) -> np.ndarray:
        """Return calibrated win probabilities of candidate rows (n, k)."""
        del params
        return self._model.win_probability(np.asarray(rows, dtype=np.float64))


def _load_pyfunc(path: str) -> _WinProbability:
    """MLflow's hook: load the model it finds at `path`."""
    return _WinProbability(MetaModel.from_bytes(Path(path).read_bytes()))


@contextmanager
def _answering(operation: str, subject: str, tracking: Tracking) -> Iterator[None]:
    """Turn what MLflow, its database or its folder answers into one sentence, without the address's password."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as fault:
        place = tracking.uri.rsplit("@", 1)[-1]
        raise UnavailableError(
            operation,
            subject,
            f"MLflow at {place} answered {str(fault).splitlines()[0]}",
            "check that its database and its folder are there and can be written",
        ) from fault
