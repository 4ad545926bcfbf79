"""A scripted terminal with working orders, changed contracts, another account mode and stops that can be taken away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import msgspec
from scripted_terminal import ScriptedTerminal
from websockets.asyncio.client import ClientConnection, connect

from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.messages import (
    AccountFacts,
    CancelCommand,
    CloseCommand,
    FromDaemon,
    Hello,
    ModifyCommand,
    OrderCommand,
    OrderFacts,
    OrderUpdate,
    PositionFacts,
    PositionUpdate,
    Snapshot,
)
from trading_assets.core.records.decisions import TraderLimits


class OddTerminal(ScriptedTerminal):
    """Does what brokers do besides filling at once."""

    def __init__(self, connection: ClientConnection) -> None:
        super().__init__(connection)
        self.margin_mode = "hedging"
        self.contract: dict[str, Any] = {}
        self.working: dict[str, OrderFacts] = {}
        self.changes: list[ModifyCommand] = []
        self.cancels: list[CancelCommand] = []
        self.answers_changes_with = 10009
        self.hears_cancels = True
        self.limits: TraderLimits | None = None

    def account(self) -> AccountFacts:
        return msgspec.structs.replace(super().account(), margin_mode=self.margin_mode)

    async def send(self, kind: type[Any], **fields: Any) -> int:
        """Send a message; a snapshot names the working orders and the contract as changed, a hello the limits."""
        if kind is Snapshot:
            symbols = tuple(msgspec.structs.replace(one, **self.contract) for one in fields["symbols"])
            fields = fields | {"symbols": symbols, "orders": tuple(self.working.values())}
        if kind is Hello:
            fields = fields | {"limits": self.limits}
        return await super().send(kind, **fields)

    async def _react(self, message: FromDaemon) -> None:
        match message:
            case ModifyCommand():
                self.changes.append(message)
                if self.answers_changes_with == 10009:
                    held = self.positions[message.position]
                    self.positions[message.position] = msgspec.structs.replace(held, sl=message.sl, tp=message.tp)
                if self.answers_changes_with:
                    await self.send(
                        OrderUpdate,
                        request_id=message.request_id,
                        retcode=self.answers_changes_with,
                        order=None,
                        comment="",
                    )
            case CancelCommand():
                self.cancels.append(message)
                if self.hears_cancels:
                    await self.cancel(message)
            case _:
                await super()._react(message)

    async def place(self, order: OrderCommand | CloseCommand, *, filled: str = "0") -> OrderFacts:
        """Keep an order working (10008), with a part of it filled already as far as the order says."""
        facts = OrderFacts(
            ticket="w1", position_id="0", magic=order.magic, symbol=order.symbol,
            side=order.side if isinstance(order, OrderCommand) else "SELL", state="PLACED", volume_initial=order.volume,
            volume_current=order.volume - Decimal(filled), price_open=order.price, sl=0.0, tp=0.0,
            time_setup_msc=to_ms(self.now), time_done_msc=0,
        )  # fmt: skip
        self.working[facts.ticket] = facts
        await self.send(OrderUpdate, request_id=order.request_id, retcode=10008, order=facts, comment="placed")
        return facts

    async def cancel(self, message: CancelCommand) -> None:
        """Cancel a working order and say so."""
        facts = msgspec.structs.replace(self.working.pop(message.order), state="CANCELLED")
        await self.send(OrderUpdate, request_id=message.request_id, retcode=10009, order=facts, comment="cancelled")

    async def change(self, ticket: str, *, tell: bool = True, **levels: float) -> PositionFacts:
        """Change stop or target of a position, as a person at the terminal does."""
        self.positions[ticket] = held = msgspec.structs.replace(self.positions[ticket], **levels)
        if tell:
            await self.send(PositionUpdate, position=held)
        return held


@asynccontextmanager
async def odd_terminal_at(port: int) -> AsyncIterator[OddTerminal]:
    """Connect one; it says nothing yet."""
    async with connect(f"ws://127.0.0.1:{port}", compression=None, max_size=None, proxy=None) as connection:
        yield OddTerminal(connection)
