"""The meta-model: given everything a decision knew, how likely does this candidate win?

LightGBM's trees and, at equal weight, the logistic baseline: their log odds are averaged and the average is calibrated. The two
err differently: the regression holds on to what is linear in a few features and cannot learn days by heart, trees find the rest
and overdo it. On ten synthetic markets (201 to 208, 1, 2; those of the torture harness had no part) the average was better than
either in each, and surely better than the regression alone. Trees boosted from the regression's margin gained a third of that:
twenty stop short, eighty learn the days by heart all the same. The weight is fixed and not fitted, since a month of days holds
too few for that; between 0.3 and 0.5 it made no difference.

Settings under which the same rows and parameters give the same bytes. Which rows train and which judge is `walk_forward`; the
regression is `logistic`; what a raw score means is `calibration`; whether the model may be used is `promotion`.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import msgspec
import numpy as np
import polars as pl

from trading_assets.core.errors import InputError, StateError
from trading_assets.core.learning.base_models import BaseModel, StoredBase
from trading_assets.core.learning.calibration import IDENTITY, calibrate
from trading_assets.core.learning.logistic import Regression, baseline_columns, fit_regression, probabilities
from trading_assets.core.learning.trees import booster, trained
from trading_assets.core.release import Calibration

FORMAT, FORMAT_WITH_REGRESSION = 1, 2
"""Software that knows trees alone would score a model with a regression wrongly, so that it must refuse it."""
MODEL_FILE = "meta_model.json"
MINIMUM_ROWS = 100


class TrainingParams(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters of a model. The trees are modest on purpose: the signal is weak, and rows of one day resemble each other.

    Deeper trees (31 leaves of 200 rows) lost to the logistic baseline on the synthetic market: they learned its days by heart.
    """

    trees: int = 80
    leaves: int = 5
    learning_rate: float = 0.05
    feature_share: float = 0.3
    row_share: float = 0.5
    rows_per_leaf: int = 2_000
    """At most; where rows are few, a fortieth of them."""
    l2: float = 50.0
    max_bin: int = 63
    seed: int = 7
    logistic_share: float = 0.5
    """Weight of the regression's log odds, 0 to 1; what is left is that of the trees. Without any of its features there is none."""

    def to_lightgbm(self) -> dict[str, object]:
        """Return LightGBM's own parameters. `deterministic`, one way of building histograms, a fixed number of
        threads and seeds make the bytes repeatable (https://lightgbm.readthedocs.io/en/stable/Parameters.html).

        One thread: several wait for each other in a loop, and beside a busy process took three times as long as one.
        """
        return {
            "objective": "binary",
            "num_leaves": self.leaves,
            "learning_rate": self.learning_rate,
            "feature_fraction": self.feature_share,
            "bagging_fraction": self.row_share,
            "bagging_freq": 1,
            "min_data_in_leaf": self.rows_per_leaf,
            "lambda_l2": self.l2,
            "max_bin": self.max_bin,
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }


class _Stored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What rests in the model's file. What a model does without takes no bytes."""

    format: int
    feature_names: tuple[str, ...]
    params: TrainingParams
    calibration: Calibration
    booster_sha256: str
    booster: str
    bases: tuple[StoredBase, ...] = ()
    regression: Regression | None = None
    logistic_share: float = 0.0


