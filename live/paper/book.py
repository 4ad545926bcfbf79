"""What the broker remembers: deals, open positions, working orders, answers given, tickets. Money in decimals.

The book notes every change, so that the state on disk follows by one transaction for each answer. Nothing here
decides what is filled; `broker` does. Balance is the sum of all deals but credit's, which has an account of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from live.paper.working import Working
from trading_assets.core.messages import DealFacts, OrderFacts, PositionFacts

_FIRST_TICKET = 1_000_001


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one command, kept so that the command sent again gets the same answer and nothing else."""

    request_id: str
    magic: str
    is_open: bool
    """Whether the command was to open a position."""
    retcode: int
    order: OrderFacts | None
    comment: str


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """Next ticket, the last server day whose rollover is booked, and who has switched trading off."""

    next_ticket: int = _FIRST_TICKET
    rollover_day: int | None = None
    is_off_at_server: bool = False
    is_off_at_terminal: bool = False


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What changed in the book since it was last asked. A position that closed is None."""

    deals: tuple[DealFacts, ...]
    revised: tuple[DealFacts, ...]
    positions: dict[str, PositionFacts | None]
    orders: dict[str, Working | None]
    answers: tuple[Remembered, ...]
    counters: Counters


class Book:
    """Deals, positions, working orders and answers of one account."""

    def __init__(
        self,
        deals: Iterable[DealFacts] = (),
        positions: Iterable[PositionFacts] = (),
        answers: Iterable[Remembered] = (),
        counters: Counters | None = None,
        orders: Iterable[Working] = (),
    ) -> None:
        self.deals = list(deals)
        self.positions = {position.ticket: position for position in positions}
        self.orders = {working.order.ticket: working for working in orders}
        self.balance = sum((net_of(deal) for deal in self.deals), Decimal("0.00"))
        self.credit = sum((deal.profit for deal in self.deals if deal.kind == "CREDIT"), Decimal("0.00"))
        self._answers = {answer.request_id: answer for answer in answers}
        self._opened = {answer.magic: answer for answer in self._answers.values() if has_opened(answer)}
        self._counters = counters or Counters()
        self._new_deals: list[DealFacts] = []
        self._revised: list[DealFacts] = []
        self._new_answers: list[Remembered] = []
        self._touched: dict[str, PositionFacts | None] = {}
        self._touched_orders: dict[str, Working | None] = {}
        self._is_switched = False

    @property
    def counters(self) -> Counters:
        """Return the counters as they are."""
        return self._counters

    @property
    def rollover_day(self) -> int | None:
        """Server day (days since 1970) up to whose start swap is booked; None before the first quote."""
        return self._counters.rollover_day

    def ticket(self) -> str:
        """Return the next ticket."""
        ticket = self._counters.next_ticket
        self._counters = msgspec.structs.replace(self._counters, next_ticket=ticket + 1)
        return str(ticket)

    def roll(self, day: int) -> None:
        """Note that swap is booked up to the start of `day`."""
        self._counters = msgspec.structs.replace(self._counters, rollover_day=day)

    def begin_tickets(self, first: int) -> None:
        """Let tickets begin here; nothing changes once there are deals."""
        if not self.deals:
            self._counters = msgspec.structs.replace(self._counters, next_ticket=first)

    def switch(self, *, at_server: bool | None = None, at_terminal: bool | None = None) -> None:
        """Switch trading off (True) or on again at the server or the terminal."""
        was = self._counters
        self._counters = msgspec.structs.replace(
            was,
            is_off_at_server=was.is_off_at_server if at_server is None else at_server,
            is_off_at_terminal=was.is_off_at_terminal if at_terminal is None else at_terminal,
        )
        self._is_switched = True

    def add(self, deal: DealFacts) -> None:
        """Book a deal."""
        self.deals.append(deal)
        self._new_deals.append(deal)
        self.balance += net_of(deal)
        if deal.kind == "CREDIT":
            self.credit += deal.profit

    def revise(self, deal: DealFacts) -> None:
        """Note that a booked deal is another one now: same ticket, other money or kind."""
        number = next(number for number, booked in enumerate(self.deals) if booked.ticket == deal.ticket)
        before = self.deals[number]
        self.deals[number] = deal
        self._revised.append(deal)
        self.balance += net_of(deal) - net_of(before)

    def put(self, position: PositionFacts) -> None:
        """Note a position as it is now; one without volume is closed."""
        if position.volume:
            self.positions[position.ticket] = position
        else:
            self.positions.pop(position.ticket, None)
        self._touched[position.ticket] = position if position.volume else None

    def work(self, working: Working) -> None:
        """Note a working order as it is now."""
        self.orders[working.order.ticket] = working
        self._touched_orders[working.order.ticket] = working

    def end(self, ticket: str) -> None:
        """Note that an order no longer works."""
        self.orders.pop(ticket, None)
        self._touched_orders[ticket] = None

    def remember(self, answer: Remembered) -> None:
        """Keep an answer for the command's repetitions."""
        self._answers[answer.request_id] = answer
        if has_opened(answer):
            self._opened[answer.magic] = answer
        self._new_answers.append(answer)

    def answer_to(self, request_id: str, magic: str, *, is_open: bool) -> Remembered | None:
        """Return the answer already given to this command, or to another one that opened a position with its magic."""
        return self._answers.get(request_id) or (self._opened.get(magic) if is_open else None)

    def take_changes(self) -> Changes | None:
        """Return what changed since the last call, or None when nothing did."""
        if not (
            self._new_deals
            or self._revised
            or self._new_answers
            or self._touched
            or self._touched_orders
            or self._is_switched
        ):
            return None
        changes = Changes(
            deals=tuple(self._new_deals),
            revised=tuple(self._revised),
            positions=self._touched,
            orders=self._touched_orders,
            answers=tuple(self._new_answers),
            counters=self._counters,
        )
        self._revised = []
        self._new_deals, self._new_answers, self._touched, self._touched_orders = [], [], {}, {}
        self._is_switched = False
        return changes


def has_opened(answer: Remembered) -> bool:
    """Return whether the answer stands for an order that was taken: a position was opened by it, or may be."""
    return answer.is_open and answer.order is not None


def net_of(deal: DealFacts) -> Decimal:
    """Return what a deal did to the balance. Credit is no part of it."""
    if deal.kind == "CREDIT":
        return deal.commission + deal.swap + deal.fee
    return deal.profit + deal.commission + deal.swap + deal.fee
