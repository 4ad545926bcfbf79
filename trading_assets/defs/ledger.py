"""The ledger stage: profit-and-loss events, the equity curve by the minute and by the day.

What they are lives in `core.trades.ledger`. The curve is cumulative, so a partition is computed from the account's first
deposit on and only its own days are written.
"""

from typing import Any

import dagster as dg
import polars as pl

from trading_assets.core.trades import ledger
from trading_assets.defs.partitions import dates_of
from trading_assets.defs.plots import equity_figure
from trading_assets.defs.resources import Storage
from trading_assets.defs.table_asset import conform, materialised, picture, table_asset
from trading_assets.store.lake import Lake


def _curve(lake: Lake, until: Any) -> pl.DataFrame:
    return ledger.equity_curve(lake.read("raw_deals"), lake.read("marks", until=until))


@table_asset("pnl_events", ["raw_deals"])
def pnl_events(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    days = dates_of(context)
    deals = storage.lake.read("raw_deals", since=days[0])
    frame = conform("pnl_events", ledger.pnl_events(deals).filter(pl.col("date").is_in(days)))
    storage.lake.overwrite_dates("pnl_events", frame, days)
    return materialised(None, frame.height, rows_in=deals.height)


@table_asset("equity_curve", ["raw_deals", "marks"])
def equity_curve(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    days = dates_of(context)
    curve = _curve(storage.lake, days[-1])
    frame = conform("equity_curve", curve.filter(pl.col("date").is_in(days)))
    storage.lake.overwrite_dates("equity_curve", frame, days)
    return materialised(None, frame.height, equity=picture(equity_figure(curve), "equity"))


@table_asset("equity_daily", ["equity_curve", "raw_deals"])
def equity_daily(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    days = dates_of(context)
    whole = ledger.equity_daily(storage.lake.read("raw_deals"), storage.lake.read("equity_curve", until=days[-1]))
    frame = conform("equity_daily", whole.filter(pl.col("date").is_in(days)))
    storage.lake.overwrite_dates("equity_daily", frame, days)
    return materialised(None, frame.height)
