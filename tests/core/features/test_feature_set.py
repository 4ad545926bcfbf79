"""What a feature set promises: names, versions, nulls for short history, alignment by close, and its encoding."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.errors import StateError
from trading_assets.core.features import indicators, source
from trading_assets.core.features.feature_set import (
    FEATURE_SETS,
    by_version,
    decode_vector,
    encode_vector,
    extractor_version,
)
from trading_assets.core.features.formulas import Formulas
from trading_assets.core.features.ladder import closed_by
from trading_assets.core.features.window import ChartWindow

INTRADAY = FEATURE_SETS["intraday"]
SCALP = FEATURE_SETS["scalp"]
GROUPS = {
    "trend",
    "momentum",
    "volatility",
    "volume",
    "microstructure",
    "price_action",
    "calendar",
    "cross_timeframe",
}


@pytest.mark.parametrize("feature_set", [INTRADAY, SCALP], ids=lambda one: one.name)
def test_a_set_has_over_eighty_documented_features_of_every_group_on_four_timeframes(feature_set: Any) -> None:
    assert len(feature_set.names) == len(set(feature_set.names)) >= 80
    assert {one.group for one in feature_set.definitions} == GROUPS
    assert {one.timeframe for one in feature_set.definitions} == {*feature_set.timeframes, ""}
    assert [one.index for one in feature_set.definitions] == list(range(len(feature_set.names)))
    assert all(one.description.endswith(".") and one.unit for one in feature_set.definitions)
    assert feature_set.base == feature_set.timeframes[0]


def test_both_sets_come_from_one_definition() -> None:
    assert [one.indicator for one in INTRADAY.definitions] == [one.indicator for one in SCALP.definitions]
    assert INTRADAY.timeframes == ("M5", "M15", "H1", "H4")
    assert SCALP.timeframes == ("M1", "M5", "M15", "H1")


def test_columns_are_found_by_indicator_and_timeframe() -> None:
    assert INTRADAY.names[INTRADAY.index("rsi_14")] == "m5_rsi_14"
    assert INTRADAY.names[INTRADAY.index("rsi_14", "H4")] == "h4_rsi_14"
    assert INTRADAY.names[INTRADAY.index("trend_agreement")] == "trend_agreement"
    with pytest.raises(KeyError, match="no feature spread_peak on H4"):
        INTRADAY.index("spread_peak", "H4")


def test_the_version_names_the_set_and_changes_with_what_changes_a_value() -> None:
    assert INTRADAY.version.startswith("intraday-")
    assert by_version(INTRADAY.version) is INTRADAY
    fewer = replace(INTRADAY, base_formulas=INTRADAY.base_formulas[:-1])
    other = replace(INTRADAY, timeframes=("M5", "M15", "M30", "H4"))
    assert len({INTRADAY.version, SCALP.version, fewer.version, other.version}) == 4
    with pytest.raises(StateError, match=r"intraday-0: this installation computes .*; install the version"):
        by_version("intraday-0")
    assert extractor_version().startswith("talib-")


def test_the_version_is_the_same_in_another_process() -> None:
    program = "from trading_assets.core.features.feature_set import *; print(FEATURE_SETS['intraday'].version)"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == INTRADAY.version


def test_comments_and_docstrings_do_not_count_as_source_but_code_does() -> None:
    code = 'def half(x):\n    """Half."""\n    return x / 2.0  # of it\n'
    same = "def half(x):\n\n    return (x / 2.0)\n"
    assert source.code_only(code) == source.code_only(same)
    assert source.code_only(code) != source.code_only(code.replace("2.0", "3.0"))
    assert source.code_only('def nothing():\n    """Nothing."""\n') == "def nothing():\n    pass"


def test_every_module_a_value_passes_through_is_part_of_the_source() -> None:
    formulas = [*INTRADAY.chart_formulas, *INTRADAY.base_formulas, *INTRADAY.ladder_formulas]
    modules = {module.__name__ for module in source.MODULES}
    assert {formula.compute.__module__ for formula in formulas} <= modules
    assert indicators.__name__ in modules


@pytest.mark.parametrize("count", [1, 2, 3, 5, 14, 30, 99, 150])
def test_short_history_gives_nulls_and_never_an_error(charts: Any, count: int) -> None:
    base = charts.random(1, count)
    rows = INTRADAY.day(charts.ladder(base, INTRADAY.timeframes))
    assert rows.matrix.shape == (count, len(INTRADAY.names))
    last = rows.matrix[-1]
    assert np.isnan(last[INTRADAY.index("ema_200_distance")])
    assert not np.isnan(last[INTRADAY.index("day_sine")])
    assert not np.isinf(rows.matrix).any()


def test_no_bars_give_no_rows() -> None:
    rows = INTRADAY.day({timeframe: ChartWindow.empty(timeframe) for timeframe in INTRADAY.timeframes})
    assert rows.matrix.shape == (0, len(INTRADAY.names))


def test_a_missing_longer_timeframe_leaves_its_features_null(charts: Any) -> None:
    windows = charts.ladder(charts.random(2, 400), INTRADAY.timeframes)
    whole = INTRADAY.day(windows)
    without = INTRADAY.day({name: window for name, window in windows.items() if name != "H4"})
    of_h4 = np.array([one.timeframe == "H4" for one in INTRADAY.definitions])
    compares = np.array([one.timeframe == "" for one in INTRADAY.definitions])
    assert np.isnan(without.matrix[:, of_h4]).all()
    kept = ~of_h4 & ~compares
    assert without.matrix[:, kept].tobytes() == whole.matrix[:, kept].tobytes()


def test_enough_history_leaves_nothing_null(real_m5: ChartWindow, charts: Any) -> None:
    ladder = charts.ladder(real_m5.slice(0, 60_000), INTRADAY.timeframes)
    rows = INTRADAY.day(charts.windows_at(ladder, ladder["M5"], 59_999))
    share = np.isnan(rows.matrix[-200:]).mean(axis=0)
    assert {name for name, missing in zip(INTRADAY.names, share, strict=True) if missing > 0.02} == set()


@pytest.mark.parametrize("column", ["spread_mean_points", "ask_close", "tick_count", "close", "high"])
def test_a_value_that_is_missing_makes_nulls_and_never_an_error(charts: Any, column: str) -> None:
    base = charts.random(3, 300)
    for missing in ([150], [0], range(300)):
        broken = charts.random(3, 300)
        for position in missing:
            getattr(broken, column)[position] = np.nan
        rows = INTRADAY.day({"M5": broken})
        assert rows.matrix.shape == (300, len(INTRADAY.names))
        before = INTRADAY.day({"M5": base}).matrix[: min(missing)]
        assert rows.matrix[: min(missing)].tobytes() == before.tobytes()


def test_features_do_not_depend_on_the_scale_of_the_price(charts: Any) -> None:
    base = charts.random(4, 400)
    prices = ("open", "high", "low", "close", "ask_close")
    scaled = replace(base, **{name: getattr(base, name) * 128.0 for name in prices})
    one = INTRADAY.day(charts.ladder(base, INTRADAY.timeframes)).matrix
    other = INTRADAY.day(charts.ladder(scaled, INTRADAY.timeframes)).matrix
    np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)


@settings(max_examples=200, deadline=None)
@given(
    closes=st.lists(st.integers(0, 400), unique=True, max_size=40).map(sorted),
    at=st.lists(st.integers(-5, 405), max_size=40).map(sorted),
)
def test_the_joined_bar_is_the_last_one_closed_by_then(closes: list[int], at: list[int]) -> None:
    found = closed_by(np.array(closes, dtype=np.int64), np.array(at, dtype=np.int64))
    expected = [max((index for index, close in enumerate(closes) if close <= moment), default=-1) for moment in at]
    assert found.tolist() == expected


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), count=st.integers(60, 300), gaps=st.floats(0.0, 0.4))
def test_longer_timeframes_show_the_last_closed_bars_own_value(charts: Any, seed: int, count: int, gaps: float) -> None:
    windows = charts.ladder(charts.random(seed, count, gaps=gaps), INTRADAY.timeframes)
    rows = INTRADAY.day(windows)
    column = INTRADAY.index("body", "M15")
    alone = replace(INTRADAY, timeframes=("M15",), ladder_formulas=()).day({"M15": windows["M15"]})
    own = alone.matrix[:, [one.indicator for one in INTRADAY.definitions].index("body")]
    for position, close in enumerate(rows.close_ms.tolist()):
        closed = [index for index, at in enumerate(alone.close_ms.tolist()) if at <= close]
        expected = own[closed[-1]] if closed else np.nan
        np.testing.assert_equal(rows.matrix[position, column], expected)


@given(st.lists(st.floats(), max_size=30))
def test_a_vector_reads_back_bit_for_bit_with_one_nan(values: list[float]) -> None:
    vector = np.array(values, dtype=np.float64)
    back = decode_vector(encode_vector(vector))
    assert back.dtype == np.float64
    kept = ~np.isnan(vector)
    assert back[kept].tobytes() == vector[kept].tobytes()
    assert encode_vector(back) == encode_vector(vector)
    assert np.isnan(back[~kept]).all()


def test_a_feature_without_a_description_or_declared_twice_is_refused() -> None:
    formulas: Formulas[int] = Formulas()

    def bare(number: int) -> int:
        return number

    with pytest.raises(ValueError, match="no description"):
        formulas("trend", "share")(bare)
    bare.__doc__ = "Described."
    formulas("trend", "share")(bare)
    with pytest.raises(ValueError, match="declared twice"):
        formulas("trend", "share")(bare)
    with pytest.raises(ValueError, match="unknown group"):
        formulas("magic", "share")(bare)  # type: ignore[arg-type]
