"""Live rows equal batch rows bit for bit, bar after bar, through day rolls and a weekend, on real bars (invariant 7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.features.feature_set import FEATURE_SETS, FeatureRows
from trading_assets.core.features.feature_window import FEATURE_WINDOW_ROWS, FeatureWindow, feature_windows
from trading_assets.core.features.live_features import LiveFeatures
from trading_assets.core.features.normaliser import IDENTITY, Normaliser, fit
from trading_assets.core.features.window import DAY_MS, ChartWindow, WindowHasher, day_windows, hash_rows

INTRADAY = FEATURE_SETS["intraday"]
SCALP = FEATURE_SETS["scalp"]
THURSDAY = 1_673_481_600_000  # 12 January 2023


def batch_windows(ladder: dict[str, ChartWindow], normaliser: Normaliser, day_ms: int) -> Iterator[FeatureWindow]:
    rows = INTRADAY.day(day_windows(ladder, day_ms))
    first = int(np.searchsorted(rows.open_ms, day_ms))
    return feature_windows(rows, normaliser, range(first, len(rows)))


def batch_rows(ladder: Mapping[str, ChartWindow], day_ms: int) -> FeatureRows:
    return INTRADAY.day(day_windows(dict(ladder), day_ms)).opened_from(day_ms)


def test_live_rows_and_hashes_equal_the_batch_over_real_days_and_a_weekend(real_m5: ChartWindow, charts: Any) -> None:
    ladder = charts.ladder(real_m5, INTRADAY.timeframes)
    base = ladder["M5"]
    live, hashers = LiveFeatures(INTRADAY), {timeframe: WindowHasher() for timeframe in INTRADAY.timeframes}
    normaliser = fit(batch_rows(ladder, THURSDAY).matrix, INTRADAY.names)
    compared = 0
    for day_ms in range(THURSDAY, THURSDAY + 6 * DAY_MS, DAY_MS):  # Thursday to Tuesday
        rows = batch_rows(ladder, day_ms)
        windows = batch_windows(ladder, normaliser, day_ms)
        start = int(np.searchsorted(base.open_ms, day_ms))
        for position, (row, expected) in enumerate(zip(rows.matrix, windows, strict=True), start):
            seen = charts.windows_at(ladder, base, position)
            assert live.row(seen).tobytes() == row.tobytes()
            window = live.feature_window(normaliser)
            assert window.reference() == expected.reference()
            compared += 1
            if position % 50 == 0:
                assert all(hashers[one].sha256(seen[one]) == seen[one].sha256() for one in seen)
    assert compared > 900


def test_a_daemon_that_starts_in_the_middle_of_a_day_gives_the_same_rows(real_m5: ChartWindow, charts: Any) -> None:
    ladder = charts.ladder(real_m5, INTRADAY.timeframes)
    rows = batch_rows(ladder, THURSDAY)
    start = int(np.searchsorted(ladder["M5"].open_ms, THURSDAY))
    expected = list(batch_windows(ladder, IDENTITY(INTRADAY.names), THURSDAY))
    for offset in (0, 1, 100, 250):
        live = LiveFeatures(INTRADAY)
        row = live.row(charts.windows_at(ladder, ladder["M5"], start + offset))
        assert row.tobytes() == rows.matrix[offset].tobytes()
        assert live.feature_window(IDENTITY(INTRADAY.names)).reference() == expected[offset].reference()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), gaps=st.floats(0.0, 0.3), skip=st.integers(1, 4))
def test_live_rows_equal_the_batch_on_broken_markets_and_with_skipped_closes(
    charts: Any, seed: int, gaps: float, skip: int
) -> None:
    ladder = charts.ladder(charts.random(seed, 160, "M1", gaps=gaps), SCALP.timeframes)
    live = LiveFeatures(SCALP)
    for position in range(0, 160, skip):
        windows = charts.windows_at(ladder, ladder["M1"], position)
        batch = SCALP.day(windows)
        assert live.row(windows).tobytes() == batch.matrix[-1].tobytes()
        recent = batch.matrix[-FEATURE_WINDOW_ROWS:]
        assert live.feature_window(IDENTITY(SCALP.names)).sha256_raw == hash_rows(recent)


def test_a_new_release_renormalises_the_whole_window(charts: Any) -> None:
    ladder = charts.ladder(charts.random(8, 400), INTRADAY.timeframes)
    live = LiveFeatures(INTRADAY)
    first = fit(INTRADAY.day(ladder).matrix, INTRADAY.names)
    second = fit(INTRADAY.day(ladder).matrix[:250], INTRADAY.names)
    for position in range(200, 400):
        row = live.row(charts.windows_at(ladder, ladder["M5"], position))
        window = live.feature_window(first if position < 300 else second)
        normaliser = first if position < 300 else second
        assert window.normaliser_version == normaliser.version
        assert window.normalised[-1].tobytes() == normaliser.apply(row).tobytes()
        assert window.sha256_normalised == hash_rows(normaliser.apply(window.raw))


def test_asking_again_for_the_same_bar_gives_the_same_row_and_window(charts: Any) -> None:
    ladder = charts.ladder(charts.random(9, 200), INTRADAY.timeframes)
    live = LiveFeatures(INTRADAY)
    once = live.row(ladder)
    once[:] = 0.0  # the row is the caller's
    window = live.feature_window(IDENTITY(INTRADAY.names))
    assert live.row(ladder).tobytes() == INTRADAY.day(ladder).matrix[-1].tobytes()
    assert live.feature_window(IDENTITY(INTRADAY.names)).reference() == window.reference()


def test_a_corrected_bar_is_seen_after_forget(charts: Any) -> None:
    ladder = charts.ladder(charts.random(10, 200), INTRADAY.timeframes)
    live = LiveFeatures(INTRADAY)
    before = live.row(ladder)
    ladder["M5"].close[-2] += 0.001
    assert live.row(ladder).tobytes() == before.tobytes()
    live.forget()
    assert live.row(ladder).tobytes() == INTRADAY.day(ladder).matrix[-1].tobytes() != before.tobytes()


def test_there_is_no_row_without_a_base_bar_and_no_window_before_a_row() -> None:
    live = LiveFeatures(INTRADAY)
    with pytest.raises(ValueError, match="no M5 bar has closed"):
        live.row({"M5": ChartWindow.empty("M5")})
    with pytest.raises(ValueError, match="before the first row"):
        live.feature_window(IDENTITY(INTRADAY.names))
