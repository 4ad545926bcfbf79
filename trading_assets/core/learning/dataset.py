"""The learning dataset: one row per labelled candidate, everything as it was when it was decided (invariant 8).

Rows are built from decision records, so that features and scores are those of the decision and not computed anew. A row
exists once its label does, and once for each definition of the label. Its content has a hash, made of its days' hashes. How
versions of the dataset rest in the lake is `store.dataset_versions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from datetime import date
from hashlib import sha256

import numpy as np
import polars as pl

from trading_assets.core.columns.learning import HORIZONS
from trading_assets.core.decisions.scoring import candidate_matrix_of
from trading_assets.core.errors import StateError
from trading_assets.core.records.decisions import Candidate, Decision

KEY = ("tenant", "account", "idea_id", "labels_version")
_LABEL_COLUMNS = (
    "label_end_at",
    "is_win",
    "result_r",
    "profit_tier",
    "barrier",
    "mae_r",
    "mfe_r",
    "time_to_mae_s",
    "time_to_mfe_s",
    "time_in_drawdown_s",
    "path_area_r",
    "bars_held",
    "cohort_rank",
    "regret_best_r",
    "regret_median_r",
    "labels_version",
    "costs_version",
)
_RETURNS = tuple(f"return_{minutes}m_bp" for minutes in HORIZONS)
_MOMENT = pl.Datetime("us", "UTC")
_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "tenant": pl.String,
    "account": pl.String,
    "date": pl.Date,
    "idea_id": pl.String,
    "signal_id": pl.String,
    "symbol": pl.String,
    "timeframe": pl.String,
    "kind": pl.String,
    "exit_profile": pl.String,
    "decided_at": _MOMENT,
    "bar_close_at": _MOMENT,
    "feature_set_version": pl.String,
    "strategy_version": pl.String,
    "release_id": pl.String,
    "model_version": pl.String,
    "chain_id": pl.String,
    "window_sha256": pl.String,
    "regime": pl.String,
    "regime_confidence": pl.Float64,
    "consensus": pl.Float64,
    "dispersion": pl.Float64,
    "rule_score": pl.Float64,
    "win_probability": pl.Float64,
    "blended_score": pl.Float64,
    "is_chosen": pl.Boolean,
    "suggestion": pl.String,
    "action": pl.String,
    "blend": pl.Float64,
    "entry_price": pl.Float64,
    "stop_price": pl.Float64,
    "target_price": pl.Float64,
    "timeout_bars": pl.Int64,
    "risk_unit": pl.Float64,
    "bid": pl.Float64,
    "ask": pl.Float64,
}


def build_rows(
    decisions: Iterable[Decision], labels: pl.DataFrame, outcomes: pl.DataFrame, returns: pl.DataFrame
) -> pl.DataFrame:
    """Return the dataset rows (table `learning_dataset`) of the candidates that have a label.

    `labels`, `outcomes` and `returns` (table `forward_returns`) are rows of those tables; only decisions with labels are read. Raises StateError when a label has
    no candidate, or more than one, in `decisions`: rows in = rows out.
    """
    wanted = set(labels["signal_id"])
    known = set(labels["idea_id"])
    parts: dict[str, _Part] = {}
    for decision in decisions:
        if decision.signal_id in wanted:
            parts.setdefault(decision.versions.feature_set, _Part()).add(decision, known)
    seen = pl.concat([part.frame() for part in parts.values()] or [_Part().frame()])
    return _joined(seen, labels, outcomes, returns)


class _Part:
    """Rows of one feature set version, whose vectors all have the same length."""

    def __init__(self) -> None:
        self._rows: list[tuple[object, ...]] = []
        self._matrices: list[np.ndarray] = []

    def add(self, decision: Decision, known: Set[str]) -> None:
        """Take up the decision's candidates that have a label."""
        idea_ids, matrix = candidate_matrix_of(decision)
        by_id = {candidate.idea_id: candidate for candidate in decision.candidates}
        self._rows.extend(tuple(_row(decision, by_id[idea])) for idea in idea_ids if idea in known)
        self._matrices.append(matrix[[idea in known for idea in idea_ids]])

    def frame(self) -> pl.DataFrame:
        """Return the rows with their features, in the order they came."""
        frame = pl.DataFrame(self._rows, schema=_SCHEMA, orient="row")
        vectors = pl.Series(np.concatenate(self._matrices) if self._matrices else np.empty((0, 1)))
        return frame.with_columns(features=vectors.arr.to_list())


