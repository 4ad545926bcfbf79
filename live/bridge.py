"""The bridge's sockets: one port for terminals (websocket) and for `GET /status`; frames in, messages to the desks.

What a frame means is `live.protocol` (without I/O) and `live.desk`. The bridge decides who may connect: one terminal
an account, several accounts side by side, and a pause for whoever keeps offering wrong tokens.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Any, Protocol

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from live.link import Link
from live.protocol import MAX_FRAME_BYTES, Gapped, Refused, TerminalProtocol
from trading_assets.core.errors import TradingError, UnavailableError
from trading_assets.core.messages import FromTerminal, Hello

# The socket takes somewhat more than the protocol, so that an oversized frame gets a sentence and not only a code.
_SOCKET_LIMIT = 4 * MAX_FRAME_BYTES
_FAILURES_ALLOWED = 5
_FAILURE_WINDOW_S = 60.0
_LIVENESS_S = 2.0
_INTERNAL_ERROR = 1011
_MESSAGE_TOO_BIG = 1009


class Terminals(Protocol):
    """What the bridge needs from the desk of one account."""

    link: Link | None

    async def greet(self, link: Link, hello: Hello) -> None:
        """A terminal authenticated for this account; a new session begins."""

    async def handle(self, message: FromTerminal, arrived_ns: int) -> None:
        """One message of the session, in order."""

    async def resync(self, expected_seq: int) -> None:
        """Messages before the next one are missing."""

    async def leave(self, link: Link) -> None:
        """The connection is gone."""


Refuse = Callable[[str | None, Refused], None]
"""Records a refusal: account (None before hello) and what was refused."""


class Bridge:
    """Listens while inside `async with`."""

    def __init__(
        self,
        desks: Mapping[str, Terminals],
        tokens: Mapping[str, str],
        *,
        status: Callable[[], dict[str, Any]],
        record_refusal: Refuse,
        report: Callable[[str, BaseException], None],
    ) -> None:
        self._desks = desks
        self._tokens = tokens
        self._status = status
        self._record_refusal = record_refusal
        self._report = report
        self._failures: dict[str, deque[float]] = {}
        self._stack = AsyncExitStack()
        self._server: Server | None = None

    async def open(self, host: str, port: int) -> int:
        """Start listening; returns the port. Raises UnavailableError when it is taken."""
        try:
            # Batches are small and come one after the other: compression would only add latency. asyncio sets TCP_NODELAY.
            self._server = await self._stack.enter_async_context(
                serve(
                    self._serve,
                    host,
                    port,
                    process_request=self._answer_http,
                    compression=None,
                    max_size=_SOCKET_LIMIT,
                    max_queue=64,
                    ping_timeout=60,
                    close_timeout=2,
                )
            )
        except OSError as error:
            problem = error.strerror or str(error)
            hint = "end the other program or choose another port in settings.toml"
            raise UnavailableError("listening on", f"{host}:{port}", problem, hint) from error
        return int(next(iter(self._server.sockets)).getsockname()[1])

    async def close(self) -> None:
        """Stop listening and hang up. Closing twice is harmless."""
        await self._stack.aclose()

    async def _serve(self, connection: ServerConnection) -> None:
        """Read one connection until it ends."""
        protocol = TerminalProtocol(self._tokens, lambda: secrets.token_hex(8))
        link = Link(protocol, connection)
        try:
            await self._read(connection, protocol, link)
        except ConnectionClosed as closed:
            if closed.sent is not None and closed.sent.code == _MESSAGE_TOO_BIG:
                text = f"a frame was larger than {_SOCKET_LIMIT} bytes; send smaller batches"
                self._record_refusal(
                    protocol.account, Refused("oversized", text, f"frame over {_SOCKET_LIMIT} bytes", True)
                )
        except TradingError as error:
            # The message was well-formed and says what cannot be: a time outside of all years, for one.
            await self._refuse(link, protocol.account, Refused("invalid", str(error), "", True))
        except Exception as defect:  # noqa: BLE001 - one terminal's defect must not stop the others; it is reported, not hidden
            self._report(f"session of account {protocol.account}", defect)
            await link.close(_INTERNAL_ERROR, "the daemon could not handle a message; see its journal")
        finally:
            link.is_open = False
            if protocol.account is not None:
                await self._desks[protocol.account].leave(link)

    async def _read(self, connection: ServerConnection, protocol: TerminalProtocol, link: Link) -> None:
        receive, desk = protocol.receive, None
        while True:
            frame = await connection.recv(decode=False)
            arrived_ns = time.perf_counter_ns()
            received = receive(frame)
            if isinstance(received, Refused):
                await self._refuse(link, protocol.account, received)
            elif isinstance(received, Hello):
                desk = await self._admit(protocol, link, received)
            elif desk is not None and isinstance(received, Gapped):
                await desk.resync(received.expected_seq)
                await desk.handle(received.message, arrived_ns)
            elif desk is not None:
                await desk.handle(received, arrived_ns)  # type: ignore[arg-type]  # Gapped is handled above

    async def _admit(self, protocol: TerminalProtocol, link: Link, hello: Hello) -> Terminals | None:
        """Give the account to this connection unless another terminal, still alive, holds it."""
        account = protocol.account
        assert account is not None, "the protocol lets a hello through only for an account"
        desk = self._desks[account]
        holder = desk.link
        if holder is not None and holder is not link:
            if await holder.answers(_LIVENESS_S):
                text = f"another terminal ({holder.remote}) is connected for account {account}; stop it first"
                protocol.account = None
                await self._refuse(link, account, Refused("token_in_use", text, f"hello from {link.remote}", True))
                return None
            await holder.close(_INTERNAL_ERROR, "replaced by a new connection of the same account")
            await desk.leave(holder)
        await desk.greet(link, hello)
        return desk if desk.link is link else None

    async def _refuse(self, link: Link, account: str | None, refused: Refused) -> None:
        self._record_refusal(account, refused)
        if refused.reason == "unauthenticated":
            self._failures.setdefault(link.remote, deque(maxlen=_FAILURES_ALLOWED)).append(time.monotonic())
        await link.refuse(refused.reason, refused.text, is_fatal=refused.is_fatal)

    def _is_paused(self, remote: str) -> bool:
        failures = self._failures.get(remote)
        if failures is None or time.monotonic() - failures[0] > _FAILURE_WINDOW_S:
            return False
        return len(failures) == _FAILURES_ALLOWED

    def _answer_http(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer `GET /status`; everything else must be a websocket."""
        if request.path == "/status":
            body = msgspec.json.encode(self._status(), enc_hook=str)
            response = connection.respond(HTTPStatus.OK, body.decode())
            del response.headers["Content-Type"]
            response.headers["Content-Type"] = "application/json"
            return response
        remote = connection.remote_address
        if remote and self._is_paused(str(remote[0])):
            text = f"too many wrong tokens; wait {_FAILURE_WINDOW_S:.0f} s and correct the token\n"
            return connection.respond(HTTPStatus.TOO_MANY_REQUESTS, text)
        return None
