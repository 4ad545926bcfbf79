"""What each check of the record reads, over which days, and the asset it belongs to in Dagster.

What the checks are lives in `core.integrity` and `core.completeness`; when they run together, what is recorded of what they
find and what is done about it is `defs.selfcheck`. After a run the checks of its tables look at the days that it wrote.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl

from trading_assets.core import completeness, integrity
from trading_assets.core.integrity import Difference
from trading_assets.core.tables import TABLES
from trading_assets.core.trades.ledger import conservation
from trading_assets.defs.due import RANGE_TAGS
from trading_assets.defs.follow_ups import days_left
from trading_assets.defs.partitions import LATE_DAYS
from trading_assets.defs.resources import Storage
from trading_assets.store.dataset_versions import is_held
from trading_assets.store.ingestion import marked_reached
from trading_assets.store.lake import Lake

SHOWN = 20
LONGEST_TRADE_DAYS = 14
"""Trades longer than this are looked at when the whole history is."""
LABEL_REACH_DAYS = 7
"""After so many days of bars no label of a day still waits."""
BOOKED_WITHIN = timedelta(hours=3)
"""The hourly ledger books a deal within this, two failed runs and all; later the check is made whatever is booked."""
WITHIN_A_JOB = timedelta(minutes=15)
"""Tables that one job writes one after the other may differ for so long."""

OWNER = ["tenant", "account"]
Days = Collection[date] | None
CheckLake = Callable[[Storage, Days], list[Difference]]


@dataclass(frozen=True)
class Check:
    """One check: the asset it belongs to, the other tables it reads, and how it is made over some days, or all for None."""

    name: str
    asset: str
    also_reads: tuple[str, ...]
    run: CheckLake


def near(days: Days, before: int, after: int) -> Days:
    """Return the days and so many before and after each."""
    if days is None:
        return None
    return {day + timedelta(days=shift) for day in days for shift in range(-before, after + 1)}


def _windows(storage: Storage, days: Days) -> list[Difference]:
    unequal = storage.lake.scan("chart_windows", dates=days).filter(~pl.col("is_equal"))
    return integrity.windows_are_equal(unequal.collect())


def _features(storage: Storage, days: Days) -> list[Difference]:
    unequal = ~(pl.col("is_equal") & pl.col("is_vector_equal"))
    return integrity.features_are_equal(storage.lake.scan("feature_windows", dates=days).filter(unequal).collect())


def _executed(storage: Storage, days: Days) -> list[Difference]:
    orders = storage.lake.read("orders", dates=near(days, 1, 0))
    return integrity.executed_decisions_have_trades(orders, storage.lake.read("trades", dates=near(days, 2, 1)))


def _decided(storage: Storage, days: Days) -> list[Difference]:
    signals = storage.lake.read("signals", dates=near(days, 1, 1), columns=[*OWNER, "signal_id", "idea_id"])
    return integrity.trades_have_decisions(
        storage.lake.read("trades", dates=near(days, 0, 1) if days else days), signals
    )


def _ending(lake: Lake, days: Days) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the trades of the days or closed on them, and the outcomes they can have."""
    if not days:
        return lake.read("trades", dates=days), lake.read("outcomes", dates=days)
    since = min(days) - timedelta(days=LONGEST_TRADE_DAYS)
    trades = lake.read("trades", since=since)
    of_days = pl.col("date").is_in(list(days)) | pl.col("closed_at").dt.date().is_in(list(days))
    return trades.filter(of_days), lake.read("outcomes", since=since)


def _ended(storage: Storage, days: Days) -> list[Difference]:
    return integrity.closed_trades_have_outcomes(*_ending(storage.lake, days))


def _told_alike(storage: Storage, days: Days) -> list[Difference]:
    trades, outcomes = _ending(storage.lake, days)
    return integrity.outcomes_equal_trades(outcomes, trades)


COUNTED = (
    ("raw_decisions", "signals", "signal_id"),
    ("signals", "feature_windows", "signal_id"),
    ("raw_outcomes", "outcomes", "trade_id"),
)
"""Steps from which every distinct key comes out once."""


