"""The trades stage: orders in their latest state, trades and holdings from deals, marks and outcomes as journalled.

What an order's life or an outcome is lives in `core.trades`. A trade rests in the partition of the day it was opened
and is written again while it is open: `defs.due` and `defs.follow_ups` say when.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl

from trading_assets.core.tables import TABLES
from trading_assets.core.trades.ledger import IS_TRADE, distinct_deals
from trading_assets.defs.follow_ups import following
from trading_assets.defs.partitions import chunks, dates_of
from trading_assets.defs.resources import Storage
from trading_assets.defs.table_asset import conform, materialised, table_asset
from trading_assets.store.lake import Lake

ACCOUNT = ["tenant", "account"]
MONEY = ("profit", "commission", "swap", "fee")


def deals_of(lake: Lake, since: date) -> pl.DataFrame:
    """Return the deals known since a day, one row per ticket: a deal re-read after a reconnect is the same deal."""
    return distinct_deals(lake.read("raw_deals", since=since))


@table_asset("orders", ["raw_orders", "signals"])
def orders(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    rows = 0
    for days in chunks(dates_of(context)):
        states = storage.lake.read("raw_orders", since=days[0])
        latest = states.group_by([*ACCOUNT, "magic"], maintain_order=True).agg(
            pl.all().exclude("magic", *ACCOUNT, "date").last(),
            pl.col("known_at").first().alias("planned_at"),
            pl.col("known_at").last().alias("changed_at"),
            pl.len().alias("state_count"),
            pl.col("date").first(),
        )
        frame = conform("orders", latest.filter(pl.col("date").is_in(days)))
        storage.lake.overwrite_dates("orders", frame, days)
        rows += frame.height
    return materialised(None, rows)


def trades_frame(lake: Lake, days: Sequence[date]) -> pl.DataFrame:
    """Return the trades opened on the days, with their exits up to now."""
    trade = [*ACCOUNT, "trade_id"]
    deals = deals_of(lake, days[0]).filter(pl.col("trade_id").is_not_null())
    # A deal that was taken back fills nothing any more; its money counts as told last.
    entry, leaving = IS_TRADE & (pl.col("entry") == "IN"), IS_TRADE & (pl.col("entry") != "IN")
    lots, price = pl.col("volume_lots"), pl.col("price")
    weight = lots.cast(pl.Float64)
    lives = deals.group_by(trade, maintain_order=True).agg(
        pl.col("signal_id", "position_id", "symbol").first(),
        pl.col("kind").filter(entry).first().alias("side"),
        pl.col("event_at").filter(entry).min().alias("opened_at"),
        pl.col("event_at").filter(leaving).max().alias("last_exit_at"),
        lots.filter(entry).sum().alias("volume_lots"),
        lots.filter(leaving).sum().alias("left_lots"),
        ((price * weight).filter(entry).sum() / weight.filter(entry).sum()).alias("entry_price"),
        ((price * weight).filter(leaving).sum() / weight.filter(leaving).sum()).alias("exit_price"),
        pl.col("profit").sum().alias("gross_pnl"),
        pl.col("commission", "swap", "fee").sum(),
        pl.sum_horizontal(*(pl.col(name).sum() for name in MONEY)).alias("net_pnl"),
        pl.len().alias("deal_count"),
    )
    opened = lives.filter(pl.col("opened_at").dt.date().is_in(list(days)))
    ideas = _ideas(lake, days).unique(trade)
    ends = lake.read("outcomes", since=days[0], columns=[*trade, "exit_reason"]).unique(trade)
    whole = opened.join(ideas, on=trade, how="left").join(ends, on=trade, how="left")
    still = pl.col("left_lots") < pl.col("volume_lots")
    return conform(
        "trades",
        whole.with_columns(
            date=pl.col("opened_at").dt.date(),
            is_open=still,
            closed_at=pl.when(still).then(None).otherwise(pl.col("last_exit_at")),
            exit_price=pl.when(pl.col("left_lots") > 0).then(pl.col("exit_price")),
        ),
    )


def _ideas(lake: Lake, days: Sequence[date]) -> pl.DataFrame:
    """Return candidate and prices of the orders that opened the trades; an order may precede its fill by a day."""
    planned = [*days, days[0] - timedelta(days=1)]
    opening = lake.read("raw_orders", dates=planned).filter(pl.col("purpose") == "OPEN")
    first = opening.unique([*ACCOUNT, "trade_id"], keep="first", maintain_order=True)
    risk = lake.read("candidates", dates=planned, columns=["idea_id", "risk_unit"])
    return first.join(risk, on="idea_id", how="left").select(
        *ACCOUNT, "trade_id", "idea_id", "stop_price", "target_price", "risk_unit"
    )


@table_asset("trades", ["raw_deals", "orders", "candidates", "outcomes"])
@following("trades")
def trades(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    rows = still_open = 0
    for days in chunks(with_revised(storage.lake, "trades", dates_of(context))):
        frame = trades_frame(storage.lake, days)
        storage.lake.overwrite_dates("trades", frame, days)
        rows += frame.height
        still_open += int(frame["is_open"].sum())
    return materialised(None, rows, open=still_open)


@table_asset("marks", ["raw_marks"])
def marks(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    rows = 0
    for days in chunks(dates_of(context)):
        raw = storage.lake.read("raw_marks", dates=days)
        position = pl.int_range(pl.len()).over([*ACCOUNT, "trade_id", "date"]).alias("mark_index")
        frame = conform("marks", raw.with_columns(position))
        storage.lake.overwrite_dates("marks", frame, days)
        rows += frame.height
    return materialised(None, rows)


@table_asset("outcomes", ["raw_outcomes"])
def outcomes(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    rows = 0
    for days in chunks(with_revised(storage.lake, "outcomes", dates_of(context))):
        frame = outcomes_frame(storage.lake, days)
        storage.lake.overwrite_dates("outcomes", frame, days)
        rows += frame.height
    return materialised(None, rows)


def latest_outcomes(told: pl.DataFrame) -> pl.DataFrame:
    """Return one row a trade of raw outcomes: the highest revision, of one revision what was told first."""
    ordered = told.sort(pl.col("revision").fill_null(0), descending=True, maintain_order=True)
    return ordered.unique([*ACCOUNT, "trade_id"], keep="first", maintain_order=True)


def outcomes_frame(lake: Lake, days: Sequence[date]) -> pl.DataFrame:
    """Return the outcomes first told on the days, as they are told last."""
    trade = [*ACCOUNT, "trade_id"]
    told = lake.read("raw_outcomes", since=days[0]).with_columns(pl.col("revision").fill_null(0))
    first = told.filter(pl.col("revision") == 0).unique(trade, keep="first", maintain_order=True)
    filed = first.filter(pl.col("date").is_in(list(days))).select(*trade, "date")
    latest = filed.join(latest_outcomes(told).drop("date"), on=trade, how="inner", maintain_order="left")
    return conform("outcomes", latest)


def with_revised(lake: Lake, table: str, days: Sequence[date]) -> list[date]:
    """Return the days, and those before them on which trades are filed whose deals or outcomes became known on the days."""
    trade = [*ACCOUNT, "trade_id"]
    known = [
        lake.scan(name, dates=list(days)).filter(pl.col("trade_id").is_not_null()).select(trade)
        for name in ("raw_deals", "raw_outcomes")
    ]
    named = pl.concat(known).unique().collect()
    if named.is_empty():
        return list(days)
    filed = lake.scan(table, until=min(days) - timedelta(days=1)).select(*trade, "date")
    earlier = filed.join(named.lazy(), on=trade, how="semi").select(pl.col("date").unique()).collect()["date"]
    return sorted({*days, *earlier})


def holdings_of_day(trades: pl.DataFrame, deals: pl.DataFrame, marks: pl.DataFrame, day: date) -> pl.DataFrame:
    """Return what was held on one day, from all trades, the day's deals and the day's marks."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    end = start + timedelta(days=1)
    trade = [*ACCOUNT, "trade_id"]
    held = trades.filter((pl.col("opened_at") < end) & (pl.col("closed_at").is_null() | (pl.col("closed_at") >= start)))
    realised = deals.group_by(trade).agg(
        pl.sum_horizontal(*(pl.col(name).sum() for name in MONEY)).alias("realised_pnl")
    )
    last = marks.group_by(trade, maintain_order=True).agg(pl.col("unrealised_pnl").last(), pl.len().alias("mark_count"))
    closed_by_then = pl.when(pl.col("closed_at") < end).then(pl.col("closed_at"))
    until = pl.coalesce(closed_by_then, pl.lit(end, pl.Datetime("us", "UTC")))
    since = pl.max_horizontal("opened_at", pl.lit(start, pl.Datetime("us", "UTC")))
    joined = held.join(realised, on=trade, how="left").join(last, on=trade, how="left")
    return conform(
        "holdings",
        joined.with_columns(
            date=pl.lit(day),
            closed_at=closed_by_then,
            is_open=closed_by_then.is_null(),
            held_s=(until - since).dt.total_microseconds() / 1e6,
            realised_pnl=pl.col("realised_pnl").fill_null(0),
            unrealised_pnl=pl.when(closed_by_then.is_null()).then(pl.col("unrealised_pnl")),
            mark_count=pl.col("mark_count").fill_null(0),
        ),
    )


@table_asset("holdings", ["trades", "marks", "raw_deals"])
def holdings(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    rows = 0
    for days in chunks(dates_of(context)):
        all_trades = storage.lake.read("trades", until=days[-1])
        deals = deals_of(storage.lake, days[0]).filter(pl.col("trade_id").is_not_null())
        valued = storage.lake.read("marks", dates=days)
        parts = [TABLES["holdings"].empty()]
        for day in days:
            of_day = deals.filter(pl.col("event_at").dt.date() == day)
            parts.append(holdings_of_day(all_trades, of_day, valued.filter(pl.col("date") == day), day))
        frame = pl.concat(parts)
        storage.lake.overwrite_dates("holdings", frame, days)
        rows += frame.height
    return materialised(None, rows)
