"""A connection whose account another one has by now: what it still holds is not handed to a desk that is not its any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from websockets.exceptions import ConnectionClosedOK

from live.bridge.conversation import Conversation, House, Patience
from live.bridge.inlet import Dropped
from live.bridge.link import Link
from live.bridge.protocol import Greeting, Received, Refused
from trading_assets.core.messages import FromTerminal, Hello, TerminalHeartbeat


class Scripted:
    """A connection and its protocol: these messages come, then the other end closes."""

    def __init__(self, *received: Received) -> None:
        self._coming = list(received)
        self.protocol = self.transport = self
        self.max_message_size = 0
        self.session = self.token_id = ""

    async def recv(self, *, decode: bool) -> bytes:
        assert not decode
        await asyncio.sleep(0)
        if not self._coming:
            raise ConnectionClosedOK(None, None)
        return b"frame"

    def receive(self, frame: bytes) -> Received:
        assert frame == b"frame"
        return self._coming.pop(0)

    def begin_session(self) -> None:
        """Messages are numbered elsewhere."""

    def get_write_buffer_size(self) -> int:
        return 0


class LosingDesk:
    """A desk that is given to another connection while it handles the second message."""

    pause_s = 0.0

    def __init__(self) -> None:
        self.link: Link | None = None
        self.handled: list[int] = []
        self.left: list[Link] = []

    async def greet(self, link: Link, hello: Hello) -> None:  # noqa: ARG002 - as the protocol names it, here and below
        self.link = link

    async def handle(self, message: FromTerminal, arrived_ns: int) -> None:  # noqa: ARG002
        self.handled.append(message.seq)
        if message.seq == 2:
            self.link = Link(None, None)  # type: ignore[arg-type]  # nothing is sent over it

    async def resync(self, expected_seq: int) -> None:  # noqa: ARG002
        raise AssertionError("nothing is missing")

    def dropped(self, quotes: Dropped) -> None:  # noqa: ARG002
        raise AssertionError("nothing was dropped")

    async def leave(self, link: Link) -> None:
        self.left.append(link)


async def test_messages_of_a_connection_that_lost_its_account_are_not_handled(record_of: Callable[..., Any]) -> None:
    beats = [TerminalHeartbeat(session="s", seq=seq, sent_msc=0, server_time_msc=seq) for seq in (1, 2, 3, 4)]
    scripted: Any = Scripted(Greeting(record_of(Hello, lockstep=True), "demo", "token", "s"), *beats)
    link, desk = Link(scripted, scripted), LosingDesk()
    reported: list[BaseException] = []

    async def admit(mine: Link, greeting: Greeting) -> LosingDesk:
        await desk.greet(mine, greeting.hello)
        return desk

    async def refuse(_link: Link, _account: str | None, refused: Refused) -> None:
        raise AssertionError(refused.text)

    house = House(admit, refuse, lambda _account, _token: True, lambda _where, defect: reported.append(defect))
    async with asyncio.timeout(10):
        await Conversation(scripted, scripted, link, house, Patience(), 1 << 20).run()
    assert desk.handled == [1, 2]
    assert (desk.left, reported) == ([link], [])
    assert link.over.is_set()
