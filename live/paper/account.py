"""The account at the trade server: terms, quotes it is valued at, equity, margin, swap.

Nothing here opens or closes a position; `broker` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from live.paper.book import Book
from live.paper.checks import Quoted
from live.paper.contracts import Contract, cents, unrealised
from trading_assets.core.messages import AccountFacts, DealFacts, PositionFacts

DAY_MS = 86_400_000
STOP_OUT_LEVEL = Decimal(50)
"""Margin level in percent at which positions are closed."""
_WEDNESDAY, _SATURDAY, _SUNDAY = 2, 5, 6
_NIGHTS = {_WEDNESDAY: 3, _SATURDAY: 0, _SUNDAY: 0}


@dataclass(frozen=True)
class Terms:
    """The account's terms."""

    login: str = "10001"
    server: str = "Paper-1"
    company: str = "Simulated broker"
    currency: str = "USD"
    leverage: int = 100
    slippage_points: float = 0.5
    seed: int = 0


@dataclass
class Account:
    """One hedging account."""

    terms: Terms
    contracts: Mapping[str, Contract]
    book: Book
    is_halted: bool = False
    quotes: dict[str, Quoted] = field(default_factory=dict)

    def deposit(self, amount: Decimal, msc: int) -> DealFacts:
        """Book a deposit and return its deal."""
        deal = DealFacts(
            ticket=self.book.ticket(), order="0", position_id="0", magic="0", symbol="", kind="BALANCE", entry="IN", reason="CLIENT",
            volume=Decimal(0), price=0.0, profit=cents(amount), commission=Decimal("0.00"), swap=Decimal("0.00"),
            fee=Decimal("0.00"), time_msc=msc, comment="deposit",
        )  # fmt: skip
        self.book.add(deal)
        return deal

    def price(self, symbol: str, msc: int, bid: float, ask: float) -> None:
        """Take note of a quote, booking swap for the server midnights passed. Triggers nothing."""
        self._roll_over(msc)
        self.quotes[symbol] = Quoted(msc, bid, ask)

    def account(self) -> AccountFacts:
        """Return the account as it is now."""
        floating = sum((position.profit + position.swap for position in self.positions()), Decimal("0.00"))
        margin = self._margin()
        equity = self.book.balance + floating
        return AccountFacts(
            login=self.terms.login, server=self.terms.server, company=self.terms.company, currency=self.terms.currency,
            leverage=self.terms.leverage, margin_mode="hedging", balance=self.book.balance, equity=equity, credit=Decimal("0.00"),
            margin=margin, margin_free=equity - margin, trade_allowed=not self.is_halted,
        )  # fmt: skip

    def positions(self) -> tuple[PositionFacts, ...]:
        """Return the open positions valued at the last quotes."""
        return tuple(msgspec.structs.replace(held, profit=self.floating(held)) for held in self.book.positions.values())

    def floating(self, position: PositionFacts) -> Decimal:
        """Return a position's profit at the last quote; zero before the first."""
        quoted = self.quotes.get(position.symbol)
        if quoted is None:
            return Decimal("0.00")
        return unrealised(self.contracts[position.symbol], position, quoted.bid, quoted.ask)

    def _margin(self) -> Decimal:
        held = self.book.positions.values()
        margins = (self.contracts[p.symbol].margin(p.volume, p.price_open, self.terms.leverage) for p in held)
        return sum(margins, Decimal("0.00"))

    def is_covered(self) -> bool:
        """Return whether the margin level at the last quotes is above the stop-out level."""
        margin = self._margin()
        floating = sum((self.floating(held) + held.swap for held in self.book.positions.values()), Decimal("0.00"))
        return margin == 0 or (self.book.balance + floating) * 100 > STOP_OUT_LEVEL * margin

    def _roll_over(self, msc: int) -> None:
        """Book swap for each server midnight since the last quote."""
        day, last = msc // DAY_MS, self.book.rollover_day
        if last is not None and day <= last:
            return
        if last is not None and self.book.positions:
            # 1970-01-01 was a Thursday, day 0: a night belongs to the day it follows.
            nights = sum(_NIGHTS.get((night + 3) % 7, 1) for night in range(last, day))
            for held in list(self.book.positions.values()):
                swap = self.contracts[held.symbol].swap(held.side, held.volume, nights, held.price_open)
                self.book.put(msgspec.structs.replace(held, swap=held.swap + swap))
        self.book.roll(day)
