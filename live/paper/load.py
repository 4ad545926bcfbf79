"""A market for measuring under load: many symbols, a steady number of quotes a second, all bars closing at once.

Made in one stroke from arrays, so that one core keeps up with sending it. Prices are random walks without any edge, and sessions
play no part in the live stretch: a measurement may run at a weekend. History before it is four quotes a five-minute bar,
on FX days alone. The realistic market is `synthetic`.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from live.paper.feed import Feed, Instrument
from trading_assets.core.errors import InputError
from trading_assets.core.market.clock import ClockRule
from trading_assets.core.market.timeframes import to_ms

PRICES = {
    "EURUSD": 1.085, "GBPUSD": 1.265, "AUDUSD": 0.665, "NZDUSD": 0.615, "USDJPY": 148.5, "USDCHF": 0.885, "USDCAD": 1.355,
    "USDSEK": 10.45, "USDNOK": 10.65, "USDDKK": 6.875, "USDSGD": 1.345, "USDHKD": 7.82, "USDMXN": 17.05, "USDZAR": 18.75,
    "USDPLN": 3.985, "USDCZK": 23.35, "USDHUF": 358.5, "USDCNH": 7.195, "USDTHB": 35.55, "USDTRY": 32.15,
}  # fmt: skip
"""Symbols and first prices; an account in USD can hold all of them."""
_BAR_MS = 300_000
_DAY_MS = 86_400_000
_QUOTES_IN_BAR = (0, 75_000, 150_000, 290_000)
_BAR_VOLATILITY = 0.0003
_SPREAD_SHARE = 0.00004


def from_load(
    seed: int, symbols: int, begins_at: datetime, seconds: int, rate: int, history_days: int, clock: str
) -> Feed:
    """Return a feed of `rate` quotes a second over `symbols` symbols for `seconds`, from `begins_at` on, with history before it."""
    if not 1 <= symbols <= len(PRICES) or rate < symbols or seconds < 1:
        problem = f"{symbols} symbols, {rate} quotes a second for {seconds} s"
        hint = f"ask for 1 to {len(PRICES)} symbols, at least a quote a second for each, and a second or more"
        raise InputError("making a load of", problem, "it cannot be made", hint)
    rule, rng = ClockRule.parse(clock), np.random.default_rng(seed)
    past_ms = _history_times(to_ms(begins_at), history_days)
    past = np.repeat(past_ms, symbols)
    live = to_ms(begins_at) + np.arange(rate * seconds, dtype=np.int64) * 1000 // rate
    at_ms = np.concatenate([past, live])
    instrument = np.concatenate(
        [np.tile(np.arange(symbols, dtype=np.int8), len(past_ms)), (np.arange(len(live)) % symbols).astype(np.int8)]
    )
    instruments = tuple(Instrument(name, _digits(price)) for name, price in list(PRICES.items())[:symbols])
    bid, ask = np.empty(len(at_ms)), np.empty(len(at_ms))
    for number, one in enumerate(instruments):
        own = instrument == number
        bid[own], ask[own] = _walk(rng, at_ms[own], PRICES[one.symbol], one.digits)
    return Feed(
        instruments=instruments,
        clock=rule,
        at_ms=at_ms,
        server_msc=rule.to_server_ms(at_ms),
        instrument=instrument,
        bid=bid,
        ask=ask,
        is_tradable=np.ones(len(at_ms), dtype=np.bool_),
        ends_session=np.zeros(len(at_ms), dtype=np.bool_),
        description=f"load of {rate} quotes a second over {symbols} symbols for {seconds} s, seed {seed}",
    )


def _history_times(until_ms: int, days: int) -> NDArray[np.int64]:
    """Return the quote times of the bars of `days` calendar days before `until_ms`, without weekends of New York's calendar."""
    bars = np.arange((until_ms - days * _DAY_MS) // _BAR_MS * _BAR_MS, until_ms // _BAR_MS * _BAR_MS, _BAR_MS)
    # Day 0, 1970-01-01, was a Thursday.
    weekday = (ClockRule.parse("us").to_server_ms(bars) // _DAY_MS + 3) % 7
    open_bars = bars[weekday < 5]
    return np.asarray((open_bars[:, None] + np.array(_QUOTES_IN_BAR)).reshape(-1), dtype=np.int64)


def _walk(
    rng: np.random.Generator, at_ms: NDArray[np.int64], price: float, digits: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    elapsed = np.minimum(np.diff(at_ms, prepend=at_ms[:1]), _BAR_MS) / _BAR_MS
    level = np.cumsum(rng.standard_normal(len(at_ms)) * np.sqrt(elapsed)) * _BAR_VOLATILITY
    bid = np.round(price * np.exp(level), digits)
    return bid, np.round(bid + max(price * _SPREAD_SHARE, 10.0**-digits), digits)


def _digits(price: float) -> int:
    return 5 if price < 20 else 3
