"""The account at the trade server: terms, quotes it is valued at, equity, margin, swap.

Nothing here opens or closes a position; `broker` does.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from live.paper.book import Book
from live.paper.checks import Quoted
from live.paper.conditions import Conditions
from live.paper.contracts import Contract, cents, unrealised
from trading_assets.core.messages import AccountFacts, DealFacts, PositionFacts

DAY_MS = 86_400_000
_SATURDAY, _SUNDAY = 5, 6


@dataclass(frozen=True)
class Terms:
    """The account's terms."""

    server: str = "Paper-1"
    company: str = "Simulated broker"
    currency: str = "USD"
    leverage: int = 100
    slippage_points: float = 0.5
    seed: int = 0
    conditions: Conditions = field(default_factory=Conditions)


@dataclass
class Account:
    """One account, hedging or netting."""

    terms: Terms
    contracts: MutableMapping[str, Contract]
    book: Book
    is_halted: bool = False
    quotes: dict[str, Quoted] = field(default_factory=dict)

    def deposit(self, amount: Decimal, msc: int) -> DealFacts:
        """Book a deposit and return its deal."""
        return self.operate("BALANCE", amount, msc, "deposit")

    def operate(self, kind: str, amount: Decimal, msc: int, comment: str) -> DealFacts:
        """Book a deposit, a withdrawal (negative), a credit or a cost and return its deal."""
        deal = DealFacts(
            ticket=self.book.ticket(), order="0", position_id="0", magic="0", symbol="", kind=kind, entry="IN", reason="CLIENT",
            volume=Decimal(0), price=0.0, profit=cents(amount), commission=Decimal("0.00"), swap=Decimal("0.00"),
            fee=Decimal("0.00"), time_msc=msc, comment=comment,
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
        equity = self.book.balance + self.book.credit + floating
        conditions = self.terms.conditions
        return AccountFacts(
            login=conditions.login, server=self.terms.server, company=self.terms.company, currency=self.terms.currency,
            leverage=self.terms.leverage, margin_mode=conditions.margin_mode, balance=self.book.balance, equity=equity, credit=self.book.credit,
            margin=margin, margin_free=equity - margin, trade_allowed=self.is_trade_allowed,
        )  # fmt: skip

    @property
    def is_trade_allowed(self) -> bool:
        """Whether nobody has switched trading off: the daemon, the server, a person at the terminal."""
        return not (self.is_halted or self.book.counters.is_off_at_server or self.book.counters.is_off_at_terminal)

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
        equity = self.book.balance + self.book.credit + floating
        return margin == 0 or equity * 100 > self.terms.conditions.stop_out_level * margin

    def _roll_over(self, msc: int) -> None:
        """Book swap for each server midnight since the last quote."""
        day, last = msc // DAY_MS, self.book.rollover_day
        if last is not None and day <= last:
            return
        if last is not None and self.book.positions:
            # 1970-01-01 was a Thursday, day 0: a night belongs to the day it follows.
            nights = sum(self._nights((night + 3) % 7) for night in range(last, day))
            for held in list(self.book.positions.values()):
                swap = self.contracts[held.symbol].swap(held.side, held.volume, nights, held.price_open)
                self.book.put(msgspec.structs.replace(held, swap=held.swap + swap))
        self.book.roll(day)

    def _nights(self, weekday: int) -> int:
        """Return how often the night of a weekday counts. The triple one pays for the weekend's."""
        return 3 if weekday == self.terms.conditions.triple_day else 0 if weekday in (_SATURDAY, _SUNDAY) else 1
