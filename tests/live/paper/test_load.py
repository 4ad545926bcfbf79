"""The load: as many symbols and quotes a second as asked for, steady, with history before it."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from live.paper.answers import history_bars
from live.paper.contracts import account_currency
from live.paper.load import PRICES, from_load
from trading_assets.core.errors import InputError
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.messages import Query

BEGINS = datetime(2024, 1, 10, 12, tzinfo=UTC)


def test_a_load_is_steady_valid_and_the_same_for_the_same_seed():
    feed = from_load(1, 20, BEGINS, 10, 5000, 7, "eu")
    live = feed.at_ms >= to_ms(BEGINS)
    assert live.sum() == 50_000
    per_second = np.bincount((feed.at_ms[live] - to_ms(BEGINS)) // 1000)
    assert per_second.tolist() == [5000] * 10
    assert np.bincount(feed.instrument[live]).tolist() == [2500] * 20
    assert (np.diff(feed.at_ms) >= 0).all()
    for number in range(20):
        own = feed.instrument == number
        assert (np.diff(feed.at_ms[own]) > 0).all()
        assert (feed.ask[own] > feed.bid[own]).all()
    again = from_load(1, 20, BEGINS, 10, 5000, 7, "eu")
    assert (again.bid == feed.bid).all()
    assert account_currency(feed.symbols) == "USD"
    assert not (from_load(2, 20, BEGINS, 10, 5000, 7, "eu").bid == feed.bid).all()


def test_history_lies_before_it_without_weekends():
    feed = from_load(1, 2, BEGINS, 1, 100, 14, "utc")
    query = Query(session="", seq=1, sent_msc=0, request_id="q", what="bars", symbol="GBPUSD", timeframe="M5")
    bars = history_bars(feed, len(feed) - 100, to_ms(BEGINS), query)
    assert len(bars) == 10 * 288
    assert bars[-1].time_msc == to_ms(BEGINS) - 300_000


@pytest.mark.parametrize(("symbols", "rate", "seconds"), [(0, 100, 1), (len(PRICES) + 1, 100, 1), (5, 4, 1), (5, 9, 0)])
def test_a_load_that_cannot_be_made_is_refused(symbols: int, rate: int, seconds: int):
    with pytest.raises(InputError, match="making a load"):
        from_load(1, symbols, BEGINS, seconds, rate, 1, "utc")
