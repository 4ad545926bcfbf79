"""Forward returns: where the price went after each decision, whatever was decided. Labels of direction and size.

One row per signal and horizon. Prices are the last ones known at the decision and at the horizon's end, from the finest bars;
mid to mid for the move, bid and ask for what a side would have made of it. A horizon in which no bar exists (the market is
closed) has no row, nor one whose end the bars have not reached. Barriers and exits live in `labels`.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from trading_assets.core.trades.label_definition import LabelDefinition
from trading_assets.core.trades.labels import DEFINITION

_KEPT = ("tenant", "account", "date", "signal_id", "symbol", "timeframe", "decided_at")


def forward_returns(
    signals: pl.DataFrame, bars: pl.DataFrame, definition: LabelDefinition = DEFINITION
) -> pl.DataFrame:
    """Return the rows of the table `forward_returns` for the signals (bar_close_at, bid, ask) whose horizons have passed.

    `bars`: bid/ask bars of one timeframe in any order. Joined as of the time at which a price was known, by symbol.
    """
    if bars.is_empty() or signals.is_empty():
        return _with_returns(_horizons(signals.clear(), definition).with_columns(_no_prices()), definition)
    known = bars.sort("close_at").select(
        "symbol", "close_at", last_close_at="close_at", until_bid="close", until_ask="ask_close"
    )
    reached = known.group_by("symbol").agg(pl.col("close_at").max().alias("reached_at"))
    asked = _horizons(signals, definition).join(reached, on="symbol", how="inner").sort("until_at")
    joined = asked.join_asof(
        known, left_on="until_at", right_on="close_at", by="symbol", strategy="backward", check_sortedness=False
    )
    due = (pl.col("until_at") <= pl.col("reached_at")) & (pl.col("last_close_at") > pl.col("bar_close_at"))
    return _with_returns(joined.filter(due), definition)


def _horizons(signals: pl.DataFrame, definition: LabelDefinition) -> pl.DataFrame:
    """Return the signals once for each horizon, with its end."""
    kept = [name for name in (*_KEPT, "bar_close_at", "bid", "ask") if name in signals.columns]
    parts = [
        signals.select(kept).with_columns(
            horizon_minutes=pl.lit(minutes, pl.Int64), until_at=pl.col("bar_close_at") + timedelta(minutes=minutes)
        )
        for minutes in definition.horizons
    ]
    return pl.concat(parts)


def _no_prices() -> list[pl.Expr]:
    return [pl.lit(None, pl.Float64).alias("until_bid"), pl.lit(None, pl.Float64).alias("until_ask")]


def _with_returns(rows: pl.DataFrame, definition: LabelDefinition) -> pl.DataFrame:
    mid, until_mid = (pl.col("bid") + pl.col("ask")) / 2, (pl.col("until_bid") + pl.col("until_ask")) / 2
    flat_bp = definition.flat_spreads * (pl.col("ask") - pl.col("bid")) / mid * 10_000
    kept = [name for name in _KEPT if name in rows.columns]
    move = pl.col("return_bp")
    return (
        rows.with_columns(
            return_bp=(until_mid / mid - 1) * 10_000,
            long_bp=(pl.col("until_bid") / pl.col("ask") - 1) * 10_000,
            short_bp=(1 - pl.col("until_ask") / pl.col("bid")) * 10_000,
            flat_bp=flat_bp,
            labels_version=pl.lit(definition.version),
        )
        .with_columns(direction=pl.when(move.abs() <= pl.col("flat_bp")).then(0).otherwise(move.sign()).cast(pl.Int64))
        .select(
            *kept, "horizon_minutes", pl.col("bar_close_at").alias("from_at"), "until_at", "return_bp", "long_bp",
            "short_bp", "direction", "labels_version",
        )
        .sort("signal_id", "horizon_minutes")
    )  # fmt: skip
