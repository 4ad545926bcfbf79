"""Calibration: what a raw score of the model means as a probability.

Three ways, of which `choose` takes the one that does best on rows it was not fitted on: centered isotonic regression (Oron and
Flournoy, 2017), in which each level stands at the mean score of its rows and lines join the levels; Platt scaling, a
logistic curve on the logit of the score; and beta calibration (Kull, Silva Filho and Flach, 2017). How far off probabilities
are is `reliability`; training and scoring the model live in `meta_model`.
"""

from __future__ import annotations

from math import exp, log, log1p

import msgspec
import numpy as np

from trading_assets.core.release import CALIBRATION_METHODS, Calibration, CalibrationMethod

MINIMUM_ROWS = 500
ROWS_PER_LEVEL = 50
MOST_LEVELS = 100
STRETCHES = 4
"""Into which the rows known so far are cut to choose: each but the first scores what those before it were fitted on."""
# A probability of exactly 0 or 1 is a claim no finite sample supports and costs an infinite log loss when wrong.
LOWEST, HIGHEST = 0.001, 0.999
_NEAREST = 1e-9
_STEPS = 50

IDENTITY = Calibration(raw=(LOWEST, HIGHEST), calibrated=(LOWEST, HIGHEST))


class CalibrationScore(msgspec.Struct, frozen=True, kw_only=True):
    """A way of calibrating, and its losses on rows after those it was fitted on."""

    method: CalibrationMethod
    log_loss: float
    brier: float


