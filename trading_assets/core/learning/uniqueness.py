"""How much of a row is its own: labels that overlap in time are made of the same moves, so each counts for less.

Average uniqueness (López de Prado, Advances in Financial Machine Learning, chapter 4): at each instant a label shares the market
with all labels open then; its weight is the mean of one over that number along its life. Weights say nothing of win or
loss, and probabilities are calibrated on unweighted rows.
"""

from __future__ import annotations

import numpy as np


def average_uniqueness(start_ms: np.ndarray, end_ms: np.ndarray, symbol: np.ndarray) -> np.ndarray:
    """Return the average uniqueness (n,), 0 to 1, of labels that live from start to end; only those of one symbol overlap.

    A label that ends where it starts has the uniqueness of that instant. Exact, by counting at every start and end.
    """
    unique = np.empty(len(start_ms))
    for name in np.unique(symbol):
        mine = symbol == name
        unique[mine] = _of_symbol(start_ms[mine], np.maximum(end_ms[mine], start_ms[mine] + 1))
    return unique


def _of_symbol(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    edges = np.unique(np.concatenate([start, end]))
    change = np.zeros(len(edges), dtype=np.int64)
    first, last = np.searchsorted(edges, start), np.searchsorted(edges, end)
    np.add.at(change, first, 1)
    np.add.at(change, last, -1)
    open_labels = np.cumsum(change)[:-1]
    # Where no label is open nothing is shared, and no label asks.
    shared = np.diff(edges) / np.maximum(open_labels, 1)
    until = np.concatenate([[0.0], np.cumsum(shared)])
    return np.asarray((until[last] - until[first]) / (end - start))


def sample_weights(start_ms: np.ndarray, end_ms: np.ndarray, symbol: np.ndarray) -> np.ndarray:
    """Return weights (n,) in proportion to average uniqueness, with a mean of one."""
    unique = average_uniqueness(start_ms, end_ms, symbol)
    return unique / unique.mean() if len(unique) else unique
