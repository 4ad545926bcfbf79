"""The labels and the learning dataset: what would have come of each candidate, and the rows the meta-model learns from.

What a label is lives in `core.trades.labels`, what a row is in `core.learning.dataset`, what a version of the dataset is in
`store.dataset_versions`. A row enters once, when its label's future has passed; it changes only where the outcome of its trade becomes
known later or is told again. Each growth and each revision is a version that can be read back. What an hour costs follows the new rows: only days with labels that are not in it are read.
"""

from datetime import date, timedelta
from typing import Any

import dagster as dg
import msgspec
import polars as pl

from trading_assets.core.learning.dataset import KEY, build_rows
from trading_assets.core.records.decisions import Decision, SymbolState
from trading_assets.core.tables import REGISTRY_DATE, REGISTRY_OWNER, TABLES
from trading_assets.core.trades.forward_returns import forward_returns as returns_of
from trading_assets.core.trades.label_definition import LabelCosts, LabelDefinition, costs_of
from trading_assets.core.trades.labels import DEFINITION, label_candidates
from trading_assets.defs.follow_ups import following
from trading_assets.defs.left_alone import LABEL_DAYS, days_to_make
from trading_assets.defs.partitions import chunks, dates_of
from trading_assets.defs.plots import results_figure
from trading_assets.defs.resources import Storage
from trading_assets.defs.table_asset import conform, is_shown, materialised, picture, table_asset, whole_table_asset
from trading_assets.store.dataset_versions import is_held, record_version, summaries
from trading_assets.store.journal import read_records
from trading_assets.store.lake import Lake

SHOWN_DAYS = 30
ACCOUNT = ["tenant", "account"]


def _costs(lake: Lake) -> dict[tuple[str, str], LabelCosts]:
    """Return each account's costs, from the contracts and the clock its terminal reported last."""
    specs = lake.read("raw_symbol_specs").unique([*ACCOUNT, "symbol"], keep="last", maintain_order=True)
    sessions = lake.read("raw_sessions", columns=[*ACCOUNT, "clock_rule"]).unique(
        ACCOUNT, keep="last", maintain_order=True
    )
    clocks = {(tenant, account): rule for tenant, account, rule in sessions.rows()}
    return {
        (str(owner[0]), str(owner[1])): costs_of(
            (msgspec.convert(spec, SymbolState, strict=False) for spec in rows["spec"]),
            DEFINITION,
            clocks.get(owner, "utc"),
        )
        for owner, rows in specs.group_by(ACCOUNT, maintain_order=True)
    }


def _bars_after(lake: Lake, days: list[date]) -> pl.DataFrame:
    """Return the finest bars from the day before the days on, as far as a label can reach."""
    future = lake.scan("bars", since=days[0] - timedelta(days=1), until=days[-1] + timedelta(days=LABEL_DAYS))
    return future.filter(pl.col("timeframe") == "M1").collect()


def _quotes_after(lake: Lake, days: list[date]) -> pl.DataFrame:
    """Return the quotes behind those bars."""
    reach = lake.scan("raw_quotes", since=days[0] - timedelta(days=1), until=days[-1] + timedelta(days=LABEL_DAYS))
    return reach.select(*ACCOUNT, "symbol", "event_at", "bid", "ask").collect()


def _of(rows: pl.DataFrame, account: tuple[str, str]) -> pl.DataFrame:
    return rows.filter((pl.col("tenant") == account[0]) & (pl.col("account") == account[1]))


def labels_of_days(lake: Lake, days: list[date]) -> pl.DataFrame:
    """Label the candidates decided on the days, with the bars and quotes that follow."""
    candidates = lake.read("candidates", dates=days)
    bars, quotes = _bars_after(lake, days), _quotes_after(lake, days)
    costs = _costs(lake)
    parts = [TABLES["labels"].empty()]
    for owner, ideas in candidates.group_by(ACCOUNT, maintain_order=True):
        account = (str(owner[0]), str(owner[1]))
        labelled = label_candidates(
            ideas, _of(bars, account), costs.get(account, LabelCosts()), DEFINITION, _of(quotes, account)
        )
        parts.append(conform("labels", labelled))
    return pl.concat(parts)


@whole_table_asset("label_definitions", ["raw_symbol_specs", "raw_sessions"], group_name="labels")
def label_definitions(storage: Storage) -> dg.MaterializeResult[Any]:
    lake = storage.lake
    stated: list[tuple[str, str, LabelDefinition | LabelCosts]] = [("definition", DEFINITION.version, DEFINITION)]
    stated += [("costs", costs.version, costs) for costs in _costs(lake).values()]
    known = set(lake.read("label_definitions", columns=["version"])["version"])
    rows = {
        version: (version, kind, msgspec.json.encode(one, order="sorted").decode()) for kind, version, one in stated
    }
    new = pl.DataFrame(
        [row for version, row in rows.items() if version not in known],
        schema={"version": pl.String, "kind": pl.String, "content": pl.String},
        orient="row",
    )
    owner = {"tenant": REGISTRY_OWNER, "account": REGISTRY_OWNER, "date": REGISTRY_DATE}
    lake.append("label_definitions", conform("label_definitions", new, **owner))
    return materialised(None, len(known) + new.height, rows_in=new.height)


