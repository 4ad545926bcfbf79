"""Tables of learning and of the record's own keeping: labels, the learning dataset, models, promotions, findings, transforms.

Stages `learning` and `integrity` of the asset graph.
"""

from __future__ import annotations

from trading_assets.core.columns.column import (
    Table,
    count,
    flag,
    moment,
    number,
    share,
    table,
    text,
    vector,
)
from trading_assets.core.columns.decisions import MODEL_VERSION, RELEASE_ID, STRATEGY_VERSION
from trading_assets.core.columns.market import FEATURE_SET_VERSION, REGIME
from trading_assets.core.columns.raw import columns_of, payload_of
from trading_assets.core.records.decisions import Candidate, Decision
from trading_assets.core.records.operations import Finding, Promotion, Transform

BARRIERS = ("stop", "target", "timeout")
PROFIT_TIERS = ("full_loss", "loss", "gain", "large_gain")

_idea = columns_of(Candidate, "idea_id")
_signal = columns_of(Decision, "signal_id", "symbol", "timeframe")
_choice = columns_of(Candidate, "kind", "exit_profile")
_decided_at = columns_of(Decision, "decided_at")

_LABELS = "core.trades.labels"

labels = table(
    "labels",
    "learning",
    "One row per LONG or SHORT candidate whose cohort's future has passed in the bars.",
    "What would have come of each candidate, traded or not: triple barrier over the finest bid/ask bars, costs included; the "
    "rules are in core.trades.labels. Partitioned by the day of the decision's known_at.",
    (
        *_idea,
        *_signal,
        *_choice,
        *_decided_at,
        moment("entry_at", "When it is entered: the close of the decision's bar.", _LABELS),
        moment("label_end_at", "When the barrier was reached: nothing later is part of the path.", _LABELS),
        text(
            "barrier", "Which barrier was reached first; both in one bar count as the stop.", _LABELS, allowed=BARRIERS
        ),
        number("exit_price", "Price at the barrier: bid for LONG, ask for SHORT.", "price", _LABELS),
        number(
            "gross_r", "Price result in multiples of risk: spread included, commission and slippage not.", "R", _LABELS
        ),
        number("cost_r", "Commission of both sides and slippage of a market exit in multiples of risk.", "R", _LABELS),
        number("result_r", "Gross less costs.", "R", _LABELS),
        number("mae_r", "Maximum adverse excursion up to the barrier, zero or negative.", "R", _LABELS, highest=0.0),
        number("mfe_r", "Maximum favourable excursion up to the barrier, zero or positive.", "R", _LABELS, lowest=0.0),
        number("time_to_mfe_s", "From entry to the close of the bar with the best price.", "s", _LABELS, lowest=0.0),
        number("time_in_drawdown_s", "Time in bars that closed below the entry.", "s", _LABELS, lowest=0.0),
        number("path_area_r", "Unrealised result summed over the path, bar by bar.", "R hours", _LABELS),
        count("bars_held", "Finest bars from entry to barrier.", "bars", _LABELS),
        flag("is_win", "Whether result_r is positive.", _LABELS),
        text(
            "profit_tier",
            "full_loss to -0.9 R, loss to 0, gain below 1 R, large_gain from 1 R on.",
            _LABELS,
            allowed=PROFIT_TIERS,
        ),
        count(
            "cohort_rank",
            "Rank of result_r within the decision's cohort, 1 is best; equals share the better rank.",
            "rank",
            _LABELS,
        ),
        number("regret_best_r", "Result of the cohort's best candidate less this one's.", "R", _LABELS, lowest=0.0),
        number("regret_median_r", "Median result of the cohort less this one's.", "R", _LABELS),
        text("labels_version", "Version of the labelling rules.", _LABELS),
    ),
    key=("tenant", "account", "idea_id"),
)

