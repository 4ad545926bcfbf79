"""Performance: every ratio is the textbook's, of every scope, and scopes add up to their account."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from accounts import MONEY, ONE_TRADE, START, books, deal, deals_of
from hypothesis import given, settings
from peer_empyrical import ANSWERS, series
from slow_ledger import closed, observed_on, ratios, returns

from trading_assets.core.columns.ledger import performance_daily as performance_table
from trading_assets.core.trades.ledger import ZERO, distinct_deals
from trading_assets.core.trades.performance import SCOPES, daily_performance

MONDAY = START.date()
DAYS = [START.date() + timedelta(days=number) for number in range(-1, 3000)]
OUTCOMES = pl.DataFrame(
    {"tenant": "t", "account": "a", "trade_id": [f"T{n}" for n in range(12)], "result_r": [n - 5.0 for n in range(12)]}
)
VERSIONS = pl.DataFrame(
    {
        "tenant": "t",
        "account": "a",
        "trade_id": [f"T{number}" for number in range(12)],
        "strategy_version": ["fast", "slow"] * 6,
        "model_version": ["m1", "m1", "rules-only"] * 4,
    }
)


def performed(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """The table of an account's deals."""
    return daily_performance(distinct_deals(deals_of(*rows)), OUTCOMES, VERSIONS, DAYS)


