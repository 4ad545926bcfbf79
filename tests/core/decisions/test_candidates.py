from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.decisions.candidates import ideas
from trading_assets.core.decisions.sizing import price_of, ticks, ticks_at_least
from trading_assets.core.decisions.strategy import INTRADAY


def test_the_cohort_is_long_and_short_with_each_exit_profile(market: Any) -> None:
    cohort = ideas(INTRADAY, market.inputs(), 0.0005)
    assert [(idea.kind, idea.profile.name) for idea in cohort] == [
        (kind, profile.name) for kind in ("LONG", "SHORT") for profile in INTRADAY.exit_profiles
    ]


def test_long_enters_at_the_ask_and_short_at_the_bid_with_stops_by_the_atr(market: Any) -> None:
    cohort = ideas(INTRADAY, market.inputs(bid=1.08500, ask=1.08510), 0.0005)
    long, short = cohort[0], cohort[3]
    assert (long.entry_price, long.stop_price, long.target_price) == (1.08510, 1.08410, 1.08610)
    assert (short.entry_price, short.stop_price, short.target_price) == (1.08500, 1.08600, 1.08400)
    assert long.risk_unit == pytest.approx(0.001)
    assert long.reward_r == 1.0
    # 10 points of spread and 7 of commission in 100 points of risk.
    assert long.cost_r == pytest.approx(0.17)


def test_the_stops_level_widens_a_stop_that_is_too_near(market: Any) -> None:
    near = ideas(INTRADAY, market.inputs(stops_level=200, bid=1.08500, ask=1.08510), 0.0002)
    for idea in near:
        closing_price = 1.08500 if idea.side > 0 else 1.08510
        assert round((closing_price - idea.stop_price) * idea.side * 1e5) >= 200
        assert round((idea.target_price - closing_price) * idea.side * 1e5) >= 200


@given(
    bid_ticks=st.integers(1_000, 300_000),
    spread=st.integers(0, 200),
    atr=st.floats(1e-6, 0.05),
    tick_size=st.sampled_from(["0.00001", "0.00005", "0.001", "0.01", "0.25", "0.5"]),
    stops_level=st.integers(0, 300),
)
def test_prices_lie_on_the_tick_grid_and_on_the_right_side(
    market: Any, bid_ticks: int, spread: int, atr: float, tick_size: str, stops_level: int
) -> None:
    step = Decimal(tick_size)
    digits = -int(step.as_tuple().exponent)
    symbol = msgspec.structs.replace(
        market.symbol,
        tick_size=float(step),
        point=float(Decimal(1).scaleb(-digits)),
        digits=digits,
        stops_level=stops_level,
    )
    bid, ask = float(bid_ticks * step), float((bid_ticks + spread) * step)
    scale = float(step) / 1e-5
    for idea in ideas(INTRADAY, market.inputs(symbol_state=symbol, bid=bid, ask=ask), atr * scale):
        for price in (idea.entry_price, idea.stop_price, idea.target_price):
            assert Decimal(repr(price)) % step == 0
        assert (idea.entry_price - idea.stop_price) * idea.side > 0
        assert (idea.target_price - idea.entry_price) * idea.side > 0
        assert idea.risk_unit == pytest.approx(abs(idea.entry_price - idea.stop_price))
        closing = Decimal(repr(bid if idea.side > 0 else ask))
        level = stops_level * Decimal(1).scaleb(-digits)
        assert (closing - Decimal(repr(idea.stop_price))) * idea.side >= level


@given(st.integers(-10_000_000, 10_000_000))
def test_a_whole_number_of_ticks_comes_back_from_its_price(market: Any, count: int) -> None:
    price = price_of(count, market.symbol)
    assert Decimal(repr(price)) == Decimal(count) * Decimal("0.00001")
    assert ticks(price, market.symbol.tick_size) == count


@given(st.integers(1, 1_000_000))
def test_a_distance_of_whole_ticks_is_covered_by_exactly_those(count: int) -> None:
    assert ticks_at_least(count * 0.00001, 0.00001) == count
    assert ticks_at_least((count + 0.3) * 0.00001, 0.00001) == count + 1