class CalibrationChoice(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen and why. Without scores there were too few rows to choose by: Platt's two parameters are then the safest."""

    calibration: Calibration
    rows: int
    """Rows it was fitted on."""
    scored_rows: int
    """Rows the ways were compared on."""
    scores: tuple[CalibrationScore, ...]

    @property
    def method(self) -> str:
        """Name of what was chosen; `none` where the score is left as it is."""
        return "none" if self.calibration == IDENTITY else self.calibration.method


def calibrate(raw: np.ndarray, calibration: Calibration) -> np.ndarray:
    """Map raw scores (n,) to probabilities (n,); they never fall as scores rise.

    Below the first and above the last knot they stay level. Curves are computed score by score, so that a score alone
    has the same bits as among others (invariant 7): vectorised exponentials need not.
    """
    if calibration.method == "isotonic":
        return np.asarray(np.interp(raw, calibration.raw, calibration.calibrated))
    of_win, of_loss, intercept = _curve(calibration)
    return np.array([_probability(score, of_win, of_loss, intercept) for score in raw.tolist()], dtype=np.float64)


def _curve(calibration: Calibration) -> tuple[float, float, float]:
    """Return the weights of ln(s) and -ln(1-s), and the intercept: Platt's curve has one weight for both."""
    if calibration.method == "platt":
        slope, intercept = calibration.parameters
        return slope, slope, intercept
    of_win, of_loss, intercept = calibration.parameters
    return of_win, of_loss, intercept


def _probability(score: float, of_win: float, of_loss: float, intercept: float) -> float:
    inside = min(max(score, _NEAREST), 1.0 - _NEAREST)
    logit = of_win * log(inside) - of_loss * log1p(-inside) + intercept
    return min(max(1.0 / (1.0 + exp(-min(max(logit, -30.0), 30.0))), LOWEST), HIGHEST)


def fit(method: CalibrationMethod, raw: np.ndarray, is_win: np.ndarray) -> Calibration:
    """Fit one way on raw scores (n,) and outcomes (n,); the identity for fewer than 500 rows or one kind of outcome."""
    wins = int(np.count_nonzero(is_win))
    if len(raw) < MINIMUM_ROWS or wins in (0, len(raw)):
        return IDENTITY
    match method:
        case "isotonic":
            return _isotonic(raw, is_win)
        case "platt":
            return _platt(raw, is_win)
        case "beta":
            return _beta(raw, is_win)


def choose(
    raw: np.ndarray, is_win: np.ndarray, decided_ms: np.ndarray, label_end_ms: np.ndarray, embargo_ms: int
) -> CalibrationChoice:
    """Choose by log loss and fit on all rows (n,), which are out-of-fold predictions known before those to be calibrated.

    The rows are cut by time into stretches. Each way is fitted on the rows whose label ended before a stretch, less the
    embargo, and scored on the stretch: no row chooses by what it was fitted on, and none of the rows to be judged is here.
    """
    losses = dict.fromkeys(CALIBRATION_METHODS, 0.0)
    squares = dict.fromkeys(CALIBRATION_METHODS, 0.0)
    scored = 0
    times = np.unique(decided_ms)
    starts = times[np.linspace(0, len(times), STRETCHES + 1).astype(np.int64)[1:-1]].tolist() if len(times) else []
    for start, end in zip(starts, [*starts[1:], np.inf], strict=False):
        known = label_end_ms < start - embargo_ms
        asked = (decided_ms >= start) & (decided_ms < end)
        if np.count_nonzero(known) < MINIMUM_ROWS or len(np.unique(is_win[known])) < 2 or not asked.any():
            continue
        scored += int(np.count_nonzero(asked))
        for method in CALIBRATION_METHODS:
            p = calibrate(raw[asked], fit(method, raw[known], is_win[known]))
            losses[method] -= float(np.log(np.where(is_win[asked], p, 1.0 - p)).sum())
            squares[method] += float(((p - is_win[asked]) ** 2).sum())
    scores = tuple(
        CalibrationScore(method=method, log_loss=losses[method] / scored, brier=squares[method] / scored)
        for method in CALIBRATION_METHODS
        if scored
    )
    best = min(scores, key=lambda one: one.log_loss).method if scores else "platt"
    return CalibrationChoice(calibration=fit(best, raw, is_win), rows=len(raw), scored_rows=scored, scores=scores)


def _isotonic(raw: np.ndarray, is_win: np.ndarray) -> Calibration:
    """Group scores into levels of equal count, at least 50 rows each, so that a level is not one row's luck."""
    from sklearn.isotonic import isotonic_regression  # a second to import, and only training needs it

    order = np.argsort(raw, kind="stable")
    levels = min(MOST_LEVELS, len(raw) // ROWS_PER_LEVEL)
    ordered = raw[order].astype(np.float64)
    # A level begins with the first row of its score: equal scores must mean the same.
    starts = np.unique(np.searchsorted(ordered, ordered[np.linspace(0, len(raw), levels + 1).astype(np.int64)[:-1]]))
    counts = np.diff(np.append(starts, len(raw))).astype(np.float64)
    scores = np.add.reduceat(ordered, starts) / counts
    shares = np.add.reduceat(is_win[order].astype(np.float64), starts) / counts
    values = np.asarray(isotonic_regression(shares, sample_weight=counts))
    return _centered(scores, values, counts)


def _centered(scores: np.ndarray, values: np.ndarray, counts: np.ndarray) -> Calibration:
    """Put one knot at the mean score of each level of equal value."""
    starts = np.flatnonzero(np.append(True, np.diff(values) > 0))
    weight = np.add.reduceat(counts, starts)
    centre = np.add.reduceat(scores * counts, starts) / weight
    is_new = np.append(True, centre[1:] > np.maximum.accumulate(centre)[:-1])
    height = np.clip(values[starts], LOWEST, HIGHEST)
    return Calibration(raw=tuple(centre[is_new].tolist()), calibrated=tuple(height[is_new].tolist()))


def _platt(raw: np.ndarray, is_win: np.ndarray) -> Calibration:
    of_win, of_loss = _logs(raw)
    slope, intercept = _regression((of_win + of_loss,), is_win)
    # A falling curve would turn the model's order around: it then says the share of wins and nothing more.
    found = (slope, intercept) if slope > 0 else (0.0, *_regression((), is_win))
    return Calibration(method="platt", parameters=found)


def _beta(raw: np.ndarray, is_win: np.ndarray) -> Calibration:
    """Fit both slopes; one that is negative is set to 0 and the rest fitted again, as its authors do."""
    of_win, of_loss = _logs(raw)
    first, second, intercept = _regression((of_win, of_loss), is_win)
    if first < 0:
        first, (second, intercept) = 0.0, _regression((of_loss,), is_win)
    elif second < 0:
        second, (first, intercept) = 0.0, _regression((of_win,), is_win)
    if first < 0 or second < 0:
        first, second, (intercept,) = 0.0, 0.0, _regression((), is_win)
    return Calibration(method="beta", parameters=(first, second, intercept))


def _logs(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    inside = np.clip(raw.astype(np.float64), _NEAREST, 1.0 - _NEAREST)
    return np.log(inside), -np.log1p(-inside)


def _regression(columns: tuple[np.ndarray, ...], is_win: np.ndarray) -> tuple[float, ...]:
    """Return the weights of a logistic regression and then its intercept, by Newton's method.

    Sums are numpy's own and not the linear algebra library's, whose order of adding depends on its threads: the weights are part of
    the model's bytes. Columns are centred first, since raw scores lie close together. A hair of a ridge keeps a column
    without spread from being singular.
    """
    means = [float(column.mean()) for column in columns]
    rows = np.stack([*(column - mean for column, mean in zip(columns, means, strict=True)), np.ones(len(is_win))])
    won = is_win.astype(np.float64)
    weights = np.zeros(len(rows))
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip((rows * weights[:, None]).sum(axis=0), -30.0, 30.0)))
        gradient = (rows * (won - p)).sum(axis=1) - 1e-9 * weights
        curvature = ((rows[:, None, :] * rows[None, :, :]) * (p * (1.0 - p))).sum(axis=2) + 1e-9 * np.eye(len(rows))
        step = np.linalg.solve(curvature, gradient)
        weights += step
        if np.abs(step).max() < 1e-10:
            break
    slopes = weights[:-1].tolist()
    return (*slopes, float(weights[-1]) - sum(slope * mean for slope, mean in zip(slopes, means, strict=True)))
