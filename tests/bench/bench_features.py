"""Features: a year of M5 and one live row, each beside its floor and its naive peer.

    python tests/bench/bench_features.py [--market FILE.csv.gz] [--days N]

Floor: the bare TA-Lib calls of the same features on the same windows, nothing put together. Peer: computing every row
anew from its own window, as a loop over bars would, timed on a sample and extrapolated. Without a market file of M5
bars (date, open, high, low, close, tick volume) a seeded random year is used.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import polars as pl
import talib

from trading_assets.core.features.feature_set import FEATURE_SETS
from trading_assets.core.features.live_features import LiveFeatures
from trading_assets.core.features.normaliser import fit
from trading_assets.core.features.regimes import classify
from trading_assets.core.features.window import DAY_MS, ChartWindow, WindowHasher, anchored, day_windows

INTRADAY = FEATURE_SETS["intraday"]
LENGTH_MS = {"M5": 300_000, "M15": 900_000, "H1": 3_600_000, "H4": 14_400_000}
REAL_YEAR = Path(__file__).resolve().parents[3] / "shared" / "data" / "m5" / "mt5" / "EURUSD_M5_2023.csv.gz"


def read_year(path: Path) -> ChartWindow:
    """Read M5 bars; a spread is added, since the file has none."""
    frame = pl.read_csv(path, try_parse_dates=True).unique("Date", keep="first").sort("Date")
    ticks = frame["Adj Close"].cast(pl.Float64).to_numpy()
    prices = [frame[name].to_numpy() for name in ("Open", "High", "Low", "Close")]
    return chart(frame["Date"].dt.epoch("ms").to_numpy() - 7_200_000, prices, ticks)


def random_year() -> ChartWindow:
    """A seeded random walk of 52 weeks of five days."""
    random = np.random.default_rng(7)
    days = np.arange(364)
    minutes = np.arange(288, dtype=np.int64) * LENGTH_MS["M5"]
    open_ms = (1_672_617_600_000 + days[days % 7 < 5][:, None] * DAY_MS + minutes).ravel()
    close = 1.1 * np.exp(np.cumsum(random.normal(0.0, 2e-4, len(open_ms))))
    opened = np.r_[close[:1], close[:-1]]
    reach = random.exponential(1e-4, len(close))
    prices = [opened, np.maximum(opened, close) + reach, np.minimum(opened, close) - reach, close]
    return chart(open_ms, prices, random.integers(1, 300, len(close)).astype(np.float64))


def chart(open_ms: np.ndarray, prices: list[np.ndarray], ticks: np.ndarray) -> ChartWindow:
    spread = 8.0 + ticks % 7.0
    return ChartWindow(
        "M5", open_ms, open_ms + LENGTH_MS["M5"], *prices, prices[3] + spread * 1e-5, ticks, spread, spread + 2.0
    )


def aggregate(base: ChartWindow, timeframe: str) -> ChartWindow:
    starts = base.open_ms // LENGTH_MS[timeframe] * LENGTH_MS[timeframe]
    first = np.flatnonzero(np.r_[True, starts[1:] != starts[:-1]])
    last = np.r_[first[1:], len(base)] - 1
    return ChartWindow(
        timeframe,
        starts[first],
        starts[first] + LENGTH_MS[timeframe],
        base.open[first],
        np.maximum.reduceat(base.high, first),
        np.minimum.reduceat(base.low, first),
        base.close[last],
        base.ask_close[last],
        np.add.reduceat(base.tick_count, first),
        base.spread_mean_points[last],
        np.maximum.reduceat(base.spread_max_points, first),
    )


def talib_calls(window: ChartWindow, is_base: bool) -> None:
    """The TA-Lib calls behind the features of one timeframe."""
    high, low, close, ticks = window.high, window.low, window.close, window.tick_count
    talib.ATR(high, low, close, 14), talib.ATR(high, low, close, 100)
    talib.EMA(close, 20), talib.EMA(close, 50), talib.EMA(close, 200)
    talib.ADX(high, low, close, 14), talib.PLUS_DI(high, low, close, 14), talib.MINUS_DI(high, low, close, 14)
    talib.LINEARREG_SLOPE(close, 20), talib.AROONOSC(high, low, 25), talib.RSI(close, 14)
    talib.STOCH(high, low, close, 14, 3, 0, 3, 0), talib.MACD(close, 12, 26, 9), talib.SUM(close, 10)
    talib.STDDEV(close, 20), talib.SMA(close, 20), talib.MAX(high, 20), talib.MIN(low, 20)
    talib.SMA(ticks, 20), talib.MFI(high, low, close, ticks, 14)
    if is_base:
        talib.CORREL(close, ticks, 20), talib.CORREL(close, ticks, 20), talib.CORREL(close, ticks, 20)
        talib.SAR(high, low), talib.RSI(close, 5), talib.CCI(high, low, close, 20), talib.ULTOSC(high, low, close)
        talib.STDDEV(close, 10), talib.STDDEV(close, 50), talib.MIN(low, 100), talib.MAX(high, 100)
        talib.CDLENGULFING(window.open, high, low, close), talib.CDLHAMMER(window.open, high, low, close)
        talib.CDLSHOOTINGSTAR(window.open, high, low, close), talib.SMA(ticks, 5), talib.SMA(ticks, 50)
        talib.SMA(window.spread_mean_points, 50), talib.SMA(ticks, 14)


def best(measure: Callable[[], object], repeats: int) -> float:
    """Shortest of `repeats` runs, in seconds: the machine's other work only ever adds."""
    shortest = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        measure()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest


