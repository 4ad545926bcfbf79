"""The learning stage: train a meta-model on a version of the dataset, judge it, and release it or say why not.

How it is trained and judged lives in `core.learning`, how a release rests in `store.release`. Between the assets a model
waits in a folder of its own, with the rows it was judged on.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import numpy as np
import polars as pl

from trading_assets.core import ids
from trading_assets.core.decisions.scoring import candidate_feature_names
from trading_assets.core.errors import InputError
from trading_assets.core.features.feature_set import FeatureSet, by_version
from trading_assets.core.features.normaliser import Normaliser
from trading_assets.core.features.normaliser import fit as fit_normaliser
from trading_assets.core.learning.dataset import content_hash
from trading_assets.core.learning.evaluation import Evaluation
from trading_assets.core.learning.meta_model import MODEL_FILE, MetaModel
from trading_assets.core.learning.promotion import Judgement, Requirements, judge
from trading_assets.core.learning.training import Training, against_champion, fit
from trading_assets.core.records.operations import Promotion
from trading_assets.core.release import ReleaseManifest
from trading_assets.defs.ops import OPS_ACCOUNT, OPS_TENANT, write_ops
from trading_assets.defs.plots import importance_figure, reliability_figure
from trading_assets.defs.resources import Registry, Storage
from trading_assets.defs.table_asset import conform, materialised, picture, whole_table_asset
from trading_assets.store.files import replace_atomically
from trading_assets.store.home import Home
from trading_assets.store.lake import Lake
from trading_assets.store.registry import TrackedTraining, register, set_alias
from trading_assets.store.release import current_id, load_release, read_manifest, set_current, write_release

TRAINING_DAYS = 90
LATEST = "latest.json"
TRAINED = "trained.json"
JUDGED = "judged.parquet"


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """What the last training left for the judge: a model, or why there is none."""

    model_version: str | None
    refusal: str
    dataset_version: int
    dataset_sha256: str
    feature_set_version: str
    strategy_version: str
    trained_until: datetime | None
    evaluation: Evaluation | None
    against_champion: tuple[Evaluation, Evaluation] | None
    normaliser: Normaliser | None


def _dataset(lake: Lake) -> tuple[int, pl.DataFrame]:
    """Return the dataset's version and its last days, of the feature set its latest row was made with."""
    version = lake.version("learning_dataset")
    latest = lake.scan("learning_dataset").select(pl.col("date").max()).collect().item()
    if latest is None:
        raise InputError(
            "training", "meta-model", "the learning dataset is empty", "let labels grow, or ingest the journal first"
        )
    frame = lake.read("learning_dataset", since=latest - timedelta(days=TRAINING_DAYS), version=version)
    in_use = frame.sort("decided_at")["feature_set_version"][-1]
    return version, frame.filter(pl.col("feature_set_version") == in_use)


@whole_table_asset("meta_models", ["learning_dataset"])
def meta_models(context: dg.AssetExecutionContext, storage: Storage, registry: Registry) -> dg.MaterializeResult[Any]:
    lake, models = storage.lake, storage.home.models
    version = lake.version("learning_dataset")
    try:
        version, frame = _dataset(lake)
        feature_set = by_version(frame["feature_set_version"][0])
        names = candidate_feature_names(feature_set)
        training = fit(frame, names, progress=context.log.info)
    except InputError as error:
        # Too little to learn from is an answer, not a failure: the judge records it.
        refused = Trained(
            model_version=None, refusal=str(error), dataset_version=version, dataset_sha256="", feature_set_version="",
            strategy_version="", trained_until=None, evaluation=None, against_champion=None, normaliser=None,
        )  # fmt: skip
        replace_atomically(models / LATEST, msgspec.json.encode(refused))
        return materialised(None, 0, refusal=str(error))
    model = training.model
    trained = Trained(
        model_version=model.version,
        refusal="",
        dataset_version=version,
        dataset_sha256=content_hash(frame),
        feature_set_version=feature_set.version,
        strategy_version=frame.sort("decided_at")["strategy_version"][-1],
        trained_until=training.trained_until,
        evaluation=training.evaluation,
        against_champion=_against_champion(storage.home, training, frame),
        normaliser=_normaliser(lake, feature_set, frame),
    )
    _keep(models / model.version, trained, training)
    figures = {
        "reliability": reliability_figure(training.evaluation),
        "importance": importance_figure(model.importance()),
    }
    run_id = register(registry.tracking, _tracked(trained, training, figures)).run_id
    _append_row(lake, trained, training, frame, run_id)
    replace_atomically(models / LATEST, msgspec.json.encode(trained))
    shown = {name: picture(png, name) for name, png in figures.items()}
    rows = int(lake.scan("meta_models").select(pl.len()).collect().item())
    return materialised(
        None, rows, rows_in=training.row_count, model_version=model.version, mlflow_run_id=run_id, **shown
    )


