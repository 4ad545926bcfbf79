"""What of a terminal's messages was lost or could not be read: told once, and asked for again at growing intervals.

What was lost comes back by asking; what cannot be read comes back as it is, and asking at once would go on for ever. What is asked
for, and when it is enough, is `live.trading.reconciliation`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from live.bridge.damaged_elements import Damage, Partial
from live.desk.account import Account
from trading_assets.core.messages import Snapshot
from trading_assets.core.records.record import Record

# So many gaps in a row are asked about at once.
_FREE_GAPS = 3
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=1), timedelta(minutes=1)
# Different damages of a session that are told; what comes after them is only counted.
_MOST_TOLD = 200
_CHECK = "live.desk.lost_messages"
_TELL_NO_TRADE = ("ticks", "bars", "book", "heartbeat", "error", "goodbye")
_MARKET_DATA = ("ticks", "bars", "bids", "asks")


class LostMessages:
    """Those of one account's sessions."""

    def __init__(self, account: Account, distrust: Callable[[str], None]) -> None:
        """`distrust` stops entries until our view and the terminal's were compared."""
        self._account = account
        self._recorder = account.recorder
        self._distrust = distrust
        self._told: set[tuple[str, str]] = set()
        self._in_row = 0
        self._asked_at: datetime | None = None
        self.unreadable = 0
        """Elements and messages that could not be read since the start."""
        self.detail = ""
        """Why the terminal is not asked at each gap; empty while it is."""

    def begin(self) -> None:
        """A session begins: each damage is told anew."""
        self._told.clear()
        self._in_row, self._asked_at, self.detail = 0, None, ""

    def may_ask(self) -> bool:
        """Return whether a gap that was seen now is asked about now; one that is not is found by a later search."""
        now = self._recorder.clock.now()
        if self._asked_at is not None and now - self._asked_at > _LONGEST_PAUSE:
            self._in_row, self.detail = 0, ""
        pause = min(_FIRST_PAUSE * 2 ** min(max(self._in_row - _FREE_GAPS, 0), 10), _LONGEST_PAUSE)
        if self._in_row >= _FREE_GAPS and self._asked_at is not None and now - self._asked_at < pause:
            self._tell_pause(pause)
            self._account.books.is_doubted = True
            return False
        self._in_row, self._asked_at = self._in_row + 1, now
        return True

    def _tell_pause(self, pause: timedelta) -> None:
        is_new, self.detail = (
            not self.detail,
            f"messages of the terminal are lost again and again; asked every {pause.total_seconds():g} s",
        )
        if is_new:
            self._recorder.finding(
                _CHECK, "sequence numbers", "the terminal's messages arrive in a row without a gap", self.detail,
                "look at the terminal's log and at the line between it and the daemon; nothing is entered meanwhile",
            )  # fmt: skip

    def lose(self, kind: str, problem: str) -> None:
        """A message could not be read: what it said about trading is searched for."""
        self.unreadable += 1
        if kind == "ticks":
            self._account.feed.lost()
        if kind in _TELL_NO_TRADE:
            return
        self._distrust(f"a message of the terminal could not be read: {problem}")
        self._account.books.is_doubted = True

    def miss(self, partial: Partial) -> None:
        """Elements of a message could not be read. Called before the rest of it is taken."""
        account, message = self._account, partial.message
        for damage in partial.damages:
            self.unreadable += damage.count
            self._tell(damage)
            match damage.field:
                case "deals":
                    account.reconciliation.miss_deals()
                case "positions" | "orders":
                    assert isinstance(message, Snapshot)
                    account.reconciliation.miss_positions()
                case "symbols":
                    records: list[Record] = []
                    for raw in damage.symbols:
                        records += account.contracts.unreadable(raw, damage.problem)
                    self._recorder.commit(records)
                case _:
                    pass  # Market data: what is missing is absent.

    def _tell(self, damage: Damage) -> None:
        told = damage.field, damage.subject
        if told in self._told or len(self._told) >= _MOST_TOLD:
            return
        self._told.add(told)
        text = f"{damage.count} of {damage.field}: {damage.problem}: {damage.subject}"
        self._account.feed.quarantine("", "invalid", text, "", damage.count)
        if damage.field not in _MARKET_DATA:
            self._recorder.finding(
                _CHECK, f"{damage.field} of the terminal", "each of them can be read",
                f"{damage.count} cannot, the first: {damage.problem}",
                "look it up in the terminal and in `raw_quarantines`, and install the Expert Advisor of this version; the others are used",
            )  # fmt: skip
