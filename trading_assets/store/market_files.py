"""Market history files: one file or folder of any known format becomes the quotes of one symbol, in server time.

Here the format, the symbol, the clock rule and the digits are found and the refusals worded; the formats are
`store.market_formats`, how bars become quotes is `core.market.playback`. Nothing is cleaned: quotes stay in the order
of the files with their faults, which the daemon's validation finds (`core.market.quotes`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from trading_assets.core.market.clock import ClockRule
from trading_assets.core.market.clock_fit import check_fit, fitting_rules
from trading_assets.core.market.playback import MODEL_SPREAD_FLOOR_POINTS, model_spread_points, quotes_of_bars
from trading_assets.core.market.symbols import canonical, infer_digits, pip_digits, point_of, usual_digits
from trading_assets.core.market.timeframes import duration_ms, from_ms, named, to_ms
from trading_assets.store.market_formats.content import Parsed, as_text, first_line, unpack, unusable
from trading_assets.store.market_formats.dukascopy import read_dukascopy, select
from trading_assets.store.market_formats.lean import is_lean, read_lean
from trading_assets.store.market_formats.metatrader import is_metatrader, read_metatrader

SUFFIXES = (".zip", ".csv", ".gz", ".bi5")
"""Endings of the files that are read from a folder."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._#-]{1,31}")
_LAST_MS = to_ms(datetime(2100, 1, 1, tzinfo=UTC))
# A symbol is looked for in a file's name and in this many folders above it (symbol/year/month/day).
_SYMBOL_DEPTH = 4


@dataclass(frozen=True)
class MarketData:
    """Quotes of one symbol, in the order of the files, with their faults.

    `quotes` has server_msc (int64, server time in ms), bid and ask (float64, NaN where missing).
    """

    symbol: str
    clock: ClockRule
    digits: int
    """Digits prices are written with: `core.market.symbols.infer_digits`, or what a format of whole points prescribes."""
    point: float
    kind: Literal["ticks", "bars"]
    quotes: pl.DataFrame
    timeframe: str | None
    """Length of the bars; None for ticks."""
    description: str
    """One sentence on what was read, and on what had to be assumed."""


def read_market(
    path: Path, *, symbol: str | None = None, clock: str | None = None, spread_points: int | None = None
) -> MarketData:
    """Read a file or folder.

    `symbol` picks one of a folder's, or names what the file's name does not. `clock` is the rule of the server's time;
    without it, formats defined in UTC are UTC and others get the one rule that fits their weekends. `spread_points` is
    the spread model's constant. Raises InputError with one sentence for whatever cannot be used.
    """
    rule = None if clock is None else ClockRule.parse(clock)
    if spread_points is not None and spread_points < MODEL_SPREAD_FLOOR_POINTS:
        raise unusable(
            path,
            f"a spread of {spread_points} points would make trading free",
            f"state at least {MODEL_SPREAD_FLOOR_POINTS}",
        )
    name, files = _files_of_symbol(path, symbol)
    parsed = _parse(path, name, files)
    rows = pl.concat([part.rows for part in parsed])
    _check_times(path, rows)
    assumed, rule = _rule(path, rows["server_msc"].to_numpy(), rule, parsed[0].clock)
    digits, rows = _digits(path, name, rows, in_points=parsed[0].in_points)
    timeframe = None if parsed[0].kind == "ticks" else _timeframe(path, rows["server_msc"].to_numpy())
    spread = "" if timeframe is None else _spread_text(rows, spread_points or model_spread_points(name, digits))
    if timeframe is not None:
        rows = quotes_of_bars(rows, duration_ms(timeframe), digits, spread_points or model_spread_points(name, digits))
    return MarketData(
        symbol=name,
        clock=rule,
        digits=digits,
        point=point_of(digits),
        kind=parsed[0].kind,
        quotes=rows.select("server_msc", pl.col("bid", "ask").fill_null(float("nan"))),
        timeframe=timeframe,
        description=_describe(parsed, name, timeframe, rows, f"{rule.name}{assumed}", spread),
    )


def _files_of_symbol(path: Path, symbol: str | None) -> tuple[str, list[Path]]:
    """Return the symbol and its files."""
    files = _files(path)
    wanted = None if symbol is None else canonical(symbol) or symbol
    by_name: dict[str | None, list[Path]] = {}
    for file in files:
        by_name.setdefault(_symbol_of(file), []).append(file)
    held = sorted(name for name in by_name if name)
    if wanted is None:
        if len(held) > 1:
            raise unusable(path, f"it holds {', '.join(held)}", "pick one with --symbol")
        if not held:
            raise unusable(path, "neither its name nor its folder says which symbol it is of", "name it with --symbol")
        return held[0], by_name[held[0]]
    if wanted in by_name:
        return wanted, by_name[wanted]
    if held:
        raise unusable(path, f"it holds {', '.join(held)}, not {symbol}", f"pass --symbol {held[0]} or another path")
    if not _NAME.fullmatch(wanted):
        raise unusable(path, f"{symbol!r} cannot be a symbol", "name it as the broker does, such as EURUSD")
    return wanted, files


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise unusable(path, "there is no such file or folder", "pass a path that exists")
    if not path.is_dir():
        return [path]
    try:
        files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
    except OSError as error:
        raise unusable(path, error.strerror or str(error), "pass a folder that can be read") from error
    if not files:
        raise unusable(path, f"the folder holds no market files ({', '.join(SUFFIXES)})", "pass a folder that does")
    return files


def _symbol_of(file: Path) -> str | None:
    names = [file.name, *reversed(file.resolve().parent.parts[-_SYMBOL_DEPTH:])]
    return next((pair for name in names if (pair := canonical(name))), None)


