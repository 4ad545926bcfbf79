"""The search for the rule of a server's clock before a session may begin: history asked for, everything else waits.

Only an account whose clock is `auto` and whose server was never judged is searched for; nothing can be dated until then. What
decides is `core.market.clock_detection`; watching a rule that is known is `live.server_clock.watch`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from live.bridge.link import Link
from live.market.opening import MOST_WAITING
from live.server_clock.hours import ServerHours
from trading_assets.core.errors import InputError
from trading_assets.core.market.clock_detection import TOLERANCE_MS, Detection, detect
from trading_assets.core.market.sessions import is_market_open
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.messages import Bars, FromTerminal, Hello, TerminalError

_MOST_SYMBOLS = 3
# A terminal answers empty while it downloads; a year of hours may take some seconds.
_MOST_ASKS = 8
_EMPTY_PAUSE_S = 0.5
_HALF_HOUR_MS = 30 * 60_000


class Found(NamedTuple):
    """What a search came to: a verdict, and the session that waits for it."""

    hello: Hello
    detection: Detection
    hours: ServerHours | None
    """Hours the rule is watched by from now on."""
    waiting: list[tuple[FromTerminal, int]]
    """Messages that could not be dated, in order."""


class ClockSearch:
    """One account's search, at most one at a time."""

    def __init__(self, symbols: Sequence[str], answer_timeout_s: float) -> None:
        """`symbols`: the broker's names of the pairs to ask for, in order."""
        self._symbols = list(symbols[:_MOST_SYMBOLS])
        self._answer_timeout_s = answer_timeout_s
        self._left: list[str] = []
        self._asks = 0
        self._due_s = 0.0
        self._now: datetime | None = None
        self.hours: ServerHours | None = None
        self.hello: Hello | None = None
        self.detection: Detection | None = None
        self.waiting: list[tuple[FromTerminal, int]] = []

    @property
    def is_running(self) -> bool:
        """Whether a session waits for the rule."""
        return self.hello is not None

    async def begin(self, link: Link, hello: Hello, now: datetime | None) -> None:
        """Ask for history; `now` is a clock that is right, None in replay."""
        self.stop()
        self.hello, self._now, self._left = hello, now, list(self._symbols)
        await self._next(link)

    def stop(self) -> None:
        """The connection is gone."""
        self.hello = self.detection = self.hours = None
        self.waiting.clear()

    def end(self) -> Found | None:
        """Hand over what the search has found, once; None while there is nothing."""
        if self.hello is None or self.detection is None:
            return None
        found = Found(self.hello, self.detection, self.hours, list(self.waiting))
        self.stop()
        return found

    async def take(self, message: FromTerminal, arrived_ns: int, link: Link) -> None:
        """Take a message of the session that waits."""
        if isinstance(message, TerminalError) and self.hours is not None:
            self.hours.give_up()
            self._due_s, self._asks = 0.0, _MOST_ASKS  # It has no such chart.
        elif isinstance(message, Bars) and self.hours is not None and self.hours.take(message):
            if not self.hours.is_asking:
                await self._judge(link)
        elif len(self.waiting) >= MOST_WAITING:
            raise InputError("finding", "the server's clock", "the terminal does not answer", "restart it")
        else:
            self.waiting.append((message, arrived_ns))

    async def look(self, link: Link) -> None:
        """Ask again when an answer was empty or did not come. Called a few times a second."""
        if self.hello is None or self.detection is not None or time.monotonic() < self._due_s:
            return
        if self._asks < _MOST_ASKS:
            await self._ask(link)
        else:
            await self._next(link)

    async def _next(self, link: Link) -> None:
        if not self._left:
            self.detection = self.detection or Detection((), (), 0, _nothing(self._symbols))
            return
        self.hours, self._asks = ServerHours(self._left.pop(0)), 0
        await self._ask(link)

    async def _ask(self, link: Link) -> None:
        assert self.hours is not None
        assert self.hello is not None
        self._asks += 1
        self._due_s = time.monotonic() + self._answer_timeout_s
        await self.hours.ask(link, self.hello.server_time_msc)

    async def _judge(self, link: Link) -> None:
        assert self.hours is not None
        opens = self.hours.opens
        if not len(opens):
            self._due_s = time.monotonic() + _EMPTY_PAUSE_S
            return
        found = detect(opens, offset_ms=self._offset_ms(), now=self._now)
        if found.rule is not None or not self._left:
            self.detection = found
        else:
            await self._next(link)

    def _offset_ms(self) -> int | None:
        """Return what hello shows of the server's offset: nothing on a weekend, when its clock may stand still."""
        assert self.hello is not None
        if self._now is None or not is_market_open(self._now):
            return None
        offset_ms = self.hello.server_time_msc - to_ms(self._now)
        away = abs(offset_ms - round(offset_ms / _HALF_HOUR_MS) * _HALF_HOUR_MS)
        return offset_ms if away <= TOLERANCE_MS else None


def _nothing(symbols: Sequence[str]) -> str:
    if not symbols:
        return "the account trades no pair of currencies by whose weekends a rule could be told"
    return f"the terminal gave no H1 history of {' or '.join(symbols)}"
