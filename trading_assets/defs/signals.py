"""The signals stage: the decision record taken apart into signals, candidates and predictions. Nothing is computed anew."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from trading_assets.defs.partitions import chunks, dates_of
from trading_assets.defs.resources import Storage
from trading_assets.defs.table_asset import ONE_RUN, PARTITIONS, RETRIES, conform, counting, materialised, table_spec
from trading_assets.store.lake import Lake

KEY = ["tenant", "account", "date", "signal_id"]
BLOCKED = pl.element().filter(pl.element().struct.field("verdict") == "block").struct.field("filter")
TRIPPED = pl.element().filter(pl.element().struct.field("is_tripped")).struct.field("breaker")


def decisions_of(lake: Lake, days: Sequence[date]) -> pl.DataFrame:
    """Return the days' decisions, one row per signal: a decision journalled again is the same decision."""
    raw = lake.read("raw_decisions", dates=days)
    return raw.unique(["tenant", "account", "signal_id"], keep="first", maintain_order=True)


def signals_frame(decisions: pl.DataFrame) -> pl.DataFrame:
    """Return the decisions flat, without their cohorts."""
    versions, inputs = pl.col("versions").struct, pl.col("inputs").struct
    return conform(
        "signals",
        decisions.with_columns(
            code_version=versions.field("code"),
            strategy_version=versions.field("strategy"),
            feature_set_version=versions.field("feature_set"),
            extractor_version=versions.field("extractor"),
            release_id=versions.field("release"),
            model_version=versions.field("model"),
            bid=inputs.field("bid"),
            ask=inputs.field("ask"),
            quote_at=inputs.field("quote_at"),
            base_bar_count=inputs.field("base_bar_count"),
            balance=inputs.field("account_state").struct.field("balance"),
            equity=inputs.field("account_state").struct.field("equity"),
            regime_label=pl.col("regime").struct.field("label"),
            regime_confidence=pl.col("regime").struct.field("confidence"),
            classifier_version=pl.col("regime").struct.field("classifier_version"),
            blocking_filters=pl.col("filters").list.eval(BLOCKED),
            tripped_breakers=pl.col("breakers").list.eval(TRIPPED),
        )
        .with_columns(regime=pl.col("regime_label"))
        .join(_win_probability(decisions), on=KEY, how="left"),
    )


def _win_probability(decisions: pl.DataFrame) -> pl.DataFrame:
    """Return the probability of each decision's chosen candidate, of the best one where none was chosen."""
    cohort = (
        decisions.select(*KEY, pl.col("idea_id").alias("chosen"), "candidates")
        .explode("candidates")
        .unnest("candidates")
    )
    chosen = pl.col("win_probability").filter(pl.col("idea_id") == pl.col("chosen")).first()
    return cohort.group_by(KEY).agg(win_probability=pl.coalesce(chosen, pl.col("win_probability").max()))


def candidates_frame(decisions: pl.DataFrame) -> pl.DataFrame:
    """Return one row per candidate."""
    chosen = decisions.select(*KEY, pl.col("idea_id").alias("chosen"))
    week_ends_at = pl.col("inputs").struct.field("week_ends_at")
    cohort = decisions.select(
        *KEY, "symbol", "timeframe", "bar_close_at", "decided_at", week_ends_at, "candidates"
    ).explode("candidates")
    flat = cohort.drop_nulls("candidates").unnest("candidates").join(chosen, on=KEY, how="left")
    return conform(
        "candidates",
        flat.with_columns(
            blocking_filters=pl.col("filters").list.eval(BLOCKED),
            is_chosen=(pl.col("idea_id") == pl.col("chosen")).fill_null(value=False),
        ),
    )


def predictions_frame(decisions: pl.DataFrame) -> pl.DataFrame:
    """Return the ensemble taken apart: forecasters, consensus, and for each candidate rules, meta-model and blend."""
    about = [*KEY, "symbol", "timeframe", "decided_at"]
    strategy = pl.col("versions").struct.field("strategy").alias("strategy")
    model = pl.col("versions").struct.field("model").alias("model")
    forecasts = (
        decisions.select(*about, "forecasts").explode("forecasts").drop_nulls("forecasts").unnest("forecasts")
        .select(*about, pl.lit(None, pl.String).alias("idea_id"), predictor="forecaster", predictor_version="version",
                kind=pl.lit("forecast"), value="value", confidence="confidence", reason="reason")
    )  # fmt: skip
    consensus = decisions.select(
        *about, pl.lit(None, pl.String).alias("idea_id"), predictor=pl.lit("consensus"), predictor_version=strategy,
        kind=pl.lit("consensus"), value="consensus", confidence=(1 - pl.col("dispersion")).clip(0, 1), reason=pl.lit(""),
    )  # fmt: skip
    cohort = (
        decisions.select(*about, strategy, model, "candidates")
        .explode("candidates")
        .drop_nulls("candidates")
        .unnest("candidates")
    )
    scores = [
        cohort.filter(pl.col(kind).is_not_null()).select(
            *about, "idea_id", predictor=pl.lit(predictor), predictor_version=pl.col(version), kind=pl.lit(kind),
            value=pl.col(kind), confidence=pl.lit(None, pl.Float64), reason=pl.lit(""),
        )
        for kind, predictor, version in (
            ("rule_score", "rules", "strategy"), ("win_probability", "meta_model", "model"), ("blended_score", "blend", "strategy"),
        )
    ]  # fmt: skip
    return pl.concat([conform("predictions", part) for part in (forecasts, consensus, *scores)])


FRAMES = {"signals": signals_frame, "candidates": candidates_frame, "predictions": predictions_frame}


@dg.multi_asset(
    name="decisions_taken_apart",
    specs=[
        # The same upstream for all three: a backfill takes tables that are written together only as one.
        table_spec(name, ["raw_decisions", "chart_windows", "feature_windows"])
        for name in ("signals", "candidates", "predictions")
    ],
    partitions_def=PARTITIONS,
    backfill_policy=ONE_RUN,
    retry_policy=RETRIES,
)
@counting
def signals(context: dg.AssetExecutionContext, storage: Storage) -> Iterator[dg.MaterializeResult[Any]]:
    rows = dict.fromkeys(FRAMES, 0)
    decided = 0
    for days in chunks(dates_of(context)):
        decisions = decisions_of(storage.lake, days)
        decided += decisions.height
        for name, frame_of in FRAMES.items():
            frame = frame_of(decisions)
            storage.lake.overwrite_dates(name, frame, days)
            rows[name] += frame.height
    for name, count in rows.items():
        yield materialised(name, count, rows_in=decided)