def _parse(path: Path, symbol: str, files: Sequence[Path]) -> list[Parsed]:
    """Read all files, in the order of their first row. All must be of one format."""
    binary = [file for file in files if file.suffix == ".bi5"]
    if binary and len(binary) == len(files):
        parsed = [read_dukascopy(file, symbol) for file in select(path, binary)]
    else:
        parsed = [_parse_text(file) for file in files]
    if not parsed:
        raise unusable(path, "all its files are empty", "fetch them again")
    formats = Counter((part.format, part.in_points, tuple(part.rows.columns)) for part in parsed)
    if len(formats) > 1:
        names = ", ".join(sorted({name for name, *_ in formats}))
        raise unusable(path, f"it mixes files that do not belong together ({names})", "pass one folder for each")
    parsed.sort(key=lambda part: int(part.rows["server_msc"][0]))
    for earlier, later in pairwise(parsed):
        if later.rows["server_msc"][0] < earlier.rows["server_msc"][-1]:
            raise unusable(
                path,
                f"{_within(path, later.path)} starts before {_within(path, earlier.path)} ends",
                "pass files that do not overlap",
            )
    return parsed


def _within(path: Path, file: Path) -> str:
    return file.relative_to(path).as_posix() if path.is_dir() else file.name


def _parse_text(file: Path) -> Parsed:
    content = as_text(file, unpack(file))
    line = first_line(content)
    if is_lean(line):
        return read_lean(file, content, line)
    if is_metatrader(line):
        return read_metatrader(file, content, line)
    raise unusable(
        file,
        f"its format is unknown; it starts with {line[:60]!r}",
        "pass LEAN, MetaTrader or Dukascopy history as the documentation lists",
    )


def _check_times(path: Path, rows: pl.DataFrame) -> None:
    lowest, highest = rows["server_msc"].min(), rows["server_msc"].max()
    if not (isinstance(lowest, int) and isinstance(highest, int) and lowest >= 0 and highest < _LAST_MS):
        raise unusable(path, "it has times outside 1970 to 2099", "fetch the file again")


def _rule(path: Path, server_msc: np.ndarray, rule: ClockRule | None, prescribed: str | None) -> tuple[str, ClockRule]:
    """Return the clock rule and how it was found. Raises InputError when it does not fit or is ambiguous."""
    if rule is None and prescribed is not None:
        rule, source = ClockRule.parse(prescribed), " (by its format)"
    elif rule is not None:
        source = ""
    else:
        rule, source = _fitting_rule(path, server_msc), " (it fits the weekends)"
    check_fit(rule.to_utc_ms(server_msc), rule, f"market data {path}")
    return source, rule


def _fitting_rule(path: Path, server_msc: np.ndarray) -> ClockRule:
    rules = [ClockRule.parse(name) for name in fitting_rules(server_msc)]
    if not rules:
        raise unusable(
            path, "its weekends fit none of the clock rules utc, eu and us", "pass the server's rule with --clock"
        )
    times = rules[0].to_utc_ms(server_msc)
    # Rules that say the same about every row are no alternatives.
    if any(not np.array_equal(times, other.to_utc_ms(server_msc)) for other in rules[1:]):
        names = ", ".join(rule.name for rule in rules)
        raise unusable(
            path, f"the server's clock cannot be told from its weekends: {names} fit", "pass the rule with --clock"
        )
    return rules[0]


def _digits(path: Path, symbol: str, rows: pl.DataFrame, *, in_points: bool) -> tuple[int, pl.DataFrame]:
    """Return the digits, and the rows with prices instead of points."""
    columns = [name for name in rows.columns if name not in ("server_msc", "spread_points")]
    if not in_points:
        prices = rows.select(columns).to_numpy().ravel()
        return infer_digits(symbol, prices), rows
    if not pip_digits(symbol):
        raise unusable(
            path, f"its prices are points, whose size is unknown for {symbol}", "pass the pair with --symbol"
        )
    digits = usual_digits(symbol)
    return digits, rows.with_columns(pl.col(columns).round() / 10**digits)


def _timeframe(path: Path, server_msc: np.ndarray) -> str:
    """Return the bars' length: the most frequent time between two of them."""
    steps = np.diff(server_msc)
    lengths, counts = np.unique(steps[steps > 0], return_counts=True)
    if not lengths.size:
        raise unusable(path, "one bar alone does not say how long it is", "pass a file with more bars")
    length_ms = int(lengths[np.argmax(counts)])
    timeframe = named(length_ms)
    if timeframe is None:
        raise unusable(
            path, f"its bars are {length_ms / 60_000:g} minutes apart", "use M1, M5, M15, M30, H1, H4 or D1 bars"
        )
    return timeframe


def _spread_text(bars: pl.DataFrame, model_points: int) -> str:
    if "ask_open" in bars.columns:
        return "with their own ask"
    if "spread_points" not in bars.columns:
        return f"with no spread: {model_points} points assumed"
    without = bars.select(((pl.col("spread_points") <= 0) | pl.col("spread_points").is_null()).mean()).item()
    return f"with their spread, {model_points} points assumed where it is zero ({without:.0%} of bars)"


def _describe(
    parsed: Sequence[Parsed], symbol: str, timeframe: str | None, quotes: pl.DataFrame, clock: str, spread: str
) -> str:
    first, last = (from_ms(int(quotes["server_msc"][end])).strftime("%Y-%m-%d %H:%M") for end in (0, -1))
    what = f"{parsed[0].format} of {symbol}" + (f" {timeframe}, {spread}" if timeframe else "")
    files = f"{len(parsed)} file{'s' if len(parsed) > 1 else ''}"
    return f"{what}: {quotes.height} quotes from {files}, {first} to {last} server time, clock {clock}"
