"""Quotes on their way to the daemon: batches for each symbol, with the faults asked for, and the depth of market.

Which stretch of the feed is due is `session`'s and `play`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from live.paper.course import Course
from live.paper.faults import Faults, draw
from live.paper.link import Link
from trading_assets.core.messages import BookLevel, BookUpdate, Tick, Ticks

_MOST_QUOTES = 2000
"""Quotes in one message at most."""
_CROSSING = 1e-5
"""By how much more than the spread a quote that is crossed on purpose is crossed."""
_DEPTH = 5
_MOST_LOTS = 50


class Quoting:
    """Sends stretches of a feed over one link."""

    def __init__(self, link: Link, course: Course, faults: Faults) -> None:
        self._link = link
        self._course = course
        self._feed = course.feed
        self._faults = faults
        self.with_book = False

    async def send(self, begin: int, end: int, symbols: Sequence[str], *, is_late: bool = False) -> None:
        """Send the quotes of `symbols` from `begin` to `end`."""
        feed = self._feed
        for first in range(begin, end, _MOST_QUOTES):
            last = min(first + _MOST_QUOTES, end)
            for number, symbol in enumerate(feed.symbols):
                chosen = first + np.flatnonzero(feed.instrument[first:last] == number)
                if not len(chosen) or symbol not in symbols:
                    continue
                ticks = tuple(self._ticks(chosen))
                chain = self._course.chain(int(feed.at_ms[chosen[0]]), symbol)
                if ticks:
                    await self._link.send(Ticks, chain_id=chain, symbol=symbol, ticks=ticks, is_late=is_late)
                if self.with_book and not is_late:
                    await self._send_book(number, int(chosen[-1]), chain)

    def _ticks(self, chosen: NDArray[np.intp]) -> Iterator[Tick]:
        """Yield the ticks to send, with the faulty ones that were asked for in between."""
        feed, faults = self._feed, self._faults
        ticks = map(Tick, feed.server_msc[chosen].tolist(), feed.bid[chosen].tolist(), feed.ask[chosen].tolist())
        if not (faults.crossed_quotes or faults.duplicated_ticks or faults.returning_ticks or faults.skipped_ticks):
            yield from ticks
            return
        before: Tick | None = None
        for tick, index in zip(ticks, chosen.tolist(), strict=True):
            key = str(index)
            if faults.strikes(faults.skipped_ticks, "skipped", key):
                continue
            yield tick
            if faults.strikes(faults.duplicated_ticks, "duplicate", key):
                yield tick
            if before is not None and faults.strikes(faults.returning_ticks, "returning", key):
                yield before
            is_crossed = faults.strikes(faults.crossed_quotes, "crossed", key)
            if is_crossed and tick.bid is not None and tick.ask is not None:
                yield Tick(tick.time_msc, tick.ask + _CROSSING, tick.bid)
            before = tick

    async def _send_book(self, number: int, index: int, chain: str) -> None:
        """Send a depth of market around the quote at `index`; volumes are drawn, prices a point apart."""
        feed, instrument = self._feed, self._feed.instruments[number]
        point = 10.0**-instrument.digits

        def levels(name: str, price: float, step: float) -> tuple[BookLevel, ...]:
            return tuple(
                BookLevel(
                    round(price + step * level, instrument.digits),
                    Decimal(1 + int(draw(self._faults.seed, name, f"{index} {level}") * _MOST_LOTS)),
                )
                for level in range(_DEPTH)
            )

        bid, ask = float(feed.bid[index]), float(feed.ask[index])
        if not feed.is_tradable[index]:
            return
        await self._link.send(
            BookUpdate,
            chain_id=chain,
            symbol=instrument.symbol,
            time_msc=int(feed.server_msc[index]),
            bids=levels("bids", bid, -point),
            asks=levels("asks", ask, point),
        )
