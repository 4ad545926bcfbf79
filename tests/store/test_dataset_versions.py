"""Versions of the learning dataset: recorded at the cost of what grew, compared by key, and gone back to without loss."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from played import Played, copied

from trading_assets.core.errors import InputError
from trading_assets.core.learning.dataset import KEY, content_hash
from trading_assets.store import dataset_versions as module
from trading_assets.store.dataset_versions import (
    DATASET,
    difference,
    is_held,
    record_version,
    recorded_versions,
    resume,
    rollback,
    summaries,
    verify_version,
)
from trading_assets.store.lake import Lake

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def source(played: Played) -> pl.DataFrame:
    """Real rows of the dataset."""
    return Lake(played.home.lake).read(DATASET)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake."""
    made = Lake(tmp_path)
    for table in (DATASET, "dataset_versions", "meta_models"):
        made.create(module.TABLES[table])
    return made


def rows_of(source: pl.DataFrame, day: int, first: int, count: int) -> pl.DataFrame:
    """Some rows, moved to a day of January 2024."""
    moved = source.slice(first, count).with_columns(date=pl.lit(date(2024, 1, day)))
    return moved.with_columns(idea_id=pl.col("idea_id") + f"-{day}")


def grown(lake: Lake, source: pl.DataFrame, days: int, count: int = 20) -> None:
    """Append rows of several days, a version each."""
    for day in range(1, days + 1):
        lake.append(DATASET, rows_of(source, day, 0, count))
        record_version(lake)


def test_each_growth_is_a_version_whose_hash_is_that_of_its_rows(lake: Lake, source: pl.DataFrame) -> None:
    grown(lake, source, 3)
    lake.append(DATASET, rows_of(source, 3, 20, 5))
    record_version(lake)
    versions = recorded_versions(lake)
    assert [one.rows for one in versions] == [20, 40, 60, 65]
    for one in versions:
        assert content_hash(lake.read(DATASET, version=one.version)) == one.sha256
        assert verify_version(lake, one.version)
    assert record_version(lake) == versions[-1]
    assert len({one.sha256 for one in versions}) == 4


@pytest.mark.parametrize("history", [2, 20])
def test_an_hour_reads_only_the_day_it_grew_in_however_long_the_history(
    lake: Lake, source: pl.DataFrame, history: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown(lake, source, history)
    read = lake.read
    seen: list[int] = []

    def counted(table: str, **asked: object) -> pl.DataFrame:
        frame = read(table, **asked)  # type: ignore[arg-type]
        seen.append(frame.height if table == DATASET else 0)
        return frame

    monkeypatch.setattr(lake, "read", counted)
    lake.append(DATASET, rows_of(source, history, 20, 5))
    record_version(lake)
    assert sum(seen) == 25


def test_a_difference_names_the_rows_by_key(lake: Lake, source: pl.DataFrame) -> None:
    grown(lake, source, 2)
    first, second = recorded_versions(lake)
    changed = rows_of(source, 2, 0, 20)
    other = changed.with_columns(
        result_r=pl.when(pl.int_range(pl.len()) == 3).then(pl.col("result_r") + 1e-9).otherwise(pl.col("result_r"))
    ).tail(18)
    lake.overwrite_dates(DATASET, other, [date(2024, 1, 2)])
    third = record_version(lake)
    grew = difference(lake, first.version, second.version)
    assert (grew.added.height, grew.removed.height, grew.changed.height) == (20, 0, 0)
    assert grew.added.columns == ["date", *KEY]
    shrank = difference(lake, second.version, third.version)
    assert (shrank.added.height, shrank.removed.height, shrank.changed.height) == (0, 2, 1)
    assert shrank.changed["idea_id"].to_list() == [changed["idea_id"][3]]
    assert difference(lake, second.version, second.version).changed.is_empty()
    with pytest.raises(InputError, match="never recorded"):
        difference(lake, 1, 999)


def test_going_back_makes_a_new_version_and_loses_none(lake: Lake, source: pl.DataFrame) -> None:
    grown(lake, source, 3)
    first, second, third = recorded_versions(lake)
    back = rollback(lake, first.version)
    assert (back.rows, back.sha256, back.restored, back.operation) == (20, first.sha256, first.version, "rollback")
    assert back.version > third.version
    assert lake.read(DATASET).equals(lake.read(DATASET, version=first.version))
    assert [one.version for one in recorded_versions(lake)] == [
        first.version,
        second.version,
        third.version,
        back.version,
    ]
    assert verify_version(lake, third.version)
    lake.append(DATASET, rows_of(source, 2, 0, 20))
    assert record_version(lake).sha256 == second.sha256
    with pytest.raises(InputError, match="never recorded"):
        rollback(lake, 999)


def test_a_dataset_that_was_rolled_back_is_held_until_a_person_resumes_it(lake: Lake, source: pl.DataFrame) -> None:
    grown(lake, source, 2)
    first, second = recorded_versions(lake)
    assert not is_held(lake)
    with pytest.raises(InputError, match="it is not rolled back"):
        resume(lake)
    back = rollback(lake, first.version)
    assert is_held(lake)
    made = resume(lake)
    assert not is_held(lake)
    assert (made.operation, made.restored, made.rows, made.sha256) == ("resume", None, back.rows, back.sha256)
    lake.append(DATASET, rows_of(source, 2, 0, 20))
    assert record_version(lake).sha256 == second.sha256
    assert not is_held(lake)


def test_a_version_nobody_recorded_is_caught_up_with(lake: Lake, source: pl.DataFrame) -> None:
    lake.append(DATASET, rows_of(source, 1, 0, 5))
    lake.append(DATASET, rows_of(source, 2, 0, 5))
    made = record_version(lake)
    assert made.sha256 == content_hash(lake.read(DATASET))
    assert len(made.days) == 2


def test_the_models_of_a_version_are_named_with_it(played: Played) -> None:
    (model,) = Lake(played.home.lake).read("meta_models").to_dicts()
    told = {one["version"]: one for one in summaries(Lake(played.home.lake))}
    assert told[model["dataset_version"]]["models"] == [model["model_version"]]
    assert told[model["dataset_version"]]["sha256"] == model["dataset_sha256"]


def test_rows_of_another_definition_stand_beside_the_old_ones(lake: Lake, source: pl.DataFrame) -> None:
    rows = rows_of(source, 1, 0, 5)
    lake.append(DATASET, rows)
    lake.append(DATASET, rows.with_columns(labels_version=pl.lit("another")))
    assert lake.row_count(DATASET) == 10
    with pytest.raises(InputError, match="there already"):
        lake.append(DATASET, rows)


def test_a_copy_of_a_played_home_goes_back_and_grows_again(played: Played, tmp_path: Path) -> None:
    with copied(played.home, tmp_path / "copy") as home:
        lake = Lake(home.lake)
        versions = recorded_versions(lake)
        assert rollback(lake, versions[0].version).sha256 == versions[0].sha256
        assert lake.committed_at(DATASET, versions[0].version) - versions[0].committed_at < timedelta(seconds=1)
