"""From heartbeats in the journal to hours in the lake: a daemon that was down shows, and its check speaks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from table_rows import rows_of

from trading_assets.core.records.operations import ComponentState, DaemonHeartbeat
from trading_assets.core.records.record import Record
from trading_assets.defs.checks import CHECKS
from trading_assets.defs.due import heard_days
from trading_assets.defs.operations import system_health_asset
from trading_assets.defs.raw import RAW_ASSETS
from trading_assets.defs.resources import Storage
from trading_assets.store.home import Home
from trading_assets.store.journal import Journal
from trading_assets.store.lake import Lake

TUESDAY = datetime(2026, 1, 6, tzinfo=UTC)
# An interval so long that a few records make a day.
INTERVAL_S = 600.0
DOWN, UP = TUESDAY + timedelta(hours=6), TUESDAY + timedelta(hours=9)


@pytest.fixture
async def home(tmp_path: Path, record_of: Callable[..., Any], new_lake: Callable[[Path], Lake]) -> Home:
    """A home whose daemon was down from six to nine, and whose feed fell silent at twenty."""
    home = Home(tmp_path)
    new_lake(home.lake)
    records: list[Record] = []
    for number in range(24 * 6):
        at = TUESDAY + timedelta(seconds=number * INTERVAL_S)
        if DOWN <= at < UP:
            continue
        stamp = {"tenant": "t", "account": "a", "event_at": at, "known_at": at, "interval_s": INTERVAL_S}
        records.append(record_of(DaemonHeartbeat, number, **stamp, decisions=number))
        components = ("journal", "feed") if at < TUESDAY + timedelta(hours=20) else ("journal",)
        records += [
            record_of(
                ComponentState, number, **stamp, component=component, successes=number, errors=0, is_healthy=True,
                last_success_at=at,
            )
            for component in components
        ]  # fmt: skip
    async with Journal.open(home.raw, "test") as journal:
        await journal.append(records)
    return home


def materialise(home: Home, day: str) -> None:
    """Write one day of the raw operations and of the hours."""
    (raw_ops,) = [asset for asset in RAW_ASSETS if asset.op.name == "raw_ops"]
    for asset in (raw_ops, system_health_asset):
        with dg.DagsterInstance.ephemeral() as instance:
            storage = Storage(root=str(home.root))
            done = dg.materialize([asset], instance=instance, partition_key=day, resources={"storage": storage})
        assert done.success


def test_the_gap_of_a_daemon_that_was_down_has_a_row_for_each_hour(home: Home) -> None:
    materialise(home, "2026-01-06")
    health = Lake(home.lake).read("system_health")
    assert sorted(health["component"].unique()) == ["daemon", "feed", "journal"]
    daemon = {row["hour_at"].hour: row for row in health.iter_rows(named=True) if row["component"] == "daemon"}
    assert len(daemon) == 24
    # The last heartbeat was at 5:50, and three intervals later one is overdue.
    assert {hour: row["silent_open_s"] for hour, row in daemon.items() if row["silent_open_s"]} == {
        6: 2400.0, 7: 3600.0, 8: 3600.0
    }  # fmt: skip
    assert daemon[7]["uptime_share"] == 0.0
    assert daemon[12]["uptime_share"] == 1.0
    assert daemon[12]["heartbeats"] == daemon[12]["successes"] == 6


def test_a_day_written_again_is_the_same_day(home: Home) -> None:
    materialise(home, "2026-01-06")
    first = Lake(home.lake).read("system_health")
    materialise(home, "2026-01-06")
    assert Lake(home.lake).read("system_health").equals(first)


def test_the_days_after_a_daemon_never_came_back_are_silent_too(home: Home) -> None:
    materialise(home, "2026-01-06")
    materialise(home, "2026-01-08")
    thursday = Lake(home.lake).read("system_health", dates=[date(2026, 1, 8)])
    assert set(thursday["component"]) == {"daemon", "feed", "journal"}
    assert thursday.height == 3 * 24
    assert thursday["silent_open_s"].sum() == 3 * 24 * 3600.0


def test_the_check_names_the_hours_of_the_daemon_and_the_component_that_fell_silent_alone(home: Home) -> None:
    materialise(home, "2026-01-06")
    result = checked(home)
    assert not result.passed
    assert result.severity is dg.AssetCheckSeverity.WARN
    # Three hours of the daemon, and the feed from 20:20 on: four hours of its own.
    assert result.metadata["differences"].value == 3 + 4
    assert "feed in the hour from" in str(result.metadata["first"].value)


def test_a_sound_day_passes(home: Home) -> None:
    assert checked(home).passed


def checked(home: Home) -> dg.AssetCheckEvaluation:
    """Run the check as Dagster does."""
    (check,) = [one for one in CHECKS if one.check_key.name == "no_component_was_silent"]
    checks_alone = dg.define_asset_job("looking", dg.AssetSelection.checks(check))
    defs = dg.Definitions(
        assets=[system_health_asset], asset_checks=[check], jobs=[checks_alone],
        resources={"storage": Storage(root=str(home.root))},
    )  # fmt: skip
    run = defs.resolve_job_def("looking").execute_in_process()
    (evaluation,) = run.get_asset_check_evaluations()
    return evaluation


def test_days_are_due_although_nothing_was_heard_on_them(home: Home) -> None:
    lake, today = Lake(home.lake), date(2026, 1, 12)
    assert heard_days(home, lake, today) is None
    materialise(home, "2026-01-06")
    assert heard_days(home, lake, today) == (date(2026, 1, 6), today)
    materialise(home, "2026-01-12")
    assert heard_days(home, lake, today) == (date(2026, 1, 11), today)


def test_hours_heard_of_after_later_ones_were_written_are_due(home: Home) -> None:
    # The hourly job came before the ingestion that catches up: what was written then says nothing of the days between.
    lake, today = Lake(home.lake), date(2026, 1, 12)
    materialise(home, "2026-01-06")
    materialise(home, "2026-01-12")
    late = rows_of("raw_daemon_heartbeats", 1, date=[date(2026, 1, 8)], known_at=[TUESDAY + timedelta(days=2)])
    lake.append("raw_daemon_heartbeats", late)
    assert heard_days(home, lake, today) == (date(2026, 1, 8), today)