def _row(decision: Decision, candidate: Candidate) -> Iterator[object]:
    """Yield one row's columns, in the order of _SCHEMA."""
    yield from (decision.tenant, decision.account, decision.known_at.date(), candidate.idea_id, decision.signal_id)
    yield from (decision.symbol, decision.timeframe, candidate.kind, candidate.exit_profile)
    yield from (decision.decided_at, decision.bar_close_at)
    versions = decision.versions
    yield from (versions.feature_set, versions.strategy, versions.release, versions.model)
    yield from (decision.chain_id, decision.window_sha256, decision.regime.label, decision.regime.confidence)
    yield from (decision.consensus, decision.dispersion)
    yield from (candidate.rule_score, candidate.win_probability, candidate.blended_score)
    yield candidate.idea_id == decision.idea_id
    yield from (decision.suggestion, decision.action, decision.blend, candidate.entry_price, candidate.stop_price)
    yield from (candidate.target_price, candidate.timeout_bars, candidate.risk_unit, decision.inputs.bid)
    yield decision.inputs.ask


def _joined(seen: pl.DataFrame, labels: pl.DataFrame, outcomes: pl.DataFrame, returns: pl.DataFrame) -> pl.DataFrame:
    """Join by id, never by position, and count."""
    traded = outcomes.select("idea_id", "exit_reason", outcome_r=pl.col("result_r"))
    rows = (
        seen.join(labels.select("idea_id", *_LABEL_COLUMNS), on="idea_id", how="inner", validate="m:1")
        .join(traded, on="idea_id", how="left", validate="m:1")
        .join(_beside(returns), on="signal_id", how="left", validate="m:1")
    )
    if len(rows) != len(labels) or rows["idea_id"].n_unique() != len(rows):
        raise StateError(
            "building",
            "learning dataset",
            f"{len(labels)} labels gave {len(rows)} rows with {rows['idea_id'].n_unique()} ideas",
            "ingest the decisions of those labels again and drop duplicates",
        )
    return rows.sort(*KEY)


def _beside(returns: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each signal with its forward returns side by side, null for a horizon without one."""
    of = [
        pl.col("return_bp").filter(pl.col("horizon_minutes") == minutes).first().alias(name)
        for minutes, name in zip(HORIZONS, _RETURNS, strict=True)
    ]
    return returns.group_by("signal_id").agg(of)


def content_hash(frame: pl.DataFrame) -> str:
    """Return the hash of a frame's content: that of its days' hashes, independent of the order of rows and columns."""
    return hash_of_days(day_hashes(frame))


def day_hashes(frame: pl.DataFrame) -> dict[date, str]:
    """Return the hash of each day's rows, so that a growing dataset hashes only the days that grow."""
    return {day[0]: rows_hash(rows) for day, rows in frame.group_by("date")}


def hash_of_days(days: Mapping[date, str]) -> str:
    """Return the sha256 over days in order, each with the hash of its rows; a day without rows is no day."""
    lines = (f"{day.isoformat()} {digest}\n" for day, digest in sorted(days.items()) if digest)
    return sha256("".join(lines).encode()).hexdigest()


def rows_hash(frame: pl.DataFrame) -> str:
    """Return the sha256 of rows, exact to the bit.

    Rows are ordered by the dataset's key. Every column adds its name, type, validity and values; texts and lists also
    add their lengths.
    """
    ordered = frame.sort(*KEY)
    digest = sha256(f"{len(ordered)}\n".encode())
    for name in sorted(ordered.columns):
        column = ordered[name]
        digest.update(f"{name}\x1f{column.dtype}\n".encode())
        for part in _bytes_of(column):
            digest.update(part)
    return digest.hexdigest()


def _bytes_of(column: pl.Series) -> Iterator[bytes]:
    yield column.is_not_null().to_numpy().tobytes()
    match column.dtype:
        case pl.List():
            filled = column.fill_null([])
            yield _bytes(filled.list.len().cast(pl.Int64))
            yield from _bytes_of(filled.explode(empty_as_null=False))
        case pl.String():
            filled = column.fill_null("")
            yield _bytes(filled.str.len_bytes().cast(pl.Int64))
            yield "".join(filled.to_list()).encode()
        case pl.Float64():
            yield _bytes(column.fill_null(0.0))
        case pl.Boolean():
            yield column.fill_null(False).to_numpy().tobytes()
        case pl.Int64() | pl.Date() | pl.Datetime():
            yield _bytes(column.to_physical().cast(pl.Int64).fill_null(0))
        case _:
            raise TypeError(f"column {column.name} of type {column.dtype} has no place in a content hash")


def _bytes(numbers: pl.Series) -> bytes:
    values = numbers.to_numpy()
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
