"""The ledger: no cent is lost, deposits are no profit, the curve follows deals and marks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.columns.ledger import equity_curve as curve_table
from trading_assets.core.columns.ledger import equity_daily as daily_table
from trading_assets.core.columns.ledger import pnl_events as events_table
from trading_assets.core.trades.ledger import ZERO, closings, conservation, equity_curve, equity_daily, pnl_events

START = datetime(2024, 3, 4, 10, tzinfo=UTC)
MONEY = pl.Decimal(38, 8)
MOMENT = pl.Datetime("us", "UTC")
DEAL_SCHEMA = {
    "tenant": pl.String,
    "account": pl.String,
    "event_at": MOMENT,
    "known_at": MOMENT,
    "deal_ticket": pl.String,
    "position_id": pl.String,
    "trade_id": pl.String,
    "signal_id": pl.String,
    "symbol": pl.String,
    "kind": pl.String,
    "reason": pl.String,
    "volume_lots": MONEY,
    "profit": MONEY,
    "commission": MONEY,
    "swap": MONEY,
    "fee": MONEY,
    "slippage_points": pl.Float64,
}


def deal(ticket: int, kind: str, seconds: int, *, position: str = "", lots: str = "0", **money: str) -> dict[str, Any]:
    """One deal, `seconds` after the start."""
    at = START + timedelta(seconds=seconds)
    return {
        "tenant": "t",
        "account": "a",
        "event_at": at,
        "known_at": at,
        "deal_ticket": str(ticket),
        "position_id": position,
        "trade_id": f"T{position}" if position else None,
        "signal_id": f"S{position}" if position else None,
        "symbol": "EURUSD" if position else "",
        "kind": kind,
        "reason": "EXPERT",
        "volume_lots": Decimal(lots),
        "slippage_points": 0.5 if position else None,
    } | {name: Decimal(money.get(name, "0")) for name in ("profit", "commission", "swap", "fee")}


def mark(seconds: int, position: str, value: str) -> dict[str, Any]:
    """One mark of a trade."""
    return {
        "tenant": "t",
        "account": "a",
        "event_at": START + timedelta(seconds=seconds),
        "trade_id": f"T{position}",
        "unrealised_pnl": Decimal(value),
    }


def deals_of(*rows: dict[str, Any]) -> pl.DataFrame:
    """Rows as raw deals."""
    return pl.DataFrame(list(rows), schema=DEAL_SCHEMA, orient="row")


def marks_of(*rows: dict[str, Any]) -> pl.DataFrame:
    """Rows as marks."""
    schema = {
        "tenant": pl.String,
        "account": pl.String,
        "event_at": MOMENT,
        "trade_id": pl.String,
        "unrealised_pnl": MONEY,
    }
    return pl.DataFrame(list(rows), schema=schema, orient="row")


DEPOSIT = deal(1, "BALANCE", 0, profit="10000")
ONE_TRADE = (
    DEPOSIT,
    deal(2, "BUY", 60, position="7", lots="0.10", commission="-0.35"),
    deal(3, "SELL", 400, position="7", lots="0.10", profit="25.40", commission="-0.35", swap="-0.12"),
)


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


def test_the_curve_follows_marks_until_the_close_and_holds_only_the_balance_after_it() -> None:
    curve = equity_curve(
        deals_of(*ONE_TRADE),
        marks_of(mark(90, "7", "-12.50"), mark(150, "7", "8.00"), mark(400, "7", "25.40"), mark(460, "7", "99")),
    )
    rows = curve.select("minute_at", "balance", "unrealised_pnl", "equity", "high_water_mark", "open_trades").rows()
    assert rows == [
        (START, Decimal(10000), ZERO, Decimal(10000), Decimal(10000), 0),
        (START + timedelta(minutes=1), Decimal("9999.65"), Decimal("-12.50"), Decimal("9987.15"), Decimal(10000), 1),
        (
            START + timedelta(minutes=2),
            Decimal("9999.65"),
            Decimal("8.00"),
            Decimal("10007.65"),
            Decimal("10007.65"),
            1,
        ),
        (START + timedelta(minutes=6), Decimal("10024.58"), ZERO, Decimal("10024.58"), Decimal("10024.58"), 0),
    ]
    assert curve["drawdown"].to_list()[1] == Decimal("12.85")


def test_a_withdrawal_is_no_drawdown_and_a_deposit_no_new_high() -> None:
    curve = equity_curve(
        deals_of(*ONE_TRADE, deal(4, "BALANCE", 500, profit="-5000"), deal(5, "BALANCE", 600, profit="100")), marks_of()
    )
    assert curve["drawdown"].to_list()[-2:] == [ZERO, ZERO]
    assert curve["high_water_mark"].to_list()[-1] == Decimal("5124.58")


def test_a_partly_closed_position_is_still_open() -> None:
    half = deal(3, "SELL", 200, position="7", lots="0.04", profit="5")
    deals = deals_of(ONE_TRADE[0], ONE_TRADE[1], half)
    assert closings(deals).is_empty()
    assert equity_curve(deals, marks_of())["open_trades"].to_list() == [0, 1, 1]


def test_each_day_has_its_line() -> None:
    day = 86_400
    deals = deals_of(
        *ONE_TRADE,
        deal(4, "SELL", day, position="8", lots="0.2", commission="-0.7"),
        deal(5, "BUY", day + 60, position="8", lots="0.2", profit="-10.00"),
        deal(6, "BALANCE", day + 90, profit="1000"),
    )
    daily = equity_daily(deals, equity_curve(deals, marks_of()))
    first, second = daily.rows(named=True)
    assert (first["opening_balance"], first["closing_balance"], first["net_pnl"]) == (
        ZERO,
        Decimal("10024.58"),
        Decimal("24.58"),
    )
    assert (second["opening_balance"], second["closing_balance"]) == (Decimal("10024.58"), Decimal("11013.88"))
    assert (second["net_pnl"], second["deposits"], second["trades_closed"]) == (Decimal("-10.70"), Decimal(1000), 1)
    assert second["average_net_pnl"] == Decimal("6.94")
    assert (first["pnl_volatility"], first["return_share"]) == (None, None)
    assert second["pnl_volatility"] == pytest.approx(24.947, abs=1e-3)
    assert second["max_drawdown_share"] == pytest.approx(10.70 / 11024.58)


def test_the_frames_have_exactly_the_columns_and_types_of_their_tables() -> None:
    deals = deals_of(*ONE_TRADE)
    curve = equity_curve(deals, marks_of(mark(90, "7", "-12.50")))
    for table, made in (
        (events_table, pnl_events(deals)),
        (curve_table, curve),
        (daily_table, equity_daily(deals, curve)),
    ):
        assert dict(made.select(table.names).schema) == dict(table.schema), table.name
        assert set(made.columns) == set(table.names), table.name


def test_an_account_without_deals_has_empty_tables() -> None:
    deals = deals_of()
    curve = equity_curve(deals, marks_of())
    assert pnl_events(deals).is_empty()
    assert curve.is_empty()
    assert equity_daily(deals, curve).is_empty()


cents = st.integers(-500_000, 500_000).map(lambda number: Decimal(number) / 100)


@st.composite
def books(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Deals of an account: trades in one or two parts, deposits, credit, some told twice."""
    rows = [DEPOSIT]
    for number in range(draw(st.integers(0, 12))):
        begin = draw(st.integers(1, 4 * 86_400))
        lots = draw(st.integers(1, 50))
        parts = sorted({lots, draw(st.integers(1, lots))})
        entry, leave = ("BUY", "SELL") if draw(st.booleans()) else ("SELL", "BUY")
        position = str(number)
        rows.append(
            deal(
                10 * number + 2, entry, begin, position=position, lots=f"{lots / 100:.2f}", commission=str(draw(cents))
            )
        )
        done = 0
        for step, upto in enumerate(parts if draw(st.booleans()) else []):
            rows.append(
                deal(
                    10 * number + 3 + step,
                    leave,
                    begin + 60 * (step + 1),
                    position=position,
                    lots=f"{(upto - done) / 100:.2f}",
                    profit=str(draw(cents)),
                    swap=str(draw(cents)),
                    fee=str(draw(cents)),
                )
            )
            done = upto
        if draw(st.booleans()):
            kind = draw(st.sampled_from(["BALANCE", "CREDIT"]))
            rows.append(deal(10 * number + 9, kind, draw(st.integers(1, 4 * 86_400)), profit=str(draw(cents))))
    return draw(st.permutations(rows + rows[:: draw(st.integers(1, 5))]))


