"""Which bars belong to a window, how windows are hashed, and that slices are views."""

from __future__ import annotations

import hashlib
import struct
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.features.window import (
    COLUMNS,
    DAY_MS,
    WARM_UP_BARS,
    ChartWindow,
    WindowHasher,
    anchor,
    anchored,
    combined_sha256,
    day_windows,
    hash_digests,
    hash_rows,
    instant,
    milliseconds,
    row_digests,
)


def test_the_anchor_is_the_start_of_the_day_of_the_open() -> None:
    assert anchor(datetime(2024, 3, 5, 23, 55, tzinfo=UTC)) == datetime(2024, 3, 5, tzinfo=UTC)
    assert anchor(datetime(2024, 3, 6, 0, 0, tzinfo=UTC)) == datetime(2024, 3, 6, tzinfo=UTC)
    assert milliseconds(instant(1_700_000_000_123)) == 1_700_000_000_123


def test_the_bar_that_closes_at_midnight_belongs_to_the_day_before(charts: Any) -> None:
    bars = charts.random(1, 2000, gaps=0.0)
    day = int(bars.open_ms[1000]) // DAY_MS * DAY_MS
    whole = anchored(bars, day, day + DAY_MS)
    assert whole.open_ms[-1] == day + DAY_MS - 300_000
    assert whole.close_ms[-1] == day + DAY_MS
    assert len(whole) == WARM_UP_BARS + 288
    assert whole.open_ms[WARM_UP_BARS] == day


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 999), count=st.integers(0, 1500), gaps=st.floats(0.0, 0.2), pick=st.floats(0.0, 1.0))
def test_a_window_holds_the_warm_up_and_the_days_closed_bars_of_every_timeframe(
    charts: Any, seed: int, count: int, gaps: float, pick: float
) -> None:
    if not count:
        return
    ladder = charts.ladder(charts.random(seed, count, gaps=gaps), ("M5", "M15", "H1", "H4"))
    base = ladder["M5"]
    position = int(pick * (count - 1))
    start, close = int(base.open_ms[position]) // DAY_MS * DAY_MS, int(base.close_ms[position])
    for chart in ladder.values():
        before = [one for one in chart.open_ms.tolist() if one < start][-WARM_UP_BARS:]
        pairs = zip(chart.open_ms.tolist(), chart.close_ms.tolist(), strict=True)
        of_day = [opened for opened, closed in pairs if start <= opened < start + DAY_MS and closed <= close]
        assert anchored(chart, start, close).open_ms.tolist() == before + of_day


