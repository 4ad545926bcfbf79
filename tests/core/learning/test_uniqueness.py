"""Sample weights, against counting open labels at every instant."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.learning.uniqueness import average_uniqueness, sample_weights


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20), st.integers(0, 1)), min_size=1, max_size=40))
def test_uniqueness_is_the_mean_of_one_over_the_number_of_open_labels(labels: list[tuple[int, int, int]]) -> None:
    start, length, symbol = (np.array(part) for part in zip(*labels, strict=True))
    end = start + length
    expected = []
    for begin, until, mine in zip(start, end, symbol, strict=True):
        shares = [1 / np.sum((start <= at) & (end > at) & (symbol == mine)) for at in range(begin, until)]
        expected.append(np.mean(shares))
    found = average_uniqueness(start, end, symbol)
    assert np.allclose(found, expected, rtol=1e-9)
    assert ((found > 0) & (found <= 1 + 1e-12)).all()
    assert np.isclose(sample_weights(start, end, symbol).mean(), 1.0)


def test_labels_apart_are_unique_and_twins_share() -> None:
    start, end = np.array([0, 10, 10, 30]), np.array([5, 20, 20, 30])
    assert average_uniqueness(start, end, np.zeros(4)).tolist() == [1.0, 0.5, 0.5, 1.0]
    assert sample_weights(start[:0], end[:0], np.zeros(0)).tolist() == []
