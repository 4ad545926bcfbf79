"""What is tried on a finding: one step after the other, none too soon, none for ever, and nothing a person must decide."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core import completeness, integrity
from trading_assets.core.completeness import about_table
from trading_assets.core.integrity import Difference
from trading_assets.core.repairs import ACTION_WORDS, COUNTED, LADDERS, Attempt, is_exhausted, plans

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def difference(check: str = "closed_trades_have_outcomes") -> Difference:
    return about_table(check, "outcomes", date(2026, 3, 1), "an outcome", "none", "mend it")


def tried(*ago: timedelta, check: str = "closed_trades_have_outcomes") -> list[Attempt]:
    one = difference(check)
    return [
        Attempt(tenant=one.tenant, account=one.account, check=check, subject=one.subject, at=NOW - time) for time in ago
    ]


def test_the_first_step_is_taken_at_once_and_the_next_only_after_a_wait() -> None:
    (first,) = plans([difference()], [], NOW)
    assert (first.action, first.attempt) == ("rebuild", 1)
    assert plans([difference()], tried(timedelta(minutes=9)), NOW) == []
    (second,) = plans([difference()], tried(timedelta(minutes=10)), NOW)
    assert (second.action, second.attempt) == ("ask_deals", 2)


def test_after_the_last_step_a_person_is_asked_and_a_day_later_it_is_tried_again() -> None:
    both = tried(timedelta(hours=2), timedelta(hours=3))
    assert plans([difference()], both, NOW) == []
    assert is_exhausted(difference(), both, NOW)
    assert not is_exhausted(difference(), both[:1], NOW)
    (again,) = plans([difference()], both, NOW + COUNTED)
    assert again.attempt == 1


def a_gap(days_ago: int) -> Difference:
    return about_table("bars_have_no_gaps", "bars", NOW.date() - timedelta(days=days_ago), "bars", "none", "mend it")


def test_the_terminal_is_asked_for_bars_of_the_last_days_once_and_for_none_that_are_long_past() -> None:
    steps = {}
    for days_ago in (0, 2, 3, 400):
        gap, before, steps[days_ago] = a_gap(days_ago), list[Attempt](), list[str]()
        for hours in (0, 1, 30, 60):
            now = NOW + timedelta(hours=hours)
            for plan in plans([gap], before, now):
                steps[days_ago].append(plan.action)
                owner = {"tenant": gap.tenant, "account": gap.account}
                before.append(Attempt(**owner, check=gap.check, subject=gap.subject, at=now))
        assert is_exhausted(gap, before, NOW + timedelta(days=30))
    assert steps == {0: ["rebuild", "ask_bars"], 2: ["rebuild", "ask_bars"], 3: ["rebuild"], 400: ["rebuild"]}


def test_attempts_on_another_finding_do_not_count() -> None:
    assert plans([difference()], tried(timedelta(minutes=1), check="outcomes_equal_trades"), NOW)


@pytest.mark.parametrize(
    "check", ["journal_chain", "no_component_was_silent", "kept_days_are_as_written", "unheard_of"]
)
def test_what_a_person_must_decide_is_never_tried(check: str) -> None:
    assert plans([difference(check)], [], NOW) == []
    assert is_exhausted(difference(check), [], NOW)


@given(ago=st.lists(st.integers(0, 3000), max_size=8))
def test_nothing_is_tried_more_often_than_its_ladder_is_long(ago: list[int]) -> None:
    counted = [minutes for minutes in ago if timedelta(minutes=minutes) < COUNTED]
    due = plans([difference()], tried(*(timedelta(minutes=minutes) for minutes in ago)), NOW)
    assert len(due) <= 1
    assert not due or len(counted) < len(LADDERS["closed_trades_have_outcomes"])


def test_every_step_has_words_and_every_rule_that_can_be_tried_exists() -> None:
    assert {action for ladder in LADDERS.values() for action in ladder} <= ACTION_WORDS.keys()
    rules = {*vars(integrity), *vars(completeness)}
    of_tables = {
        "tables_can_be_read", "tables_are_as_written", "registries_are_as_written", "registries_are_whole",
        "ingestion_is_marked",
    }  # fmt: skip
    assert LADDERS.keys() - of_tables <= rules
