"""Where time comes from: the only place of the daemon that reads the system's clock (invariant 10).

A real terminal's account runs on system time. In lockstep replay time is what the terminal's stream says:
the UTC of the last quote or heartbeat. Turning server time into UTC lives in `core.market.clock`; which rule an account's
server follows may be known only once its terminal has connected (`live.server_clock.watch`): until then there is none to use.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from trading_assets.core.errors import StateError
from trading_assets.core.market.clock import ClockRule


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


class ServerClock:
    """The clock of an account's server. Its rule is given once: a rule that turned out wrong is never changed while it is in use."""

    def __init__(self, rule: ClockRule | None) -> None:
        self._rule = rule
        self.offset = timedelta(0)
        """How far the terminal's clock is ahead of this computer's, as measured; 0 while it is not, and in lockstep."""

    def deadline_msc(self, at: datetime) -> int:
        """Return one of our deadlines as the terminal's own clock will show it."""
        return self.rule.to_server(at + self.offset)

    @property
    def is_known(self) -> bool:
        """Whether there is a rule."""
        return self._rule is not None

    @property
    def rule(self) -> ClockRule:
        """The rule. Raises StateError while it is not known."""
        if self._rule is None:
            problem, hint = "the rule of its server's clock is not known yet", "connect its terminal"
            raise StateError("telling the time of", "the account", problem, hint)
        return self._rule

    def settle(self, rule: ClockRule) -> None:
        """Take the rule that was found."""
        if self._rule is not None and self._rule != rule:
            raise AssertionError(f"the clock follows {self._rule.name} already, not {rule.name}")
        self._rule = rule

    @property
    def name(self) -> str:
        """Name of the rule; empty while it is not known."""
        return self._rule.name if self._rule is not None else ""

    @property
    def to_utc(self) -> Callable[[int], datetime]:
        """The rule's own function, so that loops pay for one call only."""
        return self.rule.to_utc

    @property
    def to_server(self) -> Callable[[datetime], int]:
        """The rule's own function."""
        return self.rule.to_server
