"""The terminal as a whole: opens its state, connects, plays, connects again when the line breaks, and sums up.

What is said over one connection is `session`, at which pace `play`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from live.paper.absence import live_on
from live.paper.account import Terms
from live.paper.beginning import open_account, start_index
from live.paper.computer_clock import ComputerClock
from live.paper.conditions import Conditions
from live.paper.contracts import account_currency
from live.paper.course import Course
from live.paper.desk import Desk
from live.paper.faults import Faults
from live.paper.feed import Feed
from live.paper.link import Link, LinkFaults, LinkLost, Reinitialised, open_link
from live.paper.play import Pace, Plan, Watcher, fitting_weeks, play
from live.paper.script import Event
from live.paper.session import ANSWER_TIMEOUT_S, Session
from live.paper.state import PlayPosition, State
from live.paper.twin import meet_twin
from live.paper.watch import recall
from trading_assets.core.errors import UnavailableError
from trading_assets.core.market.timeframes import from_ms, to_ms
from trading_assets.core.messages import SignalNotice
from trading_assets.core.records.decisions import TraderLimits

_RETRY_S = 0.1
_TELL_EVERY_S = 0.1
_MOST_COMPLAINTS = 20


@dataclass(frozen=True)
class Setup:
    """Everything a run is told, besides the feed."""

    url: str
    token: str
    state: Path
    pace: Pace = "lockstep"
    step_minutes: int = 5
    until: datetime | None = None
    history_days: int = 0
    close_at_end: bool = False
    deposit: Decimal = Decimal(10_000)
    commission_per_lot: Decimal = Decimal("2.50")
    leverage: int = 100
    slippage_points: float = 0.5
    seed: int = 0
    faults: Faults = field(default_factory=Faults)
    conditions: Conditions = field(default_factory=Conditions)
    script: tuple[Event, ...] = ()
    limits: TraderLimits | None = None
    """The trader's own limits, told in hello."""
    ca: Path | None = None
    """Certificates a `wss://` daemon is trusted by."""
    kept_quotes: int = 100_000
    """Quotes kept at most while the daemon is away; results are kept always."""
    timer_ms: int = 0
    """At real-time pace, the least time between two batches of quotes, as by an expert's timer; 0 sends each at once."""
    patience_s: float = 10.0
    """How long the daemon may be away, at the start and after a broken connection."""
    answer_timeout_s: float = ANSWER_TIMEOUT_S


