"""Dukascopy's binary history (`.bi5`: LZMA, big-endian records). Times are UTC, prices whole points.

- Ticks of an hour, `EURUSD/2019/01/04/10h_ticks.bi5`: milliseconds, ask, bid, ask and bid volume (20 bytes).
- Candles, `BID_candles_min_1.bi5` and `ASK_...` of a day, `_hour_1` of a month, `_day_1` of a year: seconds, open,
  close, low, high, volume (24 bytes). Minutes without a tick are filled with candles of volume 0: those are left out.

The month in the path counts from 00 for January, as at the source. A folder is read in its finest form: ticks where
it has any, else minutes, hours or days.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from trading_assets.core.market.symbols import canonical, usual_digits
from trading_assets.core.market.timeframes import to_ms
from trading_assets.store.market_formats.content import Parsed, unpack, unusable

_TICK = np.dtype([("time", ">u4"), ("ask", ">u4"), ("bid", ">u4"), ("ask_volume", ">f4"), ("bid_volume", ">f4")])
_CANDLE = np.dtype(
    [("time", ">u4"), ("open", ">u4"), ("close", ">u4"), ("low", ">u4"), ("high", ">u4"), ("volume", ">f4")]
)
_TICK_NAME = re.compile(r"([01]\d|2[0-3])h_ticks\.bi5")
_CANDLE_NAME = re.compile(r"(BID|ASK)_candles_(min|hour|day)_1\.bi5")
_SIDES = ("open", "high", "low", "close")
# Number of date folders above a file: year, month, day.
_DEPTH = {"ticks": 3, "min": 3, "hour": 2, "day": 1}


def select(path: Path, files: Sequence[Path]) -> list[Path]:
    """Return the files of the finest form, for candles those of the bid. Raises InputError for foreign names.

    `path` is what the user named: a file or the folder of the files.
    """
    forms: dict[str, list[Path]] = {form: [] for form in _DEPTH}
    for file in files:
        forms[_form(file)].append(file)
    chosen = next(members for members in forms.values() if members)
    bids = sorted({_side(file, "BID") for file in chosen} if _form(chosen[0]) != "ticks" else chosen)
    missing = [file for file in bids if not file.exists()]
    if missing:
        raise unusable(path, f"there are ask candles without {missing[0].name}", "put the bid candles beside them")
    # Hours without a tick are files without a byte.
    return bids if path.is_file() else [file for file in bids if file.stat().st_size]


def read_dukascopy(path: Path, symbol: str) -> Parsed:
    """Read a file of ticks, or of bid candles with the ask candles beside it. Raises InputError."""
    if canonical(symbol) is None:
        raise unusable(
            path, f"{symbol} is no known pair, so the size of its points is unknown", "pass the pair as --symbol"
        )
    scale = 10.0 ** usual_digits(symbol)
    if _form(path) == "ticks":
        ticks = _records(path, _TICK)
        rows = pl.DataFrame(
            {"server_msc": _start(path) + ticks["time"], "bid": ticks["bid"] / scale, "ask": ticks["ask"] / scale}
        )
        return Parsed(path, "Dukascopy ticks", "ticks", rows, "utc")
    bars = _candles(path, scale, "")
    ask_path = _side(path, "ASK")
    if ask_path.exists():
        bars = bars.join(_candles(ask_path, scale, "ask_"), on="server_msc", how="left", maintain_order="left")
    return Parsed(path, "Dukascopy candles", "bars", bars, "utc")


def _form(path: Path) -> str:
    if _TICK_NAME.fullmatch(path.name):
        return "ticks"
    if match := _CANDLE_NAME.fullmatch(path.name):
        return match[2]
    raise unusable(path, "its name is none of Dukascopy's", "name it as 10h_ticks.bi5 or BID_candles_min_1.bi5")


def _side(path: Path, side: str) -> Path:
    return path.with_name(side + path.name[3:])


def _records(path: Path, dtype: np.dtype[np.void]) -> np.ndarray:
    content = unpack(path)
    if not content or len(content) % dtype.itemsize:
        raise unusable(path, f"{len(content)} bytes are no whole number of records", "fetch the file again")
    return np.frombuffer(content, dtype)


def _candles(path: Path, scale: float, prefix: str) -> pl.DataFrame:
    candles = _records(path, _CANDLE)
    candles = candles[candles["volume"] > 0]
    if not candles.size:
        raise unusable(path, "it has no candle with a trade", "leave the file out")
    times = {"server_msc": _start(path) + candles["time"].astype(np.int64) * 1000}
    return pl.DataFrame(times | {prefix + side: candles[side] / scale for side in _SIDES})


def _start(path: Path) -> np.int64:
    """Return the instant the file's times count from, from the folders above it."""
    form = _form(path)
    folders = path.resolve().parts[-1 - _DEPTH[form] : -1]
    try:
        year, month, day = (int(part) for part in (*folders, "00", "01")[:3]) if form == "day" else _date(folders)
        hour = int(path.name[:2]) if form == "ticks" else 0
        return np.int64(to_ms(datetime(year, month + 1, day, hour, tzinfo=UTC)))
    except ValueError as error:
        raise unusable(
            path,
            f"its folders {'/'.join(folders)} are no date (months count from 00)",
            "keep it as YEAR/MONTH/DAY, as at the source",
        ) from error


def _date(folders: tuple[str, ...]) -> tuple[int, int, int]:
    year, month, day = (*folders, "01")[:3]
    return int(year), int(month), int(day)
