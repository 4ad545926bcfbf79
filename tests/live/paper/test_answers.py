"""History bars: those of the feed, on the server's grid, closed ones only."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from live.bridge.protocol import MAX_FRAME_BYTES
from live.paper.answers import history_bars, send_deals
from live.paper.feed import Feed
from trading_assets.core.errors import InputError
from trading_assets.core.market.timeframes import MINUTES
from trading_assets.core.messages import BarFacts, DealFacts, Deals, Query, encode_message


def query(timeframe: str, **fields: Any) -> Query:
    return Query(
        session="",
        seq=1,
        sent_msc=0,
        request_id="q",
        what="bars",
        symbol="GBPUSD" if timeframe else "",
        timeframe=timeframe,
        **fields,
    )


def by_hand(feed: Feed, played: int, now_msc: int, timeframe: str) -> list[BarFacts]:
    length, bars = MINUTES[timeframe] * 60_000, {}
    for index in range(played):
        if feed.symbols[feed.instrument[index]] == "GBPUSD" and feed.is_tradable[index]:
            open_msc = int(feed.server_msc[index]) // length * length
            bars.setdefault(open_msc, []).append((float(feed.bid[index]), float(feed.ask[index])))
    return [
        BarFacts(
            time_msc=open_msc, open=quotes[0][0], high=max(bid for bid, _ in quotes), low=min(bid for bid, _ in quotes),
            close=quotes[-1][0], tick_volume=len(quotes), spread=round((quotes[-1][1] - quotes[-1][0]) * 1e5),
        )
        for open_msc, quotes in bars.items()
        if open_msc + length <= now_msc
    ]  # fmt: skip


@pytest.mark.parametrize("timeframe", ["M1", "M5", "H1", "H4", "D1"])
def test_bars_are_those_made_by_hand_and_the_forming_one_is_missing(market: Feed, timeframe: str):
    played = 25_000
    now_msc = int(market.server_msc[played - 1]) + 1
    bars = history_bars(market, played, now_msc, query(timeframe))
    assert list(bars) == by_hand(market, played, now_msc, timeframe)
    assert bars[-1].time_msc + MINUTES[timeframe] * 60_000 <= now_msc


def test_count_and_times_cut_the_answer(market: Feed):
    now_msc = int(market.server_msc[-1])
    bars = history_bars(market, len(market), now_msc, query("M5"))
    assert history_bars(market, len(market), now_msc, query("M5", count=7)) == bars[-7:]
    middle = bars[50].time_msc
    assert history_bars(market, len(market), now_msc, query("M5", from_msc=middle)) == bars[50:]
    assert history_bars(market, len(market), now_msc, query("M5", to_msc=middle)) == bars[:50]
    assert history_bars(market, 0, now_msc, query("M5")) == ()


def test_quotes_nobody_trades_at_make_no_bars(market: Feed):
    none = replace(market, is_tradable=np.zeros(len(market), dtype=np.bool_))
    assert history_bars(none, len(none), int(none.server_msc[-1]), query("M5")) == ()


def test_an_unknown_chart_is_named(market: Feed):
    with pytest.raises(InputError, match="GBPUSD M3"):
        history_bars(market, 10, int(market.server_msc[10]), query("M3"))


def test_the_chart_holds_so_many_bars_and_older_ones_do_not_exist(market: Feed):
    now_msc = int(market.server_msc[-1])
    bars = history_bars(market, len(market), now_msc, query("M5"))
    assert history_bars(market, len(market), now_msc, query("M5"), 50) == bars[-50:]
    assert history_bars(market, len(market), now_msc, query("M5", to_msc=bars[-55].time_msc), 50) == ()


async def test_the_deals_of_years_fit_into_the_frames_of_the_protocol():
    deal = DealFacts(
        ticket="1" * 19, order="2" * 19, position_id="3" * 19, magic="4" * 19, symbol="EURUSD.suffix", kind="BUY",
        entry="OUT_BY", reason="EXPERT", volume=Decimal("100.00"), price=1.2345678, profit=Decimal("-123456.78"),
        commission=Decimal("-123.45"), swap=Decimal("-123.45"), fee=Decimal("-1.23"), time_msc=1_704_700_000_000,
        comment="c" * 31,
    )  # fmt: skip
    sent: list[Deals] = []

    async def send(kind: type[Deals], **fields: Any) -> None:
        sent.append(kind(session="s", seq=len(sent) + 1, sent_msc=0, **fields))

    broker = SimpleNamespace(book=SimpleNamespace(deals=[deal] * 17_000))
    await send_deals(SimpleNamespace(send=send), broker, query("", from_msc=0))  # type: ignore[arg-type]
    assert sum(len(part.deals) for part in sent) == 17_000
    assert [part.is_last for part in sent] == [False] * (len(sent) - 1) + [True]
    assert max(len(encode_message(part)) for part in sent) < MAX_FRAME_BYTES
