"""Inspection of rows before they are learned from: what cannot be learned from is refused in one sentence, the rest is told.

Unknown values as such are no fault: trees read them as they are, live and here. A model from nothing is one, and so is a row that
counts twice or ends before it begins.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl

from trading_assets.core.errors import InputError

MOST_UNKNOWN = 0.5
"""Share of unknown values in the rows and features that know anything, from which on they tell of a broken source."""
MOST_SILENT = 0.5
"""Share of rows in which not one feature is known."""


def refuse_unsound(frame: pl.DataFrame) -> None:
    """Raise InputError for rows that are not what the dataset promises: no rows, duplicates, labels that cannot be."""
    if frame.is_empty():
        raise _refusal("there are no rows", "let labels grow, or ingest the journal first")
    doubled = frame.filter(pl.col("idea_id").is_duplicated())
    if not doubled.is_empty():
        raise _refusal(
            f"{doubled.height} rows share an idea_id with another, the first of them {_first(doubled)}",
            "go back to a version without duplicates, see `trading dataset versions`",
        )
    unsound = frame.filter(
        pl.col("is_win").is_null() | pl.col("result_r").is_null() | ~pl.col("result_r").is_finite().fill_null(False)
    )
    if not unsound.is_empty():
        raise _refusal(
            f"{unsound.height} rows have no result, the first of them {_first(unsound)}",
            "make their labels again: trading materialise dataset",
        )
    early = frame.filter(pl.col("label_end_at").is_null() | (pl.col("label_end_at") < pl.col("decided_at")))
    if not early.is_empty():
        raise _refusal(
            f"{early.height} labels end before their decision, the first of them {_first(early)}",
            "make them again: trading materialise dataset",
        )


def known_by(frame: pl.DataFrame, cut: datetime) -> pl.DataFrame:
    """Return the rows whose label had ended at the cut: what ends later was not known then."""
    return frame.filter(pl.col("label_end_at") <= cut)


def remarks_on(matrix: np.ndarray, names: tuple[str, ...]) -> tuple[str, ...]:
    """Say what stands out in the features (n, k). Raises InputError where too little of them is known."""
    silent, told, remarks = 0, np.zeros(len(names), dtype=np.int64), []
    lowest, highest = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    endless = 0
    # In parts: a mask of the whole would take a quarter of the matrix again.
    for start in range(0, len(matrix), 20_000):
        part = matrix[start : start + 20_000]
        known = ~np.isnan(part)
        told += known.sum(axis=0)
        silent += int((~known.any(axis=1)).sum())
        endless += int(np.isinf(part).sum())
        lowest = np.minimum(lowest, np.where(known, part, np.inf).min(axis=0))
        highest = np.maximum(highest, np.where(known, part, -np.inf).max(axis=0))
    never = told == 0
    unknown = 1.0 - told[~never].sum() / max(len(matrix) * int((~never).sum()), 1)
    if never.all() or silent > MOST_SILENT * len(matrix) or unknown > MOST_UNKNOWN:
        raise _refusal(
            f"{unknown:.0%} of the features' values are unknown and {silent} of {len(matrix)} rows know nothing"
            if not never.all()
            else "not one feature is ever known",
            "look for a gap in the bars with `trading verify`, and ingest them again",
        )
    constant = [
        name for name, low, high, none in zip(names, lowest, highest, never, strict=True) if low == high and not none
    ]
    if constant:
        remarks.append(f"{len(constant)} features never change: {_some(constant)}")
    if never.any():
        remarks.append(
            f"{int(never.sum())} features are never known: {_some([n for n, none in zip(names, never, strict=True) if none])}"
        )
    if endless:
        remarks.append(f"{endless} values are infinite; trees read them as the largest there is")
    if unknown >= 0.01:
        remarks.append(f"{unknown:.0%} of the values are unknown")
    return tuple(remarks)


def _first(rows: pl.DataFrame) -> str:
    return str(rows["idea_id"].sort()[0])


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _refusal(problem: str, hint: str) -> InputError:
    return InputError("training", "meta-model", problem, hint)
