"""What became of each training: a row for every run, also of one that failed and so never came to a judgement.

The judgement itself is `defs.promotion`. A failed run is written by whoever learns of it: the failure sensor, or the program that
ran it; twice is once.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import msgspec
import polars as pl

from trading_assets.core.release import RULES_ONLY_ID
from trading_assets.defs.learning import BY_HAND, LATEST, TRIGGER_TAG, Trained
from trading_assets.defs.ops import OPS_ACCOUNT, OPS_TENANT
from trading_assets.defs.resources import Storage
from trading_assets.defs.table_asset import conform, materialised, whole_table_asset
from trading_assets.store.home import Home
from trading_assets.store.lake import Lake
from trading_assets.store.release import current_id

RETRAIN = "retrain"


@whole_table_asset("retraining_runs", ["release"])
def retraining_runs(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    home, lake = storage.home, storage.lake
    trained = msgspec.json.decode((home.models / LATEST).read_bytes(), type=Trained)
    known = lake.read("retraining_runs", columns=["run_id", "started_at"])
    if trained.run_id and trained.started_at not in set(known["started_at"]):
        # A run that failed after its training has a row already; the one that was started to end it has another id.
        run_id = context.run.run_id if trained.run_id in set(known["run_id"]) else trained.run_id
        lake.append("retraining_runs", run_row(lake, trained, run_id, datetime.now(UTC)))
    return materialised(
        None, int(lake.scan("retraining_runs").select(pl.len()).collect().item()), trigger=trained.trigger
    )


def run_row(lake: Lake, trained: Trained, run_id: str, ended_at: datetime) -> pl.DataFrame:
    """Return the row of a training that has been judged."""
    told = lake.read("promotions").filter(pl.col("trigger") == "training").sort("judged_at").row(-1, named=True)
    score = previous = None
    if trained.against_champion is not None:
        score, previous = (one.skill for one in trained.against_champion)
    elif trained.evaluation is not None:
        score = trained.evaluation.skill
    return conform(
        "retraining_runs", _frame(trained.started_at, ended_at, told["reasons"]), tenant=told["tenant"],
        account=told["account"], date=ended_at.date(), run_id=run_id, trigger=trained.trigger, row_count=trained.row_count,
        dataset_version=trained.dataset_version, dataset_sha256=trained.dataset_sha256,
        previous_release_id=told["from_release_id"] or RULES_ONLY_ID, previous_model_version=_model_of(told["from_release_id"]),
        model_version=trained.model_version, previous_score=previous, score=score,
        improvement=None if score is None or previous is None else score - previous,
        is_deployed=told["release_id"] is not None, release_id=told["release_id"],
    )  # fmt: skip


def record_failure(
    home: Home, lake: Lake, run: dg.DagsterRun, why: str, started_at: datetime, ended_at: datetime
) -> None:
    """Keep the row of a training that failed; nothing was deployed, and its rows do not count as learned from."""
    if run.run_id in set(lake.read("retraining_runs", columns=["run_id"])["run_id"]):
        return
    current = current_id(home.releases)
    row = conform(
        "retraining_runs", _frame(started_at, ended_at, [f"The run failed: {why}"]), tenant=OPS_TENANT, account=OPS_ACCOUNT,
        date=ended_at.date(), run_id=run.run_id, trigger=run.tags.get(TRIGGER_TAG, BY_HAND), row_count=0, dataset_version=0,
        dataset_sha256="", previous_release_id=current or RULES_ONLY_ID, previous_model_version=_model_of(current),
        model_version=None, previous_score=None, score=None, improvement=None, is_deployed=False, release_id=None,
    )  # fmt: skip
    lake.append("retraining_runs", row)


def why_failed(failures: Sequence[dg.DagsterEvent]) -> str:
    """Say which step failed first and why; of a run that ended in no step, that it did."""
    return ": ".join(failed_step(failures)) if failures else "in no step; its process died, or was ended."


def failed_step(failures: Sequence[dg.DagsterEvent]) -> tuple[str, str]:
    """Return the step that failed first, and why in one line."""
    error = failures[0].step_failure_data.error if failures else None
    cause = error.cause if error is not None and error.cause is not None else error
    problem = cause.message.strip().splitlines()[-1] if cause is not None else "it says no reason"
    return f"step {failures[0].step_key if failures else '?'}", problem


def _frame(started_at: datetime | None, ended_at: datetime, reasons: Sequence[str]) -> pl.DataFrame:
    moment = pl.Datetime("us", "UTC")
    return pl.DataFrame(
        {"started_at": [started_at], "ended_at": [ended_at], "reasons": [list(reasons)]},
        schema={"started_at": moment, "ended_at": moment, "reasons": pl.List(pl.String)},
    )


def _model_of(release_id: str | None) -> str | None:
    return None if release_id is None else release_id.rsplit("-blend-", 1)[0]
