"""What a bar says: one as a frozen struct, many as the columns of a frame. How bars are built is `bars`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
import polars as pl

from trading_assets.core.records.market import Bar

Source = Literal["quotes", "history"]

UTC_TIME = pl.Datetime("us", "UTC")

BARS_SCHEMA: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "timeframe": pl.String(),
    "open_at": UTC_TIME,
    "close_at": UTC_TIME,
    "open": pl.Float64(),
    "high": pl.Float64(),
    "low": pl.Float64(),
    "close": pl.Float64(),
    "ask_open": pl.Float64(),
    "ask_high": pl.Float64(),
    "ask_low": pl.Float64(),
    "ask_close": pl.Float64(),
    "tick_count": pl.Int64(),
    "spread_min_points": pl.Int64(),
    "spread_max_points": pl.Int64(),
    "spread_sum_points": pl.Int64(),
    "source": pl.String(),
}
"""Columns of a frame of bars. One row per symbol, timeframe and open."""


class BarValues(msgspec.Struct, frozen=True, kw_only=True):
    """One closed bar: what `records.Bar` says, without the envelope of a record."""

    symbol: str
    timeframe: str
    open_at: datetime
    close_at: datetime
    open: float
    high: float
    low: float
    close: float
    ask_open: float
    ask_high: float
    ask_low: float
    ask_close: float
    tick_count: int
    spread_min_points: int
    spread_max_points: int
    spread_sum_points: int
    source: Source = "quotes"

    def to_record(self, *, tenant: str, account: str, known_at: datetime, chain_id: str) -> Bar:
        """Return the journal's record of this bar; it happened when the bar closed."""
        return Bar(
            tenant=tenant,
            account=account,
            event_at=self.close_at,
            known_at=known_at,
            chain_id=chain_id,
            **msgspec.structs.asdict(self),
        )
