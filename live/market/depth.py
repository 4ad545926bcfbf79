"""Depth of market: which is none, and the record of one. It is recorded and never decided on."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

from live.bridge.soundness import MOST_PRICE
from live.recorder import Recorder
from trading_assets.core.messages import BookLevel, BookUpdate
from trading_assets.core.records.market import BookSnapshot

MOST_LEVELS = 256
"""Prices of one side."""


def book_record(recorder: Recorder, message: BookUpdate, symbol: str, at: datetime) -> BookSnapshot:
    """Return the record of a sound depth of market."""
    return recorder.make(
        BookSnapshot,
        at,
        message.chain_id or recorder.chain(symbol),
        symbol=symbol,
        bid_prices=tuple([level.price for level in message.bids]),
        bid_lots=tuple([level.volume for level in message.bids]),
        ask_prices=tuple([level.price for level in message.asks]),
        ask_lots=tuple([level.volume for level in message.asks]),
        server_msc=message.time_msc,
    )


def book_text(message: BookUpdate) -> str:
    """Say what a depth of market holds, in short."""
    best = [f"{side[0].price:g}" if side else "none" for side in (message.bids, message.asks)]
    sides = f"{len(message.bids)} bids, {len(message.asks)} asks, best {best[0]} and {best[1]}"
    return f"depth of market at {message.time_msc}: {sides}"


def book_fault(message: BookUpdate) -> str:
    """Return why a depth of market is none, or nothing. That its numbers are finite was seen to before."""
    bids, asks = message.bids, message.asks
    if len(bids) > MOST_LEVELS or len(asks) > MOST_LEVELS:
        return "too_many_levels"
    if any(not 0.0 < level.price < MOST_PRICE or level.volume < 0 for level in (*bids, *asks)):
        return "non_positive"
    if not _is_falling(bids) or not _is_falling(asks[::-1]):
        return "unsorted"
    return "crossed" if bids and asks and bids[0].price > asks[0].price else ""


def _is_falling(levels: tuple[BookLevel, ...]) -> bool:
    return all(first.price > second.price for first, second in pairwise(levels))