class Terminal:
    """One run of the terminal over one feed. `say` takes progress and complaints as JSON-able objects."""

    def __init__(
        self,
        feed: Feed,
        setup: Setup,
        say: Callable[[dict[str, Any]], None] = lambda _: None,
        is_stopped: Callable[[], bool] = lambda: False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        rate: float = 1.0,
    ) -> None:
        self._feed = feed
        self._setup = setup
        self._say = say
        self._is_stopped = is_stopped
        self._clock = ComputerClock(now, rate, setup.faults.clock_offset_s)
        self._told_at = 0.0
        self._began_at = 0
        self._connections = 0
        self._complaints = 0
        self._cuts_left = setup.faults.disconnects if setup.faults.disconnect_after else 0
        self._freezes_left = setup.faults.freezes if setup.faults.freeze_after else 0
        self._reinits_left = setup.faults.reinits if setup.faults.reinit_after else 0
        self._twin = ""

    async def run(self) -> dict[str, Any]:
        """Play and return the summary. Raises TradingError."""
        with closing(State(self._setup.state)) as state:
            desk = self._open(state)
            self._began_at = desk.position.played
            clock = self._clock if self._setup.pace == "realtime" else None
            course = Course(self._feed, desk, self._setup.faults, self._setup.script, clock)
            is_done = await self._converse(course, self._plan())
            desk.save()
            return self._summary(desk, is_done=is_done)

    def _open(self, state: State) -> Desk:
        """Open the books as they were left, or new ones with a deposit."""
        setup = self._setup
        state.claim(self._feed.fingerprint())
        position = state.load_position() or self._first_position()
        self._feed = self._feed.shifted(position.weeks)
        broker = open_account(self._feed, state.load_book(), setup.commission_per_lot, self._terms())
        recall(self._feed, broker, position.played)
        desk = Desk(broker, state, position, setup.faults)
        if not broker.book.deals:
            broker.book.begin_tickets(setup.conditions.first_ticket)
            broker.deposit(setup.deposit, self._feed.clock.to_server(from_ms(position.now_ms)))
            desk.save()
        return desk

    def _first_position(self) -> PlayPosition:
        feed, setup = self._feed, self._setup
        weeks = fitting_weeks(feed, self._clock.now()) if setup.pace == "realtime" else 0
        shifted = feed.shifted(weeks)
        start = start_index(feed, setup.history_days)
        if setup.pace == "realtime":
            start = max(start, shifted.index_at(self._clock.now()))
        step_ms = setup.step_minutes * 60_000
        at_ms = int(shifted.at_ms[min(start, len(feed) - 1)]) // step_ms * step_ms
        return PlayPosition(played=start, acknowledged=start, now_ms=at_ms, weeks=weeks)

    def _terms(self) -> Terms:
        setup = self._setup
        return Terms(
            currency=account_currency(self._feed.symbols),
            leverage=setup.leverage,
            slippage_points=setup.slippage_points,
            seed=setup.seed,
            conditions=setup.conditions,
        )

    def _plan(self) -> Plan:
        feed, setup = self._feed, self._setup
        step_ms = setup.step_minutes * 60_000
        ends_at_ms = (int(feed.at_ms[-1]) // step_ms + 1) * step_ms
        end = len(feed)
        if setup.until is not None:
            end, ends_at_ms = feed.index_at(setup.until), min(to_ms(setup.until), ends_at_ms)
        return Plan(setup.pace, end, ends_at_ms, step_ms, setup.close_at_end, setup.timer_ms)

    async def _converse(self, course: Course, plan: Plan) -> bool:
        """Connect and play until the plan's end; connect again while the daemon's absence is short."""
        desk = course.desk
        away_since, reached, is_away = time.monotonic(), desk.position.acknowledged, False
        while not self._is_stopped():
            connections = self._connections
            try:
                return await self._connected(course, plan)
            except LinkLost as lost:
                desk.lost_connection()
                is_away = is_away and self._connections == connections
                self._live_on(course, plan, is_away=is_away)
                is_away = True
                if desk.position.acknowledged > reached:
                    away_since, reached = time.monotonic(), desk.position.acknowledged
                if time.monotonic() - away_since > self._setup.patience_s:
                    problem = f"{lost} (for {self._setup.patience_s:.0f} s)"
                    hint = "start the daemon first, pass the --url it printed when it was ready, then run this again to go on"
                    raise UnavailableError("talking to the daemon at", self._setup.url, problem, hint) from lost
                await asyncio.sleep(_RETRY_S)
        return False

    def _live_on(self, course: Course, plan: Plan, *, is_away: bool) -> None:
        """Let the market go on without the daemon: by the clock always, in lockstep once, by the minutes asked for."""
        now_ms = course.desk.position.now_ms
        if plan.pace == "realtime":
            now_ms = to_ms(self._clock.now())
        elif self._setup.faults.away_minutes and self._connections and not is_away:
            now_ms = min(
                (now_ms + self._setup.faults.away_minutes * 60_000) // plan.step_ms * plan.step_ms, plan.ends_at_ms
            )
        else:
            return
        end = min(int(np.searchsorted(self._feed.at_ms, now_ms)), plan.end)
        live_on(course, end, max(now_ms, course.desk.position.now_ms), self._setup.kept_quotes)

    async def _connected(self, course: Course, plan: Plan) -> bool:
        """Play over one connection; returns whether the end was reached. Raises LinkLost."""
        setup, is_replay = self._setup, plan.pace == "lockstep"
        # In lockstep the daemon may be busy for long; the wait for `processed` has its own limit.
        link = await open_link(setup.url, course.now_msc, self._link_faults(), None if is_replay else 20.0, setup.ca)
        self._connections += 1
        watcher = Watcher(self._is_stopped, lambda: self._tell(course.desk, plan), self._clock.now, self._clock.rate)
        try:
            while True:
                session = Session(link, course, setup.faults, self._complain, self._show, setup.answer_timeout_s)
                try:
                    ends_at_ms = plan.ends_at_ms if is_replay else None
                    await session.greet(setup.token, lockstep=is_replay, ends_at_ms=ends_at_ms, limits=setup.limits)
                    await self._meet_twin(course)
                    return await play(session, plan, watcher)
                except Reinitialised as again:
                    self._begin_again(link, course, again)
        finally:
            self._cuts_left -= link.was_cut
            self._freezes_left -= link.was_frozen
            await link.close()

    def _link_faults(self) -> LinkFaults:
        faults = self._setup.faults
        return LinkFaults(
            cut_after=faults.disconnect_after if self._cuts_left else 0,
            freeze_after=faults.freeze_after if self._freezes_left else 0,
            freeze_s=faults.freeze_s,
            reinit_after=faults.reinit_after if self._reinits_left else 0,
            slow_read_s=faults.slow_read_ms / 1000,
        )

    def _begin_again(self, link: Link, course: Course, again: Reinitialised) -> None:
        """Prepare the next hello of an expert that was initialised anew. Raises LinkLost where that needs a new connection."""
        self._reinits_left -= link.was_reinitialised
        link.was_reinitialised = link.was_reinitialised and not self._reinits_left
        course.desk.lost_connection()
        if self._setup.faults.reinit_on_new_socket:
            raise LinkLost("the expert was initialised anew") from again
        link.begin_again()

    async def _meet_twin(self, course: Course) -> None:
        setup = self._setup
        if setup.faults.twin_connection and not self._twin:
            account, now_msc = course.desk.broker.account(), course.now_msc()
            self._twin = await meet_twin(setup.url, setup.ca, setup.token, account, now_msc)
            self._say({"twin": self._twin})

    def _complain(self, text: str) -> None:
        self._complaints += 1
        if self._complaints <= _MOST_COMPLAINTS:
            self._say({"complaint": text})

    def _show(self, notice: SignalNotice) -> None:
        """Show a recommendation to the person at the terminal."""
        self._say({"signal": msgspec.to_builtins(notice)})

    def _tell(self, desk: Desk, plan: Plan) -> None:
        """Say which share of this run is played, at most ten times a second."""
        now = time.monotonic()
        if now - self._told_at >= _TELL_EVERY_S:
            self._told_at = now
            share = (desk.position.played - self._began_at) / max(plan.end - self._began_at, 1)
            self._say({"progress": round(share, 4), **_figures(desk)})

    def _summary(self, desk: Desk, *, is_done: bool) -> dict[str, Any]:
        return {
            "done": is_done,
            **_figures(desk),
            "equity": str(desk.broker.account().equity),
            "positions": len(desk.broker.book.positions),
            "connections": self._connections,
            "complaints": self._complaints,
            **({"dropped_quotes": desk.position.dropped} if desk.position.dropped else {}),
            **({"twin": self._twin} if self._twin else {}),
        }


def _figures(desk: Desk) -> dict[str, Any]:
    book, position = desk.broker.book, desk.position
    return {
        "at": from_ms(position.now_ms).isoformat(),
        "quotes": position.played,
        "deals": len(book.deals),
        "balance": str(book.balance),
    }
