"""The policy: every threshold by which models are trained anew, judged, rolled out and taken back, in one place.

It is data with a version; each judgement names the version it was made under. How a home may differ from the defaults is
`store.policy`.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated

import msgspec

from trading_assets.core.learning.drift import Thresholds
from trading_assets.core.learning.leaks import LeakThresholds

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Requirements(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model must show before it is promoted."""

    feature_set_version: str = ""
    """The feature set in use, filled in by who judges: a model of another one could not judge a single decision."""
    minimum_rows: Count = 5_000
    minimum_days: Count = 10
    minimum_wins: Count = 200
    """Of wins and of losses alike."""
    minimum_selected: Count = 100
    maximum_calibration_error: Share = 0.05
    minimum_deflated_sharpe: Share = 0.95
    margin: Annotated[float, msgspec.Meta(ge=0.0)] = 0.05
    """How much better than the champion's skill a challenger's must be, relative."""


class Ladder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a promoted model comes to count: from shadow up the steps, each on what it said live under the step before.

    There is one ladder, for the general champion. Champions of single regimes would each get one, once a regime has the samples;
    what a release says of its regime is all that would have to be added.
    """

    steps: Annotated[tuple[Share, ...], msgspec.Meta(min_length=1)] = (0.0, 0.1, 0.3)
    minimum_decisions: Count = 1_000
    """Labelled live decisions under the present release that a step up needs."""
    minimum_days: Count = 10
    """Days they must span: days are what the intervals are drawn from."""
    alarm_decisions: Count = 300
    """Labelled live decisions from which on a model can be stepped back or demoted."""
    alarm_days: Count = 5
    maximum_calibration_error: Share = 0.05
    confidence: Share = 0.99
    """Of the intervals. Higher than at promotion, since live results are looked at again every hour."""


class Retraining(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a training starts beside the daily one."""

    decay_hours: Count = 24
    """Accuracy, calibration and drift start at most one training in each window of this length, never one per trade."""
    label_hours: Count = 1
    """New labels start at most one training in each window of this length."""
    attempts: Count = 3
    """Trainings a window is given when they fail."""
    live_decisions: Count = 2_000
    """Latest labelled live decisions that calibration and drift are read from."""


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it."""

    requirements: Requirements = Requirements()
    leaks: LeakThresholds = LeakThresholds()
    drift: Thresholds = Thresholds()
    ladder: Ladder = Ladder()
    retraining: Retraining = Retraining()

    @property
    def version(self) -> str:
        """Name by content."""
        return f"policy-{sha256(msgspec.json.encode(self, order='sorted')).hexdigest()[:8]}"


DEFAULT = Policy()
