"""One connection from its first frame to its end: a reader, a guard, and the worker that hands messages to a desk.

The reader turns frames into messages as fast as they come and waits when the queue is full (`live.bridge.inlet`). The worker does
what the messages say, one after the other. The guard cuts a connection that says nothing any more, reads nothing any more
or whose token was revoked. Which account may be had by whom is decided by the bridge, which is asked at each hello.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from live.bridge.damaged_elements import Partial
from live.bridge.inlet import Dropped, Inlet, Item
from live.bridge.link import Link
from live.bridge.protocol import Gapped, Greeting, Refused, TerminalProtocol
from trading_assets.core.errors import InputError
from trading_assets.core.messages import Bars, Deals, FromTerminal, Hello

_INTERNAL_ERROR = 1011
_MESSAGE_TOO_BIG = 1009
_MISSED_HEARTBEATS = 3
_LARGE = 64 * 1024
# A worker that never has to wait would keep everybody else waiting.
_TURN_NS = 5_000_000


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection is waited for, in seconds."""

    hello_s: float = 10.0
    """Until the first hello."""
    heartbeat_s: float = 5.0
    """Between two messages of a terminal by the clock; three times as long without one, and it is gone."""
    send_s: float = 5.0
    """Until the other end has read what was sent."""

    @property
    def look_s(self) -> float:
        """Interval of looking."""
        return min(0.25, self.heartbeat_s / 2, self.send_s / 2, self.hello_s / 2)


class Terminals(Protocol):
    """What a conversation needs from the desk of one account."""

    link: Link | None

    @property
    def pause_s(self) -> float:
        """How long no session may begin, in seconds; 0 when one may."""

    async def greet(self, link: Link, hello: Hello) -> None:
        """A terminal authenticated for this account; a new session begins."""

    async def handle(self, message: FromTerminal, arrived_ns: int) -> None:
        """One message of the session, in order."""

    async def resync(self, expected_seq: int) -> None:
        """Messages before the next one are missing."""

    async def lose(self, kind: str, problem: str) -> None:
        """A message came in its place and could not be read."""

    async def miss(self, partial: Partial) -> None:
        """Elements of the next message could not be read."""

    def dropped(self, quotes: Dropped) -> None:
        """Quotes made room for later ones, because the daemon could not keep up."""

    async def leave(self, link: Link) -> None:
        """The connection is gone."""


@dataclass(frozen=True)
class House:
    """What a conversation asks of the bridge."""

    admit: Callable[[Link, Greeting], Awaitable[Terminals | None]]
    """Give the account to this connection, or refuse."""
    refuse: Callable[[Link, str | None, Refused], Awaitable[None]]
    """Record a refusal, answer it, and hang up when there is no going on."""
    is_welcome: Callable[[str, str], bool]
    """Whether a token still opens an account."""
    report: Callable[[str, BaseException], None]
    """Take a defect."""


