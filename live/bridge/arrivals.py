"""Connections from their acceptance to their end: bounded in all and per address, so that descriptors are left for the journal.

A handshake that does not end, and a connection that names no account, take a place that others want: where places are short
the oldest of them goes, of whoever holds most, rather than whoever comes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Generic, TypeVar

from websockets.asyncio.server import ServerConnection

from live.bridge.access import origin

HANDSHAKE_S = 3.0
"""Longest time a handshake may take."""
BACKLOG = 100
"""Connections the system may accept before they are counted here."""
_MOST_HANDSHAKES = 256
_MOST_HANDSHAKES_OF_ONE = 32
_RESERVED = 128
_LEAST = 64
_NO_LIMIT = 8192

Guest = TypeVar("Guest")


class Places(Generic[Guest]):
    """Places that are given to whoever comes; where they are short, somebody who has one has to go."""

    def __init__(self, most: int, most_of_one: int) -> None:
        """`most` in all, `most_of_one` of one address."""
        self._most, self._most_of_one = most, most_of_one
        self._held: dict[Guest, str] = {}

    def __len__(self) -> int:
        """Places taken."""
        return len(self._held)

    def take(self, guest: Guest, remote: str) -> Guest | None:
        """Give a place; returns whoever has to go for it: the oldest of this address, or of the one that holds most."""
        address = origin(remote)
        counts = Counter(self._held.values())
        leaving = None
        if counts[address] >= self._most_of_one:
            leaving = self._oldest(address)
        elif len(self._held) >= self._most:
            leaving = self._oldest(counts.most_common(1)[0][0])
        if leaving is not None:
            self.leave(leaving)
        self._held[guest] = address
        return leaving

    def leave(self, guest: Guest) -> None:
        """Give a place back. Doing so twice is harmless."""
        self._held.pop(guest, None)

    def oldest(self) -> Guest | None:
        """Return whoever has held a place for the longest time."""
        return next(iter(self._held), None)

    def _oldest(self, address: str) -> Guest:
        return next(guest for guest, held in self._held.items() if held == address)


class Arrivals:
    """The connections of one port."""

    def __init__(self, descriptors: int) -> None:
        """`descriptors`: how many this process may have open."""
        self._most = max(descriptors - _RESERVED - BACKLOG, _LEAST)
        self._handshakes: Places[Arrival] = Places(_MOST_HANDSHAKES, _MOST_HANDSHAKES_OF_ONE)
        self._open: set[Arrival] = set()
        self.cut = 0
        """Connections that were cut because places were short."""

    def come(self, arrival: Arrival, remote: str) -> None:
        """A connection was accepted and its handshake begins."""
        self._open.add(arrival)
        leaving = self._handshakes.take(arrival, remote)
        if leaving is None and len(self._open) > self._most:
            leaving = self._handshakes.oldest()
        if leaving is not None:
            self.cut += 1
            self.gone(leaving)
            leaving.transport.abort()

    def greeted(self, arrival: ServerConnection) -> None:
        """A handshake has ended well."""
        if isinstance(arrival, Arrival):
            self._handshakes.leave(arrival)

    def gone(self, arrival: Arrival) -> None:
        """A connection is over. Saying so twice is harmless."""
        self._handshakes.leave(arrival)
        self._open.discard(arrival)


class Arrival(ServerConnection):
    """A connection that is counted from its acceptance on."""

    def __init__(self, *arguments: Any, arrivals: Arrivals, **named: Any) -> None:
        """`arrivals` counts it."""
        super().__init__(*arguments, **named)
        self._arrivals = arrivals

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        address = transport.get_extra_info("peername")
        self._arrivals.come(self, str(address[0]) if address else "unknown")

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrivals.gone(self)
        super().connection_lost(exc)


def raise_descriptor_limit() -> int:
    """Raise this process's limit of open descriptors as far as it may be; return it. Windows has none for sockets."""
    try:
        import resource
    except ImportError:
        return _NO_LIMIT
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _NO_LIMIT if hard == resource.RLIM_INFINITY else min(hard, _NO_LIMIT)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            return soft
        return wanted
    return _NO_LIMIT if soft == resource.RLIM_INFINITY else soft
