from __future__ import annotations

import math

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.market.playback import model_spread_points, quotes_of_bars
from trading_assets.core.market.timeframes import duration_ms

MINUTE = duration_ms("M1")


def bars(*rows: tuple[float, ...], spread: list[int | None] | None = None) -> pl.DataFrame:
    frame = pl.DataFrame(
        [(index * MINUTE, *row) for index, row in enumerate(rows)],
        schema=["server_msc", "open", "high", "low", "close"],
        orient="row",
    )
    return frame if spread is None else frame.with_columns(pl.Series("spread_points", spread, dtype=pl.Int64))


def test_a_rising_bar_visits_its_low_first_and_a_falling_bar_its_high() -> None:
    quotes = quotes_of_bars(bars((1.1, 1.4, 1.0, 1.3), (1.3, 1.4, 1.0, 1.1)), MINUTE, 5, 10)
    assert quotes["bid"].to_list() == [1.1, 1.0, 1.4, 1.3, 1.3, 1.4, 1.0, 1.1]
    assert quotes["server_msc"].to_list() == [0, 20_000, 40_000, 59_000, 60_000, 80_000, 100_000, 119_000]


def test_the_spread_is_the_bars_own_and_the_models_where_it_is_zero_or_missing() -> None:
    flat = (1.1, 1.1, 1.1, 1.1)
    quotes = quotes_of_bars(bars(flat, flat, flat, spread=[3, 0, None]), MINUTE, 5, 10)
    assert quotes["ask"].gather_every(4).to_list() == [1.10003, 1.1001, 1.1001]
    assert quotes_of_bars(bars(flat), MINUTE, 5, 12)["ask"].to_list() == [1.10012] * 4


def test_the_models_spread_is_a_pip_and_never_less_than_its_floor() -> None:
    assert model_spread_points("EURUSD", 5) == 10
    assert model_spread_points("EURJPY", 3) == 10
    assert model_spread_points("EURUSD", 4) == 2


def test_a_bar_with_its_own_ask_gives_it_with_each_quote() -> None:
    own = bars((1.1, 1.4, 1.0, 1.3)).with_columns(ask_open=1.15, ask_high=1.45, ask_low=1.05, ask_close=1.35)
    assert quotes_of_bars(own, MINUTE, 5, 10)["ask"].to_list() == [1.15, 1.05, 1.45, 1.35]


def test_a_missing_price_stays_missing() -> None:
    broken = bars((1.1, 1.4, 1.0, 1.3)).with_columns(high=pl.lit(None, dtype=pl.Float64))
    bid = quotes_of_bars(broken, MINUTE, 5, 10)["bid"].to_list()
    assert math.isnan(bid[2])
    assert [bid[0], bid[1], bid[3]] == [1.1, 1.0, 1.3]


@given(st.lists(st.integers(100_000, 200_000), min_size=1, max_size=30), st.integers(1, 500))
def test_asks_are_the_doubles_their_decimals_read_as(points: list[int], spread: int) -> None:
    frame = bars(*[(point / 10**5,) * 4 for point in points], spread=[spread] * len(points))
    asks = quotes_of_bars(frame, MINUTE, 5, 10)["ask"].gather_every(4).to_list()
    assert asks == [float(f"{point + spread}e-5") for point in points]
