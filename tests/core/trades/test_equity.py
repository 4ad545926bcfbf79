"""Equity: curves follow deals and marks, deposits are no profit, and a curve taken up anywhere is the whole curve."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from accounts import DEPOSIT, ONE_TRADE, START, books, deal, deals_of, mark, marks_of
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_ledger import closed, last_told, minutes, net

from trading_assets.core.columns.ledger import equity_daily
from trading_assets.core.trades.account_days import account_days
from trading_assets.core.trades.currencies import rates, reporting_currencies
from trading_assets.core.trades.equity import (
    NO_STRATEGY,
    Curve,
    account_curve,
    moves,
    strategy_curve,
)
from trading_assets.core.trades.ledger import IS_PNL, MOVED, ZERO, distinct_deals

DAY = timedelta(days=1)
DAYS = [START.date() + timedelta(days=number) for number in range(9)]
VERSIONS = pl.DataFrame(
    {
        "tenant": "t",
        "account": "a",
        "trade_id": [f"T{number}" for number in range(12)],
        "strategy_version": ["fast", "slow", "slow"] * 4,
        "model_version": ["m1", "m1", "m2", "rules-only"] * 3,
    }
)
NO_MARKS = marks_of()


def curve_of(deals: pl.DataFrame, marks: pl.DataFrame = NO_MARKS, days: list[date] = DAYS) -> Curve:
    """The account's curve."""
    return account_curve(moves(distinct_deals(deals), marks, VERSIONS), days)


def days_of(deals: pl.DataFrame, marks: pl.DataFrame = NO_MARKS) -> list[dict[str, Any]]:
    """Rows of equity_daily of a US dollar account."""
    owner = {"tenant": ["t"], "account": ["a"], "currency": ["USD"], "known_at": [START]}
    currencies = reporting_currencies(pl.DataFrame(owner))
    bars = pl.DataFrame(schema={"tenant": pl.String, "symbol": pl.String, "close": pl.Float64})
    return account_days(
        curve_of(deals, marks).days, distinct_deals(deals), currencies, rates(bars, currencies)
    ).to_dicts()


def test_the_curve_follows_marks_until_the_close_and_holds_only_the_balance_after_it() -> None:
    curve = curve_of(
        deals_of(*ONE_TRADE),
        marks_of(mark(90, "7", "-12.50"), mark(150, "7", "8.00"), mark(400, "7", "25.40"), mark(460, "7", "99")),
    ).minutes
    rows = curve.select("minute_at", "balance", "unrealised_pnl", "equity", "high_water_mark", "open_trades").rows()
    minute = timedelta(minutes=1)
    assert rows == [
        (START, Decimal(10000), ZERO, Decimal(10000), Decimal(10000), 0),
        (START + minute, Decimal("9999.65"), Decimal("-12.50"), Decimal("9987.15"), Decimal(10000), 1),
        (START + 2 * minute, Decimal("9999.65"), Decimal("8.00"), Decimal("10007.65"), Decimal("10007.65"), 1),
        (START + 6 * minute, Decimal("10024.58"), ZERO, Decimal("10024.58"), Decimal("10024.58"), 0),
    ]
    assert curve["drawdown"].to_list()[1] == Decimal("12.85")
    assert curve["under_water_s"].to_list() == [0.0, 60.0, 0.0, 0.0]
    assert curve["average_net_pnl"].to_list()[-2:] == [None, Decimal("24.58")]


def test_a_mark_of_a_trade_without_deals_moves_nothing() -> None:
    assert set(curve_of(deals_of(*ONE_TRADE), marks_of(mark(90, "99", "-500"))).minutes["unrealised_pnl"]) == {ZERO}


def test_a_withdrawal_is_no_drawdown_and_a_deposit_no_new_high() -> None:
    curve = curve_of(
        deals_of(*ONE_TRADE, deal(4, "BALANCE", 500, profit="-5000"), deal(5, "BALANCE", 600, profit="100"))
    ).minutes
    assert curve["drawdown"].to_list()[-2:] == [ZERO, ZERO]
    assert curve["high_water_mark"].to_list()[-1] == Decimal("5124.58")


