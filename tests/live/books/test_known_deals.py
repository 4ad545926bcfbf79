"""Which deals are known however long a process lives: none that is booked is booked again, none that is not is taken as booked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from live.books.known_deals import KnownDeals
from trading_assets.core.records.trading import Deal

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Told(NamedTuple):
    """A deal, as far as it is known again."""

    deal_ticket: str
    event_at: datetime
    known_at: datetime
    kind: str = "BUY"
    entry: str = "IN"
    reason: str = "EXPERT"
    volume_lots: int = 1
    price: float = 1.0
    profit: int = 0
    commission: int = 0
    swap: int = 0
    fee: int = 0


def booked(known: KnownDeals, ticket: str, at: datetime) -> None:
    known.add(cast(Deal, Told(ticket, at, at)))


def test_after_weeks_memory_is_flat_and_every_booked_deal_is_booked_or_looked_up(record_of: Callable[..., Any]) -> None:
    known, example = KnownDeals(), record_of(Deal, known_at=START + 1000 * HOUR)
    deals = [
        msgspec.structs.replace(example, deal_ticket=str(number), event_at=START + timedelta(seconds=2 * number))
        for number in range(60_000)
    ]
    most = 0
    for deal in deals:
        known.add(deal)
        most = max(most, len(known))
        if known.is_full:
            known.reconciled(known.since, deal.event_at)
    # Six hours of a deal every two seconds are 10,800, the two hours before them 3,600.
    assert most <= 30_000
    assert known.since is not None
    assert {known.standing(deal.deal_ticket, deal.event_at) for deal in deals} == {"booked", "unsure"}
    assert known.standing("60001", deals[-1].event_at) == "new"


def test_without_a_search_in_full_no_ticket_is_let_go_and_one_is_wanted() -> None:
    known = KnownDeals(most=4, span=HOUR)
    for number in range(100):
        booked(known, str(number), START + number * HOUR)
    assert (known.since, len(known), known.is_full) == (None, 100, True)
    # A search that began after the first deals says nothing about them.
    known.reconciled(START + 50 * HOUR, START + 100 * HOUR)
    assert known.since is None
    known.reconciled(None, START + 60 * HOUR)
    assert known.since == START + 59 * HOUR


def test_recent_deals_are_known_by_ticket_however_many_they_are() -> None:
    known = KnownDeals()
    for number in range(25_000):
        booked(known, str(number), START)
    known.reconciled(None, START)
    assert known.since is None
    assert len(known) == 25_000
    assert not known.is_full
    assert known.standing("25001", START) == "new"


def test_a_search_in_full_looks_up_nothing_though_it_asks_from_somewhat_before() -> None:
    known = KnownDeals(most=4, span=HOUR)
    for number in range(40):
        booked(known, str(number), START + number * HOUR / 2)
    known.reconciled(None, START + 20 * HOUR)
    assert known.since is not None
    assert len(known) < 40
    told = [number for number in range(40) if START + number * HOUR / 2 >= known.since - HOUR]
    assert {known.standing(str(number), START + number * HOUR / 2) for number in told} == {"booked"}
    assert known.standing("0", START) == "unsure"


def test_a_deal_of_a_time_to_come_hides_no_deal_after_it() -> None:
    known = KnownDeals()
    booked(known, "1", START)
    known.add(cast(Deal, Told("2", START + 10_000 * HOUR, START + HOUR)))
    assert known.last_at == START + HOUR, "searches go on from when it was told"
    booked(known, "3", START + 2 * HOUR)
    assert known.last_at == START + 2 * HOUR
    assert known.standing("2", START + 10_000 * HOUR) == "booked"


class Step(NamedTuple):
    """One thing that happens: a deal at an hour, which is booked or missed, or a search that is answered."""

    hour: int
    is_booked: bool
    search: int | None
    """Hours back it asks for; 0 is in full."""


STEPS = st.lists(
    st.builds(Step, st.integers(0, 60), st.booleans(), st.one_of(st.none(), st.integers(0, 20))),
    min_size=1,
    max_size=80,
)


@settings(max_examples=300)
@given(STEPS)
def test_no_missed_deal_is_ever_taken_as_booked_and_no_booked_one_as_new(steps: list[Step]) -> None:
    known = KnownDeals(most=4, span=2 * HOUR)
    on_record: dict[str, datetime] = {}
    missed: dict[str, datetime] = {}
    now = START
    for number, step in enumerate(steps):
        ticket, at = str(number), START + step.hour * HOUR
        now = max(now, at)
        if step.is_booked:
            booked(known, ticket, at)
            on_record[ticket] = at
        else:
            missed[ticket] = at
        if step.search is not None:
            since = known.since if step.search == 0 else now - step.search * HOUR
            # The terminal tells every deal from then on; each that is not booked is booked now.
            for other, when in [*missed.items()]:
                if since is None or when >= since:
                    assert known.standing(other, when) != "booked"
                    booked(known, other, when)
                    on_record[other] = missed.pop(other)
            known.reconciled(since, now)
        assert all(known.standing(other, when) != "booked" for other, when in missed.items())
        assert all(known.standing(other, when) != "new" for other, when in on_record.items())
        # The journal, asked for what is unsure, tells the rest: nothing is lost, nothing booked twice.
        unsure = {other for other, when in missed.items() if known.standing(other, when) == "unsure"}
        assert not unsure & on_record.keys()
