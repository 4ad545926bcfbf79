from __future__ import annotations

import gzip
import lzma
import math
import struct
import zipfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_assets.core.errors import InputError
from trading_assets.core.market.quotes import refusals
from trading_assets.core.market.timeframes import to_ms
from trading_assets.store.market_files import MarketData, read_market


def first(market: MarketData) -> tuple[int, float, float]:
    return market.quotes.row(0)  # type: ignore[return-value]


def wall(*parts: int) -> int:
    return to_ms(datetime(*parts, tzinfo=UTC))  # type: ignore[misc, arg-type]


def zipped(path: Path, text: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("table.csv", text)
    return path


def gzipped(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()))
    return path


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# --- every format of the real data ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "symbol", "kind", "timeframe", "clock", "digits", "count", "quote"),
    [
        ("ticks/oanda", "EURUSD", "ticks", None, "utc", 5, 273_925, (1398902400292, 1.38676, 1.38686)),
        ("ticks/fxcm", "EURUSD", "ticks", None, "utc", 5, 160_825, (1399248003074, 1.38756, 1.38758)),
        ("m1/oanda", "EURUSD", "bars", "M1", "utc", 5, 4 * 8306, (1398902400000, 1.38676, 1.38686)),
        ("m1/mt5", "EURUSD", "bars", "M1", "eu", 5, 4 * 58_336, (wall(2024, 2, 1, 0, 5), 1.08177, 1.08184)),
        ("m1/mt4", "EURUSD", "bars", "M1", "eu", 5, 4 * 34_342, (wall(2022, 8, 15, 10, 6), 1.0234, 1.0235)),
        ("m5/mt5", "EURUSD", "bars", "M5", "eu", 5, 4 * 74_042, (wall(2023, 1, 2, 0, 20), 1.06884, 1.06894)),
        ("h1/oanda", "EURUSD", "bars", "H1", "utc", 5, 4 * 74_439, (wall(2007, 1, 1, 21), 1.31927, 1.32027)),
        (
            "h1/mt5/EURJPYh1.csv.gz",
            "EURJPY",
            "bars",
            "H1",
            "eu",
            3,
            4 * 57_600,
            (wall(2012, 11, 16, 1), 103.681, 103.691),
        ),
        (
            "h1/mt5/AUDUSDh1.csv.gz",
            "AUDUSD",
            "bars",
            "H1",
            "eu",
            5,
            4 * 57_600,
            (wall(2012, 11, 16, 10), 1.03428, 1.03438),
        ),
        ("dukascopy", "EURUSD", "ticks", None, "utc", 5, 14_804, (wall(2019, 2, 4) + 994, 1.14543, 1.14545)),
    ],
)
def test_each_format_is_read_as_its_source_wrote_it(
    shared_data: Path,
    path: str,
    symbol: str,
    kind: str,
    timeframe: str | None,
    clock: str,
    digits: int,
    count: int,
    quote: tuple[int, float, float],
) -> None:
    market = read_market(shared_data / path)
    assert (market.symbol, market.kind, market.timeframe, market.clock.name) == (symbol, kind, timeframe, clock)
    assert (market.digits, market.point) == (digits, float(f"1e-{digits}"))
    assert market.quotes.schema == pl.Schema({"server_msc": pl.Int64, "bid": pl.Float64, "ask": pl.Float64})
    assert market.quotes.height == count
    assert first(market) == quote
    assert market.quotes["server_msc"].is_sorted()
    assert f"of {symbol}" in market.description


@pytest.mark.parametrize(
    ("path", "clock"), [("m1/mt5", "us"), ("m1/mt5", "utc"), ("m5/mt5", "us"), ("h1/mt5", "us"), ("ticks/oanda", "-5")]
)
def test_a_clock_rule_that_does_not_fit_is_refused_with_the_one_that_does(
    shared_data: Path, path: str, clock: str
) -> None:
    right = "utc" if "oanda" in path else "eu"
    with pytest.raises(
        InputError, match=rf"the clock rule {clock} does not fit its weekends: .*; pass the clock {right}, which fits"
    ):
        read_market(shared_data / path, clock=clock, symbol="EURJPY" if "h1" in path else None)


