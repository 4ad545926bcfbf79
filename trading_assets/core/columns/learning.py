"""Tables of learning and of the record's own keeping: labels, the learning dataset, models, promotions, findings, transforms.

Stages `learning` and `integrity` of the asset graph.
"""

from __future__ import annotations

from trading_assets.core.columns.column import (
    INTEGER,
    Column,
    Table,
    count,
    flag,
    moment,
    number,
    share,
    table,
    text,
    texts,
    vector,
)
from trading_assets.core.columns.decisions import MODEL_VERSION, RELEASE_ID, STRATEGY_VERSION
from trading_assets.core.columns.market import FEATURE_SET_VERSION, REGIME
from trading_assets.core.columns.raw import columns_of, payload_of
from trading_assets.core.records.decisions import Candidate, Decision, DecisionInputs
from trading_assets.core.records.operations import Finding, Promotion, Repair, Transform

BARRIERS = ("stop", "target", "timeout", "weekend")
HORIZONS = (1, 5, 15, 60)
"""Minutes of the forward returns beside each row of the dataset."""
PROFIT_TIERS = ("full_loss", "loss", "gain", "large_gain")

_idea = columns_of(Candidate, "idea_id")
_signal = columns_of(Decision, "signal_id", "symbol", "timeframe")
_choice = columns_of(Candidate, "kind", "exit_profile")
_decided_at = columns_of(Decision, "decided_at")

_LABELS = "core.trades.labels"
_FORWARD = "core.trades.forward_returns"
_DEFINITION = "core.trades.label_definition"

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
            "barrier",
            "What ended it first: stop, target, timeout, or the close before the weekend.",
            _LABELS,
            allowed=BARRIERS,
        ),
        number("exit_price", "Price at the barrier: bid for LONG, ask for SHORT.", "price", _LABELS),
        number(
            "gross_r", "Price result in multiples of risk: spread included, commission and slippage not.", "R", _LABELS
        ),
        number("cost_r", "Commission of both sides and slippage of a market exit in multiples of risk.", "R", _LABELS),
        number("swap_r", "Swap of the server midnights it was held over, negative where it costs.", "R", _LABELS),
        number("result_r", "Gross less costs, with swap.", "R", _LABELS),
        number("mae_r", "Maximum adverse excursion up to the barrier, zero or negative.", "R", _LABELS, highest=0.0),
        number("mfe_r", "Maximum favourable excursion up to the barrier, zero or positive.", "R", _LABELS, lowest=0.0),
        number("time_to_mae_s", "From entry to the close of the bar with the worst price.", "s", _LABELS, lowest=0.0),
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
        text("labels_version", "Definition of the label, see label_definitions.", _DEFINITION),
        text("costs_version", "Costs it was made with, see label_definitions.", _DEFINITION),
    ),
    key=("tenant", "account", "idea_id"),
)

forward_returns = table(
    "forward_returns",
    "learning",
    "One row per signal and horizon that has passed.",
    "Where the price went after each decision, whatever was decided: labels of direction and size for models of the market. "
    "Horizons in which the market was closed have no row. Partitioned by the day of the decision's known_at.",
    (
        *_signal,
        *_decided_at,
        count("horizon_minutes", "Length of the horizon.", "min", _DEFINITION),
        moment("from_at", "Start: the close of the decision's bar.", "signals"),
        moment("until_at", "End of the horizon: nothing later is part of it.", _FORWARD),
        number("return_bp", "Move of the mid price.", "basis points", _FORWARD),
        number("long_bp", "What a LONG made: in at the ask, out at the bid.", "basis points", _FORWARD),
        number("short_bp", "What a SHORT made: in at the bid, out at the ask.", "basis points", _FORWARD),
        Column(
            "direction",
            INTEGER,
            "1 up, -1 down, 0 for a move under the definition's share of the spread.",
            "sign",
            _FORWARD,
            lowest=-1,
            highest=1,
        ),
        text("labels_version", "Definition of the label, see label_definitions.", _DEFINITION),
    ),
    key=("tenant", "account", "signal_id", "horizon_minutes"),
)

label_definitions = table(
    "label_definitions",
    "learning",
    "One row per definition of labels, and per set of costs of an account.",
    "What the versions named by labels stand for: rules, thresholds, horizons, and the costs of each symbol, whole and as JSON. "
    "Append-only. Filed under one date.",
    (
        text("version", "Name by content.", _DEFINITION),
        text("kind", "What the row holds.", _DEFINITION, allowed=("definition", "costs")),
        text("content", "All its values as canonical JSON.", _DEFINITION),
    ),
    key=("tenant", "account", "version"),
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
        *columns_of(Decision, "suggestion", "action", "blend"),
        *columns_of(Candidate, "entry_price", "stop_price", "target_price", "timeout_bars", "risk_unit"),
        *columns_of(DecisionInputs, "bid", "ask"),
        flag("is_win", "What is learned: whether the labelled result is positive.", "labels"),
        number("result_r", "Labelled result after costs.", "R", "labels"),
        text("profit_tier", "Tier of the labelled result.", "labels", allowed=PROFIT_TIERS),
        text("barrier", "Barrier that was reached.", "labels", allowed=BARRIERS),
        number("mae_r", "Maximum adverse excursion of the label.", "R", "labels"),
        number("mfe_r", "Maximum favourable excursion of the label.", "R", "labels"),
        number("time_to_mae_s", "From entry to the worst price.", "s", "labels"),
        number("time_to_mfe_s", "From entry to the best price.", "s", "labels"),
        number("time_in_drawdown_s", "Time below the entry.", "s", "labels"),
        number("path_area_r", "Unrealised result summed over the path.", "R hours", "labels"),
        count("bars_held", "Finest bars from entry to barrier.", "bars", "labels"),
        count("cohort_rank", "Rank of the labelled result within the cohort, 1 is best.", "rank", "labels"),
        number("regret_best_r", "Best labelled result of the cohort less this one.", "R", "labels"),
        number("regret_median_r", "Median labelled result of the cohort less this one.", "R", "labels"),
        *(
            number(
                f"return_{minutes}m_bp",
                f"Move of the mid price in the {minutes} minutes after the decision; null when the market was closed.",
                "basis points",
                "forward_returns",
                nullable=True,
            )
            for minutes in HORIZONS
        ),
        number(
            "outcome_r",
            "Result of the trade the candidate became; null when it was not traded.",
            "R",
            "outcomes",
            nullable=True,
        ),
        text("exit_reason", "Why that trade ended; null when it was not traded.", "outcomes", nullable=True),
        text("labels_version", "Definition of the label, see label_definitions.", "labels"),
        text("costs_version", "Costs it was made with, see label_definitions.", "labels"),
    ),
    key=("tenant", "account", "idea_id", "labels_version"),
)

