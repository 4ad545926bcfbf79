"""The access log and the pauses: whoever comes is noted, a flood is counted, and nothing grows without bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from live.bridge.access import PAUSE_S, AccessLog, Pauses, Visit, origin
from live.bridge.flood import Flood


class Time:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_flood_is_counted_and_not_one_record_is_lost_from_the_count() -> None:
    time, written = Time(), list[Visit]()
    log = AccessLog(written.append, time)
    for _ in range(1000):
        log.note(Visit("refused", "10.0.0.1", "wrong token"))
    assert len(written) == 20
    time.now_s += 61
    log.look()
    assert sum(visit.count for visit in written) == 1000
    assert len(written) == 21


def test_at_the_end_what_was_only_counted_is_told_too() -> None:
    written: list[Visit] = []
    log = AccessLog(written.append, lambda: 0.0)
    for _ in range(500):
        log.note(Visit("refused", "10.0.0.1", "no"))
    log.look()
    assert sum(visit.count for visit in written) < 500
    log.look(is_end=True)
    assert sum(visit.count for visit in written) == 500


def test_a_flood_from_many_addresses_is_bounded_too() -> None:
    time, written = Time(), list[Visit]()
    log = AccessLog(written.append, time)
    for number in range(50_000):
        log.note(Visit("refused", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "wrong token"))
    time.now_s += 61
    log.look()
    assert len(written) < 700
    assert sum(visit.count for visit in written) == 50_000


def test_an_address_that_fails_too_often_waits_and_may_come_again() -> None:
    time = Time()
    pauses = Pauses(time)
    for _ in range(5):
        assert not pauses.holds("10.0.0.1")
        pauses.fail("10.0.0.1")
    assert pauses.holds("10.0.0.1")
    assert not pauses.holds("10.0.0.2")
    time.now_s += PAUSE_S + 1
    assert not pauses.holds("10.0.0.1")


def test_many_failing_addresses_take_bounded_memory_and_the_latest_are_remembered() -> None:
    pauses = Pauses(Time())
    for number in range(20_000):
        for _ in range(5):
            pauses.fail(f"10.0.{number >> 8}.{number & 255}")
    assert len(pauses) == 4096
    assert pauses.holds("10.0.78.31")


def test_addresses_of_one_ipv6_network_count_as_one_sender() -> None:
    assert origin("2001:db8::1") == origin("2001:db8::ffff:2") != origin("2001:db8:0:1::1")
    assert origin("::ffff:10.0.0.1") != origin("::ffff:10.0.0.2")
    assert origin("unknown") == "unknown"


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0.0, 30.0)), max_size=200))
def test_what_passes_and_what_is_held_back_are_together_what_came(events: list[tuple[str, float]]) -> None:
    flood: Flood[str] = Flood(3, window_s=60.0, kinds=4)
    now, passed, held = 0.0, 0, 0
    for key, pause in events:
        now += pause
        passed += flood.passes(key, now)
        held += sum(surplus.count for surplus in flood.over(now))
    held += sum(surplus.count for surplus in flood.over(now + 61.0))
    assert passed + held == len(events)


def test_what_a_flood_held_back_counts_in_full_also_where_telling_it_is_held_back() -> None:
    time, written = Time(), list[Visit]()
    log = AccessLog(written.append, time)
    log.note(Visit("connected", "10.0.0.2", "the minute of all addresses together begins"))
    time.now_s += 50
    for _ in range(1000):
        log.note(Visit("refused", "10.0.0.1", "wrong token"))
    time.now_s += 11
    # Others use up what all may write in their next minute, before the first one's surplus is told.
    for number in range(700):
        log.note(Visit("refused", f"10.1.{number >> 8}.{number & 255}", "wrong token"))
    time.now_s += 50
    log.look()
    assert len(written) == 1 + 20 + 600
    log.look(is_end=True)
    assert sum(visit.count for visit in written) == 1 + 1000 + 700


def test_of_kinds_without_end_only_so_many_are_remembered_and_none_is_lost_from_the_count() -> None:
    flood: Flood[int] = Flood(1, kinds=16)
    for kind in range(1000):
        flood.passes(kind, 0.0)
        flood.passes(kind, 0.0)
    assert len(flood._windows) == 16
    told = flood.over(61.0)
    assert len(told) == 16
    assert sum(surplus.count for surplus in told) == 1000
