"""Health and readiness: every reason there can be is named, and nothing is named without one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from live.health.components import (
    MOST_LAG_S,
    MOST_ROUND_S,
    MOST_UNSYNCED_S,
    Process,
    Seen,
    Standing,
    complaints,
    follow,
    missing,
)

NOW = datetime(2026, 1, 6, 12, tzinfo=UTC)
WELL = Process(loop_lag_s=0.01, round_s=0.3, journal="ok", unsynced_s=0.2, dead_tasks=())
READY = Standing(is_connected=True, is_open=True, is_reconciled=True, bars={"EURUSD": 400})


def changed(process: Process, **fields: object) -> Process:
    return Process(**{name: fields.get(name, getattr(process, name)) for name in Process.__slots__})  # type: ignore[arg-type]


def test_a_process_that_does_its_work_has_no_complaint() -> None:
    assert complaints(WELL) == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"loop_lag_s": MOST_LAG_S + 0.5}, "event loop was 1.5 s late"),
        ({"round_s": MOST_ROUND_S + 5}, "has not come by for 15 s"),
        ({"journal": "writing x: no space."}, "no space"),
        ({"unsynced_s": MOST_UNSYNCED_S + 1}, "waiting for the disk for 6.0 s"),
        ({"dead_tasks": ["work of account paper (ValueError: x)"]}, "work of account paper"),
    ],
)
def test_each_reason_is_a_complaint(fields: dict[str, object], said: str) -> None:
    (complaint,) = complaints(changed(WELL, **fields))
    assert said in complaint


def test_a_ready_account_lacks_nothing() -> None:
    assert missing(READY) == []


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (Standing(False, True, True, {"EURUSD": 4}), "no terminal"),
        (Standing(True, False, True, {"EURUSD": 4}), "history"),
        (Standing(True, True, False, {"EURUSD": 4}), "reconciled"),
        (Standing(True, True, True, {"EURUSD": 4, "GBPUSD": 0}), "GBPUSD"),
    ],
)
def test_whatever_is_missing_is_named(standing: Standing, said: str) -> None:
    (lack,) = missing(standing)
    assert said in lack


def test_a_component_succeeds_when_it_has_succeeded_more_often_than_before() -> None:
    first = follow({}, [Seen("feed", 0, 0, "quiet"), Seen("trader", 3, 0, "")], NOW)
    assert (first["feed"].last_success_at, first["trader"].last_success_at) == (None, NOW)
    later = NOW + timedelta(seconds=1)
    second = follow(first, [Seen("feed", 5, 1, "busy"), Seen("trader", 3, 0, "", "the disk is full")], later)
    assert second["feed"].last_success_at == later
    assert second["trader"].last_success_at == NOW
    assert (second["trader"].is_healthy, second["trader"].detail) == (False, "the disk is full")
    assert (second["feed"].errors, second["feed"].detail) == (1, "busy")