dataset_versions = table(
    "dataset_versions",
    "learning",
    "One row per version of the learning dataset.",
    "What each version of the dataset holds, as hashes of its days: a version's hash is the hash of its days' hashes. A row names "
    "only the days that differ from the version before. Append-only. Filed under one date.",
    (
        count("delta_version", "Version of the table learning_dataset.", "version", "lake"),
        text(
            "operation", "What made it.", "store.dataset_versions", allowed=("append", "revise", "rollback", "resume")
        ),
        count(
            "restored_version",
            "Version whose content a rollback brought back; null otherwise.",
            "version",
            "store.dataset_versions",
            nullable=True,
        ),
        moment("committed_at", "When Delta committed it.", "lake"),
        count("row_count", "Rows of the version.", "rows", "lake"),
        text("sha256", "Hash of the version's content.", "core.learning.dataset"),
        texts("changed_days", "Days that differ from the version before, ISO 8601.", "store.dataset_versions"),
        texts("changed_sha256", "Their hashes; empty for a day that has no rows any more.", "core.learning.dataset"),
    ),
    key=("tenant", "account", "delta_version"),
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
    (moment("judged_at", "When the judge gave the verdict.", "asset promotions"), *payload_of(Promotion)),
    key=("tenant", "account", "model_version", "judged_at"),
)

retraining_runs = table(
    "retraining_runs",
    "learning",
    "One row per training run.",
    "Why a model was trained anew, on what, and what became of it: judged, or failed. Append-only. Partitioned by the day it ended.",
    (
        text("run_id", "Dagster run of the training.", "Dagster"),
        text("trigger", "What started it, in one sentence; also the run's tag.", "defs.sensors"),
        moment("started_at", "When the training began.", "asset meta_models"),
        moment("ended_at", "When it was judged and released or not, or found to have failed.", "asset retraining_runs"),
        count(
            "row_count", "Rows it was trained on; 0 when there were too few, or it failed.", "rows", "learning_dataset"
        ),
        count("dataset_version", "Delta version of the learning dataset; 0 when it failed.", "version", "lake"),
        text(
            "dataset_sha256",
            "Content hash of that dataset; empty when it was too small to train on, or the run failed.",
            "core.learning.dataset",
        ),
        text("previous_release_id", "Release in use before; rules-only for the rules alone.", "store.release"),
        text("previous_model_version", "Its model; null for the rules alone.", "store.release", nullable=True),
        text(
            "model_version",
            "Model that was trained; null when there was too little.",
            "core.learning.meta_model",
            nullable=True,
        ),
        number(
            "previous_score",
            "Skill of the previous model on the rows both were judged on; null without one, or without such rows.",
            "share of log loss",
            _EVALUATION,
            nullable=True,
        ),
        number(
            "score",
            "Skill of the new model on those rows, else on its own; null without a model.",
            "share of log loss",
            _EVALUATION,
            nullable=True,
        ),
        number(
            "improvement",
            "The new model's skill less the previous one's.",
            "share of log loss",
            _EVALUATION,
            nullable=True,
        ),
        flag("is_deployed", "Whether it was released, into shadow at first.", "core.learning.promotion"),
        text("release_id", "Its release; null when it was not deployed.", "store.release", nullable=True),
        texts("reasons", "Why it was deployed or not.", "core.learning.promotion"),
    ),
    key=("tenant", "account", "run_id"),
)

findings = table(
    "findings",
    "integrity",
    "One row per finding, and one when it no longer holds.",
    "Differences between what must be true and what is, from the daemon and from the assets; one that comes back has a row "
    "again. Append-only. Partitioned by the day of known_at.",
    (*columns_of(Finding, "event_at", "known_at", "chain_id"), *payload_of(Finding)),
    key=("tenant", "account", "chain_id"),
)

repairs = table(
    "repairs",
    "integrity",
    "One row per attempt at a repair.",
    "What the self-check did about a finding by itself, with what was before and after. Append-only. Partitioned by the day of "
    "known_at.",
    (*columns_of(Repair, "event_at", "known_at", "chain_id"), *payload_of(Repair)),
    key=("tenant", "account", "chain_id"),
)

transforms = table(
    "transforms",
    "integrity",
    "One row per write of a table.",
    "What was written into the lake, by which run. Partitioned by the day of the write.",
    (*columns_of(Transform, "event_at", "known_at"), *payload_of(Transform)),
)

LEARNING_TABLES: tuple[Table, ...] = (
    labels,
    forward_returns,
    label_definitions,
    learning_dataset,
    dataset_versions,
    meta_models,
    promotions,
    retraining_runs,
    findings,
    repairs,
    transforms,
)
