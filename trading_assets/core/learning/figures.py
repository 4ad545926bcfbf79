"""Figures of scored rows: what a set of rows, all of them or those of one regime or symbol, says of a model's probabilities.

Scored rows hold, beside what was judged, each row's losses (`log_loss`, `brier`, and those of the base rate), its `day`, and
`is_selected`. Every interval is a bootstrap over days. What is put together of them is `evaluation`.
"""

from __future__ import annotations

from datetime import date

import msgspec
import numpy as np
import polars as pl

from trading_assets.core.learning.intervals import Interval, around, draws_of, interval_of
from trading_assets.core.learning.reliability import BrierParts, bins_of, brier_parts, calibration_error, reliability
from trading_assets.core.learning.selection import total_of
from trading_assets.core.learning.sharpe import Sharpe, sharpe_of

WORST_TIER = "full_loss"
GROUP_ROWS, GROUP_DAYS = 500, 5
"""Fewer rows or days than these say nothing of a group."""


class DayScore(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of one UTC day, so that two models can be compared day by day."""

    day: date
    rows: int
    log_loss: float
    baseline_log_loss: float
    brier: float
    baseline_brier: float
    selected: int
    """Decisions of the day that would have been taken, by a threshold known before."""
    selected_r: float
    """Sum of their results."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What the rows of one regime or symbol show."""

    rows: int
    decisions: int
    days: int
    win_share: float
    brier: float
    baseline_brier: float
    brier_parts: BrierParts
    log_loss: float
    baseline_log_loss: float
    log_loss_gain: Interval
    auc: float
    calibration_error: Interval
    worst_tier_share: float
    worst_tier_precision: Interval
    mean_r: float
    selected: int
    selected_r: Interval
    total_r: Interval
    sharpe: Sharpe


class GroupFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The same model in one regime or on one symbol; no figures where there are too few rows or days."""

    name: str
    rows: int
    days: int
    figures: Figures | None

    @property
    def text(self) -> str:
        """Say what is known, for a log."""
        if self.figures is None:
            return f"{self.name}: too few ({self.rows} rows on {self.days} days)"
        return f"{self.name}: log loss gain {self.figures.log_loss_gain}, selected {self.figures.selected_r} R"


def days_of(scored: pl.DataFrame) -> tuple[DayScore, ...]:
    """Sum up each day of scored rows, in order."""
    grouped = scored.group_by("day").agg(
        pl.len().alias("rows"),
        pl.col("log_loss", "baseline_log_loss", "brier", "baseline_brier").sum(),
        selected=pl.col("is_selected").sum(),
        selected_r=pl.col("result_r").filter(pl.col("is_selected")).sum(),
    )
    return tuple(DayScore(**row) for row in grouped.sort("day").iter_rows(named=True))


def groups_of(scored: pl.DataFrame, column: str, variants_tried: int, confidence: float) -> tuple[GroupFigures, ...]:
    """Return the figures of each value of a column, where there are enough rows and days for any."""
    found = []
    for (name,), part in sorted(scored.partition_by(column, as_dict=True).items(), key=lambda one: str(one[0])):
        days = days_of(part)
        is_enough = len(part) >= GROUP_ROWS and len(days) >= GROUP_DAYS
        figures = figures_of(part, days, variants_tried, confidence) if is_enough else None
        found.append(GroupFigures(name=str(name), rows=len(part), days=len(days), figures=figures))
    return tuple(found)


def figures_of(scored: pl.DataFrame, days: tuple[DayScore, ...], variants_tried: int, confidence: float) -> Figures:
    """Work out the figures of scored rows, whose selection is marked."""
    is_win, p = scored["is_win"].to_numpy(), scored["probability"].to_numpy()
    diagram = reliability(p, is_win)
    means = scored.select(pl.col("log_loss", "baseline_log_loss", "brier", "baseline_brier", "result_r").mean()).row(0)
    rows, taken = [day.rows for day in days], [day.selected for day in days]
    # A day's sum and not its mean: a day with one trade would weigh as much as one with thirty.
    daily_r = np.array([day.selected_r for day in days])
    return Figures(
        rows=len(scored),
        decisions=scored["signal_id"].n_unique(),
        days=len(days),
        win_share=float(is_win.mean()),
        log_loss=means[0],
        baseline_log_loss=means[1],
        brier=means[2],
        baseline_brier=means[3],
        mean_r=means[4],
        brier_parts=brier_parts(diagram, means[2]),
        log_loss_gain=interval_of([day.baseline_log_loss - day.log_loss for day in days], rows, confidence),
        auc=area_under_curve(p, is_win),
        calibration_error=_calibration_interval(scored, calibration_error(diagram), confidence),
        worst_tier_share=_share_of(scored, WORST_TIER),
        worst_tier_precision=_worst_tier(scored, confidence),
        selected=sum(taken),
        selected_r=interval_of([day.selected_r for day in days], taken, confidence),
        total_r=total_of([day.selected_r for day in days], confidence),
        sharpe=sharpe_of(daily_r, variants_tried),
    )


def _worst_tier(scored: pl.DataFrame, confidence: float) -> Interval:
    """Return the share of full losses among the tenth of rows with the lowest probability."""
    lowest = scored.sort("probability", "idea_id").head(max(1, len(scored) // 10))
    lost = (pl.col("profit_tier") == WORST_TIER).sum().cast(pl.Float64)
    daily = lowest.group_by("day").agg(pl.len(), lost=lost).sort("day")
    return interval_of(daily["lost"].to_list(), daily["len"].to_list(), confidence)


def _calibration_interval(scored: pl.DataFrame, error: float, confidence: float) -> Interval:
    """Return the calibration error with a bootstrap interval over days; the bins stay those of all rows."""
    p = scored["probability"].to_numpy()
    part = bins_of(p)
    _, day = np.unique(scored["day"].to_numpy(), return_inverse=True)
    off = np.zeros((int(day.max()) + 1, int(part.max()) + 1))
    np.add.at(off, (day, part), p - scored["is_win"].to_numpy())
    draws = draws_of(len(off))
    return around(error, np.abs(draws @ off).sum(axis=1) / (draws @ np.bincount(day)), confidence)


def _share_of(rows: pl.DataFrame, tier: str) -> float:
    return float((rows["profit_tier"] == tier).cast(pl.Float64).mean() or 0.0)  # type: ignore[arg-type]


def area_under_curve(probability: np.ndarray, is_win: np.ndarray) -> float:
    """Return the area under the ROC curve: chance that a win is scored above a loss, ties count half; 0.5 without both."""
    wins, losses = int(is_win.sum()), int(len(is_win) - is_win.sum())
    if not wins or not losses:
        return 0.5
    ranks = pl.Series(probability).rank("average").to_numpy()
    return float((ranks[is_win].sum() - wins * (wins + 1) / 2) / (wins * losses))
