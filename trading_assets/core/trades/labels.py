"""Labels: what would have come of each candidate, traded or not. The triple barrier over the finest bid/ask prices.

Rules (`label_definition.RULES` names them and changes with them); they are those a real position lives by:
- Entered at the candidate's recorded entry price, the ask for LONG and the bid for SHORT, at the close of its bar.
- Stop and target are touched by the side that closes the position: the bid for LONG, the ask for SHORT.
- Bars find the minute in which a barrier is reached. Where the quotes behind the bars are given, they find the fill: the first
  quote at or through the stop fills at that quote, the first one at or through the target at the target.
- Without quotes a bar that opens beyond the stop fills at its open, beyond the target at the target: no favourable slippage is
  assumed. A bar that holds both counts as the stop, unless it opened beyond the target. In the bar of a stop nothing
  favourable after its open counts, in the bar of a target everything adverse does.
- The timeout is the close of the timeout_bars-th bar of the decision's timeframe after the entry; bars that do not exist (nights,
  weekends, silence) do not count. Before the weekend every position is closed, at the first such bar that closes
  near enough to it. Both leave at the last price before that close.
- A position can still be open over a closed market (a holiday that begins early): the gap then fills as any other does.
- Costs: commission of both sides, slippage where the exit is a market order (not the target), swap for each server midnight
  between entry and exit. The spread is in the prices.
- A cohort gets its labels together, once the last deadline of any of its candidates has passed in the bars: labelling
  the quick ones first would favour them.
- Excursions begin with the spread at the entry and end at the fill; they are exact, their times, time in drawdown and area are to the bar, in the last bar to the quote.

What executed trades really made lives in `outcomes` and `ledger`; what a definition and costs are, in `label_definition`.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from trading_assets.core.errors import InputError
from trading_assets.core.market.clock import ClockRule
from trading_assets.core.market.timeframes import MINUTES, minutes
from trading_assets.core.trades.label_definition import LabelCosts, LabelDefinition
from trading_assets.core.trades.price_path import TARGET, PricePath, Walk

DEFINITION = LabelDefinition()
"""The definition in use."""

_MS = 1000
_MINUTE_MS = 60_000
_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_WEEK_MINUTES, _CLOSED_MINUTES = 7 * 1440, 48 * 60
_EPOCH_WEEKDAY = 3
"""1970-01-01 was a Thursday."""
_NEVER = np.iinfo(np.int64).max
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
_BARRIERS = np.array(["timeout", "stop", "target", "weekend"])


def label_candidates(
    candidates: pl.DataFrame,
    bars: pl.DataFrame,
    costs: LabelCosts,
    definition: LabelDefinition = DEFINITION,
    quotes: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Label every LONG and SHORT candidate whose cohort's future has passed; columns as in the table `labels`.

    `candidates`: rows of the table `candidates`; tenant, account and date are carried along when present, and a column
    week_ends_at says when the symbol's own week ends, where the terminal told it. `bars`: bid/ask bars of one timeframe, the
    finest there is, in any order. `quotes`: symbol, event_at, bid and ask of those the bars were made of, where they are
    known. Candidates without prices have no label. Raises InputError for bars of several timeframes, or coarser than
    the candidates' own.
    """
    _check_bars(candidates, bars)
    ideas = candidates.filter(
        pl.col("kind").is_in(["LONG", "SHORT"])
        & pl.all_horizontal(
            pl.col("entry_price", "stop_price", "target_price", "risk_unit", "timeout_bars").is_not_null()
        )
    ).with_columns(entry_ms=pl.col("bar_close_at").dt.epoch("ms"))
    labelled = []
    for (symbol,), part in ideas.group_by("symbol", maintain_order=True):
        mine = None if quotes is None else quotes.filter(pl.col("symbol") == symbol)
        path = PricePath.of(bars.filter(pl.col("symbol") == symbol), mine)
        labelled.append(_label_symbol(part, path, costs, definition, str(symbol)))
    if not labelled:
        labelled = [_label_symbol(ideas, PricePath.of(bars.clear()), costs, definition, "")]
    return _with_cohort(pl.concat(labelled), costs, definition)


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


