from __future__ import annotations

import numpy as np
import pytest

from trading_assets.core.market.symbols import canonical, infer_digits, pip_points, point_of


@pytest.mark.parametrize(
    ("raw", "pair"),
    [
        ("EURUSD", "EURUSD"),
        ("EURUSDm", "EURUSD"),
        ("eurusd.x", "EURUSD"),
        ("GBPUSDh1.csv.gz", "GBPUSD"),
        ("EURUSD_M1_2024_02.csv.gz", "EURUSD"),
        ("mt5-USDJPY.csv", "USDJPY"),
        ("20140501_quote.zip", None),
        ("EUREUR", None),
        ("US30", None),
        ("", None),
    ],
)
def test_a_pair_is_found_in_a_brokers_symbol_or_a_files_name(raw: str, pair: str | None) -> None:
    assert canonical(raw) == pair


def test_the_fewest_digits_that_write_the_prices_exactly_are_theirs() -> None:
    assert infer_digits("EURUSD", np.array([1.38676, 1.3868, 1.0])) == 5
    assert infer_digits("USDJPY", np.array([101.123, 101.5])) == 3
    assert infer_digits("XAUUSD", np.array([1899.12, 1900.0])) == 2


def test_round_prices_have_at_least_the_digits_of_a_pip() -> None:
    assert infer_digits("EURUSD", np.array([1.1, 1.2])) == 4
    assert infer_digits("USDJPY", np.array([101.0])) == 2


def test_single_faulty_prices_do_not_change_the_digits() -> None:
    prices = np.round(np.linspace(1.1, 1.2, 5000), 5)
    prices[[7, 400]] = 1.1234567
    prices[[8, 9]] = np.nan, np.inf
    assert infer_digits("EURUSD", prices) == 5


def test_prices_on_no_grid_have_the_digits_usual_for_the_symbol() -> None:
    averages = np.linspace(1.1, 1.2, 100) / 3
    assert infer_digits("EURUSD", averages) == 5
    assert infer_digits("EURJPY", averages) == 3
    assert infer_digits("EURUSD", np.array([np.nan])) == 5


def test_a_pip_has_ten_points_of_the_usual_digits() -> None:
    assert pip_points("EURUSD", 5) == 10
    assert pip_points("EURJPY", 3) == 10
    assert pip_points("EURUSD", 4) == 1
    assert point_of(5) == 0.00001