def test_the_march_file_alone_tells_european_from_american_dates(shared_data: Path) -> None:
    march = shared_data / "m1/mt5/EURUSD_M1_2024_03.csv.gz"
    assert read_market(march).clock.name == "eu"
    with pytest.raises(InputError, match="would move by 55 minutes against New York with daylight saving time"):
        read_market(march, clock="us")


def test_two_days_of_fxcm_ticks_take_any_clock_and_keep_their_faults_for_the_validation(shared_data: Path) -> None:
    market = read_market(shared_data / "ticks/fxcm", clock="-5")
    assert market.clock.name == "-5"
    crossed = market.quotes.filter(pl.col("bid") > pl.col("ask"))
    assert 0.08 < crossed.height / market.quotes.height < 0.13
    at = pl.col("server_msc").cast(pl.Datetime("ms", "UTC"))
    quotes = market.quotes.select(pl.lit("EURUSD").alias("symbol"), at.alias("event_at"), "bid", "ask")
    reasons = refusals(quotes, ["EURUSD"])
    assert (reasons == "crossed").sum() == crossed.height
    assert reasons.null_count() > 0.85 * market.quotes.height


def test_the_right_offset_puts_the_fxcm_ticks_beside_the_oanda_ticks(shared_data: Path) -> None:
    oanda = read_market(shared_data / "ticks/oanda")
    fxcm = read_market(shared_data / "ticks/fxcm", clock="-5")
    distance = {}
    for hours in (-1, 0, 1):
        shifted = fxcm.clock.to_utc_ms(fxcm.quotes["server_msc"].to_numpy()) + hours * 3_600_000
        at = np.searchsorted(oanda.quotes["server_msc"].to_numpy(), shifted) - 1
        distance[hours] = float(np.median(np.abs(oanda.quotes["bid"].to_numpy()[at] - fxcm.quotes["bid"].to_numpy())))
    assert min(distance, key=lambda hours: distance[hours]) == 0


def test_the_spread_of_mt5_bars_is_used_and_the_stated_model_where_it_is_zero(shared_data: Path) -> None:
    market = read_market(shared_data / "m1/mt5", spread_points=7)
    spreads = ((market.quotes["ask"] - market.quotes["bid"]) / market.point).round().cast(pl.Int64)
    assert spreads.min() == 1
    assert spreads.max() == 100
    assert (spreads == 7).mean() > 0.75  # four fifths of the source's spreads are zero
    assert "7 points assumed where it is zero (79% of bars)" in market.description


def test_months_of_dukascopy_paths_count_from_zero(shared_data: Path) -> None:
    """The minutes of folder 2019/01/04 are those of the broker's own daily candle of 4 February, not 4 January."""
    day = read_market(shared_data / "dukascopy/EURUSD/2019/BID_candles_day_1.bi5").quotes
    minutes = read_market(shared_data / "dukascopy/EURUSD/2019/01/04/BID_candles_min_1.bi5").quotes
    candle = day.filter(pl.col("server_msc").is_between(wall(2019, 2, 4), wall(2019, 2, 5) - 1))
    assert minutes["server_msc"][0] == wall(2019, 2, 4)
    for column in ("bid", "ask"):
        assert (minutes[column].max(), minutes[column].min()) == (candle[column].max(), candle[column].min())
        assert (minutes[column][0], minutes[column][-1]) == (candle[column][0], candle[column][-1])


def test_minutes_dukascopy_filled_in_are_left_out(shared_data: Path) -> None:
    market = read_market(shared_data / "dukascopy/EURUSD/2020")
    assert market.quotes.height == 4 * (1440 - 180)  # a Friday's last three hours
    assert "no spread: 10 points assumed" in market.description


def test_ask_candles_are_read_with_the_bid_candles_beside_them(shared_data: Path) -> None:
    day = shared_data / "dukascopy/EURUSD/2019/01/04"
    assert read_market(day / "ASK_candles_min_1.bi5").quotes.equals(read_market(day / "BID_candles_min_1.bi5").quotes)


def test_one_symbol_of_a_folder_is_picked_by_any_of_its_names(shared_data: Path) -> None:
    assert read_market(shared_data / "h1/mt5", symbol="usdjpy.m").symbol == "USDJPY"


# --- faults inside a file are kept ------------------------------------------------------------------------------


