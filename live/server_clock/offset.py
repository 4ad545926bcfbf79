"""How far a terminal's clock is from this computer's, in seconds, measured by the times of what arrives.

What arrives was under way for a moment and is never younger than it says, so of several the one furthest ahead tells most; the
second furthest counts, so that a single garbled time means nothing. Which rule turns server time into UTC is another question
(`live.server_clock.watch`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

MOST_OFFSET = timedelta(seconds=10)
"""As long as an order's deadline: further apart, neither side could say what is late."""
_MOMENTS = 12
_FEWEST = 4
_MOMENT_S = 0.25
# Further back, the terminal's clock was set: what was seen before says nothing any more.
_MOST_REPEATED = timedelta(minutes=10)


class ClockOffset:
    """The offset of one session. What arrives together, as after a line stood still, is one moment: its furthest ahead counts."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        """`now_s` is the clock durations are measured by: the one in question may be set meanwhile."""
        self._now_s = now_s
        self._moments: deque[tuple[float, timedelta]] = deque(maxlen=_MOMENTS)
        self._latest: datetime | None = None
        self.measured: timedelta | None = None
        """How far the terminal is ahead of this computer; None while it is not known."""

    @property
    def is_too_large(self) -> bool:
        """Whether entries may not be made with clocks so far apart."""
        return self.measured is not None and abs(self.measured) > MOST_OFFSET

    def greet(self, at: datetime, now: datetime) -> None:
        """A session begins at a time of the terminal's, which may be old: only a clock that is ahead is believed at once."""
        self._moments.clear()
        self._latest = None
        ahead = at - now
        self.measured = ahead if ahead > MOST_OFFSET else None

    def observe(self, at: datetime, now: datetime) -> bool:
        """A time of the terminal's arrives at `now`; returns whether the measure may have changed.

        A time that is no later than one seen before says nothing: a heartbeat may repeat the last quote's.
        """
        if self._latest is not None and at <= self._latest and at > self._latest - _MOST_REPEATED:
            return False
        self._latest = at
        ahead, now_s = at - now, self._now_s()
        if self._moments and now_s - self._moments[-1][0] < _MOMENT_S:
            since_s, before = self._moments[-1]
            self._moments[-1] = since_s, max(before, ahead)
        else:
            self._moments.append((now_s, ahead))
        if len(self._moments) < _FEWEST:
            return False
        self.measured = sorted(ahead for _, ahead in self._moments)[-2]
        return True


def offset_cause(offset: timedelta) -> str:
    """Say how far the clocks are apart, and what to do."""
    seconds = offset.total_seconds()
    side = "behind the terminal's" if seconds > 0 else "ahead of the terminal's, or its messages are that late"
    return f"this computer's clock is {abs(seconds):.0f} s {side}; synchronise it (NTP), entries go on once they agree"
