"""Records of a flood: the first ones are kept, the rest of the minute is counted, so that no sender can fill the disk.

Knows no clock and writes nothing; what is counted and how it is told is `live.bridge.access`'s.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Surplus(Generic[Key]):
    """How many of one kind were not let through in the minute that is over."""

    key: Key
    count: int


@dataclass(slots=True)
class _Window:
    since_s: float
    passed: int = 0
    held: int = 0


class Flood(Generic[Key]):
    """Lets `most` of a kind through in each window of `window_s` seconds and counts the rest, for at most `kinds` kinds."""

    def __init__(self, most: int, window_s: float = 60.0, kinds: int = 1024) -> None:
        self._most = most
        self._window_s = window_s
        self._kinds = kinds
        self._windows: OrderedDict[Key, _Window] = OrderedDict()
        self._over: list[Surplus[Key]] = []

    def passes(self, key: Key, now_s: float, count: int = 1) -> bool:
        """Take one that stands for `count`; returns whether it is let through, else that many are counted."""
        window = self._windows.get(key)
        if window is None or now_s - window.since_s >= self._window_s:
            self._close(key)
            self._make_room()
            window = self._windows[key] = _Window(now_s)
        if window.passed < self._most:
            window.passed += 1
            return True
        window.held += count
        return False

    def over(self, now_s: float) -> list[Surplus[Key]]:
        """Return what was held back in windows that are over, each once."""
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if now_s - window.since_s < self._window_s:
                break
            self._close(key)
        over, self._over = self._over, []
        return over

    def _make_room(self) -> None:
        while len(self._windows) >= self._kinds:
            self._close(next(iter(self._windows)))

    def _close(self, key: Key) -> None:
        window = self._windows.pop(key, None)
        if window is None or not window.held:
            return
        # Whoever changes its address with each try makes many kinds: what they held back is told as one.
        if len(self._over) < self._kinds:
            self._over.append(Surplus(key, window.held))
        else:
            last = self._over[-1]
            self._over[-1] = Surplus(last.key, last.count + window.held)
