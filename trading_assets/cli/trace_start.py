"""Where a trace starts: the one decision that an id leads to, whatever of its chain the id names.

What belongs to the decision is `cli.trace`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta

import polars as pl

from trading_assets.core.errors import InputError
from trading_assets.core.ids import is_magic, shown, ulid_time
from trading_assets.store.lake_rows import Ask, LakeRows, Row

# Ids of ours, by the table and the columns that hold them: the time in front says on which days.
TIMED = {
    "signals": ("signal_id", "chain_id"), "candidates": ("idea_id",), "orders": ("trade_id",), "trades": ("trade_id",),
    "raw_deals": ("chain_id",),
}  # fmt: skip
# Numbers of the terminal without a time. A number can name a position and another trade's deal.
UNTIMED = {
    "orders": ("order_ticket", "position_id"),
    "raw_deals": ("deal_ticket", "order_ticket", "position_id"),
}
# A magic number is a hash: any file can hold it, so all are read, and only for what can be one.
BY_MAGIC = {"orders": ("magic",)}
HINT = "check the id, or ingest the journal first: trading materialise ingest"


def near_days(at: datetime) -> list[date]:
    """Return the days on which what was decided at a time rests: its own, and the next for what was known after midnight."""
    return [at.date(), at.date() + timedelta(days=1)]


def model_of(rows: LakeRows, identifier: str) -> Row | None:
    """Return the model of that version, or the one of the release of that name; None for neither."""
    if identifier.isdigit() or len(identifier) == 26:
        return None
    (judged,) = rows.ask(Ask("promotions", pl.col("release_id") == identifier, None, ("model_version",)))
    name = judged[0]["model_version"] if judged else identifier
    (models,) = rows.ask(Ask("meta_models", pl.col("model_version") == name, None))
    return models[0] if models else None


def found_signal(rows: LakeRows, identifier: str) -> Row:
    """Return the decision an id belongs to. Raises InputError for an id of nothing, of several, or of what is not ours."""
    if identifier.isdigit():
        return _of_number(rows, identifier)
    try:
        near = near_days(ulid_time(identifier))
    except ValueError as error:
        raise InputError(
            "tracing", shown(identifier), f"{error}, a number of the terminal, a model or a release",
            "take an id from `trading status` or a table",
        ) from error  # fmt: skip
    found = _leading(rows, TIMED, identifier, near)
    signals = {row["signal_id"] for row in found if row["signal_id"] is not None}
    return _only_one(rows, identifier, signals)


def _of_number(rows: LakeRows, number: str) -> Row:
    found = _leading(rows, UNTIMED, number, None)
    if is_magic(number) or not found:
        # What nothing else leads to may be a magic number from before they were made so that one knows them.
        found += _leading(rows, BY_MAGIC, number, None)
    signals = {row["signal_id"] for row in found if row["signal_id"] is not None}
    if found and not signals:
        raise InputError(
            "tracing", shown(number), f"it is of {found[0]['date']} and not ours: no decision of this account led to it",
            "look it up in the table raw_deals",
        )  # fmt: skip
    return _only_one(rows, number, signals)


def _leading(
    rows: LakeRows, places: Mapping[str, tuple[str, ...]], identifier: str, days: list[date] | None
) -> list[Row]:
    """Return date and decision of every row that carries the id."""
    asks = [
        Ask(
            table, pl.any_horizontal(pl.col(columns) == identifier), days, ("date", "signal_id"),
            one_of=tuple((column, identifier) for column in columns),
        )
        for table, columns in places.items()
    ]  # fmt: skip
    return [row for found in rows.ask(*asks) for row in found]


def _only_one(rows: LakeRows, identifier: str, signals: set[str]) -> Row:
    if len(signals) > 1:
        raise InputError(
            "tracing", shown(identifier), f"it leads to {len(signals)} decisions: {', '.join(sorted(signals)[:5])}",
            "trace one of them",
        )  # fmt: skip
    # By the decision's own id: what names it may be of the day after.
    days = sorted({day for signal in signals for day in near_days(ulid_time(signal))})
    (found,) = rows.ask(Ask("signals", pl.col("signal_id").is_in(sorted(signals)), days)) if signals else ([],)
    if not found:
        raise InputError("tracing", shown(identifier), "nothing of that id is in the lake", HINT)
    return found[0]
