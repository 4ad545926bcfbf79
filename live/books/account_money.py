"""The account's money told twice, by its own figures and by its deals, in whatever order: what is paid in or lent is neither profit nor loss.

The balance the terminal reports is explained once the deals that are known make it. Equity enters the marks of the risk
rules only then; until then the marks stand where they stood beside the equity seen. So neither order nor loss of a message
can turn a deposit into a profit. Credit has no deal that could explain it in time: it is read from the account itself.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from live.books.risk_state import RiskBook
from trading_assets.core.records.trading import Deal
from trading_assets.core.trades.deal_kinds import kind_of

_ZERO = Decimal(0)
# Brokers keep balances in cents and some commissions in less.
_ROUNDING = Decimal("0.01")


class _Seen(NamedTuple):
    """The account as reported last."""

    at: datetime
    balance: Decimal
    equity: Decimal
    credit: Decimal


class AccountMoney:
    """Money of one account."""

    def __init__(self, risk: RiskBook) -> None:
        self._risk = risk
        self._seen: _Seen | None = None
        self._expected: Decimal | None = None
        self._credit: Decimal | None = None
        self._unexplained_before = _ZERO

    @property
    def unexplained(self) -> Decimal:
        """What the balance moved by without a deal that is known, or less what is known and not shown yet."""
        if self._seen is None or self._expected is None:
            return _ZERO
        moved = self._seen.balance - self._expected
        return moved if abs(moved) > _ROUNDING else _ZERO

    @property
    def is_doubted(self) -> bool:
        """Whether a search has not explained what is unexplained now."""
        return bool(self._unexplained_before) and self.unexplained == self._unexplained_before

    def would_explain(self, balance: Decimal) -> bool:
        """Return whether the deals that are known make this balance."""
        return self._expected is None or abs(balance - self._expected) <= _ROUNDING

    def account(self, at: datetime, balance: Decimal, equity: Decimal, credit: Decimal) -> None:
        """Take the account as reported."""
        self._seen = _Seen(at, balance, equity, credit)
        self._risk.see_equity(equity)
        self._count()

    def deal(self, deal: Deal, before: Deal | None = None) -> None:
        """Take a deal that was booked; `before` is its former telling, where it was told again."""
        cash = cash_of(deal) - (cash_of(before) if before else _ZERO)
        if self._expected is not None:
            self._expected += balance_of(deal) - (balance_of(before) if before else _ZERO)
        if cash:
            self._risk.observe_cash(cash)
        self._count()

    def agree(self) -> Decimal:
        """Every deal the terminal knows is booked. Returns what the balance moved by without one, once it has been so twice.

        It counts as profit or loss: a loss taken for a withdrawal would stop nothing.
        """
        moved = self.unexplained
        is_new = moved != self._unexplained_before
        self._unexplained_before = moved
        if self._seen is None or (self._expected is not None and moved and is_new):
            return _ZERO
        if self._expected is None or moved:
            self._expected, self._unexplained_before = self._seen.balance, _ZERO
        self._count()
        return moved

    def restored(self, balance: Decimal, unexplained: Decimal) -> None:
        """The marks of a decision on record were taken: what was unexplained then is still to be explained."""
        self._expected = balance - unexplained
        if self._seen is not None:
            self._credit = self._seen.credit
        self._risk.unexplained = self.unexplained

    def _count(self) -> None:
        """Let the equity seen last count in the marks, once its balance is explained."""
        seen, self._risk.unexplained = self._seen, self.unexplained
        if seen is None or self._expected is None or self.unexplained:
            return
        if self._credit is not None and seen.credit != self._credit:
            self._risk.observe_cash(seen.credit - self._credit)
        self._credit, self._expected = seen.credit, seen.balance
        self._risk.observe_equity(seen.at, seen.equity)


def balance_of(deal: Deal) -> Decimal:
    """Return what a deal did to the balance. Credit is no part of it."""
    profit = _ZERO if kind_of(deal.kind).role == "credit" else deal.profit
    return profit + deal.commission + deal.swap + deal.fee


def cash_of(deal: Deal) -> Decimal:
    """Return what a deal paid in, or out where it is negative."""
    return balance_of(deal) if kind_of(deal.kind).role == "cash" else _ZERO
