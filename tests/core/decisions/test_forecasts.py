from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.decisions.forecasts import FORECASTER_NAMES, FORECASTERS, columns, combine, support, view
from trading_assets.core.features.feature_set import FEATURE_SETS
from trading_assets.core.records.decisions import Forecast

AT = columns(FEATURE_SETS["intraday"])


def seen(row: np.ndarray) -> dict[str, Forecast]:
    return {forecast.forecaster: forecast for forecast in view(AT, row.tolist(), 1.0).forecasts}


def opinion(value: float, confidence: float) -> Forecast:
    return Forecast(forecaster="one", version="1", value=value, confidence=confidence, reason="")


@pytest.mark.parametrize("feature_set", FEATURE_SETS.values(), ids=lambda one: one.name)
def test_every_feature_set_has_what_the_forecasters_need(feature_set: Any) -> None:
    assert len(columns(feature_set).ema_spread) == 3


def test_the_trend_forecaster_follows_a_trend_on_all_timeframes(market: Any) -> None:
    up, down = seen(market.rising())["trend"], seen(market.rising(-1.0))["trend"]
    assert up.value > 0.5
    assert up.value == -down.value
    assert up.confidence == down.confidence > 0.5
    assert "rise" in up.reason
    assert "fall" in down.reason


def test_mean_reversion_expects_a_stretched_price_to_come_back(market: Any) -> None:
    stretched = seen(market.row(m5_band_position_20=2.6, m5_rsi_14=0.5, adx_14=0.12))["mean_reversion"]
    assert stretched.value < -0.4
    assert stretched.confidence > 0.6
    trending = seen(market.row(m5_band_position_20=2.6, m5_rsi_14=0.5, adx_14=0.5))["mean_reversion"]
    assert trending.confidence < 0.5 * stretched.confidence


def test_breakout_follows_a_close_at_the_edge_on_many_ticks(market: Any) -> None:
    row = {"m5_range_position_20": -1.0, "m5_range_position_100": -1.0, "m5_efficiency_10": -0.8}
    busy = seen(market.row(**row, m5_tick_ratio_20=2.0))["breakout"]
    quiet = seen(market.row(**row, m5_tick_ratio_20=0.5))["breakout"]
    assert busy.value < -0.5
    assert busy.confidence > quiet.confidence
    inside = seen(market.row())["breakout"]
    assert (inside.value, inside.confidence) == (0.0, 0.0)


def test_without_its_features_a_forecaster_abstains(market: Any) -> None:
    nothing = view(AT, [math.nan] * len(market.features.names), 1.0)
    assert (nothing.consensus, nothing.dispersion) == (0.0, 0.0)
    for forecast in nothing.forecasts:
        assert (forecast.value, forecast.confidence) == (0.0, 0.0)
        assert "too little history" in forecast.reason


def test_one_missing_feature_silences_only_the_forecasters_that_need_it(market: Any) -> None:
    forecasts = seen(market.row(m5_range_position_100=math.nan, ema_20_50_spread=1.0, adx_14=0.4))
    assert forecasts["breakout"].confidence == 0.0
    assert forecasts["trend"].confidence > 0.0


@given(st.lists(st.floats(-50.0, 50.0) | st.just(math.nan), min_size=len(FEATURE_SETS["intraday"].names), max_size=200))
def test_values_and_confidences_stay_in_their_range_whatever_the_features(row: list[float]) -> None:
    result = view(AT, row, 1.0)
    for forecast in result.forecasts:
        assert -1.0 <= forecast.value <= 1.0
        assert 0.0 <= forecast.confidence <= 1.0
    assert -1.0 <= result.consensus <= 1.0
    assert 0.0 <= result.dispersion <= 1.0


def test_the_consensus_is_weighted_by_confidence() -> None:
    assert combine([opinion(1.0, 0.75), opinion(-1.0, 0.25)]) == (0.5, pytest.approx(math.sqrt(0.75)))
    assert combine([opinion(0.4, 0.5), opinion(0.4, 0.9)]) == (pytest.approx(0.4), pytest.approx(0.0))
    assert combine([opinion(0.4, 0.0)]) == (0.0, 0.0)


def test_support_falls_with_doubt_and_with_contradiction() -> None:
    sure, unsure, against = opinion(0.8, 0.9), opinion(0.8, 0.3), opinion(-0.8, 0.9)
    assert support([sure], 1) == pytest.approx(0.9)
    assert support([unsure], 1) == pytest.approx(0.3)
    assert support([sure, against], 1) == pytest.approx(0.45)
    assert support([sure], -1) == 0.0


def test_forecasters_carry_the_names_the_dataset_knows(market: Any) -> None:
    assert tuple(seen(market.row())) == FORECASTER_NAMES
    assert len(FORECASTERS) == len(FORECASTER_NAMES)
