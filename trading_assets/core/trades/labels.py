"""Labels: what would have come of each candidate, traded or not. The triple barrier over the finest bid/ask bars.

Rules (LABELS_VERSION changes with them):
- Entered at the candidate's recorded entry price, the ask for LONG and the bid for SHORT, at the close of its bar.
- Stop and target are touched by the side that closes the position: the bid for LONG, the ask for SHORT.
- A bar that opens beyond the stop fills at its open. A bar that opens beyond the target fills at the target: no
  favourable slippage is assumed. A bar that holds both counts as the stop, unless it opened beyond the target.
- The timeout is clock time, timeout_bars times the timeframe. It fills at the close of the last bar before it; when the
  market had been silent for an hour or more by then (a weekend), at the open of the next bar instead.
- In the bar of a stop nothing favourable after its open counts, in the bar of a target everything adverse does.
- Costs are the commission of both sides, and slippage where the exit is a market order (stop and timeout). The spread is in
  the prices. Swap is not part of a label.
- A cohort gets its labels together, once the last timeout of any of its candidates has passed in the bars: labelling
  the quick ones first would favour them.

What executed trades really made lives in `outcomes` and `ledger`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from trading_assets.core.errors import InputError
from trading_assets.core.market.timeframes import MINUTES, minutes
from trading_assets.core.records.decisions import SymbolState

LABELS_VERSION = "triple-barrier-1"
SILENCE_MS = 3_600_000
FULL_LOSS_R, LARGE_GAIN_R = -0.9, 1.0

_MS = 1000
_HOUR_MS = 3_600_000
_KEPT = (
    "tenant",
    "account",
    "date",
    "idea_id",
    "signal_id",
    "symbol",
    "timeframe",
    "kind",
    "exit_profile",
    "decided_at",
)
_BARRIERS = np.array(["timeout", "stop", "target"])
_TIMEOUT, _STOP, _TARGET = 0, 1, 2


@dataclass(frozen=True)
class LabelCosts:
    """Costs as price distances for one unit: commission of both sides, and the slippage of a market exit, by symbol."""

    commission_price: Mapping[str, float] = field(default_factory=dict)
    slippage_price: Mapping[str, float] = field(default_factory=dict)


def costs_of(symbols: Iterable[SymbolState], slippage_points: float = 0.0) -> LabelCosts:
    """Turn contracts into costs: commission per lot in money becomes a price distance by tick value and tick size."""
    commission, slippage = {}, {}
    for state in symbols:
        paid = 2.0 * float(state.commission_per_lot)
        commission[state.symbol] = paid / float(state.tick_value) * state.tick_size
        slippage[state.symbol] = slippage_points * state.point
    return LabelCosts(commission, slippage)


def label_candidates(candidates: pl.DataFrame, bars: pl.DataFrame, costs: LabelCosts) -> pl.DataFrame:
    """Label every LONG and SHORT candidate whose cohort's future has passed; columns as in the table `labels`.

    `candidates`: rows of the table `candidates`; tenant, account and date are carried along when present. `bars`: bid/ask
    bars of one timeframe, the finest there is, in any order. Candidates without prices have no label. Raises InputError for
    bars of several timeframes, or coarser than the candidates' own.
    """
    _check_bars(candidates, bars)
    ideas = candidates.filter(
        pl.col("kind").is_in(["LONG", "SHORT"])
        & pl.all_horizontal(
            pl.col("entry_price", "stop_price", "target_price", "risk_unit", "timeout_bars").is_not_null()
        )
    ).with_columns(
        entry_ms=pl.col("bar_close_at").dt.epoch("ms"),
        timeout_ms=pl.col("bar_close_at").dt.epoch("ms")
        + pl.col("timeout_bars") * pl.col("timeframe").replace_strict(MINUTES, return_dtype=pl.Int64) * 60 * _MS,
    )
    labelled = [
        _label_symbol(part, bars.filter(pl.col("symbol") == symbol), costs, str(symbol))
        for (symbol,), part in ideas.group_by("symbol", maintain_order=True)
    ]
    return _with_cohort(pl.concat(labelled) if labelled else _label_symbol(ideas, bars.clear(), costs, ""))


def _check_bars(candidates: pl.DataFrame, bars: pl.DataFrame) -> None:
    timeframes = sorted(set(bars["timeframe"]), key=minutes)
    shortest = min((minutes(name) for name in set(candidates["timeframe"])), default=None)
    if len(timeframes) > 1 or (timeframes and shortest is not None and minutes(timeframes[0]) > shortest):
        raise InputError(
            "labelling",
            "candidates",
            f"the bars are of {', '.join(timeframes)}",
            "pass bars of one timeframe, not longer than the decisions' own",
        )


def _label_symbol(ideas: pl.DataFrame, bars: pl.DataFrame, costs: LabelCosts, symbol: str) -> pl.DataFrame:
    path = _Path.of(bars)
    due = ideas.filter(pl.col("timeout_ms").max().over("signal_id") <= path.until_ms).sort(
        "entry_ms", maintain_order=True
    )
    walk = _Walk(due, path)
    walk.run()
    risk = due["risk_unit"].to_numpy()
    slipped = np.where(walk.barrier == _TARGET, 0.0, costs.slippage_price.get(symbol, 0.0))
    cost_r = (costs.commission_price.get(symbol, 0.0) + slipped) / risk
    gross_r = (walk.exit_price - walk.entry) / risk
    kept = [name for name in _KEPT if name in due.columns]
    return due.select(*kept, pl.col("bar_close_at").alias("entry_at")).with_columns(
        pl.Series("label_end_at", walk.end_ms * _MS, dtype=pl.Int64).cast(pl.Datetime("us", "UTC")),
        pl.Series("barrier", _BARRIERS[walk.barrier].tolist(), dtype=pl.String),
        pl.Series("exit_price", np.abs(walk.exit_price)),
        pl.Series("gross_r", gross_r),
        pl.Series("cost_r", cost_r),
        pl.Series("result_r", gross_r - cost_r),
        pl.Series("mae_r", walk.worst / risk),
        pl.Series("mfe_r", walk.best / risk),
        pl.Series("time_to_mfe_s", walk.best_after_ms / _MS),
        pl.Series("time_in_drawdown_s", walk.drawdown_ms / _MS),
        pl.Series("path_area_r", walk.area / risk / _HOUR_MS),
        pl.Series("bars_held", walk.bars_held, dtype=pl.Int64),
    )


def _with_cohort(labels: pl.DataFrame) -> pl.DataFrame:
    """Add win, tier, and how each candidate compares with the others of its decision."""
    result = pl.col("result_r")
    return labels.with_columns(
        is_win=result > 0,
        profit_tier=pl.when(result <= FULL_LOSS_R)
        .then(pl.lit("full_loss"))
        .when(result <= 0)
        .then(pl.lit("loss"))
        .when(result < LARGE_GAIN_R)
        .then(pl.lit("gain"))
        .otherwise(pl.lit("large_gain")),
        cohort_rank=result.rank("min", descending=True).over("signal_id").cast(pl.Int64),
        regret_best_r=result.max().over("signal_id") - result,
        regret_median_r=result.median().over("signal_id") - result,
        labels_version=pl.lit(LABELS_VERSION),
    )


@dataclass(frozen=True)
class _Path:
    """Prices that close a position, twice: for LONG the bid, for SHORT the ask with its sign turned, so that up is good
    in both and one rule serves. The second half starts at `count`."""

    open_ms: np.ndarray
    close_ms: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    count: int
    until_ms: int

    @staticmethod
    def of(bars: pl.DataFrame) -> _Path:
        rows = bars.sort("open_at")
        open_ms = rows["open_at"].dt.epoch("ms").to_numpy()
        close_ms = rows["close_at"].dt.epoch("ms").to_numpy()

        def both(bid: str, ask: str) -> np.ndarray:
            return np.concatenate([rows[bid].to_numpy(), -rows[ask].to_numpy()])

        return _Path(
            open_ms=open_ms,
            close_ms=close_ms,
            open=both("open", "ask_open"),
            high=both("high", "ask_low"),
            low=both("low", "ask_high"),
            close=both("close", "ask_close"),
            count=len(rows),
            until_ms=int(close_ms[-1]) if len(rows) else -1,
        )


class _Walk:
    """All candidates of a symbol walked through the bars together, bar by bar after the entry; those that reach a
    barrier leave the walk. Arrays of one entry per candidate, prices turned as in _Path."""

    def __init__(self, due: pl.DataFrame, path: _Path) -> None:
        size = len(due)
        sign = np.where((due["kind"] == "LONG").to_numpy(), 1.0, -1.0)
        self.path = path
        self.entry = sign * due["entry_price"].to_numpy()
        self.stop = sign * due["stop_price"].to_numpy()
        self.target = sign * due["target_price"].to_numpy()
        self.entry_ms = due["entry_ms"].to_numpy()
        self.timeout_ms = due["timeout_ms"].to_numpy()
        self.first = np.searchsorted(path.open_ms, self.entry_ms)
        self.limit = np.searchsorted(path.open_ms, self.timeout_ms)
        self.half = np.where(sign > 0, 0, path.count)
        self.barrier = np.zeros(size, dtype=np.int64)
        self.exit_price = np.zeros(size)
        self.end_ms = np.zeros(size, dtype=np.int64)
        self.best, self.worst, self.area = np.zeros(size), np.zeros(size), np.zeros(size)
        self.best_after_ms, self.drawdown_ms = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
        self.bars_held = np.zeros(size, dtype=np.int64)

    def run(self) -> None:
        """Walk until every candidate has left."""
        walking = np.flatnonzero(self.first < self.limit)
        timed_out = [np.flatnonzero(self.first >= self.limit)]
        step = 0
        while len(walking):
            walking = walking[~self._bar(walking, self.first[walking] + step)]
            step += 1
            is_over = self.first[walking] + step >= self.limit[walking]
            timed_out.append(walking[is_over])
            walking = walking[~is_over]
        self._time_out(np.concatenate(timed_out))

    def _bar(self, who: np.ndarray, bar: np.ndarray) -> np.ndarray:
        """Take candidates `who` through `bar`; return which of them reached a barrier in it."""
        path, at = self.path, bar + self.half[who]
        opened, high, low = path.open[at], path.high[at], path.low[at]
        entry, stop, target = self.entry[who], self.stop[who], self.target[who]
        opens_beyond = opened >= target
        is_stop = (low <= stop) & ~opens_beyond
        is_target = (high >= target) & ~is_stop
        left = np.where(is_stop, np.minimum(opened, stop), np.where(is_target, target, path.close[at]))
        # What the path surely did before it left: see the module's rules.
        highest = np.where(is_stop, opened, np.where(is_target, target, high))
        lowest = np.where(is_stop, left, np.where(opens_beyond, target, low))
        self._remember(who, bar, highest - entry, lowest - entry, left - entry)
        is_out: np.ndarray = is_stop | is_target
        out = who[is_out]
        self.barrier[out] = np.where(is_stop[is_out], _STOP, _TARGET)
        self.exit_price[out] = left[is_out]
        self.end_ms[out] = path.close_ms[bar[is_out]]
        return is_out

    def _remember(
        self, who: np.ndarray, bar: np.ndarray, highest: np.ndarray, lowest: np.ndarray, left: np.ndarray
    ) -> None:
        """Take up a bar's excursions (price distances from the entry) and where it left the position."""
        length = self.path.close_ms[bar] - self.path.open_ms[bar]
        is_higher = highest > self.best[who]
        better = who[is_higher]
        self.best[better] = highest[is_higher]
        self.best_after_ms[better] = self.path.close_ms[bar[is_higher]] - self.entry_ms[better]
        self.worst[who] = np.minimum(self.worst[who], lowest)
        self.drawdown_ms[who] += np.where(left < 0, length, 0)
        self.area[who] += left * length
        self.bars_held[who] += 1

    def _time_out(self, who: np.ndarray) -> None:
        """Close what reached no barrier: at the last close before the timeout, after a silence at the next open."""
        path = self.path
        last, following = self.limit[who] - 1, self.limit[who]
        # A candidate without a bar of its own has only what comes next, however short the silence.
        has_last = (self.first[who] <= last) & (self.timeout_ms[who] - path.close_ms[last] < SILENCE_MS)
        prompt, late = who[has_last], who[~has_last]
        self.exit_price[prompt] = path.close[last[has_last] + self.half[prompt]]
        self.end_ms[prompt] = path.close_ms[last[has_last]]
        opened = path.open[following[~has_last] + self.half[late]]
        is_stop, is_target = opened <= self.stop[late], opened >= self.target[late]
        price = np.where(is_target, self.target[late], opened)
        self.barrier[late] = np.where(is_stop, _STOP, np.where(is_target, _TARGET, _TIMEOUT))
        self.exit_price[late] = price
        self.end_ms[late] = path.open_ms[following[~has_last]]
        gain = price - self.entry[late]
        is_higher = gain > self.best[late]
        self.best_after_ms[late[is_higher]] = (self.end_ms[late] - self.entry_ms[late])[is_higher]
        self.best[late] = np.maximum(self.best[late], gain)
        self.worst[late] = np.minimum(self.worst[late], gain)
