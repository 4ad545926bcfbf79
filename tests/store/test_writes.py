"""Which run wrote a day: from the journal's record, from the commit while there is none, and never another run's."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from trading_assets.core.records.operations import Transform
from trading_assets.core.tables import TABLES
from trading_assets.store.lake import Lake
from trading_assets.store.lake_rows import LakeRows
from trading_assets.store.raw_frames import records_frame
from trading_assets.store.writes import writes_of

DAY = date(2026, 3, 2)


def regime() -> pl.DataFrame:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    values = {
        "tenant": "t", "account": "a", "date": DAY, "symbol": "EURUSD", "timeframe": "M5", "open_at": at, "close_at": at,
        "feature_set_version": "f", "regime": "ranging", "regime_confidence": 0.5, "classifier_version": "c",
    }  # fmt: skip
    table = TABLES["regimes"]
    return pl.DataFrame({name: [values[name]] for name in table.names}, schema=table.schema)


def told(run: str, partitions: str, known_at: datetime) -> Transform:
    return Transform(
        tenant="ops", account="dagster", event_at=known_at, known_at=known_at, chain_id=run, table="regimes", run_id=run,
        partitions=partitions, rows_in=1, rows_out=1, code_version="0.9", sources=("features@3",), delta_version=1,
    )  # fmt: skip


def test_a_write_is_told_by_its_commit_until_its_record_is_in_the_lake(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for name in ("regimes", "raw_transforms"):
        lake.create(TABLES[name])
    assert writes_of(LakeRows(tmp_path), ["regimes"], DAY) == {}
    lake.provenance.run_id = "right"
    lake.overwrite_dates("regimes", regime(), [DAY])
    (early,) = writes_of(LakeRows(tmp_path), ["regimes"], DAY).values()
    assert (early["run_id"], early["delta_version"]) == ("right", 1)
    at = early["written_at"]
    moments = [at + timedelta(milliseconds=shift) for shift in (-5, 5, 10, 15)]
    runs = [
        told("before", "all", moments[0]), told("elsewhere", "2026-03-03 to 2026-03-09", moments[1]),
        told("right", "2026-03-01 to 2026-03-02", moments[2]), told("after", "2026-03-01 to 2026-03-02", moments[3]),
    ]  # fmt: skip
    days = {one.known_at.date() for one in runs}
    lake.overwrite_dates("raw_transforms", records_frame("raw_transforms", runs), days)
    (late,) = writes_of(LakeRows(tmp_path), ["regimes"], DAY).values()
    assert late == {
        "written_at": at, "run_id": "right", "code_version": "0.9", "sources": ["features@3"], "delta_version": 1,
        "feature_sets": [],
    }  # fmt: skip


def test_a_commit_that_is_too_far_back_is_not_guessed(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.create(TABLES["regimes"])
    lake.overwrite_dates("regimes", regime(), [DAY])
    at = LakeRows(tmp_path).written_at("regimes", DAY)
    assert at is not None
    other = regime().with_columns(date=pl.lit(DAY + timedelta(days=1)))
    for _ in range(21):
        lake.overwrite_dates("regimes", other, [DAY + timedelta(days=1)])
    assert LakeRows(tmp_path).note_of("regimes", at) == {}
    assert LakeRows(tmp_path).note_of("nothing", at) == {}
