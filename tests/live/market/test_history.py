"""How charts are filled: the same precedence as in the lake, nothing twice, nothing forming."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from live.market.history import asked_from, asked_timeframes, bar_of, first_fill, gap_fill
from live.market.window import KEPT_BARS, GrowingChart, SymbolWindow
from trading_assets.core.features.feature_set import FEATURE_SETS
from trading_assets.core.features.normaliser import IDENTITY
from trading_assets.core.market.bars import BARS_SCHEMA, BarValues, aggregate
from trading_assets.core.market.clock import ClockRule
from trading_assets.core.market.timeframes import duration, to_ms
from trading_assets.core.messages import BarFacts

INTRADAY, SCALP = FEATURE_SETS["intraday"], FEATURE_SETS["scalp"]
MONDAY = datetime(2024, 1, 8, tzinfo=UTC)
UTC_RULE = ClockRule.parse("utc")


def bar(open_at: datetime, timeframe: str = "M5", price: float = 1.1) -> BarValues:
    facts = BarFacts(
        time_msc=to_ms(open_at), open=price, high=price + 0.001, low=price - 0.001, close=price, tick_volume=7, spread=12
    )  # fmt: skip
    made = bar_of(facts, "EURUSD", timeframe, 0.00001, UTC_RULE)
    assert made is not None
    return made


def run(start: datetime, count: int, timeframe: str = "M5") -> list[BarValues]:
    return [bar(start + index * duration(timeframe), timeframe, 1.1 + index * 1e-5) for index in range(count)]


def frame(bars: list[BarValues]) -> pl.DataFrame:
    return pl.DataFrame([{name: getattr(one, name) for name in BARS_SCHEMA} for one in bars], schema=BARS_SCHEMA)


def test_four_hour_bars_are_never_asked_for() -> None:
    assert asked_timeframes(INTRADAY) == ("M5", "M15", "H1")
    assert asked_timeframes(SCALP) == ("M1", "M5", "M15", "H1")


@pytest.mark.parametrize("feature_set", [INTRADAY, SCALP])
def test_enough_history_is_asked_for_to_fill_every_warm_up(feature_set: object) -> None:
    now = MONDAY + timedelta(hours=9)
    days = (now - asked_from(INTRADAY, "H1", now)).days
    assert days * 5 / 7 * 6 >= 512, "four-hour bars of five days a week"
    assert asked_from(INTRADAY, "M5", now).hour == 0
    assert feature_set is not None


def test_a_history_bar_gets_its_ask_from_its_spread() -> None:
    made = bar(MONDAY)
    assert made.ask_close == made.close + 12 * 0.00001
    assert (made.spread_sum_points, made.source) == (84, "history")


def test_a_bar_off_the_utc_grid_is_refused() -> None:
    facts = BarFacts(time_msc=to_ms(MONDAY), open=1, high=1, low=1, close=1, tick_volume=1, spread=1)
    assert bar_of(facts, "EURUSD", "H4", 0.00001, ClockRule.parse("+2")) is None
    assert bar_of(facts, "EURUSD", "H1", 0.00001, ClockRule.parse("+2")) is not None


def test_longer_bars_are_made_of_shorter_ones_and_the_terminals_fill_in_before_them() -> None:
    base = run(MONDAY, 288 + 5)
    hours = run(MONDAY - timedelta(days=3), 24 * 4, "H1")
    levels = first_fill(INTRADAY, {"M5": base, "M15": [], "H1": hours})
    made = aggregate(frame(base), "M15").filter(pl.col("close_at") <= base[-1].close_at)
    assert frame(levels["M15"]).equals(made)
    sources = {one.open_at: one.tick_count for one in levels["H1"]}
    assert sources[MONDAY - timedelta(hours=1)] == 7
    assert sources[MONDAY] == 7 * 12, "made of M5 where there are any"
    assert levels["H4"][0].tick_count == 7 * 4


def test_nothing_forming_is_filled_in() -> None:
    levels = first_fill(INTRADAY, {"M5": run(MONDAY, 14), "M15": [], "H1": []})
    assert [one.open_at for one in levels["H1"]] == [MONDAY]
    assert len(levels["M15"]) == 4
    assert levels["H4"] == []


def test_history_that_begins_in_the_middle_of_a_day_begins_at_the_next_midnight() -> None:
    levels = first_fill(INTRADAY, {"M5": run(MONDAY + timedelta(hours=10), 200), "M15": [], "H1": []})
    assert levels["M5"][0].open_at == MONDAY + timedelta(days=1)


def window_with(bars: list[BarValues]) -> SymbolWindow:
    window = SymbolWindow("EURUSD", INTRADAY, 0.00001)
    for timeframe, filled in first_fill(INTRADAY, {"M5": bars}).items():
        for one in filled:
            window.restore(timeframe, one)
    window.resume()
    return window


def test_a_gap_is_filled_once_and_closes_longer_bars() -> None:
    window = window_with(run(MONDAY, 20))
    filled = gap_fill(window, run(MONDAY, 26), MONDAY + timedelta(hours=3))
    assert [one.open_at for one in filled if one.timeframe == "M5"] == [
        MONDAY + timedelta(minutes=5 * index) for index in range(20, 26)
    ]
    assert [one.timeframe for one in filled if one.timeframe != "M5"] == ["M15", "M15", "H1"]
    assert not gap_fill(window, run(MONDAY, 26), MONDAY + timedelta(hours=3))


def test_a_bar_that_quotes_began_is_made_of_those_quotes_and_later_ones_come_from_history() -> None:
    window = window_with(run(MONDAY, 20))
    begun = MONDAY + timedelta(minutes=100)
    window.add(begun + timedelta(seconds=3), 1.2, 1.2001)
    filled = gap_fill(window, run(MONDAY, 24), MONDAY + timedelta(minutes=121))
    base = [one for one in filled if one.timeframe == "M5"]
    assert [(one.source, one.tick_count) for one in base] == [("quotes", 1), *[("history", 7)] * 3]


def test_a_window_continued_from_restored_bars_equals_one_that_saw_them_all() -> None:
    bars = run(MONDAY, 600)
    whole = window_with(bars[:300])
    for one in bars[300:]:
        whole.fill([one])
    parts = window_with(bars)
    one, other = whole.view(IDENTITY(INTRADAY.names)), parts.view(IDENTITY(INTRADAY.names))
    assert one.window_sha256 == other.window_sha256
    assert one.feature_window == other.feature_window
    assert one.features.tobytes() == other.features.tobytes()


def test_a_growing_chart_keeps_its_latest_bars_and_the_views_it_gave() -> None:
    chart = GrowingChart("M5")
    bars = run(MONDAY, 2 * KEPT_BARS + 10)
    for one in bars[: 2 * KEPT_BARS]:
        chart.append(one)
    before = chart.window()
    first = before.close.copy()
    for one in bars[2 * KEPT_BARS :]:
        chart.append(one)
    assert (before.close == first).all()
    assert len(chart) == KEPT_BARS + 10
    assert chart.window().open_ms[-1] == to_ms(bars[-1].open_at)
    assert chart.closed_after(to_ms(bars[-4].close_at)) == 3
