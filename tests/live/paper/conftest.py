"""A scripted daemon on a real socket, and small markets, for the tests of the simulated terminal."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from live.paper.feed import Feed, from_synthetic
from live.paper.terminal import Setup
from trading_assets.core.messages import (
    CloseCommand,
    DealUpdate,
    Hello,
    OrderCommand,
    PositionUpdate,
    Processed,
    Refusal,
    Snapshot,
    Subscribe,
    TerminalHeartbeat,
    Ticks,
    Welcome,
    decode_from_terminal,
    encode_message,
)

TOKEN = "a token"
SYMBOLS = ("EURUSD", "GBPUSD")


def _trades_nothing(_daemon: ScriptedDaemon, _beat: TerminalHeartbeat) -> list[tuple[type, dict[str, Any]]]:
    return []


@dataclass
class ScriptedDaemon:
    """Speaks the daemon's side: welcomes, subscribes, answers each heartbeat by `trade` and `processed`.

    What it receives is kept in order. `hangs_up_after` messages of the
    first session it cuts the connection.
    """

    symbols: tuple[str, ...] = SYMBOLS
    trade: Callable[[ScriptedDaemon, TerminalHeartbeat], list[tuple[type, dict[str, Any]]]] = _trades_nothing
    says_processed: bool = True
    hangs_up_after: int = 0
    received: list[Any] = field(default_factory=list)
    sessions: int = 0
    connections: int = 0
    with_book: bool = False
    bids: dict[str, float] = field(default_factory=dict)
    asks: dict[str, float] = field(default_factory=dict)
    positions: dict[str, Any] = field(default_factory=dict)
    port: int = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def of(self, kind: type) -> list[Any]:
        return [message for message in self.received if isinstance(message, kind)]

    def deal_tickets(self) -> list[str]:
        return [update.deal.ticket for update in self.of(DealUpdate)]

    async def serve(self, connection: ServerConnection) -> None:
        self.connections += 1
        session, out, expected, here = "", 0, 1, 0

        async def send(kind: type, **fields: Any) -> None:
            nonlocal out
            out += 1
            await connection.send(encode_message(kind(session=session, seq=out, sent_msc=0, **fields)))

        try:
            async for frame in connection:
                message = decode_from_terminal(frame)
                if isinstance(message, Hello):
                    self.sessions += 1
                    session, out, expected = f"session-{self.sessions}", 0, 1
                assert message.seq == expected, f"sequence {message.seq} instead of {expected}"
                assert message.session == ("" if isinstance(message, Hello) else session)
                expected += 1
                here += 1
                self.received.append(message)
                self._note(message)
                if self.hangs_up_after and here == self.hangs_up_after and self.sessions == 1:
                    connection.transport.abort()
                    return
                await self._react(message, send)
        except ConnectionClosed:
            pass

    def _note(self, message: Any) -> None:
        if isinstance(message, Ticks):
            self.bids[message.symbol], self.asks[message.symbol] = message.ticks[-1].bid, message.ticks[-1].ask
        elif isinstance(message, PositionUpdate):
            self.positions[message.position.ticket] = message.position
            if not message.position.volume:
                del self.positions[message.position.ticket]
        elif isinstance(message, Snapshot):
            self.positions = {position.ticket: position for position in message.positions}

    async def _react(self, message: Any, send: Callable[..., Any]) -> None:
        if isinstance(message, Hello):
            if message.token != TOKEN:
                await send(Refusal, code="unauthenticated", text="the token is not known here; set it in settings.toml")
                return
            await send(Welcome, tenant="t", account="a")
            await send(Subscribe, symbols=self.symbols, with_book=self.with_book)
        elif isinstance(message, TerminalHeartbeat):
            for kind, fields in self.trade(self, message):
                await send(kind, **fields)
            if self.says_processed:
                await send(Processed, upto_seq=message.seq)


@asynccontextmanager
async def listening(daemon: ScriptedDaemon, tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedDaemon]:
    """Let the daemon listen on a free port."""
    async with serve(daemon.serve, "127.0.0.1", daemon.port, compression=None, close_timeout=1, ssl=tls) as server:
        daemon.port = next(iter(server.sockets)).getsockname()[1]
        yield daemon


def order(beat: TerminalHeartbeat, symbol: str, side: str, bid: float, ask: float, **changes: Any) -> dict[str, Any]:
    """Return an entry named by the heartbeat's time, stop 8 pips and target 12 pips away."""
    price, sign = (ask, 1) if side == "BUY" else (bid, -1)
    number = str(beat.server_time_msc * 10 + (symbol == "GBPUSD"))
    fields: dict[str, Any] = {
        "request_id": number, "magic": number, "signal_id": "S" * 26, "symbol": symbol, "side": side, "volume": Decimal("0.10"),
        "price": price, "sl": round(price - sign * 0.0008, 5), "tp": round(price + sign * 0.0012, 5), "deviation": 20,
        "deadline_msc": beat.server_time_msc + 10_000, "comment": "test",
    }  # fmt: skip
    return fields | changes


def close(beat: TerminalHeartbeat, position: Any, bid: float, ask: float) -> dict[str, Any]:
    """Return the exit of a whole position."""
    return {
        "request_id": f"c{position.ticket}-{beat.server_time_msc}", "magic": position.magic, "signal_id": "S" * 26, "symbol": position.symbol,
        "position": position.ticket, "volume": position.volume, "price": bid if position.side == "BUY" else ask, "deviation": 50,
        "deadline_msc": beat.server_time_msc + 10_000, "comment": "test",
    }  # fmt: skip


def trades_by_the_clock(daemon: ScriptedDaemon, beat: TerminalHeartbeat) -> list[tuple[type, dict[str, Any]]]:
    """A strategy of the heartbeat's time and the open positions alone: entries each half hour, exits after two hours."""
    commands: list[tuple[type, dict[str, Any]]] = []
    slot = beat.server_time_msc // 300_000
    for position in list(daemon.positions.values()):
        if beat.server_time_msc - position.time_msc >= 2 * 3_600_000:
            bid, ask = daemon.bids[position.symbol], daemon.asks[position.symbol]
            commands.append((CloseCommand, close(beat, position, bid, ask)))
    if slot % 6 == 0 and daemon.bids:
        symbol = SYMBOLS[slot // 6 % 2]
        side = "BUY" if slot // 12 % 2 else "SELL"
        if symbol in daemon.bids:
            commands.append((OrderCommand, order(beat, symbol, side, daemon.bids[symbol], daemon.asks[symbol])))
    return commands


@pytest.fixture(scope="session")
def market() -> Feed:
    """Two days of two symbols."""
    return from_synthetic(3, SYMBOLS, date(2024, 1, 8), 2, 1.0, "eu")


@pytest.fixture
def setup(tmp_path: Path) -> Callable[..., Setup]:
    """Make the setup of a run against a daemon, its state in the test's folder."""

    def make(daemon: ScriptedDaemon, **changes: Any) -> Setup:
        given: dict[str, Any] = {"url": daemon.url, "token": TOKEN, "state": tmp_path / "state", "patience_s": 2.0}
        return Setup(**(given | changes))

    return make
