"""`trading materialise`: run a job of the asset graph by hand, over the days that are due or those that are named."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime

import click

from trading_assets.cli.environment import running
from trading_assets.cli.progress import SCREEN, run_with_progress, steps
from trading_assets.core.errors import InputError
from trading_assets.defs.due import days_before, days_of_job, days_to_ingest, heard_days
from trading_assets.defs.left_alone import sentences
from trading_assets.defs.settings import first_date_of
from trading_assets.defs.tasks import TASKS
from trading_assets.store.history_days import told_days
from trading_assets.store.home import Home
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
            told_days(home)  # the days it reads about have partitions, too
            _check_range(home, job, first, last)
        with steps() as progress:
            if job not in PARTITIONED:
                run_with_progress(progress, job, job.capitalize())
                return
            stretches = [(first, last)] if first and last else _due(home, job)
            if not stretches:
                SCREEN.print("Nothing has changed since the last run.")
            done: list[tuple[date, date]] = []
            while stretches := [one for one in stretches if one not in done]:
                for start, end in stretches:
                    run_with_progress(progress, job, f"{job.capitalize()}, {start} to {end}", (start, end))
                done += stretches
                # What a run found out may be about days before it: a trade opened long ago has been closed.
                stretches = [] if first else _due(home, job)
        tell_left_alone(home, [job], done)


def tell_left_alone(home: Home, jobs: Collection[str], stretches: Iterable[tuple[date, date]]) -> None:
    """Print which days of their tables the jobs left as they were."""
    lake = Lake(home.lake)
    for first, last in stretches:
        for sentence in sentences(lake, jobs, first, last):
            SCREEN.print(sentence, soft_wrap=True)


def _check_range(home: Home, job: str, first: date, last: date) -> None:
    begin, today = first_date_of(home), datetime.now(UTC).date()
    if not begin <= first <= last <= today:
        raise InputError(
            "running", f"job {job}", f"{first} to {last} is no range of days from {begin}, the first on record, to today",
            "name the first day with --from and the last with --to",
        )  # fmt: skip
    if job == "ingest" and (missing := days_before(home, first)):
        raise InputError(
            "running", f"job {job}",
            f"what the decisions of {first} to {last} saw, and the specifications of their symbols, reach back to {len(missing)} "
            f"days from {missing[0]} on that are not in the lake",
            f"begin there: trading materialise ingest --from {missing[0]} --to {last} --home {home.root}",
        )  # fmt: skip


def _due(home: Home, job: str) -> list[tuple[date, date]]:
    lake = ready_lake(home)
    if job == "ingest":
        return days_to_ingest(home, lake)
    today = datetime.now(UTC).date()
    recent = heard_days(home, lake, today) if job == "operations" else days_of_job(home, lake, job)
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
