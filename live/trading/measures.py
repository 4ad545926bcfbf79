"""Durations counted in buckets: what the daemon measures of itself on the way of a quote to an order.

An observation is a bisection and an addition, so it may stand on the hot path; everything else happens when somebody
asks. What the counts are called outside is `live.health.metrics`; what is too much is `live.health.anomalies`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

# Half a millisecond to a tenth of a second is resolved finely: there the promises on latency lie.
BOUNDS_S = (
    0.0005, 0.00075, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08,
    0.1, 0.25, 1.0,
)  # fmt: skip
"""Upper bounds of the buckets, in seconds, inclusive; the last bucket has none."""

_NS = 1e-9


class Histogram:
    """Counts of durations by bucket, since the start of the process."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.total_s = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds

    @property
    def count(self) -> int:
        """Durations counted."""
        return sum(self.counts)

    def cumulative(self) -> list[int]:
        """Return how many durations lie at or under each bound; the last number is all of them."""
        return list(accumulate(self.counts))


class Stages:
    """Durations of a decision's stages, from the last quote's arrival to the order's frame."""

    NAMES = ("features", "decide", "commit", "total")

    __slots__ = NAMES

    def __init__(self) -> None:
        self.features, self.decide, self.commit, self.total = Histogram(), Histogram(), Histogram(), Histogram()

    def observe(self, features_ns: int, decide_ns: int, commit_ns: int, total_ns: int) -> None:
        """Count one decision, in nanoseconds."""
        self.features.observe(features_ns * _NS)
        self.decide.observe(decide_ns * _NS)
        self.commit.observe(commit_ns * _NS)
        self.total.observe(total_ns * _NS)

    def by_name(self) -> dict[str, Histogram]:
        """Return the histograms by stage."""
        return {name: getattr(self, name) for name in self.NAMES}


def quantile(counts: Sequence[int], share: float) -> float | None:
    """Return the duration under which a share of the counted ones lies, in seconds; None when nothing was counted.

    Exact to the width of a bucket: within one, durations are taken as evenly spread. Beyond the last bound it is that bound.
    """
    wanted, below = sum(counts) * share, 0
    if wanted <= 0.0:
        return None
    for index, count in enumerate(counts):
        if count and below + count >= wanted:
            if index == len(BOUNDS_S):
                break
            lower = BOUNDS_S[index - 1] if index else 0.0
            return lower + (BOUNDS_S[index] - lower) * (wanted - below) / count
        below += count
    return BOUNDS_S[-1]


def since(before: Sequence[int], now: Sequence[int]) -> list[int]:
    """Return what was counted between two states of a histogram."""
    return [later - earlier for earlier, later in zip(before, now, strict=True)]
