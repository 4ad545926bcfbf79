"""A seeded market: quotes with sessions, intraday rhythm, regimes and a planted edge of known size.

What is here, in the order it is made:

- **Sessions.** FX days, as `core.market.sessions` knows them: the session of a weekday opens at 17:00 New York time of
  the day before and lasts 24 hours, so in winter the market is closed from Friday 22:00 to Sunday 22:00 UTC, in
  (American) summer an hour earlier. `days` counts sessions, Monday to Friday. Times are UTC; the server's clock
  (default `eu`, UTC+2/+3) is put on by `feed`.
- **Ticks.** A Poisson number each minute, 7.5 on average, fewer at night and more while London and New York are open.
- **Regimes.** A Markov chain in trading time, half a day long on average: trending up, trending down, ranging,
  volatile (shorter). In a trend the price drifts; in a range it is drawn back to where the range began; volatile has
  twice the noise and no edge. Three of four trends turn against the one before, so the price stays in its region.
- **Noise.** Gaussian for each tick, scaled by the time since the last one, the hour and the regime; a jump over weekends.
- **Spread.** Whole points: a base for each symbol, wider at night, widest around the rollover and when volatile.

`edge` scales drift and pull: 1 is the planted market, 0 leaves a random walk with the same volatility, spread and
timing, on which nothing can be earned. The first days of a longer market are those of a shorter one, each symbol
depends on the seed and its own name alone, and nothing depends on a clock. Orders and fills live in `broker`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zlib import crc32

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trading_assets.core.errors import InputError
from trading_assets.core.market.clock import ClockRule
from trading_assets.core.market.timeframes import to_ms

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

TICKS_PER_MINUTE = 7.5
_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS
_BAR_MS = 5 * _MINUTE_MS
_NEW_YORK_CLOSE = ClockRule.parse("us")
"""On this clock the day begins at 17:00 New York time."""

# By UTC hour: relative volatility (rescaled to a mean square of 1), relative tick rate (to a mean of 1), relative spread.
_VOLATILITY_BY_HOUR = np.array(
    [0.65, 0.65, 0.70, 0.70, 0.70, 0.75, 0.95, 1.25, 1.30, 1.20, 1.10, 1.05,
     1.20, 1.45, 1.50, 1.40, 1.25, 1.05, 0.95, 0.85, 0.75, 0.65, 0.60, 0.60]
)  # fmt: skip
_TICK_RATE_BY_HOUR = np.sqrt(_VOLATILITY_BY_HOUR)
_SPREAD_BY_HOUR = np.array(
    [1.3, 1.2, 1.2, 1.15, 1.15, 1.15, 1.05, 1.0, 0.95, 0.95, 0.95, 0.95,
     0.95, 0.95, 0.95, 0.95, 1.0, 1.0, 1.05, 1.1, 1.2, 1.7, 2.2, 1.5]
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """What makes one symbol: first mid, volatility of a five-minute bar (share), digits, usual spread in points."""

    first_price: float
    bar_volatility: float
    digits: int
    spread_points: float

    @property
    def point(self) -> float:
        """Smallest step a price is written in."""
        return float(f"1e-{self.digits}")


PAIRS = {
    "EURUSD": Pair(1.0850, 0.00034, 5, 4.0),
    "GBPUSD": Pair(1.2650, 0.00038, 5, 6.0),
    "AUDUSD": Pair(0.6650, 0.00042, 5, 4.0),
    "USDJPY": Pair(148.50, 0.00038, 3, 6.0),
}


@dataclass(frozen=True)
class Regime:
    """One state of the chain. `drift` in bar volatilities a bar, `pull` the share of the distance undone in a bar."""

    name: str
    drift: float
    pull: float
    volatility: float
    spread: float
    hours: float
    weight: float


REGIMES = (
    Regime("trending_up", drift=0.30, pull=0.0, volatility=0.95, spread=1.0, hours=11.0, weight=0.28),
    Regime("trending_down", drift=-0.30, pull=0.0, volatility=0.95, spread=1.0, hours=11.0, weight=0.28),
    Regime("ranging", drift=0.0, pull=0.30, volatility=0.80, spread=1.0, hours=11.0, weight=0.30),
    Regime("volatile", drift=0.0, pull=0.0, volatility=1.90, spread=1.5, hours=3.0, weight=0.14),
)
_TURN_CHANCE = 0.75
"""Chance that a trend turns against the trend before it."""
_SHORTEST_SHARE = 0.4
"""A regime lasts at least this share of its mean; the rest is exponential."""
_WEEKEND_JUMP = 2.0
"""Standard deviation of the jump over a weekend, in bar volatilities."""


@dataclass(frozen=True)
class Path:
    """One symbol's market as arrays: UTC ms, bid and ask in points, and the regime of each tick (index of REGIMES)."""

    at_ms: Integers
    bid_points: Integers
    ask_points: Integers
    regime: Integers


