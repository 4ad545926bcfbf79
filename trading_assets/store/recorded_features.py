"""Whether the dataset's features are those the decisions recorded, and those what the chart windows give (invariant 7).

Reads the lake; which difference is held to be a leak is `core.learning.leaks`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from trading_assets.core.features.feature_set import FeatureSet, decode_vector
from trading_assets.core.learning.leaks import Leak, LeakThresholds, differing
from trading_assets.store.lake import Lake

SAMPLE = 2_000
_KEY = ["tenant", "account", "signal_id"]


def feature_leaks(
    lake: Lake, rows: pl.DataFrame, feature_set: FeatureSet, thresholds: LeakThresholds
) -> tuple[Leak, ...]:
    """Return the features of dataset rows that are not as recorded, or whose record is not what the windows give.

    The record is compared for 2,000 decisions evenly spread over the rows; the verdicts on the windows are read for all.
    """
    # LONG rows hold the features as they are, without a change of sign.
    longs = rows.filter(pl.col("kind") == "LONG").unique(_KEY, keep="first").sort("decided_at", "signal_id")
    if longs.is_empty():
        return ()
    sample = longs[np.linspace(0, longs.height - 1, min(longs.height, SAMPLE)).astype(np.int64).tolist()]
    recorded = (
        lake.scan("raw_decisions", dates=sorted(set(sample["date"]))).select(*_KEY, recorded="features").collect()
    )
    beside = sample.select(*_KEY, "features").join(recorded.unique(_KEY), on=_KEY, how="inner")
    truth = [decode_vector(text) for text in beside["recorded"]]
    found = differing(
        _matrix(beside, feature_set),
        _stacked(truth, feature_set),
        feature_set.names,
        "recorded by the decisions",
        thresholds,
    )
    return (*found, *_not_from_windows(lake, longs, feature_set, thresholds))


def _not_from_windows(
    lake: Lake, longs: pl.DataFrame, feature_set: FeatureSet, thresholds: LeakThresholds
) -> tuple[Leak, ...]:
    """Name the features behind decisions whose vector the batch side could not make again from their windows."""
    dates = sorted(set(longs["date"]))
    verdicts = lake.scan("feature_windows", dates=dates).select(*_KEY, "is_vector_equal").collect()
    unequal = longs.join(verdicts.filter(~pl.col("is_vector_equal")), on=_KEY, how="semi")
    if unequal.height <= thresholds.unequal_share * longs.height:
        return ()
    again = (
        lake.scan("features", since=min(unequal["bar_close_at"]).date(), until=max(unequal["bar_close_at"]).date())
        .filter(pl.col("feature_set_version") == feature_set.version)
        .select("tenant", "account", "symbol", "timeframe", bar_close_at="close_at", values="values")
        .collect()
    )
    beside = unequal.join(again, on=["tenant", "account", "symbol", "timeframe", "bar_close_at"], how="inner")
    truth = [np.array(values, dtype=np.float64) for values in beside["values"]]
    found = differing(
        _matrix(beside, feature_set),
        _stacked(truth, feature_set),
        feature_set.names,
        "recomputed of the chart windows",
        thresholds,
    )
    evidence = f"{unequal.height} of {longs.height} decisions recorded other features than their chart windows give"
    return found or (Leak(feature="(unknown)", evidence=evidence),)


def _matrix(rows: pl.DataFrame, feature_set: FeatureSet) -> np.ndarray:
    return _stacked(
        [np.array(values, dtype=np.float64)[: len(feature_set.names)] for values in rows["features"]], feature_set
    )


def _stacked(vectors: Sequence[np.ndarray], feature_set: FeatureSet) -> np.ndarray:
    return np.vstack(vectors) if vectors else np.empty((0, len(feature_set.names)))
