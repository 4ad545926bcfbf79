"""Stretches of time whose quotes are missing or came late: a bar that lies in one is recorded, and nothing is traded on it.

Why quotes are missing is told by whoever noticed; what a decision makes of it is `core.decisions` business (`bar_problem`).
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from live.market.window import BEGINNING


class Gap(NamedTuple):
    """A stretch of time of one symbol."""

    first: datetime
    last: datetime | None
    """None until a quote or a heartbeat shows how far it reaches."""
    cause: str


class Gaps:
    """The latest gap of each symbol. Gaps that come before the last one is over become one with it."""

    def __init__(self) -> None:
        self._gaps: dict[str, Gap] = {}

    def open(self, symbol: str, since: datetime | None, cause: str) -> None:
        """Quotes after `since` (None: nobody knows) are missing, and nobody knows yet until when."""
        before = self._gaps.get(symbol)
        first = BEGINNING if since is None else since
        self._gaps[symbol] = Gap(first if before is None else min(before.first, first), None, cause)

    def add(self, symbol: str, first: datetime, last: datetime, cause: str) -> None:
        """Quotes between these times, both included, are missing or came late."""
        before = self._gaps.get(symbol)
        if before is None:
            self._gaps[symbol] = Gap(first, last, cause)
            return
        until = None if before.last is None else max(before.last, last)
        self._gaps[symbol] = Gap(min(before.first, first), until, cause)

    def reach(self, symbol: str, at: datetime) -> None:
        """A quote or heartbeat of this time came: from here on nothing is missing."""
        gap = self._gaps.get(symbol)
        if gap is not None and gap.last is None:
            self._gaps[symbol] = gap._replace(last=max(at, gap.first))

    def problem(self, symbol: str, open_at: datetime, close_at: datetime) -> str:
        """Say what is wrong with the quotes of a bar; empty when nothing is."""
        gap = self._gaps.get(symbol)
        if gap is None or close_at <= gap.first or (gap.last is not None and gap.last < open_at):
            return ""
        return gap.cause

    def forget(self, symbol: str, until: datetime) -> None:
        """Every bar up to this time has closed: what ended before concerns nobody any more."""
        gap = self._gaps.get(symbol)
        if gap is not None and gap.last is not None and gap.last < until:
            del self._gaps[symbol]
