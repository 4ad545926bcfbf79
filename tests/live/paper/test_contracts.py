"""Money from prices: exact, to the cent, in the account's currency."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.paper.contracts import account_currency, cents, exact, standard_contract
from trading_assets.core.errors import InputError

EURUSD = standard_contract("EURUSD", 5, 1.085, "USD", Decimal("2.50"))
USDJPY = standard_contract("USDJPY", 3, 150.0, "USD", Decimal("2.50"))


def test_profit_is_exact_and_in_the_accounts_currency():
    assert EURUSD.profit("BUY", Decimal("0.10"), 1.08500, 1.08617) == Decimal("11.70")
    assert EURUSD.profit("SELL", Decimal("0.10"), 1.08500, 1.08617) == Decimal("-11.70")
    assert USDJPY.profit("BUY", Decimal(1), 150.0, 151.0) == cents(Decimal(100_000) / 151)
    assert USDJPY.facts.trade_tick_value == Decimal("0.66666667")
    assert EURUSD.facts.trade_tick_value == 1


def test_margin_commission_and_swap():
    assert EURUSD.margin(Decimal(1), 1.085, 100) == Decimal("1085.00")
    assert USDJPY.margin(Decimal(1), 150.0, 100) == Decimal("1000.00")
    assert EURUSD.commission(Decimal("0.01")) == Decimal("-0.03")
    assert EURUSD.swap("BUY", Decimal("0.50"), 3, 1.085) == Decimal("-6.00")


@given(st.decimals(-1_000_000, 1_000_000, places=6))
def test_cents_rounds_half_away_from_zero_and_is_symmetric(amount: Decimal):
    assert cents(-amount) == -cents(amount)
    assert abs(cents(amount) - amount) <= Decimal("0.005")
    assert not cents(amount).is_signed() or cents(amount) < 0


@given(st.integers(1, 10**7))
def test_a_price_is_the_decimal_it_is_written_as(points: int):
    assert exact(round(points * 1e-5, 5)) == Decimal(points).scaleb(-5)


def test_the_accounts_currency_fits_every_symbol_or_is_refused():
    assert account_currency(["EURUSD", "USDJPYm"]) == "USD"
    assert account_currency(["EURJPY"]) == "JPY"
    with pytest.raises(InputError, match="no account currency fits"):
        account_currency(["EURJPY", "EURUSD"])
    with pytest.raises(InputError, match="currency codes"):
        account_currency(["DE40"])
