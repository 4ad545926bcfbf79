"""Bars from quotes, and longer bars from shorter ones: bid-based, with the ask and the spread beside them.

A bar holds the quotes of [open, close). It exists only when there is at least one. The builders walk through
time one quote at a time and are the daemon's; `bars_from_quotes` and `aggregate` give the same bars, bit for
bit, from whole frames. Quotes are taken as accepted: validation lives in `quotes`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import polars as pl

from trading_assets.core.market.bar_values import BARS_SCHEMA, UTC_TIME, BarValues
from trading_assets.core.market.timeframes import duration, floor

__all__ = ["BARS_SCHEMA", "BarAggregator", "BarBuilder", "BarValues", "aggregate", "bars_from_quotes"]

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


class BarBuilder:
    """Builds the bars of one symbol and timeframe from its accepted quotes, in order of time.

    A bar is closed by the first quote at or after its end (`add`) or by the time itself (`advance`), whichever
    comes first, and never opened again.
    """

    __slots__ = (
        "_ask_close",
        "_ask_high",
        "_ask_low",
        "_ask_open",
        "_close",
        "_close_at",
        "_count",
        "_high",
        "_length",
        "_low",
        "_open",
        "_open_at",
        "_point",
        "_spread_max",
        "_spread_min",
        "_spread_sum",
        "closed_until",
        "symbol",
        "timeframe",
    )

    def __init__(self, symbol: str, timeframe: str, point: float) -> None:
        """`point` is the step spreads are counted in."""
        self.symbol = symbol
        self.timeframe = timeframe
        self.closed_until = _BEGINNING
        """Time up to which no more quotes are taken."""
        self._point = point
        self._length = duration(timeframe)
        self._count = 0
        # An empty interval: the first quote opens a bar.
        self._open_at = self._close_at = _BEGINNING
        self._open = self._high = self._low = self._close = 0.0
        self._ask_open = self._ask_high = self._ask_low = self._ask_close = 0.0
        self._spread_min = self._spread_max = self._spread_sum = 0

    def add(self, at: datetime, bid: float, ask: float) -> BarValues | None:
        """Take a quote; return the bar it closes, if any.

        Raises ValueError for a quote of a bar that is already closed: `quotes.QuoteValidator` refuses those.
        """
        if not self._open_at <= at < self._close_at:
            return self._start(at, bid, ask)
        # The daemon's hot path: no calls but round.
        if bid > self._high:
            self._high = bid
        elif bid < self._low:
            self._low = bid
        if ask > self._ask_high:
            self._ask_high = ask
        elif ask < self._ask_low:
            self._ask_low = ask
        self._close = bid
        self._ask_close = ask
        spread = round((ask - bid) / self._point)
        if spread > self._spread_max:
            self._spread_max = spread
        elif spread < self._spread_min:
            self._spread_min = spread
        self._spread_sum += spread
        self._count += 1
        return None

    def advance(self, at: datetime) -> BarValues | None:
        """Say that time has reached `at`; return the bar this closes, if any."""
        if at < self._close_at or not self._count:
            return None
        return self._finish()

    @property
    def forming(self) -> BarValues | None:
        """The bar as it is now, not yet closed; None when there is none."""
        return self._values() if self._count else None

    def _start(self, at: datetime, bid: float, ask: float) -> BarValues | None:
        if at < self._open_at or at < self.closed_until:
            raise ValueError(
                f"a quote of {self.symbol} at {at} belongs to a bar closed before; quotes must come in order of time"
            )
        closed = self._finish() if self._count else None
        self._open_at = floor(at, self.timeframe)
        self._close_at = self._open_at + self._length
        self._open = self._high = self._low = self._close = bid
        self._ask_open = self._ask_high = self._ask_low = self._ask_close = ask
        self._spread_min = self._spread_max = self._spread_sum = round((ask - bid) / self._point)
        self._count = 1
        return closed

    def _finish(self) -> BarValues:
        closed = self._values()
        self._count = 0
        self._open_at = self.closed_until = self._close_at
        return closed

    def _values(self) -> BarValues:
        return BarValues(
            symbol=self.symbol,
            timeframe=self.timeframe,
            open_at=self._open_at,
            close_at=self._close_at,
            open=self._open,
            high=self._high,
            low=self._low,
            close=self._close,
            ask_open=self._ask_open,
            ask_high=self._ask_high,
            ask_low=self._ask_low,
            ask_close=self._ask_close,
            tick_count=self._count,
            spread_min_points=self._spread_min,
            spread_max_points=self._spread_max,
            spread_sum_points=self._spread_sum,
        )


class BarAggregator:
    """Builds longer bars of one symbol from its closed shorter ones, in order of time.

    The same interface as `BarBuilder`: `add` returns the bar that a later one closes, `advance` the bar whose time
    has passed. So after the last short bar of an hour, the hour is returned by `advance(close)`.
    """

    __slots__ = ("_forming", "_length", "closed_until", "symbol", "timeframe")

    def __init__(self, symbol: str, timeframe: str) -> None:
        self.symbol = symbol
        self.timeframe = timeframe
        self.closed_until = _BEGINNING
        """Time up to which no more bars are taken."""
        self._length = duration(timeframe)
        self._forming: BarValues | None = None

    def add(self, bar: BarValues) -> BarValues | None:
        """Take a closed shorter bar; return the longer bar it closes, if any.

        Raises ValueError for a bar of a closed longer one and for one that is not shorter.
        """
        open_at = floor(bar.open_at, self.timeframe)
        close_at = open_at + self._length
        if bar.close_at > close_at or bar.open_at < self.closed_until:
            raise ValueError(
                f"a bar {bar.timeframe} of {bar.symbol} at {bar.open_at} fits no open bar {self.timeframe}"
            )
        forming = self._forming
        if forming is not None and forming.open_at == open_at:
            self._forming = _joined(forming, bar)
            return None
        if forming is not None and bar.open_at < forming.open_at:
            raise ValueError(f"a bar {bar.timeframe} of {bar.symbol} at {bar.open_at} comes after a later one")
        if forming is not None:
            self.closed_until = forming.close_at
        self._forming = msgspec.structs.replace(bar, timeframe=self.timeframe, open_at=open_at, close_at=close_at)
        return forming

    def advance(self, at: datetime) -> BarValues | None:
        """Say that time has reached `at`; return the bar this closes, if any."""
        forming = self._forming
        if forming is None or at < forming.close_at:
            return None
        self._forming = None
        self.closed_until = forming.close_at
        return forming

    @property
    def forming(self) -> BarValues | None:
        """The bar as it is now, not yet closed; None when there is none."""
        return self._forming


def _joined(bar: BarValues, later: BarValues) -> BarValues:
    return msgspec.structs.replace(
        bar,
        high=max(bar.high, later.high),
        low=min(bar.low, later.low),
        close=later.close,
        ask_high=max(bar.ask_high, later.ask_high),
        ask_low=min(bar.ask_low, later.ask_low),
        ask_close=later.ask_close,
        tick_count=bar.tick_count + later.tick_count,
        spread_min_points=min(bar.spread_min_points, later.spread_min_points),
        spread_max_points=max(bar.spread_max_points, later.spread_max_points),
        spread_sum_points=bar.spread_sum_points + later.spread_sum_points,
        # One part from history makes the whole a mixture: it was not built here from quotes alone.
        source="quotes" if bar.source == later.source == "quotes" else "history",
    )


def bars_from_quotes(quotes: pl.DataFrame, timeframe: str, point: float) -> pl.DataFrame:
    """Return the bars (BARS_SCHEMA) of accepted quotes [symbol, event_at, bid, ask], each symbol in order of time.

    Every bar that has a quote is returned, the last one too. All symbols share the `point`. Sorted by symbol and open.
    """
    length = duration(timeframe)
    spread = ((pl.col("ask") - pl.col("bid")) / point).round(mode="half_to_even").cast(pl.Int64)
    bars = (
        quotes.lazy()
        .select(
            "symbol",
            pl.col("event_at").cast(UTC_TIME).dt.truncate(length).alias("open_at"),
            "bid",
            "ask",
            spread.alias("spread"),
        )
        .group_by("symbol", "open_at", maintain_order=True)
        .agg(
            pl.col("bid").first().alias("open"),
            pl.col("bid").max().alias("high"),
            pl.col("bid").min().alias("low"),
            pl.col("bid").last().alias("close"),
            pl.col("ask").first().alias("ask_open"),
            pl.col("ask").max().alias("ask_high"),
            pl.col("ask").min().alias("ask_low"),
            pl.col("ask").last().alias("ask_close"),
            pl.len().alias("tick_count"),
            pl.col("spread").min().alias("spread_min_points"),
            pl.col("spread").max().alias("spread_max_points"),
            pl.col("spread").sum().alias("spread_sum_points"),
            pl.lit("quotes").alias("source"),
        )
    )
    return _framed(bars, timeframe, length)


def aggregate(bars: pl.DataFrame, timeframe: str) -> pl.DataFrame:
    """Return the bars of a longer timeframe from shorter ones (BARS_SCHEMA), each symbol in order of time.

    Every longer bar that has a shorter one is returned, the last one too. Sorted by symbol and open.
    """
    length = duration(timeframe)
    longer = (
        bars.lazy()
        .with_columns(pl.col("open_at").cast(UTC_TIME).dt.truncate(length))
        .group_by("symbol", "open_at", maintain_order=True)
        .agg(
            pl.col("open", "ask_open").first(),
            pl.col("high", "ask_high", "spread_max_points").max(),
            pl.col("low", "ask_low", "spread_min_points").min(),
            pl.col("close", "ask_close").last(),
            pl.col("tick_count", "spread_sum_points").sum(),
            pl.when((pl.col("source") == "quotes").all())
            .then(pl.lit("quotes"))
            .otherwise(pl.lit("history"))
            .alias("source"),
        )
    )
    return _framed(longer, timeframe, length)


def _framed(bars: pl.LazyFrame, timeframe: str, length: timedelta) -> pl.DataFrame:
    return (
        bars.with_columns(pl.lit(timeframe).alias("timeframe"), (pl.col("open_at") + length).alias("close_at"))
        .select(pl.col(name).cast(dtype) for name, dtype in BARS_SCHEMA.items())
        .sort("symbol", "open_at")
        .collect()
    )