def session_opens(start: date, days: int) -> tuple[datetime, ...]:
    """Return the opening instants of `days` sessions, the first that of `start` or of the next weekday."""
    if days < 1:
        raise InputError(
            "making a synthetic market", f"{days} days", "there is nothing to play", "ask for at least one trading day"
        )
    opens: list[datetime] = []
    day = start
    while len(opens) < days:
        if day.weekday() < 5:
            opens.append(_NEW_YORK_CLOSE.to_utc(to_ms(datetime(day.year, day.month, day.day, tzinfo=UTC))))
        day += timedelta(days=1)
    return tuple(opens)


def pair_of(symbol: str) -> Pair:
    """Return what makes the symbol. Raises InputError for one that has no synthetic market."""
    if symbol not in PAIRS:
        raise InputError(
            "making a synthetic market", symbol, "there is no such pair", f"use some of {', '.join(PAIRS)}"
        )
    return PAIRS[symbol]


def quotes(seed: int, symbols: Sequence[str], start: date, days: int, edge: float = 1.0) -> pl.DataFrame:
    """Return all quotes in time order: symbol (str), event_at (UTC, ms), bid and ask (float64).

    The same arguments always give the same frame. About 10,800 rows for each symbol and day.
    """
    frames = []
    for symbol in symbols:
        point, digits = pair_of(symbol).point, pair_of(symbol).digits
        path = market_path(seed, symbol, start, days, edge)
        prices = {
            "bid": np.round(path.bid_points * point, digits),
            "ask": np.round(path.ask_points * point, digits),
        }
        at = pl.Series("event_at", path.at_ms).cast(pl.Datetime("ms", "UTC"))
        frames.append(
            pl.DataFrame({"event_at": at, **prices}).select(pl.lit(symbol).alias("symbol"), "event_at", "bid", "ask")
        )
    return pl.concat(frames).sort("event_at", maintain_order=True)


def market_path(seed: int, symbol: str, start: date, days: int, edge: float = 1.0) -> Path:
    """Return one symbol's ticks with the regime each was made in."""
    pair = pair_of(symbol)
    opens = [to_ms(at) for at in session_opens(start, days)]
    ticks = [_session_ticks(seed, symbol, number, opened) for number, opened in enumerate(opens)]
    at_ms = np.concatenate([at for at, _, _ in ticks])
    noise = np.concatenate([noise for _, noise, _ in ticks])
    spread_noise = np.concatenate([spread for _, _, spread in ticks])
    session = np.repeat(np.arange(days), [len(at) for at, _, _ in ticks])
    opened = np.asarray(opens, dtype=np.int64)[session]
    traded_ms = at_ms - opened + session * _DAY_MS
    regime, begins = _regimes(seed, symbol, traded_ms)
    hour = _hour_of_day(at_ms)
    scale = pair.bar_volatility * _by_hour(_normalised_volatility(), hour)
    shocks = _shocks(noise, scale, traded_ms, regime, session, opens, pair.bar_volatility)
    level = np.log(pair.first_price) + _walk(shocks, scale, traded_ms, regime, begins, edge)
    mid_points = np.exp(level) / pair.point
    spread = pair.spread_points * _by_hour(_SPREAD_BY_HOUR, hour) * _of(regime, "spread") * np.exp(0.15 * spread_noise)
    spread_points = np.maximum(np.rint(spread), 1.0)
    bid_points = np.rint(mid_points - spread_points / 2)
    return Path(at_ms, bid_points.astype(np.int64), (bid_points + spread_points).astype(np.int64), regime)


def _session_ticks(seed: int, symbol: str, number: int, opened_ms: int) -> tuple[Integers, Floats, Floats]:
    """Return one session's tick times (strictly rising), price noise and spread noise; each session has its own seed."""
    rng = np.random.default_rng([seed, crc32(symbol.encode()), 1 + number])
    minutes = opened_ms + np.arange(0, _DAY_MS, _MINUTE_MS)
    rate = TICKS_PER_MINUTE * _by_hour(_TICK_RATE_BY_HOUR / _TICK_RATE_BY_HOUR.mean(), _hour_of_day(minutes))
    counts = rng.poisson(rate)
    at_ms = np.unique(np.repeat(minutes, counts) + rng.integers(0, _MINUTE_MS, counts.sum()))
    noise = rng.standard_normal((2, len(at_ms)))
    return at_ms, noise[0], noise[1]


