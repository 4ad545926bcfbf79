"""Training: a meta-model of a version of the dataset, with everything its judgement needs.

How it is trained lives in `core.learning`; the judgement and the release are `defs.promotion`. Until then a model waits in a
folder of its own, with the rows it was judged on.
"""

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import numpy as np
import polars as pl

from trading_assets.core.decisions.scoring import candidate_feature_names
from trading_assets.core.errors import InputError
from trading_assets.core.features.feature_set import FeatureSet, by_version
from trading_assets.core.features.normaliser import Normaliser
from trading_assets.core.features.normaliser import fit as fit_normaliser
from trading_assets.core.learning.drift import feature_drift
from trading_assets.core.learning.evaluation import Evaluation
from trading_assets.core.learning.inspection import known_by, refuse_unsound
from trading_assets.core.learning.leaks import Leak, model_leaks
from trading_assets.core.learning.meta_model import MODEL_FILE, MetaModel, matrix_of
from trading_assets.core.learning.model_card import CARD_FILE
from trading_assets.core.learning.policy import Policy
from trading_assets.core.learning.search import Search
from trading_assets.core.learning.training import Training, against_champion, fit
from trading_assets.core.learning.variants import VARIANTS
from trading_assets.defs.model_card import card_facts, write_card
from trading_assets.defs.plots import importance_figure, reliability_figure
from trading_assets.defs.resources import Registry, Storage
from trading_assets.defs.table_asset import conform, materialised, picture, whole_table_asset
from trading_assets.store.dataset_versions import find_version, record_version, recorded_versions
from trading_assets.store.files import replace_atomically
from trading_assets.store.home import Home
from trading_assets.store.lake import Lake
from trading_assets.store.policy import read_policy
from trading_assets.store.recorded_features import feature_leaks
from trading_assets.store.registry import TrackedTraining, register
from trading_assets.store.release import current_id, load_release

VARIANTS_FILE = "variants.json"
LATEST = "latest.json"
TRAINED = "trained.json"
JUDGED = "judged.parquet"
TRIGGER_TAG = "trigger"
BY_HAND = "by hand"
DRIFT_ROWS = 20_000


class TrainingConfig(dg.Config):
    """How to train; the run's configuration may say otherwise (Dagster's launchpad)."""

    days: int = 90
    """Days of the dataset to learn from, up to its last one; 0 takes them all."""
    trials: int = 0
    """Trials of the hyperparameter search."""
    seed: int = 7
    """Of the search."""
    is_stacked: bool = True
    """Whether base models may forecast for the meta-model; the variants without them are tried too."""
    dataset_version: int = -1
    """Version of the dataset; -1 takes the present one."""
    until: str = ""
    """Learn as if it were this moment (2026-02-03T02:00+00:00): rows whose label ended later are left out. Empty takes all."""


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
    logistic: Evaluation | None = None
    """The logistic baseline on the rows of `evaluation`."""
    holdout: Evaluation | None = None
    """The model on the rows that had no part in any choice."""
    variant: str = ""
    """Name of the variant that was chosen."""
    leaks: tuple[Leak, ...] = ()
    """Features that know more than they can."""
    drift_alarms: tuple[str, ...] = ()
    """How the holdout differs from the rows before it."""
    row_count: int = 0
    run_id: str = ""
    trigger: str = BY_HAND
    """What started the training."""
    started_at: datetime | None = None


def training_rows(lake: Lake, version: int, days: int, until: str = "") -> pl.DataFrame:
    """Return the last days of a version of the dataset: rows of the feature set and the labels its latest row has.

    With `until`, the last days before that moment, of which only what was known then. Raises InputError when there is no such row.
    """
    cut = moment_of(until)
    dates = [one for one in lake.rows_by_date("learning_dataset", version) if cut is None or one <= cut.date()]
    if not dates:
        raise InputError(
            "training", "meta-model", "the learning dataset is empty", "let labels grow, or ingest the journal first"
        )
    since = max(dates) - timedelta(days=days) if days else None
    frame = lake.read("learning_dataset", since=since, version=version)
    if cut is not None:
        frame = known_by(frame, cut)
        refuse_unsound(frame)
    in_use = frame.sort("decided_at").row(-1, named=True)
    return frame.filter(
        (pl.col("feature_set_version") == in_use["feature_set_version"])
        & (pl.col("labels_version") == in_use["labels_version"])
    )


def moment_of(until: str) -> datetime | None:
    """Read the moment of a training's configuration; None for an empty one. Raises InputError for one without a time zone, or none at all."""
    if not until:
        return None
    try:
        at = datetime.fromisoformat(until)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise InputError(
            "training",
            "meta-model",
            f"until {until!r} is no moment with a time zone",
            "write it as 2026-02-03T02:00+00:00",
        )
    return at.astimezone(UTC)


def train_version(
    lake: Lake, version: int, config: TrainingConfig, earlier: Collection[str], progress: Callable[[str], None]
) -> tuple[pl.DataFrame, Training]:
    """Train on a version of the dataset: the same version and configuration give the same model, to the byte.

    Raises InputError when there is too little to learn from.
    """
    frame = training_rows(lake, version, config.days, config.until)
    names = candidate_feature_names(by_version(frame["feature_set_version"][0]))
    variants = [one for one in VARIANTS if config.is_stacked or not one.is_stacked]
    asked = Search(trials=config.trials, seed=config.seed)
    return frame, fit(frame, names, variants, asked=asked, earlier_variants=earlier, progress=progress)


def variants_tried(home: Home) -> frozenset[str]:
    """Return the hashes of every variant any training has tried."""
    path = home.models / VARIANTS_FILE
    return frozenset(msgspec.json.decode(path.read_bytes(), type=list[str])) if path.exists() else frozenset()