@settings(max_examples=60, deadline=None)
@given(books())
def test_no_book_loses_a_cent(rows: list[dict[str, Any]]) -> None:
    deals = deals_of(*rows)
    distinct = {row["deal_ticket"]: row for row in rows}.values()
    moved = {
        row["deal_ticket"]: row["profit"] + row["commission"] + row["swap"] + row["fee"]
        for row in distinct
        if row["kind"] != "CREDIT"
    }
    balance = sum(moved.values(), ZERO)
    events = pnl_events(deals)
    assert conservation(deals, events, balance).difference == ZERO
    curve = equity_curve(deals, marks_of())
    daily = equity_daily(deals, curve)
    assert curve["balance"].to_list()[-1] == balance
    assert daily["net_pnl"].sum() == events["amount"].cast(MONEY).sum()
    assert daily["closing_balance"].to_list()[-1] == balance
    assert (curve["drawdown"] >= ZERO).all()
    assert (curve["equity"] == curve["balance"] + curve["unrealised_pnl"]).all()


@settings(max_examples=30, deadline=None)
@given(books(), st.data())
def test_the_curve_grows_only_at_its_end(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    """What was known by a moment stays as it is when later deals come (invariant 8)."""
    cut = START + timedelta(minutes=data.draw(st.integers(1, 4 * 1440)))
    early = equity_curve(deals_of(*[row for row in rows if row["event_at"] < cut]), marks_of())
    whole = equity_curve(deals_of(*rows), marks_of()).filter(pl.col("minute_at") < cut)
    assert whole.equals(early)
