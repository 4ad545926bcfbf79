"""Values of the indicators that are written here, against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.features.feature_set import FEATURE_SETS
from trading_assets.core.features.indicators import Chart, location, shifted, streak
from trading_assets.core.features.window import DAY_MS

SCALP = FEATURE_SETS["scalp"]
finite = st.floats(-100.0, 100.0)


@given(st.lists(finite, max_size=20), st.integers(1, 25))
def test_shifted_values_are_those_of_bars_before(values: list[float], bars: int) -> None:
    expected = [values[index - bars] if index >= bars else np.nan for index in range(len(values))]
    np.testing.assert_array_equal(shifted(np.array(values), bars), np.array(expected))


@given(st.lists(st.sampled_from([-1.0, 0.0, 0.5, np.nan]), max_size=30))
def test_a_streak_counts_steps_of_one_sign(steps: list[float]) -> None:
    expected, run = [], 0
    for step in steps:
        sign = 0 if np.isnan(step) or step == 0.0 else (1 if step > 0.0 else -1)
        run = 0 if sign == 0 else (run + sign if run * sign > 0 else sign)
        expected.append(float(run))
    assert streak(np.array(steps)).tolist() == expected


def test_a_location_is_zero_where_there_is_no_range() -> None:
    low, high = np.array([1.0, 1.0, 1.0]), np.array([3.0, 3.0, 1.0])
    with np.errstate(all="ignore"):
        assert location(np.array([1.0, 4.0, 1.0]), low, high).tolist() == [-1.0, 2.0, 0.0]


def test_levels_of_the_day_start_over_at_midnight(charts: Any) -> None:
    window = charts.random(1, 900, gaps=0.05)
    chart = Chart(window)
    days = window.open_ms // DAY_MS
    for position in range(0, 900, 7):
        of_day = days[: position + 1] == days[position]
        assert chart.day_high[position] == window.high[: position + 1][of_day].max()
        assert chart.day_low[position] == window.low[: position + 1][of_day].min()
        assert chart.day_open[position] == window.open[: position + 1][of_day][0]
        earlier = days[: position + 1][~of_day]
        expected = window.high[: position + 1][days[: position + 1] == earlier[-1]].max() if len(earlier) else np.nan
        np.testing.assert_equal(chart.previous_day_high[position], expected)


def test_the_previous_day_is_the_whole_day_before_also_early_in_the_day(charts: Any) -> None:
    base = charts.random(2, 5000, "M1", gaps=0.0)
    rows = SCALP.day(charts.ladder(base, SCALP.timeframes))
    column = SCALP.index("previous_day_position")
    days = base.open_ms // DAY_MS
    for position in (1440, 1441, 1454, 1460, 2879, 2880, 2900, 4999):
        before = days == days[position] - 1
        low, high = base.low[before].min(), base.high[before].max()
        assert rows.matrix[position, column] == 2.0 * (base.close[position] - low) / (high - low) - 1.0
