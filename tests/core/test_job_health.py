"""A job is judged by its runs: failures in a row, lateness against its cadence, a run that takes too long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

from trading_assets.core.job_health import CHECK, JobHealth, JobLimits, JobRun, differences, job_health, waits_until

NOW = datetime(2026, 1, 9, 12, tzinfo=UTC)
LIMITS = JobLimits(job="ingest", cadence="*/5 * * * *", patience=timedelta(minutes=30), longest=timedelta(hours=4))


def run(status: Literal["running", "succeeded", "failed"], minutes_ago: float, error: str = "") -> JobRun:
    at = NOW - timedelta(minutes=minutes_ago)
    ended = None if status == "running" else at
    return JobRun(run_id=f"{status}-{minutes_ago}", status=status, started_at=at, ended_at=ended, error=error)


def judged(*runs: JobRun, since: float = 600, looked: float | None = None) -> JobHealth:
    looked_at = None if looked is None else NOW - timedelta(minutes=looked)
    return job_health(LIMITS, runs, NOW, since=NOW - timedelta(minutes=since), looked_at=looked_at)


def test_a_job_that_succeeded_in_time_is_healthy_and_its_old_failure_is_told() -> None:
    one = judged(run("succeeded", 4), run("failed", 9, "the disk was full"))
    assert (one.is_healthy, one.detail, one.failures, one.late_s) == (True, "", 0, 0.0)
    assert one.last_failure_at == NOW - timedelta(minutes=9)
    assert one.last_error == "the disk was full"
    assert differences([one], "ops", "dagster") == []


def test_failures_in_a_row_are_counted_until_the_last_success() -> None:
    one = judged(run("running", 1), run("failed", 5, "its process died"), run("failed", 10), run("succeeded", 15))
    assert one.failures == 2
    assert one.detail == "2 runs in a row failed, the last at 2026-01-09 11:55 UTC: its process died"
    (found,) = differences([one], "ops", "dagster")
    assert (found.check, found.subject, found.severity) == (CHECK, "job ingest", "error")


def test_a_run_that_takes_longer_than_it_may_is_named() -> None:
    assert judged(run("running", 200), run("succeeded", 10)).is_healthy
    one = judged(run("running", 300), run("succeeded", 10))
    assert one.detail == "a run has been going on for 5.0 h, longer than 4.0 h"


def test_a_job_is_late_from_its_last_success_or_look_and_not_from_before_the_watch_began() -> None:
    late = judged(run("succeeded", 90))
    assert (late.late_s, late.detail) == (3600.0, "it is 60 min later than its cadence allows")
    assert judged(run("succeeded", 90), looked=3).is_healthy
    assert judged(run("succeeded", 9000), since=10).is_healthy
    assert not judged(since=120).is_healthy


def test_only_failures_that_repeat_are_slowed_down_and_never_beyond_half_an_hour() -> None:
    failed = [NOW - timedelta(minutes=5 * n) for n in range(40)]
    assert waits_until(failed[:2]) is None
    waits = [waits_until(failed[:count]) for count in (3, 4, 5, 6, 40)]
    assert [wait - NOW for wait in waits if wait] == [timedelta(minutes=n) for n in (5, 10, 20, 30, 30)]
