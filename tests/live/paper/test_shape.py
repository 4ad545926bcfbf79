"""Shapes: suffixes, holes, early closes and gaps; a stop in a gap is filled at the gap's price."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from live.paper.account import Terms
from live.paper.answers import history_bars
from live.paper.beginning import open_account
from live.paper.book import Book
from live.paper.feed import Feed
from live.paper.shape import Gap, Hole, Shape, parse_shape
from live.paper.watch import advance, recall
from trading_assets.core.errors import InputError
from trading_assets.core.market.timeframes import from_ms, to_ms
from trading_assets.core.messages import PositionFacts, Query

NOON = datetime(2024, 1, 8, 12, tzinfo=UTC)


def test_an_empty_shape_changes_nothing(market: Feed):
    assert Shape().applied_to(market) is market


def test_every_symbol_gets_the_brokers_suffix_and_its_contract(market: Feed):
    shaped = parse_shape('{"suffix": ".x"}').applied_to(market)
    assert shaped.symbols == ("EURUSD.x", "GBPUSD.x")
    account = open_account(shaped, Book(), Decimal("2.50"), Terms())
    assert account.contracts["EURUSD.x"].facts.symbol == "EURUSD.x"
    assert shaped.fingerprint() != market.fingerprint()


def test_a_hole_has_no_quotes_no_bars_and_a_long_one_ends_the_session(market: Feed):
    hole = Hole(begins=NOON, ends=NOON + timedelta(hours=5), symbol="EURUSD")
    shaped = Shape(holes=(hole,)).applied_to(market)
    euro = shaped.instrument == 0
    inside = (shaped.at_ms >= to_ms(hole.begins)) & (shaped.at_ms < to_ms(hole.ends))
    assert not (euro & inside).any()
    assert (~euro & inside).any()
    last = np.flatnonzero(euro & (shaped.at_ms < to_ms(hole.begins)))[-1]
    assert shaped.ends_session[last]
    query = Query(session="", seq=1, sent_msc=0, request_id="q", what="bars", symbol="EURUSD", timeframe="H1")
    opens = {bar.time_msc for bar in history_bars(shaped, len(shaped), int(shaped.server_msc[-1]), query)}
    assert market.clock.to_server(NOON) not in opens
    assert market.clock.to_server(NOON - timedelta(hours=1)) in opens


def test_a_gap_passes_through_a_stop_and_fills_it_at_the_gaps_price(market: Feed):
    shaped = Shape(gaps=(Gap(at=NOON, points=-300, symbol="EURUSD"),)).applied_to(market)
    first = int(np.flatnonzero((shaped.instrument == 0) & (shaped.at_ms >= to_ms(NOON)))[0])
    before = int(np.flatnonzero((shaped.instrument == 0) & (shaped.at_ms < to_ms(NOON)))[-1])
    stop = round(float(shaped.bid[before]) - 0.0010, 5)
    held = PositionFacts(
        ticket="1", identifier="1", magic="1", symbol="EURUSD", side="BUY", volume=Decimal("0.10"), price_open=1.085, sl=stop, tp=0.0,
        swap=Decimal("0.00"), profit=Decimal("0.00"), time_msc=0, comment="",
    )  # fmt: skip
    account = open_account(shaped, Book(positions=[held]), Decimal("2.50"), Terms(slippage_points=0.0))
    account.deposit(Decimal(10_000), 0)
    recall(shaped, account, first - 1)
    at, (fill,) = advance(shaped, account, first - 1, len(shaped))
    assert at == first + 1
    assert fill.deal is not None
    assert fill.deal.price == float(shaped.bid[first]) < stop - 0.0015


def test_what_cannot_be_shaped_is_said(market: Feed):
    first = from_ms(int(market.at_ms[0]))
    with pytest.raises(InputError, match="none of its quotes are left"):
        Shape(holes=(Hole(begins=first, ends=first + timedelta(days=9), symbol="EURUSD"),)).applied_to(market)
    with pytest.raises(InputError, match="does not have it"):
        Shape(gaps=(Gap(at=first, points=1, symbol="XAUUSD"),)).applied_to(market)
    with pytest.raises(InputError, match="--shape"):
        parse_shape('{"holes": 1}')
