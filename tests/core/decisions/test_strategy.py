from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.decisions.strategy import DEFAULT_STRATEGIES, INTRADAY, Strategy, binding, restricted
from trading_assets.core.errors import InputError
from trading_assets.core.records.decisions import TraderLimits


@pytest.mark.parametrize("strategy", DEFAULT_STRATEGIES.values(), ids=lambda strategy: strategy.name)
def test_a_strategy_reads_back_from_its_json_with_the_same_version(strategy: Strategy) -> None:
    assert Strategy.from_json(strategy.to_json()) == strategy
    assert Strategy.from_json(strategy.to_json()).version == strategy.version


def test_equal_parameters_give_equal_versions_and_any_change_another() -> None:
    versions = {INTRADAY.version}
    assert INTRADAY.with_overrides({}).version == INTRADAY.version
    for overrides in (
        {"risk_per_trade": 0.02},
        {"filters": {"max_spread_atr": 0.4}},
        {"weights": {"cost": 0.2}},
        {"breakers": {"daily_loss": 0.04}},
        {"allowed_symbols": ["EURUSD"]},
    ):
        versions.add(INTRADAY.with_overrides(overrides).version)
    assert len(versions) == 6


def test_settings_in_points_load_mean_what_they_meant_and_name_the_unit_to_use() -> None:
    older = INTRADAY.with_overrides({"deviation_points": 20, "breakers": {"max_slippage_points": 30.0}})
    assert (older.deviation(0.00125, 0.00001), older.breakers.slippage) == (20, (30.0, "points"))
    assert older.unit_warnings == (
        "breakers.max_slippage_points = 30 counts in points, which differ from symbol to symbol: set "
        "breakers.max_slippage_r (in R) in its place",
        "deviation_points = 20 counts in points, which differ from symbol to symbol: set deviation_r (in R) in its place",
    )
    assert (INTRADAY.unit_warnings, INTRADAY.breakers.slippage) == ((), (0.25, "R"))


def test_a_strategy_recorded_before_the_units_keeps_its_version() -> None:
    text = INTRADAY.to_json().replace(',"max_slippage_r":0.25', "").replace(',"deviation_r":0.15', "")
    text = text.replace('"orders_per_hour":20', '"orders_per_hour":20,"max_slippage_points":30.0')
    text = text.replace('"order_deadline_s"', '"deviation_points":20,"order_deadline_s"')
    assert Strategy.from_json(text).to_json() == text


@given(risk_unit=st.floats(0.0001, 0.05), factor=st.floats(1e-6, 1e6))
def test_a_deviation_is_the_same_share_of_the_trade_at_any_scale_of_prices(risk_unit: float, factor: float) -> None:
    points = INTRADAY.deviation(risk_unit, 0.00001)
    assert points == INTRADAY.deviation(risk_unit * factor, 0.00001 * factor)
    assert 0.15 * risk_unit <= points * 0.00001 + 1e-10 < 0.15 * risk_unit + 0.0000101


@given(risk=st.floats(0.0001, 1.0), gain=st.floats(0.01, 10.0))
def test_floats_survive_the_json_bit_for_bit(risk: float, gain: float) -> None:
    strategy = msgspec.structs.replace(INTRADAY, risk_per_trade=risk, forecast_gain=gain)
    back = Strategy.from_json(strategy.to_json())
    assert (back.risk_per_trade, back.forecast_gain) == (risk, gain)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"risk_per_trad": 0.01}, "unknown field `risk_per_trad`"),
        ({"risk_per_trade": 1.5}, "risk_per_trade"),
        ({"filters": {"max_spread": 1}}, "unknown field `max_spread`"),
        ({"close_threshold": 0.8}, "close_threshold is not below open_threshold"),
        ({"max_positions_per_symbol": 2}, "max_positions_per_symbol"),
        ({"breakers": {"drawdown_halve": 0.5}}, "drawdown_halve is above drawdown_stop"),
        ({"exit_profiles": []}, "exit_profiles"),
        ({"filters": {"session_start_hour": 8, "session_end_hour": 8}}, "same hour"),
    ],
)
def test_parameters_that_cannot_be_meant_are_refused_in_one_sentence(overrides: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as fault:
        INTRADAY.with_overrides(overrides)
    assert words in str(fault.value)


def test_two_exit_profiles_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="share a name"):
        msgspec.structs.replace(INTRADAY, exit_profiles=(INTRADAY.exit_profiles[0],) * 2)


def test_of_the_traders_limit_and_the_strategys_the_stricter_one_binds() -> None:
    limits = TraderLimits(risk_per_trade=0.005, max_drawdown=0.05, max_positions=2)
    strict = restricted(INTRADAY, limits)
    assert (strict.risk_per_trade, strict.max_positions) == (0.005, 2)
    assert binding(INTRADAY, limits) == (
        "0.50% of equity at risk in a trade, not 1.00%",
        "entries stop at a drawdown of 5%, not 20%",
        "2 positions at most, not 5",
    )
    assert (strict.breakers.drawdown_stop, strict.breakers.drawdown_halve) == (0.05, 0.05)
    assert strict.version != INTRADAY.version
    loose = TraderLimits(risk_per_trade=0.5, max_drawdown=0.9, max_positions=100)
    assert restricted(INTRADAY, loose) == INTRADAY
    assert binding(INTRADAY, loose) == ()


def test_which_symbols_the_trader_allows_is_said_also_when_it_is_none() -> None:
    assert binding(INTRADAY, TraderLimits(allowed_symbols=("EURUSD", "GBPUSD"))) == (
        "only EURUSD, GBPUSD may be traded",
    )
    assert binding(INTRADAY, TraderLimits(allowed_symbols=())) == ("only no symbol may be traded",)