def _counts(storage: Storage, days: Days) -> list[Difference]:
    lake, found = storage.lake, []
    for source, result, key in COUNTED:
        entered, came = lake.rows_by_date(source), lake.rows_by_date(result)
        # What the logs say is enough for the days on which they say the same.
        unequal = [day for day in entered.keys() | came.keys() if entered.get(day) != came.get(day) and (days is None or day in days)]  # fmt: skip
        for day in sorted(unequal):
            told, last = lake.scan(source, dates=[day]), lake.read(result, dates=[day], columns=[*OWNER, key])
            if source == "raw_outcomes":
                # A revision is filed with the first telling, on another day.
                told = told.filter(pl.col("revision").fill_null(0) == 0)
            first = told.select(*OWNER, key).collect()
            step = f"{source} to {result} of {day}"
            found += integrity.counts_agree(integrity.counts_by_owner(step, first, last, key, table=result, day=day))
    return found


def _keys(storage: Storage, days: Days) -> list[Difference]:
    found = []
    for name, table in TABLES.items():
        if table.key:
            columns = list(dict.fromkeys([*OWNER, "date", *table.key]))
            found += integrity.keys_are_unique(
                name, storage.lake.scan(name, dates=days).select(columns).collect(), table.key
            )
    return found


def _gaps(storage: Storage, days: Days) -> list[Difference]:
    bars = storage.lake.scan("bars", dates=near(days, 1, 1)).filter(pl.col("timeframe") == "M5")
    return integrity.bars_have_no_gaps(
        bars.select(*OWNER, "date", "symbol", "timeframe", "open_at", "close_at").collect()
    )


def _quoted(storage: Storage, days: Days) -> list[Difference]:
    chart = [*OWNER, "symbol"]
    opened = pl.col("event_at").dt.truncate("1m")
    quotes = storage.lake.scan("raw_quotes", dates=near(days, 0, LATE_DAYS)).select(
        *chart, "known_at", "event_at", open_at=opened
    )
    # What came later than a day is in no bar, by the rule of late data; and a bar that still forms is in nobody's sight.
    timely = quotes.filter(pl.col("known_at").dt.date() - pl.col("event_at").dt.date() <= timedelta(days=LATE_DAYS))
    minutes = timely.select(*chart, "open_at", date=pl.col("open_at").dt.date()).unique().collect()
    if days is not None:
        minutes = minutes.filter(pl.col("date").is_in(list(days)))
    reached = [(*owner, at) for owner, at in marked_reached(storage.home).items()]
    ends = pl.DataFrame(reached, schema={"tenant": pl.String, "account": pl.String, "reached": pl.Datetime("us", "UTC")}, orient="row")  # fmt: skip
    closed = minutes.join(ends, on=OWNER).filter(pl.col("open_at") + timedelta(minutes=1) <= pl.col("reached"))
    bars = storage.lake.scan("bars", dates=days).filter(pl.col("timeframe") == "M1").select(*chart, "open_at").collect()
    return completeness.bars_cover_quotes(closed, bars)


def _labelled(storage: Storage, days: Days) -> list[Difference]:
    lake = storage.lake
    if not (bars := lake.dates("bars")):
        return []
    passed = [day for day in lake.dates("candidates") if day < bars[-1] - timedelta(days=LABEL_REACH_DAYS)]
    looked = passed if days is None else sorted(set(passed) & set(days))
    if not looked:
        return []
    labels = lake.scan("labels", dates=looked).select(*OWNER, "idea_id").collect()
    return completeness.labels_are_complete(lake.read("candidates", dates=looked), labels)


def _learned(storage: Storage, days: Days) -> list[Difference]:  # noqa: ARG001 - the logs tell which days to read
    lake = storage.lake
    if is_held(lake):
        return []  # A person rolled it back: that it lacks rows is meant.
    labels, rows = lake.rows_by_date("labels"), lake.rows_by_date("learning_dataset")
    unequal = [day for day in labels.keys() | rows.keys() if labels.get(day) != rows.get(day)]
    # The hourly job adds the rows right after the labels.
    if not unequal or datetime.now(UTC) - lake.committed_at("labels", lake.version("labels")) < WITHIN_A_JOB:
        return []
    key = [*OWNER, "date", "idea_id"]
    ideas, learned = (lake.scan(name, dates=unequal).select(key).collect() for name in ("labels", "learning_dataset"))
    return completeness.labelled_candidates_are_learned(ideas, learned)


CURVES_OF_DAYS = ("equity_daily", "strategy_daily", "tenant_daily")


def _curves(storage: Storage, days: Days) -> list[Difference]:  # noqa: ARG001 - the tables' logs tell which days there are
    due = days_left(storage.home, storage.lake, "curves")  # what the hourly job has still to make is no gap
    return [
        gap
        for table in CURVES_OF_DAYS
        for gap in completeness.curves_have_no_gaps(table, storage.lake.dates(table), due)
    ]


