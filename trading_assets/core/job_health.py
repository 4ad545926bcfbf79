"""How a job of the asset graph does, from its runs: last success, last failure, failures in a row, lateness, a run that hangs.

Pure: which runs there were is asked by `defs.job_watch`, which writes down what is said here; `store.job_health` keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Literal

import msgspec

from trading_assets.core.integrity import Difference

CHECK = "jobs_do_their_work"
_FREE_FAILURES = 3
_FIRST_WAIT = timedelta(minutes=5)
_LONGEST_WAIT = timedelta(minutes=30)


class JobRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a job."""

    run_id: str
    status: Literal["running", "succeeded", "failed"]
    started_at: datetime
    ended_at: datetime | None = None
    error: str = ""


class JobLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected of a job: its cadence, how late it may be, how long a run may take."""

    job: str
    cadence: str
    patience: timedelta
    longest: timedelta


class JobHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How a job does."""

    job: str
    cadence: str
    is_healthy: bool
    detail: str
    """What is wrong, in one sentence; empty when nothing is."""
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_error: str
    failures: int
    """Runs in a row that failed since the last success."""
    running_since: datetime | None
    late_s: float
    """How much later than its cadence allows it has done its work, or found nothing to do."""


def job_health(
    limits: JobLimits, runs: Sequence[JobRun], at: datetime, *, since: datetime, looked_at: datetime | None
) -> JobHealth:
    """Judge a job by its runs, the latest first.

    `since` is when the watch over it began: nothing was due while nobody could have started it. `looked_at` is when its
    schedule last looked and found nothing to do.
    """
    ended = [run for run in runs if run.status != "running"]
    failed = list(takewhile(lambda run: run.status == "failed", ended))
    done = next((run.ended_at for run in ended if run.status == "succeeded"), None)
    latest_failure = next((run for run in ended if run.status == "failed"), None)
    running = next((run.started_at for run in reversed(runs) if run.status == "running"), None)
    due_since = max(moment for moment in (done, looked_at, since) if moment is not None)
    late = max(at - due_since - limits.patience, timedelta(0)) if limits.cadence else timedelta(0)
    troubles = []
    if running is not None and at - running > limits.longest:
        troubles.append(f"a run has been going on for {_span(at - running)}, longer than {_span(limits.longest)}")
    if failed:
        last = f"the last at {failed[0].ended_at:%Y-%m-%d %H:%M} UTC: {failed[0].error or 'it says no reason'}"
        troubles.append(f"{'the last run' if len(failed) == 1 else f'{len(failed)} runs in a row'} failed, {last}")
    if late:
        troubles.append(f"it is {_span(late)} later than its cadence allows")
    return JobHealth(
        job=limits.job, cadence=limits.cadence, is_healthy=not troubles, detail="; ".join(troubles),
        last_success_at=done, last_failure_at=latest_failure.ended_at if latest_failure else None,
        last_error=latest_failure.error if latest_failure else "", failures=len(failed), running_since=running,
        late_s=late.total_seconds(),
    )  # fmt: skip


def waits_until(failed_at: Sequence[datetime]) -> datetime | None:
    """Return until when a job whose runs failed at these moments in a row, the latest first, is not started by the clock.

    None while it has failed seldom: only a failure that repeats is slowed down, and never beyond half an hour.
    """
    if len(failed_at) < _FREE_FAILURES:
        return None
    waits = _FIRST_WAIT
    for _ in failed_at[_FREE_FAILURES:]:
        waits = min(waits * 2, _LONGEST_WAIT)
    return failed_at[0] + waits


def differences(jobs: Sequence[JobHealth], tenant: str, account: str) -> list[Difference]:
    """Return a difference for each job that does not do its work."""
    return [
        Difference(
            check=CHECK, severity="error" if one.failures or one.running_since else "warning", tenant=tenant,
            account=account, subject=f"job {one.job}",
            expectation=f"a run that succeeds, or finds nothing to do, at its cadence ({one.cadence or 'by sensor'})",
            observed=one.detail,
            repair="it is tried again by itself; where that does not help, open its last run in Dagster: a run that hangs is ended there",
        )
        for one in jobs
        if not one.is_healthy
    ]  # fmt: skip


def _span(length: timedelta) -> str:
    minutes = round(length.total_seconds() / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
