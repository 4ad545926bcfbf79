"""Intervals: as wide as they say, the same every time, and blocks keep together what lasts some days."""

from __future__ import annotations

import numpy as np

from trading_assets.core.learning.intervals import interval_of, resampled_paths
from trading_assets.core.learning.selection import total_of


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(200):
        days = rng.normal(0.3, 1.0, 40)
        interval = interval_of(days.tolist(), [1] * 40, 0.9)
        held += interval.low <= 0.3 <= interval.high
    assert 165 <= held <= 195


def test_the_interval_is_the_same_every_time_and_empty_counts_give_zero() -> None:
    assert interval_of([1.0, 2.0, -1.0], [2, 3, 1], 0.95) == interval_of([1.0, 2.0, -1.0], [2, 3, 1], 0.95)
    assert interval_of([0.0], [0], 0.95).value == 0.0


def test_a_path_is_made_of_blocks_of_days_in_their_order() -> None:
    paths = resampled_paths(np.arange(27.0))
    steps = np.diff(paths, axis=1, prepend=0.0)
    inside = np.array([place for place in range(26) if place % 3 != 2])
    follows = (steps[:, inside + 1] - steps[:, inside]) % 27 == 1
    assert paths.shape == (2000, 27)
    assert follows.all()


def test_days_that_resemble_their_neighbours_make_a_wider_total_than_single_days_would() -> None:
    rng = np.random.default_rng(4)
    days = np.repeat(rng.normal(size=40), 5)
    by_blocks = total_of(days.tolist(), 0.95)
    by_days = interval_of(days.tolist(), [1] * 200, 0.95)
    assert by_blocks.high - by_blocks.low > 1.5 * 200 * (by_days.high - by_days.low)


def test_no_days_make_nothing() -> None:
    assert total_of([], 0.95).value == 0.0
