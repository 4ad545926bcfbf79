"""The task manifest: for every job its cadence, inputs, outputs, retries and what happens when it fails.

Schedules and a page of the docs (docs/tasks.md) are built from it; nothing else defines a job. The computation is in
the assets.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

ALERT = "the failure sensor writes an ops_error record to the journal of `ops`; `trading status` shows it"


@dataclass(frozen=True)
class Task:
    """One job. `cadence` is a cron line in UTC, empty for a job that a sensor starts.

    A run that goes on for longer than `limit_minutes` is named as one that hangs; it is not ended.
    """

    job: str
    cadence: str
    groups: tuple[str, ...]
    inputs: str
    outputs: str
    retries: int
    on_failure: str
    description: str
    limit_minutes: int = 60

    def last_tick(self, at: datetime) -> datetime | None:
        """Return the last moment at or before `at` at which the clock starts it; None for a job no clock starts."""
        if not self.cadence:
            return None
        minute, hour = self.cadence.split()[:2]
        moment = at.replace(second=0, microsecond=0)
        while not (_matches(minute, moment.minute) and _matches(hour, moment.hour)):
            moment -= timedelta(minutes=1)
        return moment


def _matches(field: str, value: int) -> bool:
    return value % int(field[2:]) == 0 if field.startswith("*/") else field in ("*", str(value))


TASKS = (
    Task(
        "ingest", "*/5 * * * *", ("raw", "market", "features", "signals", "trades"),
        "sealed groups of the journals, for the days that have grown", "raw tables, bars, features, signals, trades",
        2, f"tried again twice, then on the next tick, for days stay pending until they are ingested; {ALERT}",
        "Follow the journals: raw records into the lake and everything that is a function of them alone.",
        limit_minutes=240,
    ),
    Task(
        "ledger", "0 * * * *", ("ledger",), "raw_deals, marks, signals, outcomes, raw_accounts, bars",
        "pnl_events; curves by minute and day of accounts, strategies and tenants; performance_daily",
        2, f"tried again twice; the tables keep their last state; {ALERT}",
        "What the trades did to the account.",
        limit_minutes=120,
    ),
    Task(
        "dataset", "10 * * * *", ("labels", "dataset"), "candidates, bars, quotes, outcomes", "labels, forward returns, learning_dataset and its versions",
        2, f"tried again twice; rows enter at the next hour; {ALERT}",
        "Labels whose future has passed, and the rows they add to the learning dataset.",
        limit_minutes=240,
    ),
    Task(
        "operations", "15 * * * *", ("operations",), "raw_component_states, raw_daemon_heartbeats", "system_health",
        2, f"tried again twice; the hours enter at the next one; {ALERT}",
        "How the daemon and its components did, hour by hour; also while nothing is heard of them.",
    ),
    Task(
        "integrity", "*/10 * * * *", ("integrity",), "every table, the journal chain", "findings, repairs, the tables that are mended",
        1, f"a finding is a record, not a failure; when the check itself fails: {ALERT}",
        "What must always be true, checked, recorded, and mended where that is safe.",
    ),
    Task(
        "retrain", "0 2 * * *", ("learning",), "learning_dataset", "meta_models, promotions, a release, retraining_runs",
        1, f"the release in use stays; {ALERT}",
        "Train, judge, and promote or refuse. Also started by sensors: enough new labels, and decay.",
        limit_minutes=360,
    ),
    Task(
        "rollout", "25 * * * *", ("rollout",), "learning_dataset, the release in use", "promotions, a release",
        1, f"the release in use stays; {ALERT}",
        "Judge the release in use on what it said live: step up, step back, demote. After each dataset.",
    ),
    Task(
        "marts", "20 * * * *", ("marts",), "the lake's tables", "marts.duckdb",
        1, f"the marts keep their last state, the new file is swapped in only when it is complete; {ALERT}",
        "Joins and marts of dbt.",
    ),
    Task(
        "docs", "40 2 * * *", ("docs",), "the dbt project, the marts", "the site of the data docs",
        1, f"the last site stays; {ALERT}",
        "What every table and column means.",
    ),
)  # fmt: skip


def page() -> str:
    """Return the manifest as a page of the docs."""
    lines = [
        "# Tasks",
        "",
        "Generated from `trading_assets/defs/tasks.py` by `make schemas`. Times are UTC.",
        "A run whose process died is ended as failed within a minute and tried again; one that takes longer than its limit is named.",
        "",
        "| job | cadence | reads | writes | retries | limit, minutes | when it fails |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| `{one.job}` | `{one.cadence}` | {one.inputs} | {one.outputs} | {one.retries} | {one.limit_minutes} | {one.on_failure} |"
            for one in TASKS
        ),
        "",
        *(f"- **{one.job}**: {one.description}" for one in TASKS),
        "",
    ]
    return "\n".join(lines)


def jobs() -> list[Any]:
    """Return the jobs."""
    return [
        dg.define_asset_job(
            one.job,
            selection=dg.AssetSelection.groups(*one.groups),
            description=f"{one.description}\n\nReads {one.inputs}. Writes {one.outputs}. When it fails: {one.on_failure}.",
            tags={"dagster/max_retries": str(one.retries)},
        )
        for one in TASKS
    ]
