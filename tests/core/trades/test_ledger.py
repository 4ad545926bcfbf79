"""The ledger: no cent is lost, deposits are no profit, and what was told once is never rewritten."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import polars as pl
from accounts import DEPOSIT, MONEY, ONE_TRADE, START, books, deal, deals_of
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_ledger import is_earned, last_told, net

from trading_assets.core.columns.ledger import pnl_events as events_table
from trading_assets.core.trades.ledger import ZERO, conservation, distinct_deals, pnl_events, positions


def test_each_component_of_a_trade_deal_is_an_event_and_zero_amounts_are_none() -> None:
    events = pnl_events(deals_of(*ONE_TRADE))
    assert events.select("deal_ticket", "kind", "amount").rows() == [
        ("2", "commission", Decimal("-0.35")),
        ("3", "commission", Decimal("-0.35")),
        ("3", "profit", Decimal("25.40")),
        ("3", "swap", Decimal("-0.12")),
    ]
    assert set(events["source"]) == {"EXPERT"}


def test_balance_and_credit_never_enter_profit_and_loss() -> None:
    events = pnl_events(deals_of(DEPOSIT, deal(2, "CREDIT", 5, profit="500"), deal(3, "BALANCE", 9, profit="-200")))
    assert events.is_empty()


def test_costs_that_are_deals_of_their_own_are_profit_and_loss_as_the_kind_of_money_they_are() -> None:
    costs = deals_of(
        DEPOSIT, deal(2, "COMMISSION_DAILY", 5, profit="-12.40"), deal(3, "INTEREST", 6, profit="0.30"),
        deal(4, "TAX", 7, profit="-1.10"), deal(5, "DIVIDEND", 8, profit="4"), deal(6, "BONUS", 9, profit="50"),
        deal(7, "NOBODY_KNOWS", 10, profit="-2"),
    )  # fmt: skip
    events = pnl_events(costs)
    assert events.select("deal_ticket", "kind", "amount").rows() == [
        ("2", "commission", Decimal("-12.40")),
        ("3", "swap", Decimal("0.30")),
        ("4", "fee", Decimal("-1.10")),
        ("5", "profit", Decimal(4)),
        ("7", "profit", Decimal(-2)),
    ]
    counted = conservation(costs, events, Decimal("10038.80"))
    assert (counted.difference, counted.deposits) == (ZERO, Decimal(10050))


def test_a_deal_taken_back_moves_its_money_back_and_fills_nothing_any_more() -> None:
    taken_back = [
        row | {"known_at": row["known_at"] + timedelta(hours=3), "kind": f"{row['kind']}_CANCELED"}
        | dict.fromkeys(("profit", "commission", "swap"), ZERO)
        for row in ONE_TRADE[1:]
    ]  # fmt: skip
    deals = deals_of(*ONE_TRADE, *taken_back)
    events = pnl_events(deals)
    assert events["amount"].cast(MONEY).sum() == ZERO
    assert conservation(deals, events, Decimal(10000)).difference == ZERO
    assert positions(distinct_deals(deals)).is_empty()
    only_the_exit = deals_of(*ONE_TRADE, taken_back[1])
    assert positions(distinct_deals(only_the_exit))["closed_at"].to_list() == [None]


def test_a_deal_told_twice_counts_once() -> None:
    again = deals_of(*ONE_TRADE, ONE_TRADE[2])
    assert pnl_events(again).equals(pnl_events(deals_of(*ONE_TRADE)))
    assert conservation(again, pnl_events(again), Decimal("10024.58")).difference == ZERO


def test_the_three_counts_agree_to_the_cent() -> None:
    deals = deals_of(*ONE_TRADE)
    counted = conservation(deals, pnl_events(deals), Decimal("10024.58"))
    assert (counted.deals, counted.events, counted.deposits) == (Decimal("24.58"), Decimal("24.58"), Decimal(10000))
    assert counted.difference == ZERO


def test_a_missing_event_and_a_missing_deal_are_each_seen() -> None:
    deals = deals_of(*ONE_TRADE)
    events = pnl_events(deals)
    assert conservation(deals, events.head(3), Decimal("10024.58")).difference == Decimal("0.12")
    assert conservation(deals, events, Decimal("10024.57")).difference == Decimal("0.01")


def told_again(row: dict[str, Any], hours: int, **money: str) -> dict[str, Any]:
    """The same deal, told again later with other amounts."""
    later = {"known_at": row["known_at"] + timedelta(hours=hours), "trade_id": None}
    return row | later | {name: Decimal(amount) for name, amount in money.items()}


def test_a_corrected_deal_adds_the_difference_on_the_day_it_became_known_and_changes_no_event() -> None:
    corrected = told_again(ONE_TRADE[2], 30, profit="20.00", swap="0")
    before, after = pnl_events(deals_of(*ONE_TRADE)), pnl_events(deals_of(*ONE_TRADE, corrected))
    assert after.head(len(before)).equals(before)
    added = after.tail(len(after) - len(before))
    assert added.select("kind", "revision", "amount").rows() == [
        ("profit", 1, Decimal("-5.40")),
        ("swap", 1, Decimal("0.12")),
    ]
    assert set(added["date"]) == {corrected["known_at"].date()}
    assert set(added["deal_fees"]) == {Decimal("0.12")}
    assert after["amount"].cast(MONEY).sum() == Decimal("19.30")
    (kept,) = distinct_deals(deals_of(ONE_TRADE[2], corrected)).iter_rows(named=True)
    assert (kept["profit"], kept["trade_id"], kept["known_at"]) == (Decimal("20.00"), "T7", ONE_TRADE[2]["known_at"])


def test_a_deal_that_becomes_known_late_is_an_event_of_the_day_it_became_known() -> None:
    late = ONE_TRADE[2] | {"known_at": ONE_TRADE[2]["known_at"] + timedelta(days=40)}
    events = pnl_events(deals_of(*ONE_TRADE[:2], late))
    assert set(events.filter(pl.col("deal_ticket") == "3")["date"]) == {late["known_at"].date()}
    assert set(events["event_at"].dt.date()) == {START.date()}


def test_the_frame_has_exactly_the_columns_and_types_of_its_table() -> None:
    made = pnl_events(deals_of(*ONE_TRADE))
    assert dict(made.select(events_table.names).schema) == dict(events_table.schema)
    assert set(events_table.names) <= set(made.columns)
    assert pnl_events(deals_of()).is_empty()


def test_a_partly_closed_position_is_still_open() -> None:
    half = deal(3, "SELL", 200, position="7", lots="0.04", profit="5")
    assert positions(deals_of(ONE_TRADE[0], ONE_TRADE[1], half))["closed_at"].to_list() == [None]


@settings(max_examples=60, deadline=None)
@given(books())
def test_no_book_loses_a_cent(rows: list[dict[str, Any]]) -> None:
    """Trade deals = realised events = change of the balance less deposits, against the slow ledger."""
    balance = sum((net(row) for row in last_told(rows) if row["kind"] != "CREDIT"), ZERO)
    deals = deals_of(*rows)
    counted = conservation(deals, pnl_events(deals), balance)
    assert counted.difference == ZERO
    assert counted.events == sum((net(row) for row in last_told(rows) if is_earned(row)), ZERO)


@settings(max_examples=40, deadline=None)
@given(books(), st.data())
def test_events_are_only_added(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    """What was known by a moment is told the same way for ever after."""
    cut = START + timedelta(minutes=data.draw(st.integers(1, 7 * 1440)))
    early = pnl_events(deals_of(*[row for row in rows if row["known_at"] < cut]))
    assert pnl_events(deals_of(*rows)).filter(pl.col("known_at") < cut).equals(early)


def test_a_deposit_alone_is_no_event() -> None:
    assert pnl_events(deals_of(DEPOSIT)).is_empty()
