"""From windows to rows: the features of one timeframe as a block of columns, and blocks put side by side as rows.

A whole day and a single live row go through the same two functions. Which formulas take part is `feature_set`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trading_assets.core.features.formulas import Formula
from trading_assets.core.features.indicators import Chart
from trading_assets.core.features.ladder import Ladder, closed_by
from trading_assets.core.features.window import ChartWindow, Floats, Integers


class Block:
    """The features of one timeframe for all bars of its window, one array a feature."""

    def __init__(self, window: ChartWindow, formulas: Sequence[Formula[Chart]]) -> None:
        self.chart = Chart(window)
        # Flat markets divide by zero; what is not finite becomes null when the row is put together.
        with np.errstate(all="ignore"):
            self.columns = [formula.compute(self.chart) for formula in formulas]

    def rows(self, positions: Integers) -> Floats:
        """Values at `positions` (-1: no bar closed yet), one row each."""
        if len(positions) == 1 and positions[0] >= 0:
            # A live row: the same values, picked one by one, which is what makes it cheap.
            position = int(positions[0])
            return np.array([[column[position] for column in self.columns]])
        rows = np.empty((len(positions), len(self.columns)))
        for index, column in enumerate(self.columns):
            rows[:, index] = column[positions] if len(column) else np.nan
        rows[positions < 0] = np.nan
        return rows


def assemble(blocks: Sequence[Block], formulas: Sequence[Formula[Ladder]], rows: Integers) -> Floats:
    """Feature rows of the base bars at positions `rows`, shape (rows, features): finite values, or NaN for null.

    Columns of every block in turn, then those of the `formulas` that compare timeframes.
    """
    at_ms = blocks[0].chart.close_ms[rows]
    positions = [rows, *(closed_by(block.chart.close_ms, at_ms) for block in blocks[1:])]
    ladder = Ladder([block.chart for block in blocks], rows, positions)
    width = sum(len(block.columns) for block in blocks)
    matrix = np.empty((len(rows), width + len(formulas)))
    start = 0
    for block, position in zip(blocks, positions, strict=True):
        matrix[:, start : start + len(block.columns)] = block.rows(position)
        start += len(block.columns)
    with np.errstate(all="ignore"):
        for index, formula in enumerate(formulas, start=width):
            matrix[:, index] = formula.compute(ladder)
    matrix[~np.isfinite(matrix)] = np.nan
    return matrix
