"""One session with the daemon: greeting, reactions to its messages, quotes, results and heartbeats going out.

The pace at which this happens is `play`'s business, new connections are `terminal`'s. What must arrive (results of
trades) comes from `desk`, which knows what was acknowledged; what is only asked for is in `answers`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import numpy as np

from live.paper.answers import send_bars, send_deals, send_snapshot
from live.paper.course import Course
from live.paper.death import die
from live.paper.faults import Faults
from live.paper.link import Link, LinkLost, Reinitialised
from live.paper.quoting import Quoting
from trading_assets.core.errors import InputError, UnavailableError
from trading_assets.core.market.timeframes import from_ms, to_ms
from trading_assets.core.messages import (
    AccountFacts,
    CancelCommand,
    CloseCommand,
    DaemonBeat,
    FromDaemon,
    Goodbye,
    Halt,
    Hello,
    ModifyCommand,
    OrderCommand,
    Processed,
    Query,
    Refusal,
    Resync,
    SignalNotice,
    Subscribe,
    TerminalError,
    TerminalHeartbeat,
    Welcome,
)
from trading_assets.core.records.decisions import TraderLimits

ANSWER_TIMEOUT_S = 30.0
BUILD = "paper-1"
_LOOK_S = 0.2
"""How often it is looked whether a wait has lasted too long."""


class Session:
    """The conversation over one link. `complain` takes what the daemon refused, `show` what it recommends; `answer_timeout_s` ends a deadlock."""

    def __init__(
        self,
        link: Link,
        course: Course,
        faults: Faults,
        complain: Callable[[str], None],
        show: Callable[[SignalNotice], None],
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        self.link = link
        self.course = course
        self.feed = course.feed
        self.desk = course.desk
        self.symbols: tuple[str, ...] = ()
        self._quoting = Quoting(link, course, faults)
        self._processed = 0
        self._faults = faults
        self._complain = complain
        self._show = show
        self._answer_timeout_s = answer_timeout_s
        self._told_account: AccountFacts | None = None
        self._downloaded: set[tuple[str, str]] = set()

    async def greet(
        self, token: str, *, lockstep: bool, ends_at_ms: int | None, limits: TraderLimits | None = None
    ) -> None:
        """Say hello, wait for welcome and subscribe, then send what an earlier connection could not.

        Where the account was changed in the terminal, the other one is named.
        """
        self.desk.broker.is_halted = False
        account = self.desk.broker.account()
        await self.link.send(
            Hello,
            token=token,
            build=BUILD,
            account=self._named(account),
            server_time_msc=self.now_msc(),
            lockstep=lockstep,
            ends_at_msc=None if ends_at_ms is None else self.feed.clock.to_server(from_ms(ends_at_ms)),
            limits=limits,
        )
        await self._until("welcome", lambda: bool(self.link.session))
        await self._until("subscribe", lambda: bool(self.symbols))
        position = self.desk.position
        unseen = position.played if position.unseen < 0 else position.unseen
        await self._quoting.send(position.acknowledged, unseen, self.symbols, is_late=not lockstep)
        await self._quoting.send(unseen, position.played, self.symbols, is_late=True)
        await self.flush()

    async def handle(self, message: FromDaemon | None) -> None:
        """React to one message of the daemon; None is silence."""
        match message:
            case OrderCommand() | CloseCommand() | ModifyCommand() | CancelCommand():
                self.desk.carry_out(message, self.now_msc())
                await self.flush()
            case Processed():
                self._processed = message.upto_seq
            case Query():
                await self._answer(message)
            case Welcome():
                self.link.session = message.session
                self.course.tenant, self.course.account = message.tenant, message.account
            case Subscribe():
                await self._subscribe(message)
            case Resync():
                await send_snapshot(self.link, self.desk.broker, self.symbols)
                self.desk.lost_connection()
                await self.flush()
            case Halt():
                self.desk.broker.is_halted = not message.is_lifted
            case SignalNotice():
                self._show(message)
            case Refusal():
                self._refused(message)
            case DaemonBeat() | None:
                pass

    async def play(self, end: int) -> None:
        """Send the quotes up to `end`, and what they trigger right after the quote that does."""
        for begin, at in self.course.quotes_to(end):
            await self._quoting.send(begin, at, self.symbols)
            await self.flush()
            await self._befall()

    async def heartbeat(self, now_ms: int) -> int:
        """Send a heartbeat with this time (UTC ms) and return its sequence number."""
        self.course.beat(now_ms)
        self.desk.next_turn()
        await self.flush()
        await self._befall()
        account = self._account_now()
        news = account if account != self._told_account and not self._faults.silent_account else None
        self._told_account = account
        return await self.link.send(
            TerminalHeartbeat, chain_id=self.course.chain(now_ms, ""), server_time_msc=self.now_msc(), account=news
        )

    async def processed_to(self, seq: int) -> None:
        """Carry out commands until the daemon has processed our heartbeat `seq`. Raises UnavailableError when it never does."""
        await self._until(f"processed for heartbeat {seq}", lambda: self._processed >= seq)

    async def read_to(self, pong: asyncio.Future[float]) -> None:
        """Carry out commands until the daemon has read everything before the ping. Raises UnavailableError when it never does."""
        await self._until("pong", lambda: self.link.has_answered(pong))

    def acknowledged(self, seq: int, played: int) -> None:
        """Note that the daemon has everything sent up to `seq`, thereby the first `played` quotes of the feed."""
        self.desk.acknowledge(seq, msgspec.structs.replace(self.desk.position, acknowledged=played, unseen=-1))

    async def close_all(self, comment: str) -> None:
        """Close every open position at the last quote."""
        fills = self.desk.broker.close_all(self.now_msc(), comment)
        self.desk.report(fills, self.course.chain(self.desk.position.now_ms, ""))
        await self.flush()

    async def goodbye(self, reason: str) -> None:
        """Take leave."""
        await self.link.send(Goodbye, reason=reason)

    async def flush(self) -> None:
        """Send the results that are due."""
        for result in self.desk.sendable():
            result.seq = await self.link.send_again(result.message)
            self.desk.death.at("told")

    def now_msc(self) -> int:
        """Return the server's time."""
        return self.course.now_msc()

    async def _befall(self) -> None:
        """Let events of the script befall the connection or the process. Raises LinkLost, Reinitialised."""
        while self.course.for_link:
            event = self.course.for_link.pop(0)
            match event.do:
                case "reinit":
                    raise Reinitialised
                case "freeze":
                    await self.link.freeze(self._faults.freeze_s)
                case "die":
                    die()
                case "log_in":
                    self.course.login, self.course.server = event.login, event.server
                    self.link.cut()
                case "sleep":
                    await self._sleep(event.seconds)
                case "set_clock" if self.course.computer_clock is not None:
                    self.course.computer_clock.offset_s = event.seconds
                case "set_clock":
                    pass  # In lockstep nothing looks at a clock.
                case _:
                    self.link.cut()

    async def _sleep(self, seconds: float) -> None:
        """The machine sleeps, its connection outlives it: what is quoted meanwhile the expert never sees, what happens is told after."""
        end_ms = self.desk.position.now_ms + int(seconds * 1000)
        clock = self.course.computer_clock
        if clock is not None:
            await clock.rest(seconds)
            end_ms = max(to_ms(clock.now()), self.desk.position.now_ms)
        for _ in self.course.quotes_to(int(np.searchsorted(self.feed.at_ms, end_ms))):
            pass
        self.desk.move(msgspec.structs.replace(self.desk.position, now_ms=end_ms))
        await self.flush()

    def _named(self, account: AccountFacts) -> AccountFacts:
        """Return the account under the login and the server the terminal is logged in to."""
        login, server = self.course.login or account.login, self.course.server or account.server
        return msgspec.structs.replace(account, login=login, server=server)

    async def _until(self, what: str, is_there: Callable[[], bool]) -> None:
        """React to messages until `is_there`. Raises UnavailableError when only silence and heartbeats come for too long."""
        loop = asyncio.get_running_loop()
        waiting_since = loop.time()
        while not is_there():
            message = await self.link.receive(min(_LOOK_S, self._answer_timeout_s))
            if message is not None and not isinstance(message, DaemonBeat):
                waiting_since = loop.time()
            elif loop.time() - waiting_since > self._answer_timeout_s:
                problem = f"no {what} within {self._answer_timeout_s:g} seconds"
                hint = "look into the daemon's log for what it waits for, and start both again"
                raise UnavailableError("waiting for", "the daemon", problem, hint)
            await self.handle(message)

    def _refused(self, refusal: Refusal) -> None:
        if refusal.code == "wrong_login" and (self.course.login or self.course.server):
            # The person sees it and logs back in.
            self.course.login = self.course.server = ""
            self._complain(f"the daemon refused the account ({refusal.code}): {refusal.text}")
            raise LinkLost("the account was changed back")
        if not self.link.session:
            problem = f"{refusal.text} ({refusal.code})"
            raise InputError("logging in at", "the daemon", problem, "check --token-file against the daemon's settings")
        self._complain(f"the daemon refused a message ({refusal.code}): {refusal.text}")

    async def _subscribe(self, message: Subscribe) -> None:
        known = ", ".join(self.feed.symbols)
        unknown = [symbol for symbol in message.symbols if symbol not in self.feed.symbols]
        if unknown:
            text = f"{', '.join(unknown)} is not at this broker; subscribe to some of {known}"
            await self.link.send(TerminalError, request_id="", code="unknown_symbol", text=text)
        self._quoting.with_book = message.with_book
        self.symbols = tuple(symbol for symbol in self.feed.symbols if symbol in message.symbols)
        if not self.symbols:
            raise InputError(
                "playing", known, "the daemon subscribed to none of them", "name the market's symbols in its settings"
            )
        await send_snapshot(self.link, self.desk.broker, self.symbols)

    async def _answer(self, query: Query) -> None:
        if query.what == "state":
            await send_snapshot(self.link, self.desk.broker, self.symbols)
        elif query.what == "deals":
            await send_deals(self.link, self.desk.broker, query)
        else:
            chart = (query.symbol, query.timeframe)
            is_empty = self._faults.empty_first_history and chart not in self._downloaded
            self._downloaded.add(chart)
            position = self.desk.position.played, self.now_msc()
            max_bars = self.desk.broker.terms.conditions.max_bars
            await send_bars(self.link, self.feed, position, query, self._faults, max_bars, is_empty=is_empty)

    def _account_now(self) -> AccountFacts:
        """Return the account; without open positions it is worked out only when something was booked since."""
        told, broker = self._told_account, self.desk.broker
        is_same = (
            told is not None
            and told.balance == told.equity == broker.book.balance
            and told.trade_allowed != broker.is_halted
        )
        return told if told is not None and is_same and not broker.book.positions else broker.account()
