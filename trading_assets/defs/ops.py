"""This half's own records in the journal: alerts, promotions, what was written. Dagster's side is a writer like any other."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from trading_assets import __version__
from trading_assets.core import ids
from trading_assets.core.records.operations import OpsError, Transform
from trading_assets.core.records.record import Record
from trading_assets.core.tables import TABLES
from trading_assets.store.commit_notes import told_by
from trading_assets.store.home import Home
from trading_assets.store.journal import Journal
from trading_assets.store.lake import Lake
from trading_assets.store.under_way import end_days

OPS_TENANT, OPS_ACCOUNT = "ops", "dagster"
# What a run must have written for its days to be followed to the end of the job ingest.
FOLLOWED = {"raw_quotes", "raw_decisions", "bars", "features", "signals", "trades", "holdings"}
# Marks a run whose starter records what it wrote; the sensor leaves it alone.
HERE_TAG = "trading/in_process"


def record_transforms(home: Home, instance: dg.DagsterInstance, run_id: str, at: datetime) -> None:
    """Record what a run wrote: one record for each table, with rows in and out, as its materialisations say."""
    logged = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    tables: dict[str, list[dg.AssetMaterialization]] = {}
    for entry in logged:
        if (written := entry.asset_materialization) is not None:
            tables.setdefault(written.asset_key.path[-1], []).append(written)
    lake = Lake(home.lake)
    records = [_transform(lake, table, written, run_id, at) for table, written in tables.items()]
    if tables.keys() >= FOLLOWED:
        end_days(home, run_id)
    if records:
        write_ops(home, records)


def _transform(lake: Lake, table: str, written: list[dg.AssetMaterialization], run_id: str, at: datetime) -> Transform:
    rows_out = _number(written[-1], "rows_out")
    note = _note(lake, table, run_id)
    days = sorted(one.partition for one in written if one.partition)
    return Transform(
        tenant=OPS_TENANT, account=OPS_ACCOUNT, event_at=at, known_at=at, chain_id=ids.ulid(at, "transform", run_id, table),
        table=table, run_id=run_id, partitions=f"{days[0]} to {days[-1]}" if days else "all",
        rows_in=_number(written[-1], "rows_in", rows_out), rows_out=rows_out, code_version=__version__,
        delta_version=note.get("delta_version"), sources=note.get("sources", ()), feature_sets=_feature_sets(written[-1]),
    )  # fmt: skip


def _note(lake: Lake, table: str, run_id: str) -> dict[str, Any]:
    """Return what the run's last commit of a table says; empty where it made none, or it is no table."""
    if table not in TABLES:
        return {}
    # Another run may have written meanwhile; one that wrote this often since is not waited for.
    notes = (told_by(commit) for commit in lake.history(table, 20))
    return next((note for note in notes if note.get("run_id") == run_id), {})


def _feature_sets(written: dg.AssetMaterialization) -> tuple[str, ...]:
    value = written.metadata.get("feature_sets")
    return tuple(str(one) for one in value.value) if value is not None and isinstance(value.value, list) else ()


def _number(written: dg.AssetMaterialization, name: str, default: int = 0) -> int:
    value = written.metadata.get(name)
    return int(value.value) if value is not None and isinstance(value.value, int) else default


_ONE_AT_A_TIME = threading.Lock()


async def _append(home: Home, records: Sequence[Record]) -> None:
    async with Journal.open(home.raw, writer=f"ops-{os.getpid()}") as journal:
        await journal.append(records)


def write_ops(home: Home, records: Sequence[Record]) -> None:
    """Append records of this half to the journal, durable when this returns."""
    # Sensors and schedules of one process share its writer's name.
    with _ONE_AT_A_TIME:
        asyncio.run(_append(home, records))


def alert(home: Home, component: str, message: str, at: datetime) -> None:
    """Record an error for a person to see."""
    write_ops(
        home,
        [OpsError(tenant=OPS_TENANT, account=OPS_ACCOUNT, event_at=at, known_at=at,
                  chain_id=ids.ulid(at, "ops", component), component=component, message=message)],
    )  # fmt: skip
