"""`trading materialise`: run a job of the asset graph by hand, over the days that are due or those that are named."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime

import click

from trading_assets.cli.environment import running
from trading_assets.cli.progress import SCREEN, run_with_progress, steps
from trading_assets.core.errors import InputError
from trading_assets.defs.due import days_to_materialise, heard_days, recent_days
from trading_assets.defs.left_alone import sentences
from trading_assets.defs.settings import AssetSettings
from trading_assets.defs.tasks import TASKS
from trading_assets.store.home import Home
from trading_assets.store.ingestion import pending_days
from trading_assets.store.lake import Lake
from trading_assets.store.seals import sealing_lake

PARTITIONED = ("ingest", "ledger", "dataset", "operations")


def materialise(home: Home, job: str, first: date | None, last: date | None) -> None:
    """Run the job. Raises InputError for a job there is none of, half a range, or days that have no partition."""
    names = [task.job for task in TASKS]
    if job not in names:
        raise InputError("running", f"job {job!r}", "there is no such job", f"use one of {', '.join(names)}")
    if (first is None) != (last is None):
        raise InputError(
            "running", f"job {job}", "half a range of days was given", "give both --from and --to, or neither"
        )
    with running(home):
        if first and last and job in PARTITIONED:
            _check_range(job, first, last)
        with steps() as progress:
            if job not in PARTITIONED:
                run_with_progress(progress, job, job.capitalize())
                return
            stretches = [(first, last)] if first and last else _due(home, job)
            if not stretches:
                SCREEN.print("Nothing has changed since the last run.")
            for start, end in stretches:
                run_with_progress(progress, job, f"{job.capitalize()}, {start} to {end}", (start, end))
        tell_left_alone(home, [job], stretches)


def tell_left_alone(home: Home, jobs: Collection[str], stretches: Iterable[tuple[date, date]]) -> None:
    """Print which days of their tables the jobs left as they were."""
    lake = Lake(home.lake)
    for first, last in stretches:
        for sentence in sentences(lake, jobs, first, last):
            SCREEN.print(sentence, soft_wrap=True)


def _check_range(job: str, first: date, last: date) -> None:
    begin, today = AssetSettings.from_environment().first_date, datetime.now(UTC).date()
    if not begin <= first <= last <= today:
        raise InputError(
            "running", f"job {job}", f"{first} to {last} is no range of days from {begin} to today",
            "name the first day with --from and the last with --to, or set TRADING_FIRST_DATE for earlier ones",
        )  # fmt: skip


def _due(home: Home, job: str) -> list[tuple[date, date]]:
    lake, begin = ready_lake(home), AssetSettings.from_environment().first_date
    if job == "ingest":
        return days_to_materialise(lake, pending_days(home), begin)
    today = datetime.now(UTC).date()
    recent = heard_days(lake, begin, today) if job == "operations" else recent_days(lake, begin)
    return [recent] if recent else []


def ready_lake(home: Home) -> Lake:
    """Return the home's lake with all its tables; one of an earlier version is brought up to date, and it is said."""
    lake = sealing_lake(home)
    if added := lake.ensure_tables():
        click.echo(
            f"The lake of {home.root} is of an earlier version: {added} columns were added (table schema_changes).",
            err=True,
        )
    return lake