def test_faulty_quotes_stay_where_they_are(tmp_path: Path) -> None:
    ticks = zipped(
        tmp_path / "EURUSD_20240102_quote.zip",
        "5,1.1,1.2\n3,1.3,1.2\n3,,1.2\n4,x,inf\n9,1.1\n6,-1,0\n7,1.1,1.2\n8,1.1,1.2\n",
    )
    market = read_market(ticks)
    assert (market.quotes["server_msc"] - wall(2024, 1, 2)).to_list() == [5, 3, 3, 4, 9, 6, 7, 8]
    assert [math.isnan(bid) for bid in market.quotes["bid"]] == [False, False, True, True] + 4 * [False]
    assert market.quotes["ask"][3] == math.inf
    assert math.isnan(market.quotes["ask"][4])


def test_carriage_returns_byte_order_marks_and_utf16_do_not_matter(tmp_path: Path) -> None:
    text = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\r\n" + "".join(
        f"2024.02.01\t00:0{minute}:00\t1.1\t1.2\t1.0\t1.15\t5\t0\t4\r\n" for minute in range(3)
    )
    plain = read_market(written(tmp_path / "EURUSD.csv", text), clock="eu")
    for encoding in ("utf-8-sig", "utf-16"):
        path = tmp_path / f"EURUSD-{encoding}.csv"
        path.write_bytes(text.encode(encoding))
        assert read_market(path, clock="eu").quotes.equals(plain.quotes)
    assert first(plain) == (wall(2024, 2, 1), 1.1, 1.1004)


def test_daily_exports_have_no_time_of_day(tmp_path: Path) -> None:
    text = "<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n" + "".join(
        f"2024.02.0{day}\t1.1\t1.2\t1.0\t1.15\t5\t0\t4\n" for day in range(1, 4)
    )
    assert read_market(written(tmp_path / "EURUSD.csv", text), clock="eu").timeframe == "D1"


# --- bad input: one clear sentence each -------------------------------------------------------------------------

H1 = "Date,open,high,low,close,tick_volume\n2024-01-02 00:00:00,1.1,1.2,1.0,1.1,5\n2024-01-02 01:00:00,1.1,1.2,1.0,1.1,5\n"


def refusal(path: Path, **arguments: object) -> str:
    with pytest.raises(InputError) as caught:
        read_market(path, **arguments)  # type: ignore[arg-type]
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith("reading ")
    assert text.endswith(".")
    return text


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "no such file or folder; pass a path that exists" in refusal(tmp_path / "EURUSD.csv")


def test_a_folder_without_market_files_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "README.md", "nothing here")
    assert "holds no market files (.zip, .csv, .gz, .bi5)" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["EURUSD.csv", "EURUSD.csv.gz", "EURUSD_20240102_quote.zip"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert "it is empty" in refusal(tmp_path / name)


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    assert "it is empty" in refusal(zipped(tmp_path / "EURUSD_20240102.zip", " \r\n"))
    assert "it is empty" in refusal(gzipped(tmp_path / "EURUSD.csv.gz", ""))
    assert "a header and no rows" in refusal(written(tmp_path / "EURUSD.csv", H1.splitlines()[0] + "\n"))


@pytest.mark.parametrize("keep", [0.3, 0.9])
@pytest.mark.parametrize(
    "name",
    [
        "m5/mt5/EURUSD_M5_2023.csv.gz",
        "ticks/oanda/EURUSD/20140504_quote.zip",
        "dukascopy/EURUSD/2019/01/04/10h_ticks.bi5",
    ],
)
def test_a_truncated_archive_is_refused(tmp_path: Path, shared_data: Path, name: str, keep: float) -> None:
    folder = tmp_path / Path(name).parent
    folder.mkdir(parents=True)
    raw = (shared_data / name).read_bytes()
    (tmp_path / name).write_bytes(raw[: int(len(raw) * keep)])
    assert "it is damaged" in refusal(tmp_path / name, symbol="EURUSD")


@pytest.mark.parametrize("name", ["EURUSD_20240102.zip", "EURUSD.csv.gz", "EURUSD.bi5"])
def test_an_archive_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    text = refusal(written(tmp_path / name, "1,1.1,1.2\n"))
    assert "it is damaged" in text or "none of Dukascopy's" in text


def test_a_zip_of_several_tables_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "EURUSD_20240102.zip", "w") as archive:
        archive.writestr("a.csv", "1,1.1,1.2")
        archive.writestr("b.csv", "1,1.1,1.2")
    assert "holds 2 files where one table is expected" in refusal(tmp_path / "EURUSD_20240102.zip")


