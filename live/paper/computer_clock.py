"""The clock of the computer the terminal runs on: the one passed in, ahead or behind by seconds. Lockstep has none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta


class ComputerClock:
    """A clock that may be off. `rate`: how many times faster than seconds pass it runs."""

    def __init__(self, now: Callable[[], datetime], rate: float = 1.0, offset_s: float = 0.0) -> None:
        self._now = now
        self.rate = rate
        self.offset_s = offset_s

    def now(self) -> datetime:
        """Return what it shows."""
        return self._now() + timedelta(seconds=self.offset_s)

    async def rest(self, seconds: float) -> None:
        """Let so many of its seconds pass."""
        await asyncio.sleep(seconds / self.rate)
