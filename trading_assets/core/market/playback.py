"""How bars of history are played as quotes: open, high and low, close, as MetaTrader 5's own tester does.

A bar that closed at or above its open goes open, low, high, close; one that fell goes open, high, low, close. The
first quote comes at the bar's open, the last one second before its end, the others at a third and two thirds.

The ask of a quote is the bar's own ask where the source has one. Otherwise it is the bid plus the bar's spread;
where that is missing or zero, the **spread model** stands in: one pip unless another constant is stated, and never
under two points, so that trading is never free. Faults of the source stay: a price that is missing is NaN.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from trading_assets.core.market.symbols import pip_points

MODEL_SPREAD_PIPS = 1
"""Spread of the model, where none is stated."""
MODEL_SPREAD_FLOOR_POINTS = 2
"""The model's spread is never less."""

QUOTES_PER_BAR = 4

_SIDES = ("open", "high", "low", "close")
_LAST_QUOTE_MS = 1000


def model_spread_points(symbol: str, digits: int) -> int:
    """Return the spread of the model in points for prices of `digits` digits."""
    return max(MODEL_SPREAD_PIPS * pip_points(symbol, digits), MODEL_SPREAD_FLOOR_POINTS)


def quotes_of_bars(bars: pl.DataFrame, length_ms: int, digits: int, model_points: int) -> pl.DataFrame:
    """Return the quotes [server_msc, bid, ask] of bars, four for each, in the order of the bars.

    `bars` has server_msc (open of the bar), open, high, low, close; optional ask_open, ask_high, ask_low, ask_close;
    optional spread_points. `length_ms` is a bar's length, `model_points` the spread where a bar has none.
    """
    is_up = (bars["close"] >= bars["open"]).to_numpy()
    bid = _path(bars, _SIDES, is_up)
    if "ask_open" in bars.columns:
        ask = _path(bars, tuple(f"ask_{side}" for side in _SIDES), is_up)
    else:
        # In whole points, so that the ask is the double nearest to its decimal.
        scale = 10.0**digits
        ask = (np.rint(bid * scale) + _spreads(bars, model_points)[:, None]) / scale
    times = bars["server_msc"].to_numpy()[:, None] + _offsets(length_ms)
    return pl.DataFrame({"server_msc": times.ravel(), "bid": bid.ravel(), "ask": ask.ravel()})


def _path(bars: pl.DataFrame, sides: tuple[str, ...], is_up: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    opened, high, low, closed = (bars[side].to_numpy() for side in sides)
    return np.stack([opened, np.where(is_up, low, high), np.where(is_up, high, low), closed], axis=1)


def _spreads(bars: pl.DataFrame, model_points: int) -> npt.NDArray[np.float64]:
    if "spread_points" not in bars.columns:
        return np.full(bars.height, float(model_points))
    recorded = bars["spread_points"].cast(pl.Float64).fill_null(0.0).to_numpy()
    return np.where(recorded > 0, recorded, float(model_points))


def _offsets(length_ms: int) -> npt.NDArray[np.int64]:
    return np.array([0, length_ms // 3, 2 * length_ms // 3, length_ms - _LAST_QUOTE_MS], dtype=np.int64)
