"""Tables of the market and of what decisions saw of it: bars, regimes, chart windows, features.

Stages `market` and `features` of the asset graph. The values come from `core.market` and `core.features`.
"""

from __future__ import annotations

from datetime import date

from trading_assets.core.columns.column import (
    Column,
    Table,
    count,
    flag,
    moment,
    table,
    text,
    vector,
)
from trading_assets.core.columns.raw import columns_of, payload_of
from trading_assets.core.records.decisions import Decision, FeatureWindowReference, Regime, Versions, WindowReference
from trading_assets.core.records.market import Bar

REGISTRY_DATE = date(1970, 1, 1)
REGISTRY_OWNER = "*"

FEATURE_SET_VERSION = columns_of(Versions, "feature_set")[0].named("feature_set_version")

_LABEL, _CONFIDENCE, _CLASSIFIER = columns_of(Regime, "label", "confidence", "classifier_version")
REGIME: tuple[Column, ...] = (_LABEL.named("regime"), _CONFIDENCE.named("regime_confidence"), _CLASSIFIER)

bars = table(
    "bars",
    "market",
    "One row per symbol, timeframe and open.",
    "Bars built from the accepted quotes, and history bars where the terminal answered them. Partitioned by the day of open_at.",
    payload_of(Bar),
    key=("tenant", "account", "symbol", "timeframe", "open_at"),
)

regimes = table(
    "regimes",
    "market",
    "One row per symbol, feature set and closed base bar.",
    "State of the market at each bar's close, by the same classifier the daemon uses. Partitioned by the day of the bar's open.",
    (
        *columns_of(Bar, "symbol", "timeframe", "open_at", "close_at"),
        FEATURE_SET_VERSION,
        *REGIME,
    ),
    key=("tenant", "account", "symbol", "feature_set_version", "close_at"),
)

_window = columns_of(WindowReference, "timeframe", "first_open_at", "last_open_at", "bar_count")

chart_windows = table(
    "chart_windows",
    "features",
    "One row per signal and timeframe of its window.",
    "Which bars each decision saw: the hash the daemon recorded beside the one recomputed from the lake's bars. "
    "Partitioned by the day of the decision's known_at.",
    (
        *columns_of(Decision, "signal_id", "symbol"),
        *_window,
        *columns_of(Decision, "bar_close_at"),
        text("recorded_sha256", "Hash of the bars in the decision record.", "raw_decisions"),
        text(
            "recomputed_sha256",
            "Hash of the same bars in the lake; null when the lake does not hold them all.",
            "core.features.window",
            nullable=True,
        ),
        flag(
            "is_equal",
            "Whether both hashes are equal: the batch side sees exactly what the decision saw.",
            "asset chart_windows",
        ),
    ),
    key=("tenant", "account", "signal_id", "timeframe"),
)

features = table(
    "features",
    "features",
    "One row per symbol, feature set version and closed base bar.",
    "Feature vectors computed over the anchored windows of the lake's bars. Partitioned by the day of the base bar's open.",
    (
        *columns_of(Bar, "symbol", "timeframe", "open_at", "close_at"),
        FEATURE_SET_VERSION,
        vector(
            "values",
            "Raw features in the order of the set's rows in feature_definitions; NaN where a feature is undefined.",
            "core.features.feature_set",
            unit="see feature_definitions",
        ),
    ),
    key=("tenant", "account", "symbol", "feature_set_version", "close_at"),
)

feature_definitions = table(
    "feature_definitions",
    "features",
    "One row per registry, version and index.",
    "What each position of a feature vector means. The registry `features` names the values of the table features, "
    "`candidates` those of learning_dataset. Its tenant and account are * and its date is 1970-01-01: it belongs to no day.",
    (
        text(
            "registry",
            "Which vectors it describes: features or candidates.",
            "asset feature_definitions",
            allowed=("features", "candidates"),
        ),
        FEATURE_SET_VERSION,
        count("index", "Position in the vector, from 0.", "position", "core.features.feature_set"),
        text("name", "Name of the feature.", "core.features.feature_set"),
        text("timeframe", "Timeframe it is computed on; empty when it belongs to none.", "core.features.feature_set"),
        text(
            "group",
            "Group: trend, momentum, volatility, volume, spread, session, cross, candidate, ...",
            "core.features.feature_set",
        ),
        text("description", "What the feature measures, in words.", "core.features.feature_set"),
        text("unit", "Unit; empty when it has none.", "core.features.feature_set"),
    ),
    key=("registry", "feature_set_version", "index"),
)

_reference = columns_of(FeatureWindowReference, "row_count", "first_close_at", "normaliser_version")

feature_windows = table(
    "feature_windows",
    "features",
    "One row per signal.",
    "What each decision computed from its window, beside the batch recomputation of it: the feature vector and the hashes of "
    "the rolling window of rows, raw and normalised. Partitioned by the day of the decision's known_at.",
    (
        *columns_of(Decision, "signal_id", "symbol", "timeframe", "bar_close_at"),
        FEATURE_SET_VERSION,
        *_reference,
        text("recorded_sha256_raw", "Hash of the raw rows in the decision record.", "raw_decisions"),
        text(
            "recomputed_sha256_raw",
            "Hash of the same rows of the table features; null when they are not all there.",
            "core.features.window",
            nullable=True,
        ),
        text("recorded_sha256_normalised", "Hash of the normalised rows in the decision record.", "raw_decisions"),
        text(
            "recomputed_sha256_normalised",
            "Hash of the same rows, normalised by the release's normaliser; null when it cannot be recomputed.",
            "core.features.window",
            nullable=True,
        ),
        flag(
            "is_vector_equal",
            "Whether the recorded feature vector equals the batch row bit for bit.",
            "asset feature_windows",
        ),
        flag("is_equal", "Whether vector and both hashes are equal.", "asset feature_windows"),
        moment("known_at", "When the decision was journalled; in replay, simulated time.", "raw_decisions"),
    ),
    key=("tenant", "account", "signal_id"),
)

MARKET_TABLES: tuple[Table, ...] = (bars, regimes, chart_windows, features, feature_definitions, feature_windows)
