"""One session with the daemon: greeting, reactions to its messages, quotes, results and heartbeats going out.

The pace at which this happens is `play`'s business, new connections are `terminal`'s. What must arrive (results of
trades) comes from `desk`, which knows what was acknowledged; what is only asked for is in `answers`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from live.paper.answers import send_bars, send_deals, send_snapshot
from live.paper.desk import Desk
from live.paper.faults import Faults
from live.paper.feed import Feed
from live.paper.link import Link
from live.paper.watch import advance
from trading_assets.core.errors import InputError, UnavailableError
from trading_assets.core.ids import chain_id
from trading_assets.core.market.timeframes import from_ms
from trading_assets.core.messages import (
    AccountFacts,
    CloseCommand,
    DaemonBeat,
    FromDaemon,
    Goodbye,
    Halt,
    Hello,
    OrderCommand,
    Processed,
    Query,
    Refusal,
    Resync,
    Subscribe,
    TerminalError,
    TerminalHeartbeat,
    Tick,
    Ticks,
    Welcome,
)

ANSWER_TIMEOUT_S = 30.0
BUILD = "paper-1"
_SILENCE_S = 0.2
"""Results held back by a fault go after this much silence, should the daemon wait for them."""
_MOST_QUOTES = 2000
"""Quotes in one message at most."""
_CROSSING = 1e-5
"""By how much more than the spread a quote that is crossed on purpose is crossed."""


class Session:
    """The conversation over one link. `complain` takes what the daemon refused; `answer_timeout_s` ends a deadlock."""

    def __init__(
        self,
        link: Link,
        feed: Feed,
        desk: Desk,
        faults: Faults,
        complain: Callable[[str], None],
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        self.link = link
        self.feed = feed
        self.desk = desk
        self.symbols: tuple[str, ...] = ()
        self._processed = 0
        self._faults = faults
        self._complain = complain
        self._answer_timeout_s = answer_timeout_s
        self._tenant = ""
        self._account = ""
        self._told_account: AccountFacts | None = None
        self._downloaded: set[tuple[str, str]] = set()

    async def greet(self, token: str, *, lockstep: bool, ends_at_ms: int | None) -> None:
        """Say hello, wait for welcome and subscribe, then send what an earlier connection could not."""
        self.desk.broker.is_halted = False
        await self.link.send(
            Hello,
            token=token,
            build=BUILD,
            account=self.desk.broker.account(),
            server_time_msc=self.now_msc(),
            lockstep=lockstep,
            ends_at_msc=None if ends_at_ms is None else self.feed.clock.to_server(from_ms(ends_at_ms)),
        )
        await self._until("welcome", lambda: bool(self.link.session))
        await self._until("subscribe", lambda: bool(self.symbols))
        position = self.desk.position
        await self._send_quotes(position.acknowledged, position.played)
        await self.flush()

    async def handle(self, message: FromDaemon | None) -> None:
        """React to one message of the daemon; None is silence."""
        match message:
            case OrderCommand() | CloseCommand():
                self.desk.carry_out(message, self.now_msc())
                await self.flush()
            case Processed():
                self._processed = message.upto_seq
            case Query():
                await self._answer(message)
            case Welcome():
                self.link.session, self._tenant, self._account = message.session, message.tenant, message.account
            case Subscribe():
                await self._subscribe(message)
            case Resync():
                await send_snapshot(self.link, self.desk.broker, self.symbols)
                self.desk.lost_connection()
                await self.flush()
            case Halt():
                self.desk.broker.is_halted = True
            case Refusal():
                self._refused(message)
            case DaemonBeat() | None:
                pass

    async def play(self, end: int) -> None:
        """Send the quotes up to `end`, and what they trigger right after the quote that does."""
        while (begin := self.desk.position.played) < end:
            at, fills = advance(self.feed, self.desk.broker, begin, end)
            reached = int(self.feed.at_ms[at - 1])
            self.desk.move(msgspec.structs.replace(self.desk.position, played=at, now_ms=reached))
            if fills:
                # Saved before anything of it is sent. The quotes before it are not acknowledged: they would be sent again.
                self.desk.report(fills, self._chain(reached, fills[0].deal.symbol))
            await self._send_quotes(begin, at)
            await self.flush()

    async def heartbeat(self, now_ms: int) -> int:
        """Send a heartbeat with this time (UTC ms) and return its sequence number."""
        self.desk.move(msgspec.structs.replace(self.desk.position, now_ms=now_ms))
        self.desk.next_turn()
        await self.flush()
        account = self._account_now()
        news = account if account != self._told_account else None
        self._told_account = account
        return await self.link.send(
            TerminalHeartbeat, chain_id=self._chain(now_ms, ""), server_time_msc=self.now_msc(), account=news
        )

    async def processed_to(self, seq: int) -> None:
        """Carry out commands until the daemon has processed our heartbeat `seq`. Raises UnavailableError when it never does."""
        await self._until(f"processed for heartbeat {seq}", lambda: self._processed >= seq)

    async def read_to(self, pong: asyncio.Future[float]) -> None:
        """Carry out commands until the daemon has read everything before the ping. Raises UnavailableError when it never does."""
        await self._until("pong", lambda: self.link.has_answered(pong))

    def acknowledged(self, seq: int, played: int) -> None:
        """Note that the daemon has everything sent up to `seq`, thereby the first `played` quotes of the feed."""
        self.desk.acknowledge(seq, msgspec.structs.replace(self.desk.position, acknowledged=played))

    async def close_all(self, comment: str) -> None:
        """Close every open position at the last quote."""
        fills = self.desk.broker.close_all(self.now_msc(), comment)
        self.desk.report(fills, self._chain(self.desk.position.now_ms, ""))
        await self.flush()

    async def goodbye(self, reason: str) -> None:
        """Take leave."""
        await self.link.send(Goodbye, reason=reason)

    async def flush(self) -> None:
        """Send the results that are due."""
        for result in self.desk.sendable():
            result.seq = await self.link.send_again(result.message)

    def now_msc(self) -> int:
        """Return the server's time."""
        return self.feed.clock.to_server(from_ms(self.desk.position.now_ms))

    async def _until(self, what: str, is_there: Callable[[], bool]) -> None:
        """React to messages until `is_there`. Raises UnavailableError when only silence and heartbeats come for too long."""
        loop = asyncio.get_running_loop()
        waiting_since = loop.time()
        while not is_there():
            message = await self.link.receive(min(_SILENCE_S, self._answer_timeout_s))
            if message is not None and not isinstance(message, DaemonBeat):
                waiting_since = loop.time()
            elif loop.time() - waiting_since > self._answer_timeout_s:
                problem = f"no {what} within {self._answer_timeout_s:g} seconds"
                hint = "look into the daemon's log for what it waits for, and start both again"
                raise UnavailableError("waiting for", "the daemon", problem, hint)
            elif message is None and self.desk.next_turn():
                await self.flush()
            await self.handle(message)

    def _refused(self, refusal: Refusal) -> None:
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
            await send_bars(self.link, self.feed, self.desk.position.played, self.now_msc(), query, is_empty=is_empty)

    async def _send_quotes(self, begin: int, end: int) -> None:
        for first in range(begin, end, _MOST_QUOTES):
            last = min(first + _MOST_QUOTES, end)
            for number, symbol in enumerate(self.feed.symbols):
                chosen = first + np.flatnonzero(self.feed.instrument[first:last] == number)
                if len(chosen) and symbol in self.symbols:
                    chain = self._chain(int(self.feed.at_ms[chosen[0]]), symbol)
                    await self.link.send(Ticks, chain_id=chain, symbol=symbol, ticks=tuple(self._ticks(chosen)))

    def _ticks(self, chosen: NDArray[np.intp]) -> Iterator[Tick]:
        """Yield the ticks to send, with the faulty ones that were asked for in between."""
        feed, faults = self.feed, self._faults
        ticks = map(Tick, feed.server_msc[chosen].tolist(), feed.bid[chosen].tolist(), feed.ask[chosen].tolist())
        if not (faults.crossed_quotes or faults.duplicated_ticks):
            yield from ticks
            return
        for tick, index in zip(ticks, chosen.tolist(), strict=True):
            yield tick
            if faults.strikes(faults.duplicated_ticks, "duplicate", str(index)):
                yield tick
            if (
                faults.strikes(faults.crossed_quotes, "crossed", str(index))
                and tick.bid is not None
                and tick.ask is not None
            ):
                yield Tick(tick.time_msc, tick.ask + _CROSSING, tick.bid)

    def _chain(self, at_ms: int, symbol: str) -> str:
        return chain_id(from_ms(at_ms), self._tenant, self._account, symbol)

    def _account_now(self) -> AccountFacts:
        """Return the account; without open positions it is worked out only when something was booked since."""
        told, broker = self._told_account, self.desk.broker
        is_same = (
            told is not None
            and told.balance == told.equity == broker.book.balance
            and told.trade_allowed != broker.is_halted
        )
        return told if told is not None and is_same and not broker.book.positions else broker.account()
