"""QuantConnect LEAN: zips of CSV without a header. Times are UTC by the format's definition.

- Ticks: milliseconds since midnight of the file's date, bid, ask.
- Second and minute bars: milliseconds since midnight, bid O H L C and size, ask O H L C and size.
- Hour and daily bars: `20070101 21:00`, then as above.

The date of ticks and minutes is in the file's name, `20140501_quote.zip`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from trading_assets.core.market.timeframes import to_ms
from trading_assets.store.market_formats.content import Parsed, read_rows, require_times, times, unusable

_TICK = re.compile(r"\d+(,[^,]*){2}")
_MINUTE = re.compile(r"\d+(,[^,]*){10}")
_HOUR = re.compile(r"\d{8} \d\d:\d\d(,[^,]*){10}")
_DATE = re.compile(r"(?<!\d)(\d{8})(?!\d)")

_BID = ("open", "high", "low", "close")
_ASK = tuple(f"ask_{side}" for side in _BID)
_BARS = (*_BID, "bid_size", *_ASK, "ask_size")


def is_lean(first_line: str) -> bool:
    """Say whether a table starts as LEAN's do."""
    return any(pattern.fullmatch(first_line) for pattern in (_TICK, _MINUTE, _HOUR))


def read_lean(path: Path, content: bytes, first_line: str) -> Parsed:
    """Read ticks or bars. Raises InputError."""
    if _HOUR.fullmatch(first_line):
        rows = read_rows(path, content, {"time": pl.String, **dict.fromkeys(_BARS, pl.Float64)}, has_header=False)
        return Parsed(
            path, "LEAN bars", "bars", rows.select(times(path, rows["time"], "%Y%m%d %H:%M"), *_BID, *_ASK), "utc"
        )
    is_tick = _TICK.fullmatch(first_line) is not None
    prices = ("bid", "ask") if is_tick else _BARS
    rows = read_rows(path, content, {"time": pl.String, **dict.fromkeys(prices, pl.Float64)}, has_header=False)
    since_midnight = rows["time"].str.strip_chars().cast(pl.Int64, strict=False)
    require_times(path, since_midnight, rows["time"])
    server_msc = (since_midnight + _midnight(path)).alias("server_msc")
    if is_tick:
        return Parsed(path, "LEAN ticks", "ticks", rows.select(server_msc, "bid", "ask"), "utc")
    return Parsed(path, "LEAN bars", "bars", rows.select(server_msc, *_BID, *_ASK), "utc")


def _midnight(path: Path) -> int:
    match = _DATE.search(path.name)
    try:
        day = datetime.strptime(match[1] if match else "", "%Y%m%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise unusable(
            path,
            "its times count from a midnight that its name does not give",
            "name it after its date, as 20140501_quote.zip",
        ) from error
    return to_ms(day)
