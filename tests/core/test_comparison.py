"""Rows held against rows: the same whatever their order, and every way in which they differ counted and named."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from trading_assets.core.comparison import compare_rows
from trading_assets.core.completeness import (
    bars_cover_quotes,
    curves_have_no_gaps,
    labelled_candidates_are_learned,
    labels_are_complete,
    table_is_as_due,
)
from trading_assets.core.tables import TABLES

DAY = date(2026, 3, 2)
AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


def rows(*values: float | None) -> pl.DataFrame:
    """Rows of a raw table, named by their place in the journal."""
    table = TABLES["raw_quotes"]
    frame = pl.DataFrame({"journal_index": list(range(len(values))), "bid": list(values)}, schema={"journal_index": pl.Int64, "bid": pl.Float64})  # fmt: skip
    filled = frame.with_columns(
        pl.lit(None, column.dtype).alias(column.name) for column in table.columns if column.name not in frame.columns
    )
    return filled.with_columns(tenant=pl.lit("t"), account=pl.lit("a"), date=pl.lit(DAY)).select(table.names)


def compared(resting: pl.DataFrame, due: pl.DataFrame) -> tuple[int, int, int]:
    one = compare_rows(TABLES["raw_quotes"], DAY, resting, due)
    return one.missing, one.surplus, one.changed


def test_the_same_rows_in_another_order_are_equal() -> None:
    one = compare_rows(
        TABLES["raw_quotes"], DAY, rows(1.0, None, float("nan")).reverse(), rows(1.0, None, float("nan"))
    )
    assert one.is_equal
    assert table_is_as_due(one, "") == ()


@pytest.mark.parametrize(
    ("resting", "due", "expected"),
    [
        (rows(1.0), rows(1.0, 2.0), (1, 0, 0)),
        (rows(1.0, 2.0), rows(1.0), (0, 1, 0)),
        (rows(1.0, 2.0), rows(1.0, 2.0 + 1e-15), (0, 0, 1)),
        (rows(1.0, 2.0), rows(1.0, None), (0, 0, 1)),
        (pl.concat([rows(1.0, 2.0), rows(1.0, 2.0)]), rows(1.0, 2.0), (0, 2, 0)),
        (rows(), rows(1.0), (1, 0, 0)),
    ],
)
def test_what_is_missing_surplus_or_changed_is_counted(
    resting: pl.DataFrame, due: pl.DataFrame, expected: tuple[int, int, int]
) -> None:
    assert compared(resting, due) == expected


def test_a_difference_names_the_row_and_the_columns() -> None:
    one = compare_rows(TABLES["raw_quotes"], DAY, rows(1.0, 2.0), rows(1.0, 3.0))
    assert one.words() == "2 rows: 1 changed in bid, such as account a, journal_index 1"


def test_a_minute_with_a_quote_and_no_bar_is_found() -> None:
    chart = {"tenant": "t", "account": "a", "symbol": "EURUSD"}
    minutes = pl.DataFrame([chart | {"open_at": AT, "date": DAY}])
    bars = pl.DataFrame([chart | {"open_at": AT}])
    assert bars_cover_quotes(minutes, bars) == []
    (found,) = bars_cover_quotes(minutes, bars.clear())
    assert (found.table, found.day, found.observed) == ("bars", DAY, "none for 1 minutes from 12:00 to 12:00")


def idea(name: str, kind: str = "LONG", price: float | None = 1.0) -> dict[str, object]:
    return {"tenant": "t", "account": "a", "date": DAY, "idea_id": name, "kind": kind, "entry_price": price,
            "stop_price": 1.0, "target_price": 1.0, "risk_unit": 1.0, "timeout_bars": 3}  # fmt: skip


def test_a_candidate_without_a_label_is_found_and_one_without_prices_is_none() -> None:
    candidates = pl.DataFrame([idea("a"), idea("b", "HOLD"), idea("c", price=None)])
    labels = candidates.select("tenant", "account", "idea_id")
    assert labels_are_complete(candidates, labels) == []
    (found,) = labels_are_complete(candidates, labels.clear())
    assert (found.table, found.observed) == ("labels", "1 have none, such as a")


def test_a_label_that_is_not_learned_and_a_row_without_a_label_are_found() -> None:
    labels = pl.DataFrame([idea("a"), idea("b")]).select("tenant", "account", "date", "idea_id")
    assert labelled_candidates_are_learned(labels, labels) == []
    assert [one.table for one in labelled_candidates_are_learned(labels, labels.head(1))] == ["learning_dataset"]
    assert [one.table for one in labelled_candidates_are_learned(labels.head(1), labels)] == ["labels"]


def test_a_curve_has_rows_on_every_day_but_those_still_to_be_made() -> None:
    days = [date(2026, 1, day) for day in (4, 5, 8, 9)]
    assert curves_have_no_gaps("equity_daily", [], ()) == []
    assert curves_have_no_gaps("equity_daily", days[:2], ()) == []
    found = curves_have_no_gaps("equity_daily", days, {date(2026, 1, 7)})
    assert [(one.check, one.table, one.day) for one in found] == [
        ("curves_have_no_gaps", "equity_daily", date(2026, 1, 6))
    ]
