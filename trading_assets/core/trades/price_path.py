"""Prices that close a position, and the walk of many candidates through them: bars find the minute, quotes the fill.

A walk knows stops, targets and the deadline of each candidate and nothing of costs, cohorts or tables: those are `labels`, where
the rules are written down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

TIMEOUT, STOP, TARGET, WEEKEND = 0, 1, 2, 3


@dataclass(frozen=True)
class PricePath:
    """Prices that close a position, twice: for LONG the bid, for SHORT the ask with its sign turned, so that up is good
    in both and one rule serves. The second half starts at `count`, for quotes at `quote_count`."""

    open_ms: np.ndarray
    close_ms: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    count: int
    until_ms: int
    quote_ms: np.ndarray
    quote: np.ndarray
    quote_count: int
    first_quote: np.ndarray
    """Of each bar; with `last_quote`, which is exclusive, the quotes it was made of."""
    last_quote: np.ndarray

    @staticmethod
    def of(bars: pl.DataFrame, quotes: pl.DataFrame | None = None) -> PricePath:
        """Take bars of one symbol (open, high, low, close of bid and ask) and the quotes (event_at, bid, ask) behind them."""
        rows = bars.sort("open_at")
        open_ms = rows["open_at"].dt.epoch("ms").to_numpy()
        close_ms = rows["close_at"].dt.epoch("ms").to_numpy()
        ticks = _no_quotes() if quotes is None else quotes.sort("event_at", maintain_order=True)
        quote_ms = ticks["event_at"].dt.epoch("ms").to_numpy()

        def both(bid: str, ask: str) -> np.ndarray:
            return np.concatenate([rows[bid].to_numpy(), -rows[ask].to_numpy()])

        return PricePath(
            open_ms=open_ms,
            close_ms=close_ms,
            open=both("open", "ask_open"),
            high=both("high", "ask_low"),
            low=both("low", "ask_high"),
            close=both("close", "ask_close"),
            count=len(rows),
            until_ms=int(close_ms[-1]) if len(rows) else -1,
            quote_ms=quote_ms,
            quote=np.concatenate([ticks["bid"].to_numpy(), -ticks["ask"].to_numpy()]),
            quote_count=len(ticks),
            first_quote=np.searchsorted(quote_ms, open_ms),
            last_quote=np.searchsorted(quote_ms, close_ms),
        )


def _no_quotes() -> pl.DataFrame:
    return pl.DataFrame(schema={"event_at": pl.Datetime("us", "UTC"), "bid": pl.Float64, "ask": pl.Float64})


class Walk:
    """All candidates of a symbol walked through the bars together, bar by bar after the entry; those that reach a
    barrier leave the walk. Arrays of one entry per candidate, prices turned as in PricePath.

    `due` holds kind, entry_price, stop_price, target_price, entry_ms, deadline_ms and is_weekend.
    """

    def __init__(self, due: pl.DataFrame, path: PricePath) -> None:
        size = len(due)
        sign = np.where((due["kind"] == "LONG").to_numpy(), 1.0, -1.0)
        self.path = path
        self.entry = sign * due["entry_price"].to_numpy()
        self.stop = sign * due["stop_price"].to_numpy()
        self.target = sign * due["target_price"].to_numpy()
        self.entry_ms = due["entry_ms"].to_numpy()
        self.deadline_ms = due["deadline_ms"].to_numpy()
        self.first = np.searchsorted(path.open_ms, self.entry_ms)
        self.limit = np.searchsorted(path.open_ms, self.deadline_ms)
        self.is_short = sign < 0
        self.half = np.where(self.is_short, path.count, 0)
        # What holds when no barrier is reached: out at the last price before the deadline.
        self.barrier = np.where(due["is_weekend"].to_numpy(), WEEKEND, TIMEOUT)
        self.end_ms = self.deadline_ms.copy()
        self.seen_ms = self.deadline_ms - 1
        """Instant of the price it left at, as exactly as it is known; for swap."""
        last = np.maximum(self.limit - 1, 0)
        self.exit_price = path.close[last + self.half] if path.count else np.zeros(size)
        # A position begins with the spread against it: at the last price before its entry.
        start = path.close[self.first - 1 + self.half] - self.entry if path.count else np.zeros(size)
        start = np.where(self.first > 0, start, 0.0)
        self.best, self.worst, self.area = np.maximum(start, 0.0), np.minimum(start, 0.0), np.zeros(size)
        self.best_after_ms, self.worst_after_ms = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
        self.drawdown_ms, self.bars_held = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
        self.exit_bar = np.zeros(size, dtype=np.int64)

    def run(self) -> None:
        """Walk until every candidate has left."""
        walking = np.flatnonzero(self.first < self.limit)
        inside: list[np.ndarray] = []
        step = 0
        while len(walking):
            bar = self.first[walking] + step
            is_out, is_told = self._bar(walking, bar)
            self.exit_bar[walking[is_told]] = bar[is_told]
            inside.append(walking[is_told])
            walking = walking[~is_out]
            step += 1
            walking = walking[self.first[walking] + step < self.limit[walking]]
        if inside:
            self._inside(np.concatenate(inside))

    def _bar(self, who: np.ndarray, bar: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take candidates `who` through `bar`; return which leave in it, and which of those its quotes tell more of."""
        path, at = self.path, bar + self.half[who]
        if not path.quote_count:
            return self._by_rule(who, bar), np.zeros(len(who), dtype=bool)
        is_touched = (path.low[at] <= self.stop[who]) | (path.high[at] >= self.target[who])
        is_told = is_touched & (path.last_quote[bar] > path.first_quote[bar])
        rest = ~is_told
        is_out = is_told.copy()
        is_out[rest] = self._by_rule(who[rest], bar[rest])
        return is_out, is_told

    def _by_rule(self, who: np.ndarray, bar: np.ndarray) -> np.ndarray:
        """Take candidates through a bar of which no more is known; return which of them reached a barrier in it."""
        path, at = self.path, bar + self.half[who]
        opened, high, low = path.open[at], path.high[at], path.low[at]
        entry, stop, target = self.entry[who], self.stop[who], self.target[who]
        opens_beyond = opened >= target
        is_stop = (low <= stop) & ~opens_beyond
        is_target = (high >= target) & ~is_stop
        left = np.where(is_stop, np.minimum(opened, stop), np.where(is_target, target, path.close[at]))
        # What the path surely did before it left: see the rules in `labels`.
        highest = np.where(is_stop, opened, np.where(is_target, target, high))
        lowest = np.where(is_stop, left, np.where(opens_beyond, target, low))
        self._remember(who, bar, highest - entry, lowest - entry, left - entry)
        leaves: np.ndarray = is_stop | is_target
        out = who[leaves]
        self.barrier[out] = np.where(is_stop[leaves], STOP, TARGET)
        self.exit_price[out] = left[leaves]
        self.end_ms[out] = path.close_ms[bar[leaves]]
        self.seen_ms[out] = path.open_ms[bar[leaves]]
        return leaves

    def _remember(
        self, who: np.ndarray, bar: np.ndarray, highest: np.ndarray, lowest: np.ndarray, left: np.ndarray
    ) -> None:
        """Take up a bar's excursions (price distances from the entry) and where it left the position."""
        close_ms = self.path.close_ms[bar]
        self._excursion(who, highest, lowest, close_ms)
        length = close_ms - self.path.open_ms[bar]
        self.drawdown_ms[who] += np.where(left < 0, length, 0)
        self.area[who] += left * length
        self.bars_held[who] += 1

    def _excursion(self, who: np.ndarray, highest: np.ndarray, lowest: np.ndarray, at_ms: np.ndarray) -> None:
        after = at_ms - self.entry_ms[who]
        is_higher, is_lower = highest > self.best[who], lowest < self.worst[who]
        better, worse = who[is_higher], who[is_lower]
        self.best[better], self.best_after_ms[better] = highest[is_higher], after[is_higher]
        self.worst[worse], self.worst_after_ms[worse] = lowest[is_lower], after[is_lower]

    def _inside(self, who: np.ndarray) -> None:
        """Walk the quotes of the bar in which each of these reaches a barrier, up to the quote that does."""
        path = self.path
        bar = self.exit_bar[who]
        shift = np.where(self.is_short[who], path.quote_count, 0)
        at, last = path.first_quote[bar], path.last_quote[bar]
        is_filled = np.zeros(len(who), dtype=bool)
        going = np.arange(len(who))
        while len(going):
            one, now = who[going], at[going]
            price = path.quote[now + shift[going]]
            is_target, is_out = price >= self.target[one], (price >= self.target[one]) | (price <= self.stop[one])
            filled = np.where(is_target, self.target[one], price)
            gain = filled - self.entry[one]
            self._excursion(one, gain, gain, path.quote_ms[now])
            out = one[is_out]
            self.barrier[out] = np.where(is_target[is_out], TARGET, STOP)
            self.exit_price[out] = filled[is_out]
            self.end_ms[out] = self.seen_ms[out] = path.quote_ms[now[is_out]]
            is_filled[going[is_out]] = True
            at[going] += 1
            going = going[~is_out & (at[going] < last[going])]
        # A bar from the terminal's history can hold more than the quotes that were seen of it.
        self._by_rule(who[~is_filled], bar[~is_filled])
        self._leave(who[is_filled], bar[is_filled])

    def _leave(self, who: np.ndarray, bar: np.ndarray) -> None:
        """Count the part of the last bar up to the fill."""
        length, left = self.end_ms[who] - self.path.open_ms[bar], self.exit_price[who] - self.entry[who]
        self.drawdown_ms[who] += np.where(left < 0, length, 0)
        self.area[who] += left * length
        self.bars_held[who] += 1
