"""`trading trace`: the whole chain of one decision, from chart window to the models that learned from it, out of the lake.

Ids of ours carry their time, so only the partitions around it are read; tickets of the broker carry none and are looked up
by their column alone. Which id leads where is `cli.trace_start`; which dataset versions hold a decision, `store.dataset_rows`.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import polars as pl

from trading_assets.cli.trace_start import found_signal, model_of, near_days
from trading_assets.store.dataset_rows import Held, versions_with
from trading_assets.store.lake_rows import Ask, LakeRows, Row
from trading_assets.store.writes import writes_of

OPEN_ENDED_DAYS = 31
PROVEN = ("chart_windows", "features", "signals", "candidates", "trades", "outcomes", "labels", "learning_dataset")


def trace(root: Any, identifier: str) -> dict[str, Any]:
    """Return the chain an id belongs to as one object, stage by stage in the order of the data.

    `identifier`: a signal, candidate, trade or chain, an order's magic number or ticket, a position or a deal, a model or a
    release. Raises InputError when it is none, or the lake holds nothing of it.
    """
    rows = LakeRows(root)
    if (model := model_of(rows, identifier)) is not None:
        return {"asked": identifier, "model": _model(rows, model)}
    signal = found_signal(rows, identifier)
    return {"asked": identifier, **_chain(rows, signal)}


def _chain(rows: LakeRows, signal: Row) -> dict[str, Any]:
    near = near_days(signal["bar_close_at"])
    # Two readings, for what comes of a trade is on days that only the trade tells; each of them reads all its tables at once.
    found = _read(rows, _decided(signal, near) | _learned(signal, near))
    found |= _read(rows, _lived(signal, _during(near, found["trades"])))
    told = found["raw_decisions"][0] if found["raw_decisions"] else {"filters": [], "breakers": [], "versions": {}}
    return {
        "signal": signal,
        "chart_windows": found["chart_windows"],
        "feature_window": _first(found["feature_windows"]),
        "features": _named(found["features"], found["feature_definitions"]),
        "predictions": found["predictions"],
        "candidates": found["candidates"],
        "filters": told["filters"],
        "breakers": told["breakers"],
        "orders": found["orders"],
        "order_states": found["raw_orders"],
        "trade": _first(found["trades"]),
        "deals": found["raw_deals"],
        "marks": found["marks"],
        "outcome": _first(found["outcomes"]),
        "pnl_events": found["pnl_events"],
        "labels": found["labels"],
        "learning": _learning(rows, signal, near, found),
        "provenance": {"versions": told["versions"], "written": writes_of(rows, PROVEN, signal["date"])},
    }


def _read(rows: LakeRows, asks: dict[str, Ask]) -> dict[str, list[Row]]:
    return dict(zip(asks, rows.ask(*asks.values()), strict=True))


def _by_table(*asks: Ask) -> dict[str, Ask]:
    return {one.table: one for one in asks}


def _decided(signal: Row, near: list[date]) -> dict[str, Ask]:
    """What the decision saw, weighed and led to."""
    its_own = pl.col("signal_id") == signal["signal_id"]
    return _by_table(
        Ask("chart_windows", its_own, near, order="timeframe"),
        Ask("feature_windows", its_own, near),
        Ask("predictions", its_own & pl.col("idea_id").is_null(), near, order="predictor"),
        Ask("candidates", its_own, near, order="idea_id"),
        Ask("orders", its_own, near, order="planned_at"),
        Ask("raw_orders", its_own, near, ("magic", "state", "known_at", "reason", "retcode"), order="known_at"),
        Ask("trades", its_own, near),
        Ask("labels", its_own, near, order="idea_id"),
        Ask("raw_decisions", its_own, near, ("date", "versions", "filters", "breakers")),
        _feature_row(signal),
        _feature_names(signal),
    )


def _learned(signal: Row, near: list[date]) -> dict[str, Ask]:
    """What was learned from it, and every version, model and promotion that could hold it."""
    every = pl.lit(value=True)
    return _by_table(
        Ask(
            "learning_dataset", pl.col("signal_id") == signal["signal_id"], near, without=("features",), order="idea_id"
        ),
        Ask("dataset_versions", every, None, ("delta_version", "operation", "changed_days"), order="delta_version"),
        Ask("meta_models", every, None, without=("evaluation",), order="trained_at"),
        Ask("promotions", every, None, order="judged_at"),
    )


def _lived(signal: Row, later: list[date]) -> dict[str, Ask]:
    """What happened while its trade lived, and after."""
    its_own = pl.col("signal_id") == signal["signal_id"]
    return _by_table(
        Ask("raw_deals", its_own, later, order="event_at"),
        Ask("marks", its_own, later, order="event_at"),
        Ask("outcomes", its_own, later),
        Ask("pnl_events", its_own, later, order="event_at"),
    )


def _feature_row(signal: Row) -> Ask:
    """The features of the decision's bar, of the same set; the row rests on the day of the bar's open."""
    where = pl.all_horizontal(
        pl.col(name) == signal[of]
        for name, of in (
            ("tenant", "tenant"), ("account", "account"), ("symbol", "symbol"), ("timeframe", "timeframe"),
            ("open_at", "bar_open_at"), ("feature_set_version", "feature_set_version"),
        )
    )  # fmt: skip
    return Ask("features", where, [signal["bar_open_at"].date()], ("values",))


def _feature_names(signal: Row) -> Ask:
    of_set = (pl.col("registry") == "features") & (pl.col("feature_set_version") == signal["feature_set_version"])
    return Ask("feature_definitions", of_set, None, ("name",), order="index")


def _named(vectors: list[Row], names: list[Row]) -> dict[str, float | None]:
    """Return the features by name; empty when the row is not in the lake, or its set has no names any more."""
    values = vectors[0]["values"] if vectors else []
    if len(values) != len(names):
        return {}
    # What cannot be computed yet is no number: null in JSON.
    return {row["name"]: value if value == value else None for row, value in zip(names, values, strict=True)}


def _during(near: list[date], trades: list[Row]) -> list[date]:
    """Return the days a trade lived, and the next one for records known late."""
    if not trades:
        return near
    closed = trades[0]["closed_at"]
    last = closed.date() + timedelta(days=1) if closed else near[0] + timedelta(days=OPEN_ENDED_DAYS)
    return [near[0] + timedelta(days=n) for n in range((max(last, near[-1]) - near[0]).days + 1)]


def _learning(rows: LakeRows, signal: Row, near: list[date], found: dict[str, list[Row]]) -> dict[str, Any]:
    """Return the rows of the dataset that came of it, the versions that hold them, and the models trained on those."""
    entered = found["learning_dataset"]
    held = versions_with(rows, signal["signal_id"], near, found["dataset_versions"], is_held=bool(entered))
    trained = [model for model in found["meta_models"] if _is_in(model["dataset_version"], held)]
    names = {model["model_version"] for model in trained}
    return {
        "dataset_rows": entered,
        "dataset_versions": [{"first": one.first, "last": one.last} for one in held],
        "models": trained,
        "promotions": [one for one in found["promotions"] if one["model_version"] in names],
    }


def _is_in(version: int, held: list[Held]) -> bool:
    return any(one.first <= version and (one.last is None or version <= one.last) for one in held)


def _model(rows: LakeRows, model: Row) -> dict[str, Any]:
    """Return what is known of a model: its training, the dataset it learned from, what was judged and where it is used."""
    mine = pl.col("model_version") == model["model_version"]
    versions, promotions, loads = rows.ask(
        Ask("dataset_versions", pl.col("delta_version") == model["dataset_version"], None),
        Ask("promotions", mine, None, order="judged_at"),
        Ask("raw_release_loads", mine, None, ("known_at", "release_id", "is_accepted", "reason"), order="known_at"),
    )
    return {
        "training": {name: value for name, value in model.items() if name != "evaluation"},
        "dataset_version": _first(versions),
        "promotions": promotions,
        "release_loads": loads,
    }


def _first(rows: list[Row]) -> Row | None:
    return rows[0] if rows else None
