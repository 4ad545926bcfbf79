"""Looking only at the quotes that can trigger something gives what looking at each of them gives."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from live.paper.account import Terms
from live.paper.book import Book
from live.paper.broker import Broker
from live.paper.contracts import standard_contract
from live.paper.feed import Feed
from live.paper.orders import Fill
from live.paper.watch import advance, recall
from trading_assets.core.messages import PositionFacts

BEGIN, END = 40, 2000
HELD = PositionFacts(
    ticket="1", identifier="1", magic="1", symbol="EURUSD", side="BUY", volume=Decimal("0.50"), price_open=1.085, sl=0.0, tp=0.0,
    swap=Decimal("0.00"), profit=Decimal("0.00"), time_msc=0, comment="",
)  # fmt: skip


def broker(feed: Feed, positions: list[PositionFacts], deposit: Decimal) -> Broker:
    contracts = {symbol: standard_contract(symbol, 5, 1.1, "USD", Decimal("2.50")) for symbol in feed.symbols}
    made = Broker(Terms(), contracts, Book(positions=positions))
    made.deposit(deposit, int(feed.server_msc[0]))
    recall(feed, made, BEGIN)
    return made


def one_by_one(feed: Feed, account: Broker, begin: int, end: int) -> list[Fill]:
    fills = []
    for index in begin + np.flatnonzero(feed.is_tradable[begin:end]):
        symbol = feed.symbols[feed.instrument[index]]
        fills += account.quote(symbol, int(feed.server_msc[index]), float(feed.bid[index]), float(feed.ask[index]))
    return fills


def in_stretches(feed: Feed, account: Broker, begin: int, end: int, length: int) -> list[Fill]:
    fills, at = [], begin
    while at < end:
        at, triggered = advance(feed, account, at, min(end, at + length))
        fills += triggered
    return fills


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.booleans(), st.integers(5, 150), st.integers(5, 150), st.integers(1, 300)),
        min_size=1,
        max_size=6,
    ),
    st.integers(20, 400),
    st.sampled_from([Decimal(400), Decimal(3000), Decimal(100_000)]),
)
def test_the_same_deals_come_at_the_same_quotes(
    market: Feed, drawn: list[tuple[bool, bool, int, int, int]], length: int, deposit: Decimal
):
    firsts = [int(np.argmax(market.instrument == number)) for number in range(2)]
    positions = []
    for number, (is_second, is_long, stop, target, volume) in enumerate(drawn, start=1):
        price, sign = float(market.bid[firsts[is_second]]), 1 if is_long else -1
        positions.append(
            msgspec.structs.replace(
                HELD,
                ticket=str(number),
                identifier=str(number),
                symbol=market.symbols[is_second],
                side="BUY" if is_long else "SELL",
                volume=Decimal(volume) / 100,
                price_open=price,
                sl=round(price - sign * stop * 1e-5, 5),
                tp=round(price + sign * target * 1e-5, 5),
            )
        )
    # A quote no broker would trade at, far through every stop, changes nothing.
    bid = market.bid.copy()
    bid[50] = 0.5
    feed = replace(market, bid=bid, is_tradable=market.is_tradable & (np.arange(len(market)) != 50))
    slow, fast = broker(feed, positions, deposit), broker(feed, positions, deposit)
    expected, got = one_by_one(feed, slow, BEGIN, END), in_stretches(feed, fast, BEGIN, END, length)
    assert [fill.deal for fill in got] == [fill.deal for fill in expected]
    assert fast.positions() == slow.positions()
    assert fast.account() == slow.account()
