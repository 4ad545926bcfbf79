"""Messages of one connection between its socket and its desk: in order, bounded, so that a flood ends at the socket.

When it is full the reader waits, which the terminal feels as a connection that takes nothing more. Before that, and only by
the clock, never in lockstep, older quotes and books make room: those that a later one of the same symbol replaces. Results
of trades, answers and signs of life are never dropped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from live.bridge.protocol import Received
from trading_assets.core.messages import BookUpdate, Ticks

# A frame takes about five times its bytes once it is decoded.
MOST_BYTES = 8 * 1024 * 1024
MOST_MESSAGES = 20_000


class Item(NamedTuple):
    """One frame, decoded, with what it weighs and when it was read."""

    received: Received
    size: int
    arrived_ns: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """Quotes of one symbol that made room for later ones."""

    symbol: str
    count: int
    first_msc: int
    last_msc: int


class Inlet:
    """A queue of one writer and one reader."""

    def __init__(self, most_bytes: int = MOST_BYTES, most_messages: int = MOST_MESSAGES) -> None:
        self._most_bytes = most_bytes
        self._most_messages = most_messages
        self._items: deque[Item] = deque()
        self._dropped: dict[str, Dropped] = {}
        self._bytes = 0
        self._error: BaseException | None = None
        self._is_ended = self._is_futile = False
        self._arrival: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self.may_drop = False
        """Whether older quotes may make room: by the clock, never in lockstep."""

    def __len__(self) -> int:
        """Messages that wait."""
        return len(self._items)

    @property
    def is_full(self) -> bool:
        """Whether the writer has to wait for room."""
        return self._bytes > self._most_bytes or len(self._items) > self._most_messages

    def put(self, item: Item) -> None:
        """Add one; then wait for `room` when it is full."""
        self._items.append(item)
        self._bytes += item.size
        if self.may_drop and self.is_full and not self._is_futile:
            self._make_room()
            # What is left cannot be dropped: looking through it again at each message would only cost time.
            self._is_futile = self.is_full
        _wake(self._arrival)

    async def room(self) -> None:
        """Wait until there is room."""
        while self.is_full and not self._is_ended:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    async def emptied(self) -> None:
        """Wait until everything is taken."""
        while self._items and not self._is_ended:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    async def get(self) -> Item | None:
        """Return the next one; None once all are taken and no more will come. Raises what ended the writer."""
        while not self._items:
            if self._is_ended:
                if self._error is not None:
                    raise self._error
                return None
            self._arrival = asyncio.get_running_loop().create_future()
            await self._arrival
        item = self._items.popleft()
        self._bytes -= item.size
        if self._is_futile:
            self._is_futile = len(self._items) > self._most_messages // 2 or self._surplus_bytes() > 0
        if self._room is not None and not self.is_full:
            _wake(self._room)
        return item

    def end(self, error: BaseException | None = None) -> None:
        """No more will come. What waits can still be taken."""
        if not self._is_ended:
            self._is_ended, self._error = True, error
        _wake(self._arrival)
        _wake(self._room)

    def take_dropped(self) -> list[Dropped]:
        """Return what was dropped since this was asked last."""
        if not self._dropped:
            return []
        dropped, self._dropped = list(self._dropped.values()), {}
        return dropped

    def _make_room(self) -> None:
        """Drop the oldest quotes and books until half is free; the latest of each symbol stays."""
        latest: set[tuple[type, str]] = set()
        kept: deque[Item] = deque()
        spare = self._surplus_bytes(), len(self._items) - self._most_messages // 2
        replaceable: list[int] = []
        for index in range(len(self._items) - 1, -1, -1):
            message = self._items[index].received
            if isinstance(message, Ticks | BookUpdate):
                kind = (type(message), message.symbol)
                if kind in latest:
                    replaceable.append(index)
                latest.add(kind)
        dropped: set[int] = set()
        freed = 0
        for index in reversed(replaceable):
            if freed >= spare[0] and len(dropped) >= spare[1]:
                break
            dropped.add(index)
            freed += self._items[index].size
        for index, item in enumerate(self._items):
            if index in dropped:
                self._count(item.received)
            else:
                kept.append(item)
        self._items = kept
        self._bytes -= freed

    def _surplus_bytes(self) -> int:
        return self._bytes - self._most_bytes // 2

    def _count(self, message: Received) -> None:
        if isinstance(message, BookUpdate):
            count, first, last = 1, message.time_msc, message.time_msc
        else:
            assert isinstance(message, Ticks)
            count = len(message.ticks)
            if not count:
                return
            first, last = message.ticks[0].time_msc, message.ticks[-1].time_msc
        before = self._dropped.get(message.symbol)
        if before is not None:
            count, first = count + before.count, before.first_msc
        elif len(self._dropped) >= _MOST_SYMBOLS:
            return  # Names nobody knows: their ticks would be refused anyway.
        self._dropped[message.symbol] = Dropped(message.symbol, count, first, last)


_MOST_SYMBOLS = 1000


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
