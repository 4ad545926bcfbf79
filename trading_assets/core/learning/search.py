"""Hyperparameter search by Optuna, inside training rows that no fold judges. Seeded: the same rows give the same trials.

It gets a `holdout.Development` and takes of it only the rows before the first judged fold, so neither the walk-forward that
compares variants nor the holdout has had a part in the choice. Every trial counts as a variant tried: `training` adds them to
those of earlier trainings, and the deflated Sharpe ratio is held against them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import msgspec
import numpy as np
import optuna

from trading_assets.core.learning.calibration import HIGHEST, LOWEST
from trading_assets.core.learning.holdout import Development
from trading_assets.core.learning.meta_model import TrainingParams
from trading_assets.core.learning.walk_forward import predict_out_of_fold, splits

FOLDS = 2


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """How much to search. No trial means no search."""

    trials: int = 0
    seed: int = 7


@dataclass(frozen=True)
class Trial:
    """What was tried, and its log loss inside the training rows."""

    params: TrainingParams
    log_loss: float


def search(
    development: Development, feature_names: tuple[str, ...], first_judged_ms: int, asked: Search, embargo: timedelta
) -> tuple[Trial, ...]:
    """Try parameters on the rows that are known before `first_judged_ms`; return the trials, best first."""
    inner = development.before(first_judged_ms, embargo)
    folds = splits(inner.decided_ms, inner.label_end_ms, FOLDS, embargo)
    is_win = inner.rows["is_win"].to_numpy()
    tried: list[Trial] = []

    def objective(trial: optuna.Trial) -> float:
        params = _suggest(trial, asked.seed)
        found = predict_out_of_fold(inner.matrix, inner.rows, feature_names, folds, params, embargo)
        p = np.clip(found.raw, LOWEST, HIGHEST)
        loss = float(-np.log(np.where(is_win[found.rows], p, 1 - p)).mean())
        tried.append(Trial(params, loss))
        return loss

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=asked.seed), direction="minimize")
    study.optimize(objective, n_trials=asked.trials, n_jobs=1)
    return tuple(sorted(tried, key=lambda one: one.log_loss))


def _suggest(trial: optuna.Trial, seed: int) -> TrainingParams:
    return TrainingParams(
        trees=trial.suggest_int("trees", 50, 300, step=25),
        leaves=trial.suggest_int("leaves", 3, 31, log=True),
        learning_rate=trial.suggest_float("learning_rate", 0.01, 0.1, log=True),
        feature_share=trial.suggest_float("feature_share", 0.3, 1.0),
        rows_per_leaf=trial.suggest_int("rows_per_leaf", 200, 4000, log=True),
        l2=trial.suggest_float("l2", 0.1, 100.0, log=True),
        logistic_share=trial.suggest_float("logistic_share", 0.0, 1.0),
        seed=seed,
    )