def of_account(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The account's own rows."""
    return performed(rows).filter(pl.col("scope") == "account").to_dicts()


def traded(values: list[float], start: date = MONDAY) -> list[dict[str, Any]]:
    """An account that makes exactly these returns, one a weekday, by one trade each."""
    capital = Decimal("1e12")
    rows = [deal(1, "BALANCE", 0, profit=str(capital))]
    day = start
    for number, value in enumerate(values):
        at = (day - START.date()).days * 86_400 + 60
        profit = (capital * Decimal(repr(value))).quantize(Decimal("1e-8"))
        position = f"p{number}"
        rows += [
            deal(10 * number + 2, "BUY", at, position=position, lots="1"),
            deal(10 * number + 3, "SELL", at + 60, position=position, lots="1", profit=str(profit)),
        ]
        capital += profit
        day += timedelta(days=3 if day.weekday() == 4 else 1)
    return rows


@pytest.mark.parametrize("seed", range(8))
def test_ratios_are_those_of_empyrical(seed: int) -> None:
    """Its answers are kept in a file; `peer_empyrical` makes them anew."""
    answer = json.loads(Path(ANSWERS).read_text())["answers"][seed]
    assert answer.pop("returns") == series(seed)
    last = of_account(traded(series(seed)))[-1]
    assert last["observations"] == len(series(seed))
    for name, value in answer.items():
        assert last[name] == pytest.approx(value, rel=1e-9), name


@settings(max_examples=80, deadline=None)
@given(books())
def test_the_last_row_is_what_the_slow_ledger_says(rows: list[dict[str, Any]]) -> None:
    found = of_account(rows)
    ended = closed(rows)
    if not found:
        assert ended == []
        return
    last = found[-1]
    assert last["trades_so_far"] == len(ended)
    won = sum((row["net"] for row in ended if row["net"] > ZERO), ZERO)
    lost = -sum((row["net"] for row in ended if row["net"] < ZERO), ZERO)
    assert last["profit_factor_so_far"] == (pytest.approx(float(won / lost)) if lost else None)
    assert last["win_share_so_far"] == (sum(row["net"] > ZERO for row in ended) / len(ended) if ended else None)
    held = [(row["closed"] - row["opened"]).total_seconds() for row in ended]
    assert last["mean_holding_s_so_far"] == (pytest.approx(sum(held) / len(held)) if held else None)
    results = [int(row["trade"][1:]) - 5.0 for row in ended]
    assert last["expectancy_r"] == (pytest.approx(sum(results) / len(results)) if results else None)
    if observed_on(last["date"]) == last["date"]:
        expected = ratios(returns(rows))
        for name in ("sharpe", "sortino", "calmar"):
            wanted = expected[name]
            assert last[f"{name}_ratio"] == (None if wanted is None else pytest.approx(wanted, rel=1e-6)), name
        assert last["max_drawdown_share"] == pytest.approx(expected["max_drawdown"], abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(books())
def test_scopes_add_up_to_the_account_day_by_day(rows: list[dict[str, Any]]) -> None:
    table = performed(rows)
    sums = table.group_by("scope", "date").agg(pl.col("net_pnl", "trades_closed", "wins").sum()).sort("date")
    whole = sums.filter(pl.col("scope") == "account").drop("scope")
    for scope in SCOPES[1:]:
        assert sums.filter(pl.col("scope") == scope).drop("scope").equals(whole), scope
    assert not table.select("scope", "scope_name", "date").is_duplicated().any()


def test_a_day_says_what_its_trades_were() -> None:
    (day,) = of_account(list(ONE_TRADE))
    assert (day["net_pnl"], day["trades_closed"], day["wins"], day["win_share"]) == (Decimal("24.58"), 1, 1, 1.0)
    assert (day["profit_factor"], day["mean_holding_s"], day["models"]) == (None, 340.0, ["m1"])
    assert (day["high_water_pnl"], day["expectancy_r"], day["mean_r"]) == (Decimal("24.58"), 2.0, 2.0)


@pytest.mark.parametrize(
    ("kind", "back", "symbol", "entry", "leave", "pips"),
    [
        ("BUY", "SELL", "EURUSD", 1.1, 1.1015, 15.0),
        ("SELL", "BUY", "EURUSD", 1.1, 1.1015, -15.0),
        ("SELL", "BUY", "USDJPY", 150.0, 149.5, 50.0),
    ],
)
def test_pips_are_counted_the_way_of_the_trade(
    kind: str, back: str, symbol: str, entry: float, leave: float, pips: float
) -> None:
    rows = [
        deal(2, kind, 60, position="7", lots="0.3", price=entry, symbol=symbol),
        deal(3, back, 90, position="7", lots="0.3", price=leave, symbol=symbol),
    ]
    assert of_account(rows)[0]["pips"] == pytest.approx(pips)


def test_sortino_divides_by_the_falls_over_all_days_as_its_column_says() -> None:
    last = of_account(traded([0.02, -0.01, 0.01, -0.03]))[-1]
    falls = ((0.01**2 + 0.03**2) / 4) ** 0.5
    assert last["sortino_ratio"] == pytest.approx(-0.0025 / falls * 252**0.5)
    said = performance_table.column("sortino_ratio").description
    assert "the mean square of the returns, with positive ones as zero" in said


def test_what_cannot_be_divided_is_null() -> None:
    (one_day,) = of_account(list(ONE_TRADE))
    for name in ("sharpe_ratio", "sortino_ratio", "calmar_ratio", "pnl_volatility", "annual_return_share"):
        assert one_day[name] is None
    same = of_account(traded([0.0, 0.0, 0.0]))[-1]
    assert (same["sharpe_ratio"], same["sortino_ratio"], same["calmar_ratio"]) == (None, None, None)
    assert (same["pnl_volatility"], same["profit_factor_so_far"]) == (0.0, None)
    rising = of_account(traded([0.01, 0.02]))[-1]
    assert (rising["sortino_ratio"], rising["calmar_ratio"]) == (None, None)
    assert rising["sharpe_ratio"] > 0
    bare = of_account([row for row in ONE_TRADE if row["kind"] != "BALANCE"])[0]
    assert (bare["sharpe_ratio"], bare["observations"]) == (None, 0)
    ruined = of_account(traded([0.1, -1.0]))[-1]
    assert (ruined["annual_return_share"], ruined["calmar_ratio"], ruined["max_drawdown_share"]) == (None, None, 1.0)


def test_idle_weekdays_are_observations_and_weekends_belong_to_monday() -> None:
    friday = date(2024, 3, 8)
    assert (friday.weekday(), observed_on(friday + timedelta(days=1))) == (4, date(2024, 3, 11))
    rows = traded([0.01], friday)
    at = (date(2024, 3, 10) - START.date()).days * 86_400  # a Sunday evening's trade
    rows += [
        deal(900, "BUY", at, position="s", lots="1"),
        deal(901, "SELL", at + 60, position="s", lots="1", profit="5e9"),
    ]
    wednesday = (date(2024, 3, 13) - START.date()).days * 86_400
    rows += [
        deal(902, "BUY", wednesday, position="w", lots="1"),
        deal(903, "SELL", wednesday + 60, position="w", lots="1", profit="-1e9"),
    ]
    on_friday, on_sunday, on_wednesday = of_account(rows)
    assert (on_friday["observations"], on_sunday["observations"], on_wednesday["observations"]) == (1, 1, 4)
    expected = ratios([0.01, 5e9 / 1.01e12, 0.0, -1e9 / 1.015e12])
    assert on_wednesday["sharpe_ratio"] == pytest.approx(expected["sharpe"], rel=1e-9)
    assert on_wednesday["calmar_ratio"] == pytest.approx(expected["calmar"], rel=1e-9)


def test_the_frame_has_the_columns_and_types_of_its_table() -> None:
    made = performed(list(ONE_TRADE)).select(performance_table.names)
    assert dict(made.schema) == dict(performance_table.schema)
    assert performed([]).is_empty()
    assert made["net_pnl"].dtype == MONEY
