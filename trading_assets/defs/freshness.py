"""How old each asset may get before Dagster warns and then calls it late: by the cadence of the job that makes it.

The cadences themselves are the task manifest (`defs.tasks`). A job finds something to do as long as the daemon lives, for
its heartbeats are in the journal, too; so what is late says that the daemon, Dagster or the job stands still.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import dagster as dg

from trading_assets.defs.tasks import TASKS

# Warned of after the first, late after the second; more than the cadence, so that one tick may be missed.
_MINUTES = (timedelta(minutes=30), timedelta(hours=2))
_HOURS = (timedelta(hours=3), timedelta(hours=6))
_DAYS = (timedelta(hours=30), timedelta(hours=54))


def patience(cadence: str) -> tuple[timedelta, timedelta]:
    """Return after how long a job of this cadence is warned of, and after how long it is late."""
    minute, hour = cadence.split()[:2]
    if hour != "*":
        return _DAYS
    return _MINUTES if "/" in minute else _HOURS


OF_GROUP = {group: patience(task.cadence) for task in TASKS for group in task.groups}


def with_freshness(spec: dg.AssetSpec) -> dg.AssetSpec:
    """Return the spec with the freshness its job's cadence allows."""
    warn, fail = OF_GROUP[spec.group_name or ""]
    fresh: dg.AssetSpec = dg.apply_freshness_policy(
        spec, dg.FreshnessPolicy.time_window(fail_window=fail, warn_window=warn)
    )
    return fresh


def with_ages(assets: Iterable[Any]) -> list[Any]:
    """Return the assets, whatever made them, each with the freshness of its job."""
    return list(dg.map_asset_specs(with_freshness, assets))
