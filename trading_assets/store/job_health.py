"""What the watch over the jobs said last, in a file of its own: it can be read while Dagster's database does not answer.

Old is not healthy: whoever reads it looks at `at`, too.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from trading_assets.core.job_health import JobHealth
from trading_assets.store.files import replace_atomically
from trading_assets.store.home import Home

FRESH = timedelta(minutes=5)
"""The watch looks every minute; what is older than this says nothing of now."""


class JobsReport(msgspec.Struct, frozen=True, kw_only=True):
    """How all jobs did at a moment."""

    at: datetime
    since: datetime
    """When the watch began; it has looked every few minutes from then on."""
    told_at: datetime
    """When it was last written into the journal."""
    jobs: tuple[JobHealth, ...]

    def is_fresh(self, now: datetime) -> bool:
        """Whether it says how the jobs do now."""
        return now - self.at <= FRESH


def read_jobs(home: Home) -> JobsReport | None:
    """Return what was said last; None where the watch never looked."""
    with suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(_path(home).read_bytes(), type=JobsReport)
    return None


def write_jobs(home: Home, report: JobsReport) -> None:
    """Keep what is said now."""
    replace_atomically(_path(home), msgspec.json.encode(report))


def note_nothing_due(home: Home, job: str, at: datetime) -> None:
    """Keep that a job's schedule looked and found nothing to do."""
    replace_atomically(home.dagster / "nothing_due" / job, at.isoformat().encode())


def nothing_was_due(home: Home, job: str) -> datetime | None:
    """Return when a job's schedule last found nothing to do."""
    with suppress(OSError, ValueError):
        return datetime.fromisoformat((home.dagster / "nothing_due" / job).read_text())
    return None


def _path(home: Home) -> Path:
    return home.dagster / "job_health.json"
