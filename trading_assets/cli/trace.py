"""`trading trace`: the whole chain of one decision or trade, from chart window to release, out of the lake.

An id carries its time, so only the partitions around it are read.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import polars as pl

from trading_assets.core.errors import InputError
from trading_assets.core.ids import ulid_time
from trading_assets.store.lake import Lake

OPEN_ENDED_DAYS = 31


def trace(lake: Lake, identifier: str) -> dict[str, Any]:
    """Return the chain of a signal, candidate or trade as one object, stage by stage in the order of the data.

    Raises InputError when the text is no id, or the lake holds nothing of it.
    """
    try:
        day = ulid_time(identifier).date()
    except ValueError as error:
        raise InputError("tracing", identifier, str(error), "take an id from `trading status` or a table") from error
    near = [day, day + timedelta(days=1)]
    signal = _signal(lake, identifier, near)
    signal_id = signal["signal_id"]
    orders = _rows(lake, "orders", pl.col("signal_id") == signal_id, dates=near)
    trades = _rows(lake, "trades", pl.col("signal_id") == signal_id, dates=near)
    later = _during(near, trades)
    return {
        "signal": signal,
        "chart_windows": _rows(lake, "chart_windows", pl.col("signal_id") == signal_id, dates=near),
        "feature_window": _first(_rows(lake, "feature_windows", pl.col("signal_id") == signal_id, dates=near)),
        "predictions": _rows(
            lake, "predictions", (pl.col("signal_id") == signal_id) & pl.col("idea_id").is_null(), dates=near
        ),
        "candidates": _rows(lake, "candidates", pl.col("signal_id") == signal_id, dates=near),
        "orders": orders,
        "trade": _first(trades),
        "deals": _rows(lake, "raw_deals", pl.col("signal_id") == signal_id, dates=later),
        "marks": _rows(lake, "marks", pl.col("signal_id") == signal_id, dates=later),
        "outcome": _first(_rows(lake, "outcomes", pl.col("signal_id") == signal_id, dates=later)),
        "pnl_events": _rows(lake, "pnl_events", pl.col("signal_id") == signal_id, dates=later),
        "labels": _rows(lake, "labels", pl.col("signal_id") == signal_id, dates=near),
        "learning": _learning(lake, signal_id, near),
    }


def _signal(lake: Lake, identifier: str, near: list[date]) -> dict[str, Any]:
    """Find the decision an id belongs to: its own, its candidate's or its trade's."""
    owners = (("signals", "signal_id"), ("orders", "trade_id"), ("trades", "trade_id"), ("candidates", "idea_id"))
    for table, column in owners:
        found = _rows(lake, table, pl.col(column) == identifier, dates=near)
        if found:
            row = _first(_rows(lake, "signals", pl.col("signal_id") == found[0]["signal_id"], dates=near))
            if row is not None:
                return row
    raise InputError(
        "tracing", identifier, "no signal, candidate or trade of that id is in the lake",
        "check the id, or ingest the journal first: trading materialise ingest",
    )  # fmt: skip


def _during(near: list[date], trades: list[dict[str, Any]]) -> list[date]:
    """Return the days a trade lived, and the next one for records known late."""
    if not trades:
        return near
    closed = trades[0]["closed_at"]
    last = closed.date() + timedelta(days=1) if closed else near[0] + timedelta(days=OPEN_ENDED_DAYS)
    return [near[0] + timedelta(days=n) for n in range((max(last, near[1]) - near[0]).days + 1)]


def _learning(lake: Lake, signal_id: str, near: list[date]) -> dict[str, Any]:
    """Return how many rows of the dataset came of it, and the models trained and judged on them."""
    rows = _rows(lake, "learning_dataset", pl.col("signal_id") == signal_id, dates=near, without=("features",))
    ends = [row["label_end_at"] for row in rows]
    models = _rows(lake, "meta_models", pl.col("trained_at") >= max(ends), without=("evaluation",)) if ends else []
    versions = [model["model_version"] for model in models]
    promotions = _rows(lake, "promotions", pl.col("model_version").is_in(versions)) if versions else []
    return {"dataset_rows": rows, "models": models, "promotions": promotions}


def _rows(
    lake: Lake, table: str, where: pl.Expr, *, dates: list[date] | None = None, without: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    frame = lake.scan(table, dates=dates).filter(where).drop(without).collect()
    order = [name for name in ("event_at", "known_at", "planned_at", "idea_id", "timeframe") if name in frame.columns]
    return frame.sort(order[:1]).to_dicts() if order else frame.to_dicts()


def _first(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    return rows[0] if rows else None
