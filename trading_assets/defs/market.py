"""The market stage: bars from accepted quotes (and the terminal's history), regimes from features.

What a bar or a regime is lives in `core.market.bars` and `core.features.regimes`.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import wraps
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from trading_assets.core.features.feature_set import FEATURE_SETS
from trading_assets.core.features.regimes import CLASSIFIER_VERSION, classify_rows, label
from trading_assets.core.market.bars import aggregate, bars_from_quotes
from trading_assets.core.tables import TABLES
from trading_assets.defs.left_alone import days_to_make
from trading_assets.defs.partitions import chunks, dates_of, with_late
from trading_assets.defs.resources import Storage
from trading_assets.defs.table_asset import conform, materialised, table_asset
from trading_assets.store.ingestion import mark_history, marked_reached
from trading_assets.store.lake import Lake

TIMEFRAMES = ("M1", "M5", "M15", "M30", "H1", "H4", "D1")
OWNER = ("tenant", "account", "symbol")


def points(lake: Lake) -> dict[tuple[str, str, str], float]:
    """Return the step in which each tenant's, account's and symbol's bars count spreads, as the daemon's charts do.

    Where a contract is of before that was recorded, the point it told.
    """
    columns = ["tenant", "account", "symbol", "known_at", "spec", "chart_point"]
    specs = lake.read("raw_symbol_specs", columns=columns).sort("known_at")
    return {
        (row["tenant"], row["account"], row["symbol"]): row["chart_point"] or row["spec"]["point"]
        for row in specs.iter_rows(named=True)
    }


def bars_of_days(lake: Lake, days: Sequence[date], reached: Mapping[tuple[str, str], datetime]) -> pl.DataFrame:
    """Return the bars of all timeframes whose open lies on the days: from quotes, else from the terminal's history."""
    quotes = lake.read(
        "raw_quotes", dates=with_late(days), columns=["tenant", "account", "symbol", "event_at", "bid", "ask"]
    ).filter(pl.col("event_at").dt.date().is_in(list(days)))
    # The terminal tells of a bar after it has closed, however late: never on a day before the bar's own.
    history = lake.read("raw_bars", since=min(days), columns=["tenant", "account", *TABLES["bars"].names[3:]]).filter(
        (pl.col("source") == "history") & pl.col("open_at").dt.date().is_in(list(days))
    )
    parts = [TABLES["bars"].empty()]
    known_points = points(lake)
    owners = {*quotes.select(OWNER).unique().iter_rows(), *history.select(OWNER).unique().iter_rows()}
    for owner in sorted(owners):
        mine = pl.all_horizontal(pl.col(name) == value for name, value in zip(OWNER, owner, strict=True))
        parts += _bars_of_symbol(owner, quotes.filter(mine), history.filter(mine), known_points.get(owner))
    bars = pl.concat(parts).sort(*OWNER, "timeframe", "open_at")
    return bars.filter(_is_complete(reached))


def _is_complete(reached: Mapping[tuple[str, str], datetime]) -> pl.Expr:
    """A bar that ends after its journal was read is still forming, and nobody may see it."""
    forming = [
        (pl.col("tenant") == tenant) & (pl.col("account") == account) & (pl.col("close_at") > at)
        for (tenant, account), at in reached.items()
    ]
    return ~pl.any_horizontal(forming) if forming else pl.lit(value=True)


def _bars_of_symbol(
    owner: tuple[str, str, str], quotes: pl.DataFrame, history: pl.DataFrame, point: float | None
) -> list[pl.DataFrame]:
    """Build each timeframe from the one below, as the daemon does; history fills in where no quotes were seen."""
    levels: list[pl.DataFrame] = []
    shorter = TABLES["bars"].empty().drop("tenant", "account", "date")
    if quotes.height and point is not None:
        shorter = bars_from_quotes(quotes.drop("tenant", "account"), "M1", point)
    for timeframe in TIMEFRAMES:
        bars = shorter if timeframe == "M1" else aggregate(shorter, timeframe)
        answered = history.filter(pl.col("timeframe") == timeframe).drop("tenant", "account")
        answered = answered.unique("open_at", keep="first").join(bars, on="open_at", how="anti")
        shorter = pl.concat([bars, answered.select(bars.columns)]).sort("open_at")
        dated = shorter.with_columns(date=pl.col("open_at").dt.date())
        levels.append(conform("bars", dated, tenant=owner[0], account=owner[1]))
    return levels


def without_specification(lake: Lake, days: Sequence[date]) -> list[str]:
    """Say of which symbols the days have quotes that make no bars, since no specification of them is in the lake."""
    quoted = lake.scan("raw_quotes", dates=list(days)).group_by(OWNER).len().collect()
    known = points(lake)
    return [
        f"{count} quotes of {symbol} make no bars: the lake has no specification of it for {tenant}/{account}; "
        "ingest the days from the first of the journal on, for the terminal tells it when it connects"
        for tenant, account, symbol, count in quoted.sort(OWNER).iter_rows()
        if (tenant, account, symbol) not in known
    ]


def history_of(lake: Lake, days: Sequence[date]) -> dict[date, int]:
    """Return how many bars of the terminal's history the lake has of the days, whenever they were told."""
    told = lake.scan("raw_bars", since=min(days)).filter(pl.col("source") == "history")
    opened = told.select(day=pl.col("open_at").dt.date()).filter(pl.col("day").is_in(list(days)))
    return dict(opened.group_by("day").len().collect().iter_rows())


def _marking(write: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate the asset of bars: history that was there when it began has reached its days when it ends."""

    @wraps(write)
    def written(context: dg.AssetExecutionContext, storage: Storage) -> Any:
        told = history_of(storage.lake, dates_of(context))
        result = write(context, storage)
        mark_history(storage.home, told)
        return result

    return written


@table_asset("bars", ["raw_quotes", "raw_bars", "raw_symbol_specs"])
@_marking
def bars(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    rows = 0
    days_asked, said = days_to_make(storage.lake, "bars", dates_of(context))
    if said:
        context.log.warning(said)
    for sentence in without_specification(storage.lake, days_asked):
        context.log.warning(sentence)
    for days in chunks(days_asked):
        frame = bars_of_days(storage.lake, days, marked_reached(storage.home))
        storage.lake.overwrite_dates("bars", frame, days)
        rows += frame.height
    return materialised(None, rows)


@table_asset("regimes", ["features"])
def regimes(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    rows = 0
    versions = {feature_set.version: feature_set for feature_set in FEATURE_SETS.values()}
    for days in chunks(dates_of(context)):
        features = storage.lake.read("features", dates=days)
        parts = [TABLES["regimes"].empty()]
        for (version,), part in features.group_by("feature_set_version", maintain_order=True):
            if (feature_set := versions.get(str(version))) is None:
                continue
            codes, confidence = classify_rows(feature_set, np.vstack(part["values"].to_list()))
            labels = [label(int(code)) for code in codes]
            parts.append(
                conform(
                    "regimes",
                    part.with_columns(
                        regime=pl.Series(labels, dtype=pl.String), regime_confidence=pl.Series(confidence)
                    ),
                    classifier_version=CLASSIFIER_VERSION,
                )
            )
        frame = pl.concat(parts)
        storage.lake.overwrite_dates("regimes", frame, days)
        rows += frame.height
    return materialised(None, rows)
