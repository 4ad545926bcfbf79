"""Feeds: real files and the synthetic market, merged by time, faults kept and marked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from live.paper.feed import Feed, from_files, from_synthetic
from live.paper.play import fitting_weeks
from live.paper.terminal import Setup, Terminal
from trading_assets.core.errors import InputError
from trading_assets.core.market.sessions import are_open
from trading_assets.core.messages import Ticks

from .conftest import SYMBOLS, ScriptedDaemon, listening


def test_symbols_are_merged_by_time_and_stand_in_server_time(market: Feed):
    assert market.symbols == SYMBOLS
    assert (np.diff(market.at_ms) >= 0).all()
    assert (market.server_msc - market.at_ms == 2 * 3_600_000).all()
    assert market.is_tradable.all()


def test_a_longer_feed_of_the_same_market_has_the_same_fingerprint_and_others_have_not(market: Feed):
    assert from_synthetic(3, SYMBOLS, date(2024, 1, 8), 3, 1.0, "eu").fingerprint() == market.fingerprint()
    for other in (
        from_synthetic(4, SYMBOLS, date(2024, 1, 8), 2, 1.0, "eu"),
        from_synthetic(3, SYMBOLS, date(2024, 1, 8), 2, 0.0, "eu"),
        from_synthetic(3, SYMBOLS, date(2024, 1, 8), 2, 1.0, "utc"),
        from_synthetic(3, SYMBOLS[:1], date(2024, 1, 8), 2, 1.0, "eu"),
    ):
        assert other.fingerprint() != market.fingerprint()


def test_a_shifted_feed_keeps_weekdays_and_follows_the_clock_rule(market: Feed):
    summer = market.shifted(26)
    assert ((summer.at_ms - market.at_ms) % (7 * 86_400_000) == 0).all()
    assert (summer.server_msc - summer.at_ms == 3 * 3_600_000).all()


@pytest.mark.parametrize(
    "now",
    [datetime(2023, 5, 3, 12, tzinfo=UTC), datetime(2024, 1, 9, 12, tzinfo=UTC), datetime(2026, 8, 5, 9, tzinfo=UTC)],
)
def test_real_time_shifts_a_feed_by_whole_weeks_until_it_reaches_the_present(market: Feed, now: datetime):
    shifted = market.shifted(fitting_weeks(market, now))
    # The feed has two days of the week: the present is in them or before them, within a week.
    assert 0 < shifted.at_ms[-1] - now.timestamp() * 1000 <= 7 * 86_400_000


def test_the_last_quote_before_the_weekend_ends_the_session():
    feed = from_synthetic(1, ["EURUSD"], date(2024, 1, 11), 4, 1.0, "eu")
    (last,) = np.flatnonzero(feed.ends_session)
    assert datetime.fromtimestamp(feed.at_ms[last] / 1000, UTC).weekday() == 4
    assert feed.at_ms[last + 1] - feed.at_ms[last] > 47 * 3_600_000


def test_oanda_ticks_are_played_as_they_are(shared_data: Path):
    feed = from_files([shared_data / "ticks/oanda/EURUSD"], [], "utc", None)
    assert feed.symbols == ("EURUSD",)
    assert len(feed) == 273_925
    assert feed.is_tradable.all()
    assert are_open(feed.at_ms[feed.is_tradable]).mean() > 0.99


def test_crossed_quotes_of_fxcm_are_kept_and_not_traded_at(shared_data: Path):
    feed = from_files([shared_data / "ticks/fxcm/EURUSD"], [], "-5", None)
    crossed = feed.bid > feed.ask
    assert 0.05 < crossed.mean() < 0.15
    assert not feed.is_tradable[crossed].any()


def test_a_year_of_m5_bars_becomes_quotes_with_the_stated_spread(shared_data: Path):
    feed = from_files([shared_data / "m5/mt5/EURUSD_M5_2023.csv.gz"], [], "eu", 8)
    assert len(feed) > 250_000
    assert np.allclose(feed.ask - feed.bid, 0.00008)
    assert 45 <= feed.ends_session.sum() <= 60


def test_two_files_are_merged_and_one_symbol_twice_is_refused(shared_data: Path):
    h1 = shared_data / "h1/mt5"
    feed = from_files([h1 / "GBPUSDh1.csv.gz", h1 / "AUDUSDh1.csv.gz"], [], "eu", None)
    assert feed.symbols == ("GBPUSD", "AUDUSD")
    assert set(feed.instrument[:20].tolist()) | {0, 1} == {0, 1}
    with pytest.raises(InputError, match="a symbol comes twice"):
        from_files([h1 / "GBPUSDh1.csv.gz"] * 2, [], "eu", None)
    with pytest.raises(InputError, match="name 1 of them"):
        from_files([h1 / "GBPUSDh1.csv.gz"], ["GBPUSD", "AUDUSD"], "eu", None)


async def test_a_file_with_crossed_quotes_runs_through_to_its_end(shared_data: Path, setup: Callable[..., Setup]):
    feed = from_files([shared_data / "ticks/fxcm/EURUSD"], [], "-5", None)
    async with listening(ScriptedDaemon(symbols=("EURUSD",))) as daemon:
        summary = await Terminal(feed, setup(daemon)).run()
    assert summary["done"]
    assert summary["quotes"] == len(feed) == sum(len(batch.ticks) for batch in daemon.of(Ticks))


@pytest.mark.parametrize(
    ("clock", "start", "hours"),
    [
        ("utc", date(2024, 3, 8), [0, 0]),
        ("-5", date(2024, 3, 8), [-5, -5]),
        ("us", date(2024, 3, 8), [2, 3]),
        ("us", date(2024, 11, 1), [3, 2]),
        ("eu", date(2024, 3, 29), [2, 3]),
        ("eu", date(2024, 10, 25), [3, 2]),
        ("eu", date(2024, 3, 8), [2, 2]),
    ],
)
def test_server_time_follows_each_clock_rule_through_both_changes(clock: str, start: date, hours: list[int]):
    feed = from_synthetic(1, ["EURUSD"], start, 2, 1.0, clock)
    offsets = feed.server_msc - feed.at_ms
    assert [int(offsets[0]) // 3_600_000, int(offsets[-1]) // 3_600_000] == hours
    assert (np.diff(feed.at_ms) > 0).all()
    # The market opens at 17:00 in New York in both weeks: at midnight of a server on American dates.
    if clock == "us":
        firsts = feed.server_msc[np.flatnonzero(np.diff(feed.at_ms, prepend=0) > 86_400_000)]
        assert all(int(first) % 86_400_000 < 600_000 for first in firsts)
