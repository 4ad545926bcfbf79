"""Leads the broker through a stretch of the feed: stops, targets and stop-outs at the quote that triggers them.

Exact, yet only quotes that can trigger something are looked at one by one: the others are found by comparing whole
arrays. Sending the quotes is `play`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from live.paper.broker import Broker
from live.paper.contracts import unrealised
from live.paper.feed import Feed
from live.paper.orders import Fill
from trading_assets.core.messages import PositionFacts

_ALARM = 2
"""Worst margin level of a stretch, in stop-out levels, from which each of its quotes is looked at."""


def advance(feed: Feed, broker: Broker, begin: int, end: int) -> tuple[int, list[Fill]]:
    """Show the broker the quotes from `begin` on, until one triggers something or `end` is reached.

    Returns the index after the last quote shown and what it triggered.
    """
    at = begin
    for index in _suspects(feed, broker, begin, end):
        _settle(feed, broker, at, index)
        symbol = feed.symbols[feed.instrument[index]]
        fills = broker.quote(symbol, int(feed.server_msc[index]), float(feed.bid[index]), float(feed.ask[index]))
        broker.quotes[symbol].is_open = not feed.ends_session[index]
        at = index + 1
        if fills:
            return at, fills
    _settle(feed, broker, at, end)
    return end, []


def recall(feed: Feed, broker: Broker, played: int) -> None:
    """Let the broker know the last quotes before index `played`, as it did before a restart."""
    _settle(feed, broker, 0, played)


def _settle(feed: Feed, broker: Broker, begin: int, end: int) -> None:
    """Let the broker take note of the last tradable quote of each symbol; none of these triggers anything."""
    for number, symbol in enumerate(feed.symbols):
        chosen = np.flatnonzero(feed.is_tradable[begin:end] & (feed.instrument[begin:end] == number))
        if len(chosen):
            last = begin + int(chosen[-1])
            broker.price(symbol, int(feed.server_msc[last]), float(feed.bid[last]), float(feed.ask[last]))
            broker.quotes[symbol].is_open = not feed.ends_session[last]


def _suspects(feed: Feed, broker: Broker, begin: int, end: int) -> Sequence[int]:
    """Return the indices of quotes that may trigger something, in order."""
    held = list(broker.book.positions.values())
    if not held:
        return ()
    bid, ask, number = feed.bid[begin:end], feed.ask[begin:end], feed.instrument[begin:end]
    tradable = feed.is_tradable[begin:end]
    if _may_stop_out(feed, broker, held, begin, end):
        return [begin + int(index) for index in np.flatnonzero(tradable)]
    suspect = np.zeros(end - begin, dtype=np.bool_)
    for position in held:
        own = tradable & (number == feed.symbols.index(position.symbol))
        suspect |= own & _touches(position, bid, ask)
    return [begin + int(index) for index in np.flatnonzero(suspect)]


def _touches(position: PositionFacts, bid: NDArray[np.float64], ask: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which quotes reach the position's stop or target."""
    none = np.zeros(len(bid), dtype=np.bool_)
    if position.side == "BUY":
        stop = bid <= position.sl if position.sl else none
        target = bid >= position.tp if position.tp else none
    else:
        stop = ask >= position.sl if position.sl else none
        target = ask <= position.tp if position.tp else none
    return np.asarray(stop | target)


def _may_stop_out(feed: Feed, broker: Broker, held: Sequence[PositionFacts], begin: int, end: int) -> bool:
    """Return whether the margin level could come near the stop-out level, every position at its worst quote at once."""
    equity, margin = broker.book.balance + broker.book.credit, Decimal(0)
    for position in held:
        contract = broker.contracts[position.symbol]
        own = feed.is_tradable[begin:end] & (feed.instrument[begin:end] == feed.symbols.index(position.symbol))
        worst_bid = float(np.min(feed.bid[begin:end], where=own, initial=position.price_open))
        worst_ask = float(np.max(feed.ask[begin:end], where=own, initial=position.price_open))
        equity += unrealised(contract, position, worst_bid, worst_ask) + position.swap
        margin += contract.margin(position.volume, position.price_open, broker.terms.leverage)
    return equity * 100 <= _ALARM * broker.terms.conditions.stop_out_level * margin