def _tracked(trained: Trained, training: Training, figures: dict[str, bytes]) -> TrackedTraining:
    """Return what MLflow keeps of a training."""
    evaluation = training.evaluation
    figures_of = ("log_loss", "baseline_log_loss", "brier", "baseline_brier", "auc", "calibration_error", "mean_r",
                  "sharpe", "deflated_sharpe", "worst_tier_precision")  # fmt: skip
    return TrackedTraining(
        model=training.model,
        trained_at=training.trained_until,
        params={**msgspec.to_builtins(training.variant.params), "variant": training.variant.name},
        metrics={name: getattr(evaluation, name) for name in figures_of}
        | {"selected_r": evaluation.selected_r.value, "log_loss_gain": evaluation.log_loss_gain.value, "rows": training.row_count},
        tags={"dataset_version": str(trained.dataset_version), "dataset_sha256": trained.dataset_sha256,
              "feature_set_version": trained.feature_set_version},
        figures=figures,
        documents={"evaluation.json": msgspec.json.encode(evaluation, order="sorted").decode()},
    )  # fmt: skip


def _normaliser(lake: Lake, feature_set: FeatureSet, frame: pl.DataFrame) -> Normaliser:
    """Fit the normaliser on the features of the training days: nothing after the cut."""
    features = lake.scan("features", since=frame["date"].min(), until=frame["date"].max())  # type: ignore[arg-type]
    values = features.filter(pl.col("feature_set_version") == feature_set.version).select("values").collect()["values"]
    return fit_normaliser(np.vstack(values.to_list()), feature_set.names)


def _keep(folder: Path, trained: Trained, training: Training) -> None:
    replace_atomically(folder / MODEL_FILE, training.model.to_bytes())
    replace_atomically(folder / TRAINED, msgspec.json.encode(trained))
    training.judged.write_parquet(folder / JUDGED)


def _append_row(lake: Lake, trained: Trained, training: Training, frame: pl.DataFrame, run_id: str) -> None:
    """Add the model to the table; training the same rows again gives the same model, which is there already."""
    known = lake.read("meta_models", columns=["model_version"])["model_version"]
    if training.model.version in set(known):
        return
    evaluation = training.evaluation
    row = pl.DataFrame({"trained_at": [training.trained_until]}, schema={"trained_at": pl.Datetime("us", "UTC")})
    lake.append(
        "meta_models",
        conform(
            "meta_models", row,
            tenant=frame["tenant"][0], account=frame["account"][0], date=training.trained_until.date(),
            model_version=training.model.version, dataset_version=trained.dataset_version,
            dataset_sha256=trained.dataset_sha256, feature_set_version=trained.feature_set_version,
            strategy_version=trained.strategy_version, row_count=training.row_count, win_share=training.win_share,
            fold_count=int(training.judged["fold"].n_unique()), evaluated_rows=evaluation.rows,
            brier_score=evaluation.brier, brier_reference=evaluation.baseline_brier,
            log_loss=evaluation.log_loss, log_loss_reference=evaluation.baseline_log_loss,
            auc=evaluation.auc, calibration_error=evaluation.calibration_error, expectancy_r=evaluation.mean_r,
            selected_expectancy_r=evaluation.selected_r.value, deflated_sharpe=evaluation.deflated_sharpe,
            variants_tried=evaluation.variants_tried,
            evaluation=msgspec.json.encode(evaluation, order="sorted").decode(), mlflow_run_id=run_id,
        ),
    )  # fmt: skip


def _against_champion(home: Home, training: Training, frame: pl.DataFrame) -> tuple[Evaluation, Evaluation] | None:
    """Judge the new model and the released one on rows neither has learned from; None without such rows."""
    release_id = current_id(home.releases)
    if release_id is None:
        return None
    champion = load_release(home.releases, release_id).model
    assert isinstance(champion, MetaModel)
    kept = msgspec.json.decode((home.models / champion.version / TRAINED).read_bytes(), type=Trained)
    assert kept.trained_until is not None
    return against_champion(training, champion, frame, kept.trained_until)


def _judgement(home: Home, trained: Trained, in_use: str) -> Judgement:
    """Judge the last model: alone, or against the released one on rows neither has learned from."""
    if trained.model_version is None or trained.evaluation is None:
        return _refused(trained.refusal)
    requirements = Requirements(feature_set_version=in_use)
    release_id = current_id(home.releases)
    if release_id is None:
        return judge(trained.evaluation, None, requirements)
    if read_manifest(home.releases, release_id).model_version == trained.model_version:
        return _refused("It is the model in use: the dataset has not grown since.")
    if trained.against_champion is None:
        return _refused("No labelled decision is newer than the model in use, so the two cannot be compared.")
    return judge(*trained.against_champion, requirements)