learning_dataset = table(
    "learning_dataset",
    "learning",
    "One row per labelled candidate.",
    "What the meta-model learns from: the candidate as the decision saw it, and what came of it. Append-only; each version is "
    "named by its Delta version and content hash. Partitioned by the day of the decision's known_at.",
    (
        *_idea,
        *_signal,
        *_choice,
        *_decided_at,
        *columns_of(Decision, "bar_close_at"),
        moment("label_end_at", "When the label was known: the end of purging.", "labels"),
        FEATURE_SET_VERSION,
        STRATEGY_VERSION,
        RELEASE_ID,
        MODEL_VERSION,
        *columns_of(Decision, "chain_id", "window_sha256"),
        *REGIME[:2],
        *columns_of(Decision, "consensus", "dispersion"),
        vector(
            "features",
            "Candidate matrix row as the decision scored it; names in feature_definitions, registry candidates.",
            "core.decisions.scoring",
            unit="see feature_definitions",
        ),
        *columns_of(Candidate, "rule_score", "win_probability", "blended_score"),
        flag("is_chosen", "Whether the decision chose it.", "candidates"),
        flag("is_win", "What is learned: whether the labelled result is positive.", "labels"),
        number("result_r", "Labelled result after costs.", "R", "labels"),
        text("profit_tier", "Tier of the labelled result.", "labels", allowed=PROFIT_TIERS),
        text("barrier", "Barrier that was reached.", "labels", allowed=BARRIERS),
        number("mae_r", "Maximum adverse excursion of the label.", "R", "labels"),
        number("mfe_r", "Maximum favourable excursion of the label.", "R", "labels"),
        number("regret_best_r", "Best labelled result of the cohort less this one.", "R", "labels"),
        number(
            "outcome_r",
            "Result of the trade the candidate became; null when it was not traded.",
            "R",
            "outcomes",
            nullable=True,
        ),
        text("labels_version", "Version of the labelling rules.", "labels"),
    ),
    key=("tenant", "account", "idea_id"),
)

_EVALUATION = "core.learning.evaluation"

meta_models = table(
    "meta_models",
    "learning",
    "One row per trained model.",
    "Every meta-model that was trained, with its walk-forward evaluation. Partitioned by the day of training.",
    (
        text("model_version", "Meta-model version.", "core.learning.meta_model"),
        moment("trained_at", "When it was trained; in replay, the decided_at of its last row.", "asset meta_models"),
        count("dataset_version", "Delta version of the learning dataset it was trained on.", "version", "lake"),
        text("dataset_sha256", "Content hash of that dataset.", "core.learning.dataset"),
        FEATURE_SET_VERSION,
        STRATEGY_VERSION,
        count("row_count", "Rows it was trained on.", "rows", "learning_dataset"),
        share("win_share", "Share of wins among them.", "share", "learning_dataset", nullable=True),
        count("fold_count", "Folds of the walk-forward evaluation.", "folds", _EVALUATION),
        count("evaluated_rows", "Rows scored out of sample.", "rows", _EVALUATION),
        share("brier_score", "Brier score out of sample, calibrated.", "score", _EVALUATION, nullable=True),
        share(
            "brier_reference",
            "Brier score of always predicting the training folds' share of wins.",
            "score",
            _EVALUATION,
            nullable=True,
        ),
        number("log_loss", "Log loss out of sample.", "nats", _EVALUATION, nullable=True),
        number(
            "log_loss_reference",
            "Log loss of always predicting the training folds' share of wins.",
            "nats",
            _EVALUATION,
            nullable=True,
        ),
        share("auc", "Area under the ROC curve out of sample.", "share", _EVALUATION, nullable=True),
        share("calibration_error", "Expected calibration error over ten bins.", "share", _EVALUATION, nullable=True),
        number(
            "expectancy_r", "Mean labelled result of all rows scored out of sample.", "R", _EVALUATION, nullable=True
        ),
        number(
            "selected_expectancy_r",
            "Mean labelled result of the rows the model would select.",
            "R",
            _EVALUATION,
            nullable=True,
        ),
        share(
            "deflated_sharpe",
            "Probability that the Sharpe ratio of the selected rows is real, given the variants tried.",
            "probability",
            _EVALUATION,
            nullable=True,
        ),
        count("variants_tried", "Variants that were tried before this one was chosen.", "variants", _EVALUATION),
        text("evaluation", "The whole evaluation as canonical JSON.", _EVALUATION),
        text("mlflow_run_id", "Run in MLflow; null when it was not logged.", "MLflow", nullable=True),
    ),
    key=("tenant", "account", "model_version"),
)

promotions = table(
    "promotions",
    "learning",
    "One row per judgement on a model.",
    "Promoted or refused, with the reasons; append-only. Partitioned by the day of the judgement.",
    (moment("judged_at", "When it was judged.", "asset promotions"), *payload_of(Promotion)),
    key=("tenant", "account", "model_version", "judged_at"),
)

findings = table(
    "findings",
    "integrity",
    "One row per finding.",
    "Differences between what must be true and what is, from the daemon and from the assets. Partitioned by the day of known_at.",
    (*columns_of(Finding, "event_at", "known_at"), *payload_of(Finding)),
)

transforms = table(
    "transforms",
    "integrity",
    "One row per write of a table.",
    "What was written into the lake, by which run. Partitioned by the day of the write.",
    (*columns_of(Transform, "event_at", "known_at"), *payload_of(Transform)),
)

LEARNING_TABLES: tuple[Table, ...] = (labels, learning_dataset, meta_models, promotions, findings, transforms)
