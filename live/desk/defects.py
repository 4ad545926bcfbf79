"""What a defect of this software costs one account: entries stop until a person looks, and the terminal is let in less often.

The session in which it shows is ended by whoever called the desk, and told there. A new session tells everything again, so the
same message may bring the same defect to light at once: each time the pause before the next session is longer. Exits that a
session can still carry out are not held back.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from live.books.risk_state import RiskBook
from live.recorder import Recorder

BREAKER = "defect"
"""It stops entries until a person resets it: what the books hold after a defect is not to be trusted blindly."""
# The first one is taken for a single case.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_FORGOTTEN_AFTER_S = 600.0
_MOST_IN_A_ROW = 20


class Defects:
    """Those of one account's desk."""

    def __init__(self, recorder: Recorder, risk: RiskBook, now_s: Callable[[], float] = time.monotonic) -> None:
        """`now_s` is the clock durations are measured by."""
        self._recorder = recorder
        self._risk = risk
        self._now_s = now_s
        self._in_a_row = 0
        self._last_s = 0.0
        self.count = 0
        """Defects since the start."""

    @property
    def pause_s(self) -> float:
        """How long the account's terminal has to wait from now on; 0 when it may come."""
        if self._in_a_row < 2:
            return 0.0
        pause_s: float = min(_FIRST_PAUSE_S * 2.0 ** (self._in_a_row - 2), _LONGEST_PAUSE_S)
        return max(self._last_s + pause_s - self._now_s(), 0.0)

    def raised(self, defect: BaseException) -> None:
        """Something was raised that nobody expected."""
        now_s = self._now_s()
        is_first = now_s - self._last_s > _FORGOTTEN_AFTER_S
        # Far more than the longest pause takes is not counted: the pause is a power of it.
        self._in_a_row = 1 if is_first else min(self._in_a_row + 1, _MOST_IN_A_ROW)
        self._last_s = now_s
        self.count += 1
        cause = f"{type(defect).__name__}: {defect}"[:500]
        words = f"a message could not be handled ({cause}); report it with the log, restart the daemon, then reset this"
        changes = self._risk.trip(BREAKER, words, self._recorder.clock.now())
        self._recorder.commit(self._recorder.breaker_events(changes))
