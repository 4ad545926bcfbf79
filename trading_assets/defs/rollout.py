"""The rollout: the release in use judged on what it said live, and stepped up, back, or demoted.

The rules live in `core.learning.rollout`, signs of drift come from `defs.decay`. Every judgement is recorded, whoever asked for it:
one that changes something before the pointer moves, one that changes nothing once, for as long as its reasons stay the same.
"""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import polars as pl

from trading_assets.core.learning.evaluation import Evaluation
from trading_assets.core.learning.rollout import LiveJudgement, judge_rollout, live_evaluation
from trading_assets.core.release import RULES_ONLY_ID, ReleaseManifest
from trading_assets.defs.decay import drift_alarms
from trading_assets.defs.judgements import at_blend, judged, point_at_last, record
from trading_assets.defs.resources import Storage
from trading_assets.store.home import Home
from trading_assets.store.lake import Lake
from trading_assets.store.policy import read_policy
from trading_assets.store.release import current_id, read_manifest

LIVE_COLUMNS = [
    "idea_id", "signal_id", "decided_at", "feature_set_version", "symbol", "kind", "exit_profile", "regime", "is_win", "result_r",
    "profit_tier", "release_id", "win_probability", "label_end_at", "date",
]  # fmt: skip


def live_of(lake: Lake, manifest: ReleaseManifest, confidence: float) -> Evaluation | None:
    """Judge what a release said live, so far as its labels have come."""
    rows = lake.read("learning_dataset", since=manifest.created_at.date(), columns=LIVE_COLUMNS)
    if rows.is_empty() or rows.filter(pl.col("release_id") == manifest.release_id).is_empty():
        # In replay the decisions' days are those of the market, long before the release was made.
        rows = lake.read("learning_dataset", columns=LIVE_COLUMNS)
    return live_evaluation(rows, manifest.release_id, _base_rate(lake, manifest.model_version, rows), confidence)


def _base_rate(lake: Lake, model_version: str, rows: pl.DataFrame) -> float:
    """Return the share of wins the model was trained on; that of all rows where nobody knows any more."""
    known = lake.scan("meta_models").filter(pl.col("model_version") == model_version).select("win_share").collect()
    share = known["win_share"][0] if known.height else rows["is_win"].mean()
    return float(share) if isinstance(share, (int, float)) else 0.5


def roll_out(home: Home, lake: Lake, at: datetime) -> tuple[str, LiveJudgement] | None:
    """Judge the release in use and carry the judgement out; None for the rules alone.

    Returns the release that was judged.
    """
    current = current_id(home.releases)
    if current is None:
        return None
    policy, manifest = read_policy(home), read_manifest(home.releases, current)
    alarms = drift_alarms(lake, policy, manifest.model_version)
    judgement = judge_rollout(live_of(lake, manifest, policy.ladder.confidence), manifest.blend, policy.ladder, alarms)
    if judgement.move == "hold":
        if judgement.reasons != _reasons_told(lake, current):
            record(home, lake, at, judged(
                at, model_version=manifest.model_version, dataset_version=manifest.dataset_version, verdict="refused",
                release_id=None, blend=manifest.blend, reasons=judgement.reasons, action="hold", trigger="rollout",
                policy_version=policy.version,
            ))  # fmt: skip
        return current, judgement
    demoted = judgement.blend is None
    release_id = RULES_ONLY_ID if judgement.blend is None else at_blend(home, current, judgement.blend, at)
    record(home, lake, at, judged(
        at, model_version=manifest.model_version, dataset_version=manifest.dataset_version,
        verdict="promoted" if judgement.move == "step_up" else "refused", release_id=release_id,
        blend=0.0 if demoted else judgement.blend, reasons=judgement.reasons, action=judgement.move, trigger="rollout",
        policy_version=policy.version,
    ))  # fmt: skip
    point_at_last(home, lake)
    return current, judgement


def _reasons_told(lake: Lake, release_id: str) -> tuple[str, ...]:
    """Return the reasons of the last judgement of the rollout on a release: looks that found nothing new are not told again."""
    told = lake.scan("promotions").filter((pl.col("from_release_id") == release_id) & (pl.col("trigger") == "rollout"))
    last = told.sort("judged_at").tail(1).select("reasons").collect()["reasons"]
    return tuple(last[0]) if last.len() else ()


@dg.asset(
    name="live_judgement", deps=["learning_dataset", "release"], group_name="rollout", owners=["team:trading"], kinds={"python"},
    description="The release in use, judged on what it said live: a step up the ladder (0, 10, 30 % blend), one back, or the rules "
    "alone. Thresholds: core.learning.policy.",
)  # fmt: skip
def live_judgement(storage: Storage) -> dg.MaterializeResult[Any]:
    home, lake = storage.home, storage.lake
    point_at_last(home, lake)
    done = roll_out(home, lake, datetime.now(UTC))
    if done is None:
        return dg.MaterializeResult(
            metadata={"release_id": RULES_ONLY_ID, "move": "hold", "reasons": "The rules decide alone."}
        )
    judged_id, judgement = done
    return dg.MaterializeResult(
        metadata={"judged": judged_id, "release_id": current_id(home.releases) or RULES_ONLY_ID, "move": judgement.move,
                  "reasons": "\n".join(judgement.reasons)}
    )  # fmt: skip
