"""Which quotes are accepted: the reasons a quote is refused for, one at a time and for whole frames.

A refused quote goes into quarantine with its reason and changes nothing else. A zero spread is accepted, and so
are several quotes of one instant; an exact repetition of the last accepted quote is not. Bars of accepted quotes
live in `bars`.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from math import isfinite
from typing import Literal

import polars as pl

Reason = Literal["unknown_symbol", "non_finite", "non_positive", "crossed", "time_backwards", "late", "duplicate"]

REASONS: dict[Reason, str] = {
    "unknown_symbol": "the symbol is not one of the account's",
    "non_finite": "bid or ask is missing or is no number",
    "non_positive": "bid or ask is zero or negative",
    "crossed": "the bid is above the ask",
    "time_backwards": "the symbol's last accepted quote is later",
    "late": "the time it belongs to was already declared over, and its bar closed",
    "duplicate": "it repeats the symbol's last accepted quote",
}
"""Every reason with its meaning, in the order they are looked for: the first that holds is given."""

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


class QuoteValidator:
    """Judges quotes in the order they arrive; remembers each symbol's last accepted one."""

    __slots__ = ("_last", "_over_until")

    def __init__(self, known_symbols: Collection[str]) -> None:
        """`known_symbols`: symbols whose quotes are wanted; all others are refused."""
        self._last: dict[str, tuple[datetime, float, float]] = dict.fromkeys(known_symbols, (_BEGINNING, 0.0, 0.0))
        self._over_until = _BEGINNING

    def refusal(self, symbol: str, at: datetime, bid: float | None, ask: float | None) -> Reason | None:
        """Return why the quote is refused, or None; then it is the symbol's last accepted one."""
        last = self._last.get(symbol)
        if last is None:
            return "unknown_symbol"
        # NaN travels as null. A chain of comparisons is false for NaN: one test for the good case, then the reason.
        if bid is None or ask is None or not 0.0 < bid <= ask < _INFINITY:
            return _price_fault(bid, ask)
        last_at, last_bid, last_ask = last
        if at <= last_at:
            if at < last_at:
                return "time_backwards"
            if bid == last_bid and ask == last_ask:
                return "duplicate"
        if at < self._over_until:
            return "late"
        self._last[symbol] = (at, bid, ask)
        return None

    def advance(self, at: datetime) -> None:
        """Declare the time before `at` over, as a heartbeat does: a bar it closes is never opened again."""
        self._over_until = max(at, self._over_until)


_INFINITY = float("inf")


def _price_fault(bid: float | None, ask: float | None) -> Reason:
    if bid is None or ask is None or not (isfinite(bid) and isfinite(ask)):
        return "non_finite"
    return "non_positive" if bid <= 0 or ask <= 0 else "crossed"


def refusals(quotes: pl.DataFrame, known_symbols: Collection[str]) -> pl.Series:
    """Return the reason for each quote [symbol, event_at, bid, ask] (null: accepted), as one new validator would."""
    finite = pl.all_horizontal(pl.col("bid", "ask").is_finite().fill_null(value=False))
    price = (
        pl.when(~pl.col("symbol").is_in(list(known_symbols)))
        .then(pl.lit("unknown_symbol"))
        .when(~finite)
        .then(pl.lit("non_finite"))
        .when((pl.col("bid") <= 0) | (pl.col("ask") <= 0))
        .then(pl.lit("non_positive"))
        .when(pl.col("bid") > pl.col("ask"))
        .then(pl.lit("crossed"))
    )
    judged = quotes.lazy().select("symbol", "event_at", "bid", "ask", price.alias("reason")).with_row_index("row")
    # A quote refused for its time is never later than the last accepted one, so the latest of all with good
    # prices is the last accepted one's time.
    latest = pl.col("event_at").cum_max().shift(1).over("symbol")
    timed = judged.filter(pl.col("reason").is_null()).with_columns(
        backwards=(pl.col("event_at") < latest).fill_null(value=False)
    )
    # Among quotes in order, the one before is the last accepted one or repeats it.
    repeats = pl.all_horizontal(
        pl.col(name) == pl.col(name).shift(1).over("symbol") for name in ("event_at", "bid", "ask")
    )
    in_order = timed.filter(~pl.col("backwards")).select("row", repeats.fill_null(value=False).alias("duplicate"))
    return (
        judged.join(timed.select("row", "backwards"), on="row", how="left", maintain_order="left")
        .join(in_order, on="row", how="left", maintain_order="left")
        .select(
            pl.when("backwards")
            .then(pl.lit("time_backwards"))
            .when("duplicate")
            .then(pl.lit("duplicate"))
            .otherwise("reason")
            .alias("reason")
        )
        .collect()["reason"]
    )
