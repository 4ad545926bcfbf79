"""Market: taking a quote in, and reading history, each beside its floor.

    python tests/bench/bench_market.py [--data FOLDER]

Floors: for a quote, a bare Python call with the same arguments; for reading, decompressing and splitting the same
files with polars alone. Files are skipped where the folder of real data is not there.
"""

from __future__ import annotations

import argparse
import gzip
import io
import time
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from trading_assets.core.market.bars import BarBuilder, bars_from_quotes
from trading_assets.core.market.clock import ClockRule
from trading_assets.core.market.quotes import QuoteValidator, refusals
from trading_assets.store.market_files import read_market

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
POINT = 0.00001
COUNT = 200_000

Quotes = list[tuple[datetime, float, float]]


def seeded_quotes() -> Quotes:
    """A seeded walk of quotes 200 ms apart."""
    random = np.random.default_rng(7)
    bid = np.round(1.1 + np.cumsum(random.integers(-3, 4, COUNT)) * POINT, 5)
    ask = np.round(bid + random.integers(0, 20, COUNT) * POINT, 5)
    start = datetime(2024, 1, 2, tzinfo=UTC)
    at = [start + timedelta(milliseconds=200 * index) for index in range(COUNT)]
    return list(zip(at, bid.tolist(), ask.tolist(), strict=True))


def seconds(action: Callable[[], object]) -> float:
    """Return the best of three runs."""
    best = float("inf")
    for _ in range(3):
        begun = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - begun)
    return best


def each(call: Callable[..., object], quotes: Sequence[tuple[object, float, float]]) -> Callable[[], None]:
    def run() -> None:
        for at, bid, ask in quotes:
            call(at, bid, ask)

    return run


def validating(quotes: Quotes) -> None:
    """Judge all quotes with a new validator."""
    refusal = QuoteValidator(["S"]).refusal
    for at, bid, ask in quotes:
        refusal("S", at, bid, ask)


def building(quotes: Quotes) -> None:
    """Build M1 bars of all quotes with a new builder."""
    each(BarBuilder("S", "M1", POINT).add, quotes)()


def print_row(name: str, value: float, floor: float, unit: str) -> None:
    print(f"{name:<46}{value:>10.2f} {unit:<9}floor {floor:>8.2f} {unit:<9}ratio {value / floor:>6.1f}")


def print_quotes(quotes: Quotes) -> None:
    """Time of one quote through each step of the daemon's hot path."""
    micro = 1e6 / len(quotes)
    floor = seconds(each(lambda _at, _bid, _ask: None, quotes)) * micro
    rule = ClockRule.parse("us")
    server = [(rule.to_server(at), bid, ask) for at, bid, ask in quotes]
    converted = seconds(each(lambda at, _bid, _ask: rule.to_utc(at), server))
    print_row("server time to UTC (us rule)", converted * micro, floor, "µs/quote")
    print_row("validate", seconds(lambda: validating(quotes)) * micro, floor, "µs/quote")
    print_row("add to an M1 bar", seconds(lambda: building(quotes)) * micro, floor, "µs/quote")
    frame = pl.DataFrame([("S", *quote) for quote in quotes], schema=["symbol", "event_at", "bid", "ask"], orient="row")
    print_row("validate a frame", seconds(lambda: refusals(frame, ["S"])) * micro, floor, "µs/quote")
    print_row("M1 bars of a frame", seconds(lambda: bars_from_quotes(frame, "M1", POINT)) * micro, floor, "µs/quote")


def split(files: list[Path]) -> None:
    """Decompress and split files without giving their columns a meaning."""
    for file in files:
        raw = file.read_bytes()
        if file.suffix == ".zip":
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                text = archive.read(archive.namelist()[0])
        else:
            text = gzip.decompress(raw)
        separator = "\t" if b"\t" in text[:100] else ","
        pl.read_csv(text, separator=separator, has_header=text[:1].isalpha() or text[:1] == b"<")


def print_files(data: Path) -> None:
    """Time of reading each real data set."""
    for name in ("ticks/oanda", "m1/oanda", "m1/mt5", "m1/mt4", "m5/mt5", "h1/oanda"):
        files = [file for file in sorted((data / name).rglob("*")) if file.is_file()]
        if files:
            quotes = read_market(data / name).quotes.height
            value, floor = seconds(partial(read_market, data / name)), seconds(partial(split, files))
            print_row(f"read {name} ({quotes:,} quotes)", value * 1000, floor * 1000, "ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    data = parser.parse_args().data
    print_quotes(seeded_quotes())
    print_files(data)


if __name__ == "__main__":
    main()
