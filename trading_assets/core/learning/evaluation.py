"""How good a model's probabilities were on rows it had not seen: scores, calibration, utility, with intervals.

Rows of one day resemble each other (the same moves reach many candidates), so every interval is a bootstrap over whole days.
Whether the figures are good enough is `promotion`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from statistics import NormalDist

import msgspec
import numpy as np
import polars as pl

from trading_assets.core.learning.calibration import LOWEST, ReliabilityBin, calibration_error, reliability

RESAMPLES = 2000
TOP_SHARE = 0.1
WORST_TIER = "full_loss"
EULER_GAMMA = 0.5772156649015329


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate with its bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


class DayScore(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of one UTC day, so that two models can be compared day by day."""

    day: date
    rows: int
    log_loss: float
    baseline_log_loss: float
    brier: float
    baseline_brier: float
    selected: int
    """Decisions among the day's top tenth by win probability."""
    selected_r: float
    """Sum of their results."""


class RegimeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The same model in one regime."""

    regime: str
    rows: int
    win_share: float
    brier: float
    baseline_brier: float
    selected: int
    selected_r: float
    """Mean result of the selected decisions."""


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """A model's figures on rows out of sample. One object per model and set of rows."""

    feature_set_version: str
    rows_sha256: str
    """Hash of the judged idea ids: two evaluations with the same hash judged the same rows."""
    rows: int
    decisions: int
    wins: int
    brier: float
    baseline_brier: float
    log_loss: float
    baseline_log_loss: float
    log_loss_gain: Interval
    """Base rate's log loss less the model's, positive when the model is better."""
    auc: float
    calibration_error: float
    calibration_interval: Interval
    """The same with its bootstrap interval: with few days even honest probabilities lie off by some hundredths."""
    reliability: tuple[ReliabilityBin, ...]
    worst_tier_precision: float
    """Share of full losses among the tenth of rows with the lowest probability."""
    worst_tier_share: float
    """Share of full losses among all rows."""
    mean_r: float
    """Mean result of all rows."""
    selected_r: Interval
    """Mean result, after costs, of each day's top tenth of decisions, each with its most probable candidate."""
    sharpe: float
    """Mean over standard deviation of the daily mean result of the selected decisions."""
    deflated_sharpe: float
    variants_tried: int
    confidence: float
    regimes: tuple[RegimeFigures, ...]
    days: tuple[DayScore, ...]

    @property
    def skill(self) -> float:
        """The judged score: share of the base rate's log loss that the model removes."""
        return 1.0 - self.log_loss / self.baseline_log_loss if self.baseline_log_loss > 0 else 0.0


