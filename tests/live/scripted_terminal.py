"""A scripted terminal over a real websocket, and daemons to talk to: in this process or in one that can be killed."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from live.clock import Clock
from live.daemon import Daemon
from live.desk.desk import Desk
from live.settings import Settings, read_settings
from trading_assets.core.market.bars import aggregate, bars_from_quotes
from trading_assets.core.market.timeframes import MINUTES, from_ms, to_ms
from trading_assets.core.messages import (
    AccountFacts,
    BarFacts,
    Bars,
    CloseCommand,
    DaemonBeat,
    DealFacts,
    Deals,
    DealUpdate,
    FromDaemon,
    Hello,
    Message,
    OrderCommand,
    OrderFacts,
    OrderUpdate,
    PositionFacts,
    PositionUpdate,
    Processed,
    Query,
    Refusal,
    Resync,
    Snapshot,
    Subscribe,
    SymbolFacts,
    TerminalHeartbeat,
    Tick,
    Ticks,
    Welcome,
    decode_from_daemon,
    encode_message,
)
from trading_assets.core.records.record import Record
from trading_assets.store.journal import read_records
from trading_assets.store.journal_disk import Sync, sync_file

TOKEN = "a-token-of-the-tests"
START = datetime(2024, 1, 9, 8, 0, tzinfo=UTC)
BAR = timedelta(minutes=5)
HISTORY = timedelta(days=30)
PATIENCE_S = 15.0
# Everything is allowed, so that a rising market is bought at the first bar with history.
EAGER = """
open_threshold = 0.505
close_threshold = 0.01
deviation_r = 5.0
[accounts.strategy.filters]
min_consensus = 0.0
max_dispersion = 10.0
session_end_hour = 24
blocked_regimes = []
max_cost_r = 5.0
min_reward_r = 0.0001
max_spread_atr = 10.0
max_volatility_ratio = 100.0
[accounts.strategy.breakers]
min_confidence = 0.0
daily_loss = 1.0
weekly_loss = 1.0
"""


def price_at(at: datetime) -> float:
    """Bid of the scripted market: it rises, with a swing."""
    minutes = (at - START) / timedelta(minutes=1)
    return round(1.1 + 0.000004 * minutes + 0.0004 * math.sin(minutes / 35.0), 5)


@lru_cache(maxsize=16)
def history(timeframe: str, until: datetime) -> pl.DataFrame:
    """Bars of the scripted market before `until`."""
    steps = int(HISTORY / timedelta(minutes=1))
    times = [until - HISTORY + index * timedelta(minutes=1) for index in range(steps)]
    quotes = pl.DataFrame({"symbol": "EURUSD", "event_at": times, "bid": [price_at(at) for at in times]})
    bars = bars_from_quotes(quotes.with_columns(ask=pl.col("bid") + 0.0001), "M1", 0.00001)
    return bars if timeframe == "M1" else aggregate(bars, timeframe)


class ScriptedTerminal:
    """A terminal that does what a test says. It answers questions by itself; orders only as `on_order` says."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.session = ""
        self.seq = 0
        self.now = START
        self.balance = Decimal("10000.00")
        self.received: list[FromDaemon] = []
        self.orders: list[OrderCommand | CloseCommand] = []
        self.positions: dict[str, PositionFacts] = {}
        self.deals: list[DealFacts] = []
        self.history_ends = START
        self.fills_orders = True
        self.knows_deals = True
        self.answers_history = True
        self.point = 0.00001

    # --- out ------------------------------------------------------------------------------------------------------

    async def send(self, kind: type[Message], **fields: Any) -> int:
        """Send a message under the next sequence number."""
        self.seq += 1
        fields = {"session": self.session, "seq": self.seq, "sent_msc": to_ms(self.now)} | fields
        await self.connection.send(encode_message(kind(**fields)))
        return self.seq

    async def hello(self, token: str = TOKEN, *, lockstep: bool = True, **fields: Any) -> None:
        """Introduce the terminal and wait until the session stands."""
        await self.send_hello(token, lockstep=lockstep, **fields)
        await self.until(Subscribe)

    async def send_hello(self, token: str, **fields: Any) -> None:
        """Introduce the terminal, without waiting for what the daemon says."""
        self.session, self.seq = "", 0
        fields = {"token": token, "build": "scripted", "account": self.account(), "lockstep": True} | fields
        await self.send(Hello, server_time_msc=to_ms(self.now), **fields)

    async def ticks(self, ticks: list[tuple[datetime, float | None, float | None]], symbol: str = "EURUSD") -> None:
        """Send quotes as they are."""
        batch = tuple(Tick(to_ms(at), bid, ask) for at, bid, ask in ticks)
        await self.send(Ticks, symbol=symbol, ticks=batch)

    async def quotes(self, begin: datetime, end: datetime, symbol: str = "EURUSD") -> None:
        """Send a quote every 20 seconds of [begin, end)."""
        count = int((end - begin) / timedelta(seconds=20))
        times = [begin + index * timedelta(seconds=20) for index in range(count)]
        await self.ticks([(at, price_at(at), price_at(at) + 0.0001) for at in times], symbol)

    async def heartbeat(self, at: datetime) -> int:
        """Send a heartbeat; returns its sequence number."""
        self.now = at
        return await self.send(TerminalHeartbeat, server_time_msc=to_ms(at))

    async def step(self, symbols: tuple[str, ...] = ("EURUSD",)) -> None:
        """Play one M5 bar: quotes, heartbeat, wait until processed."""
        end = self.now + BAR
        for symbol in symbols:
            await self.quotes(self.now, end, symbol)
        await self.settle(end)

    async def settle(self, at: datetime) -> None:
        """Send a heartbeat and wait until it is processed."""
        seq = await self.heartbeat(at)
        await self.until(Processed, lambda message: message.upto_seq >= seq)

    # --- in -------------------------------------------------------------------------------------------------------

    async def until(self, kind: type[Any], accept: Callable[[Any], bool] = lambda _: True) -> Any:
        """Answer what is asked until a message of this kind comes, which is returned."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = decode_from_daemon(await self.connection.recv())
                if isinstance(message, DaemonBeat):
                    continue
                self.received.append(message)
                await self._react(message)
                if isinstance(message, kind) and accept(message):
                    return message

    async def closed(self) -> int:
        """Wait until the daemon hangs up; returns the close code."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                while True:
                    message = decode_from_daemon(await self.connection.recv())
                    self.received.append(message)
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else 1006

    def refusals(self) -> list[Refusal]:
        return [message for message in self.received if isinstance(message, Refusal)]

    async def _react(self, message: FromDaemon) -> None:
        if message.session != self.session and not isinstance(message, Welcome):
            return  # Of a session before the latest hello.
        match message:
            case Welcome():
                self.session = message.session
            case Subscribe() | Resync():
                await self._snapshot()
            case Query(what="state"):
                await self._snapshot()
            case Query(what="deals"):
                known = self.deals if self.knows_deals else []
                deals = tuple(deal for deal in known if deal.time_msc >= message.from_msc)
                # One in a frame, so that every search shows that an answer may come in parts.
                parts = [deals[at : at + 1] for at in range(max(len(deals), 1))]
                for number, part in enumerate(parts, 1):
                    await self.send(Deals, request_id=message.request_id, deals=part, is_last=number == len(parts))
            case Query() if self.answers_history:
                await self._bars(message)
            case OrderCommand() | CloseCommand():
                self.orders.append(message)
                if self.fills_orders:
                    await self.fill(message)
            case _:
                pass

    async def fill(self, order: OrderCommand | CloseCommand, *, tell: bool = True) -> None:
        """Carry out an order at its price; `tell` says whether the daemon hears of it."""
        msc, ticket = to_ms(self.now), str(1000 + len(self.deals))
        is_open = isinstance(order, OrderCommand)
        position = (
            PositionFacts(
                ticket=ticket, identifier=ticket, magic=order.magic, symbol=order.symbol, side=order.side,
                volume=order.volume, price_open=order.price, sl=order.sl, tp=order.tp, swap=Decimal(0),
                profit=Decimal(0), time_msc=msc, comment=order.comment,
            )
            if isinstance(order, OrderCommand)
            else msgspec.structs.replace(self.positions[order.position], volume=Decimal(0))
        )  # fmt: skip
        opposite = {"BUY": "SELL", "SELL": "BUY"}
        profit = Decimal(0) if is_open else self.profit(self.positions[position.ticket], order.price)
        deal = DealFacts(
            ticket=f"d{ticket}", order=f"o{ticket}", position_id=position.identifier, magic=order.magic,
            symbol=order.symbol, kind=position.side if is_open else opposite[position.side],  # type: ignore[arg-type]
            entry="IN" if is_open else "OUT", reason="EXPERT", volume=order.volume, price=order.price, profit=profit,
            commission=Decimal("-2.50"), swap=Decimal(0), fee=Decimal(0), time_msc=msc, comment=order.comment,
        )  # fmt: skip
        self.book(deal, position)
        if tell:
            facts = OrderFacts(
                ticket=deal.order, position_id=position.identifier, magic=order.magic, symbol=order.symbol,
                side=deal.kind, state="FILLED", volume_initial=order.volume, volume_current=Decimal(0),  # type: ignore[arg-type]
                price_open=order.price, sl=0.0, tp=0.0, time_setup_msc=msc, time_done_msc=msc,
            )  # fmt: skip
            await self.send(OrderUpdate, request_id=order.request_id, retcode=10009, order=facts, comment="done")
            await self.report(deal, position)

    def book(self, deal: DealFacts, position: PositionFacts) -> None:
        """Note a deal at the broker."""
        self.deals.append(deal)
        self.balance += deal.profit + deal.commission
        if position.volume:
            self.positions[position.ticket] = position
        else:
            self.positions.pop(position.ticket, None)

    async def report(self, deal: DealFacts, position: PositionFacts) -> None:
        """Tell the daemon of a deal."""
        await self.send(DealUpdate, deal=deal, account=self.account())
        await self.send(PositionUpdate, position=position)

    async def stop_out(self, ticket: str, reason: str = "SL") -> None:
        """Close a position at its stop (or target), as the broker does."""
        held = self.positions[ticket]
        price = held.sl if reason == "SL" else held.tp
        kind = "SELL" if held.side == "BUY" else "BUY"
        deal = DealFacts(
            ticket=f"x{ticket}", order=f"y{ticket}", position_id=held.identifier, magic=held.magic, symbol=held.symbol,
            kind=kind, entry="OUT", reason=reason, volume=held.volume, price=price,  # type: ignore[arg-type]
            profit=self.profit(held, price), commission=Decimal("-2.50"), swap=Decimal(0), fee=Decimal(0),
            time_msc=to_ms(self.now), comment=f"[{reason.lower()}]",
        )  # fmt: skip
        closed = msgspec.structs.replace(held, volume=Decimal(0))
        self.book(deal, closed)
        await self.report(deal, closed)

    @staticmethod
    def profit(position: PositionFacts, price: float) -> Decimal:
        side = 1 if position.side == "BUY" else -1
        move = Decimal(str(price)) - Decimal(str(position.price_open))
        return (side * move * 100_000 * position.volume).quantize(Decimal("0.01"))

    def account(self) -> AccountFacts:
        return AccountFacts(
            login="10001", server="Scripted-1", company="Tests", currency="USD", leverage=100, margin_mode="hedging",
            balance=self.balance, equity=self.balance, credit=Decimal(0), margin=Decimal(0), margin_free=self.balance,
            trade_allowed=True,
        )  # fmt: skip

    async def _snapshot(self) -> None:
        symbols = tuple(
            SymbolFacts(
                symbol=symbol, digits=5, point=self.point, trade_tick_size=self.point, trade_tick_value=Decimal(1),
                contract_size=Decimal(100_000), volume_min=Decimal("0.01"), volume_max=Decimal(50),
                volume_step=Decimal("0.01"), stops_level=10, freeze_level=0, filling_mode=3, swap_long=0.0,
                swap_short=0.0, commission_per_lot=Decimal("2.50"),
            )
            for symbol in ("EURUSD", "GBPUSD")
        )  # fmt: skip
        positions = tuple(self.positions.values())
        await self.send(Snapshot, account=self.account(), symbols=symbols, positions=positions, orders=())

    async def _bars(self, query: Query) -> None:
        rows = history(query.timeframe, self.history_ends).filter(pl.col("open_at") >= from_ms(query.from_msc))
        length = timedelta(minutes=MINUTES[query.timeframe])
        bars = tuple(
            BarFacts(
                time_msc=to_ms(row["open_at"]), open=row["open"], high=row["high"], low=row["low"],
                close=row["close"], tick_volume=row["tick_count"], spread=10,
            )
            for row in rows.iter_rows(named=True)
            if row["open_at"] + length <= self.now
        )  # fmt: skip
        await self.send(
            Bars, request_id=query.request_id, symbol=query.symbol, timeframe=query.timeframe, bars=bars, is_last=True
        )


