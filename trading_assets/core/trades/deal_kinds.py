"""Every type of deal MetaTrader tells (ENUM_DEAL_TYPE), and what its money is: profit or loss, money paid in or out, or credit.

The one table of it: the daemon's risk marks, the ledger, the curves, performance and the events all ask here. A type nobody
knows is kept, counts as profit or loss, and is reported: a withdrawal taken for a loss stops entries, a loss taken for a
withdrawal would stop nothing.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Role = Literal["trade", "cancelled", "cost", "cash", "credit"]
"""trade: fills volume. cancelled: a fill that counts no more. cost: income or expense without a fill. cash: paid in or out."""
Money = Literal["profit", "commission", "swap", "fee"]


class DealKind(NamedTuple):
    """What one type of deal is."""

    role: Role
    money: Money
    """What the amount in its field `profit` is."""
    reason: str


KINDS: dict[str, DealKind] = {
    "BUY": DealKind("trade", "profit", "a fill"),
    "SELL": DealKind("trade", "profit", "a fill"),
    "BALANCE": DealKind("cash", "profit", "deposits and withdrawals are the trader's own money"),
    "CREDIT": DealKind("credit", "profit", "lent by the broker: in the equity, never in the balance"),
    "CHARGE": DealKind("cost", "fee", "an additional charge of the broker is paid out of the account's result"),
    "CORRECTION": DealKind("cost", "profit", "puts right what the account had earned or paid"),
    "BONUS": DealKind("cash", "profit", "given by the broker, earned by no trade"),
    "COMMISSION": DealKind("cost", "commission", "an additional commission"),
    "COMMISSION_DAILY": DealKind("cost", "commission", "commission charged for a day at its end"),
    "COMMISSION_MONTHLY": DealKind("cost", "commission", "commission charged for a month at its end"),
    "COMMISSION_AGENT_DAILY": DealKind("cost", "commission", "an agent's commission for a day"),
    "COMMISSION_AGENT_MONTHLY": DealKind("cost", "commission", "an agent's commission for a month"),
    "INTEREST": DealKind("cost", "swap", "interest on what is held"),
    "BUY_CANCELED": DealKind("cancelled", "profit", "a buy the broker took back: its volume counts no more"),
    "SELL_CANCELED": DealKind("cancelled", "profit", "a sell the broker took back: its volume counts no more"),
    "DIVIDEND": DealKind("cost", "profit", "income of a position held"),
    "DIVIDEND_FRANKED": DealKind("cost", "profit", "income of a position held, taxed already"),
    "TAX": DealKind("cost", "fee", "tax on what was earned"),
}
_UNKNOWN = DealKind("cost", "profit", "nobody knows this type: it counts as profit or loss and is reported")

TRADE_KINDS = tuple(name for name, kind in KINDS.items() if kind.role == "trade")
CASH_KINDS = tuple(name for name, kind in KINDS.items() if kind.role == "cash")
CREDIT_KINDS = tuple(name for name, kind in KINDS.items() if kind.role == "credit")


def kind_of(name: str) -> DealKind:
    """Return what a type of deal is; one that nobody knows is a cost."""
    return KINDS.get(name, _UNKNOWN)


def named_for(money: str) -> tuple[str, ...]:
    """Return the types whose amount is told as profit and is this kind of money."""
    return tuple(name for name, kind in KINDS.items() if kind.money == money)
