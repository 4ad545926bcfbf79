"""Drift: whether recent decisions still look like those the model learned from, and whether it is still right.

An alarm needs a minimum number of rows and an effect of a size that matters; a p-value alone grows with the sample. What an
alarm leads to is `promotion` and the schedule of retraining.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import numpy as np

MINIMUM_ROWS = 500
MINIMUM_TRADES = 100


class Thresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From which effect on an alarm is raised."""

    distance: float = 0.35
    """Kolmogorov-Smirnov distance of one feature's two distributions, 0 to 1."""
    feature_share: float = 0.25
    """Share of drifted features that makes an alarm; one feature alone often only follows the calendar."""
    calibration: float = 0.08
    """Distance of the mean probability from the share of wins."""
    accuracy: float = 0.60
    """Share of executed trades with a positive net result under which retraining starts."""


class FeatureDrift(msgspec.Struct, frozen=True, kw_only=True):
    """How far one feature has moved."""

    feature: str
    distance: float
    missing_change: float
    """Change of the share of rows without a value."""
    is_drifted: bool


class DriftReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was compared, how far it moved, and the alarms, each a sentence."""

    reference_rows: int
    recent_rows: int
    features: tuple[FeatureDrift, ...]
    alarms: tuple[str, ...]


def feature_drift(
    reference: np.ndarray, recent: np.ndarray, names: Sequence[str], thresholds: Thresholds | None = None
) -> DriftReport:
    """Compare the features of training rows (n, k) with those of recent rows (m, k), NaN where unknown.

    With fewer than 500 rows on either side nothing is compared and no alarm is raised.
    """
    limits = thresholds or Thresholds()
    if min(len(reference), len(recent)) < MINIMUM_ROWS:
        return DriftReport(reference_rows=len(reference), recent_rows=len(recent), features=(), alarms=())
    features = tuple(
        _compare(name, reference[:, column], recent[:, column], limits) for column, name in enumerate(names)
    )
    drifted = sorted((feature for feature in features if feature.is_drifted), key=lambda feature: -feature.distance)
    share = len(drifted) / len(features) if features else 0.0
    alarms: tuple[str, ...] = ()
    if share >= limits.feature_share:
        alarms = (
            f"{len(drifted)} of {len(features)} features have moved by a distance of {limits.distance} or more, most of all "
            f"{', '.join(feature.feature for feature in drifted[:3])}.",
        )
    return DriftReport(reference_rows=len(reference), recent_rows=len(recent), features=features, alarms=alarms)


def _compare(name: str, before: np.ndarray, after: np.ndarray, limits: Thresholds) -> FeatureDrift:
    known_before, known_after = before[~np.isnan(before)], after[~np.isnan(after)]
    missing = float(np.isnan(after).mean() - np.isnan(before).mean())
    is_comparable = min(len(known_before), len(known_after)) >= MINIMUM_ROWS
    distance = distribution_distance(known_before, known_after) if is_comparable else 0.0
    return FeatureDrift(
        feature=name,
        distance=distance,
        missing_change=missing,
        is_drifted=distance >= limits.distance or abs(missing) >= limits.distance,
    )


def distribution_distance(before: np.ndarray, after: np.ndarray) -> float:
    """Return the Kolmogorov-Smirnov distance: the largest gap between the two cumulative distributions, 0 to 1."""
    first, second = np.sort(before), np.sort(after)
    values = np.concatenate([first, second])
    below_first = np.searchsorted(first, values, side="right") / len(first)
    below_second = np.searchsorted(second, values, side="right") / len(second)
    return float(np.abs(below_first - below_second).max())


def calibration_alarm(probability: np.ndarray, is_win: np.ndarray, thresholds: Thresholds | None = None) -> str | None:
    """Say whether the probabilities (n,) given live are too high or too low for what came of them (n,)."""
    limits = thresholds or Thresholds()
    if len(probability) < MINIMUM_ROWS:
        return None
    predicted, observed = float(probability.mean()), float(is_win.astype(float).mean())
    if abs(predicted - observed) < limits.calibration:
        return None
    return (
        f"Over the last {len(probability)} candidates the model expected {predicted:.1%} wins and {observed:.1%} came, "
        f"a difference of {limits.calibration:.0%} or more."
    )


def accuracy(net_pnl: Sequence[Decimal]) -> float | None:
    """Return the share of executed trades with a positive net result; None without trades."""
    return sum(1 for net in net_pnl if net > 0) / len(net_pnl) if net_pnl else None


def accuracy_alarm(net_pnl: Sequence[Decimal], thresholds: Thresholds | None = None) -> str | None:
    """Say whether too few of the last 100 executed trades made money; None with fewer than 100, oldest first."""
    limits = thresholds or Thresholds()
    latest = net_pnl[-MINIMUM_TRADES:]
    share = accuracy(latest)
    if len(latest) < MINIMUM_TRADES or share is None or share >= limits.accuracy:
        return None
    return f"Of the last {len(latest)} trades {share:.0%} made money after costs, under {limits.accuracy:.0%}."