@asynccontextmanager
async def terminal_at(port: int) -> AsyncIterator[ScriptedTerminal]:
    """Connect a scripted terminal; it says nothing yet."""
    async with connect(f"ws://127.0.0.1:{port}", compression=None, max_size=None, proxy=None) as connection:
        yield ScriptedTerminal(connection)


def settings_text(
    *, symbols: tuple[str, ...] = ("EURUSD",), mode: str = "execute", strategy: str = EAGER, port: int = 0
) -> str:
    """Return a settings.toml for one account."""
    names = "\n".join(f'{symbol} = "{symbol}"' for symbol in symbols)
    return f"""
home = "."
port = {port}
tenant = "tests"
answer_timeout_s = 2.0
[[accounts]]
name = "paper"
token_sha256 = "{sha256(TOKEN.encode()).hexdigest()}"
clock = "utc"
mode = "{mode}"
[accounts.symbols]
{names}
[accounts.strategy]
{strategy}
"""


class RunningDaemon:
    """A daemon in this process, with its port and its journal."""

    def __init__(self, daemon: Daemon, home: Path) -> None:
        self.daemon = daemon
        self.home = home
        self.port = 0
        self.task: asyncio.Task[None]

    def terminal(self) -> Any:
        return terminal_at(self.port)

    def desk(self, account: str = "paper") -> Desk:
        return self.daemon._desks[account]

    async def status(self) -> dict[str, Any]:
        return await asyncio.to_thread(status_of, self.port)


