"""Booking what is traded: deals and the positions they change, under hedging and under netting.

Hedging: each entry is a position of its own. Netting: one position a symbol; an entry the same way averages its price, one
the other way closes from it, and what is left over turns it round (INOUT; the identifier stays, the ticket is the order's).
Whether something may be traded, and what is answered, is `broker`'s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import msgspec

from live.paper.account import Account
from live.paper.contracts import Contract, cents, exact
from live.paper.faults import draw
from live.paper.orders import Fill, parts_of
from trading_assets.core.messages import DealFacts, PositionFacts
from trading_assets.core.records.record import Side

OPPOSITE: dict[Side, Side] = {"BUY": "SELL", "SELL": "BUY"}
ZERO = Decimal("0.00")
_COMMENT_LENGTH = 31


@dataclass(frozen=True)
class Entry:
    """What enters the market, and under which order."""

    order: str
    symbol: str
    side: Side
    volume: Decimal
    price: float
    magic: str
    sl: float = 0.0
    tp: float = 0.0
    comment: str = ""
    reason: str = "EXPERT"


class Dealing(Account):
    """An account on which deals are booked."""

    @property
    def is_netting(self) -> bool:
        """Whether a symbol has one position at most."""
        return self.terms.conditions.margin_mode == "netting"

    def held_in(self, symbol: str) -> list[PositionFacts]:
        """Return the open positions of a symbol, oldest first."""
        return [held for held in self.book.positions.values() if held.symbol == symbol]

    def enter(self, entry: Entry, parts: int, now_msc: int) -> list[Fill]:
        """Book an entry by `parts` deals."""
        step = self.contracts[entry.symbol].facts.volume_step
        return [self._enter_part(entry, volume, now_msc) for volume in parts_of(entry.volume, parts, step)]

    def leave(
        self,
        held: PositionFacts,
        volume: Decimal,
        price: float,
        reason: str,
        comment: str,
        msc: int,
        order: str = "",
        magic: str = "",
        entry: Literal["OUT", "OUT_BY"] = "OUT",
        commission: Decimal | None = None,
    ) -> Fill:
        """Close `volume` of a position at `price`; its swap is paid in proportion."""
        contract = self.contracts[held.symbol]
        swap = held.swap if volume == held.volume else cents(held.swap * volume / held.volume)
        deal = DealFacts(
            ticket=self.book.ticket(), order=order or self.book.ticket(), position_id=held.identifier, magic=magic or held.magic,
            symbol=held.symbol, kind=OPPOSITE[held.side], entry=entry, reason=reason, volume=volume, price=price,
            profit=contract.profit(held.side, volume, held.price_open, price),
            commission=contract.commission(volume) if commission is None else commission, swap=swap,
            fee=self._fee(volume), time_msc=msc, comment=comment[:_COMMENT_LENGTH],
        )  # fmt: skip
        return self._book(deal, msgspec.structs.replace(held, volume=held.volume - volume, swap=held.swap - swap))

    def leave_by(self, held: PositionFacts, other: PositionFacts, comment: str, msc: int) -> list[Fill]:
        """Close two opposite positions of a symbol by each other (OUT_BY), as far as the smaller one reaches."""
        volume, order = min(held.volume, other.volume), self.book.ticket()
        return [
            self.leave(one, volume, other.price_open, "CLIENT", comment, msc, order, entry="OUT_BY", commission=ZERO)
            for one in (held, other)
        ]

    def enter_anew(self, position: PositionFacts, comment: str, now_msc: int) -> Fill:
        """Book the deal by which the server itself opens a position it has closed: under its identifier, without commission."""
        deal = DealFacts(
            ticket=self.book.ticket(), order=self.book.ticket(), position_id=position.identifier, magic=position.magic,
            symbol=position.symbol, kind=position.side, entry="IN", reason="ROLLOVER", volume=position.volume,
            price=position.price_open, profit=ZERO, commission=ZERO, swap=ZERO, fee=ZERO, time_msc=now_msc,
            comment=comment[:_COMMENT_LENGTH],
        )  # fmt: skip
        return self._book(deal, position)

    def change(self, held: PositionFacts, **changes: object) -> Fill:
        """Change a position without a deal."""
        position = msgspec.structs.replace(held, **changes)
        self.book.put(position)
        return Fill(None, msgspec.structs.replace(position, profit=self.floating(position)), self.account())

    def slipped_price(self, contract: Contract, side: Side, key: str) -> float:
        """Return the price a market order trades at now; NaN without a quote."""
        quoted = self.quotes.get(contract.facts.symbol)
        if quoted is None:
            return math.nan
        points = math.floor(-self.terms.slippage_points * math.log(1.0 - draw(self.terms.seed, "slippage", key)) + 0.5)
        shift = points * contract.facts.point
        return contract.round_price(quoted.market(side) + (shift if side == "BUY" else -shift))

    def added_margin(self, symbol: str, side: Side, volume: Decimal, price: float) -> Decimal:
        """Return the margin an entry binds beyond what is bound; zero where it only takes away."""
        opposite = sum((p.volume for p in self.held_in(symbol) if p.side != side), Decimal(0)) if self.is_netting else 0
        # A reversal frees the old position's margin: what is left over is bound anew.
        rest = volume - 2 * opposite
        return self.contracts[symbol].margin(rest, price, self.terms.leverage) if rest > 0 else ZERO

    def _enter_part(self, entry: Entry, volume: Decimal, now_msc: int) -> Fill:
        peers = self.held_in(entry.symbol) if self.is_netting else []
        held = peers[0] if peers else self.book.positions.get(entry.order)
        if held is None:
            held = PositionFacts(
                ticket=entry.order, identifier=entry.order, magic=entry.magic, symbol=entry.symbol, side=entry.side,
                volume=Decimal(0), price_open=entry.price, sl=entry.sl, tp=entry.tp, swap=ZERO, profit=ZERO, time_msc=now_msc,
                comment=entry.comment[:_COMMENT_LENGTH],
            )  # fmt: skip
        if held.side == entry.side:
            after = msgspec.structs.replace(
                held, volume=held.volume + volume, price_open=_averaged(held, volume, entry.price),
                sl=entry.sl or held.sl, tp=entry.tp or held.tp,
            )  # fmt: skip
            return self._book(self._deal(entry, volume, held.identifier, "IN", now_msc), after)
        if volume <= held.volume:
            magic, comment = entry.magic, entry.comment
            return self.leave(held, volume, entry.price, entry.reason, comment, now_msc, entry.order, magic)
        return self._turn_round(entry, volume, held, now_msc)

    def _turn_round(self, entry: Entry, volume: Decimal, held: PositionFacts, now_msc: int) -> Fill:
        profit = self.contracts[held.symbol].profit(held.side, held.volume, held.price_open, entry.price)
        deal = self._deal(entry, volume, held.identifier, "INOUT", now_msc)
        after = msgspec.structs.replace(
            held, ticket=entry.order, side=entry.side, volume=volume - held.volume, price_open=entry.price, sl=entry.sl,
            tp=entry.tp, swap=ZERO, time_msc=now_msc, magic=entry.magic, comment=entry.comment[:_COMMENT_LENGTH],
        )  # fmt: skip
        self.book.put(msgspec.structs.replace(held, volume=Decimal(0)))
        return self._book(msgspec.structs.replace(deal, profit=profit, swap=held.swap), after)

    def _deal(
        self, entry: Entry, volume: Decimal, position_id: str, way: Literal["IN", "INOUT"], now_msc: int
    ) -> DealFacts:
        return DealFacts(
            ticket=self.book.ticket(), order=entry.order, position_id=position_id, magic=entry.magic, symbol=entry.symbol,
            kind=entry.side, entry=way, reason=entry.reason, volume=volume, price=entry.price, profit=ZERO,
            commission=self.contracts[entry.symbol].commission(volume), swap=ZERO, fee=self._fee(volume), time_msc=now_msc,
            comment=entry.comment[:_COMMENT_LENGTH],
        )  # fmt: skip

    def _book(self, deal: DealFacts, position: PositionFacts) -> Fill:
        self.book.add(deal)
        self.book.put(position)
        profit = self.floating(position) if position.volume else ZERO
        return Fill(deal, msgspec.structs.replace(position, profit=profit), self.account())

    def _fee(self, volume: Decimal) -> Decimal:
        return -cents(self.terms.conditions.fee_per_lot * volume)


def _averaged(held: PositionFacts, volume: Decimal, price: float) -> float:
    """Return the entry price of a position after `volume` more at `price`."""
    if not held.volume or price == held.price_open:
        return price
    worth = exact(held.price_open) * held.volume + exact(price) * volume
    return round(float(worth / (held.volume + volume)), 8)
