"""Money of several currencies: rates are those known then, kept beside the amount, and a missing one is told."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import polars as pl
import pytest
from accounts import START, deal, deals_of, marks_of
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.completeness import money_has_a_rate
from trading_assets.core.errors import InputError
from trading_assets.core.trades.account_days import account_days
from trading_assets.core.trades.currencies import (
    converted,
    pairs_of,
    rates,
    reporting_currencies,
    tenant_curve,
    unconverted,
    with_rate,
)
from trading_assets.core.trades.equity import Curve, account_curve, midnight, moves
from trading_assets.core.trades.ledger import MONEY, ZERO, distinct_deals

MOMENT = pl.Datetime("us", "UTC")
DAYS = [START.date() + timedelta(days=number) for number in range(4)]
HOUR = timedelta(hours=1)
SNAPSHOTS = pl.DataFrame(
    {
        "tenant": ["t", "t"],
        "account": ["a", "b"],
        "currency": ["USD", "EUR"],
        "known_at": [START, START + HOUR],
    }
)


def bar(at: datetime, mid: float, symbol: str = "EURUSD", account: str = "a", tenant: str = "t") -> dict[str, Any]:
    """A bar that closed then, with a spread around the mid."""
    known = {"tenant": tenant, "account": account, "symbol": symbol, "timeframe": "M5", "close_at": at}
    return known | {"close": mid - 0.0001, "ask_close": mid + 0.0001}


def bars_of(*rows: dict[str, Any]) -> pl.DataFrame:
    """Rows as bars."""
    schema = {
        "tenant": pl.String, "account": pl.String, "symbol": pl.String, "timeframe": pl.String, "close_at": MOMENT,
        "close": pl.Float64, "ask_close": pl.Float64,
    }  # fmt: skip
    return pl.DataFrame(list(rows), schema=schema, orient="row")


def asked(
    at: datetime, amount: str, currencies: pl.DataFrame, bars: pl.DataFrame, account: str = "b"
) -> dict[str, Any]:
    """One amount of an account, converted at a moment."""
    points = pl.DataFrame({"tenant": ["t"], "account": [account], "at": [at], "amount": [Decimal(amount)]})
    rated = with_rate(points.cast({"amount": MONEY}), currencies, rates(bars, currencies), pl.col("at"))
    (row,) = rated.with_columns(worth=converted("amount")).iter_rows(named=True)
    return row


def test_the_reporting_currency_is_the_first_accounts_or_the_one_named() -> None:
    assert set(reporting_currencies(SNAPSHOTS)["reporting_currency"]) == {"USD"}
    assert set(reporting_currencies(SNAPSHOTS, "GBP")["reporting_currency"]) == {"GBP"}
    assert pairs_of(reporting_currencies(SNAPSHOTS)) == {"EURUSD": ("EUR", "USD"), "USDEUR": ("EUR", "USD")}


@pytest.mark.parametrize("name", ["usd", "DOLLAR", "U$D", "U1D"])
def test_a_reporting_currency_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="it is no currency code; write it as EUR or USD"):
        reporting_currencies(SNAPSHOTS, name)


def test_the_rate_is_the_last_one_known_and_kept_with_its_time_and_pair() -> None:
    bars = bars_of(bar(START, 1.10), bar(START + HOUR, 1.20), bar(START + 2 * HOUR, 1.30))
    row = asked(START + 1.5 * HOUR, "100", reporting_currencies(SNAPSHOTS), bars)
    assert (row["rate"], row["rate_at"], row["rate_symbol"]) == (pytest.approx(1.20), START + HOUR, "EURUSD")
    assert row["worth"] == Decimal("120.00000000")


def test_an_inverse_pair_is_turned_round_and_a_direct_one_goes_first() -> None:
    dollars = reporting_currencies(SNAPSHOTS.with_columns(currency=pl.Series(["JPY", "USD"])))
    yen_first = bars_of(bar(START, 150.0, "USDJPY"))
    assert asked(START, "2", dollars, yen_first)["worth"] == Decimal("300.00000000")
    yen = reporting_currencies(SNAPSHOTS.with_columns(currency=pl.Series(["USD", "JPY"])))
    assert asked(START, "300", yen, yen_first)["worth"] == Decimal("2.00000000")
    both = bars_of(bar(START, 150.0, "USDJPY"), bar(START, 0.01, "JPYUSD"))
    assert asked(START, "300", yen, both)["rate_symbol"] == "JPYUSD"


def test_amounts_in_the_reporting_currency_need_no_rate_and_stay_as_they_are() -> None:
    row = asked(START, "0.12345678", reporting_currencies(SNAPSHOTS), bars_of(), account="a")
    assert (row["rate"], row["rate_at"], row["worth"]) == (1.0, None, Decimal("0.12345678"))


@pytest.mark.parametrize(
    "bars",
    [
        bars_of(),
        bars_of(bar(START + HOUR, 1.1)),  # known only later
        bars_of(bar(START - timedelta(days=8), 1.1)),  # too old
        bars_of(bar(START, 1.1, tenant="other")),  # another tenant's
        bars_of(bar(START, 1.1, "EURGBP")),
    ],
)
def test_without_a_rate_the_value_is_null_and_the_amount_stays(bars: pl.DataFrame) -> None:
    row = asked(START, "100", reporting_currencies(SNAPSHOTS), bars)
    assert (row["rate"], row["worth"], row["amount"], row["currency"]) == (None, None, Decimal(100), "EUR")


def two_accounts(bars: pl.DataFrame) -> tuple[pl.DataFrame, Curve, pl.DataFrame]:
    """A dollar account and a euro account of one tenant: days of the accounts, curve of the tenant, their rates."""
    theirs = [deal(11, "BALANCE", 7200, profit="1000"), *position(12, 90_000, "50.25")]
    deals = deals_of(
        deal(1, "BALANCE", 0, profit="10000"), *position(2, 3600, "-30.10"), *(row | {"account": "b"} for row in theirs)
    )
    known = distinct_deals(deals)
    versions = pl.DataFrame(
        schema=dict.fromkeys(("tenant", "account", "trade_id", "strategy_version", "model_version"), pl.String)
    )
    curve = account_curve(moves(known, marks_of(), versions), DAYS)
    currencies = reporting_currencies(SNAPSHOTS)
    known_rates = rates(bars, currencies)
    days = account_days(curve.days, known, currencies, known_rates)
    opening = days.head(0).with_columns(balance="closing_balance", at=pl.lit(midnight(DAYS[0])))
    return days, tenant_curve(curve, opening, currencies, known_rates), known_rates


def position(ticket: int, seconds: int, profit: str) -> list[dict[str, Any]]:
    """A trade of a minute."""
    return [
        deal(ticket, "BUY", seconds, position=str(ticket), lots="1"),
        deal(ticket + 1, "SELL", seconds + 60, position=str(ticket), lots="1", profit=profit),
    ]


prices = st.lists(st.tuples(st.integers(-48, 96), st.integers(9000, 13000)), max_size=30)


@settings(max_examples=80, deadline=None)
@given(prices)
def test_a_tenant_is_the_sum_of_its_accounts_at_the_rates_of_the_moment_to_the_cent(
    found: list[tuple[int, int]],
) -> None:
    bars = bars_of(*(bar(START + hours * HOUR, pips / 10_000) for hours, pips in dict(found).items()))
    days, tenant, _ = two_accounts(bars)
    known = {START + hours * HOUR: Decimal(pips) / 10_000 for hours, pips in dict(found).items()}
    ends = {row["date"]: row for row in tenant.days.to_dicts()}
    for day, rows in days.group_by("date"):
        end = midnight(day[0]) + timedelta(days=1)  # type: ignore[arg-type]
        past = [at for at in known if at <= end]
        total: Decimal | None = ZERO
        for row in rows.to_dicts():
            rate = Decimal(1) if row["account"] == "a" else known[max(past)] if past else None
            total = None if rate is None or total is None else total + row["closing_equity"] * rate
        told = ends[day[0]]["equity"]
        assert (told is None) == (total is None)
        if total is not None:
            assert told.quantize(Decimal("0.01"), ROUND_HALF_EVEN) == pytest.approx(total, abs=Decimal("0.006"))
            assert abs(told - total) < Decimal("0.000001")
        assert ends[day[0]]["unconverted_accounts"] == (1 if total is None else 0)


def test_neither_a_deposit_nor_a_rate_on_it_is_a_drawdown_of_the_tenant() -> None:
    bars = bars_of(bar(START, 1.20), bar(START + 4 * HOUR, 1.00))
    _, tenant, _ = two_accounts(bars)
    first = tenant.days.row(0, named=True)
    assert first["equity"] == Decimal("10969.90")
    assert (first["net_deposits"], first["high_water_mark"]) == (Decimal("11000"), Decimal("11000"))
    assert first["drawdown"] == Decimal("30.10")


def test_a_currency_without_a_rate_is_one_clear_sentence() -> None:
    days, tenant, _ = two_accounts(bars_of())
    (sentence,) = unconverted(days)
    assert sentence == (
        "converting t/b to USD: no bar of EURUSD or USDEUR is on record within 7 days of 4 days from 2024-03-04 to "
        "2024-03-07; the rows stay in EUR: let a terminal of this tenant quote the pair, or name another reporting currency."
    )
    assert days.filter(pl.col("account") == "b")["closing_balance"].to_list()[-1] == Decimal("1050.25")
    assert days.filter(pl.col("account") == "b")["converted_equity"].null_count() == 4
    assert days.filter(pl.col("account") == "a")["converted_equity"].null_count() == 0
    assert tenant.days["equity"].null_count() == 4
    assert unconverted(two_accounts(bars_of(bar(START, 1.1)))[0]) == []


def test_money_without_a_rate_is_a_finding() -> None:
    (found,) = money_has_a_rate(two_accounts(bars_of())[0])
    assert (found.account, found.subject, found.table) == ("b", "EUR to USD", "equity_daily")
    assert found.observed == "none for 4 days from 2024-03-04 to 2024-03-07"
    assert money_has_a_rate(two_accounts(bars_of(bar(START, 1.1)))[0]) == []