def _regimes(seed: int, symbol: str, traded_ms: Integers) -> tuple[Integers, Integers]:
    """Return each tick's regime and the index of the first tick of each stretch of one regime."""
    rng = np.random.default_rng([seed, crc32(symbol.encode()), 0])
    ends: list[float] = [0.0]
    kinds = [-1]
    while ends[-1] <= traded_ms[-1]:
        kinds.append(int(rng.choice(len(REGIMES), p=_chances(kinds))))
        mean_ms = REGIMES[kinds[-1]].hours * _HOUR_MS
        ends.append(ends[-1] + mean_ms * (_SHORTEST_SHARE + (1 - _SHORTEST_SHARE) * rng.exponential()))
    stretch = np.searchsorted(np.asarray(ends), traded_ms, side="right")
    return np.asarray(kinds)[stretch], np.flatnonzero(np.diff(stretch, prepend=-1))


def _chances(kinds: Sequence[int]) -> Floats:
    """Return the chance of each regime to come next: never the same again, and trends mostly turn."""
    chances = np.array([regime.weight for regime in REGIMES])
    trends = np.array([regime.drift != 0.0 for regime in REGIMES])
    last_trend = next((kind for kind in reversed(kinds[1:]) if trends[kind]), None)
    if last_trend is not None:
        turned = np.where(np.arange(len(REGIMES)) == last_trend, 1 - _TURN_CHANCE, _TURN_CHANCE)
        chances = np.where(trends, chances[trends].sum() * turned, chances)
    if kinds[-1] >= 0:
        chances[kinds[-1]] = 0.0
    return np.asarray(chances / chances.sum())


def _shocks(
    noise: Floats,
    scale: Floats,
    traded_ms: Integers,
    regime: Integers,
    session: Integers,
    opens: Sequence[int],
    bar_volatility: float,
) -> Floats:
    """Return the random part of each tick's log return, the jump over a weekend in the first tick after it."""
    elapsed = np.diff(traded_ms, prepend=0) / _BAR_MS
    shocks = noise * scale * _of(regime, "volatility") * np.sqrt(elapsed)
    first_ticks = np.flatnonzero(np.diff(session, prepend=session[0]))
    for tick in first_ticks:
        number = session[tick]
        if opens[number] - opens[number - 1] > 2 * _DAY_MS:
            shocks[tick] = noise[tick] * bar_volatility * _WEEKEND_JUMP
    return shocks


def _walk(
    shocks: Floats, scale: Floats, traded_ms: Integers, regime: Integers, begins: Integers, edge: float
) -> Floats:
    """Return the log price relative to the start: noise, plus drift or pull where the regime has one.

    A range is an Ornstein-Uhlenbeck process about the price it began at, solved in closed form for each stretch.
    """
    elapsed = np.diff(traded_ms, prepend=0) / _BAR_MS
    steps = shocks + edge * _of(regime, "drift") * scale * elapsed
    level = np.cumsum(steps)
    if edge == 0.0:
        return level
    moved = np.zeros(len(level))
    bounds = np.append(begins, len(level))
    offset = 0.0
    for begin, end in pairwise(bounds.tolist()):
        pull = edge * REGIMES[regime[begin]].pull
        if pull:
            bars = (traded_ms[begin:end] - traded_ms[begin]) / _BAR_MS
            distance = np.exp(-pull * bars) * np.cumsum(steps[begin:end] * np.exp(pull * bars))
        else:
            distance = np.cumsum(steps[begin:end])
        moved[begin:end] = offset + distance
        offset = moved[end - 1]
    return moved


def _of(regime: Integers, field: str) -> Floats:
    """Return a field of the regimes for each tick."""
    return np.array([getattr(kind, field) for kind in REGIMES], dtype=np.float64)[regime]


def _normalised_volatility() -> Floats:
    return np.asarray(_VOLATILITY_BY_HOUR / np.sqrt(np.mean(_VOLATILITY_BY_HOUR**2)))


def _hour_of_day(at_ms: Integers) -> Floats:
    """Return the UTC time of day in hours, with its fraction."""
    return np.asarray((at_ms % _DAY_MS) / _HOUR_MS)


def _by_hour(values: Floats, hour: Floats) -> Floats:
    """Interpolate values given for the middle of each hour."""
    return np.interp(hour, np.arange(24) + 0.5, values, period=24.0)
