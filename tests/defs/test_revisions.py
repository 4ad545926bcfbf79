"""Outcomes that are told again, or later than their label: the tables of trades and the dataset follow."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from table_rows import rows_of

from trading_assets.core.tables import TABLES
from trading_assets.defs.dataset import revised_rows
from trading_assets.defs.trades import outcomes_frame, with_revised
from trading_assets.store.dataset_versions import difference, record_version
from trading_assets.store.lake import Lake

DAYS = [date(2026, 1, 5) + timedelta(days=number) for number in range(4)]
OWNER = {"tenant": ["t"], "account": ["a"]}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake without rows."""
    lake = Lake(tmp_path)
    for name in ("raw_outcomes", "raw_deals", "outcomes", "learning_dataset", "dataset_versions"):
        lake.create(TABLES[name])
    return lake


def tell(lake: Lake, day: date, revision: int, result_r: float) -> None:
    """File a telling of a trade's outcome."""
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    told = {"trade_id": ["T"], "idea_id": ["I"], "revision": [revision], "result_r": [result_r], "known_at": [at]}
    lake.append("raw_outcomes", rows_of("raw_outcomes", 1, date=[day], **OWNER, **told))


def test_the_highest_revision_counts_on_the_day_of_the_first_telling_and_that_day_is_written_again(lake: Lake) -> None:
    tell(lake, DAYS[0], 0, 1.0)
    lake.overwrite_dates("outcomes", outcomes_frame(lake, DAYS[:1]), DAYS[:1])
    tell(lake, DAYS[3], 1, 0.5)
    assert with_revised(lake, "outcomes", DAYS[3:]) == [DAYS[0], DAYS[3]]
    made = outcomes_frame(lake, [DAYS[0], DAYS[3]])
    assert made.select("date", "trade_id", "revision", "result_r").rows() == [(DAYS[0], "T", 1, 0.5)]
    assert outcomes_frame(lake, DAYS[3:]).is_empty(), "it is filed once"
    assert with_revised(lake, "outcomes", DAYS[1:3]) == DAYS[1:3]


def test_an_outcome_known_later_than_its_label_and_one_told_again_are_revisions_of_the_dataset(lake: Lake) -> None:
    none = {"exit_reason": [None, None], "outcome_r": [None, None]}
    ideas = {"tenant": ["t"] * 2, "account": ["a"] * 2, "idea_id": ["I", "J"], "date": [DAYS[0]] * 2}
    lake.append("learning_dataset", rows_of("learning_dataset", 2, **ideas, **none))
    versions = [record_version(lake)]
    assert revised_rows(lake).is_empty()
    for revision, result in enumerate((1.0, 0.5)):
        tell(lake, DAYS[1 + revision], revision, result)
        lake.overwrite_dates("outcomes", outcomes_frame(lake, DAYS), DAYS)
        rows = revised_rows(lake)
        lake.overwrite_dates("learning_dataset", rows, DAYS[:1])
        assert lake.read("learning_dataset").sort("idea_id")["outcome_r"].to_list() == [result, None]
        versions.append(record_version(lake))
        changed = difference(lake, versions[-2].version, versions[-1].version)
        assert changed.changed["idea_id"].to_list() == ["I"]
        assert (changed.added.height, changed.removed.height) == (0, 0)
    assert [one.operation for one in versions] == ["append", "revise", "revise"]
    assert revised_rows(lake).is_empty(), "what is told is not told again"
