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

import numpy as np

from live.paper.account import Terms
from live.paper.book import Book
from live.paper.broker import Broker
from live.paper.contracts import account_currency, standard_contract
from live.paper.desk import Desk
from live.paper.faults import Faults
from live.paper.feed import Feed
from live.paper.link import LinkLost, open_link
from live.paper.play import Pace, Plan, Watcher, fitting_weeks, play
from live.paper.session import ANSWER_TIMEOUT_S, Session
from live.paper.state import PlayPosition, State
from live.paper.watch import recall
from trading_assets.core.errors import InputError, UnavailableError
from trading_assets.core.market.timeframes import from_ms, to_ms

_RETRY_S = 0.1
_TELL_EVERY_S = 0.1
_MOST_COMPLAINTS = 20
_DAY_MS = 86_400_000
_SESSION_SHIFT_MS = 2 * 3_600_000
"""FX days begin in the evening: shifted by this, a session lies on one UTC date."""


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
        self._now = now
        self._rate = rate
        self._told_at = 0.0
        self._began_at = 0
        self._connections = 0
        self._complaints = 0
        self._cuts_left = setup.faults.disconnects if setup.faults.disconnect_after else 0

    async def run(self) -> dict[str, Any]:
        """Play and return the summary. Raises TradingError."""
        with closing(State(self._setup.state)) as state:
            desk = self._open(state)
            self._began_at = desk.position.played
            is_done = await self._converse(desk, self._plan())
            desk.save()
            return self._summary(desk, is_done=is_done)

    def _open(self, state: State) -> Desk:
        """Open the books as they were left, or new ones with a deposit."""
        state.claim(self._feed.fingerprint())
        position = state.load_position() or self._first_position()
        self._feed = self._feed.shifted(position.weeks)
        broker = self._broker(state.load_book())
        recall(self._feed, broker, position.played)
        desk = Desk(broker, state, position, self._setup.faults)
        if not broker.book.deals:
            broker.deposit(self._setup.deposit, self._feed.clock.to_server(from_ms(position.now_ms)))
            desk.save()
        return desk

    def _first_position(self) -> PlayPosition:
        feed, setup = self._feed, self._setup
        weeks = fitting_weeks(feed, self._now()) if setup.pace == "realtime" else 0
        shifted = feed.shifted(weeks)
        start = start_index(feed, setup.history_days)
        if setup.pace == "realtime":
            start = max(start, shifted.index_at(self._now()))
        step_ms = setup.step_minutes * 60_000
        at_ms = int(shifted.at_ms[min(start, len(feed) - 1)]) // step_ms * step_ms
        return PlayPosition(played=start, acknowledged=start, now_ms=at_ms, weeks=weeks)

    def _broker(self, book: Book) -> Broker:
        feed, setup = self._feed, self._setup
        currency = account_currency(feed.symbols)
        contracts = {}
        for number, instrument in enumerate(feed.instruments):
            usable = np.flatnonzero((feed.instrument == number) & feed.is_tradable)
            if not len(usable):
                raise InputError(
                    "playing",
                    instrument.symbol,
                    "not one of its quotes can be traded at",
                    "pass a file with valid bid and ask prices",
                )
            price = float(feed.bid[usable[0]])
            contracts[instrument.symbol] = standard_contract(
                instrument.symbol, instrument.digits, price, currency, setup.commission_per_lot
            )
        terms = Terms(
            currency=currency, leverage=setup.leverage, slippage_points=setup.slippage_points, seed=setup.seed
        )
        return Broker(terms, contracts, book)

    def _plan(self) -> Plan:
        feed, setup = self._feed, self._setup
        step_ms = setup.step_minutes * 60_000
        ends_at_ms = (int(feed.at_ms[-1]) // step_ms + 1) * step_ms
        end = len(feed)
        if setup.until is not None:
            end, ends_at_ms = feed.index_at(setup.until), min(to_ms(setup.until), ends_at_ms)
        return Plan(setup.pace, end, ends_at_ms, step_ms, setup.close_at_end)

    async def _converse(self, desk: Desk, plan: Plan) -> bool:
        """Connect and play until the plan's end; connect again while the daemon's absence is short."""
        away_since, reached = time.monotonic(), desk.position.acknowledged
        while not self._is_stopped():
            try:
                return await self._connected(desk, plan)
            except LinkLost as lost:
                desk.lost_connection()
                if desk.position.acknowledged > reached:
                    away_since, reached = time.monotonic(), desk.position.acknowledged
                if time.monotonic() - away_since > self._setup.patience_s:
                    problem = f"{lost} (for {self._setup.patience_s:.0f} s)"
                    hint = "start the daemon first, pass the --url it printed when it was ready, then run this again to go on"
                    raise UnavailableError("talking to the daemon at", self._setup.url, problem, hint) from lost
                await asyncio.sleep(_RETRY_S)
        return False

    async def _connected(self, desk: Desk, plan: Plan) -> bool:
        """Play over one connection; returns whether the end was reached. Raises LinkLost."""
        setup, feed, is_replay = self._setup, self._feed, plan.pace == "lockstep"
        cut_after = setup.faults.disconnect_after if self._cuts_left else 0
        # In lockstep the daemon may be busy for long; the wait for `processed` has its own limit.
        link = await open_link(setup.url, lambda: session.now_msc(), cut_after, None if is_replay else 20.0)
        session = Session(link, feed, desk, setup.faults, self._complain, setup.answer_timeout_s)
        self._connections += 1
        try:
            await session.greet(setup.token, lockstep=is_replay, ends_at_ms=plan.ends_at_ms if is_replay else None)
            return await play(
                session, plan, Watcher(self._is_stopped, lambda: self._tell(desk, plan), self._now, self._rate)
            )
        finally:
            self._cuts_left -= link.was_cut
            await link.close()

    def _complain(self, text: str) -> None:
        self._complaints += 1
        if self._complaints <= _MOST_COMPLAINTS:
            self._say({"complaint": text})

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
        }


def start_index(feed: Feed, history_days: int) -> int:
    """Return the first quote after `history_days` trading days. Raises InputError when nothing would be left to play."""
    days = (feed.at_ms + _SESSION_SHIFT_MS) // _DAY_MS
    firsts = np.flatnonzero(np.diff(days, prepend=-1))
    # A Sunday evening belongs to Monday's session; a Saturday of a faulty file counts as a day of its own.
    if history_days >= len(firsts):
        problem = f"{history_days} of its {len(firsts)} trading days are history, none is left to play"
        raise InputError("playing", feed.description, problem, "lower --history-days")
    return int(firsts[history_days])


def _figures(desk: Desk) -> dict[str, Any]:
    book, position = desk.broker.book, desk.position
    return {
        "at": from_ms(position.now_ms).isoformat(),
        "quotes": position.played,
        "deals": len(book.deals),
        "balance": str(book.balance),
    }
