"""The parts `trading up` runs: each a process that is started, watched, started again when it died, and stopped.

What a part is, is said in `cli.up`; here is how long to wait for it and when to try again.
"""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from trading_assets.cli.processes import finish, interrupt, last_words
from trading_assets.core.errors import TradingError, UnavailableError

STOP_SECONDS = 30.0
START_SECONDS = 240.0
FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 60.0
STEADY_S = 300.0


class Running(Protocol):
    """What a part leaves when it was started."""

    process: subprocess.Popen[bytes]


@dataclass
class Part:
    """One process of `trading up`, with how to start it and how to know that it answers."""

    name: str
    log: Path
    start: Callable[[], Running]
    is_reachable: Callable[[], bool]
    ends_for_good: bool = False
    """Whether an end without error is meant: a daemon that was drained stays drained."""

    running: Running | None = None
    pause_s: float = FIRST_PAUSE_S
    started_at: float = 0.0
    again_at: float | None = field(default=None)

    def begin(self, now: float) -> None:
        """Start it. Raises TradingError when it does not start."""
        self.again_at = None
        self.started_at = now
        self.running = self.start()

    def look(self, now: float) -> str | None:
        """Notice its end and start it again once its pause is over; return what there is to say."""
        if self.again_at is not None:
            return self._begun_again(now) if now >= self.again_at else None
        code = self.running.process.poll() if self.running is not None else None
        if code is None:
            return None
        self.running = None
        if code == 0 and self.ends_for_good:
            return f"{self.name} has ended as it was asked to, and is not started again."
        return self._put_off(now, last_words(self.log, code) if code > 0 else f"signal {-code} ended it")

    def _begun_again(self, now: float) -> str:
        try:
            self.begin(now)
        except TradingError as error:
            return self._put_off(now, str(error).rstrip("."))
        return f"{self.name} was started again."

    def _put_off(self, now: float, why: str) -> str:
        if now - self.started_at > STEADY_S:
            self.pause_s = FIRST_PAUSE_S
        pause, self.pause_s = self.pause_s, min(2 * self.pause_s, LONGEST_PAUSE_S)
        self.again_at = now + pause
        return f"{self.name} ended by itself: {why}. It is started again in {pause:.0f} s; its log is {self.log}."


def wait_until_reachable(part: Part, seconds: float = START_SECONDS) -> None:
    """Wait until a started part answers. Raises UnavailableError when it ends before, or takes too long."""
    until = time.monotonic() + seconds
    while not part.is_reachable():
        code = part.running.process.poll() if part.running is not None else None
        if code is not None:
            raise UnavailableError(
                "starting", part.name, last_words(part.log, code), f"read {part.log} and start again"
            )
        if time.monotonic() > until:
            problem = f"it does not answer after {seconds:.0f} s"
            raise UnavailableError("starting", part.name, problem, f"read {part.log} and start again")
        time.sleep(0.2)  # another process is starting


def stop_parts(parts: Sequence[Part]) -> None:
    """Ask all parts to end at once and wait for each."""
    processes = [part.running.process for part in parts if part.running is not None]
    for process in processes:
        interrupt(process)
    for process in processes:
        finish(process, STOP_SECONDS)


def answers(url: str) -> bool:
    """Whether a page of this host is there; no proxy is asked."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as page:
            return bool(page.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False
