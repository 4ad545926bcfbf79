"""Booking under hedging and netting: averages, reversals, closing by each other, and money that adds up whatever happens."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.paper.book import net_of
from live.paper.conditions import Conditions
from live.paper.faults import Faults
from live.paper.hand import meddle
from live.paper.orders import Execution
from trading_assets.core.messages import DealFacts

from .test_broker import NOW, entry, exit_of, opened
from .test_conditions import under

NETTING = Conditions(margin_mode="netting")


def deals_of(account: Any) -> list[DealFacts]:
    return [deal for deal in account.book.deals if deal.kind in ("BUY", "SELL")]


def test_netting_averages_what_is_added_and_keeps_the_identifier():
    account = under(NETTING)
    ticket = opened(account, entry(1, volume=Decimal("0.20")))
    account.price("EURUSD", NOW, 1.08600, 1.08608)
    assert opened(account, entry(2, volume=Decimal("0.10"), price=1.08608)) == ticket
    (held,) = account.positions()
    assert (held.identifier, held.volume) == (ticket, Decimal("0.30"))
    assert held.price_open == pytest.approx((2 * 1.08508 + 1.08608) / 3, abs=1e-8)


def test_netting_closes_by_the_opposite_side_and_turns_round_with_what_is_left():
    account = under(NETTING)
    ticket = opened(account, entry(1, volume=Decimal("0.20")))
    assert opened(account, entry(2, "SELL", volume=Decimal("0.05"))) == ticket
    assert deals_of(account)[-1].entry == "OUT"
    answer = account.open(entry(3, "SELL", volume=Decimal("0.25")), NOW)
    deal = deals_of(account)[-1]
    (held,) = account.positions()
    assert (deal.entry, deal.volume, deal.position_id) == ("INOUT", Decimal("0.25"), ticket)
    assert deal.profit == Decimal("-1.20")  # 0.15 lots over the spread of 8 points.
    assert (held.side, held.volume, held.price_open) == ("SELL", Decimal("0.10"), 1.085)
    assert held.identifier == ticket != held.ticket
    assert answer.order is not None
    assert held.ticket == answer.order.ticket


def test_netting_binds_margin_for_what_is_left_alone():
    account = under(NETTING, "1200")
    opened(account, entry(1, volume=Decimal("1.00")))
    assert account.open(entry(2, volume=Decimal("0.20")), NOW).retcode == 10019
    assert account.open(entry(3, "SELL", volume=Decimal("1.90"), sl=0.0, tp=0.0), NOW).retcode == 10009


def test_hedging_opens_a_second_position_and_closes_the_two_by_each_other():
    account = under(Conditions())
    first = opened(account, entry(1, volume=Decimal("0.30")))
    second = opened(account, entry(2, "SELL", volume=Decimal("0.10")))
    held = account.book.positions
    fills = account.leave_by(held[second], held[first], "by", NOW)
    assert [(fill.deal.entry, fill.deal.volume) for fill in fills if fill.deal] == [("OUT_BY", Decimal("0.10"))] * 2
    assert sum(fill.deal.profit for fill in fills if fill.deal) == Decimal("-0.80")
    assert list(account.book.positions) == [first]
    assert account.book.positions[first].volume == Decimal("0.20")


def test_a_partly_closed_position_keeps_its_id():
    account = under(Conditions())
    ticket = opened(account, entry(volume=Decimal("0.30")))
    answer = account.close(exit_of(ticket, "0.10"), NOW)
    assert answer.fills[0].position.ticket == ticket
    assert answer.fills[0].position.identifier == ticket
    assert answer.fills[0].position.volume == Decimal("0.20")


def test_credit_counts_in_equity_and_not_in_balance():
    account = under(Conditions())
    account.operate("CREDIT", Decimal("500"), NOW, "bonus")
    account.operate("BALANCE", Decimal("-100"), NOW, "withdrawal")
    facts = account.account()
    assert (facts.balance, facts.credit, facts.equity) == (Decimal("9900.00"), Decimal("500.00"), Decimal("10400.00"))
    assert account.book.deals[-2].kind == "CREDIT"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "open", "close", "quote", "quote", "meddle", "settle", "credit"]),
        st.integers(0, 9),
        st.sampled_from(["BUY", "SELL"]),
        st.integers(1, 200),
        st.sampled_from([None, "whole", "halves", "part", "cancelled", "expired"]),
        st.integers(-300, 300),
    ),
    max_size=30,
)


@settings(max_examples=120, deadline=None)
@given(steps=STEPS, mode=st.sampled_from(["hedging", "netting"]))
def test_balance_is_deposits_and_all_deals_and_volumes_add_up(steps: list[tuple[Any, ...]], mode: Any):
    conditions = Conditions(margin_mode=mode, fee_per_lot=Decimal("0.35"))
    account, now, begins = under(conditions), NOW, Decimal("10000")
    for number, (what, which, side, lots, placed, points) in enumerate(steps):
        quoted = account.quotes["EURUSD"]
        execution = Execution(placed=placed, placed_ms=1000, parts=1 + which % 2)
        timing = {"price": quoted.market(side), "deadline_msc": now + 5000}
        if what == "open":
            volume = Decimal(lots) / 100
            account.open(entry(number, side, volume=volume, sl=0.0, tp=0.0, **timing), now, execution)
        elif what == "close" and account.book.positions:
            held = list(account.book.positions.values())[which % len(account.book.positions)]
            volume = str(min(Decimal(lots) / 100, held.volume))
            account.close(exit_of(held.ticket, volume, f"c{number}", symbol=held.symbol, **timing), now, execution)
        elif what == "quote":
            now += which * 3_600_000 + 1
            bid = round(1.085 + points * 1e-5, 5)
            account.quote("EURUSD", now, bid, round(bid + 8e-5, 5))
        elif what == "meddle":
            meddle(account, Faults(seed=which), now)
        elif what == "settle":
            account.settle(now + 2000)
        elif what == "credit":
            account.operate("CREDIT", Decimal(lots), now, "bonus")
    book = account.book
    moved = sum((net_of(deal) for deal in book.deals if deal.kind in ("BUY", "SELL")), Decimal(0))
    assert book.balance == begins + moved
    assert book.balance == sum((net_of(deal) for deal in book.deals), Decimal(0))
    assert book.credit == sum((deal.profit for deal in book.deals if deal.kind == "CREDIT"), Decimal(0))
    floating = sum((held.profit + held.swap for held in account.positions()), Decimal(0))
    assert account.account().equity == book.balance + book.credit + floating
    signed: dict[str, Decimal] = {}
    for deal in deals_of(account):
        sign = 1 if deal.kind == "BUY" else -1
        signed[deal.position_id] = signed.get(deal.position_id, Decimal(0)) + sign * deal.volume
    still = {held.identifier: held.volume * (1 if held.side == "BUY" else -1) for held in book.positions.values()}
    assert {position: volume for position, volume in signed.items() if volume} == still
    assert len({deal.ticket for deal in book.deals}) == len(book.deals)
    if mode == "netting":
        assert len({held.symbol for held in book.positions.values()}) == len(book.positions)
