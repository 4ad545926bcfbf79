"""Regimes: each state is found, rows agree with single rows, short history is unknown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trading_assets.core.features.feature_set import FEATURE_SETS
from trading_assets.core.features.regimes import CLASSIFIER_VERSION, INPUTS, LABELS, classify, classify_rows, label
from trading_assets.core.features.window import ChartWindow

INTRADAY = FEATURE_SETS["intraday"]


def row_with(**values: float) -> np.ndarray:
    row = np.zeros(len(INTRADAY.names))
    calm = {"adx_14": 0.12, "atr_ratio_14_100": 1.0, "volatility_ratio_10_50": 1.0}
    for name, value in (calm | values).items():
        row[INTRADAY.index(name)] = value
    return row


@pytest.mark.parametrize(
    ("expected", "values"),
    [
        ("trending_up", {"adx_14": 0.4, "di_balance_14": 0.5, "ema_20_50_spread": 1.2, "efficiency_10": 0.6}),
        ("trending_down", {"adx_14": 0.4, "di_balance_14": -0.5, "ema_20_50_spread": -1.2, "efficiency_10": -0.6}),
        ("ranging", {}),
        ("volatile", {"adx_14": 0.25, "atr_ratio_14_100": 2.5}),
    ],
)
def test_each_state_is_found_with_confidence(expected: str, values: dict[str, float]) -> None:
    regime = classify(INTRADAY, row_with(**values))
    assert regime.label == expected
    assert 0.5 < regime.confidence <= 1.0
    assert regime.classifier_version == CLASSIFIER_VERSION


@pytest.mark.parametrize("missing", INPUTS)
def test_a_missing_input_makes_the_regime_unknown(missing: str) -> None:
    regime = classify(INTRADAY, row_with(**{missing: np.nan}))
    assert (regime.label, regime.confidence) == ("unknown", 0.0)


def test_nothing_that_speaks_for_a_state_is_ranging_without_confidence() -> None:
    regime = classify(INTRADAY, row_with(adx_14=0.5, efficiency_10=-0.3, di_balance_14=0.0))
    assert regime.label in LABELS
    assert regime.confidence >= 0.0


def test_up_and_down_mirror_each_other() -> None:
    directed = {"di_balance_14": 0.3, "ema_20_50_spread": 0.7, "efficiency_10": 0.2}
    up = classify(INTRADAY, row_with(adx_14=0.33, **directed))
    down = classify(INTRADAY, row_with(adx_14=0.33, **{name: -value for name, value in directed.items()}))
    assert (up.label, down.label) == ("trending_up", "trending_down")
    assert up.confidence == down.confidence


def test_rows_and_single_rows_agree_bit_for_bit_and_all_states_occur(real_m5: ChartWindow, charts: Any) -> None:
    ladder = charts.ladder(real_m5.slice(0, 6_000), INTRADAY.timeframes)
    matrix = INTRADAY.day(ladder).matrix
    codes, confidence = classify_rows(INTRADAY, matrix)
    for position in range(0, len(matrix), 13):
        regime = classify(INTRADAY, matrix[position])
        assert regime.label == label(int(codes[position]))
        assert regime.confidence == confidence[position]
    assert {label(int(code)) for code in np.unique(codes)} == {*LABELS, "unknown"}
    shares = np.bincount(codes[codes >= 0], minlength=4) / (codes >= 0).sum()
    assert (shares > 0.03).all()
    assert (confidence >= 0.0).all()
    assert (confidence <= 1.0).all()