class MetaModel:
    """A trained model with its calibration. Never changed once made; `calibrated` gives a new one."""

    __slots__ = ("_bases", "_booster", "_bytes", "_columns", "_stored", "version")

    def __init__(self, stored: _Stored, content: bytes = b"") -> None:
        self._stored = stored
        # A file that was read keeps its bytes: parameters that have come since must not give it another version.
        self._bytes = content or msgspec.json.encode(stored)
        self._booster = booster(stored.booster)
        self._bases = tuple([BaseModel(base) for base in stored.bases])
        self._columns = len(stored.feature_names)
        self.version = f"meta-{sha256(self._bytes).hexdigest()[:12]}"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Columns of the candidate matrix, in order."""
        return self._stored.feature_names

    @property
    def base_names(self) -> tuple[str, ...]:
        """Names of the base models' forecasts, which it makes of the row by itself; they follow the features."""
        return tuple([base.name for base in self._bases])

    @property
    def params(self) -> TrainingParams:
        """Parameters it was trained with."""
        return self._stored.params

    @property
    def logistic_share(self) -> float:
        """Weight of the regression's log odds; 0 for trees alone."""
        return self._stored.logistic_share

    @property
    def calibration(self) -> Calibration:
        """Map from raw score to probability."""
        return self._stored.calibration

    def raw_score(self, matrix: np.ndarray) -> np.ndarray:
        """Return uncalibrated probabilities (n,) for rows (n, k); float32 inside, as in training.

        One thread: with more, six rows take up to 10 ms in the tail. Each row is scored by itself, so a row has the same
        value alone and in a batch.
        """
        if matrix.ndim != 2 or matrix.shape[1] != self._columns:
            raise ValueError(f"{self.version} takes rows of {self._columns} candidate features, got {matrix.shape}")
        if not len(matrix):
            return np.empty(0)
        inputs, regression = self._inputs(matrix), self._stored.regression
        if regression is None:
            return np.asarray(self._booster.predict(inputs, num_threads=1), dtype=np.float64)
        trees = np.asarray(self._booster.predict(inputs, num_threads=1, raw_score=True), dtype=np.float64)
        share = self.logistic_share
        return probabilities(share * regression.log_odds(inputs) + (1.0 - share) * trees)

    def _inputs(self, matrix: np.ndarray) -> np.ndarray:
        """Return what the trees read: the rows, and the base models' forecasts of them."""
        rows = np.ascontiguousarray(matrix, dtype=np.float32)
        return np.column_stack([rows, *[base.forecast(rows) for base in self._bases]]) if self._bases else rows

    def contributions(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return for rows (n, k) what each input contributed to the raw log odds (SHAP values), and the inputs; both (n, k + bases).

        Values and the constant that is left out here add up to the log odds of `raw_score` (Lundberg and Lee, 2017; TreeSHAP inside
        LightGBM, and for the regression weight times distance from the mean). SHAP values of a sum are the sums of SHAP values.
        """
        rows, regression = self._inputs(matrix), self._stored.regression
        told = np.asarray(self._booster.predict(rows, num_threads=1, pred_contrib=True), dtype=np.float64)[:, :-1]
        if regression is not None:
            told = (1.0 - self.logistic_share) * told
            told[:, list(regression.columns)] += self.logistic_share * regression.parts(rows)
        return told, rows

    def win_probability(self, matrix: np.ndarray) -> np.ndarray:
        """Return one calibrated probability for each row of the candidate matrix (n, k), shape (n,)."""
        return calibrate(self.raw_score(matrix), self._stored.calibration)

    def calibrated(self, calibration: Calibration) -> MetaModel:
        """Return the same trees under another calibration."""
        return MetaModel(msgspec.structs.replace(self._stored, calibration=calibration))

    def importance(self) -> list[tuple[str, float]]:
        """Return the features with their share in the model, largest first.

        In the trees a feature's share is that of their gain, in the regression that of the sizes of its weights, each of them for
        one spread; the two count as they do in the score.
        """
        gain = np.asarray(self._booster.feature_importance(importance_type="gain"), dtype=np.float64)
        share = gain / gain.sum() if gain.sum() > 0 else gain
        regression = self._stored.regression
        if regression is not None:
            sizes = np.abs(regression.weight)
            share = (1.0 - self.logistic_share) * share
            share[list(regression.columns)] += self.logistic_share * sizes / max(float(sizes.sum()), 1e-300)
        return sorted(
            zip((*self.feature_names, *self.base_names), share.tolist(), strict=True),
            key=lambda pair: (-pair[1], pair[0]),
        )

    def to_bytes(self) -> bytes:
        """Return the model's file: JSON with names, parameters, calibration and LightGBM's own text."""
        return self._bytes

    @staticmethod
    def from_bytes(content: bytes) -> MetaModel:
        """Read a model's file back. Raises StateError for anything else."""
        hint = "write the release again from the registry"
        try:
            stored = msgspec.json.decode(content, type=_Stored)
        except (msgspec.DecodeError, UnicodeDecodeError) as fault:
            raise StateError("reading", "meta-model", str(fault), hint) from fault
        _refuse_other_format(stored, hint)
        # LightGBM does not refuse spoilt text: it ends the process. So it never gets to see any.
        if sha256(stored.booster.encode()).hexdigest() != stored.booster_sha256:
            raise StateError("reading", "meta-model", "its trees do not match their sha256", hint)
        model = MetaModel(stored, content)
        if model._booster.num_feature() != len(stored.feature_names) + len(stored.bases):
            raise StateError("reading", "meta-model", "its trees and its feature names differ in number", hint)
        return model


def _refuse_other_format(stored: _Stored, hint: str) -> None:
    """Raise StateError for a format of other software, and for a regression that does not fit the rows."""
    regression = stored.regression
    if stored.format != (FORMAT if regression is None else FORMAT_WITH_REGRESSION):
        known = f"{FORMAT}, or {FORMAT_WITH_REGRESSION} with a regression"
        raise StateError("reading", "meta-model", f"format {stored.format}, this software reads {known}", hint)
    if regression is None:
        return
    parts = {len(one) for one in (regression.columns, regression.mean, regression.spread, regression.weight)}
    if len(parts) != 1 or not set(regression.columns) <= set(range(len(stored.feature_names))):
        raise StateError("reading", "meta-model", "its regression does not fit its feature names", hint)


def matrix_of(frame: pl.DataFrame, feature_count: int) -> np.ndarray:
    """Return the dataset's `features` lists as one matrix (n, k) of float32, NaN where a feature is null."""
    values = frame["features"].explode(empty_as_null=False).cast(pl.Float32).to_numpy()
    if len(values) != len(frame) * feature_count:
        raise InputError(
            "reading",
            "learning dataset",
            f"{len(frame)} rows do not hold {feature_count} candidate features each",
            "train on rows of one feature set version",
        )
    return np.ascontiguousarray(values).reshape(len(frame), feature_count)


def train(frame: pl.DataFrame, feature_names: tuple[str, ...], params: TrainingParams | None = None) -> MetaModel:
    """Train on dataset rows (columns `features` and `is_win`), uncalibrated. Same rows and parameters, same bytes."""
    return train_on(
        matrix_of(frame, len(feature_names)), frame["is_win"].to_numpy(), feature_names, params or TrainingParams()
    )


def train_on(
    matrix: np.ndarray,
    is_win: np.ndarray,
    feature_names: tuple[str, ...],
    params: TrainingParams,
    weights: np.ndarray | None = None,
    bases: Sequence[BaseModel] = (),
) -> MetaModel:
    """Train on a matrix (n, k) of float32 and outcomes (n,). Raises InputError where there is nothing to learn from.

    With `bases` the matrix holds their forecasts in further columns, made by other models that did not know these rows; the
    model makes them by itself from then on. The regression is fitted as the baseline is, on these rows. Wins and losses count as they come: no class is weighted or sampled anew, since
    that would shift every probability. `weights` (n,) are those of `uniqueness`.
    """
    wins = int(np.count_nonzero(is_win))
    if len(matrix) < MINIMUM_ROWS or wins in (0, len(matrix)):
        raise InputError(
            "training",
            "meta-model",
            f"{len(matrix)} rows with {wins} wins hold nothing to learn from",
            f"collect at least {MINIMUM_ROWS} labelled candidates with wins and losses",
        )
    settings = params.to_lightgbm()
    settings["min_data_in_leaf"] = min(params.rows_per_leaf, max(1, len(matrix) // 40))
    # LightGBM takes no spaces or JSON signs in names; the names rest beside the trees instead.
    text = trained(settings, params.trees, matrix, is_win, weights)
    columns = baseline_columns(feature_names) if params.logistic_share > 0 else []
    return MetaModel(
        _Stored(
            format=FORMAT_WITH_REGRESSION if columns else FORMAT,
            feature_names=feature_names,
            params=params,
            calibration=IDENTITY,
            booster_sha256=sha256(text.encode()).hexdigest(),
            booster=text,
            bases=tuple([base.stored for base in bases]),
            regression=fit_regression(matrix, is_win, columns) if columns else None,
            logistic_share=params.logistic_share if columns else 0.0,
        )
    )
