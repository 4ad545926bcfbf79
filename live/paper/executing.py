"""Carrying out what the trade server has accepted: at once, or as an order that works until it is filled or ends.

What may be carried out at all is decided in `broker`, how a fill is booked in `dealing`. Each answer given is
remembered here, for the command's repetitions.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from live.paper.book import Remembered
from live.paper.checks import WORDS
from live.paper.dealing import OPPOSITE, Dealing, Entry
from live.paper.orders import Answer, Command, Execution, Fill, order_of, parts_of, placed_order
from live.paper.working import Working
from trading_assets.core.messages import CloseCommand, OrderCommand, OrderFacts, PositionFacts
from trading_assets.core.records.record import OrderState, Side


class Executing(Dealing):
    """An account on which accepted commands are carried out."""

    def settle(self, now_msc: int) -> list[tuple[OrderCommand | CloseCommand, Answer]]:
        """Let what is due happen to the working orders; returns the results of those that got further, oldest first."""
        due = [working for working in self.book.orders.values() if self._is_due(working, now_msc)]
        answers = [(working, self._settled(working, now_msc)) for working in due]
        return [(working.command, answer) for working, answer in answers if working.command and answer]

    def share_of(self, command: OrderCommand, execution: Execution) -> Decimal:
        """Return how much of an entry is filled now."""
        facts = self.contracts[command.symbol].facts
        step = facts.volume_step
        return max(command.volume * execution.filled_share // step * step, facts.volume_min)

    def fill(self, command: OrderCommand, volume: Decimal, price: float, execution: Execution, now_msc: int) -> Answer:
        """Fill an entry; the rest of a RETURN order goes on working."""
        # A refused command takes no ticket: it leaves no trace, so that a restart in between changes nothing.
        ticket = self.book.ticket()
        comment = command.comment if execution.comment is None else execution.comment
        entry = Entry(
            ticket, command.symbol, command.side, volume, price, command.magic, command.sl, command.tp, comment
        )
        fills = self.enter(entry, execution.parts, now_msc)
        order = order_of(command, ticket, fills[0].position.identifier, command.side, volume, price, now_msc)
        if volume < command.volume and command.filling == "RETURN":
            order = msgspec.structs.replace(order, state="PLACED", time_done_msc=0)
            self.book.work(
                Working(order=order, command=command, ending="whole", due_msc=now_msc + execution.placed_ms, wait_ms=0)
            )
        return self.accept(command, 10009 if volume == command.volume else 10010, order, fills)

    def close_out(
        self,
        command: CloseCommand,
        position: PositionFacts,
        price: float,
        execution: Execution,
        now_msc: int,
    ) -> Answer:
        """Close a position, as far as it reaches."""
        fills, ticket = [], self.book.ticket()
        comment = command.comment if execution.comment is None else execution.comment
        volume = min(command.volume, position.volume)
        for part in parts_of(volume, execution.parts, self.contracts[position.symbol].facts.volume_step):
            held = self.book.positions[position.ticket]
            fills.append(self.leave(held, part, price, "EXPERT", comment, now_msc, ticket, command.magic))
        order = order_of(command, ticket, position.identifier, OPPOSITE[position.side], volume, price, now_msc)
        return self.accept(command, 10009 if volume == command.volume else 10010, order, fills)

    def place(self, command: OrderCommand | CloseCommand, side: Side, execution: Execution, now_msc: int) -> Answer:
        """Take an order without carrying it out (10008)."""
        assert execution.placed is not None, "only a placed execution comes here"
        order = placed_order(command, self.book.ticket(), side, now_msc)
        due_msc = command.deadline_msc if execution.placed == "expired" else now_msc + execution.placed_ms
        self.book.work(
            Working(order=order, command=command, ending=execution.placed, due_msc=due_msc, wait_ms=execution.placed_ms)
        )
        return self.accept(command, 10008, order, [])

    def _is_due(self, working: Working, now_msc: int) -> bool:
        return working.ending != "rests" and now_msc > working.due_msc and working.order.symbol in self.quotes

    def _settled(self, working: Working, now_msc: int) -> Answer | None:
        command, order = working.command, working.order
        if command is None:
            return None
        if working.ending in ("cancelled", "expired"):
            ended = self.end(working, "CANCELLED" if working.ending == "cancelled" else "EXPIRED", now_msc)
            words = "cancelled by the broker" if working.ending == "cancelled" else "expired"
            return self.accept(command, 10008, ended, [], words)
        price = self.slipped_price(self.contracts[order.symbol], order.side, f"{order.ticket} {order.volume_current}")
        fills = self._work_off(working, self._due_volume(working), price, now_msc)
        if not fills:
            ended = self.end(working, "CANCELLED", now_msc)
            return self.accept(command, 10008, ended, [], "cancelled by the broker: the position is gone")
        filled = sum((fill.deal.volume for fill in fills if fill.deal is not None), Decimal(0))
        order = msgspec.structs.replace(
            order,
            volume_current=order.volume_current - filled,
            price_open=price,
            position_id=fills[0].position.identifier,
        )
        if working.ending == "halves" and order.volume_current:
            due_msc = now_msc + working.wait_ms
            self.book.work(msgspec.structs.replace(working, order=order, ending="whole", due_msc=due_msc))
            return Answer(command.request_id, 10010, order, "filled in part, the rest works", tuple(fills))
        state: OrderState = "PARTIAL" if order.volume_current else "FILLED"
        self.book.end(order.ticket)
        order = msgspec.structs.replace(order, state=state, time_done_msc=now_msc)
        return self.accept(command, 10010 if order.volume_current else 10009, order, fills)

    def _due_volume(self, working: Working) -> Decimal:
        volume, step = working.order.volume_current, self.contracts[working.order.symbol].facts.volume_step
        half = volume / 2 // step * step
        return half if working.ending in ("halves", "part") and half > 0 else volume

    def _work_off(self, working: Working, volume: Decimal, price: float, now_msc: int) -> list[Fill]:
        """Fill `volume` of a working order; nothing where the position it belongs to is gone."""
        command, order = working.command, working.order
        if isinstance(command, CloseCommand):
            held = self.book.positions.get(command.position)
            if held is None:
                return []
            part = min(volume, held.volume)
            return [self.leave(held, part, price, "EXPERT", command.comment, now_msc, order.ticket, command.magic)]
        assert command is not None, "a person's order is not worked off"
        if order.position_id != "0" and all(p.identifier != order.position_id for p in self.book.positions.values()):
            return []
        sl, tp = command.sl, command.tp
        entry = Entry(order.ticket, order.symbol, command.side, volume, price, command.magic, sl, tp, command.comment)
        return self.enter(entry, 1, now_msc)

    def end(self, working: Working, state: OrderState, now_msc: int) -> OrderFacts:
        """End a working order."""
        self.book.end(working.order.ticket)
        return msgspec.structs.replace(working.order, state=state, time_done_msc=now_msc)

    def accept(
        self, command: Command, retcode: int, order: OrderFacts | None, fills: list[Fill], words: str = ""
    ) -> Answer:
        """Remember an answer and return it."""
        words = words or WORDS[retcode]
        self.remember(command, retcode, order, words)
        return Answer(command.request_id, retcode, order, words, tuple(fills))

    def remember(self, command: Command, retcode: int, order: OrderFacts | None, comment: str) -> None:
        """Keep an answer for the command's repetitions."""
        self.book.remember(
            Remembered(
                request_id=command.request_id,
                magic=command.magic,
                is_open=isinstance(command, OrderCommand),
                retcode=retcode,
                order=order,
                comment=comment,
            )
        )
