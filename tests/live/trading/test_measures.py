"""Durations in buckets: each is counted once, and what is said of them is right to the width of a bucket."""

from __future__ import annotations

import itertools
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.trading.measures import BOUNDS_S, Histogram, Stages, quantile, since

DURATIONS = st.lists(st.floats(0.0, 0.999), min_size=1, max_size=200)


@given(durations=DURATIONS, share=st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_lies_in_the_bucket_of_the_duration_it_stands_for(durations: list[float], share: float) -> None:
    histogram = Histogram()
    for one in durations:
        histogram.observe(one)
    exact = sorted(durations)[max(-(-round(len(durations) * share * 1e6) // 1_000_000), 1) - 1]
    bucket = bisect_left(BOUNDS_S, exact)
    found = quantile(histogram.counts, share)
    assert found is not None
    assert (BOUNDS_S[bucket - 1] if bucket else 0.0) <= found <= BOUNDS_S[bucket]
    assert histogram.count == len(durations) == histogram.cumulative()[-1]
    assert histogram.total_s == pytest.approx(sum(durations))


def test_a_bound_belongs_to_its_bucket_and_what_is_beyond_the_last_is_counted() -> None:
    histogram = Histogram()
    histogram.observe(BOUNDS_S[3])
    histogram.observe(1e9)
    assert histogram.counts[3] == histogram.counts[-1] == 1
    assert quantile(histogram.counts, 1.0) == BOUNDS_S[-1]


def test_nothing_counted_has_no_quantile() -> None:
    assert quantile(Histogram().counts, 0.99) is None


def test_a_window_is_what_was_counted_in_between() -> None:
    histogram = Histogram()
    histogram.observe(0.5)
    before = list(histogram.counts)
    histogram.observe(0.0001)
    window = since(before, histogram.counts)
    assert sum(window) == window[0] == 1


def test_half_a_millisecond_to_a_tenth_of_a_second_is_resolved() -> None:
    assert BOUNDS_S[0] == 0.0005
    assert all(after / before <= 2.0 for before, after in itertools.pairwise(BOUNDS_S) if after <= 0.1)


def test_stages_take_nanoseconds() -> None:
    stages = Stages()
    stages.observe(1_000_000, 2_000_000, 3_000_000, 6_000_000)
    assert {name: histogram.total_s for name, histogram in stages.by_name().items()} == pytest.approx(
        {"features": 0.001, "decide": 0.002, "commit": 0.003, "total": 0.006}
    )
