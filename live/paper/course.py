"""The course of the market at the broker: quotes pass, stops are hit, events of the script happen, also while nobody is connected.

Everything is saved before anyone may be told of it. Sending the quotes that passed is `quoting`'s, what an event does to
the connection `session`'s: it finds it in `for_link`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from live.paper import back_office, hand
from live.paper.computer_clock import ComputerClock
from live.paper.desk import Desk
from live.paper.faults import Faults
from live.paper.feed import Feed
from live.paper.script import Event, due_events
from live.paper.watch import advance
from trading_assets.core.ids import chain_id
from trading_assets.core.market.timeframes import from_ms, to_ms


class Course:
    """The market of one feed and the account on it."""

    def __init__(
        self, feed: Feed, desk: Desk, faults: Faults, script: Sequence[Event] = (), clock: ComputerClock | None = None
    ) -> None:
        self.feed = feed
        self.desk = desk
        self.for_link: list[Event] = []
        """Events that befall the connection, in order; whoever carries them out takes them away."""
        self.tenant = ""
        self.account = ""
        self.login = self.server = ""
        """Account, and server, the terminal is logged in to, where they are not its own."""
        self.computer_clock = clock
        self._faults = faults
        self._script = script
        for number in desk.position.events_done:
            self._holds_still(script[number])
        self._stops = {
            number: int(np.searchsorted(feed.at_ms, to_ms(event.at)))
            for number, event in enumerate(script)
            if event.at is not None
        }

    def quotes_to(self, end: int) -> Iterator[tuple[int, int]]:
        """Let the quotes up to `end` pass; yields stretches of them, each with what it triggered queued at the desk."""
        while (begin := self.desk.position.played) < end:
            self._events_before(begin)
            stop = min((at for at in self._stops.values() if begin < at < end), default=end) if self._stops else end
            at, fills = advance(self.feed, self.desk.broker, begin, stop)
            reached = int(self.feed.at_ms[at - 1])
            self.desk.move(msgspec.structs.replace(self.desk.position, played=at, now_ms=reached))
            if fills:
                # Saved before anything of it is sent. The quotes before it are not acknowledged: they would be sent again.
                symbol = fills[0].deal.symbol if fills[0].deal else ""
                self.desk.report(fills, self.chain(reached, symbol))
            yield begin, at

    def beat(self, now_ms: int) -> None:
        """A step, or a second, is over: events, people and working orders get their turn."""
        self.desk.move(msgspec.structs.replace(self.desk.position, now_ms=now_ms))
        self._happen(now_ms, at_beat=True)
        now_msc = self.now_msc()
        if self._faults.strikes(self._faults.meddling, "meddling", str(now_msc)):
            self.desk.report(hand.meddle(self.desk.broker, self._faults, now_msc), self.chain(now_ms, ""))
        if self._faults.strikes(self._faults.trailed_stops, "trailing", str(now_msc)):
            self.desk.report(hand.trail_stops(self.desk.broker), self.chain(now_ms, ""))
        if self._faults.strikes(self._faults.corrections, "correction", str(now_msc)):
            fills, deals = back_office.correct_at_random(self.desk.broker, self._faults, now_msc)
            self.desk.report(fills, self.chain(now_ms, ""))
            self.desk.report_deals(deals, self.chain(now_ms, ""))
        self.desk.settle(now_msc)

    def now_msc(self) -> int:
        """Return the server's time."""
        return self.feed.clock.to_server(from_ms(self.desk.position.now_ms))

    def chain(self, at_ms: int, symbol: str) -> str:
        """Return the chain that begins at this moment."""
        return chain_id(from_ms(at_ms), self.tenant, self.account, symbol)

    def _events_before(self, begin: int) -> None:
        if any(at <= begin for at in self._stops.values()):
            self._happen(int(self.feed.at_ms[begin]), at_beat=False)

    def _happen(self, now_ms: int, *, at_beat: bool) -> None:
        done, deals = self.desk.position.events_done, len(self.desk.broker.book.deals)
        for number, event in due_events(self._script, done, now_ms, deals, at_beat=at_beat):
            self._stops.pop(number, None)
            position = self.desk.position
            self.desk.move(msgspec.structs.replace(position, events_done=(*position.events_done, number)))
            if event.is_of_link:
                self.for_link.append(event)
                self.desk.save()
                continue
            self._happens(event, now_ms)
            self.desk.save()

    def _happens(self, event: Event, now_ms: int) -> None:
        """Let an event befall the account, and tell of it."""
        desk, wait = self.desk, 1 if event.told == "after_the_account" else 0
        known = len(desk.broker.book.deals)
        if event.is_of_broker:
            fills, deals = back_office.correct(desk.broker, event, self.now_msc())
        else:
            fills, deals = hand.do(desk.broker, event, self.now_msc()), []
        desk.report(fills, self.chain(now_ms, event.symbol))
        if event.told != "never":
            desk.report_cash(desk.broker.book.deals[known:], self.chain(now_ms, ""), wait)
            desk.report_deals(deals, self.chain(now_ms, ""), wait)

    def _holds_still(self, event: Event) -> None:
        """Let what an event before a restart changed hold, where it is in no state on disk."""
        if event.do == "set_terms":
            back_office.change_terms(self.desk.broker, event)
        elif event.do == "set_clock" and self.computer_clock is not None:
            self.computer_clock.offset_s = event.seconds
