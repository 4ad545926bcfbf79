"""The labels and the learning dataset: what would have come of each candidate, and the rows the meta-model learns from.

What a label is lives in `core.trades.labels`, what a row is in `core.learning.dataset`. The dataset only ever grows: a row
enters once, when its label's future has passed, and each growth is a version that can be read back.
"""

from datetime import date, timedelta
from typing import Any

import dagster as dg
import msgspec
import polars as pl

from trading_assets.core.learning.dataset import KEY, build_rows
from trading_assets.core.records.decisions import Decision, SymbolState
from trading_assets.core.tables import TABLES
from trading_assets.core.trades.labels import LABELS_VERSION, LabelCosts, costs_of, label_candidates
from trading_assets.defs.partitions import chunks, dates_of
from trading_assets.defs.resources import Storage
from trading_assets.defs.table_asset import conform, materialised, table_asset, whole_table_asset
from trading_assets.store.journal import read_records
from trading_assets.store.lake import Lake

FUTURE_DAYS = 7
# The stated model: a market order out (stop or timeout) loses this much more than the price says.
SLIPPAGE_POINTS = 0.5
ACCOUNT = ["tenant", "account"]


def _costs(lake: Lake) -> dict[tuple[str, str], LabelCosts]:
    """Return each account's costs, from the contracts its terminal reported last."""
    specs = lake.read("raw_symbol_specs").unique([*ACCOUNT, "symbol"], keep="last", maintain_order=True)
    return {
        (str(owner[0]), str(owner[1])): costs_of(
            (msgspec.convert(spec, SymbolState, strict=False) for spec in rows["spec"]), SLIPPAGE_POINTS
        )
        for owner, rows in specs.group_by(ACCOUNT, maintain_order=True)
    }


def labels_of_days(lake: Lake, days: list[date]) -> pl.DataFrame:
    """Label the candidates decided on the days, with the bars that follow."""
    candidates = lake.read("candidates", dates=days)
    future = lake.scan("bars", since=days[0] - timedelta(days=1), until=days[-1] + timedelta(days=FUTURE_DAYS))
    bars = future.filter(pl.col("timeframe") == "M1").collect()
    costs = _costs(lake)
    parts = [TABLES["labels"].empty()]
    for owner, ideas in candidates.group_by(ACCOUNT, maintain_order=True):
        account = (str(owner[0]), str(owner[1]))
        mine = bars.filter((pl.col("tenant") == account[0]) & (pl.col("account") == account[1]))
        parts.append(conform("labels", label_candidates(ideas, mine, costs.get(account, LabelCosts()))))
    return pl.concat(parts)


@table_asset("labels", ["candidates", "bars", "raw_symbol_specs"], group_name="labels")
def labels(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    rows = waiting = 0
    for days in chunks(dates_of(context)):
        frame = labels_of_days(storage.lake, days)
        ideas = storage.lake.scan("candidates", dates=days).filter(pl.col("kind").is_in(["LONG", "SHORT"]))
        waiting += int(ideas.select(pl.len()).collect().item()) - frame.height
        storage.lake.overwrite_dates("labels", frame, days)
        rows += frame.height
    return materialised(None, rows, waiting=waiting, labels_version=LABELS_VERSION)


def new_labels(lake: Lake) -> pl.DataFrame:
    """Return the labels whose candidate is not in the dataset yet."""
    known = lake.scan("learning_dataset").select(KEY)
    return lake.scan("labels").join(known, on=KEY, how="anti").collect()


@whole_table_asset(
    "learning_dataset",
    ["labels", "signals", "candidates", "outcomes", "feature_windows", "feature_definitions"],
    group_name="dataset",
)
def learning_dataset(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    lake = storage.lake
    entering = new_labels(lake)
    for days in chunks(sorted(set(entering["date"]))):
        fresh = entering.filter(pl.col("date").is_in(days))
        decisions = (
            record
            for record in read_records(storage.home.raw, stream="trading", dates=days, types=(Decision,))
            if isinstance(record, Decision)
        )
        traded = lake.read("outcomes", since=days[0]).join(fresh.select("idea_id"), on="idea_id", how="semi")
        lake.append("learning_dataset", conform("learning_dataset", build_rows(decisions, fresh, traded)))
        context.log.info("%s to %s: %s rows", days[0], days[-1], fresh.height)
    rows = int(lake.scan("learning_dataset").select(pl.len()).collect().item())
    version = lake.version("learning_dataset")
    return materialised(None, rows, rows_in=entering.height, delta_version=version)
