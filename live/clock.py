"""Where time comes from: the only place of the daemon that reads the system's clock (invariant 10).

A real terminal's account runs on system time. In lockstep replay time is what the terminal's stream says:
the UTC of the last quote or heartbeat. Turning server time into UTC lives in `core.market.clock`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Says what time it is, in UTC, and is told what the stream has reached."""

    def now(self) -> datetime: ...

    def observe(self, at: datetime) -> None: ...


class SystemClock:
    """System time; what the stream says does not move it."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def observe(self, at: datetime) -> None:
        """Nothing to do: system time passes by itself."""


class StreamClock:
    """Simulated time: the latest instant the stream has reached; it never goes back."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def observe(self, at: datetime) -> None:
        self._now = max(at, self._now)
