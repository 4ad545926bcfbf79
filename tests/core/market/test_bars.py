from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.market.bars import (
    BARS_SCHEMA,
    BarAggregator,
    BarBuilder,
    BarValues,
    aggregate,
    bars_from_quotes,
)
from trading_assets.core.market.timeframes import MINUTES
from trading_assets.core.records.market import Bar
from trading_assets.core.records.record import Record
from trading_assets.store.market_files import read_market

START = datetime(2024, 1, 2, tzinfo=UTC)
END = datetime(2100, 1, 1, tzinfo=UTC)
POINT = 0.00001
QUOTE_SCHEMA = {"symbol": pl.String, "event_at": pl.Datetime("us", "UTC"), "bid": pl.Float64, "ask": pl.Float64}

Quote = tuple[datetime, float, float]


@st.composite
def quote_streams(draw: st.DrawFn) -> list[Quote]:
    """Accepted quotes in order of time, some at one instant, with pauses up to days; also prices off the grid."""
    at = START + timedelta(seconds=draw(st.integers(0, 86_400)))
    quotes = []
    for _ in range(draw(st.integers(0, 60))):
        at += timedelta(
            milliseconds=draw(st.sampled_from([0, 1, 250, 59_999, 60_000, 300_000, 3_600_000, 100_000_000]))
        )
        bid = draw(st.floats(0.5, 200.0))
        quotes.append((at, bid, bid + draw(st.sampled_from([0.0, POINT, 2.5 * POINT, 0.01, 0.1234567]))))
    return quotes


def framed_quotes(quotes: Iterable[Quote], symbol: str = "EURUSD") -> pl.DataFrame:
    return pl.DataFrame([(symbol, *quote) for quote in quotes], schema=QUOTE_SCHEMA, orient="row")


def framed(bars: Iterable[BarValues]) -> pl.DataFrame:
    return pl.DataFrame([msgspec.structs.asdict(bar) for bar in bars], schema=BARS_SCHEMA)


def built(quotes: Iterable[Quote], timeframe: str) -> list[BarValues]:
    builder = BarBuilder("EURUSD", timeframe, POINT)
    closed = [builder.add(*quote) for quote in quotes]
    return [bar for bar in (*closed, builder.advance(END)) if bar is not None]


def joined(bars: Iterable[BarValues], timeframe: str) -> list[BarValues]:
    aggregator = BarAggregator("EURUSD", timeframe)
    closed = [bar for short in bars for bar in (aggregator.add(short), aggregator.advance(short.close_at))]
    return [bar for bar in (*closed, aggregator.advance(END)) if bar is not None]


@given(quote_streams(), st.sampled_from(sorted(MINUTES)))
def test_batch_bars_equal_the_builders_bit_for_bit(quotes: list[Quote], timeframe: str) -> None:
    batch = bars_from_quotes(framed_quotes(quotes), timeframe, POINT)
    assert batch.schema == pl.Schema(BARS_SCHEMA)
    assert batch.equals(framed(built(quotes, timeframe)))


@given(quote_streams(), st.sampled_from([("M1", "M5"), ("M5", "H1"), ("M1", "H4"), ("H1", "D1"), ("M30", "D1")]))
def test_longer_bars_are_the_same_from_quotes_from_shorter_bars_and_in_batch(
    quotes: list[Quote], timeframes: tuple[str, str]
) -> None:
    short, long = timeframes
    short_bars = built(quotes, short)
    expected = framed(built(quotes, long))
    assert framed(joined(short_bars, long)).equals(expected)
    assert aggregate(framed(short_bars), long).equals(expected)


@given(quote_streams())
def test_every_quote_is_in_exactly_one_bar(quotes: list[Quote]) -> None:
    bars = bars_from_quotes(framed_quotes(quotes), "M1", POINT)
    assert bars["tick_count"].sum() == len(quotes)
    assert bars["open_at"].is_unique().all()


def test_several_symbols_of_a_frame_do_not_mix() -> None:
    one = framed_quotes([(START, 1.1, 1.2), (START + timedelta(minutes=1), 1.3, 1.4)])
    two = framed_quotes([(START, 2.1, 2.2)], "GBPUSD")
    mixed = pl.concat([one, two]).sort("event_at", maintain_order=True)
    bars = bars_from_quotes(mixed, "M5", POINT)
    assert bars.select("symbol", "open", "close", "tick_count").rows() == [
        ("EURUSD", 1.1, 1.3, 2),
        ("GBPUSD", 2.1, 2.1, 1),
    ]
    assert aggregate(bars, "H1").select("symbol", "close").rows() == [("EURUSD", 1.3), ("GBPUSD", 2.1)]


def test_a_bar_says_what_its_quotes_were() -> None:
    builder = BarBuilder("EURUSD", "M1", POINT)
    for second, bid, ask in [
        (1, 1.10010, 1.10012),
        (2, 1.10020, 1.10025),
        (3, 1.10000, 1.10001),
        (4, 1.10005, 1.10005),
    ]:
        assert builder.add(START + timedelta(seconds=second), bid, ask) is None
    forming = builder.forming
    closed = builder.add(START + timedelta(minutes=1), 1.2, 1.3)
    assert closed == forming
    assert closed == BarValues(
        symbol="EURUSD",
        timeframe="M1",
        open_at=START,
        close_at=START + timedelta(minutes=1),
        open=1.10010,
        high=1.10020,
        low=1.10000,
        close=1.10005,
        ask_open=1.10012,
        ask_high=1.10025,
        ask_low=1.10001,
        ask_close=1.10005,
        tick_count=4,
        spread_min_points=0,
        spread_max_points=5,
        spread_sum_points=8,
    )