def _refused(reason: str) -> Judgement:
    return Judgement(verdict="refused", reasons=(reason,), blend=0.0)


@whole_table_asset("promotions", ["meta_models"])
def promotions(storage: Storage) -> dg.MaterializeResult[Any]:
    home, lake = storage.home, storage.lake
    trained = msgspec.json.decode((home.models / LATEST).read_bytes(), type=Trained)
    now = datetime.now(UTC)
    judgement = _judgement(home, trained, _feature_set_in_use(lake) or trained.feature_set_version)
    release_id = _draft(home, trained, judgement, now) if judgement.is_promoted else None
    record = Promotion(
        tenant=OPS_TENANT, account=OPS_ACCOUNT, event_at=now, known_at=now, chain_id=ids.ulid(now, "promotion", str(trained.model_version)),
        model_version=trained.model_version or "none", dataset_version=trained.dataset_version, verdict=judgement.verdict,
        release_id=release_id, blend=judgement.blend, reasons=judgement.reasons,
    )  # fmt: skip
    # Written before acted: the judgement is durable before the pointer moves.
    write_ops(home, [record])
    row = pl.DataFrame(
        {"judged_at": [now], "reasons": [list(judgement.reasons)]},
        schema={"judged_at": pl.Datetime("us", "UTC"), "reasons": pl.List(pl.String)},
    )
    lake.append(
        "promotions",
        conform(
            "promotions", row, tenant=OPS_TENANT, account=OPS_ACCOUNT, date=now.date(), model_version=record.model_version,
            dataset_version=record.dataset_version, verdict=record.verdict, release_id=release_id, blend=record.blend,
        ),
    )  # fmt: skip
    return materialised(
        None, 1, verdict=judgement.verdict, reasons="\n".join(judgement.reasons), release_id=release_id or ""
    )


def _feature_set_in_use(lake: Lake) -> str | None:
    dates = lake.dates("signals")
    rows = (
        lake.read("signals", dates=dates[-1:], columns=["decided_at", "feature_set_version"])
        if dates
        else pl.DataFrame()
    )
    return str(rows.sort("decided_at")["feature_set_version"][-1]) if rows.height else None


def _draft(home: Home, trained: Trained, judgement: Judgement, now: datetime) -> str:
    """Write the release of a promoted model, not yet in use; return its id."""
    assert trained.model_version is not None
    assert trained.normaliser is not None
    content = (home.models / trained.model_version / MODEL_FILE).read_bytes()
    model = MetaModel.from_bytes(content)
    release_id = f"{model.version}-blend-{round(judgement.blend * 100)}"
    if not (home.releases / release_id).exists():
        manifest = ReleaseManifest(
            release_id=release_id, created_at=now, model_version=model.version,
            feature_set_version=trained.feature_set_version, strategy_version=trained.strategy_version,
            candidate_features=model.feature_names, blend=judgement.blend, normaliser=trained.normaliser,
            calibration=model.calibration, dataset_version=trained.dataset_version, dataset_sha256=trained.dataset_sha256,
            files={}, parent_release_id=current_id(home.releases),
        )  # fmt: skip
        write_release(home.releases, manifest, {MODEL_FILE: content})
    return release_id


@dg.asset(
    name="release", deps=["promotions"], group_name="learning", owners=["team:trading"], kinds={"file"},
    description="The release in use: an immutable folder and the CURRENT pointer, moved atomically after a promotion. "
    "The daemon follows the pointer and swaps between bars.",
)  # fmt: skip
def release(storage: Storage, registry: Registry) -> dg.MaterializeResult[Any]:
    home = storage.home
    judged = storage.lake.read("promotions").sort("judged_at").row(-1, named=True)
    if judged["verdict"] == "promoted":
        set_current(home.releases, judged["release_id"])
        set_alias(registry.tracking, judged["model_version"], "champion" if judged["blend"] > 0 else "shadow")
    current = current_id(home.releases)
    if current is None:
        return dg.MaterializeResult(metadata={"release_id": "rules-only", "reason": "no model has been promoted"})
    manifest = read_manifest(home.releases, current)
    return dg.MaterializeResult(
        metadata={"release_id": current, "model_version": manifest.model_version, "blend": manifest.blend,
                  "dataset_version": manifest.dataset_version, "path": dg.MetadataValue.path(str(home.releases / current))}
    )  # fmt: skip
