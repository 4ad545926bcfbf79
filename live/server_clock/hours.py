"""The hours a server has quoted in, on its own clock: opens of H1 bars, asked of the terminal and gone on with by live quotes.

Judging a clock rule by them is `core.market.clock_detection`; when it is judged, `live.server_clock.watch` and `live.server_clock.search`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import numpy as np

from live.bridge.link import Link
from trading_assets.core.market.clock import HOUR_MS, Milliseconds
from trading_assets.core.market.clock_detection import HISTORY
from trading_assets.core.market.symbols import canonical
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.messages import Bars, Query

# As in `core.market.clock_fit`: shorter pauses are nights and holidays.
_WEEKEND_MS = 30 * HOUR_MS
_HISTORY_MS = int(HISTORY.total_seconds()) * 1000
_END_MS = to_ms(datetime(2100, 1, 1, tzinfo=UTC))


def pairs_of(symbols: Mapping[str, str]) -> list[str]:
    """Return the broker's names of those symbols whose weekends say where New York is: pairs of currencies or metals."""
    return [raw for raw, symbol in symbols.items() if canonical(symbol) == symbol]


class ServerHours:
    """Hours of one symbol, `symbol` as the broker names it."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.is_asking = False
        self._opens: list[int] = []
        self._answer: list[int] = []
        self._request_id = ""
        self._number = 0

    @property
    def opens(self) -> Milliseconds:
        """Opens of the hours, server time, rising."""
        return np.array(self._opens, dtype=np.int64)

    async def ask(self, link: Link, now_msc: int) -> None:
        """Ask for the hours since the last one known, or for as much as a judgement needs."""
        since = self._opens[-1] if self._opens else max(now_msc - _HISTORY_MS, 0)
        self._number += 1
        self._request_id, self._answer, self.is_asking = f"clock-{self.symbol}-{self._number}", [], True
        await link.send(
            Query, request_id=self._request_id, what="bars", symbol=self.symbol, timeframe="H1", from_msc=since
        )

    def is_asked(self, request_id: str) -> bool:
        """Say whether an answer to this request is waited for."""
        return self.is_asking and request_id == self._request_id

    def give_up(self) -> None:
        """The answer did not come."""
        self.is_asking = False

    def take(self, message: Bars) -> bool:
        """Take an answer, or a part of one; returns whether the message was one."""
        if not self.is_asked(message.request_id):
            return False
        self._answer += [facts.time_msc for facts in message.bars]
        if message.is_last:
            self.is_asking = False
            self._merge(self._answer)
        return True

    def quote(self, server_msc: int) -> bool:
        """Take the time of an accepted quote; returns whether it opened a week: the first hour after a weekend."""
        hour = server_msc // HOUR_MS * HOUR_MS
        before = self._opens[-1] if self._opens else hour
        if self._opens and hour <= before:
            return False
        self._opens.append(hour)
        return hour - before >= _WEEKEND_MS

    def _merge(self, times: Iterable[int]) -> None:
        hours = {time // HOUR_MS * HOUR_MS for time in times if 0 <= time < _END_MS}
        merged = sorted(hours.union(self._opens))
        self._opens = [hour for hour in merged if hour >= merged[-1] - _HISTORY_MS]
