"""No feature sees the future: exact prefix test on random and real data, and planted leaks that it must catch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.features.feature_set import FEATURE_SETS, FeatureSet
from trading_assets.core.features.formulas import Formula
from trading_assets.core.features.indicators import Chart
from trading_assets.core.features.ladder import Ladder
from trading_assets.core.features.prefix import violations
from trading_assets.core.features.window import ChartWindow, Floats

INTRADAY = FEATURE_SETS["intraday"]


def with_base(name: str, compute: object) -> FeatureSet:
    assert callable(compute)
    planted: Formula[Chart] = Formula(name, "momentum", "", "Planted.", compute)
    return replace(INTRADAY, base_formulas=(*INTRADAY.base_formulas, planted))


def with_ladder(name: str, compute: object) -> FeatureSet:
    assert callable(compute)
    planted: Formula[Ladder] = Formula(name, "cross_timeframe", "", "Planted.", compute)
    return replace(INTRADAY, ladder_formulas=(*INTRADAY.ladder_formulas, planted))


@pytest.mark.parametrize("name", ["intraday", "scalp"])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_feature_is_equal_bit_for_bit_when_random_data_is_cut(name: str, seed: int, charts: Any) -> None:
    feature_set = FEATURE_SETS[name]
    windows = charts.ladder(charts.random(seed, 900, feature_set.base), feature_set.timeframes)
    positions = [0, 1, 2, 5, 13, 14, 15, 27, 60, 99, 100, 199, 200, 201, *range(300, 900, 37), 898, 899]
    assert violations(feature_set, windows, positions) == []


def test_every_feature_is_equal_bit_for_bit_when_a_real_day_is_cut(real_m5: ChartWindow, charts: Any) -> None:
    ladder = charts.ladder(real_m5.slice(0, 40_000), INTRADAY.timeframes)
    for day in (500, 20_000, 38_000):
        windows = charts.windows_at(ladder, ladder["M5"], day)
        count = len(windows["M5"])
        assert violations(INTRADAY, windows, [count - 1, count - 2, count // 2, *range(count - 60, count, 11)]) == []


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 260), gaps=st.floats(0.0, 0.5), flat=st.floats(0.0, 1.0))
def test_no_market_however_short_flat_or_broken_shows_the_future(
    charts: Any, seed: int, count: int, gaps: float, flat: float
) -> None:
    windows = charts.ladder(charts.random(seed, count, gaps=gaps, flat=flat), INTRADAY.timeframes)
    assert violations(INTRADAY, windows, sorted({0, count // 3, count // 2, count - 1})) == []


def test_a_feature_that_peeks_one_bar_is_caught(charts: Any) -> None:
    def tomorrow(chart: Chart) -> Floats:
        return np.append(chart.step[1:], np.nan)

    feature_set = with_base("tomorrow", tomorrow)
    windows = charts.ladder(charts.random(3, 400), feature_set.timeframes)
    assert {one.feature for one in violations(feature_set, windows, [200, 300])} == {"m5_tomorrow"}


def test_a_feature_scaled_by_the_whole_day_is_caught(charts: Any) -> None:
    def share_of_day(chart: Chart) -> Floats:
        return chart.close / chart.close.max()

    feature_set = with_base("share_of_day", share_of_day)
    windows = charts.ladder(charts.random(4, 400), feature_set.timeframes)
    assert {one.feature for one in violations(feature_set, windows, range(100, 400, 10))} == {"m5_share_of_day"}


def test_a_longer_timeframe_joined_on_its_open_is_caught(charts: Any) -> None:
    def open_bar(ladder: Ladder) -> Floats:
        hour = ladder.charts[2]
        last = np.searchsorted(hour.open_ms, ladder.base.open_ms[ladder.rows], side="right") - 1
        return np.where(last < 0, np.nan, hour.close[last])

    feature_set = with_ladder("open_bar", open_bar)
    windows = charts.ladder(charts.random(5, 400, gaps=0.0), feature_set.timeframes)
    assert {one.feature for one in violations(feature_set, windows, range(200, 212))} == {"open_bar"}


def test_a_rolling_mean_that_adds_in_another_order_is_caught(charts: Any) -> None:
    def centred(chart: Chart) -> Floats:
        return chart.close - np.full(len(chart), float(chart.close.sum()) / len(chart))

    feature_set = with_base("centred", centred)
    windows = charts.ladder(charts.random(6, 300), feature_set.timeframes)
    found = violations(feature_set, windows, [250])
    assert [one.feature for one in found] == ["m5_centred"]
    assert found[0].full != found[0].cut
