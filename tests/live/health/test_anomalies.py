"""Anomalies: each kind begins and ends, is told once each time, and a value at the edge of its limit does not flap."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.health.anomalies import BEGINS_AFTER, ENDS_AFTER, KINDS, WINDOW_S, Change, Past, Reading, is_due, judge

AT = datetime(2026, 1, 6, 12, tzinfo=UTC)
USUAL = {
    "seconds": WINDOW_S, "session": "london", "quotes": {"EURUSD": 50}, "spreads_points": {"EURUSD": 10.0},
    "refused": 0, "slippage": {"EURUSD": (0.01,) * 10}, "max_slippage": 0.25, "latency_s": 0.01, "loop_lag_s": 0.005,
    "commit_s": 0.004,
}  # fmt: skip


def reading(**fields: Any) -> Reading:
    return Reading(**(USUAL | fields))


def play(past: Past, readings: Iterable[Reading]) -> tuple[Past, list[tuple[int, Change]]]:
    """Judge windows one after the other; returns what changed, with the window's number."""
    told: list[tuple[int, Change]] = []
    for number, one in enumerate(readings, 1):
        past, changes = judge(past, one)
        told += [(number, change) for change in changes]
    return past, told


def usual(windows: int = 60) -> Past:
    """What is remembered after some minutes like any other."""
    past, told = play(Past(), [reading()] * windows)
    assert told == []
    return past


UNUSUAL: list[tuple[str, str, dict[str, Any]]] = [
    ("quote_rate", "EURUSD", {"quotes": {"EURUSD": 2}, "spreads_points": {}}),
    ("quote_rate", "EURUSD", {"quotes": {"EURUSD": 0}, "spreads_points": {}}),
    ("quote_rate", "EURUSD", {"quotes": {"EURUSD": 900}}),
    ("latency", "decisions", {"latency_s": 0.08}),
    ("spread", "EURUSD", {"spreads_points": {"EURUSD": 80.0}}),
    ("slippage", "EURUSD", {"slippage": {"EURUSD": (0.2,) * 10, "XAUUSD": (0.01,) * 10}}),
    ("quarantine_rate", "quotes", {"refused": 30}),
    ("event_loop_lag", "process", {"loop_lag_s": 0.4}),
    ("journal_commit", "journal", {"commit_s": 0.3}),
]


@pytest.mark.parametrize(("kind", "subject", "fields"), UNUSUAL)
def test_each_kind_is_told_once_when_it_begins_and_once_when_it_has_ended(
    kind: str, subject: str, fields: dict[str, Any]
) -> None:
    past, begun = play(usual(), [reading(**fields)] * 8)
    assert [(number, one.kind, one.subject, one.has_begun) for number, one in begun] == [
        (BEGINS_AFTER, kind, subject, True)
    ]
    assert past.active == [(kind, subject)]
    past, ended = play(past, [reading()] * 8)
    assert [(number, one.kind, one.has_begun) for number, one in ended] == [(ENDS_AFTER, kind, False)]
    assert past.active == []
    for _, one in begun + ended:
        assert one.expectation
        assert one.observed
        assert one.repair


def test_every_kind_has_a_case() -> None:
    assert {kind for kind, _, _ in UNUSUAL} == set(KINDS)


@pytest.mark.parametrize(("kind", "subject", "fields"), UNUSUAL)
def test_one_bad_window_is_chance(kind: str, subject: str, fields: dict[str, Any]) -> None:  # noqa: ARG001 - the cases are shared
    _, told = play(usual(), [reading(), reading(**fields), reading(), reading(**fields), reading()])
    assert told == []


@given(seed=st.integers(0, 10_000))
def test_a_value_at_the_edge_is_told_once(seed: int) -> None:
    chance = random.Random(seed)
    past, _ = play(usual(20), [reading(latency_s=0.07)] * 2)
    edge: Iterator[Reading] = (reading(latency_s=chance.choice([0.055, 0.065])) for _ in range(100))
    _, told = play(past, edge)
    assert told == []


def test_a_feed_that_fell_silent_does_not_become_what_is_expected() -> None:
    silent = reading(quotes={"EURUSD": 0}, spreads_points={})
    past, told = play(usual(), [silent] * 500)
    assert [one.has_begun for _, one in told] == [True]
    assert past.active == [("quote_rate", "EURUSD")]


def test_a_spread_that_stays_wide_becomes_what_is_expected() -> None:
    _, told = play(usual(), [reading(spreads_points={"EURUSD": 80.0})] * 400)
    assert [one.has_begun for _, one in told] == [True, False]


def test_a_closed_market_ends_what_is_judged_by_quotes_and_begins_nothing() -> None:
    past, _ = play(usual(), [reading(quotes={"EURUSD": 0}, spreads_points={})] * 3)
    closed = reading(session="", quotes={"EURUSD": 0}, spreads_points={})
    past, told = play(past, [closed] * 20)
    assert [(one.kind, one.has_begun) for _, one in told] == [("quote_rate", False)]
    assert play(past, [reading()] * 20)[1] == []


def test_each_session_has_its_own_usual() -> None:
    asia = reading(session="asia", quotes={"EURUSD": 3})
    past, told = play(usual(), [asia] * 60)
    assert told == [], "a quiet session is not a drop of a busy one"
    _, told = play(past, [reading()] * 20)
    assert told == []


def test_a_quiet_symbol_is_never_a_drop() -> None:
    past, _ = play(Past(), [reading(quotes={"EURUSD": 1})] * 60)
    assert play(past, [reading(quotes={"EURUSD": 0}, spreads_points={})] * 20)[1] == []


@pytest.mark.parametrize(("kind", "subject", "fields"), UNUSUAL)
def test_nothing_usual_is_claimed_before_enough_is_known(kind: str, subject: str, fields: dict[str, Any]) -> None:
    _, told = play(usual(5), [reading(**fields)] * 4)
    own_limit = kind not in ("quote_rate", "spread")
    assert [(one.kind, one.subject) for _, one in told] == ([(kind, subject)] if own_limit else [])


def test_what_was_not_measured_is_not_judged() -> None:
    unmeasured = reading(latency_s=None, loop_lag_s=None, commit_s=None, slippage={})
    past, told = play(usual(), [reading(latency_s=0.5)] * 2)
    assert len(told) == 1
    assert play(past, [unmeasured] * 20)[1] == []


@given(
    values=st.lists(
        st.tuples(
            st.integers(0, 2000), st.floats(0.1, 500.0), st.integers(0, 100), st.sampled_from(["", "asia", "london"])
        ),
        max_size=120,
    )
)
def test_beginnings_and_ends_take_turns_whatever_comes(values: list[tuple[int, float, int, str]]) -> None:
    readings = [
        reading(quotes={"EURUSD": count}, spreads_points={"EURUSD": spread}, refused=refused, session=session)
        for count, spread, refused, session in values
    ]
    past, told = play(Past(), readings)
    for key in {(one.kind, one.subject) for _, one in told}:
        turns = [one.has_begun for _, one in told if (one.kind, one.subject) == key]
        assert turns == [index % 2 == 0 for index in range(len(turns))]
        assert (key in past.active) == turns[-1]


def test_a_window_ends_after_ten_seconds_and_when_time_jumps_to_another_stream() -> None:
    assert not is_due(AT, AT + timedelta(seconds=9))
    assert is_due(AT, AT + timedelta(seconds=10))
    assert is_due(AT, AT - timedelta(days=300))
