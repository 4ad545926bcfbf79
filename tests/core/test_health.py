"""Hours of the daemon and its components: what was heard is counted, what was not heard has a length."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from trading_assets.core.health import DAEMON, PATIENCE, heartbeats, system_health
from trading_assets.core.integrity import no_component_was_silent
from trading_assets.core.tables import TABLES

# A Tuesday: the market is open.
DAY = date(2026, 1, 6)
MIDNIGHT = datetime(2026, 1, 6, tzinfo=UTC)
INTERVAL_S = 10.0


def beat(at: datetime, component: str = "feed", **said: Any) -> dict[str, Any]:
    row = {"tenant": "t", "account": "a", "component": component, "known_at": at, "interval_s": INTERVAL_S,
           "is_healthy": True, "last_success_at": at, "successes": 1, "errors": 0, "detail": ""}  # fmt: skip
    return row | said


def beats(*rows: dict[str, Any]) -> pl.DataFrame:
    daemons = pl.DataFrame(schema=TABLES["raw_daemon_heartbeats"].schema)
    schema = {name: TABLES["raw_component_states"].schema[name] for name in rows[0]}
    return heartbeats(pl.DataFrame(list(rows), schema=schema), daemons)


def every_ten_seconds(begin: datetime, end: datetime, component: str = "feed", **said: Any) -> list[dict[str, Any]]:
    return [
        beat(begin + timedelta(seconds=10 * n), component, **said)
        for n in range(int((end - begin).total_seconds() // 10))
    ]


def hours(frame: pl.DataFrame, until: datetime, first: date = DAY) -> list[dict[str, Any]]:
    return system_health(frame, first, until).to_dicts()


def test_an_hour_of_heartbeats_has_no_silence() -> None:
    rows = every_ten_seconds(MIDNIGHT, MIDNIGHT + timedelta(hours=2))
    (first, second) = hours(beats(*rows), MIDNIGHT + timedelta(hours=2))
    assert (first["hour_at"], first["heartbeats"], first["uptime_share"]) == (MIDNIGHT, 360, 1.0)
    assert (first["longest_silence_s"], first["silent_open_s"], first["healthy_share"]) == (0.0, 0.0, 1.0)
    assert second["last_success_at"] == MIDNIGHT + timedelta(hours=2, seconds=-10)


def test_an_hour_is_written_once_it_has_ended() -> None:
    rows = every_ten_seconds(MIDNIGHT, MIDNIGHT + timedelta(minutes=90))
    assert len(hours(beats(*rows), MIDNIGHT + timedelta(minutes=90))) == 1


def test_a_daemon_that_was_down_is_a_gap_with_a_length_in_every_hour_it_lasted() -> None:
    down, up = MIDNIGHT + timedelta(minutes=30), MIDNIGHT + timedelta(hours=3, minutes=15)
    rows = [*every_ten_seconds(MIDNIGHT, down), *every_ten_seconds(up, MIDNIGHT + timedelta(hours=4))]
    found = hours(beats(*rows), MIDNIGHT + timedelta(hours=4))
    # The last heartbeat was ten seconds before it went down, and one is overdue after three intervals.
    assert [row["longest_silence_s"] for row in found] == [1800.0 - 20.0, 3600.0, 3600.0, 900.0]
    assert [row["heartbeats"] for row in found] == [180, 0, 0, 270]
    assert found[1]["uptime_share"] == 0.0
    assert found[1]["healthy_share"] is None


def test_a_gap_that_began_days_ago_is_seen_from_the_last_heartbeat_before_the_day() -> None:
    last = MIDNIGHT - timedelta(days=3)
    found = hours(beats(beat(last)), MIDNIGHT + timedelta(days=1))
    assert len(found) == 24
    assert {row["silent_open_s"] for row in found} == {3600.0}


def test_a_daemon_that_never_came_back_is_silent_until_now() -> None:
    found = hours(beats(beat(MIDNIGHT)), MIDNIGHT + timedelta(hours=2, minutes=40))
    assert [row["silent_open_s"] for row in found] == [3600.0 - PATIENCE * INTERVAL_S, 3600.0]


def test_before_it_was_ever_heard_of_nothing_was_due() -> None:
    rows = every_ten_seconds(MIDNIGHT + timedelta(hours=5), MIDNIGHT + timedelta(hours=6))
    assert [row["hour_at"].hour for row in hours(beats(*rows), MIDNIGHT + timedelta(hours=6))] == [5]


def test_silence_while_the_market_is_closed_is_told_and_not_held_against_anyone() -> None:
    saturday = datetime(2026, 1, 10, tzinfo=UTC)
    (row,) = hours(beats(beat(saturday)), saturday + timedelta(hours=1), saturday.date())
    assert (row["silent_open_s"], row["longest_silence_s"]) == (0.0, 3570.0)


def test_in_lockstep_nothing_is_due_and_nothing_silent() -> None:
    rows = [beat(MIDNIGHT + timedelta(hours=5 * n), interval_s=0.0) for n in range(3)]
    found = hours(beats(*rows), MIDNIGHT + timedelta(days=1))
    assert [(row["hour_at"].hour, row["uptime_share"], row["longest_silence_s"]) for row in found] == [
        (0, None, 0.0), (5, None, 0.0), (10, None, 0.0)
    ]  # fmt: skip


def test_counters_count_within_the_hour_also_across_a_restart() -> None:
    at = [MIDNIGHT + timedelta(minutes=minutes) for minutes in (50, 70, 90, 110)]
    rows = [beat(at[0], successes=7, errors=1), beat(at[1], successes=9, errors=1),
            beat(at[2], successes=2, errors=3), beat(at[3], successes=5, errors=3)]  # fmt: skip
    found = hours(beats(*rows), MIDNIGHT + timedelta(hours=2))
    assert [(row["successes"], row["errors"]) for row in found] == [(7, 1), (2 + 2 + 3, 2)]


def test_what_was_wrong_last_is_kept() -> None:
    ill = {"is_healthy": False, "detail": "no terminal is connected"}
    rows = [beat(MIDNIGHT, **ill), beat(MIDNIGHT + timedelta(seconds=10), detail="all is well")]
    (row,) = hours(beats(*rows), MIDNIGHT + timedelta(hours=1))
    assert (row["trouble"], row["healthy_share"]) == ("no terminal is connected", 0.5)


def test_the_process_counts_as_a_component() -> None:
    daemon = {"tenant": "t", "account": "a", "known_at": MIDNIGHT, "interval_s": 10.0, "decisions": 4}
    components = pl.DataFrame(schema=TABLES["raw_component_states"].schema)
    schema = {name: TABLES["raw_daemon_heartbeats"].schema[name] for name in daemon}
    found = system_health(
        heartbeats(components, pl.DataFrame([daemon], schema=schema)), DAY, MIDNIGHT + timedelta(hours=1)
    )
    assert (found["component"][0], found["successes"][0]) == (DAEMON, 4)


@given(
    minutes=st.lists(st.integers(0, 24 * 60 - 1), min_size=1, max_size=40, unique=True),
    interval_s=st.sampled_from([0.0, 10.0, 60.0, 1200.0]),
)
@hypothesis_settings(deadline=None, max_examples=40)
def test_time_is_either_silent_or_not_and_never_more_than_there_is(minutes: list[int], interval_s: float) -> None:
    at = sorted(MIDNIGHT + timedelta(minutes=one) for one in minutes)
    frame = system_health(beats(*(beat(one, interval_s=interval_s) for one in at)), DAY, MIDNIGHT + timedelta(days=1))
    assert frame["heartbeats"].sum() == len(at)
    assert frame.select("component", "hour_at").is_unique().all()
    assert ((frame["longest_silence_s"] >= 0) & (frame["longest_silence_s"] <= 3600)).all()
    patience = timedelta(seconds=PATIENCE * interval_s)
    ends = [*at[1:], MIDNIGHT + timedelta(days=1)]
    silent = sum((max(end - one - patience, timedelta(0)) for one, end in zip(at, ends, strict=True)), timedelta(0))
    expected = 0.0 if interval_s == 0.0 else silent.total_seconds()
    assert frame["silent_open_s"].sum() == pytest.approx(expected)


def test_the_check_speaks_of_the_process_once_and_of_a_component_that_fell_silent_alone() -> None:
    def row(component: str, silent_s: float) -> dict[str, Any]:
        return {"tenant": "t", "account": "a", "component": component, "hour_at": MIDNIGHT, "silent_open_s": silent_s}

    def silent(*rows: dict[str, Any]) -> list[str]:
        return [one.subject for one in no_component_was_silent(pl.DataFrame(rows))]

    assert silent(row(DAEMON, 0.0), row("feed", 0.0)) == []
    assert len(silent(row(DAEMON, 600.0), row("feed", 600.0), row("bridge", 600.0))) == 1
    (subject,) = silent(row(DAEMON, 0.0), row("feed", 600.0))
    assert subject.startswith("feed in the hour from")
    (found,) = no_component_was_silent(pl.DataFrame([row(DAEMON, 600.0)]))
    assert (found.observed, found.severity) == ("none for 10.0 minutes", "warning")
    assert found.repair
