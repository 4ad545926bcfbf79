"""One terminal's connection: numbered frames out, and who is at the other end. Bytes in are read by `live.bridge`."""

from __future__ import annotations

import asyncio
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from live.clock import SystemClock
from live.protocol import TerminalProtocol
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.messages import Message, Refusal

_POLICY_VIOLATION = 1008


class Link:
    """The sending side of one connection. Frames leave in the order of their sequence numbers."""

    def __init__(self, protocol: TerminalProtocol, connection: ServerConnection) -> None:
        self._protocol = protocol
        self._connection = connection
        self._clock = SystemClock()
        self.is_open = True

    @property
    def session(self) -> str:
        """Session of the connection; empty before hello."""
        return self._protocol.session

    @property
    def remote(self) -> str:
        """Address of the other end."""
        address = self._connection.remote_address
        return str(address[0]) if address else "unknown"

    async def send(self, kind: type[Message], **fields: Any) -> bool:
        """Send one message; returns whether it was handed to the socket. Numbering and writing happen without a pause."""
        if not self.is_open:
            return False
        try:
            await self._connection.send(self._protocol.frame(kind, to_ms(self._clock.now()), **fields))
        except ConnectionClosed:
            self.is_open = False
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
        await self._connection.close(code, reason[:100])

    async def answers(self, timeout_s: float) -> bool:
        """Ask the other end for a sign of life."""
        try:
            pong = await self._connection.ping()
            async with asyncio.timeout(timeout_s):
                await pong
        except (ConnectionClosed, TimeoutError):
            return False
        return True
