"""Which versions of the dataset hold a decision, found by a few reads, also across rollbacks."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.store.dataset_rows import Held, versions_with
from trading_assets.store.lake_rows import Ask, LakeRows

DAY, OTHER = date(2026, 3, 2), date(2026, 3, 3)


class Known(LakeRows):
    """A lake whose versions hold the decision or not, counting how often it is asked."""

    def __init__(self, holding: list[bool]) -> None:
        super().__init__("nowhere")
        self.holding, self.asked = holding, 0

    def at_version(self, ask: Ask, version: int) -> list[dict[str, Any]]:  # noqa: ARG002
        self.asked += 1
        return [{}] if self.holding[version] else []


def recorded(operations: list[str]) -> list[dict[str, Any]]:
    return [
        {"delta_version": version, "operation": operation, "changed_days": [DAY.isoformat()]}
        for version, operation in enumerate(operations)
    ]


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 45)), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_the_runs_are_those_of_reading_every_version(segments: list[tuple[int, int]]) -> None:
    holding, operations = [], []
    for number, (length, enters_at) in enumerate(segments):
        holding += [index >= enters_at for index in range(length)]
        operations += ["rollback" if number and index == 0 else "append" for index in range(length)]
    rows = Known(holding)
    runs = versions_with(rows, "S", [DAY], recorded(operations), is_held=holding[-1])
    found = [any(run.first <= v and (run.last is None or v <= run.last) for run in runs) for v in range(len(holding))]
    assert found == holding
    assert all(before.last is not None and before.last + 1 < after.first for before, after in pairwise(runs))
    assert rows.asked <= 7 * len(segments)


def test_versions_in_which_other_days_changed_are_not_read(tmp_path: Path) -> None:
    path = str(tmp_path / "learning_dataset")
    for day, signal in ((OTHER, "A"), (DAY, "S"), (OTHER, "B"), (OTHER, "C")):
        pl.DataFrame({"date": [day], "signal_id": [signal]}).write_delta(
            path, mode="append", delta_write_options={"partition_by": ["date"]}
        )
    versions = recorded(["append"] * 4)
    for version in (0, 2, 3):
        versions[version]["changed_days"] = [OTHER.isoformat()]
    assert versions_with(LakeRows(tmp_path), "S", [DAY], versions, is_held=True) == [Held(1, None)]
    assert versions_with(LakeRows(tmp_path), "none", [DAY], versions, is_held=False) == []
    DeltaTable(path).restore(0)
    versions += [{"delta_version": 4, "operation": "rollback", "changed_days": [DAY.isoformat()]}]
    assert versions_with(LakeRows(tmp_path), "S", [DAY], versions, is_held=False) == [Held(1, 3)]


def test_nothing_was_recorded_yet(tmp_path: Path) -> None:
    assert versions_with(LakeRows(tmp_path), "S", [DAY], [], is_held=False) == []