def test_the_days_windows_cut_at_a_close_are_the_daemons_windows(charts: Any) -> None:
    ladder = charts.ladder(charts.random(2, 1500), ("M5", "M15", "H1", "H4"))
    base = ladder["M5"]
    for position in (0, 700, 1400):
        close = int(base.close_ms[position])
        whole = day_windows(ladder, int(base.open_ms[position]) // DAY_MS * DAY_MS)
        for timeframe, window in charts.windows_at(ladder, base, position).items():
            assert whole[timeframe].until(close).sha256() == window.sha256()


def test_slices_are_views(charts: Any) -> None:
    bars = charts.random(3, 600)
    window = anchored(bars, int(bars.open_ms[400]) // DAY_MS * DAY_MS, int(bars.close_ms[500]))
    assert all(np.shares_memory(getattr(window, name), getattr(bars, name)) for name in COLUMNS)
    assert len(bars.tail(5)) == 5
    assert len(bars.tail(5_000)) == 600


def test_the_hash_is_that_of_the_documented_bytes(charts: Any) -> None:
    bars = charts.random(4, 3)
    expected = b"M5\n"
    for row in range(3):
        expected += struct.pack("<qq", int(bars.open_ms[row]), int(bars.close_ms[row]))
        expected += struct.pack("<8d", *(getattr(bars, name)[row] for name in COLUMNS[2:]))
    assert bars.sha256() == hashlib.sha256(expected).hexdigest()


def test_a_changed_value_changes_the_hash_and_the_bits_of_a_nan_do_not(charts: Any) -> None:
    one, other = charts.random(5, 50), charts.random(5, 50)
    assert one.sha256() == other.sha256()
    one.ask_close[7] = np.nan
    other.ask_close[7] = -np.float64("nan")
    assert one.ask_close.tobytes() != other.ask_close.tobytes()
    assert one.sha256() == other.sha256()
    other.tick_count[49] += 1.0
    assert one.sha256() != other.sha256()


def test_the_hasher_follows_a_growing_window_and_starts_over_for_another(charts: Any) -> None:
    bars, hasher = charts.random(6, 900), WindowHasher()
    spans = [(0, 0), (0, 5), (0, 5), (0, 6), (0, 300), (1, 300), (1, 310), (0, 310), (0, 200), (50, 250), (0, 0)]
    for start, stop in spans:
        window = bars.slice(start, stop)
        assert hasher.sha256(window) == window.sha256()


def test_the_combined_hash_depends_on_every_window_and_their_order(charts: Any) -> None:
    first, second = charts.random(7, 10).reference(), charts.random(8, 10).reference()
    assert combined_sha256([first, second]) != combined_sha256([second, first])
    assert combined_sha256([first, second]) != combined_sha256([first])
    assert ChartWindow.empty("M5").reference().first_open_at is None


def test_rows_hash_one_by_one_and_a_nan_has_one_form() -> None:
    matrix = np.array([[1.0, np.nan], [2.0, -0.5]])
    other = matrix.copy()
    other[0, 1] = -np.float64("nan")
    assert hash_rows(matrix) == hash_rows(other) == hash_digests(row_digests(matrix[:1]) + row_digests(matrix[1:]))
    assert hash_rows(matrix) != hash_rows(matrix[::-1])
    assert row_digests(matrix)[1] == hashlib.sha256(struct.pack("<2d", 2.0, -0.5)).digest()


def frame_of(bars: ChartWindow) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "symbol": ["EURUSD"] * len(bars),
            "timeframe": [bars.timeframe] * len(bars),
            "open_at": pl.Series(bars.open_ms).cast(pl.Datetime("ms", "UTC")).cast(pl.Datetime("us", "UTC")),
            "close_at": pl.Series(bars.close_ms).cast(pl.Datetime("ms", "UTC")).cast(pl.Datetime("us", "UTC")),
            "open": bars.open,
            "high": bars.high,
            "low": bars.low,
            "close": bars.close,
            "ask_close": bars.ask_close,
            "tick_count": bars.tick_count.astype(np.int64),
            "spread_sum_points": (bars.spread_mean_points * bars.tick_count).astype(np.int64),
            "spread_max_points": bars.spread_max_points.astype(np.int64),
        }
    )


def test_a_frame_of_bars_becomes_the_same_window(charts: Any) -> None:
    bars = charts.random(9, 120)
    assert ChartWindow.from_frame(frame_of(bars)).sha256() == bars.sha256()
    mixed = pl.concat([frame_of(bars), frame_of(charts.random(9, 20, "M1"))])
    assert ChartWindow.from_frame(mixed, "M5").sha256() == bars.sha256()
    assert len(ChartWindow.from_frame(frame_of(bars).head(0), "M5")) == 0


def test_a_bar_without_quotes_has_no_spread(charts: Any) -> None:
    frame = frame_of(charts.random(9, 3)).with_columns(tick_count=pl.lit(0, pl.Int64))
    assert ChartWindow.from_frame(frame).spread_mean_points.tolist() == [0.0, 0.0, 0.0]


def test_frames_that_do_not_make_one_window_are_refused(charts: Any) -> None:
    frame = frame_of(charts.random(10, 20))
    with pytest.raises(ValueError, match="order of their open"):
        ChartWindow.from_frame(frame.reverse())
    with pytest.raises(ValueError, match="several values of symbol"):
        ChartWindow.from_frame(pl.concat([frame, frame.with_columns(symbol=pl.lit("GBPUSD"))]))
    with pytest.raises(ValueError, match="does not say its timeframe"):
        ChartWindow.from_frame(frame.head(0))


def test_columns_of_another_type_or_length_are_refused(charts: Any) -> None:
    bars = charts.random(11, 20)
    columns = {name: getattr(bars, name) for name in COLUMNS}
    with pytest.raises(ValueError, match="tick_count is int64"):
        ChartWindow("M5", **columns | {"tick_count": bars.tick_count.astype(np.int64)})
    with pytest.raises(ValueError, match="close is float64 of 19"):
        ChartWindow("M5", **columns | {"close": bars.close[1:]})
