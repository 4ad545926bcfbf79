"""One terminal's connection: numbered frames out, and who is at the other end. Bytes in are read by `live.bridge.conversation`.

Nobody waits long for a terminal that does not read: frames wait in a small buffer, and a connection whose buffer does not
empty in time is cut, which makes its orders UNKNOWN (invariant 4).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from live.bridge.protocol import TerminalProtocol
from live.clock import SystemClock
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.messages import DaemonBeat, Message, Refusal

WRITE_LIMIT = 256 * 1024
"""Bytes that may wait for the socket before a sender has to."""
_POLICY_VIOLATION = 1008
# A connection that is lost while it is being closed is aborted once more by websockets, when its transport has let go of
# the loop already: on Python 3.11 that is an AttributeError.
_GONE = (ConnectionClosed, AttributeError)


class Link:
    """The sending side of one connection. Frames leave in the order of their sequence numbers."""

    def __init__(self, protocol: TerminalProtocol, connection: ServerConnection, send_timeout_s: float = 5.0) -> None:
        self._protocol = protocol
        self._connection = connection
        self._send_timeout_s = send_timeout_s
        self._clock = SystemClock()
        self.is_open = True
        self.why = ""
        """Why this side ended it; empty while it did not."""
        self.queued = 0
        """Messages that were read and wait for the desk."""
        self.over = asyncio.Event()
        """Set once the connection is gone and everything that came over it has been taken."""

    @property
    def session(self) -> str:
        """Session of what is sent; empty before hello."""
        return self._protocol.session

    @property
    def token_id(self) -> str:
        """Beginning of the hash of the token shown; empty before hello."""
        return self._protocol.token_id

    @property
    def remote(self) -> str:
        """Address of the other end."""
        address = self._connection.remote_address
        return str(address[0]) if address else "unknown"

    @property
    def unsent(self) -> int:
        """Bytes that wait for the other end to read."""
        return int(self._connection.transport.get_write_buffer_size())

    async def send(self, kind: type[Message], **fields: Any) -> bool:
        """Send one message; returns whether it was handed to the socket. Numbering and writing happen without a pause.

        A sign of life is left out while earlier frames still wait: it would say nothing and only wait behind them.
        """
        if not self.is_open or (kind is DaemonBeat and self.unsent > 0):
            return False
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await self._connection.send(self._protocol.frame(kind, to_ms(self._clock.now()), **fields))
        except _GONE:
            self.is_open = False
            return False
        except TimeoutError:
            self.abort(f"it took nothing for {self._send_timeout_s:g} s")
            return False
        return True

    async def refuse(self, code: str, text: str, *, is_fatal: bool) -> None:
        """Answer a refused frame, and hang up when there is no going on."""
        await self.send(Refusal, code=code, text=text)
        if is_fatal:
            await self.close(_POLICY_VIOLATION, code)

    async def close(self, code: int, reason: str) -> None:
        """Hang up. Closing twice is harmless."""
        self.is_open = False
        self.why = self.why or reason
        with suppress(AttributeError):
            await self._connection.close(code, reason[:100])

    def abort(self, why: str) -> None:
        """Cut a connection whose other end does not answer: there is nobody to say goodbye to."""
        self.is_open = False
        self.why = self.why or why
        with suppress(AttributeError):
            self._connection.transport.abort()

    async def hold(self, seconds: float) -> None:
        """Let the other end wait; who hangs up meanwhile gives its place back at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._connection.wait_closed()

    async def answers(self, timeout_s: float) -> bool:
        """Ask the other end for a sign of life."""
        try:
            async with asyncio.timeout(timeout_s):
                pong = await self._connection.ping()
                await pong
        except (*_GONE, TimeoutError):
            return False
        return True
