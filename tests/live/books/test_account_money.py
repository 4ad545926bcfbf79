"""Money told by the account and by its deals, in every order: what is paid in or lent is neither profit nor loss."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from live.books.account_money import AccountMoney
from live.books.risk_state import RiskBook
from trading_assets.core.decisions.strategy import BreakerLimits
from trading_assets.core.records.trading import Deal

START = datetime(2024, 1, 9, 8, tzinfo=UTC)
CAPITAL = Decimal(10_000)


def deal(ticket: int, kind: str, amount: Decimal) -> Deal:
    return Deal(
        tenant="t", account="a", event_at=START, known_at=START, chain_id="c", deal_ticket=str(ticket), order_ticket="0",
        position_id="0", trade_id=None, signal_id=None, magic="0", symbol="", kind=kind, entry="IN", reason="CLIENT",
        volume_lots=Decimal(0), price=0.0, profit=amount, commission=Decimal(0), swap=Decimal(0), fee=Decimal(0),
        slippage_points=None, comment="", server_msc=0,
    )  # fmt: skip


class Account:
    """The daemon's side of an account: what it was told, in which order, and what its decisions see."""

    def __init__(self) -> None:
        self.risk = RiskBook(BreakerLimits())
        self.money = AccountMoney(self.risk)
        self.at = START

    def shown(self, balance: Decimal, floating: Decimal = Decimal(0), credit: Decimal = Decimal(0)) -> None:
        self.at += timedelta(seconds=1)
        self.equity, self.balance = balance + floating + credit, balance
        self.money.account(self.at, balance, self.equity, credit)

    def drawdown(self) -> Decimal:
        """Distance of the equity seen from the mark, as a decision sees it."""
        return self.risk.state(self.at, 0, 0).equity_high_water_mark - self.equity

    def restarted(self) -> Account:
        """A new process that has read the last decision and the account's last record."""
        seen, later = self.risk.state(self.at, 0, 0), Account()
        later.at, later.equity, later.balance = self.at, self.equity, self.balance
        held = self.money._seen
        assert held is not None
        later.money.account(*held)
        later.risk.restore(msgspec.convert(msgspec.to_builtins(seen), type(seen)), self.equity, self.at)
        later.money.restored(self.balance, seen.unexplained_balance)
        return later


class Move(NamedTuple):
    """Money that moves at the broker: told by a deal, shown by the account."""

    kind: str
    amount: Decimal


AMOUNTS = st.integers(-4_000, 9_000).filter(bool).map(Decimal)
MOVES = st.lists(st.builds(Move, st.sampled_from(["BALANCE", "BONUS", "CREDIT"]), AMOUNTS), min_size=1, max_size=4)


@settings(max_examples=300, deadline=None)
@given(MOVES, st.data())
def test_deposits_withdrawals_and_credit_are_neither_profit_nor_loss_in_any_order_and_over_restarts(
    moves: list[Move], data: st.DataObject
) -> None:
    account = Account()
    account.shown(CAPITAL)
    account.money.agree()
    # Each move is told by its deal and shown by the account at some place, decisions and restarts fall anywhere between.
    told, shown = list(moves), list(moves)
    balance, credit = CAPITAL, Decimal(0)
    while told or shown:
        step = data.draw(st.sampled_from(["deal"] * bool(told) + ["account"] * bool(shown) + ["restart", "same"]))
        if step == "deal":
            move = told.pop(0)
            account.money.deal(deal(len(told), *move))
        elif step == "account":
            move = shown.pop(0)
            balance += move.amount if move.kind != "CREDIT" else 0
            credit += move.amount if move.kind == "CREDIT" else 0
            account.shown(balance, credit=credit)
        elif step == "restart":
            account = account.restarted()
        else:
            account.shown(balance, credit=credit)
        assert account.drawdown() == 0
    state = account.risk.state(account.at, 0, 0)
    assert account.money.unexplained == 0
    assert state.equity_high_water_mark == state.day_start_equity == state.week_start_equity == balance + credit


def test_a_loss_shown_before_its_deal_counts_once_it_is_told() -> None:
    account = Account()
    account.shown(CAPITAL)
    account.money.agree()
    account.shown(CAPITAL - 900)
    assert (account.drawdown(), account.money.unexplained) == (0, -900)
    account.money.deal(deal(1, "SELL", Decimal(-900)))
    assert (account.drawdown(), account.money.unexplained) == (900, 0)
    account.money.deal(deal(2, "COMMISSION_DAILY", Decimal(-100)))
    account.shown(CAPITAL - 1000, floating=Decimal(-50))
    assert account.drawdown() == 1050


def test_what_no_search_explains_counts_as_a_loss_the_second_time() -> None:
    account = Account()
    account.shown(CAPITAL)
    account.money.agree()
    account.shown(CAPITAL - 400)
    assert account.money.agree() == 0
    assert account.money.is_doubted
    assert account.money.agree() == -400
    assert (account.drawdown(), account.money.unexplained) == (400, 0)


def test_a_correction_of_less_than_a_cent_is_rounding_and_does_not_add_up() -> None:
    account = Account()
    account.shown(CAPITAL)
    account.money.agree()
    for number in range(10):
        account.money.deal(deal(number, "COMMISSION", Decimal("-0.006")))
        account.shown(CAPITAL - (number + 1) * Decimal("0.01"))
        assert account.money.unexplained == 0


def told_again(first: Deal, **money: Any) -> Deal:
    return msgspec.structs.replace(first, **money)


def test_a_deal_told_again_moves_the_difference() -> None:
    account = Account()
    account.shown(CAPITAL)
    account.money.agree()
    first = deal(1, "BUY", Decimal(0))
    account.money.deal(first)
    account.shown(CAPITAL - Decimal("12.67"))
    account.money.deal(told_again(first, commission=Decimal("-12.67")), first)
    assert (account.money.unexplained, account.drawdown()) == (0, Decimal("12.67"))