@asynccontextmanager
async def daemon_at(
    home: Path, settings: Settings | None = None, sync: Sync = sync_file, clock: Clock | None = None
) -> AsyncIterator[RunningDaemon]:
    """Run a daemon in this process until the block ends."""
    running = RunningDaemon(Daemon(settings or read_settings(home / "settings.toml"), sync, clock), home)
    is_ready = asyncio.Event()

    def announce(port: int) -> None:
        running.port = port
        is_ready.set()

    running.task = task = asyncio.create_task(running.daemon.run(announce))
    waiter = asyncio.create_task(is_ready.wait())
    await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
    waiter.cancel()
    try:
        if not is_ready.is_set():
            await task
        yield running
    finally:
        running.daemon.drain("the test ends")
        await task


class DaemonProcess:
    """`python -m live` in a process of its own."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-m", "live", "--settings", str(home / "settings.toml"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.ready = json.loads(line) if line else {}

    @property
    def port(self) -> int:
        return int(self.ready["port"])

    def kill(self) -> None:
        """Kill it without a chance to clean up."""
        self.process.kill()
        self.process.wait()

    def end(self) -> tuple[int, str]:
        """Wait for its end; returns exit status and what it said on standard error."""
        _, errors = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, errors


def records(home: Path, *types: type[Any]) -> list[Any]:
    """Read the journal's records of some types."""
    kinds: list[type[Record]] | None = list(types) or None
    return list(read_records(home / "raw", types=kinds))


def status_of(port: int) -> dict[str, Any]:
    """Ask a daemon for its status."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5) as answer:
        content: dict[str, Any] = json.loads(answer.read())
        return content
