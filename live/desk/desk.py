"""One account's desk: what each message of its terminal means, from hello to goodbye.

It composes the parts that know how (`feed`, `trader`, `settlement`, `reconciliation`, `opening`) and decides when. What quotes
and heartbeats set going is `live.desk.closings`', when a session is open for quotes `live.desk.gate`'s. Frames and sockets are the
bridge's; in lockstep the desk also says when everything up to a heartbeat is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import assert_never

from live.books.account_identity import identity_of
from live.bridge.damaged_elements import Partial
from live.bridge.inlet import Dropped
from live.bridge.link import Link
from live.clock import StreamClock
from live.desk.account import Account
from live.desk.admission import Admission
from live.desk.closings import Closings
from live.desk.defects import Defects
from live.desk.gate import Gate
from live.desk.greeting import HaltNotice, our_limits, session_record
from live.desk.lost_messages import LostMessages
from live.desk.vigil import Vigil
from live.logs import log
from live.server_clock.search import ClockSearch
from live.settings import Settings
from trading_assets.core.errors import InputError
from trading_assets.core.messages import (
    Bars,
    BookUpdate,
    Deals,
    DealUpdate,
    FromTerminal,
    Goodbye,
    Hello,
    OrderUpdate,
    PositionUpdate,
    Resync,
    Snapshot,
    Subscribe,
    TerminalError,
    TerminalHeartbeat,
    Ticks,
    Welcome,
)
from trading_assets.core.trades.lifecycle import BY_CONTRACT

# The wall's clock lets messages go first, but not for ever.
_TURN_S = 0.1
# Half-open connections are cut long before by looks that are counted; these pass while nobody looks.
_MOST_SILENT, _MISSED_HEARTBEATS = timedelta(seconds=60), 6
# A replay is of the past, or of a market somebody made up.
_MOST_AHEAD = timedelta(days=366)


class Desk:
    """Messages of one account's terminal, across all its sessions.

    What is public takes its turn: a message, a greeting, a leave and what the clock on the wall does never mix, although
    each may have to wait for the disk in the middle.
    """

    def __init__(self, settings: Settings, account: Account) -> None:
        self.account = account
        self.link: Link | None = None
        self._settings = settings
        self._recorder = account.recorder
        self._feed = account.feed
        self._trader = account.trader
        self._sender = account.sender
        self._settlement = account.settlement
        self._holdings = account.holdings
        self._reconciliation = account.reconciliation
        self._opening = account.opening
        self._clock = account.clock_watch
        self._search = ClockSearch(account.clock_watch.pairs, settings.answer_timeout_s)
        self._vigil = Vigil(
            settings, account.recorder, account.rule, account.books.orders, account.reconciliation, account.sender
        )
        self._closings = Closings(account)
        self._gate = Gate(account, settings.answer_timeout_s, self._market)
        self._admission = Admission(account)
        self._halt = HaltNotice(account.books.risk)
        self._defects = Defects(account.recorder, account.books.risk)
        self.lost = LostMessages(account, self._gate.distrust)
        self._is_lockstep = False
        self._turn = asyncio.Lock()
        self._most_silent = max(_MOST_SILENT, _MISSED_HEARTBEATS * timedelta(seconds=settings.terminal_heartbeat_s))
        self._heard: tuple[datetime, int] | None = None
        """When market data or a heartbeat came last, by our clock and by the server's."""
        self.messages = self.sessions = self.gaps = self.silences = 0
        """Messages taken, sessions begun, gaps in the numbering and silences of a living connection since the start."""
        self.on_stream_time: Callable[[], None] | None = None
        """Called in lockstep when the stream's time has moved: what is judged by the clock elsewhere."""
        self.inbox_trouble: Callable[[], str] = str
        """Says why not every command can be taken; empty while it can."""

    @property
    def is_open(self) -> bool:
        """Whether quotes are looked at: history, positions and deals are there."""
        return self._gate.is_open

    @property
    def is_lockstep(self) -> bool:
        """Whether the session's time is the stream's."""
        return self._is_lockstep

    @property
    def pause_s(self) -> float:
        """How long no session may begin, because one after the other ended by a defect; 0 when one may."""
        return self._defects.pause_s

    async def close(self, why: str) -> None:
        """Finish what is under way and hang up."""
        async with self._turn:
            await self._recorder.settled()
            self._trader.take_timings()
            link = self.link
            if link is not None:
                await link.close(1001, why)
                await self._leave(link)

    # --- the session ----------------------------------------------------------------------------------------------

    async def greet(self, link: Link, hello: Hello) -> None:
        """A terminal authenticated for this account; a new session begins."""
        async with self._taking_turns():
            await self._greet(link, hello)

    async def _greet(self, link: Link, hello: Hello) -> None:
        problem = self._admission.problem(hello)
        if problem:
            self._feed.quarantine("", "wrong_login", problem, hello.chain_id)
            await link.refuse("wrong_login", problem, is_fatal=True)
            await self._leave(link)
            return
        self._sender.disconnected()
        self.link = self._sender.link = link
        self._is_lockstep = self._closings.is_lockstep = hello.lockstep
        self._gate.shut()
        self._vigil.restart()
        self._heard = None
        self.sessions += 1
        self._recorder.log = log(account=self.account.name, session=link.session)
        self._recorder.log.info(
            "a terminal has come", remote=link.remote, lockstep=hello.lockstep, chain_id=hello.chain_id
        )
        await link.send(Welcome, tenant=self._settings.tenant, account=self.account.name)
        if self._clock.is_known(hello.account.server):
            await self._begin(link, hello)
        else:
            # Nothing can be dated before the server's clock is understood.
            await self._search.begin(link, hello, None if hello.lockstep else self.account.clock.now())
            await self._end_search()

    async def _begin(self, link: Link, hello: Hello) -> None:
        """Begin a session whose times can be read."""
        at = self.account.rule.to_utc(hello.server_time_msc)
        if hello.lockstep and at > self.account.clock.now() + _MOST_AHEAD:
            # Its bars and marks would stand in the way of every session after it.
            text = f"the replay begins at {at:%Y-%m-%d %H:%M} UTC, more than a year ahead of this machine's clock"
            self._feed.quarantine("", "future", text, hello.chain_id)
            await link.refuse("future", text, is_fatal=True)
            await self._leave(link)
            return
        self._recorder.clock = StreamClock(at) if hello.lockstep else self.account.clock
        self._clock.begin(hello)
        self._reconciliation.restart()
        self.lost.begin()
        self._feed.resume()
        self._opening.begin()
        self.account.books.limits = our_limits(hello.limits, self.account.settings.symbols)
        self.account.books.identity = identity_of(hello.account)
        self._recorder.commit([session_record(self.account, link, hello)])
        self._holdings.first_account(hello.account, hello.chain_id)
        settings = self.account.settings
        await link.send(Subscribe, symbols=tuple(settings.symbols), with_book=settings.with_book)
        self._halt.restart()
        await self._halt.tell(link)

    async def tell_halt(self) -> None:
        """Tell the terminal when entries are halted, and when they are no more."""
        await self._halt.tell(self.link)

    async def accept_account(self) -> tuple[bool, str]:
        """A person says that the broker's account that was refused last is this account from now on."""
        async with self._taking_turns():
            if self.link is not None:
                words = f"a terminal that is logged in to the account of {self.account.name} is connected"
                return False, f"{words}; log it in to the other account first"
            return self._admission.accept()

    async def leave(self, link: Link) -> None:
        """The connection is gone: nothing is known of what was under way (invariant 4)."""
        async with self._taking_turns():
            await self._leave(link)

    async def _leave(self, link: Link) -> None:
        if self.link is link:
            self._recorder.log.info("the terminal is gone")
            self.link = None
            self._gate.shut()
            self._search.stop()
            self._vigil.restart()
            self._sender.disconnected()
            try:
                await self._recorder.settled()
            finally:
                self._sender.left()

    async def _end_search(self) -> None:
        """Begin the session once its clock is understood; refuse it when it is not."""
        link, found = self.link, self._search.end()
        if link is None or found is None:
            return
        problem = self._clock.found(found)
        if problem:
            await link.refuse("clock_unknown", problem, is_fatal=True)
            return
        await self._begin(link, found.hello)
        for message, arrived_ns in found.waiting:
            await self._handle(message, arrived_ns)

    async def resync(self, expected_seq: int) -> None:
        """Messages are missing: what they said about trading is asked for, their quotes are lost."""
        async with self._taking_turns():
            if self.link is None or self._search.is_running:
                return
            self.gaps += 1
            text = f"messages from {expected_seq} on are missing in session {self.link.session}; a bar may lack quotes"
            self._recorder.error("live.desk.desk", text)
            self._gate.distrust("messages of the terminal were lost")
            self._feed.lost()
            if self.lost.may_ask():
                await self.link.send(Resync, expected_seq=expected_seq)
                self._reconciliation.give_up()
                await self._reconciliation.ask()

    async def lose(self, kind: str, problem: str) -> None:
        """A message came in its place and could not be read."""
        async with self._taking_turns():
            if self.link is not None and not self._search.is_running:
                self.lost.lose(kind, problem)

    async def miss(self, partial: Partial) -> None:
        """Elements of the message that comes next could not be read."""
        async with self._taking_turns():
            self.lost.miss(partial)

    async def handle(self, message: FromTerminal, arrived_ns: int) -> None:
        """Take one message of the session, in order."""
        # As `_taking_turns`, without its price: this is on the way of every quote.
        async with self._turn:
            try:
                await self._handle(message, arrived_ns)
            except InputError:
                raise
            except Exception as defect:
                self._defects.raised(defect)
                raise

    @asynccontextmanager
    async def _taking_turns(self) -> AsyncIterator[None]:
        async with self._turn:
            try:
                yield
            except InputError:
                raise  # What the terminal said cannot be: that is no defect.
            except Exception as defect:
                self._defects.raised(defect)
                raise

    def dropped(self, quotes: Dropped) -> None:
        """Quotes made room for later ones, because the daemon could not keep up."""
        self._feed.dropped(quotes.symbol, quotes.first_msc, quotes.last_msc, quotes.count)

    async def _handle(self, message: FromTerminal, arrived_ns: int) -> None:
        self.messages += 1
        if self._search.is_running and self.link is not None:
            await self._search.take(message, arrived_ns, self.link)
            await self._end_search()
            return
        if not self._is_lockstep and isinstance(message, Ticks | TerminalHeartbeat):
            await self._notice_silence(message)
        match message:
            case Ticks() | TerminalHeartbeat() if not self._gate.is_open:
                self._opening.hold(message, arrived_ns)
            case Ticks() | TerminalHeartbeat():
                await self._market(message, arrived_ns)
            case _:
                await self._other(message)
        if self._vigil.is_owing:
            await self._vigil.pay()

    async def _notice_silence(self, message: Ticks | TerminalHeartbeat) -> None:
        """A connection may outlive a sleep of the machine, or a line that stood still: what passed meanwhile is asked for.

        By both clocks: what was only delivered late is all there, and a server's clock may rest while its market is closed.
        """
        if isinstance(message, Ticks):
            if message.is_late or not message.ticks:
                return
            first_msc, last_msc = message.ticks[0].time_msc, message.ticks[-1].time_msc
        else:
            first_msc = last_msc = message.server_time_msc
        now, heard = self._recorder.clock.now(), self._heard
        self._heard = now, last_msc
        if heard is None or self.link is None or not self._gate.is_open:
            return
        silence = min(now - heard[0], timedelta(milliseconds=first_msc - heard[1]))
        if silence <= self._most_silent:
            return
        self.silences += 1
        seconds = silence.total_seconds()
        cause = f"nothing was heard of the terminal for {seconds:.0f} s: a machine slept, its clock was set, or the line stood still"
        self._recorder.finding(
            "live.desk.desk",
            f"session {self.link.session}",
            f"a terminal is heard at least every {self._settings.terminal_heartbeat_s:g} s",
            cause,
            "nothing: bars, positions and deals are asked for, and nothing is traded on a bar that lacks quotes",
        )
        self._feed.lost(f"{cause}; the bar may lack quotes")
        await self._gate.resume(cause, self.link)

    async def _other(self, message: FromTerminal) -> None:
        if isinstance(message, Snapshot | DealUpdate):
            self._admission.check(message.account)
        match message:
            case OrderUpdate():
                await self._settlement.order_update(message)
                if message.retcode in BY_CONTRACT:
                    await self._reconciliation.ask()
                if self._is_lockstep:
                    # Time stands still until `processed`: a price that had moved is the present one already.
                    await self._sender.retry()
            case DealUpdate():
                await self._settlement.deal(message.deal, message.chain_id, message.account, is_late=message.is_late)
            case PositionUpdate():
                self._holdings.position(message.position, message.chain_id)
            case Deals():
                self._vigil.take(message.request_id)
                await self._reconciliation.deals(message)
                await self._gate.try_to_open()
            case Snapshot():
                if self.link is not None:  # None: its session was refused while it waited to be read.
                    await self._gate.snapshot(message, self.link)
            case BookUpdate():
                self._feed.book(message)
            case Bars():
                if self.link is not None and not self._clock.take(message):
                    await self._opening.take(message, self.link)
                await self._gate.try_to_open()
            case TerminalError():
                self._clock.refused(message.request_id)
                self._recorder.error(
                    "terminal", f"{message.code}: {message.text} (request {message.request_id or 'none'})"
                )
            case Goodbye():
                await self._recorder.settled()
                self._trader.take_timings()
                self._recorder.start_commit()
            case Hello() | Ticks() | TerminalHeartbeat():
                raise AssertionError(f"{type(message).__name__} is handled before")
            case _:
                assert_never(message)

    async def _market(self, message: Ticks | TerminalHeartbeat, arrived_ns: int) -> None:
        if isinstance(message, Ticks):
            await self._closings.ticks(message, arrived_ns)
            return
        if message.account is not None:
            self._admission.check(message.account)
        await self._closings.heartbeat(message, arrived_ns)
        if self._is_lockstep:
            books = self.account.books
            is_search_due = books.trades.known.is_full or books.orders.is_search_due(self._recorder.clock.now())
            # A balance that no deal explains: one was never told.
            is_agreed = not self._reconciliation.is_urgent and self._holdings.is_explained(message.account)
            if is_search_due or not is_agreed:
                await self._reconciliation.ask()
            if self.on_stream_time is not None:
                self.on_stream_time()
            self._vigil.owe(message.seq)

    async def query(self, what: str) -> bool:
        """Ask the terminal for deals in full, or for the bars since the last one; returns whether it is asked."""
        async with self._turn:
            return self.link is not None and await self._gate.query(what, self.link)

    # --- what the clock on the wall does ----------------------------------------------------------------------------

    async def tick(self) -> None:
        """Look after what no message does. Called a few times a second."""
        link = self.link
        if not self._is_lockstep or link is None:
            await self.account.release.follow()
        if link is None:
            return
        try:
            async with asyncio.timeout(_TURN_S):
                await self._turn.acquire()
        except TimeoutError:
            return  # A message takes its time; this is done at the next look.
        try:
            if self.link is link:
                await self._look(link)
        except InputError as error:
            # What it had told before cannot be: its session ends, as it would had a message brought it to light.
            self._feed.quarantine("", "invalid", str(error), "")
            await link.refuse("invalid", str(error), is_fatal=True)
        except Exception as defect:
            self._defects.raised(defect)
            raise
        finally:
            self._turn.release()

    async def _look(self, link: Link) -> None:
        if self._recorder.defect is not None:
            await self._recorder.settled()  # Raises it: the orders it was to send are not sent any more.
        await self._halt.tell(link)
        if self._search.is_running:
            await self._search.look(link)
            await self._end_search()
            return
        if self._vigil.is_owing:
            await self._vigil.pay()
        await self._gate.look(link)
        if self._gate.is_open and not self._is_lockstep:
            await self._vigil.watch()
            self._clock.look()
