"""Integrity: what must always be true of the record, as asset checks and as findings in the journal.

What the checks are lives in `core.integrity`; here are the tables each reads and the asset it belongs to. A check runs
after its asset is written and every ten minutes; a finding is a record, not a failure.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import polars as pl

from trading_assets.core import ids, integrity
from trading_assets.core.integrity import Difference
from trading_assets.core.learning.dataset import KEY
from trading_assets.core.trades.ledger import conservation
from trading_assets.defs.ops import OPS_ACCOUNT, OPS_TENANT, write_ops
from trading_assets.defs.resources import Storage
from trading_assets.defs.table_asset import conform, materialised, whole_table_asset
from trading_assets.store.home import Home
from trading_assets.store.journal import verify
from trading_assets.store.lake import Lake

SHOWN = 20
CheckLake = Callable[[Lake], list[Difference]]


@dataclass(frozen=True)
class Check:
    """One check: the asset it belongs to, the other tables it reads, and how it is made."""

    name: str
    asset: str
    also_reads: tuple[str, ...]
    run: CheckLake


def _windows(lake: Lake) -> list[Difference]:
    return integrity.windows_are_equal(lake.scan("chart_windows").filter(~pl.col("is_equal")).collect())


def _features(lake: Lake) -> list[Difference]:
    unequal = ~(pl.col("is_equal") & pl.col("is_vector_equal"))
    return integrity.features_are_equal(lake.scan("feature_windows").filter(unequal).collect())


def _executed(lake: Lake) -> list[Difference]:
    return integrity.executed_decisions_have_trades(lake.read("orders"), lake.read("trades"))


def _decided(lake: Lake) -> list[Difference]:
    signals = lake.read("signals", columns=["tenant", "account", "signal_id", "idea_id"])
    return integrity.trades_have_decisions(lake.read("trades"), signals)


def _ended(lake: Lake) -> list[Difference]:
    return integrity.closed_trades_have_outcomes(lake.read("trades"), lake.read("outcomes"))


def _told_alike(lake: Lake) -> list[Difference]:
    return integrity.outcomes_equal_trades(lake.read("outcomes"), lake.read("trades"))


def _every_decision(lake: Lake) -> list[Difference]:
    key = ["tenant", "account", "signal_id"]
    counts = integrity.counts_by_owner("raw_decisions to signals", lake.read("raw_decisions", columns=key), lake.read("signals", columns=key), "signal_id")  # fmt: skip
    return integrity.counts_agree(counts)


def _keys(lake: Lake) -> list[Difference]:
    keys = lake.scan("learning_dataset").select(KEY).collect()
    return integrity.keys_are_unique("learning_dataset", keys, KEY)


def _gaps(lake: Lake) -> list[Difference]:
    bars = lake.scan("bars").filter(pl.col("timeframe") == "M5").collect()
    return integrity.bars_have_no_gaps(bars)


def _silence(lake: Lake) -> list[Difference]:
    health = lake.scan("system_health").filter(pl.col("silent_open_s") > 0.0).collect()
    return integrity.no_component_was_silent(health)


def _conserved(lake: Lake) -> list[Difference]:
    deals, events = lake.read("raw_deals"), lake.read("pnl_events")
    balances = lake.read("raw_accounts").unique(["tenant", "account"], keep="last", maintain_order=True)
    found: list[Difference] = []
    for tenant, account, balance in balances.select("tenant", "account", "balance").iter_rows():
        mine = (pl.col("tenant") == tenant) & (pl.col("account") == account)
        counted = conservation(deals.filter(mine), events.filter(mine), balance)
        found += integrity.no_cent_is_lost(tenant, account, counted)
    return found


CHECK_LIST: tuple[Check, ...] = (
    Check("windows_are_equal", "chart_windows", (), _windows),
    Check("features_are_equal", "feature_windows", (), _features),
    Check("every_decision_is_a_signal", "signals", ("raw_decisions",), _every_decision),
    Check("executed_decisions_have_trades", "trades", ("orders",), _executed),
    Check("trades_have_decisions", "trades", ("signals",), _decided),
    Check("closed_trades_have_outcomes", "trades", ("outcomes",), _ended),
    Check("outcomes_equal_trades", "trades", ("outcomes",), _told_alike),
    Check("no_cent_is_lost", "pnl_events", ("raw_deals", "raw_accounts"), _conserved),
    Check("keys_are_unique", "learning_dataset", (), _keys),
    Check("bars_have_no_gaps", "bars", (), _gaps),
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


def _asset_check(check: Check) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=check.asset, name=check.name, additional_deps=list(check.also_reads),
        description=(getattr(integrity, check.name, None) or check.run).__doc__,
    )  # fmt: skip
    def run(storage: Storage) -> dg.AssetCheckResult:
        return _as_result(check.run(storage.lake))

    return run


def chain_faults(home: Home) -> list[Difference]:
    """Verify the journal's chain; each fault as a difference."""
    return [
        Difference(
            check="journal_chain", severity="error", tenant=OPS_TENANT, account=OPS_ACCOUNT,
            subject=f"{fault.segment} line {fault.line}", expectation=fault.expectation, observed=fault.observed, repair=fault.repair,
        )
        for fault in verify(home.raw).faults
    ]  # fmt: skip


@whole_table_asset(
    "findings",
    [
        "chart_windows",
        "feature_windows",
        "signals",
        "orders",
        "trades",
        "outcomes",
        "pnl_events",
        "bars",
        "learning_dataset",
        "system_health",
    ],
)
def findings(storage: Storage) -> dg.MaterializeResult[Any]:
    now = datetime.now(UTC)
    lake = storage.lake
    found = [*chain_faults(storage.home), *(one for check in CHECK_LIST for one in check.run(lake))]
    fresh = _not_known(lake, found)
    records = [one.record(now, ids.ulid(now, "finding", one.check, one.subject)) for one in fresh]
    if records:
        write_ops(storage.home, records)
        rows = pl.DataFrame([_row(one, now) for one in fresh], schema_overrides={"event_at": pl.Datetime("us", "UTC"), "known_at": pl.Datetime("us", "UTC")})  # fmt: skip
        lake.append("findings", conform("findings", rows, date=now.date()))
    return materialised(None, len(fresh), rows_in=len(found))


def _row(one: Difference, now: datetime) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__struct_fields__} | {"event_at": now, "known_at": now}


def _not_known(lake: Lake, found: Sequence[Difference]) -> list[Difference]:
    """Leave out what was found before: a finding is recorded once, however often it is seen."""
    columns = ["tenant", "account", "check", "subject", "observed"]
    known = set(lake.read("findings", columns=columns).iter_rows())
    return [one for one in found if (one.tenant, one.account, one.check, one.subject, one.observed) not in known]


@whole_table_asset("transforms", ["raw_transforms"])
def transforms(storage: Storage) -> dg.MaterializeResult[Any]:
    frame = conform("transforms", storage.lake.read("raw_transforms"))
    storage.lake.replace("transforms", frame)
    return materialised(None, frame.height)


CHECKS = [_asset_check(check) for check in CHECK_LIST]