@pytest.mark.parametrize("text", ["hello", "a,b,c\n1,2,3", "2024-01-02,1.1,1.2", "\x00\x01\x02"])
def test_an_unknown_format_is_refused_with_how_it_starts(tmp_path: Path, text: str) -> None:
    assert "its format is unknown" in refusal(written(tmp_path / "EURUSD.csv", text))


def test_a_table_that_is_mostly_no_numbers_is_refused(tmp_path: Path) -> None:
    text = "1,a,b\n2,c,d\n3,1.1,1.2\n"
    assert "67% of its prices cannot be read as numbers" in refusal(zipped(tmp_path / "EURUSD_20240102.zip", text))


def test_a_time_that_cannot_be_read_is_refused_with_its_row(tmp_path: Path) -> None:
    text = refusal(written(tmp_path / "EURUSD.csv", H1 + "2024-13-02 02:00:00,1.1,1.2,1.0,1.1,5\n"))
    assert "the time of row 3 cannot be read ('2024-13-02 02:00:00')" in text
    assert "the time of row 2 cannot be read" in refusal(
        zipped(tmp_path / "EURUSD_20240102.zip", "1,1.1,1.2\nx,1.1,1.2\n")
    )


def test_ticks_without_a_date_in_the_files_name_are_refused(tmp_path: Path) -> None:
    for name in ("EURUSD_quote.zip", "EURUSD_20241302_quote.zip"):
        assert "count from a midnight that its name does not give" in refusal(zipped(tmp_path / name, "1,1.1,1.2\n"))


def test_a_clock_rule_that_is_none_is_refused(tmp_path: Path) -> None:
    assert "'cet': it is not one; use utc" in refusal(written(tmp_path / "EURUSD.csv", H1), clock="cet")


def test_a_clock_that_the_data_cannot_tell_must_be_passed(tmp_path: Path) -> None:
    path = written(tmp_path / "EURUSD.csv", H1)
    assert "cannot be told from its weekends: utc, eu, us fit; pass the rule with --clock" in refusal(path)
    assert read_market(path, clock="us").clock.name == "us"


def test_a_symbol_the_path_does_not_hold_is_refused_with_those_it_does(tmp_path: Path, shared_data: Path) -> None:
    assert "it holds EURUSD, not GBPUSD; pass --symbol EURUSD" in refusal(
        written(tmp_path / "EURUSD.csv", H1), symbol="GBPUSD"
    )
    assert "it holds AUDUSD, EURJPY, GBPUSD, USDJPY, not EURUSD" in refusal(shared_data / "h1/mt5", symbol="EURUSD")
    assert "it holds AUDUSD, EURJPY, GBPUSD, USDJPY; pick one with --symbol" in refusal(shared_data / "h1/mt5")


def test_a_file_that_names_no_symbol_needs_one(tmp_path: Path) -> None:
    path = written(tmp_path / "history.csv", H1)
    assert "which symbol it is of; name it with --symbol" in refusal(path, clock="utc")
    assert "cannot be a symbol" in refusal(path, clock="utc", symbol="/")
    assert read_market(path, clock="utc", symbol="US30").symbol == "US30"


def test_points_of_an_unknown_symbol_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "history.csv", H1.replace("1.1", "11").replace("1.2", "12").replace("1.0", "10"))
    assert "its prices are points, whose size is unknown for US30" in refusal(path, clock="utc", symbol="US30")


def test_a_folder_of_several_formats_or_brokers_is_refused(shared_data: Path) -> None:
    assert "it mixes files that do not belong together (LEAN bars, MT4 bars, MT5 bars)" in refusal(shared_data / "m1")
    assert "oanda/EURUSD/20140505_quote.zip starts before fxcm/EURUSD/20140505_quote.zip ends" in refusal(
        shared_data / "ticks"
    )


def test_bars_of_no_timeframe_and_a_single_bar_are_refused(tmp_path: Path) -> None:
    odd = "2024.01.02,10:00,1,1,1,1,1\n2024.01.02,10:07,1,1,1,1,1\n"
    assert "its bars are 7 minutes apart" in refusal(written(tmp_path / "EURUSD.csv", odd), clock="utc")
    assert "one bar alone does not say how long it is" in refusal(
        written(tmp_path / "EURUSD.csv", odd.splitlines()[0]), clock="utc"
    )


