"""The operations stage: how the daemon and its components did, hour by hour.

What the hours say is computed in `core.health`; here is what is read for them. A heartbeat from before the days is needed
to know how long nothing was heard, however long ago it was.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl

from trading_assets.core.health import heartbeats, system_health
from trading_assets.defs.follow_ups import following
from trading_assets.defs.left_alone import days_to_make
from trading_assets.defs.partitions import chunks, dates_of
from trading_assets.defs.resources import Storage
from trading_assets.defs.table_asset import conform, materialised, table_asset, whole_table_asset
from trading_assets.store.lake import Lake


def _since_last_heard(lake: Lake, name: str, days: list[date]) -> pl.DataFrame:
    """Return the days' rows, and those of the last day before them on which anything was heard."""
    before = [day for day in lake.dates(name) if day < days[0]][-1:]
    return lake.read(name, since=min(before, default=days[0]), until=days[-1])


@table_asset("system_health", ["raw_component_states", "raw_daemon_heartbeats"])
@following("system_health")
def system_health_asset(context: dg.AssetExecutionContext, storage: Storage) -> dg.MaterializeResult[Any]:
    lake, now, rows, rows_in = storage.lake, datetime.now(UTC), 0, 0
    days_asked, said = days_to_make(lake, "system_health", dates_of(context))
    if said:
        context.log.warning(said)
    for days in chunks(days_asked):
        beats = heartbeats(
            _since_last_heard(lake, "raw_component_states", days),
            _since_last_heard(lake, "raw_daemon_heartbeats", days),
        )
        ends_at = datetime.combine(days[-1] + timedelta(days=1), datetime.min.time(), tzinfo=UTC)
        frame = conform("system_health", system_health(beats, days[0], min(now, ends_at)))
        frame = frame.filter(pl.col("date").is_in(days))
        lake.overwrite_dates("system_health", frame, days)
        rows, rows_in = rows + frame.height, rows_in + beats.height
    return materialised(None, rows, rows_in=rows_in)


@whole_table_asset("schema_changes", [])
def schema_changes(storage: Storage) -> dg.MaterializeResult[Any]:
    # The lake itself writes a row when it adds a column; here they are counted.
    return materialised(None, storage.lake.row_count("schema_changes"))
