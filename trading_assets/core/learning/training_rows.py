"""The rows of a training, prepared: the holdout cut off, base models' forecasts beside the features, and which rows a fold gets.

What is tried on them, and judged, is `training`; how rows are cut is `holdout` and `walk_forward`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from trading_assets.core.columns.learning import HORIZONS
from trading_assets.core.errors import InputError
from trading_assets.core.learning.base_models import BaseModel, BaseRows, can_stack
from trading_assets.core.learning.holdout import Development, Split, split_off
from trading_assets.core.learning.inspection import refuse_unsound, remarks_on
from trading_assets.core.learning.meta_model import TrainingParams, matrix_of
from trading_assets.core.learning.variants import Variant
from trading_assets.core.learning.walk_forward import Fold, Scheme, splits

BASE_PARAMS = TrainingParams(trees=40, leaves=11)
"""Of the base models: smaller, since there are many and each move is mostly noise."""

JUDGED_COLUMNS = (
    "idea_id",
    "signal_id",
    "symbol",
    "kind",
    "decided_at",
    "label_end_at",
    "feature_set_version",
    "regime",
    "exit_profile",
    "is_win",
    "result_r",
    "profit_tier",
)


@dataclass(frozen=True)
class TrainingRows:
    """All rows of a training. The matrix holds the candidate features, then the base models' forecasts where there are any."""

    whole: Development
    feature_names: tuple[str, ...]
    base_rows: BaseRows | None
    split: Split
    n_folds: int
    embargo: timedelta
    remarks: tuple[str, ...]

    def columns(self, variant: Variant) -> tuple[str, ...]:
        """Names of the matrix columns a variant reads."""
        return self.feature_names + (tuple(f"base_{h}m" for h in HORIZONS) if variant.is_stacked else ())

    def development_folds(self, scheme: Scheme) -> tuple[Fold, ...]:
        """Return the folds of the development rows."""
        known = self.split.development
        return splits(known.decided_ms, known.label_end_ms, self.n_folds - 1, self.embargo, scheme)

    def first_judged_ms(self) -> int:
        """Return when the first fold begins whose predictions count: the one before only calibrates."""
        return self.development_folds("expanding")[1].start_ms

    def holdout_fold(self, variant: Variant) -> Fold:
        """Return the holdout as the fold after the last one: training rows by the variant's scheme."""
        split, train = self.split, self.split.development_rows
        if variant.scheme == "sliding":
            train = train[self.whole.decided_ms[train] >= split.start_ms - self.span_ms()]
        end = int(self.whole.decided_ms[split.holdout_rows].max())
        return Fold(train, split.holdout_rows, split.start_ms, end)

    def span_ms(self) -> int:
        """Return the length of a sliding variant's training stretch."""
        times = np.unique(self.split.development.decided_ms)
        return int(times[len(times) // self.n_folds] - times[0])

    def bases(self, variant: Variant) -> list[BaseModel]:
        """Train the base models a stacked variant will carry, on all rows."""
        if not variant.is_stacked or self.base_rows is None:
            return []
        made = [self.base_rows.train(h, BASE_PARAMS.to_lightgbm(), BASE_PARAMS.trees) for h in HORIZONS]
        return [one for one in made if one is not None]


def usable(frame: pl.DataFrame, most_rows: int) -> pl.DataFrame:
    """Return the latest rows, at most `most_rows`, in time. Raises InputError for unsound ones."""
    refuse_unsound(frame)
    versions = sorted(set(frame["feature_set_version"]))
    if len(versions) != 1:
        raise InputError(
            "training",
            "meta-model",
            f"the rows are of {len(versions)} feature set versions ({', '.join(versions) or 'none'})",
            "pass labelled rows of exactly one",
        )
    return frame.sort("decided_at", "idea_id").tail(most_rows)


def prepared(
    rows: pl.DataFrame,
    feature_names: tuple[str, ...],
    variants: Sequence[Variant],
    n_folds: int,
    embargo: timedelta,
    progress: Callable[[str], None],
) -> TrainingRows:
    """Cut off the holdout and, for stacked variants, have base models forecast every stretch from what came before it."""
    matrix = matrix_of(rows, len(feature_names))
    remarks = remarks_on(matrix, feature_names)
    returns = [f"return_{h}m_bp" for h in HORIZONS] if can_stack(rows) else []
    # The matrix holds the features from here on; a second copy would only take memory.
    rows = rows.select(*JUDGED_COLUMNS, *returns)
    whole = Development.of(matrix, rows)
    if n_folds < 3:
        raise InputError(
            "training",
            "meta-model",
            f"{n_folds} folds leave none to choose by",
            "use three: two to choose, one held out",
        )
    split = split_off(whole, n_folds + 1, embargo)
    base_rows = None
    if returns and any(one.is_stacked for one in variants):
        progress("base models, each stretch from what came before it")
        base_rows = BaseRows(matrix, rows, feature_names)
        forecasts = base_rows.causal_forecasts(
            _starts(split, n_folds), BASE_PARAMS.to_lightgbm(), BASE_PARAMS.trees, embargo
        )
        if np.isnan(forecasts).all(axis=0).any():
            # A horizon with too little to learn from: what is left out is a variant, not the training.
            base_rows = None
        else:
            whole = Development.of(np.hstack([matrix, forecasts]), rows)
            split = split_off(whole, n_folds + 1, embargo)
    return TrainingRows(whole, feature_names, base_rows, split, n_folds, embargo, remarks)


def _starts(split: Split, n_folds: int) -> list[int]:
    """Return where stretches of forecasts begin: half-way through the first one, then at each fold, last at the holdout."""
    times = np.unique(split.development.decided_ms)
    edges = np.linspace(0, len(times), n_folds + 1).astype(np.int64)
    return [int(times[edges[1] // 2]), *(int(times[edge]) for edge in edges[1:-1]), split.start_ms]