def test_times_outside_the_calendar_are_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "EURUSD_20240102.zip", f"1,1.1,1.2\n{10**17},1.1,1.2\n")
    assert "it has times outside 1970 to 2099" in refusal(path)


@pytest.mark.parametrize("points", [-1, 0, 1])
def test_a_spread_model_that_makes_trading_free_is_refused(tmp_path: Path, points: int) -> None:
    assert f"a spread of {points} points would make trading free" in refusal(
        written(tmp_path / "EURUSD.csv", H1), spread_points=points
    )


def test_an_export_of_mt5_ticks_is_refused_as_no_bars(tmp_path: Path) -> None:
    text = "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\n2024.02.01\t00:05:00.123\t1.1\t1.2\t\t\n"
    assert "has no column open, high, low, close; export bars" in refusal(written(tmp_path / "EURUSD.csv", text))


def dukascopy(folder: Path, name: str, *records: tuple[int, ...], layout: str = ">5I") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(lzma.compress(b"".join(struct.pack(layout, *record) for record in records)))
    return folder / name


def test_dukascopy_files_need_their_names_folders_and_whole_records(tmp_path: Path) -> None:
    tick = (5, 110_010, 110_000, 0, 0)
    day = tmp_path / "EURUSD/2019/00/04"
    assert first(read_market(dukascopy(day, "10h_ticks.bi5", tick))) == (wall(2019, 1, 4, 10) + 5, 1.1, 1.1001)
    assert "(months count from 00)" in refusal(dukascopy(tmp_path / "EURUSD/2019/12/04", "10h_ticks.bi5", tick))
    assert "none of Dukascopy's" in refusal(dukascopy(day, "ticks.bi5", tick))
    assert "no whole number of records" in refusal(dukascopy(day, "11h_ticks.bi5", tick[:3], layout=">3I"))
    candle = (0, 110_000, 110_000, 110_000, 110_000, 0)
    assert "without BID_candles_min_1.bi5" in refusal(dukascopy(day, "ASK_candles_min_1.bi5", candle, layout=">6I"))
    assert "no candle with a trade" in refusal(dukascopy(day, "BID_candles_min_1.bi5", candle, layout=">6I"))


def test_dukascopy_hours_without_a_tick_are_skipped_in_a_folder(tmp_path: Path) -> None:
    day = tmp_path / "EURUSD/2019/00/04"
    dukascopy(day, "10h_ticks.bi5", (5, 110_010, 110_000, 0, 0))
    (day / "11h_ticks.bi5").touch()
    assert read_market(tmp_path).quotes.height == 1
    assert "it is empty" in refusal(day / "11h_ticks.bi5")
    (day / "10h_ticks.bi5").write_bytes(b"")
    assert "all its files are empty" in refusal(tmp_path)


LINES = [
    "5,1.1,1.2",
    "60000,1.1,1.2,1.0,1.1,0,1.1,1.2,1.0,1.1,0",
    "20070101 21:00,1.1,1.2,1.0,1.1,0,1.1,1.2,1.0,1.1,0",
    "2022.08.15,10:06,1.1,1.2,1.0,1.1,5",
    "2022-08-15 10:06:00,1.1,1.2,1.0,1.1,5",
    "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
    "2024.02.01\t00:05:00\t1.1\t1.1\t1.1\t1.1\t10\t0\t7",
    "Date,Open,High,Low,Close,Adj Close",
    "Date,open,high,low,close,tick_volume",
    '"',
    ",,,",
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.one_of(st.sampled_from(LINES), st.text(max_size=30)), max_size=8), tail=st.binary(max_size=20))
def test_whatever_a_file_holds_it_is_read_or_refused_in_one_sentence(
    tmp_path: Path, lines: list[str], tail: bytes
) -> None:
    path = tmp_path / "EURUSD_20240102_quote.csv"
    path.write_bytes("\n".join(lines).encode("utf-8", errors="surrogatepass") + tail)
    with suppress(InputError):  # any other error fails the test
        assert read_market(path, clock="utc").quotes.height > 0