def test_a_day_on_which_nothing_moved_has_its_row_and_time_under_water_goes_on() -> None:
    lost = deal(3, "SELL", 400, position="7", lots="0.10", profit="-20")
    days = curve_of(deals_of(ONE_TRADE[0], ONE_TRADE[1], lost)).days
    assert days["date"].to_list() == DAYS
    assert days["under_water_s"].to_list()[:2] == [14 * 3600.0, 38 * 3600.0]
    assert set(days["max_drawdown"]) == {Decimal("20.35")}
    # The longest was never seen at a minute: nothing moved after it. The column says that the day's end counts.
    assert days["longest_under_water_s"].to_list()[:2] == [14 * 3600.0, 38 * 3600.0]
    assert equity_daily.column("longest_under_water_s").description.endswith(", or at its end.")


def test_each_day_has_its_line() -> None:
    day = 86_400
    rows = days_of(
        deals_of(
            *ONE_TRADE,
            deal(4, "SELL", day, position="8", lots="0.2", commission="-0.7"),
            deal(5, "BUY", day + 60, position="8", lots="0.2", profit="-10.00"),
            deal(6, "BALANCE", day + 90, profit="1000"),
            deal(9, "CREDIT", day + 95, profit="55"),
        )
    )
    first, second, third = rows[:3]
    assert (first["opening_balance"], first["closing_balance"], first["net_pnl"]) == (
        ZERO, Decimal("10024.58"), Decimal("24.58")
    )  # fmt: skip
    assert first["return_share"] == pytest.approx(24.58 / 10_000)
    assert (second["opening_balance"], second["closing_balance"]) == (Decimal("10024.58"), Decimal("11013.88"))
    assert (second["net_pnl"], second["deposits"], second["credit"]) == (Decimal("-10.70"), Decimal(1000), Decimal(55))
    assert (second["trades_opened"], second["trades_closed"], second["trades"]) == (1, 1, 2)
    assert second["average_net_pnl"] == Decimal("6.94")
    assert (first["pnl_volatility"], first["trade_pnl_volatility"]) == (None, None)
    assert second["pnl_volatility"] == pytest.approx(24.947, abs=1e-3)
    assert second["trade_pnl_volatility"] == pytest.approx(24.947, abs=1e-3)
    assert second["max_drawdown_share"] == pytest.approx(10.70 / 11024.58)
    assert (third["opening_balance"], third["net_pnl"], third["return_share"]) == (Decimal("11013.88"), ZERO, 0.0)
    assert (third["rate"], third["converted_equity"]) == (1.0, Decimal("11013.88"))


def test_an_account_without_deals_has_empty_tables() -> None:
    curve = curve_of(deals_of())
    assert (len(curve.minutes), len(curve.days)) == (0, 0)
    assert days_of(deals_of()) == []


def test_deals_no_decision_of_ours_caused_are_a_strategy_of_their_own() -> None:
    stranger = [
        row | {"trade_id": None, "signal_id": None}
        for row in (
            deal(20, "BUY", 700, position="x", lots="1"),
            deal(21, "SELL", 800, position="x", lots="1", profit="5"),
        )
    ]
    moved = moves(distinct_deals(deals_of(*ONE_TRADE, *stranger)), NO_MARKS, VERSIONS)
    last = strategy_curve(moved, DAYS).days.filter(pl.col("date") == DAYS[-1])
    assert last.select("strategy_version", "model_version", "balance").rows() == [
        (NO_STRATEGY, NO_STRATEGY, Decimal(5)),
        ("slow", "rules-only", Decimal("24.58")),
    ]


# --- against the slow ledger, and against itself ------------------------------------------------------------------