@whole_table_asset("meta_models", ["learning_dataset", "dataset_versions"])
def meta_models(
    context: dg.AssetExecutionContext, storage: Storage, registry: Registry, config: TrainingConfig
) -> dg.MaterializeResult[Any]:
    lake, models = storage.lake, storage.home.models
    recorded = record_version(lake)
    if config.dataset_version >= 0:
        recorded = find_version(recorded_versions(lake), config.dataset_version)
    version = recorded.version
    earlier = variants_tried(storage.home)
    started: dict[str, Any] = {
        "run_id": context.run.run_id, "trigger": context.run.tags.get(TRIGGER_TAG, BY_HAND), "started_at": datetime.now(UTC),
    }  # fmt: skip
    try:
        frame, training = train_version(lake, version, config, earlier, context.log.info)
        feature_set = by_version(frame["feature_set_version"][0])
    except InputError as error:
        # Too little to learn from is an answer, not a failure: the judge records it.
        refused = Trained(
            model_version=None, refusal=str(error), dataset_version=version, dataset_sha256="", feature_set_version="",
            strategy_version="", trained_until=None, evaluation=None, against_champion=None, normaliser=None, **started,
        )  # fmt: skip
        replace_atomically(models / LATEST, msgspec.json.encode(refused))
        return materialised(None, 0, refusal=str(error))
    # What was tried counts from here on, whatever becomes of the model.
    replace_atomically(models / VARIANTS_FILE, msgspec.json.encode(sorted(training.variants)))
    model = training.model
    trained = Trained(
        model_version=model.version,
        refusal="",
        dataset_version=version,
        dataset_sha256=recorded.sha256,
        feature_set_version=feature_set.version,
        strategy_version=frame.sort("decided_at")["strategy_version"][-1],
        trained_until=training.trained_until,
        evaluation=training.evaluation,
        against_champion=_against_champion(storage.home, training, frame),
        normaliser=_normaliser(lake, feature_set, frame),
        logistic=training.logistic,
        holdout=training.holdout,
        variant=training.variant.name,
        leaks=leaks_of(lake, frame, training, feature_set, read_policy(storage.home)),
        drift_alarms=drift_of(frame, training, read_policy(storage.home)),
        row_count=training.row_count,
        **started,
    )
    _keep(models / model.version, trained, training)
    figures = {
        "reliability": reliability_figure(training.evaluation),
        "importance": importance_figure(model.importance()),
    }
    card = write_card(storage.home, card_facts(
        training, frame, dataset_version=version, dataset_sha256=recorded.sha256, champion=trained.against_champion,
    ))  # fmt: skip
    run_id = register(registry.tracking, _tracked(trained, training, figures, card)).run_id
    _append_row(lake, trained, training, frame, run_id)
    replace_atomically(models / LATEST, msgspec.json.encode(trained))
    shown = {name: picture(png, name) for name, png in figures.items()}
    rows = int(lake.scan("meta_models").select(pl.len()).collect().item())
    return materialised(
        None,
        rows,
        rows_in=training.row_count,
        model_version=model.version,
        mlflow_run_id=run_id,
        model_card=dg.MetadataValue.path(str(card)),
        **shown,
    )


def leaks_of(
    lake: Lake, frame: pl.DataFrame, training: Training, feature_set: FeatureSet, policy: Policy
) -> tuple[Leak, ...]:
    """Return the features of the training's rows that know more than they can."""
    told = model_leaks(frame, training.model, training.evaluation.auc, policy.leaks)
    return (*told, *feature_leaks(lake, frame, feature_set, policy.leaks))


def drift_of(frame: pl.DataFrame, training: Training, policy: Policy) -> tuple[str, ...]:
    """Say how the features of the holdout, the latest rows, differ from those of the rows before it."""
    names = training.model.feature_names
    start = training.judged.filter("is_holdout")["decided_at"].min()
    before, after = (
        rows[np.linspace(0, rows.height - 1, min(rows.height, DRIFT_ROWS)).astype(np.int64).tolist()]
        for rows in (frame.filter(pl.col("decided_at") < start), frame.filter(pl.col("decided_at") >= start))
    )
    report = feature_drift(matrix_of(before, len(names)), matrix_of(after, len(names)), names, policy.drift)
    return report.alarms


def _tracked(trained: Trained, training: Training, figures: dict[str, bytes], card: Path) -> TrackedTraining:
    """Return what MLflow keeps of a training."""
    evaluation = training.evaluation
    figures_of = ("log_loss", "baseline_log_loss", "brier", "baseline_brier", "auc", "calibration_error", "mean_r",
                  "sharpe", "probabilistic_sharpe", "deflated_sharpe", "worst_tier_precision")  # fmt: skip
    return TrackedTraining(
        model=training.model,
        trained_at=training.trained_until,
        params={**msgspec.to_builtins(training.variant.params), "variant": training.variant.name},
        metrics={name: getattr(evaluation, name) for name in figures_of}
        | {"selected_r": evaluation.selected_r.value, "log_loss_gain": evaluation.log_loss_gain.value, "rows": training.row_count,
           "holdout_log_loss_gain": training.holdout.log_loss_gain.value, "holdout_selected_r": training.holdout.selected_r.value}
        | ({"logistic_log_loss": training.logistic.log_loss} if training.logistic else {}),
        tags={"dataset_version": str(trained.dataset_version), "dataset_sha256": trained.dataset_sha256,
              "feature_set_version": trained.feature_set_version, "model_card": card.resolve().as_uri(),
              "calibration": training.calibration.method},
        figures=figures,
        documents={"evaluation.json": msgspec.json.encode(evaluation, order="sorted").decode(),
                   CARD_FILE: card.read_text(encoding="utf-8")},
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
