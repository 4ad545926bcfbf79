"""What is done about a difference by itself: which action, how often, and when again. Nothing is carried out here.

An action only ever makes anew what is a function of the journal, brings back what was written before, or asks the terminal
what happened. None writes into the journal of the daemon, and none trades. What no action can mend is a person's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

import msgspec

from trading_assets.core.integrity import Difference

Action: TypeAlias = Literal["rebuild", "mark", "drop_commit", "restore", "ask_deals", "ask_bars"]

ACTION_WORDS: Mapping[str, str] = {
    "rebuild": "the day's rows were made again from what they are made from",
    "mark": "days whose rows are those of the journal were marked as ingested, damaged ones were read again",
    "drop_commit": "its last commit, which was cut off, was taken out of the log and kept beside it",
    "restore": "the last version that was written rightly was brought back",
    "ask_deals": "the terminal was asked for its deals",
    "ask_bars": "the terminal was asked for its bars",
}

LADDERS: Mapping[str, tuple[Action, ...]] = {
    "tables_are_as_written": ("rebuild", "rebuild", "rebuild"),
    "tables_can_be_read": ("drop_commit",),
    "registries_are_as_written": ("restore", "rebuild"),
    "registries_are_whole": ("rebuild",),
    "ingestion_is_marked": ("mark", "mark", "mark"),
    "executed_decisions_have_trades": ("rebuild", "ask_deals"),
    "closed_trades_have_outcomes": ("rebuild", "ask_deals"),
    "trades_have_decisions": ("rebuild",),
    "outcomes_equal_trades": ("rebuild", "ask_deals"),
    "windows_are_equal": ("rebuild", "ask_bars"),
    "features_are_equal": ("rebuild",),
    "counts_agree": ("rebuild",),
    "keys_are_unique": ("rebuild",),
    "bars_cover_quotes": ("rebuild",),
    "bars_have_no_gaps": ("rebuild", "ask_bars"),
    "no_cent_is_lost": ("rebuild", "ask_deals"),
    "labelled_candidates_are_learned": ("rebuild",),
    "labels_are_complete": ("rebuild",),
    "curves_have_no_gaps": ("rebuild",),
}
"""What is tried on a finding of each check, one attempt after the other. A check that is not here is a person's."""

_FIRST_WAIT = timedelta(minutes=10)
_GROWTH = 4
COUNTED = timedelta(hours=24)
"""Attempts count for this long: after it, a finding that still stands is tried again from the first step."""
ONCE = frozenset({"bars_have_no_gaps"})
"""Checks whose steps are tried once: bars that neither the journal nor the terminal had then, they will not have tomorrow."""
BARS_ASKED_BACK = timedelta(days=2)
"""The terminal is asked for bars of days this recent: the daemon asks for what closed since its last bar, and never for more."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A repair that was tried."""

    tenant: str
    account: str
    check: str
    subject: str
    at: datetime


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be tried on one difference now."""

    difference: Difference
    action: Action
    attempt: int


def plans(found: Iterable[Difference], tried: Sequence[Attempt], now: datetime) -> list[Plan]:
    """Return what is to be tried now, in the order of the differences: one step each, none too soon, none too often."""
    counted: dict[tuple[str, str, str, str], list[datetime]] = {}
    for one in tried:
        if _counts(one, now):
            counted.setdefault((one.tenant, one.account, one.check, one.subject), []).append(one.at)
    due = []
    for difference in found:
        before = counted.get((difference.tenant, difference.account, difference.check, difference.subject), [])
        ladder = _ladder(difference, now)
        if len(before) >= len(ladder):
            continue
        if before and now - max(before) < _FIRST_WAIT * _GROWTH ** (len(before) - 1):
            continue
        due.append(Plan(difference=difference, action=ladder[len(before)], attempt=len(before) + 1))
    return due


def is_exhausted(difference: Difference, tried: Sequence[Attempt], now: datetime) -> bool:
    """Whether everything that could be tried has been, and a person must look."""
    name = (difference.tenant, difference.account, difference.check, difference.subject)
    mine = [one for one in tried if (one.tenant, one.account, one.check, one.subject) == name and _counts(one, now)]
    return len(mine) >= len(_ladder(difference, now))


def _counts(one: Attempt, now: datetime) -> bool:
    return one.check in ONCE or now - one.at < COUNTED


def _ladder(difference: Difference, now: datetime) -> tuple[Action, ...]:
    """Return what is tried on a difference, without questions that cannot be answered any more."""
    is_past = difference.day is not None and difference.day < (now - BARS_ASKED_BACK).date()
    steps = LADDERS.get(difference.check, ())
    return tuple(step for step in steps if not (is_past and step == "ask_bars"))
