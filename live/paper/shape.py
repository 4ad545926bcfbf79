"""What is done to a feed before it is played: the broker's suffix, holes and early closes in the quotes, gaps in the price.

Values read from JSON (`--shape`). A hole's quotes never were: neither the broker nor history has them. What is missing in
history answers alone is `Faults.history_holes`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import numpy as np
from numpy.typing import NDArray

from live.paper.feed import SESSION_GAP_MS, Feed, Instrument
from trading_assets.core.errors import InputError
from trading_assets.core.market.timeframes import to_ms


class Hole(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No quotes from `begins` (UTC) to before `ends`: a hole, a holiday or an early close."""

    begins: datetime
    ends: datetime
    symbol: str = ""
    """Empty: every symbol."""


class Gap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From `at` (UTC) on every price is `points` higher (or lower), as after a weekend."""

    at: datetime
    points: int
    symbol: str = ""


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The default leaves a feed as it is. Symbols are named without the suffix."""

    suffix: str = ""
    """Appended to every symbol's name, as brokers do (`m`, `.x`)."""
    holes: tuple[Hole, ...] = ()
    gaps: tuple[Gap, ...] = ()

    def applied_to(self, feed: Feed) -> Feed:
        """Return the feed in this shape. Raises InputError when nothing is left of a symbol."""
        for gap in self.gaps:
            feed = _with_gap(feed, gap)
        if self.holes:
            feed = _without(feed, self.holes)
        if self.suffix:
            named = tuple(Instrument(one.symbol + self.suffix, one.digits) for one in feed.instruments)
            feed = replace(feed, instruments=named)
        return feed


def parse_shape(text: str) -> Shape:
    """Read a shape from JSON. Raises InputError naming the field that is wrong."""
    try:
        return msgspec.json.decode(text, type=Shape)
    except (msgspec.DecodeError, UnicodeError) as error:
        known = ", ".join(Shape.__struct_fields__)
        raise InputError("reading", "--shape", str(error), f"pass a JSON object with some of {known}") from error


def _with_gap(feed: Feed, gap: Gap) -> Feed:
    bid, ask = feed.bid.copy(), feed.ask.copy()
    for number, instrument in enumerate(feed.instruments):
        moved = (feed.at_ms >= _ms(gap.at)) & _is_of(feed, gap.symbol) & (feed.instrument == number)
        shift = gap.points * 10.0**-instrument.digits
        for prices in (bid, ask):
            prices[moved] = np.round(prices[moved] + shift, instrument.digits)
    return replace(feed, bid=bid, ask=ask)


def _without(feed: Feed, holes: tuple[Hole, ...]) -> Feed:
    keeps = np.ones(len(feed), dtype=np.bool_)
    for hole in holes:
        keeps &= ~((feed.at_ms >= _ms(hole.begins)) & (feed.at_ms < _ms(hole.ends)) & _is_of(feed, hole.symbol))
    at_ms, instrument = feed.at_ms[keeps], feed.instrument[keeps]
    ends_session = np.zeros(len(at_ms), dtype=np.bool_)
    for number, one in enumerate(feed.instruments):
        own = np.flatnonzero(instrument == number)
        if not len(own):
            raise InputError("cutting holes into", one.symbol, "none of its quotes are left", "make the holes smaller")
        ends_session[own[:-1]] = np.diff(at_ms[own]) > SESSION_GAP_MS
    return replace(
        feed,
        at_ms=at_ms,
        server_msc=feed.server_msc[keeps],
        instrument=instrument,
        bid=feed.bid[keeps],
        ask=feed.ask[keeps],
        is_tradable=feed.is_tradable[keeps],
        ends_session=ends_session,
    )


def _is_of(feed: Feed, symbol: str) -> NDArray[np.bool_]:
    """Return which quotes are of a symbol; all of them for an empty name."""
    if not symbol:
        return np.ones(len(feed), dtype=np.bool_)
    if symbol not in feed.symbols:
        known = ", ".join(feed.symbols)
        raise InputError("shaping", symbol, "the market does not have it", f"name some of {known}")
    return np.asarray(feed.instrument == feed.symbols.index(symbol))


def _ms(at: datetime) -> int:
    return to_ms(at if at.tzinfo else at.replace(tzinfo=UTC))