def seen_at(charts: Mapping[str, ChartWindow], position: int) -> dict[str, ChartWindow]:
    base = charts["M5"]
    start = int(base.open_ms[position]) // DAY_MS * DAY_MS
    return {name: anchored(one, start, int(base.close_ms[position])) for name, one in charts.items()}


def year(charts: dict[str, ChartWindow], days: list[int]) -> list[tuple[str, str, str]]:
    windows = [day_windows(charts, day * DAY_MS) for day in days]

    def all_days() -> int:
        return sum(len(INTRADAY.day(one).opened_from(day * DAY_MS)) for one, day in zip(windows, days, strict=True))

    def floor() -> None:
        for one in windows:
            for timeframe, window in one.items():
                talib_calls(window, timeframe == "M5")

    rows = all_days()
    batch, bare = best(all_days, 2), best(floor, 2)
    sample = np.linspace(len(charts["M5"]) // 2, len(charts["M5"]) - 1, 40).astype(int)
    naive = best(lambda: [INTRADAY.day(seen_at(charts, int(one))) for one in sample], 2) / len(sample) * rows
    return [
        (f"{len(days)} days of M5, {rows} rows x {len(INTRADAY.names)} features", f"{batch:.2f} s", ""),
        ("  floor: bare TA-Lib calls", f"{bare:.2f} s", f"{batch / bare:.1f} x the floor"),
        ("  peer: every row anew (extrapolated)", f"{naive:.0f} s", f"{naive / batch:.0f} x faster"),
    ]


def live(charts: dict[str, ChartWindow]) -> list[tuple[str, str, str]]:
    base = charts["M5"]
    normaliser = fit(INTRADAY.day(seen_at(charts, len(base) - 1)).matrix, INTRADAY.names)
    live, hasher = LiveFeatures(INTRADAY), WindowHasher()
    row_us, floor_us, around_us, positions = [], [], [], range(len(base) - 1_000, len(base))
    for position in positions:
        windows = seen_at(charts, position)
        start = time.perf_counter()
        row = live.row(windows)
        row_us.append((time.perf_counter() - start) * 1e6)
        floor_us.append(best(lambda seen=windows: talib_calls(seen["M5"], True), 1) * 1e6)  # type: ignore[misc]
        start = time.perf_counter()
        live.feature_window(normaliser)
        classify(INTRADAY, row)
        hasher.sha256(windows["M5"])
        around_us.append((time.perf_counter() - start) * 1e6)
    whole_us = best(lambda: INTRADAY.day(seen_at(charts, len(base) - 1)), 20) * 1e6
    median, floor = float(np.median(row_us)), float(np.median(floor_us))
    return [
        ("live row, median", f"{median:.0f} µs", f"p99 {np.percentile(row_us, 99):.0f} µs"),
        ("  floor: bare TA-Lib calls, M5 alone", f"{floor:.0f} µs", f"{median / floor:.1f} x the floor"),
        ("  peer: the whole day again", f"{whole_us:.0f} µs", f"{whole_us / median:.1f} x faster"),
        ("  feature window, regime, window hash", f"{np.median(around_us):.0f} µs", ""),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--market", type=Path, default=REAL_YEAR)
    parser.add_argument("--days", type=int, default=0, help="only the last N days (0: all)")
    arguments = parser.parse_args()
    is_real = arguments.market.is_file()
    base = read_year(arguments.market) if is_real else random_year()
    charts = {name: base if name == "M5" else aggregate(base, name) for name in INTRADAY.timeframes}
    days = sorted(set((base.open_ms // DAY_MS).tolist()))[-arguments.days :]
    print(f"features of {arguments.market.name if is_real else 'a seeded random year'}")
    for what, value, ratio in year(charts, days) + live(charts):
        print(f"{what:<52} {value:>10}   {ratio}")


if __name__ == "__main__":
    main()
