"""Tables of the decisions, flat: signals, their cohort of candidates, and every prediction that took part.

Stage `signals` of the asset graph. Everything here is taken from the decision record; nothing is computed anew.
"""

from __future__ import annotations

from trading_assets.core.columns.column import Column, Table, flag, share, table, text, texts
from trading_assets.core.columns.market import FEATURE_SET_VERSION, REGIME
from trading_assets.core.columns.raw import columns_of
from trading_assets.core.records.decisions import AccountState, Candidate, Decision, DecisionInputs, Versions

_code, _strategy, _extractor, _release, _model = columns_of(
    Versions, "code", "strategy", "extractor", "release", "model"
)
_balance, _equity = columns_of(AccountState, "balance", "equity")

STRATEGY_VERSION: Column = _strategy.named("strategy_version")
MODEL_VERSION: Column = _model.named("model_version")
RELEASE_ID: Column = _release.named("release_id")

signals = table(
    "signals",
    "signals",
    "One row per signal.",
    "Every decision at a closed bar, also the decision not to trade. Partitioned by the day of known_at.",
    (
        *columns_of(Decision, "signal_id", "chain_id", "known_at", "decided_at", "mode", "symbol", "timeframe"),
        *columns_of(Decision, "bar_open_at", "bar_close_at"),
        _code.named("code_version"),
        STRATEGY_VERSION,
        FEATURE_SET_VERSION,
        _extractor.named("extractor_version"),
        RELEASE_ID,
        MODEL_VERSION,
        *columns_of(DecisionInputs, "bid", "ask", "quote_at", "base_bar_count"),
        _balance,
        _equity,
        *columns_of(Decision, "window_sha256"),
        *REGIME,
        *columns_of(Decision, "consensus", "dispersion", "blend", "suggestion", "action", "idea_id"),
        *columns_of(Decision, "entry_price", "stop_price", "target_price", "volume_lots", "risk_amount"),
        *columns_of(Decision, "confidence", "quality_score"),
        share(
            "win_probability",
            "Meta-model's win probability of the chosen candidate, or of the best one for WAIT; null without a model.",
            "probability",
            "candidates",
            nullable=True,
        ),
        texts("blocking_filters", "Filters of the whole cohort that said block.", "core.decisions.filters"),
        texts("tripped_breakers", "Breakers that were tripped.", "core.decisions.breakers"),
        *columns_of(Decision, "warnings", "reasons"),
    ),
    key=("tenant", "account", "signal_id"),
)

candidates = table(
    "candidates",
    "signals",
    "One row per candidate of a signal's cohort.",
    "Every idea of every decision, judged at the same time: LONG and SHORT with each exit profile, HOLD and CLOSE with a "
    "position open. Partitioned by the day of the decision's known_at.",
    (
        *columns_of(Candidate, "idea_id"),
        *columns_of(Decision, "signal_id", "symbol", "timeframe", "bar_close_at", "decided_at"),
        *columns_of(Candidate, "kind", "exit_profile", "entry_price", "stop_price", "target_price", "timeout_bars"),
        *columns_of(Candidate, "risk_unit", "reward_r", "cost_r", "rule_score", "win_probability", "blended_score"),
        *columns_of(DecisionInputs, "week_ends_at"),
        texts("blocking_filters", "Filters of this candidate that said block.", "core.decisions.filters"),
        flag("is_chosen", "Whether the decision chose it.", "raw_decisions"),
    ),
    key=("tenant", "account", "idea_id"),
)

PREDICTION_KINDS = ("forecast", "consensus", "rule_score", "win_probability", "blended_score")

predictions = table(
    "predictions",
    "signals",
    "One row per signal, predictor and candidate; the candidate is null for predictions about the market.",
    "The ensemble taken apart: each forecaster, their consensus, and for each candidate the rules, the meta-model and the "
    "blend. Partitioned by the day of the decision's known_at.",
    (
        *columns_of(Decision, "signal_id"),
        *(column.or_null() for column in columns_of(Candidate, "idea_id")),
        *columns_of(Decision, "symbol", "timeframe", "decided_at"),
        text("predictor", "Name of the forecaster, or consensus, rules, meta_model, blend.", "core.decisions"),
        text("predictor_version", "Its version: the forecaster's, the strategy's or the model's.", "core.decisions"),
        text(
            "kind",
            "What the value is: a forecast or consensus from -1 to 1, a score or probability from 0 to 1.",
            "asset predictions",
            allowed=PREDICTION_KINDS,
        ),
        Column(
            "value",
            columns_of(Decision, "consensus")[0].dtype,
            "What was predicted, on the scale that `kind` names.",
            "score",
            "raw_decisions",
            lowest=-1.0,
            highest=1.0,
        ),
        share(
            "confidence",
            "Confidence of a forecaster; for the consensus 1 less the dispersion; null otherwise.",
            "share",
            "raw_decisions",
            nullable=True,
        ),
        text("reason", "What it saw, in words; empty when it says nothing.", "raw_decisions"),
    ),
    key=("tenant", "account", "signal_id", "predictor", "idea_id"),
)

DECISION_TABLES: tuple[Table, ...] = (signals, candidates, predictions)
