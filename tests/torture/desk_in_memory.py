"""A desk whose journal is a list of nothing and whose terminal is a list of frames: for inputs by the thousand.

Every record handed to the journal is encoded and read back, as the real one does with decisions.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rubbish import TOKEN, messages

from live.bridge.damaged_elements import Partial
from live.bridge.inlet import Dropped
from live.bridge.keyring import Keyring
from live.bridge.protocol import Gapped, Greeting, Refused, TerminalProtocol
from live.clock import SystemClock
from live.desk.account import Account
from live.desk.desk import Desk
from live.settings import AccountSettings, Settings
from trading_assets.core.errors import TradingError
from trading_assets.core.messages import Message, Query, encode_message
from trading_assets.core.records.codec import decode_record, encode_record
from trading_assets.core.records.record import Record
from trading_assets.store.tokens import token_sha256

_MESSAGES_OF_A_DESK = 300


class JournalInMemory:
    """Takes records, keeps none."""

    health = "ok"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.records = self.seals = 0

    def buffer(self, records: Sequence[Record]) -> None:
        for record in records:
            decode_record(encode_record(record))
            self.records += 1

    def hand_over(self, records: Sequence[Record]) -> asyncio.Future[None]:
        self.buffer(records)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def append(self, records: Sequence[Record]) -> None:
        self.buffer(records)

    def start_commit(self) -> None:
        """Nothing waits."""

    async def flush(self) -> None:
        """Nothing waits."""


class LinkInMemory:
    """Takes frames, encodes them, keeps none."""

    def __init__(self, protocol: TerminalProtocol) -> None:
        self._protocol = protocol
        self.is_open = True
        self.remote = "127.0.0.1"
        self.queued = 0
        self.questions: list[dict[str, Any]] = []

    @property
    def session(self) -> str:
        return self._protocol.session

    async def send(self, kind: type[Message], **fields: Any) -> bool:
        self._protocol.frame(kind, 0, **fields)
        if kind is Query:
            self.questions.append(fields)
        return self.is_open

    async def refuse(self, code: str, text: str, *, is_fatal: bool) -> None:
        assert code
        assert text
        self.is_open = self.is_open and not is_fatal

    async def close(self, _code: int, _reason: str) -> None:
        self.is_open = False


class DeskInMemory:
    """Puts lines to a desk, as messages in order; begins with a new desk now and then, and after a fatal refusal."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="trading-torture-")
        self._loop = asyncio.new_event_loop()
        self._left = 0
        self.refused = self.taken = self.opened = 0

    def take(self, lines: bytes) -> None:
        """Take lines, each a message of the terminal. Raises what must not be raised."""
        self._loop.run_until_complete(self._take(lines.split(b"\n")[:40]))

    async def _take(self, lines: list[bytes]) -> None:
        for line in lines:
            if self._left <= 0:
                await self._begin()
            self._left -= 1
            await self._line(line)

    async def _begin(self) -> None:
        self._left = _MESSAGES_OF_A_DESK
        own = AccountSettings(name="paper", symbols={"EURUSD": "EURUSD"}, mode="execute")
        settings = Settings(accounts=(own,))
        journal: Any = JournalInMemory(Path(self._folder.name))
        self._account = Account(own, "tests", journal, Path(self._folder.name), SystemClock())
        self._desk = Desk(settings, self._account)
        keyring = Keyring("tests", {"paper": token_sha256(TOKEN)}, None, print)
        self._protocol = TerminalProtocol(keyring.judge, lambda: "s")
        self._link: Any = LinkInMemory(self._protocol)
        await self._account.start()
        self.opened += 1
        for message in messages("s", 2)[:2]:
            await self._line(encode_message(message).encode())
        for _ in range(20):
            if self._link.questions:
                await self._answer(self._link.questions.pop(0))

    async def _answer(self, question: dict[str, Any]) -> None:
        """Answer as a terminal in order does, so that quotes are looked at and bars decided."""
        ready = {message.__struct_config__.tag: message for message in messages("s", 2)}
        answer = ready[{"bars": "bars", "state": "snapshot", "deals": "deals"}[question["what"]]]
        if question["what"] == "bars":
            answer = msgspec.structs.replace(
                answer, request_id=question["request_id"], timeframe=question["timeframe"], bars=()
            )
        elif question["what"] == "deals":
            answer = msgspec.structs.replace(answer, request_id=question["request_id"])
        await self._line(encode_message(answer).encode())

    async def _refused(self, refused: Refused) -> None:
        self.refused += 1
        assert refused.reason
        assert refused.text
        self._account.feed.quarantine("", refused.reason, f"{refused.text}: {refused.subject}", "")
        if refused.is_fatal:
            self._left = 0
        elif refused.lost:
            await self._desk.lose(refused.lost, refused.text)

    async def _line(self, line: bytes) -> None:
        """Give a line the session and the number that are due, where it is a message, and put it to protocol and desk."""
        self._protocol._next_in = min(self._protocol._next_in, 2**52)
        due = str(self._protocol._next_in).encode()
        for number in (b'"seq":2', b'"seq": 2'):
            line = line.replace(number, number[:-1] + due, 1)
        received = self._protocol.receive(line)
        try:
            if isinstance(received, Gapped):
                await self._desk.resync(received.expected_seq)
                received = received.message
            if isinstance(received, Refused):
                await self._refused(received)
                return
            self.taken += 1
            if isinstance(received, Greeting):
                self._protocol.begin_session()
                await self._desk.greet(self._link, received.hello)
                return
            if isinstance(received, Partial):
                await self._desk.miss(received)
                received = received.message
            await self._desk.handle(received, 0)
        except TradingError:
            self._left = 0  # Refused as invalid, and the connection is closed.
        await self._account.recorder.settled()
        self._desk.dropped(Dropped("EURUSD", 1, 0, 0))
