"""The seeded market: sessions, rhythm, determinism, and an edge that is there or is not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest

from live.paper import synthetic
from live.paper.synthetic import REGIMES, market_path, quotes, session_opens
from trading_assets.core.errors import InputError
from trading_assets.core.market.sessions import are_open

START = date(2024, 1, 8)
BAR_MS = 300_000


@cache
def bar_closes(seed: int, edge: float, days: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return log mid at each M5 close, the regime there, and which bar follows its predecessor without a gap."""
    path = market_path(seed, "EURUSD", START, days, edge)
    bars = path.at_ms // BAR_MS
    lasts = np.append(np.flatnonzero(np.diff(bars)), len(bars) - 1)
    mid = np.log((path.bid_points[lasts] + path.ask_points[lasts]) / 2)
    return mid, path.regime[lasts], np.diff(bars[lasts], prepend=0) == 1


def correlation(seed: int, edge: float, past: int, future: int) -> float:
    """Return the correlation of the return over `past` bars with that over the next `future` bars."""
    mid, _, _ = bar_closes(seed, edge)
    at = np.arange(past, len(mid) - future, future)
    return float(np.corrcoef(mid[at] - mid[at - past], mid[at + future] - mid[at])[0, 1])


def test_the_same_arguments_give_the_same_quotes_and_another_seed_gives_others():
    first = quotes(1, ["EURUSD", "GBPUSD"], START, 3)
    assert first.equals(quotes(1, ["EURUSD", "GBPUSD"], START, 3))
    assert not first["bid"].equals(quotes(2, ["EURUSD", "GBPUSD"], START, 3)["bid"])


def test_a_longer_market_begins_with_the_shorter_one():
    short, long = quotes(5, ["EURUSD", "GBPUSD"], START, 6), quotes(5, ["EURUSD", "GBPUSD"], START, 8)
    assert long.head(short.height).equals(short)


def test_a_symbol_depends_on_the_seed_and_its_own_name_alone():
    both = quotes(1, ["EURUSD", "GBPUSD"], START, 2)
    assert both.filter(pl.col("symbol") == "GBPUSD").equals(quotes(1, ["GBPUSD"], START, 2))


def test_trading_days_are_weekdays_and_the_weekend_is_closed():
    opens = session_opens(date(2024, 1, 6), 7)
    assert opens[0] == datetime(2024, 1, 7, 22, tzinfo=UTC)
    assert opens[5] - opens[4] == timedelta(days=3)
    at = quotes(1, ["EURUSD"], START, 10)["event_at"]
    assert at.min() >= datetime(2024, 1, 7, 22, tzinfo=UTC)
    closed = at.is_between(datetime(2024, 1, 12, 22, tzinfo=UTC), datetime(2024, 1, 14, 22, tzinfo=UTC), closed="left")
    assert not closed.any()
    assert at.max() < datetime(2024, 1, 19, 22, tzinfo=UTC)


def test_every_quote_lies_in_the_hours_the_market_is_open_also_when_the_clocks_change():
    at_ms = market_path(1, "EURUSD", date(2024, 3, 4), 25).at_ms
    assert are_open(at_ms).all()
    assert np.diff(at_ms)[np.diff(at_ms) < 3_600_000].max() < 10 * 60_000


def test_quotes_are_sound_and_come_six_to_nine_times_a_minute():
    frame = quotes(1, ["EURUSD"], START, 10)
    assert 6 <= frame.height / (10 * 1440) <= 9
    assert (frame["ask"] > frame["bid"]).all()
    assert frame["event_at"].is_sorted()
    assert frame["event_at"].is_unique().all()
    assert frame["bid"].equals(frame["bid"].round(5))


def test_spread_and_volatility_follow_the_hours():
    frame = quotes(1, ["EURUSD"], START, 20).with_columns(
        hour=pl.col("event_at").dt.hour(), spread=pl.col("ask") - pl.col("bid")
    )
    spread = dict(frame.group_by("hour").agg(pl.col("spread").mean()).iter_rows())
    assert spread[22] > 1.5 * spread[14]
    moves = frame.with_columns(move=pl.col("bid").diff().abs()).group_by("hour").agg(pl.col("move").median())
    volatility = dict(moves.iter_rows())
    assert volatility[14] > 1.3 * volatility[2]


def test_without_an_edge_the_market_has_neither_drift_nor_memory():
    # 12 seeds, 30 days each. Bounds are four standard errors of a random walk.
    samples = 30 * 288 // 12
    for past in (12, 48):
        mean = np.mean([correlation(seed, 0.0, past, 12) for seed in range(12)])
        assert abs(mean) < 4 / np.sqrt(12 * samples)
    drifts = []
    for seed in range(12):
        mid, regime, _ = bar_closes(seed, 0.0)
        steps = np.diff(mid)
        drifts.append([steps[regime[1:] == kind].mean() / steps.std() for kind in range(len(REGIMES))])
    assert np.all(np.abs(np.mean(drifts, axis=0)) < 4 / np.sqrt(12 * 8640 * 0.02))


def test_the_planted_edge_is_drift_in_trends_and_pull_in_ranges():
    for seed in range(3):
        mid, regime, _ = bar_closes(seed, 1.0)
        steps, kind = np.diff(mid), regime[1:]
        scale = steps.std()
        assert steps[kind == 0].mean() / scale > 0.15
        assert steps[kind == 1].mean() / scale < -0.15
        in_range = (kind[1:] == 2) & (kind[:-1] == 2)
        assert np.corrcoef(steps[:-1][in_range], steps[1:][in_range])[0, 1] < -0.05
        assert abs(steps[kind == 3].mean()) / scale < 0.4


def test_the_edge_changes_direction_and_not_volatility():
    planted, walk = (np.diff(bar_closes(1, edge)[0]).std() for edge in (1.0, 0.0))
    assert planted == pytest.approx(walk, rel=0.15)
    assert np.array_equal(market_path(1, "EURUSD", START, 3, 1.0).at_ms, market_path(1, "EURUSD", START, 3, 0.0).at_ms)


def test_following_an_hours_trend_pays_with_the_edge_and_not_without():
    assert np.mean([correlation(seed, 1.0, 36, 12) for seed in range(6)]) > 0.1
    assert abs(np.mean([correlation(seed, 0.0, 36, 12) for seed in range(6)])) < 0.06


@pytest.mark.parametrize(("symbol", "days"), [("XAUUSD", 3), ("EURUSD", 0)])
def test_what_cannot_be_made_is_said_in_one_sentence(symbol: str, days: int):
    with pytest.raises(InputError, match="making a synthetic market"):
        synthetic.quotes(1, [symbol], START, days)