def evaluate(
    frame: pl.DataFrame,
    probability: np.ndarray,
    baseline: np.ndarray,
    *,
    variants_tried: int = 1,
    recent_decisions: int | None = None,
    confidence: float = 0.95,
) -> Evaluation:
    """Judge probabilities (n,) against the outcomes of dataset rows (n) and against base rates (n,).

    With `recent_decisions` only the most recent that many decisions count. Raises ValueError without rows.
    """
    if frame.is_empty():
        raise ValueError("there are no rows to judge")
    scored = _recent(_scored(frame, probability, baseline), recent_decisions)
    days = _days(scored)
    is_win, p = scored["is_win"].to_numpy(), scored["probability"].to_numpy()
    diagram = reliability(p, is_win)
    lowest = scored.sort("probability", "idea_id").head(max(1, len(scored) // 10))
    daily_r = np.array([day.selected_r / day.selected for day in days if day.selected])
    sharpe, deflated = deflated_sharpe(daily_r, variants_tried)
    total = scored.select(pl.col("log_loss", "baseline_log_loss", "brier", "baseline_brier", "result_r").mean()).row(0)
    return Evaluation(
        feature_set_version=", ".join(sorted(set(scored["feature_set_version"]))),
        rows_sha256=sha256("\n".join(sorted(scored["idea_id"])).encode()).hexdigest(),
        rows=len(scored),
        decisions=scored["signal_id"].n_unique(),
        wins=int(is_win.sum()),
        log_loss=total[0],
        baseline_log_loss=total[1],
        brier=total[2],
        baseline_brier=total[3],
        mean_r=total[4],
        log_loss_gain=interval_of(
            [day.baseline_log_loss - day.log_loss for day in days], [day.rows for day in days], confidence
        ),
        auc=area_under_curve(p, is_win),
        calibration_error=calibration_error(diagram),
        calibration_interval=_calibration_interval(scored, calibration_error(diagram), len(diagram), confidence),
        reliability=diagram,
        worst_tier_precision=_share_of(lowest, WORST_TIER),
        worst_tier_share=_share_of(scored, WORST_TIER),
        selected_r=interval_of([day.selected_r for day in days], [day.selected for day in days], confidence),
        sharpe=sharpe,
        deflated_sharpe=deflated,
        variants_tried=variants_tried,
        confidence=confidence,
        regimes=_regimes(scored),
        days=days,
    )


def _scored(frame: pl.DataFrame, probability: np.ndarray, baseline: np.ndarray) -> pl.DataFrame:
    """Add each row's losses and whether it is selected."""
    columns = (
        "idea_id",
        "signal_id",
        "decided_at",
        "feature_set_version",
        "regime",
        "is_win",
        "result_r",
        "profit_tier",
    )
    won = pl.col("is_win").cast(pl.Float64)

    def log_loss(name: str) -> pl.Expr:
        p = pl.col(name).clip(LOWEST, 1.0 - LOWEST)
        return -pl.when(pl.col("is_win")).then(p.log()).otherwise((1.0 - p).log())

    scored = frame.select(columns).with_columns(
        pl.Series("probability", probability), pl.Series("baseline", baseline), day=pl.col("decided_at").dt.date()
    )
    return _with_selection(
        scored.with_columns(
            log_loss=log_loss("probability"),
            baseline_log_loss=log_loss("baseline"),
            brier=(pl.col("probability") - won) ** 2,
            baseline_brier=(pl.col("baseline") - won) ** 2,
        )
    )


def _with_selection(scored: pl.DataFrame) -> pl.DataFrame:
    """Mark what would be traded: of each decision its most probable candidate, of those each day's top tenth.

    Equal probabilities are ordered by id, which knows nothing of the result.
    """
    best = (
        scored.sort("probability", "idea_id", descending=[True, False])
        .unique("signal_id", keep="first", maintain_order=True)
        .with_columns(place=pl.int_range(pl.len()).over("day"), size=pl.len().over("day"))
        .filter(pl.col("place") < (pl.col("size") * TOP_SHARE).ceil())
        .select("idea_id", is_selected=pl.lit(True))
    )
    return scored.join(best, on="idea_id", how="left", maintain_order="left").with_columns(
        pl.col("is_selected").fill_null(False)
    )


def _recent(scored: pl.DataFrame, decisions: int | None) -> pl.DataFrame:
    if decisions is None:
        return scored
    latest = scored.unique("signal_id").sort("decided_at", "signal_id").tail(decisions)
    return scored.join(latest.select("signal_id"), on="signal_id", how="semi", maintain_order="left")


def _days(scored: pl.DataFrame) -> tuple[DayScore, ...]:
    grouped = scored.group_by("day").agg(
        pl.len().alias("rows"),
        pl.col("log_loss", "baseline_log_loss", "brier", "baseline_brier").sum(),
        selected=pl.col("is_selected").sum(),
        selected_r=pl.col("result_r").filter(pl.col("is_selected")).sum(),
    )
    return tuple(DayScore(**row) for row in grouped.sort("day").iter_rows(named=True))


def _regimes(scored: pl.DataFrame) -> tuple[RegimeFigures, ...]:
    grouped = scored.group_by("regime").agg(
        pl.len().alias("rows"),
        pl.col("is_win").mean().alias("win_share"),
        pl.col("brier", "baseline_brier").mean(),
        selected=pl.col("is_selected").sum(),
        selected_r=pl.col("result_r").filter(pl.col("is_selected")).mean().fill_null(0.0),
    )
    return tuple(RegimeFigures(**row) for row in grouped.sort("regime").iter_rows(named=True))


def _calibration_interval(scored: pl.DataFrame, error: float, bins: int, confidence: float) -> Interval:
    """Return the calibration error with a bootstrap interval over days; the bins stay those of all rows."""
    p = scored["probability"].to_numpy()
    part = np.empty(len(p), dtype=np.int64)
    for number, rows in enumerate(np.array_split(np.argsort(p, kind="stable"), bins)):
        part[rows] = number
    _, day = np.unique(scored["day"].to_numpy(), return_inverse=True)
    off = np.zeros((int(day.max()) + 1, bins))
    np.add.at(off, (day, part), p - scored["is_win"].to_numpy())
    draws = _draws(len(off))
    errors = np.abs(draws @ off).sum(axis=1) / (draws @ np.bincount(day))
    low, high = np.quantile(errors, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value=error, low=float(low), high=float(high))


def _draws(days: int) -> np.ndarray:
    """Return how often each day is drawn, one row for each resample. Same number of days, same draws."""
    return np.random.default_rng(0).multinomial(days, np.full(days, 1 / days), size=RESAMPLES)


def _share_of(rows: pl.DataFrame, tier: str) -> float:
    return float((rows["profit_tier"] == tier).cast(pl.Float64).mean() or 0.0)  # type: ignore[arg-type]


def interval_of(sums: Sequence[float], counts: Sequence[int], confidence: float) -> Interval:
    """Return Σ sums / Σ counts with a percentile bootstrap interval over the entries (days). Same input, same interval."""
    total, number = np.asarray(sums, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if number.sum() == 0:
        return Interval(value=0.0, low=0.0, high=0.0)
    draws = _draws(len(total))
    drawn = draws @ number
    means = (draws @ total)[drawn > 0] / drawn[drawn > 0]
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value=float(total.sum() / number.sum()), low=float(low), high=float(high))


def area_under_curve(probability: np.ndarray, is_win: np.ndarray) -> float:
    """Return the area under the ROC curve: chance that a win is scored above a loss, ties count half; 0.5 without both."""
    wins, losses = int(is_win.sum()), int(len(is_win) - is_win.sum())
    if not wins or not losses:
        return 0.5
    ranks = pl.Series(probability).rank("average").to_numpy()
    return float((ranks[is_win].sum() - wins * (wins + 1) / 2) / (wins * losses))


def deflated_sharpe(returns: np.ndarray, variants_tried: int) -> tuple[float, float]:
    """Return the Sharpe ratio of returns (n,) and the probability that it is above what the best of `variants_tried`
    variants without any skill would show (Bailey and López de Prado, The Deflated Sharpe Ratio, 2014).

    Without skill a Sharpe ratio of n returns has variance 1 / (n - 1). Fewer than three returns prove nothing: 0.
    """
    count = len(returns)
    if count < 3 or not returns.std(ddof=1) > 0:
        return 0.0, 0.0
    sharpe = float(returns.mean() / returns.std(ddof=1))
    centred = (returns - returns.mean()) / returns.std()
    skew, kurtosis = float((centred**3).mean()), float((centred**4).mean())
    normal = NormalDist()
    luck = 0.0
    if variants_tried > 1:
        luck = (1 - EULER_GAMMA) * normal.inv_cdf(1 - 1 / variants_tried)
        luck += EULER_GAMMA * normal.inv_cdf(1 - 1 / (variants_tried * np.e))
    spread = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2
    score = (sharpe - luck / np.sqrt(count - 1)) * np.sqrt(count - 1) / np.sqrt(max(spread, 1e-9))
    return sharpe, normal.cdf(float(score))
