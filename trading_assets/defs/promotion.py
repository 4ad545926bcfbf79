"""The judgement on the last training: promoted into shadow or refused, and the release that follows.

The rules live in `core.learning.promotion`, their thresholds in `core.learning.policy`; judgements are carried out by
`defs.judgements`. What becomes of a release afterwards is `defs.rollout`.
"""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import msgspec
import polars as pl

from trading_assets.core.learning.meta_model import MetaModel
from trading_assets.core.learning.policy import Policy
from trading_assets.core.learning.promotion import Judgement, judge
from trading_assets.core.release import RULES_ONLY_ID, ReleaseManifest
from trading_assets.defs.judgements import draft, judged, kept_model, point_at_last, record, release_name
from trading_assets.defs.learning import LATEST, Trained
from trading_assets.defs.model_card import judge_card
from trading_assets.defs.resources import Registry, Storage
from trading_assets.defs.table_asset import materialised, whole_table_asset
from trading_assets.store.home import Home
from trading_assets.store.lake import Lake
from trading_assets.store.policy import read_policy
from trading_assets.store.registry import set_alias
from trading_assets.store.release import current_id, read_manifest


def judge_training(home: Home, lake: Lake, trained: Trained, policy: Policy) -> Judgement:
    """Judge the last model: alone, or against the released one on rows neither has learned from."""
    if trained.model_version is None or trained.evaluation is None:
        return _refused(trained.refusal)
    if was_demoted(lake, trained.model_version):
        return _refused("This very model was demoted before: it takes another dataset, or a person, to bring it back.")
    in_use = feature_set_in_use(lake) or trained.feature_set_version
    requirements = msgspec.structs.replace(policy.requirements, feature_set_version=in_use)
    logistic = (trained.evaluation, trained.logistic) if trained.logistic is not None else None
    champion = None
    challenger = trained.evaluation
    release_id = current_id(home.releases)
    if release_id is not None:
        if read_manifest(home.releases, release_id).model_version == trained.model_version:
            return _refused("It is the model in use: the dataset has not grown since.")
        if trained.against_champion is None:
            return _refused("No labelled decision is newer than the model in use, so the two cannot be compared.")
        challenger, champion = trained.against_champion
    return judge(challenger, champion, requirements, trained.drift_alarms, logistic, trained.leaks, trained.holdout)


def _refused(reason: str) -> Judgement:
    return Judgement(verdict="refused", reasons=(reason,), blend=0.0)


def was_demoted(lake: Lake, model_version: str) -> bool:
    """Say whether the last that was decided on a model is that it goes."""
    told = lake.scan("promotions").filter(
        (pl.col("model_version") == model_version) & pl.col("release_id").is_not_null()
    )
    actions = told.sort("judged_at").select("action").collect()["action"]
    return bool(actions.len()) and actions[-1] == "demote"


def feature_set_in_use(lake: Lake) -> str | None:
    """Return the feature set of the latest decision; None before the first."""
    dates = lake.dates("signals")
    if not dates:
        return None
    rows = lake.read("signals", dates=dates[-1:], columns=["decided_at", "feature_set_version"])
    return str(rows.sort("decided_at")["feature_set_version"][-1]) if rows.height else None


@whole_table_asset("promotions", ["meta_models"])
def promotions(storage: Storage, registry: Registry) -> dg.MaterializeResult[Any]:
    home, lake = storage.home, storage.lake
    trained = msgspec.json.decode((home.models / LATEST).read_bytes(), type=Trained)
    policy, now = read_policy(home), datetime.now(UTC)
    judgement = judge_training(home, lake, trained, policy)
    release_id = draft_of(home, trained, judgement.blend, now) if judgement.is_promoted else None
    card = judge_card(home, lambda: registry.tracking, trained.model_version, judgement)
    # Written before acted: the judgement is durable before the pointer moves.
    record(home, lake, now, judged(
        now, model_version=trained.model_version or "none", dataset_version=trained.dataset_version, verdict=judgement.verdict,
        release_id=release_id, blend=judgement.blend, reasons=judgement.reasons, policy_version=policy.version,
    ))  # fmt: skip
    return materialised(
        None,
        1,
        verdict=judgement.verdict,
        reasons="\n".join(judgement.reasons),
        release_id=release_id or "",
        model_card=dg.MetadataValue.path(str(card)) if card else "",
    )


def draft_of(home: Home, trained: Trained, blend: float, now: datetime) -> str:
    """Write the release of a trained model, not yet in use; return its id."""
    assert trained.model_version is not None
    assert trained.normaliser is not None
    model = MetaModel.from_bytes(kept_model(home, trained.model_version))
    manifest = ReleaseManifest(
        release_id=release_name(model.version, blend), created_at=now, model_version=model.version,
        feature_set_version=trained.feature_set_version, strategy_version=trained.strategy_version,
        candidate_features=model.feature_names, blend=blend, normaliser=trained.normaliser,
        calibration=model.calibration, dataset_version=trained.dataset_version, dataset_sha256=trained.dataset_sha256,
        files={}, parent_release_id=current_id(home.releases),
    )  # fmt: skip
    return draft(home, manifest)


@dg.asset(
    name="release", deps=["promotions"], group_name="learning", owners=["team:trading"], kinds={"file"},
    description="The release in use: an immutable folder and the CURRENT pointer, moved atomically after a judgement. "
    "The daemon follows the pointer and swaps between bars.",
)  # fmt: skip
def release(storage: Storage, registry: Registry) -> dg.MaterializeResult[Any]:
    home = storage.home
    last = point_at_last(home, storage.lake)
    current = current_id(home.releases)
    if last is None or current is None:
        reason = "no model has been promoted" if last is None else "\n".join(last["reasons"])
        return dg.MaterializeResult(metadata={"release_id": RULES_ONLY_ID, "reason": reason})
    manifest = read_manifest(home.releases, current)
    set_alias(registry.tracking, manifest.model_version, "champion" if manifest.blend > 0 else "shadow")
    return dg.MaterializeResult(
        metadata={"release_id": current, "model_version": manifest.model_version, "blend": manifest.blend,
                  "dataset_version": manifest.dataset_version, "path": dg.MetadataValue.path(str(home.releases / current))}
    )  # fmt: skip
