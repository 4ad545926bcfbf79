"""One connection to the daemon: messages become frames with session, sequence and time; frames become messages.

What the messages mean is `terminal`'s business. A link is used once; a new connection is a new link with a new session.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from trading_assets.core.errors import InputError
from trading_assets.core.messages import (
    DaemonBeat,
    FromDaemon,
    Message,
    Refusal,
    Welcome,
    decode_from_daemon,
    encode_message,
)

MAX_FRAME_BYTES = 4 * 1024 * 1024
_CONNECT_TIMEOUT_S = 10.0


class LinkLost(Exception):
    """The connection is gone; what was not acknowledged may or may not have arrived."""


class Reinitialised(Exception):
    """The expert was initialised anew: it greets again, over this connection or a new one."""


@dataclass(frozen=True)
class LinkFaults:
    """What one connection suffers: after how many messages of a session, 0 for never. The words are `faults`'."""

    cut_after: int = 0
    freeze_after: int = 0
    freeze_s: float = 0.0
    reinit_after: int = 0
    slow_read_s: float = 0.0


SOUND = LinkFaults()


class Link:
    """An open connection. `now_msc` says the server time to stamp on messages."""

    def __init__(self, socket: ClientConnection, now_msc: Callable[[], int], faults: LinkFaults = SOUND) -> None:
        self._socket = socket
        self._now_msc = now_msc
        self._faults = faults
        self._expected = 1
        self._is_left = False
        self.session = ""
        self.sent = 0
        """Sequence number of the last message sent."""
        self.was_cut = False
        self.was_frozen = False
        self.was_reinitialised = False

    def begin_again(self) -> None:
        """Forget the session: the next message is a hello. What the daemon still says in the old one is not heard."""
        self.session, self.sent, self._expected, self._is_left = "", 0, 1, True

    def cut(self) -> None:
        """Cut the connection. Raises LinkLost."""
        self._socket.transport.abort()
        raise LinkLost("cut on purpose")

    async def freeze(self, seconds: float) -> None:
        """Neither read nor write nor answer pings for so long, then give the connection up. Raises LinkLost."""
        self._socket.transport.pause_reading()
        await asyncio.sleep(seconds)
        self._socket.transport.abort()
        raise LinkLost("frozen on purpose")

    async def send(self, kind: type[Message], **fields: Any) -> int:
        """Send a message under this session's next sequence number, which is returned. Raises LinkLost."""
        return await self._send(kind(**self._envelope(), **fields))

    async def send_again(self, message: Message) -> int:
        """Send a message made earlier, or for another session, as one of this session. Raises LinkLost."""
        return await self._send(msgspec.structs.replace(message, **self._envelope()))

    def _envelope(self) -> dict[str, Any]:
        return {"session": self.session, "seq": self.sent + 1, "sent_msc": self._now_msc()}

    async def _send(self, message: Message) -> int:
        faults = self._faults
        if faults.cut_after and self.sent >= faults.cut_after:
            self.was_cut = True
            self.cut()
        if faults.freeze_after and self.sent >= faults.freeze_after:
            self.was_frozen = True
            await self.freeze(faults.freeze_s)
        if faults.reinit_after and self.sent >= faults.reinit_after and not self.was_reinitialised:
            self.was_reinitialised = True
            raise Reinitialised
        try:
            await self._socket.send(encode_message(message))
        except ConnectionClosed as error:
            raise LinkLost(_closing_words(error)) from error
        self.sent += 1
        return self.sent

    async def receive(self, timeout_s: float | None) -> FromDaemon | None:
        """Return the daemon's next message, or None when none came in time. Raises LinkLost, InputError."""
        if self._faults.slow_read_s:
            await asyncio.sleep(self._faults.slow_read_s)
        try:
            async with asyncio.timeout(timeout_s):
                frame = await self._socket.recv()
        except TimeoutError:
            return None
        except ConnectionClosed as error:
            raise LinkLost(_closing_words(error)) from error
        try:
            message = decode_from_daemon(frame)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise InputError(
                "reading a frame of", "the daemon", str(error), "run terminal and daemon of the same version"
            ) from error
        if self._is_left and not isinstance(message, Welcome | Refusal):
            return DaemonBeat(session="", seq=0, sent_msc=0)  # Of the session before: nobody is there to hear it.
        self._is_left = False
        if message.seq != self._expected:
            raise LinkLost(f"the daemon's message {self._expected} is missing, {message.seq} came")
        self._expected += 1
        return message

    async def ping(self) -> asyncio.Future[float]:
        """Send a ping; `has_answered` says whether the daemon has read everything sent before it. Raises LinkLost."""
        try:
            return await self._socket.ping()  # type: ignore[return-value]  # the pong is a future, typed as awaitable
        except ConnectionClosed as error:
            raise LinkLost(_closing_words(error)) from error

    def has_answered(self, pong: asyncio.Future[float]) -> bool:
        """Return whether a ping was answered. Raises LinkLost when it never will be."""
        if not pong.done():
            return False
        if pong.exception() is not None:
            raise LinkLost("the connection was lost")
        return True

    async def close(self) -> None:
        """Close the connection; may be called again and after it is lost."""
        await self._socket.close()


async def open_link(
    url: str,
    now_msc: Callable[[], int],
    faults: LinkFaults = SOUND,
    keepalive_s: float | None = 20.0,
    ca: Path | None = None,
) -> Link:
    """Connect. Raises LinkLost when nobody answers, InputError for an address that is none or a daemon that says no.

    `ca`: file with the certificates a `wss://` daemon is trusted by; without it those of the system.
    """
    try:
        socket = await connect(
            url,
            compression=None,
            max_size=MAX_FRAME_BYTES,
            proxy=None,
            open_timeout=_CONNECT_TIMEOUT_S,
            ping_interval=keepalive_s,
            ssl=_trust(ca) if url.startswith("wss:") else None,
        )
    except ssl.SSLCertVerificationError as error:
        raise InputError(
            "connecting to",
            url,
            f"its certificate is not trusted: {error.verify_message}",
            "pass --ca with its authority",
        ) from error
    except InvalidURI as error:
        raise InputError(
            "connecting to", url, "this is not a websocket address", "pass --url like ws://127.0.0.1:8765"
        ) from error
    except InvalidStatus as error:
        words = (error.response.body or b"").decode(errors="replace").strip()
        problem = f"it answered {error.response.status_code} {words}".rstrip()
        raise InputError("connecting to", url, problem, "pass the --url the daemon printed, and its token") from error
    except (OSError, InvalidHandshake) as error:
        raise LinkLost(f"the daemon does not answer: {str(error) or type(error).__name__}") from error
    return Link(socket, now_msc, faults)


def _trust(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            "reading certificates from", ca or "the system", str(error), "pass --ca with a PEM file"
        ) from error


def _closing_words(error: ConnectionClosed) -> str:
    frame = error.rcvd
    return (
        f"the connection was closed ({frame.code}{' ' + frame.reason if frame.reason else ''})"
        if frame
        else "the connection was lost"
    )