def _with_deadline(ideas: pl.DataFrame, open_ms: np.ndarray, definition: LabelDefinition) -> pl.DataFrame:
    """Add when each candidate is closed at the latest, and whether for the weekend; far in the future when not known yet."""
    parts = [ideas.clear().with_columns(deadline_ms=pl.lit(0, pl.Int64), is_weekend=pl.lit(False))]
    for (timeframe,), part in ideas.group_by("timeframe", maintain_order=True):
        step = MINUTES[str(timeframe)] * _MINUTE_MS
        closes = np.append(np.unique(open_ms // step) * step + step, _NEVER)
        first = np.searchsorted(closes[:-1], part["entry_ms"].to_numpy(), side="right")
        timeout = np.minimum(first + part["timeout_bars"].to_numpy() - 1, len(closes) - 1)
        before_weekend = np.append(np.flatnonzero(_is_near_weekend(closes[:-1], definition)), len(closes) - 1)
        weekend = before_weekend[np.searchsorted(before_weekend[:-1], first)]
        if "week_ends_at" in part.columns:
            exit_at = pl.col("week_ends_at").dt.epoch("ms") - definition.weekend_exit_minutes * _MINUTE_MS
            own = np.searchsorted(closes[:-1], part.select(exit_at.fill_null(_NEVER)).to_series().to_numpy())
            weekend = np.minimum(weekend, np.maximum(own, first))
        parts.append(
            part.with_columns(
                pl.Series("deadline_ms", closes[np.minimum(timeout, weekend)]),
                pl.Series("is_weekend", (weekend <= timeout) & (weekend < len(closes) - 1)),
            )
        )
    return pl.concat(parts)


def _is_near_weekend(at_ms: np.ndarray, definition: LabelDefinition) -> np.ndarray:
    """Return whether a position must be closed at each instant: `core.decisions.weekend`, for many at once."""
    since_monday = (at_ms // _MINUTE_MS + _EPOCH_WEEKDAY * 1440) % _WEEK_MINUTES
    left = (4 * 1440 + definition.weekend_close_minute - since_monday) % _WEEK_MINUTES
    near: np.ndarray = (left <= definition.weekend_exit_minutes) | (left > _WEEK_MINUTES - _CLOSED_MINUTES)
    return near


def _label_symbol(
    ideas: pl.DataFrame, path: PricePath, costs: LabelCosts, definition: LabelDefinition, symbol: str
) -> pl.DataFrame:
    due = (
        _with_deadline(ideas, path.open_ms, definition)
        .filter(pl.col("deadline_ms").max().over("signal_id") <= path.until_ms)
        .sort("entry_ms", maintain_order=True)
    )
    walk = Walk(due, path)
    walk.run()
    risk, mine = due["risk_unit"].to_numpy(), costs.of(symbol)
    cost_r = (mine.commission + np.where(walk.barrier == TARGET, 0.0, mine.slippage)) / risk
    nightly = np.where(walk.is_short, mine.swap_short, mine.swap_long)
    swap_r = nightly * _nights(walk.entry_ms - 1, walk.seen_ms, costs.clock, definition) / risk
    gross_r = (walk.exit_price - walk.entry) / risk
    kept = [name for name in _KEPT if name in due.columns]
    return due.select(*kept, pl.col("bar_close_at").alias("entry_at")).with_columns(
        pl.Series("label_end_at", walk.end_ms * _MS, dtype=pl.Int64).cast(pl.Datetime("us", "UTC")),
        pl.Series("barrier", _BARRIERS[walk.barrier].tolist(), dtype=pl.String),
        pl.Series("exit_price", np.abs(walk.exit_price)),
        pl.Series("gross_r", gross_r),
        pl.Series("cost_r", cost_r),
        pl.Series("swap_r", swap_r),
        pl.Series("result_r", gross_r - cost_r + swap_r),
        pl.Series("mae_r", walk.worst / risk),
        pl.Series("mfe_r", walk.best / risk),
        pl.Series("time_to_mae_s", walk.worst_after_ms / _MS),
        pl.Series("time_to_mfe_s", walk.best_after_ms / _MS),
        pl.Series("time_in_drawdown_s", walk.drawdown_ms / _MS),
        pl.Series("path_area_r", walk.area / risk / _HOUR_MS),
        pl.Series("bars_held", walk.bars_held, dtype=pl.Int64),
    )


def _nights(from_ms: np.ndarray, to_ms: np.ndarray, clock: str, definition: LabelDefinition) -> np.ndarray:
    """Return the nights of swap between two instants: server midnights, each with the weight of the day before it."""
    if not len(from_ms):
        return np.zeros(0)
    rule = ClockRule.parse(clock)
    begin = rule.to_server_ms(from_ms) // _DAY_MS
    end = rule.to_server_ms(to_ms) // _DAY_MS
    first = int(begin.min())
    weights = np.array(definition.nights)[(np.arange(first, int(end.max()) + 1) + _EPOCH_WEEKDAY) % 7]
    booked = np.concatenate([[0], np.cumsum(weights)])
    return np.asarray(booked[end - first] - booked[begin - first], dtype=np.float64)


def _with_cohort(labels: pl.DataFrame, costs: LabelCosts, definition: LabelDefinition) -> pl.DataFrame:
    """Add win, tier, how each candidate compares with the others of its decision, and the versions."""
    result = pl.col("result_r")
    return labels.with_columns(
        is_win=result > 0,
        profit_tier=pl.when(result <= definition.full_loss_r)
        .then(pl.lit("full_loss"))
        .when(result <= 0)
        .then(pl.lit("loss"))
        .when(result < definition.large_gain_r)
        .then(pl.lit("gain"))
        .otherwise(pl.lit("large_gain")),
        cohort_rank=result.rank("min", descending=True).over("signal_id").cast(pl.Int64),
        regret_best_r=result.max().over("signal_id") - result,
        regret_median_r=result.median().over("signal_id") - result,
        labels_version=pl.lit(definition.version),
        costs_version=pl.lit(costs.version),
    )
