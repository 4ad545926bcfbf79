"""The quotes a terminal plays: one or more symbols merged by time, as arrays, in UTC and in server time.

Quotes come from history files (`store.market_files`) or from the synthetic market; faults of a file are kept and
played, and marked so that the broker does not trade at them. Cutting the feed into steps and sending it is `play`'s
business, answering history from it `history`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from live.paper import synthetic
from trading_assets.core.errors import InputError
from trading_assets.core.market.clock import ClockRule
from trading_assets.core.market.quotes import refusals
from trading_assets.core.market.timeframes import to_ms
from trading_assets.store.market_files import read_market

_HOUR_MS = 3_600_000
SESSION_GAP_MS = 4 * _HOUR_MS
"""A longer pause between two quotes of a symbol means that its session had ended."""
_FINGERPRINT_QUOTES = 1000


@dataclass(frozen=True)
class Instrument:
    """One symbol of the feed."""

    symbol: str
    digits: int


@dataclass(frozen=True)
class Feed:
    """Quotes in the order they are played; all arrays have the same length."""

    instruments: tuple[Instrument, ...]
    clock: ClockRule
    at_ms: NDArray[np.int64]
    """UTC, never going back: a quote whose own time does is placed where it stands in the file."""
    server_msc: NDArray[np.int64]
    """Server time as the quote itself says it."""
    instrument: NDArray[np.int8]
    bid: NDArray[np.float64]
    ask: NDArray[np.float64]
    is_tradable: NDArray[np.bool_]
    """False for quotes no broker would trade at: crossed, non-finite, not positive, or with a time going back."""
    ends_session: NDArray[np.bool_]
    """Whether the symbol's next quote is so far away that its session ends with this one."""
    description: str

    def __len__(self) -> int:
        return len(self.at_ms)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols in the order of `instrument`."""
        return tuple(instrument.symbol for instrument in self.instruments)

    def fingerprint(self) -> str:
        """Return a hash that a longer feed of the same market shares."""
        digest = sha256(f"{self.instruments}{self.clock.name}".encode())
        for column in (self.server_msc, self.instrument, self.bid, self.ask):
            digest.update(np.ascontiguousarray(column[:_FINGERPRINT_QUOTES]).tobytes())
        return digest.hexdigest()

    def index_at(self, at: datetime) -> int:
        """Return the index of the first quote at or after `at`."""
        return int(np.searchsorted(self.at_ms, to_ms(at)))

    def shifted(self, weeks: int) -> Feed:
        """Return the same quotes `weeks` weeks later, so that weekdays and hours stay."""
        at_ms = self.at_ms + weeks * 7 * 24 * _HOUR_MS
        # A quote's own server time may differ from that of its place: what is wrong in a file stays wrong.
        moved = self.clock.to_server_ms(at_ms) - self.clock.to_server_ms(self.at_ms)
        return replace(self, at_ms=at_ms, server_msc=self.server_msc + moved)


def from_synthetic(seed: int, symbols: Sequence[str], start: date, days: int, edge: float, clock: str) -> Feed:
    """Make the feed of a synthetic market; `clock` is the rule of its server's time."""
    rule = ClockRule.parse(clock)
    parts = []
    for symbol in symbols:
        pair, path = synthetic.pair_of(symbol), synthetic.market_path(seed, symbol, start, days, edge)
        bid, ask = (np.round(points * pair.point, pair.digits) for points in (path.bid_points, path.ask_points))
        parts.append((Instrument(symbol, pair.digits), path.at_ms, rule.to_server_ms(path.at_ms), bid, ask))
    return _merge(parts, rule, f"synthetic market, seed {seed}, edge {edge}, {days} days from {start}")


def from_files(paths: Sequence[Path], symbols: Sequence[str], clock: str | None, spread_points: int | None) -> Feed:
    """Read the feed of one or more market files or folders; `symbols` names them in the same order, or is empty."""
    if symbols and len(symbols) != len(paths):
        raise InputError(
            "reading markets",
            ", ".join(map(str, paths)),
            f"{len(symbols)} symbols name {len(paths)} of them",
            "pass --symbol once for each --market",
        )
    names: Sequence[str | None] = symbols or [None] * len(paths)
    markets = [
        read_market(path, symbol=name, clock=clock, spread_points=spread_points)
        for path, name in zip(paths, names, strict=True)
    ]
    rules = {market.clock.name for market in markets}
    if len(rules) > 1:
        raise InputError(
            "reading markets",
            ", ".join(map(str, paths)),
            f"their clocks differ ({', '.join(sorted(rules))})",
            "play files of one server",
        )
    parts = []
    for market in markets:
        columns = [market.quotes[name].to_numpy() for name in ("server_msc", "bid", "ask")]
        at_ms = market.clock.to_utc_ms(columns[0])
        parts.append((Instrument(market.symbol, market.digits), at_ms, columns[0], columns[1], columns[2]))
    return _merge(parts, markets[0].clock, "; ".join(market.description for market in markets))


_Part = tuple[Instrument, NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]


def _merge(parts: Sequence[_Part], clock: ClockRule, description: str) -> Feed:
    """Merge symbols by time; within one symbol the order of the source stays, also where its times go back."""
    names = [instrument.symbol for instrument, *_ in parts]
    if len(set(names)) < len(names):
        raise InputError("merging markets", ", ".join(names), "a symbol comes twice", "pass each symbol once")
    if not all(len(at_ms) for _, at_ms, *_ in parts):
        raise InputError("merging markets", ", ".join(names), "one of them has no quotes", "pass files with quotes")
    rising = [np.maximum.accumulate(at_ms) for _, at_ms, *_ in parts]
    order = np.argsort(np.concatenate(rising), kind="stable")
    return Feed(
        instruments=tuple(instrument for instrument, *_ in parts),
        clock=clock,
        at_ms=np.concatenate(rising)[order],
        server_msc=np.concatenate([server for _, _, server, _, _ in parts])[order],
        instrument=np.concatenate(
            [np.full(len(at_ms), number, np.int8) for number, (_, at_ms, *_) in enumerate(parts)]
        )[order],
        bid=np.concatenate([bid for *_, bid, _ in parts])[order],
        ask=np.concatenate([ask for *_, ask in parts])[order],
        is_tradable=np.concatenate([_tradable(part) for part in parts])[order],
        ends_session=np.concatenate([np.append(np.diff(times) > SESSION_GAP_MS, False) for times in rising])[order],
        description=description,
    )


def _tradable(part: _Part) -> NDArray[np.bool_]:
    """Return which quotes the daemon's validation accepts, or knows already."""
    instrument, at_ms, _, bid, ask = part
    at = pl.Series(at_ms).cast(pl.Datetime("ms", "UTC"))
    frame = pl.DataFrame({"event_at": at, "bid": bid, "ask": ask}).select(
        pl.lit(instrument.symbol).alias("symbol"), pl.all()
    )
    reasons = refusals(frame, [instrument.symbol])
    return (reasons.is_null() | (reasons == "duplicate").fill_null(value=False)).to_numpy()
