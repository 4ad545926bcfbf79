"""A schedule of the asset graph that looks at a home, as Dagster lets it."""

from __future__ import annotations

from typing import Any

import dagster as dg
from table_rows import AT

from trading_assets.defs.resources import Storage
from trading_assets.store.home import Home


def tick(graph: dg.Definitions, instance: dg.DagsterInstance, home: Home, job: str) -> Any:
    """Let a job's schedule look at a home."""
    schedule = graph.resolve_schedule_def(f"{job}_schedule")
    resources = {"storage": Storage(root=str(home.root))}
    with dg.build_schedule_context(instance, scheduled_execution_time=AT, resources=resources) as context:
        return schedule.evaluate_tick(context)
