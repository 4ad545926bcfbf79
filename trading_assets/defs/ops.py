"""This half's own records in the journal: alerts, promotions, what was written. Dagster's side is a writer like any other."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import datetime

import dagster as dg

from trading_assets import __version__
from trading_assets.core import ids
from trading_assets.core.records.operations import OpsError, Transform
from trading_assets.core.records.record import Record
from trading_assets.store.home import Home
from trading_assets.store.journal import Journal

OPS_TENANT, OPS_ACCOUNT = "ops", "dagster"
# Marks a run whose starter records what it wrote; the sensor leaves it alone.
HERE_TAG = "trading/in_process"


def record_transforms(home: Home, instance: dg.DagsterInstance, run_id: str, at: datetime) -> None:
    """Record what a run wrote: one record for each table, with rows in and out, as its materialisations say."""
    logged = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    tables: dict[str, list[dg.AssetMaterialization]] = {}
    for entry in logged:
        if (written := entry.asset_materialization) is not None:
            tables.setdefault(written.asset_key.path[-1], []).append(written)
    records = [_transform(table, written, run_id, at) for table, written in tables.items()]
    if records:
        write_ops(home, records)


def _transform(table: str, written: list[dg.AssetMaterialization], run_id: str, at: datetime) -> Transform:
    rows_out = _number(written[-1], "dagster/row_count")
    days = sorted(one.partition for one in written if one.partition)
    return Transform(
        tenant=OPS_TENANT, account=OPS_ACCOUNT, event_at=at, known_at=at, chain_id=ids.ulid(at, "transform", run_id, table),
        table=table, run_id=run_id, partitions=f"{days[0]} to {days[-1]}" if days else "all",
        rows_in=_number(written[-1], "rows_in", rows_out), rows_out=rows_out, code_version=__version__,
    )  # fmt: skip


def _number(written: dg.AssetMaterialization, name: str, default: int = 0) -> int:
    value = written.metadata.get(name)
    return int(value.value) if value is not None and isinstance(value.value, int) else default


async def _append(home: Home, records: Sequence[Record]) -> None:
    async with Journal.open(home.raw, writer=f"ops-{os.getpid()}") as journal:
        await journal.append(records)


def write_ops(home: Home, records: Sequence[Record]) -> None:
    """Append records of this half to the journal, durable when this returns."""
    asyncio.run(_append(home, records))


def alert(home: Home, component: str, message: str, at: datetime) -> None:
    """Record an error for a person to see."""
    write_ops(
        home,
        [OpsError(tenant=OPS_TENANT, account=OPS_ACCOUNT, event_at=at, known_at=at,
                  chain_id=ids.ulid(at, "ops", component), component=component, message=message)],
    )  # fmt: skip
