"""MetaTrader's bar exports. Times are the broker's server time; prices are bids.

- MT5: header `<DATE> <TIME> <OPEN> <HIGH> <LOW> <CLOSE> <TICKVOL> <VOL> <SPREAD>`, separated by tabs (or commas).
- MT4 history centre: `2022.08.15,10:06,O,H,L,C,volume`, no header.
- Python exports: header `Date,Open,High,Low,Close,Adj Close` (the last holds the tick volume) or
  `Date,open,high,low,close,tick_volume`. Prices that are all whole numbers are points.
"""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from trading_assets.store.market_formats.content import Parsed, read_rows, times, unusable

_MT4 = re.compile(r"\d{4}\.\d\d\.\d\d,\d\d:\d\d(,[^,]*){5}")
_SIDES = ("open", "high", "low", "close")
# Doubles written as 103428.00000000001 are whole.
_WHOLE = 1e-6


def is_metatrader(first_line: str) -> bool:
    """Say whether a table starts as one of MetaTrader's exports."""
    return first_line.startswith("<DATE>") or bool(_MT4.fullmatch(first_line)) or _is_python_export(first_line)


def read_metatrader(path: Path, content: bytes, first_line: str) -> Parsed:
    """Read bars. Raises InputError."""
    if first_line.startswith("<DATE>"):
        return _read_mt5(path, content, first_line)
    if _is_python_export(first_line):
        return _read_python_export(path, content)
    columns = {"date": pl.String, "time": pl.String, **dict.fromkeys(_SIDES, pl.Float64), "volume": pl.String}
    rows = read_rows(path, content, columns, has_header=False)
    return Parsed(
        path, "MT4 bars", "bars", rows.select(times(path, rows["date"] + " " + rows["time"], "%Y.%m.%d %H:%M"), *_SIDES)
    )


def _is_python_export(first_line: str) -> bool:
    return first_line.lower().startswith("date,open,high,low,close")


def _read_mt5(path: Path, content: bytes, first_line: str) -> Parsed:
    separator = "\t" if "\t" in first_line else ","
    names = [name.strip().strip("<>").lower() for name in first_line.split(separator)]
    missing = [name for name in _SIDES if name not in names]
    if missing:
        raise unusable(
            path, f"the export has no column {', '.join(missing)}", "export bars, not ticks, from MetaTrader 5"
        )
    columns = {name: pl.Float64 if name in (*_SIDES, "spread") else pl.String for name in names}
    rows = read_rows(path, content, columns, separator=separator, has_header=True)
    # Daily exports have no time; hours and minutes alone are as good as with seconds.
    time = (
        rows["time"].str.strip_chars().str.slice(0, 5)
        if "time" in names
        else pl.Series(["00:00"]).new_from_index(0, rows.height)
    )
    server_msc = times(path, rows["date"] + " " + time, "%Y.%m.%d %H:%M")
    spread = [pl.col("spread").alias("spread_points")] if "spread" in names else []
    return Parsed(path, "MT5 bars", "bars", rows.select(server_msc, *_SIDES, *spread))


def _read_python_export(path: Path, content: bytes) -> Parsed:
    rows = read_rows(
        path, content, {"date": pl.String, **dict.fromkeys(_SIDES, pl.Float64), "volume": pl.String}, has_header=True
    )
    bars = rows.select(times(path, rows["date"], "%Y-%m-%d %H:%M:%S"), *_SIDES)
    prices = bars.select(_SIDES).drop_nulls()
    off_grid = prices.select(pl.max_horizontal((pl.all() - pl.all().round()).abs()).max()).item()
    return Parsed(path, "MetaTrader bars", "bars", bars, in_points=off_grid is not None and off_grid <= _WHOLE)