def _silence(storage: Storage, days: Days) -> list[Difference]:
    health = storage.lake.scan("system_health", dates=days).filter(pl.col("silent_open_s") > 0.0)
    return integrity.no_component_was_silent(health.collect())


def _conserved(storage: Storage, days: Days) -> list[Difference]:  # noqa: ARG001 - money adds up over all days or not at all
    lake = storage.lake
    deals, events = lake.read("raw_deals"), lake.read("pnl_events")
    booked_at = lake.committed_at("pnl_events", lake.version("pnl_events"))
    latest = deals["known_at"].max() if deals.height else None
    if latest is not None and latest > booked_at and datetime.now(UTC) - latest < BOOKED_WITHIN:  # type: ignore[operator]
        return []  # The hourly ledger has these deals still to book.
    balances = lake.read("raw_accounts", columns=[*OWNER, "balance"]).unique(OWNER, keep="last", maintain_order=True)
    found: list[Difference] = []
    for tenant, account, balance in balances.iter_rows():
        mine = (pl.col("tenant") == tenant) & (pl.col("account") == account)
        counted = conservation(deals.filter(mine), events.filter(mine), balance)
        found += integrity.no_cent_is_lost(tenant, account, counted)
    return found


def _rated(storage: Storage, days: Days) -> list[Difference]:
    return completeness.money_has_a_rate(storage.lake.read("equity_daily", dates=days))


CHECK_LIST: tuple[Check, ...] = (
    Check("windows_are_equal", "chart_windows", (), _windows),
    Check("features_are_equal", "feature_windows", (), _features),
    Check("counts_agree", "signals", ("raw_decisions", "feature_windows", "raw_outcomes", "outcomes"), _counts),
    Check("executed_decisions_have_trades", "trades", ("orders",), _executed),
    Check("trades_have_decisions", "trades", ("signals",), _decided),
    Check("closed_trades_have_outcomes", "trades", ("outcomes",), _ended),
    Check("outcomes_equal_trades", "trades", ("outcomes",), _told_alike),
    Check("no_cent_is_lost", "pnl_events", ("raw_deals", "raw_accounts"), _conserved),
    Check("money_has_a_rate", "equity_daily", (), _rated),
    Check("curves_have_no_gaps", "equity_daily", ("strategy_daily", "tenant_daily"), _curves),
    Check("labels_are_complete", "labels", ("candidates", "bars"), _labelled),
    Check("labelled_candidates_are_learned", "learning_dataset", ("labels",), _learned),
    Check("keys_are_unique", "learning_dataset", (), _keys),
    Check("bars_have_no_gaps", "bars", (), _gaps),
    Check("bars_cover_quotes", "bars", ("raw_quotes",), _quoted),
    Check("no_component_was_silent", "system_health", (), _silence),
)


def _as_result(found: Sequence[Difference]) -> dg.AssetCheckResult:
    errors = [one for one in found if one.severity == "error"]
    shown = [f"{one.subject}: expected {one.expectation}, found {one.observed}; {one.repair}" for one in found[:SHOWN]]
    return dg.AssetCheckResult(
        passed=not found,
        severity=dg.AssetCheckSeverity.ERROR if errors else dg.AssetCheckSeverity.WARN,
        metadata={
            "differences": len(found),
            "first": dg.MetadataValue.md("\n".join(f"- {line}" for line in shown) or "none"),
        },
    )


def _days_of_run(tags: dict[str, str]) -> Days:
    """Return the days a run was over; None, which is all, when it was over none."""
    first, last = (tags.get(tag) for tag in RANGE_TAGS)
    if first is None or last is None:
        return None
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return {start + timedelta(days=n) for n in range((end - start).days + 1)}


def _asset_check(check: Check) -> dg.AssetChecksDefinition:
    rule = getattr(integrity, check.name, None) or getattr(completeness, check.name, None)

    @dg.asset_check(
        asset=check.asset, name=check.name, additional_deps=list(check.also_reads), description=(rule or check.run).__doc__,
    )  # fmt: skip
    def run(context: dg.AssetCheckExecutionContext, storage: Storage) -> dg.AssetCheckResult:
        return _as_result(check.run(storage, _days_of_run(dict(context.run.tags))))

    return run


CHECKS: list[Any] = [_asset_check(check) for check in CHECK_LIST]
