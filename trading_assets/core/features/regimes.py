"""The state of the market at a bar's close, by rule: trending up or down, ranging, volatile, with a confidence.

A function of the feature row alone, so that a recomputed decision finds the same regime. Evidence for each state is a
product of ramps between 0 and 1; the strongest wins. Patterns and forecasts are elsewhere.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trading_assets.core.features.feature_set import FeatureSet
from trading_assets.core.features.window import Floats
from trading_assets.core.records.decisions import Regime

CLASSIFIER_VERSION = "rules-1"

LABELS = ("trending_up", "trending_down", "ranging", "volatile")
UNKNOWN = "unknown"
INPUTS = ("adx_14", "di_balance_14", "ema_20_50_spread", "efficiency_10", "atr_ratio_14_100", "volatility_ratio_10_50")

Codes = npt.NDArray[np.int64]


def classify_rows(feature_set: FeatureSet, matrix: Floats) -> tuple[Codes, Floats]:
    """Classify rows (n, k): codes into `LABELS` (-1 is unknown) and confidences 0 to 1, both of shape (n,).

    A row is unknown, with confidence 0, when history was too short for one of the `INPUTS` on the base timeframe.
    """
    columns = [matrix[:, feature_set.index(name)] for name in INPUTS]
    adx, balance, spread, efficiency, atr_ratio, burst = columns
    is_known = np.isfinite(columns[0])
    for column in columns[1:]:
        is_known &= np.isfinite(column)
    trend = _ramp(adx, 0.15, 0.35)
    up = trend * _mean(_ramp(balance, 0.0, 0.4), _ramp(spread, 0.0, 1.0), _ramp(efficiency, -0.2, 0.5))
    down = trend * _mean(_ramp(-balance, 0.0, 0.4), _ramp(-spread, 0.0, 1.0), _ramp(-efficiency, -0.2, 0.5))
    ranging = (1.0 - trend) * (1.0 - 0.5 * _ramp(np.abs(spread), 0.5, 1.5))
    volatile = np.maximum(_ramp(atr_ratio, 1.15, 1.75), 0.8 * _ramp(burst, 1.3, 2.1))
    evidence = np.stack([up, down, ranging, volatile], axis=1)
    evidence[~is_known] = 0.0
    codes = np.argmax(evidence, axis=1)
    confidence = evidence[np.arange(len(codes)), codes]
    # Nothing speaks for any state: the market drifts without direction or pace.
    codes = np.where(confidence > 0.0, codes, LABELS.index("ranging"))
    return np.where(is_known, codes, -1), confidence


def classify(feature_set: FeatureSet, row: Floats) -> Regime:
    """Classify one row (k,), the same bits as `classify_rows`."""
    codes, confidence = classify_rows(feature_set, row[np.newaxis, :])
    return Regime(label=label(int(codes[0])), confidence=float(confidence[0]), classifier_version=CLASSIFIER_VERSION)


def label(code: int) -> str:
    """Name of a code of `classify_rows`."""
    return LABELS[code] if code >= 0 else UNKNOWN


def _ramp(values: Floats, start: float, stop: float) -> Floats:
    """0 up to `start`, 1 from `stop` on, straight between."""
    risen: Floats = np.minimum(np.maximum((values - start) / (stop - start), 0.0), 1.0)
    return risen


def _mean(first: Floats, second: Floats, third: Floats) -> Floats:
    """Written out: a reduction over an axis may add in another order for another shape."""
    return (first + second + third) / 3.0
