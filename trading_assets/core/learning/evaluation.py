"""How good a model's probabilities were on rows it had not seen: scores, calibration, utility, with intervals.

All of it for all rows, for each regime and for each symbol. Rows of one day resemble each other (the same moves reach many
candidates), so every interval is a bootstrap over whole days. Whether the figures are good enough is `promotion`; what would
have been traded is `selection`.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec
import numpy as np
import polars as pl

from trading_assets.core.learning.calibration import LOWEST, CalibrationChoice
from trading_assets.core.learning.figures import DayScore, GroupFigures, days_of, figures_of, groups_of
from trading_assets.core.learning.intervals import Interval
from trading_assets.core.learning.reliability import BrierParts, ReliabilityBin, reliability
from trading_assets.core.learning.selection import (
    EquityPoint,
    TopFigures,
    best_of_decisions,
    equity,
    selected,
    top_figures,
)

_NOTHING = Interval(value=0.0, low=0.0, high=0.0)


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
    """Mean result, after costs, of the decisions that would have been taken, each with its most probable candidate."""
    sharpe: float
    """Mean over standard deviation of what the selected decisions made each day, in R."""
    deflated_sharpe: float
    variants_tried: int
    confidence: float
    days: tuple[DayScore, ...]
    # What follows was added later; models judged before are without it.
    brier_parts: BrierParts | None = None
    worst_tier_interval: Interval = _NOTHING
    probabilistic_sharpe: float = 0.0
    top: tuple[TopFigures, ...] = ()
    equity: tuple[EquityPoint, ...] = ()
    total_r: Interval = _NOTHING
    by_regime: tuple[GroupFigures, ...] = ()
    by_symbol: tuple[GroupFigures, ...] = ()
    calibration: CalibrationChoice | None = None
    """What the model that goes into use is calibrated by, and how each way did."""
    fold_calibrations: tuple[str, ...] = ()
    """What was chosen for each judged fold, by the folds before it."""

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

    With `recent_decisions` only the most recent that many decisions count. Raises ValueError without rows, or where a
    probability is not one.
    """
    if frame.is_empty():
        raise ValueError("there are no rows to judge")
    for said in (probability, baseline):
        if not ((said >= 0.0) & (said <= 1.0)).all():
            raise ValueError("a probability to judge is not between 0 and 1")
    scored = _recent(_scored(frame, probability, baseline), recent_decisions)
    best = best_of_decisions(scored)
    scored = _with_selection(scored, best)
    days = days_of(scored)
    own = figures_of(scored, days, variants_tried, confidence)
    return Evaluation(
        feature_set_version=", ".join(sorted(set(scored["feature_set_version"]))),
        rows_sha256=sha256("\n".join(sorted(scored["idea_id"])).encode()).hexdigest(),
        rows=own.rows,
        decisions=own.decisions,
        wins=int(scored["is_win"].sum()),
        brier=own.brier,
        baseline_brier=own.baseline_brier,
        log_loss=own.log_loss,
        baseline_log_loss=own.baseline_log_loss,
        log_loss_gain=own.log_loss_gain,
        auc=own.auc,
        calibration_error=own.calibration_error.value,
        calibration_interval=own.calibration_error,
        reliability=reliability(scored["probability"].to_numpy(), scored["is_win"].to_numpy()),
        worst_tier_precision=own.worst_tier_precision.value,
        worst_tier_share=own.worst_tier_share,
        mean_r=own.mean_r,
        selected_r=own.selected_r,
        sharpe=own.sharpe.ratio,
        deflated_sharpe=own.sharpe.deflated,
        variants_tried=variants_tried,
        confidence=confidence,
        days=days,
        brier_parts=own.brier_parts,
        worst_tier_interval=own.worst_tier_precision,
        probabilistic_sharpe=own.sharpe.probabilistic,
        top=top_figures(best, confidence),
        equity=equity(
            [day.day for day in days], [day.selected for day in days], [day.selected_r for day in days], confidence
        ),
        total_r=own.total_r,
        by_regime=groups_of(scored, "regime", variants_tried, confidence),
        by_symbol=groups_of(scored, "symbol", variants_tried, confidence),
    )


def _scored(frame: pl.DataFrame, probability: np.ndarray, baseline: np.ndarray) -> pl.DataFrame:
    """Add each row's losses."""
    columns = (
        "idea_id",
        "signal_id",
        "decided_at",
        "feature_set_version",
        "symbol",
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
    return scored.with_columns(
        log_loss=log_loss("probability"),
        baseline_log_loss=log_loss("baseline"),
        brier=(pl.col("probability") - won) ** 2,
        baseline_brier=(pl.col("baseline") - won) ** 2,
    )


def _with_selection(scored: pl.DataFrame, best: pl.DataFrame) -> pl.DataFrame:
    """Mark what would be traded."""
    taken = selected(best).select("idea_id", is_selected=pl.lit(True))
    return scored.join(taken, on="idea_id", how="left", maintain_order="left").with_columns(
        pl.col("is_selected").fill_null(False)
    )


def _recent(scored: pl.DataFrame, decisions: int | None) -> pl.DataFrame:
    if decisions is None:
        return scored
    latest = scored.unique("signal_id").sort("decided_at", "signal_id").tail(decisions)
    return scored.join(latest.select("signal_id"), on="signal_id", how="semi", maintain_order="left")