class Conversation:
    """One connection. `run` returns when it is over and everything that came over it has been taken."""

    def __init__(
        self,
        connection: ServerConnection,
        protocol: TerminalProtocol,
        link: Link,
        house: House,
        patience: Patience,
        limit: int,
    ) -> None:
        """`limit`: bytes of one frame once the terminal is known."""
        self._connection = connection
        self._protocol = protocol
        self._link = link
        self._house = house
        self._patience = patience
        self._limit = limit
        self._inlet = Inlet()
        self._desk: Terminals | None = None
        self._heard = 0
        self._is_by_the_clock = False
        self.account: str | None = None
        """The account that was given to this connection."""
        self.on_known: Callable[[], None] = lambda: None
        """Called once, when the connection gets an account."""
        self.end = "the connection was lost"
        """How it ended, for the access log."""

    async def run(self) -> None:
        """Take what comes until the end."""
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._guard())]
        try:
            await self._work()
            self.end = self._link.why or self.end
        except ConnectionClosed as closed:
            await self._closed(closed)
        except InputError as error:
            # The message was well-formed and says what cannot be: a time outside of all years, for one.
            await self._house.refuse(self._link, self.account, Refused("invalid", str(error), "", True))
        except Exception as defect:  # noqa: BLE001 - one terminal's defect must not stop the others; it is reported, not hidden
            self._house.report(f"session of account {self.account}", defect)
            await self._link.close(_INTERNAL_ERROR, "the daemon could not handle a message; see its journal")
        finally:
            self._link.is_open = False
            self._inlet.end()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            try:
                if self._desk is not None:
                    await self._desk.leave(self._link)
            except Exception as defect:  # noqa: BLE001 - likewise
                self._house.report(f"session of account {self.account}", defect)
            finally:
                self._link.over.set()

    # --- reading --------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        """Put what comes into the queue; whatever ends the connection ends the queue."""
        try:
            await self._read_on()
        except Exception as error:  # noqa: BLE001 - the worker raises it, after everything that came before it
            self._inlet.end(error)

    async def _read_on(self) -> None:
        receive, recv, inlet = self._protocol.receive, self._connection.recv, self._inlet
        while True:
            frame = await recv(decode=False)
            arrived_ns = time.perf_counter_ns()
            self._heard += 1
            received = receive(frame)
            if isinstance(received, Greeting):
                # From now on frames may be large, and quotes of a terminal by the clock may make room for later ones.
                self._connection.protocol.max_message_size = self._limit
                inlet.may_drop = not received.hello.lockstep
            inlet.put(Item(received, len(frame), arrived_ns))
            self._link.queued = len(inlet)
            if inlet.is_full:
                await inlet.room()
            elif len(frame) >= _LARGE and isinstance(received, Deals | Bars):
                # An answer in many frames takes several times its size once it is decoded: one after the other.
                await inlet.emptied()

    # --- working --------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        inlet, link = self._inlet, self._link
        yielded_ns = time.perf_counter_ns()
        while (item := await inlet.get()) is not None:
            link.queued = len(inlet)
            desk = self._desk
            if desk is not None and desk.link is not link:
                return  # Another connection has the account.
            for dropped in inlet.take_dropped() if desk is not None else ():
                desk.dropped(dropped)  # type: ignore[union-attr]  # looked at in the line before
            if not await self._take(item):
                return
            now_ns = time.perf_counter_ns()
            if now_ns - yielded_ns > _TURN_NS:
                await asyncio.sleep(0)
                yielded_ns = time.perf_counter_ns()

    async def _take(self, item: Item) -> bool:
        """Do what one frame says; returns whether there is going on."""
        received, desk = item.received, self._desk
        if isinstance(received, Gapped):
            if desk is None:
                return False
            await desk.resync(received.expected_seq)
            received = received.message
        if isinstance(received, Refused):
            await self._house.refuse(self._link, self.account, received)
            if received.lost and not received.is_fatal and desk is not None:
                await desk.lose(received.lost, received.text)
            return not received.is_fatal
        if isinstance(received, Greeting):
            await self._greeted(received)
            return self._desk is not None
        if desk is None:
            return False
        if isinstance(received, Partial):
            await desk.miss(received)
            received = received.message
        await desk.handle(received, item.arrived_ns)
        return True

    async def _greeted(self, greeting: Greeting) -> None:
        self._protocol.begin_session()
        self._desk = await self._house.admit(self._link, greeting)
        if self._desk is not None:
            if self.account is None:
                self.account = greeting.account
                self.on_known()
            self._is_by_the_clock = not greeting.hello.lockstep

    # --- watching -------------------------------------------------------------------------------------------------

    async def _guard(self) -> None:
        try:
            await self._watch()
        except Exception as error:  # noqa: BLE001 - the worker raises it
            self._inlet.end(error)

    async def _watch(self) -> None:
        """Look at what no message tells. Looks are counted, not seconds: a daemon that stood still blames nobody for it."""
        patience, link = self._patience, self._link
        silent = stuck = unknown = 0
        heard = self._heard
        while link.is_open:
            await asyncio.sleep(patience.look_s)
            is_quiet = self._heard == heard and not len(self._inlet) and self._is_by_the_clock
            silent = silent + 1 if is_quiet else 0
            stuck = stuck + 1 if link.unsent else 0
            unknown = unknown + 1 if self.account is None else 0
            heard = self._heard
            if silent * patience.look_s >= _MISSED_HEARTBEATS * patience.heartbeat_s:
                link.abort(f"{_MISSED_HEARTBEATS} heartbeats in a row are missing; the connection counts as dead")
            elif stuck * patience.look_s >= patience.send_s:
                link.abort(f"it took nothing for {patience.send_s:g} s")
            elif unknown * patience.look_s >= patience.hello_s:
                text = f"no hello came within {patience.hello_s:g} s"
                await self._house.refuse(link, None, Refused("unauthenticated", text, "silence", True))
            elif self.account is not None and not self._house.is_welcome(self.account, link.token_id):
                text = "the token was revoked; set another one in the terminal"
                await self._house.refuse(link, self.account, Refused("unauthenticated", text, "open session", True))

    async def _closed(self, closed: ConnectionClosed) -> None:
        """Say how it ended; a frame too large for the socket is a refusal."""
        link = self._link
        if closed.sent is not None and closed.sent.code == _MESSAGE_TOO_BIG:
            limit = self._connection.protocol.max_message_size
            text = f"a frame was larger than {limit} bytes; send smaller batches"
            await self._house.refuse(link, self.account, Refused("oversized", text, f"frame over {limit} bytes", True))
            self.end = "a frame was too large"
        elif link.why:
            self.end = link.why
        elif closed.rcvd is not None:
            self.end = f"the terminal closed it ({closed.rcvd.code} {closed.rcvd.reason})".replace(" )", ")")
