"""Who came to the bridge and what was refused: the access log, and the pause of addresses that keep being refused.

Every event is noted; of a flood the first ones become records of their own, the rest is counted (`live.bridge.flood`). Who is let
in is `live.bridge.keyring`'s, how a record is made `live.bridge.visitors`'.
"""

from __future__ import annotations

import ipaddress
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Literal

from live.bridge.flood import Flood

Event = Literal["connected", "admitted", "asked", "refused", "left"]

_EVENTS_A_MINUTE = 20
_ALL_EVENTS_A_MINUTE = 600
_FAILURES_ALLOWED = 5
PAUSE_S = 60.0
_MOST_ADDRESSES = 4096
_ALL = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """One event of the access log. `account` is None while nobody is admitted."""

    event: Event
    remote: str
    detail: str
    account: str | None = None
    token_id: str = ""
    session: str = ""
    count: int = 1


class AccessLog:
    """Hands visits to `write`; of too many alike only the first, and later how many more there were."""

    def __init__(self, write: Callable[[Visit], None], now_s: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._now_s = now_s
        self._alike: Flood[tuple[Event, str, str | None]] = Flood(_EVENTS_A_MINUTE)
        self._all: Flood[str] = Flood(_ALL_EVENTS_A_MINUTE)
        self.events: Counter[Event] = Counter()
        """Events since the start, also those that were only counted."""

    def note(self, visit: Visit) -> None:
        """Note one event."""
        self.events[visit.event] += 1
        now_s = self._now_s()
        kind = (visit.event, origin(visit.remote), visit.account)
        if self._alike.passes(kind, now_s) and self._all.passes(_ALL, now_s):
            self._write(visit)

    def look(self, *, is_end: bool = False) -> None:
        """Tell what was only counted in the minutes that are over; at the end, also in those that are not."""
        now_s = inf if is_end else self._now_s()
        for surplus in self._alike.over(now_s):
            event, remote, account = surplus.key
            text = f"{surplus.count} more like this within a minute; they are counted, not recorded one by one"
            if self._all.passes(_ALL, now_s, surplus.count):
                self._write(Visit(event, remote, text, account, count=surplus.count))
        for held in self._all.over(now_s):
            text = f"{held.count} more events of all addresses within a minute; they are counted, not recorded"
            self._write(Visit("refused", "many", text, count=held.count))


class Pauses:
    """Addresses that were refused too often and have to wait."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        """Addresses remembered."""
        return len(self._failures)

    def fail(self, remote: str) -> None:
        """An address offered what opens nothing."""
        address = origin(remote)
        failures = self._failures.pop(address, None)
        if failures is None:
            failures = deque(maxlen=_FAILURES_ALLOWED)
            while len(self._failures) >= _MOST_ADDRESSES:
                self._failures.popitem(last=False)
        failures.append(self._now_s())
        self._failures[address] = failures

    def holds(self, remote: str) -> bool:
        """Return whether an address has to wait."""
        failures = self._failures.get(origin(remote))
        if failures is None or self._now_s() - failures[0] > PAUSE_S:
            return False
        return len(failures) == _FAILURES_ALLOWED


def origin(remote: str) -> str:
    """Return what addresses of one sender share: the address, of an IPv6 one the network of 64 bits."""
    try:
        address = ipaddress.ip_address(remote.partition("%")[0])
    except ValueError:
        return remote
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
