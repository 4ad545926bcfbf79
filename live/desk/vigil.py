"""What must not be waited for too long: answers to orders, searches, history, and the `processed` that lockstep owes.

Called by the desk after each message and a few times a second by the clock on the wall, which decides nothing but how long
to wait. What an answer means is `live.trading.settlement`'s and `live.trading.reconciliation`'s.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from live.books.orders import OrderBook
from live.bridge.link import Link
from live.clock import ServerClock
from live.recorder import Recorder
from live.settings import Settings
from live.trading.reconciliation import Reconciliation
from live.trading.sending import Sender
from trading_assets.core.messages import Processed, Query
from trading_assets.core.records.record import Record
from trading_assets.core.trades import lifecycle

# In lockstep nothing depends on the clock on the wall, unless the terminal answers nothing at all for so long.
_LOCKSTEP_PATIENCE_S = 10.0
# Deals from then on are asked for: there are none, but what the terminal had to say before comes before that answer.
_AHEAD = timedelta(days=1)
# While an order's result is not known the terminal is asked this often.
_URGENT_S = 1.0
# After so many such searches in a row less and less often: what they do not tell, another will hardly.
_FREE_SEARCHES = 10


@dataclass(slots=True)
class _Owed:
    """A heartbeat of the lockstep that waits for its `processed`."""

    seq: int
    since_s: float
    question: str = ""
    """Id of the question behind which nothing is to come about the orders sent before it."""
    is_answered: bool = False
    is_searched: bool = False
    """Whether it was searched for what these answers did not say."""


class Vigil:
    """Patience of one account's desk, and its end."""

    def __init__(
        self,
        settings: Settings,
        recorder: Recorder,
        rule: ServerClock,
        orders: OrderBook,
        reconciliation: Reconciliation,
        sender: Sender,
    ) -> None:
        self._rule = rule
        self._settings = settings
        self._recorder = recorder
        self._orders = orders
        self._reconciliation = reconciliation
        self._sender = sender
        self._owed: _Owed | None = None
        self._searched_s = 0.0
        self._urgent_in_row = 0
        self._day: datetime | None = None

    @property
    def is_owing(self) -> bool:
        """Whether a `processed` is owed."""
        return self._owed is not None

    def restart(self) -> None:
        """A new session: nothing is owed."""
        self._owed = None

    def owe(self, seq: int) -> None:
        """A heartbeat of the lockstep was taken: `processed` is owed for it."""
        self._owed = _Owed(seq, time.monotonic())

    async def pay(self) -> None:
        """Say `processed` once everything up to the heartbeat is decided, durable and answered."""
        is_durable = await self._recorder.settled()
        owed, link = self._owed, self._sender.link
        if owed is None or link is None or not is_durable:
            return
        if time.monotonic() - owed.since_s > _LOCKSTEP_PATIENCE_S:
            self._reconciliation.give_up()
            if self._lose_answers("no answer came in time"):
                owed.since_s = time.monotonic()
                await self._reconciliation.ask()
                return
        elif self._reconciliation.is_asking or not await self._is_told(owed, link):
            return
        self._owed = None
        await link.send(Processed, upto_seq=owed.seq)

    def take(self, request_id: str) -> None:
        """Take note of an answer, which may be the one `processed` waits for."""
        if self._owed is not None and request_id == self._owed.question:
            self._owed.is_answered = True

    async def _is_told(self, owed: _Owed, link: Link) -> bool:
        """Return whether the terminal has said all it had to say about our orders; asks and searches where it has not."""
        if not any(one.is_awaited for one in self._orders.pending()):
            return True
        question = f"answers-{owed.seq}-{self._sender.orders_sent}"
        if question != owed.question:
            owed.question, owed.is_answered, owed.is_searched = question, False, False
            ahead = self._rule.to_server(self._recorder.clock.now() + _AHEAD)
            await link.send(Query, request_id=question, what="deals", from_msc=ahead)
            return False
        if not owed.is_answered:
            return False
        if owed.is_searched:
            return True
        # What the answer does not follow will not come by itself: one search before replay goes on.
        owed.is_searched = True
        self._lose_answers("no answer came")
        await self._reconciliation.ask()
        return False

    async def watch(self) -> None:
        """Real time: orders without an answer become UNKNOWN, and the terminal is asked, now and then also without cause."""
        now, now_s = self._recorder.clock.now(), time.monotonic()
        timeout_s = self._settings.answer_timeout_s
        if any(
            one.sent_at and now - one.sent_at > timedelta(seconds=timeout_s) for one in self._orders.in_state("SENT")
        ):
            self._lose_answers("no answer came in time")
        searched_for_s = now_s - self._searched_s
        if self._reconciliation.is_asking:
            if searched_for_s > timeout_s:
                self._reconciliation.give_up()
            return
        is_urgent = self._reconciliation.is_urgent or any(
            # Frozen or throttled orders (PLANNED again) are read anew before they are sent again.
            intent.is_working or intent.lacks_deals or intent.not_before or intent.order.state in ("UNKNOWN", "PLACED")
            for intent in self._orders.pending()
        )
        pause_s = min(
            _URGENT_S * 2 ** min(max(self._urgent_in_row - _FREE_SEARCHES, 0), 10), self._settings.reconcile_s
        )
        if not is_urgent:
            pause_s, self._urgent_in_row = self._settings.reconcile_s, 0
        if searched_for_s > pause_s:
            self._searched_s = now_s
            self._urgent_in_row += is_urgent
            await self._reconciliation.ask(in_full=self._is_new_day(now))

    def _is_new_day(self, now: datetime) -> bool:
        """Every day deals are asked for in full: also those an earlier search could not see."""
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        is_new, self._day = self._day is not None and day > self._day, day
        return is_new

    def _lose_answers(self, why: str) -> bool:
        """Orders without an answer become UNKNOWN (invariant 4); returns whether there were any."""
        records = [self._orders.advance(intent, lifecycle.Lost(), why) for intent in self._orders.in_state("SENT")]
        changed: list[Record] = [record for record in records if record is not None]
        self._recorder.commit(changed)
        return bool(changed)