@table_asset("labels", ["candidates", "bars", "raw_quotes", "label_definitions"], group_name="labels")
@following("labels")
def labels(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    rows = waiting = 0
    days_asked, said = days_to_make(storage.lake, "labels", dates_of(context))
    if said:
        context.log.warning(said)
    for days in chunks(days_asked):
        frame = labels_of_days(storage.lake, days)
        ideas = storage.lake.scan("candidates", dates=days).filter(pl.col("kind").is_in(["LONG", "SHORT"]))
        waiting += int(ideas.select(pl.len()).collect().item()) - frame.height
        storage.lake.overwrite_dates("labels", frame, days)
        rows += frame.height
    return materialised(None, rows, waiting=waiting, labels_version=DEFINITION.version)


@table_asset("forward_returns", ["signals", "bars", "label_definitions"], group_name="labels")
@following("forward_returns")
def forward_returns(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    rows = 0
    for days in chunks(dates_of(context)):
        signals, bars = storage.lake.read("signals", dates=days), _bars_after(storage.lake, days)
        parts = [TABLES["forward_returns"].empty()]
        for owner, mine in signals.group_by(ACCOUNT, maintain_order=True):
            reached = returns_of(mine, _of(bars, (str(owner[0]), str(owner[1]))))
            parts.append(conform("forward_returns", reached))
        storage.lake.overwrite_dates("forward_returns", pl.concat(parts), days)
        rows += sum(part.height for part in parts)
    return materialised(None, rows, labels_version=DEFINITION.version)


def new_labels(lake: Lake) -> pl.DataFrame:
    """Return the labels that are not in the dataset yet. Only days with more labels than rows are read."""
    present = lake.rows_by_date("learning_dataset")
    days = [day for day, count in lake.rows_by_date("labels").items() if count != present.get(day, 0)]
    known = lake.scan("learning_dataset", dates=days).select(KEY)
    return lake.scan("labels", dates=days).join(known, on=KEY, how="anti").collect()


def revised_rows(lake: Lake) -> pl.DataFrame:
    """Return the days of the dataset, whole, whose rows tell another outcome than is known now; those rows as they must be.

    An outcome may come after its label, or be told again. Only days with such rows are read.
    """
    told = lake.read("outcomes", columns=["idea_id", "exit_reason", "result_r"]).unique("idea_id", keep="first")
    known = told.rename({"exit_reason": "exit_now", "result_r": "result_now"})
    stood = lake.scan("learning_dataset").select("date", "idea_id", "exit_reason", "outcome_r")
    of_trades = stood.filter(pl.col("idea_id").is_in(known["idea_id"].implode())).collect()
    differs = pl.col("outcome_r").ne_missing(pl.col("result_now")) | pl.col("exit_reason").ne_missing(
        pl.col("exit_now")
    )
    days = of_trades.join(known, on="idea_id", how="inner").filter(differs)["date"].unique().to_list()
    rows = lake.read("learning_dataset", dates=days) if days else lake.read("learning_dataset").clear()
    is_known = pl.col("exit_now").is_not_null()
    return (
        rows.join(known, on="idea_id", how="left", maintain_order="left")
        .with_columns(
            outcome_r=pl.when(is_known).then(pl.col("result_now")).otherwise(pl.col("outcome_r")),
            exit_reason=pl.when(is_known).then(pl.col("exit_now")).otherwise(pl.col("exit_reason")),
        )
        .select(rows.columns)
    )


@whole_table_asset(
    "learning_dataset",
    ["labels", "forward_returns", "signals", "candidates", "outcomes", "feature_windows", "feature_definitions"],
    group_name="dataset",
)
def learning_dataset(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    lake = storage.lake
    if is_held(lake):
        context.log.warning("the dataset was rolled back and stays so: no row enters it until `trading dataset resume`")
        return materialised(None, 0, rows_in=0, delta_version=lake.version("learning_dataset"))
    entering = new_labels(lake)
    for days in chunks(sorted(set(entering["date"]))):
        fresh = entering.filter(pl.col("date").is_in(days))
        decisions = (
            record
            for record in read_records(storage.home.raw, stream="trading", dates=days, types=(Decision,))
            if isinstance(record, Decision)
        )
        traded = lake.read("outcomes", since=days[0]).join(fresh.select("idea_id"), on="idea_id", how="semi")
        returns = lake.read("forward_returns", dates=days)
        lake.append("learning_dataset", conform("learning_dataset", build_rows(decisions, fresh, traded, returns)))
        context.log.info("%s to %s: %s rows", days[0], days[-1], fresh.height)
    revised = revised_rows(lake)
    if not revised.is_empty():
        days = sorted(set(revised["date"]))
        lake.overwrite_dates("learning_dataset", revised, days)
        context.log.info("outcomes of %s days became known or were told again: their rows are revised", len(days))
    version = lake.version("learning_dataset")
    pictures = {}
    if is_shown(context):
        latest = lake.dates("learning_dataset")[-SHOWN_DAYS:]
        rows = lake.read("learning_dataset", dates=latest, columns=["kind", "barrier", "result_r"])
        pictures["results_of_30_days"] = picture(results_figure(rows), "results")
    return materialised(None, entering.height, rows_in=entering.height, delta_version=version, **pictures)


@whole_table_asset("dataset_versions", ["learning_dataset"], group_name="dataset")
def dataset_versions(storage: Storage) -> dg.MaterializeResult[Any]:
    made = record_version(storage.lake)
    return materialised(
        None, len(summaries(storage.lake)), delta_version=made.version, dataset_rows=made.rows, sha256=made.sha256
    )
