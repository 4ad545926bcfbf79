"""Signs that the model in use has lost touch, read from the lake: accuracy of trades, calibration, drift of features.

What an alarm is lives in `core.learning.drift`; what it starts is `defs.sensors`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import numpy as np
import polars as pl

from trading_assets.core.errors import InputError
from trading_assets.core.features.feature_set import by_version
from trading_assets.core.learning.drift import MINIMUM_TRADES, accuracy_alarm, calibration_alarm, feature_drift
from trading_assets.core.learning.policy import Policy
from trading_assets.store.lake import Lake

_TRADE_DAYS = 90
_REFERENCE_DAYS = 90


def decay_alarms(lake: Lake, policy: Policy) -> list[str]:
    """Return every alarm that stands, each a sentence; none where there is too little to tell."""
    return [*_accuracy(lake, policy), *_calibration(lake, policy), *drift_alarms(lake, policy)]


def _accuracy(lake: Lake, policy: Policy) -> Iterator[str]:
    dates = lake.dates("trades")
    if not dates:
        return
    closed = (
        lake.scan("trades", since=dates[-1] - timedelta(days=_TRADE_DAYS))
        .filter(~pl.col("is_open") & pl.col("net_pnl").is_not_null())
        .sort("closed_at", "trade_id")
        .tail(MINIMUM_TRADES)
        .select("net_pnl")
        .collect()
    )
    alarm = accuracy_alarm([Decimal(value) for value in closed["net_pnl"].to_list()], policy.drift)
    if alarm is not None:
        yield alarm


def _calibration(lake: Lake, policy: Policy) -> Iterator[str]:
    live = _live(lake, policy, ["win_probability", "is_win"])
    alarm = calibration_alarm(live["win_probability"].to_numpy(), live["is_win"].to_numpy(), policy.drift)
    if alarm is not None:
        yield alarm


def _live(lake: Lake, policy: Policy, columns: list[str]) -> pl.DataFrame:
    """Return the latest labelled decisions that carry a score of the model used last."""
    dates = lake.dates("learning_dataset")
    since = dates[-1] - timedelta(days=_TRADE_DAYS) if dates else None
    rows = lake.scan("learning_dataset", since=since).filter(pl.col("win_probability").is_not_null())
    keys = ["decided_at", "signal_id", "model_version"]
    scored = rows.select(*keys, *columns).collect().sort("decided_at", "signal_id")
    if scored.is_empty():
        return scored.select(columns)
    mine = scored.filter(pl.col("model_version") == scored["model_version"][-1])
    latest = mine.unique("signal_id", keep="first", maintain_order=True).tail(policy.retraining.live_decisions)
    return mine.join(latest.select("signal_id"), on="signal_id", how="semi").select(columns)


def drift_alarms(lake: Lake, policy: Policy, model_version: str | None = None) -> tuple[str, ...]:
    """Compare the features of the bars since the rows of a model's training, or of the last one, with those before them."""
    trained = lake.read("meta_models", columns=["trained_at", "feature_set_version", "model_version"]).sort(
        "trained_at"
    )
    if model_version is not None:
        trained = trained.filter(pl.col("model_version") == model_version)
    if trained.is_empty():
        return ()
    until, version = trained["trained_at"][-1], str(trained["feature_set_version"][-1])
    try:
        names = by_version(version).names
    except InputError:
        # The software has another feature set by now: the judge refuses for that.
        return ()
    rows = (
        lake.scan("features", since=until.date() - timedelta(days=_REFERENCE_DAYS))
        .filter(pl.col("feature_set_version") == version)
        .select("close_at", "values")
        .collect()
    )
    before, after = (
        _matrix(part, len(names))
        for part in (rows.filter(pl.col("close_at") <= until), rows.filter(pl.col("close_at") > until))
    )
    if len(after) < policy.retraining.live_decisions:
        return ()
    return feature_drift(before, after[-policy.retraining.live_decisions :], names, policy.drift).alarms


def _matrix(rows: pl.DataFrame, width: int) -> np.ndarray:
    values = rows.sort("close_at")["values"].explode(empty_as_null=False).cast(pl.Float64).to_numpy()
    return values.reshape(rows.height, width)
