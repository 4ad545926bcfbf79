"""Scores of past decisions by any model that was ever trained: what it would have said live, bit for bit (invariant 7).

Rows come from the decision records, as the dataset's do; a model comes from the folder of trained models, from a release, or
from the registry. How a row is made lives in `core.decisions.scoring`, what a model is in `core.learning.meta_model`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from trading_assets.core.decisions.scoring import candidate_feature_names, candidate_matrix_of
from trading_assets.core.errors import InputError
from trading_assets.core.features.feature_set import by_version
from trading_assets.core.learning.meta_model import MODEL_FILE, MetaModel
from trading_assets.core.records.decisions import Decision
from trading_assets.store.home import Home
from trading_assets.store.journal import read_records
from trading_assets.store.lake import Lake

SCORES_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "tenant": pl.String,
    "account": pl.String,
    "signal_id": pl.String,
    "idea_id": pl.String,
    "kind": pl.String,
    "exit_profile": pl.String,
    "win_probability": pl.Float64,
    "recorded_probability": pl.Float64,
    "recorded_model_version": pl.String,
}


def predict_batch(home: Home, model_version: str, decisions: Sequence[str]) -> pl.DataFrame:
    """Score the candidates of decisions, named by signal id or by the sha256 of their feature window's raw rows.

    Returns SCORES_SCHEMA, one row for each LONG and SHORT, beside what was recorded live. Raises InputError for an unknown name or
    model, or for decisions made on other features than the model reads.
    """
    model = stored_model(home, model_version)
    rows = [row for decision in _decisions(home, decisions) for row in _scored(model, decision)]
    return pl.DataFrame(rows, schema=SCORES_SCHEMA, orient="row").sort("signal_id", "idea_id")


def stored_model(home: Home, model_version: str) -> MetaModel:
    """Return a model by its version: from the trained ones, or from a release. Raises InputError for an unknown one."""
    folders = [home.models / model_version, *sorted(home.releases.glob(f"{model_version}-*"))]
    for folder in folders:
        if (folder / MODEL_FILE).is_file():
            return MetaModel.from_bytes((folder / MODEL_FILE).read_bytes())
    known = sorted(path.name for path in home.models.glob("meta-*"))
    raise InputError(
        "loading",
        f"model {model_version}",
        "it was never trained here",
        f"use one of: {', '.join(known) or 'none yet'}",
    )


def _decisions(home: Home, names: Sequence[str]) -> Iterator[Decision]:
    """Yield the named decisions in the order of the journal; only the days they lie on are read."""
    windows = Lake(home.lake).scan("feature_windows")
    wanted = pl.col("signal_id").is_in(list(names)) | pl.col("recorded_sha256_raw").is_in(list(names))
    found = windows.filter(wanted).select("date", "signal_id", "recorded_sha256_raw").collect()
    known = set(found["signal_id"]) | set(found["recorded_sha256_raw"])
    if missing := [name for name in names if name not in known]:
        raise InputError(
            "scoring",
            missing[0],
            "no ingested decision has this signal id or feature window",
            "ingest the journal, or name another",
        )
    signals = set(found["signal_id"])
    told: set[str] = set()
    for record in read_records(home.raw, stream="trading", dates=sorted(set(found["date"])), types=(Decision,)):
        if isinstance(record, Decision) and record.signal_id in signals - told:
            told.add(record.signal_id)
            yield record


def _scored(model: MetaModel, decision: Decision) -> Iterator[tuple[object, ...]]:
    if candidate_feature_names(by_version(decision.versions.feature_set)) != model.feature_names:
        raise InputError(
            "scoring",
            f"signal {decision.signal_id}",
            f"it was decided on feature set {decision.versions.feature_set}, which {model.version} does not read",
            "name decisions of the model's own feature set",
        )
    ideas, matrix = candidate_matrix_of(decision)
    by_id = {candidate.idea_id: candidate for candidate in decision.candidates}
    for idea, probability in zip(ideas, model.win_probability(matrix).tolist(), strict=True):
        one = by_id[idea]
        yield (
            decision.tenant, decision.account, decision.signal_id, idea, one.kind, one.exit_profile, probability,
            one.win_probability, decision.versions.model,
        )  # fmt: skip