def test_time_closes_a_bar_at_its_end_and_not_before() -> None:
    builder = BarBuilder("EURUSD", "M5", POINT)
    assert builder.advance(START) is None
    builder.add(START, 1.1, 1.2)
    assert builder.advance(START + timedelta(minutes=5, microseconds=-1)) is None
    closed = builder.advance(START + timedelta(minutes=5))
    assert closed is not None
    assert closed.close_at == START + timedelta(minutes=5)
    assert builder.forming is None
    assert builder.advance(START + timedelta(minutes=10)) is None


def test_a_closed_bar_is_never_opened_again() -> None:
    builder = BarBuilder("EURUSD", "M1", POINT)
    builder.add(START, 1.1, 1.2)
    builder.advance(START + timedelta(minutes=1))
    with pytest.raises(ValueError, match="belongs to a bar closed before"):
        builder.add(START + timedelta(seconds=59), 1.1, 1.2)
    builder.add(START + timedelta(minutes=2), 1.1, 1.2)
    with pytest.raises(ValueError, match="belongs to a bar closed before"):
        builder.add(START + timedelta(minutes=1), 1.1, 1.2)


def test_the_aggregator_refuses_bars_that_fit_no_open_bar() -> None:
    minute, hour = built([(START, 1.1, 1.2)], "M1")[0], built([(START, 1.1, 1.2)], "H1")[0]
    with pytest.raises(ValueError, match=r"a bar H1 .* fits no open bar M5"):
        BarAggregator("EURUSD", "M5").add(hour)
    aggregator = BarAggregator("EURUSD", "M5")
    aggregator.add(minute)
    aggregator.advance(START + timedelta(minutes=5))
    with pytest.raises(ValueError, match="fits no open bar"):
        aggregator.add(minute)
    aggregator.add(built([(START + timedelta(hours=1), 1.1, 1.2)], "M1")[0])
    with pytest.raises(ValueError, match="comes after a later one"):
        aggregator.add(built([(START + timedelta(minutes=30), 1.1, 1.2)], "M1")[0])


def test_a_longer_bar_with_a_part_from_history_is_from_history() -> None:
    first, second = built([(START, 1.1, 1.2), (START + timedelta(minutes=1), 1.1, 1.2)], "M1")
    parts = [first, msgspec.structs.replace(second, source="history")]
    assert [bar.source for bar in joined(parts, "M5")] == ["history"]
    assert aggregate(framed(parts), "M5")["source"].to_list() == ["history"]


def test_the_values_are_the_fields_of_the_journals_record() -> None:
    assert (
        set(Bar.__struct_fields__) - set(Record.__struct_fields__)
        == set(BarValues.__struct_fields__)
        == set(BARS_SCHEMA)
    )
    bar = built([(START, 1.1, 1.2)], "M1")[0]
    record = bar.to_record(tenant="market", account="a", known_at=END, chain_id="c")
    assert record.event_at == bar.close_at
    assert record.ask_close == bar.ask_close


SIDES = ("open", "high", "low", "close", "ask_open", "ask_high", "ask_low", "ask_close")


def test_m1_bars_of_the_oanda_ticks_equal_oandas_own_bid_and_ask_bars(shared_data: Path) -> None:
    ticks, minutes = read_market(shared_data / "ticks/oanda"), read_market(shared_data / "m1/oanda")
    bars = bars_from_quotes(in_utc(ticks.quotes), "M1", ticks.point)
    # Four quotes of a source bar: open, two extremes, close. Their bar is the source's bar.
    source = bars_from_quotes(in_utc(minutes.quotes), "M1", minutes.point)
    assert bars.height == source.height == 8306
    assert bars.select("open_at", *SIDES).equals(source.select("open_at", *SIDES))


def test_the_builder_equals_the_batch_on_a_day_of_real_ticks(shared_data: Path) -> None:
    quotes = in_utc(read_market(shared_data / "ticks/oanda/EURUSD/20140501_quote.zip").quotes)
    rows = list(quotes.select("event_at", "bid", "ask").iter_rows())
    for timeframe in ("M1", "M15", "H4"):
        assert framed(built(rows, timeframe)).equals(bars_from_quotes(quotes, timeframe, POINT))


@pytest.mark.parametrize("hour", ["00", "10", "23"])
def test_m1_bars_of_the_dukascopy_ticks_equal_the_brokers_own_candles(shared_data: Path, hour: str) -> None:
    day = shared_data / "dukascopy/EURUSD/2019/01/04"
    ticks, candles = read_market(day / f"{hour}h_ticks.bi5"), read_market(day / "BID_candles_min_1.bi5")
    bars = bars_from_quotes(in_utc(ticks.quotes), "M1", ticks.point)
    source = bars_from_quotes(in_utc(candles.quotes), "M1", candles.point)
    source = source.filter(pl.col("open_at").dt.hour() == int(hour))
    assert bars.height == source.height == 60
    assert bars.select("open_at", *SIDES).equals(source.select("open_at", *SIDES))


def in_utc(quotes: pl.DataFrame) -> pl.DataFrame:
    at = pl.col("server_msc").cast(pl.Datetime("ms", "UTC")).cast(pl.Datetime("us", "UTC"))
    return quotes.select(pl.lit("EURUSD").alias("symbol"), at.alias("event_at"), "bid", "ask")
