"""Records of the market: quotes, bars, and what was refused."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from trading_assets.core.fields import (
    Symbol,
    Timeframe,
    doc,
    moment,
)
from trading_assets.core.records.record import (
    Record,
)


class Quote(Record, frozen=True, kw_only=True, tag="quote"):
    """One accepted bid/ask quote. One row per quote."""

    STREAM = "market"

    symbol: Symbol
    bid: Annotated[float, doc("Best price one can sell at.", "price", "terminal tick")]
    ask: Annotated[float, doc("Best price one can buy at.", "price", "terminal tick")]
    server_msc: Annotated[
        int,
        doc(
            "The terminal's own time of the quote, server wall time written as if it were an epoch.",
            "ms",
            "terminal tick",
        ),
    ]
    clock_rule: Annotated[
        str,
        doc(
            "Rule that turned server time into UTC: utc, a fixed offset in hours, eu or us.",
            source="settings of the daemon",
        ),
    ]
    is_late: Annotated[bool, doc("Kept by the terminal while the connection was down.", source="terminal")] = False


class BookSnapshot(Record, frozen=True, kw_only=True, tag="book"):
    """Depth of market as the terminal reported it, best price first. One row per change of a book."""

    STREAM = "market"

    symbol: Symbol
    bid_prices: Annotated[tuple[float, ...], doc("Bid prices, highest first.", "price", "terminal")]
    bid_lots: Annotated[tuple[Decimal, ...], doc("Volume at each bid price.", "lots", "terminal")]
    ask_prices: Annotated[tuple[float, ...], doc("Ask prices, lowest first.", "price", "terminal")]
    ask_lots: Annotated[tuple[Decimal, ...], doc("Volume at each ask price.", "lots", "terminal")]
    server_msc: Annotated[int, doc("Server wall time as sent, written as if it were an epoch.", "ms", "terminal")]


class Bar(Record, frozen=True, kw_only=True, tag="bar"):
    """One closed bar, bid-based with the ask and the spread beside it. One row per telling of a bar; the first counts."""

    STREAM = "market"

    symbol: Symbol
    timeframe: Timeframe
    open_at: Annotated[datetime, moment("Start of the bar, inclusive.", "core.market.bars")]
    close_at: Annotated[datetime, moment("End of the bar, exclusive.", "core.market.bars")]
    open: Annotated[float, doc("First bid.", "price", "quotes")]
    high: Annotated[float, doc("Highest bid.", "price", "quotes")]
    low: Annotated[float, doc("Lowest bid.", "price", "quotes")]
    close: Annotated[float, doc("Last bid.", "price", "quotes")]
    ask_open: Annotated[float, doc("First ask.", "price", "quotes")]
    ask_high: Annotated[float, doc("Highest ask.", "price", "quotes")]
    ask_low: Annotated[float, doc("Lowest ask.", "price", "quotes")]
    ask_close: Annotated[float, doc("Last ask.", "price", "quotes")]
    tick_count: Annotated[int, doc("Accepted quotes in the bar.", "quotes", "quotes")]
    spread_min_points: Annotated[int, doc("Smallest spread, rounded to points.", "points", "quotes")]
    spread_max_points: Annotated[int, doc("Largest spread, rounded to points.", "points", "quotes")]
    spread_sum_points: Annotated[
        int, doc("Sum of the spreads, so that the mean of a longer bar is exact.", "points", "quotes")
    ]
    source: Annotated[
        Literal["quotes", "history"], doc("Built here from quotes, or answered by the terminal.", source="daemon")
    ]


class Quarantine(Record, frozen=True, kw_only=True, tag="quarantine"):
    """One quote or message that was refused, with the reason. One row per refusal."""

    STREAM = "market"

    symbol: Annotated[str, doc("Symbol as sent; empty when the message names none.", source="terminal")]
    reason: Annotated[
        str,
        doc(
            "Why it was refused: crossed, non_finite, non_positive, time_backwards, unknown_symbol, duplicate, malformed, ...",
            source="core.market.quotes",
        ),
    ]
    subject: Annotated[str, doc("What was refused, as text, shortened to 500 characters.", source="terminal")]
    occurrences: Annotated[int, doc("How many quotes or messages this row stands for.", "times", "daemon")] = 1