@st.composite
def marked(draw: st.DrawFn) -> tuple[pl.DataFrame, pl.DataFrame, list[dict[str, Any]], list[dict[str, Any]]]:
    """Deals of an account and marks of its trades, as frames and as rows."""
    rows = draw(books())
    found = [
        mark(draw(st.integers(1, 4 * 86_400)), str(draw(st.integers(0, 12))), f"{draw(st.integers(-9000, 9000)) / 100}")
        for _ in range(draw(st.integers(0, 40)))
    ]
    return deals_of(*rows), marks_of(*found), rows, found


@settings(max_examples=80, deadline=None)
@given(marked())
def test_every_minute_is_what_the_slow_ledger_says(
    account: tuple[pl.DataFrame, pl.DataFrame, list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    deals, marks, rows, found = account
    made = curve_of(deals, marks).minutes
    assert made.select(
        "minute_at", "balance", "unrealised_pnl", "high_water_mark", "drawdown", "under_water_s"
    ).rows() == minutes(rows, found)
    ended = [row["net"] for row in closed(rows)]
    assert made["trades"].to_list()[-1] == len(ended)
    if ended:
        assert made["average_net_pnl"].to_list()[-1] == pytest.approx(
            sum(ended, ZERO) / len(ended), abs=Decimal("1e-7")
        )


@settings(max_examples=60, deadline=None)
@given(marked(), st.integers(1, 7))
def test_a_curve_taken_up_from_any_day_is_the_whole_curve(
    account: tuple[pl.DataFrame, pl.DataFrame, list[dict[str, Any]], list[dict[str, Any]]], at: int
) -> None:
    deals, marks, _, _ = account
    known = distinct_deals(deals)
    whole = moves(known, marks, VERSIONS)
    for make in (account_curve, strategy_curve):
        expected = make(whole, DAYS)
        before = expected.days.filter(pl.col("date") == DAYS[at - 1])
        found = make(whole, DAYS[at:], before)
        assert found.days.equals(expected.days.filter(pl.col("date") >= DAYS[at]))
        assert found.minutes.equals(expected.minutes.filter(pl.col("date") >= DAYS[at]))


@settings(max_examples=40, deadline=None)
@given(marked())
def test_days_conserve_money_and_strategies_add_up_to_the_account(
    account: tuple[pl.DataFrame, pl.DataFrame, list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    deals, marks, rows, _ = account
    known = distinct_deals(deals)
    days = pl.DataFrame(days_of(deals, marks))
    balance = sum((net(row) for row in last_told(rows) if row["kind"] != "CREDIT"), ZERO)
    assert days["closing_balance"].to_list()[-1] == balance
    assert days["net_pnl"].sum() == known.filter(IS_PNL).select(MOVED.alias("moved"))["moved"].sum()
    assert days["opening_balance"].to_list()[1:] == days["closing_balance"].to_list()[:-1]
    strategies = strategy_curve(moves(known, marks, VERSIONS), DAYS).days
    earned = strategies.group_by("date").agg(pl.col("equity").sum())
    joined = days.join(earned, on="date", how="left").with_columns(pl.col("equity").fill_null(ZERO))
    assert (joined["closing_equity"] - joined["net_deposits"]).to_list() == joined["equity"].to_list()


@settings(max_examples=30, deadline=None)
@given(marked(), st.data())
def test_the_curve_grows_only_at_its_end(
    account: tuple[pl.DataFrame, pl.DataFrame, list[dict[str, Any]], list[dict[str, Any]]], data: st.DataObject
) -> None:
    """What was known by a moment stays as it is when later deals come (invariant 8)."""
    rows = [row for row in account[2] if row["known_at"] == row["event_at"]]
    cut = START + timedelta(minutes=data.draw(st.integers(1, 4 * 1440)))
    early = curve_of(deals_of(*[row for row in rows if row["event_at"] < cut])).minutes
    assert curve_of(deals_of(*rows)).minutes.filter(pl.col("minute_at") < cut).equals(early)


def test_a_deposit_alone_is_a_flat_curve() -> None:
    days = curve_of(deals_of(DEPOSIT)).days
    assert set(days["equity"]) == {Decimal(10000)}
    assert set(days["drawdown"]) == {ZERO}
