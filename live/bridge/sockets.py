"""The bridge's sockets: one port for terminals (websocket) and for the pages of `live.bridge.pages`; who may have which account.

What happens on one connection is `live.bridge.conversation`, what a frame means `live.bridge.protocol` and `live.desk.desk`. Here is who may
connect: one terminal an account, several accounts side by side, few strangers at once, no web page, and a pause for whoever
keeps offering what opens nothing.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from live.bridge.access import Visit
from live.bridge.arrivals import BACKLOG, HANDSHAKE_S, Arrival, Arrivals, Places, raise_descriptor_limit
from live.bridge.conversation import Conversation, House, Patience, Terminals
from live.bridge.keyring import Keyring
from live.bridge.link import WRITE_LIMIT, Link
from live.bridge.pages import Pages, described
from live.bridge.protocol import MAX_FRAME_BYTES, Greeting, Refused, TerminalProtocol
from live.bridge.visitors import Visitors
from live.disk_thread import DiskThread
from trading_assets.core.errors import InputError, UnavailableError

# The socket takes somewhat more than the protocol, so that an oversized frame gets a sentence and not only a code.
_SOCKET_LIMIT = 2 * MAX_FRAME_BYTES
_STRANGERS_LIMIT = 64 * 1024
"""Bytes of a frame before hello: nobody unknown may fill the memory."""
_MOST_STRANGERS = 64
"""Connections at once that have no account yet."""
_MOST_STRANGERS_OF_ONE = 16
"""Such connections of one address."""
_FRAMES_WAITING = 8
_LIVENESS_S = 2.0
_TAKING_OVER_S = 10.0
_LOOK_S = 0.25
_TRY_AGAIN_LATER = 1013
# Whoever may not come in yet is told so after a while, so that asking again and again costs little.
_HELD_S = 1.0
_INTERNAL_ERROR = 1011


class Bridge:
    """Listens while inside `open` and `close`."""

    def __init__(
        self,
        desks: Mapping[str, Terminals],
        keyring: Keyring,
        visitors: Visitors,
        *,
        pages: Pages,
        report: Callable[[str, BaseException], None],
        patience: Patience,
        origins: Collection[str] = (),
    ) -> None:
        """`origins`: web pages that may open a connection; a terminal is none and names none."""
        self._desks = desks
        self._keyring = keyring
        self._visitors = visitors
        self._pages = pages
        self._report = report
        self._patience = patience
        self._doors = {account: asyncio.Lock() for account in desks}
        self._house = House(self._admit, self._refuse, keyring.opens, report)
        self._origins = frozenset(origins)
        self._arrivals = Arrivals(raise_descriptor_limit())
        self._strangers: Places[Link] = Places(_MOST_STRANGERS, _MOST_STRANGERS_OF_ONE)
        self._stack = AsyncExitStack()
        self._disk = DiskThread("tokens")
        self._looking: list[asyncio.Task[None]] = []

    async def open(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Start listening; returns the port. Raises UnavailableError when it is taken."""
        self._keyring.look()
        try:
            # Batches are small and come one after the other: compression would only add latency. asyncio sets TCP_NODELAY.
            server = await self._stack.enter_async_context(
                serve(
                    self._serve,
                    host,
                    port,
                    process_request=self._answer_http,
                    create_connection=partial(Arrival, arrivals=self._arrivals),  # type: ignore[arg-type]
                    open_timeout=HANDSHAKE_S,
                    backlog=BACKLOG,
                    compression=None,
                    max_size=_STRANGERS_LIMIT,
                    max_queue=_FRAMES_WAITING,
                    write_limit=WRITE_LIMIT,
                    ping_timeout=60,
                    close_timeout=2,
                    ssl=tls,
                    # A handshake that fails is the other side's mistake: it is not this log's to repeat, with a traceback.
                    logger=_quiet_logger(),
                )
            )
        except OSError as error:
            problem = error.strerror or str(error)
            hint = "end the other program or choose another port in settings.toml"
            raise UnavailableError("listening on", f"{host}:{port}", problem, hint) from error
        looks = (self._follow_tokens, self._tell_counted)
        self._looking = [asyncio.create_task(self._again_and_again(look)) for look in looks]
        return int(next(iter(server.sockets)).getsockname()[1])

    async def close(self) -> None:
        """Stop listening and hang up. Closing twice is harmless."""
        for task in self._looking:
            task.cancel()
        await asyncio.gather(*self._looking, return_exceptions=True)
        self._looking = []
        self._disk.close()
        await self._stack.aclose()
        self._visitors.look(is_end=True)

    async def _again_and_again(self, look: Callable[[], Awaitable[object]]) -> None:
        """Look a few times a second, until the end."""
        told = ""
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                await look()
                told = ""
            except Exception as defect:  # noqa: BLE001 - terminals stay connected; it is reported, not hidden
                # Once for as long as it lasts: four times a second would fill the journal.
                if repr(defect) != told:
                    self._report("live.bridge.sockets", defect)
                told = repr(defect)

    async def _follow_tokens(self) -> None:
        """Follow the tokens on disk; a disk that hangs holds up nobody who is known already."""
        self._keyring.take(await self._disk.call(self._keyring.scan))

    async def _tell_counted(self) -> None:
        """Tell what was only counted."""
        self._visitors.look()

    async def _serve(self, connection: ServerConnection) -> None:
        """Have one conversation. What it does not expect is reported: the library would tell a log that says nothing."""
        self._arrivals.greeted(connection)
        try:
            await self._converse(connection)
        except Exception as defect:  # noqa: BLE001 - one terminal's defect must not stop the others; it is reported, not hidden
            self._report("live.bridge.sockets", defect)
            await connection.close(_INTERNAL_ERROR, "the daemon could not handle the session; see its journal")

    async def _converse(self, connection: ServerConnection) -> None:
        """Have one conversation, from its first frame to its end."""
        protocol = TerminalProtocol(self._keyring.judge, lambda: secrets.token_hex(8))
        link = Link(protocol, connection, self._patience.send_s)
        log = self._visitors.log
        leaving = self._strangers.take(link, link.remote)
        if leaving is not None:
            # Whoever comes last may be the terminal: it says hello at once.
            text = "too many connections without an account: the oldest has to go"
            log.note(Visit("refused", leaving.remote, text))
            leaving.abort(text)
        log.note(Visit("connected", link.remote, "a websocket was opened"))
        talk = Conversation(connection, protocol, link, self._house, self._patience, _SOCKET_LIMIT)
        talk.on_known = lambda: self._strangers.leave(link)
        try:
            await talk.run()
        finally:
            self._strangers.leave(link)
            log.note(Visit("left", link.remote, talk.end, talk.account, link.token_id, link.session))

    # --- who may come in ------------------------------------------------------------------------------------------

    async def _admit(self, link: Link, greeting: Greeting) -> Terminals | None:
        """Give the account to this connection unless another terminal, still alive, holds it."""
        account = greeting.account
        desk = self._desks[account]
        if desk.pause_s > 0.0:
            await self._hold_off(desk.pause_s, link, greeting)
            return None
        if desk.link is link:
            # It is in already and begins anew. At the door it would wait for whoever waits there for it to be gone.
            if not link.is_open:
                return None
            await desk.greet(link, greeting.hello)
        else:
            async with self._doors[account]:
                if not await self._is_free(desk, link, greeting):
                    return None
                await desk.greet(link, greeting.hello)
        if desk.link is not link:
            self._visitors.log.note(
                Visit("refused", link.remote, link.why, account, greeting.token_id, greeting.session)
            )
            return None
        hello = greeting.hello
        pace = "in lockstep" if hello.lockstep else "by the clock"
        text = f"account {account}, login {hello.account.login} at {hello.account.server}, build {hello.build}, {pace}"
        self._visitors.log.note(Visit("admitted", link.remote, text, account, greeting.token_id, greeting.session))
        return desk

    async def _hold_off(self, pause_s: float, link: Link, greeting: Greeting) -> None:
        """Let nobody in for a while: each session ended by a defect of this software, and the next one would."""
        text = f"account {greeting.account} is closed for {pause_s:.0f} s: its messages could not be handled; see the journal"
        self._visitors.log.note(
            Visit("refused", link.remote, text, greeting.account, greeting.token_id, greeting.session)
        )
        await link.hold(min(pause_s, _HELD_S))
        await link.close(_TRY_AGAIN_LATER, text)

    async def _is_free(self, desk: Terminals, link: Link, greeting: Greeting) -> bool:
        """Return whether nobody else, still alive, has the account; who does not answer is cut off."""
        holder = desk.link
        if holder is None or holder is link:
            return True
        if holder.is_open and await holder.answers(_LIVENESS_S):
            text = f"another terminal ({holder.remote}) is connected for account {greeting.account}; stop it first"
            await self._refuse(link, None, Refused("token_in_use", text, f"hello from {link.remote}", True))
            return False
        holder.abort("it did not answer, and a new connection of the same account came")
        # What came over it before, results of trades for one, is taken first.
        with suppress(TimeoutError):
            async with asyncio.timeout(_TAKING_OVER_S):
                await holder.over.wait()
        await desk.leave(holder)
        return link.is_open

    async def _refuse(self, link: Link, account: str | None, refused: Refused) -> None:
        visitors = self._visitors
        visitors.refuse(account, refused)
        visitors.log.note(
            Visit("refused", link.remote, f"{refused.reason}: {refused.text}", account, link.token_id, link.session)
        )
        if refused.reason in ("unauthenticated", "token_in_use"):
            # Only what opens nothing has to wait: the right token gets through from the same address.
            if visitors.pauses.holds(link.remote):
                await link.hold(_HELD_S)
            visitors.pauses.fail(link.remote)
        await link.refuse(refused.reason, refused.text, is_fatal=refused.is_fatal)

    def _answer_http(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a page; everything else must be a websocket."""
        address = connection.remote_address
        remote = str(address[0]) if address else "unknown"
        is_upgrade = _header(request, "Upgrade").lower() == "websocket"
        try:
            page = self._pages.answer(
                request.method, request.path, remote, is_upgrade=is_upgrade, host=_header(request, "Host")
            )
        except Exception as defect:  # noqa: BLE001 - as in `_serve`; who asked is told, too
            self._report("live.bridge.pages", defect)
            text = "this page could not be made; see the daemon's log\n"
            return connection.respond(HTTPStatus.INTERNAL_SERVER_ERROR, text)
        if page is not None:
            asked = f"{described(request.method, request.path)}: {page.status.value}"
            self._visitors.log.note(Visit("asked", remote, asked))
            response = connection.respond(page.status, page.body.decode())
            del response.headers["Content-Type"]
            response.headers["Content-Type"] = page.content_type
            return response
        pages = request.headers.get_all("Origin")
        if any(page not in self._origins for page in pages):
            text = "a web page may not connect here; name it in `allowed_origins` of settings.toml if it is meant to\n"
            self._visitors.log.note(Visit("refused", remote, "the handshake came from a web page (it has an Origin)"))
            return connection.respond(HTTPStatus.FORBIDDEN, text)
        return None


def _header(request: Request, name: str) -> str:
    """Return a header, of one that was given twice both."""
    return ", ".join(request.headers.get_all(name))


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return what TLS 1.2 and later need. Raises InputError for files that are no certificate and its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:  # SSLError is one
        problem = error.strerror or str(error)
        hint = "name a certificate chain and its key, both PEM, in [tls] of settings.toml"
        raise InputError("reading the certificate", certificate, problem, hint) from error
    return context


def _quiet_logger() -> logging.Logger:
    logger = logging.getLogger("live.sockets")
    logger.setLevel(logging.CRITICAL)
    return logger
