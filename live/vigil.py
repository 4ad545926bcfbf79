"""What must not be waited for too long: answers to orders, searches, history, and the `processed` that lockstep owes.

Called by the desk after each message and a few times a second by the clock on the wall, which decides nothing but how long
to wait. What an answer means is `live.settlement`'s and `live.reconciliation`'s.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from live.orders import OrderBook
from live.reconciliation import Reconciliation
from live.recorder import Recorder
from live.settings import Settings
from live.trader import Trader
from trading_assets.core.messages import Processed
from trading_assets.core.records.record import Record
from trading_assets.core.trades import lifecycle

# In lockstep an order's answer comes at once; one that does not is UNKNOWN, so that replay goes on.
_LOCKSTEP_PATIENCE_S = 1.0
# While an order's result is not known the terminal is asked this often.
_URGENT_S = 1.0


@dataclass(frozen=True, slots=True)
class _Owed:
    """A heartbeat of the lockstep that waits for its `processed`."""

    seq: int
    since_s: float


class Vigil:
    """Patience of one account's desk, and its end."""

    def __init__(
        self,
        settings: Settings,
        recorder: Recorder,
        orders: OrderBook,
        reconciliation: Reconciliation,
        trader: Trader,
    ) -> None:
        self._settings = settings
        self._recorder = recorder
        self._orders = orders
        self._reconciliation = reconciliation
        self._trader = trader
        self._owed: _Owed | None = None
        self._searched_s = 0.0
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
        owed, link = self._owed, self._trader.link
        if owed is None or link is None or not is_durable:
            return
        if self._reconciliation.is_asking or any(one.order.state != "UNKNOWN" for one in self._orders.pending()):
            if time.monotonic() - owed.since_s <= _LOCKSTEP_PATIENCE_S:
                return
            if self._lose_answers("no answer came in time"):
                # One search before replay goes on: what is found now need not be waited for at the next bar.
                self._owed = _Owed(owed.seq, time.monotonic())
                await self._reconciliation.ask()
                return
        self._owed = None
        await link.send(Processed, upto_seq=owed.seq)

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
        is_urgent = not self._reconciliation.is_done_once or any(
            intent.order.state in ("UNKNOWN", "PLACED") for intent in self._orders.pending()
        )
        if searched_for_s > (_URGENT_S if is_urgent else self._settings.reconcile_s):
            self._searched_s = now_s
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
