"""The log of a table read for a question: at every version what Delta's own reader says, and nothing that it does not understand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, Schema, write_deltalake

from trading_assets.core.tables import TABLES
from trading_assets.store.delta_log import DeltaLog
from trading_assets.store.lake_rows import Ask, LakeRows
from trading_assets.store.table_log import File, Unfamiliar, _can_hold, read_log, schema_of

DAYS = [date(2026, 3, 2) + timedelta(days=number) for number in range(4)]
EVERY = pl.lit(value=True)


def rows_of(day: date, first: int, **more: Any) -> pl.DataFrame:
    return pl.DataFrame({"date": [day] * 3, "ticket": [str(first + number) for number in range(3)], **more})


def write(path: Path, frame: pl.DataFrame, mode: Any = "append", **options: Any) -> None:
    write_deltalake(str(path), frame.to_arrow(), mode=mode, partition_by=["date"], schema_mode="merge", **options)


def replaced(path: Path, day: date, first: int) -> None:
    frame = rows_of(day, first)
    write_deltalake(str(path), frame.to_arrow(), mode="overwrite", predicate=f"date IN ('{day}')")


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table in whose log everything has happened that a lake does: days new and made again, a column, a way back, a merging."""
    path = tmp_path_factory.mktemp("lake") / "deals"
    write(path, rows_of(DAYS[0], 100), configuration={"delta.checkpointInterval": "4"})
    for number, day in enumerate(DAYS[1:]):
        write(path, rows_of(day, 200 + 100 * number))
    replaced(path, DAYS[1], 700)
    write(path, rows_of(DAYS[0], 800, fee=[0.5] * 3))
    DeltaTable(str(path)).delete(f"date IN ('{DAYS[2]}')")
    DeltaTable(str(path)).restore(3)
    replaced(path, DAYS[3], 900)
    DeltaTable(str(path)).optimize.compact()
    write(path, rows_of(DAYS[0], 1000))
    DeltaTable(str(path)).optimize.compact()
    assert sorted(file.name for file in (path / "_delta_log").glob("*.checkpoint.parquet"))
    return path


def test_every_version_is_what_deltas_own_reader_says_it_is(changed: Path) -> None:
    newest = DeltaTable(str(changed)).version()
    assert newest >= 10
    for version in [*range(newest + 1), None]:
        ours, theirs = (
            read_log(str(changed), version),
            DeltaLog(DeltaTable(str(changed), version=version), str(changed)),
        )
        assert ours is not None
        assert ours.schema == theirs.schema
        for asked in (None, [], *([day] for day in DAYS), DAYS[1:3]):
            assert sorted(ours.paths(asked)) == sorted(theirs.paths(asked))
        assert [ours.written_ms(day) for day in DAYS] == [theirs.written_ms(day) for day in DAYS]


def test_commits_are_told_as_delta_tells_them(changed: Path) -> None:
    ours, theirs = read_log(str(changed)), DeltaLog(DeltaTable(str(changed)), str(changed))
    assert ours is not None
    for limit in (1, 3, 50):
        assert ours.commits(limit) == theirs.commits(limit) == DeltaTable(str(changed)).history(limit)
    assert [one["version"] for one in ours.commits(50)][-1] == 0


def test_files_are_passed_over_by_their_statistics_alike(changed: Path) -> None:
    ours, theirs = read_log(str(changed)), DeltaLog(DeltaTable(str(changed)), str(changed))
    assert ours is not None
    for ticket in ("100", "201", "701", "802", "901", "1001", "3", "999"):
        one_of = [("ticket", ticket)]
        assert sorted(ours.paths(one_of=one_of)) == sorted(theirs.paths(one_of=one_of))
        assert len(ours.paths(one_of=one_of)) < len(ours.paths())


def test_a_file_of_which_the_log_tells_nothing_can_hold_everything() -> None:
    def can_hold(told: str | None) -> bool:
        return _can_hold(File("f", {"date": None}, 0, told), [("ticket", "5")])

    assert can_hold(None)
    assert can_hold("{}")
    assert can_hold('{"numRecords":3,"minValues":{"ticket":"1"},"nullCount":{"ticket":0}}')
    assert can_hold('{"numRecords":3,"minValues":{"ticket":1},"maxValues":{"ticket":3}}')
    assert can_hold('{"numRecords":3,"minValues":{"ticket":"1"},"maxValues":{"ticket":"6"},"nullCount":{"ticket":2}}')
    assert not can_hold('{"numRecords":3,"minValues":{"ticket":"1"},"maxValues":{"ticket":"4"}}')
    assert not can_hold('{"numRecords":3,"nullCount":{"ticket":3}}')


def test_columns_of_every_table_have_the_types_that_polars_reads_them_with() -> None:
    for table in TABLES.values():
        told = Schema.from_arrow(table.empty().to_arrow().schema)
        assert schema_of(told.to_json()) == pl.Schema(told), table.name


def retold(log: Path, kind: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change everything of a kind that the commits say."""
    for commit in log.glob("*.json"):
        lines = [json.loads(line) for line in commit.read_text().splitlines()]
        told = [line | ({kind: line[kind] | change(line[kind])} if kind in line else {}) for line in lines]
        commit.write_text("\n".join(map(json.dumps, told)))


def names_twice(log: Path) -> None:
    newest = max(log.glob("*.json"))
    newest.write_text(newest.read_text().rstrip() + "\n" + newest.read_text().splitlines()[-1])


STRANGE: dict[str, Callable[[Path], object]] = {
    "a commit that is missing": lambda log: (log / f"{1:020d}.json").unlink(),
    "a commit cut short": lambda log: (log / f"{2:020d}.json").write_bytes((log / f"{2:020d}.json").read_bytes()[:-40]),
    "a checkpoint in parts": lambda log: (log / f"{1:020d}.checkpoint.{1:010d}.{2:010d}.parquet").touch(),
    "a checkpoint that is no Parquet": lambda log: (log / f"{1:020d}.checkpoint.parquet").write_text("no"),
    "merged commits": lambda log: (log / f"{0:020d}.{1:020d}.compacted.json").touch(),
    "files of another folder": lambda log: retold(log, "add", lambda told: {"path": f"/srv/{told['path']}"}),
    "names in another writing": lambda log: retold(log, "add", lambda told: {"path": told["path"].replace("=", "%3D")}),
    "later readers only": lambda log: retold(log, "protocol", lambda _: {"minReaderVersion": 2}),
    "parted by more than days": lambda log: retold(log, "metaData", lambda _: {"partitionColumns": ["date", "ticket"]}),
    "a file named twice": names_twice,
    "no commits at all": lambda log: [file.unlink() for file in log.iterdir()],
}


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
def test_a_log_that_is_not_of_our_making_is_left_to_delta(tmp_path: Path, strange: Callable[[Path], object]) -> None:
    for number in range(3):
        write(tmp_path / "deals", rows_of(DAYS[number], 100 * number))
    assert read_log(str(tmp_path / "deals")) is not None
    strange(tmp_path / "deals" / "_delta_log")
    with pytest.raises(Unfamiliar):
        read_log(str(tmp_path / "deals"))


def test_what_is_left_to_delta_is_answered_all_the_same(tmp_path: Path) -> None:
    fees = pa.array([[("a", 1.0)], [("b", 2.0)]], pa.map_(pa.string(), pa.float64()))
    write_deltalake(
        str(tmp_path / "deals"), pa.table({"date": pa.array(DAYS[:2]), "ticket": ["1", "2"], "fees": fees}),
        partition_by=["date"],
    )  # fmt: skip
    with pytest.raises(Unfamiliar):
        read_log(str(tmp_path / "deals"))
    rows = LakeRows(tmp_path)
    assert [row["ticket"] for row in rows.ask(Ask("deals", EVERY, DAYS[:1]))[0]] == ["1"]
    assert rows.written_at("deals", DAYS[0]) is not None
    tickets = Ask("deals", EVERY, columns=("ticket",), order="ticket")
    assert rows.at_version(tickets, 0) == [{"ticket": "1"}, {"ticket": "2"}]
    assert rows.ask(Ask("nothing", EVERY)) == [[]]


def test_an_unknown_type_is_left_to_delta() -> None:
    field = {"name": "a", "type": {"type": "map", "keyType": "string", "valueType": "string"}}
    with pytest.raises(Unfamiliar):
        schema_of(msgspec.json.encode({"type": "struct", "fields": [field]}).decode())


def test_a_question_starts_without_deltas_own_reader() -> None:
    heavy = "deltalake", "pyarrow", "pandera", "dagster", "rich"
    code = f"import sys, trading_assets.cli.trace, trading_assets.cli.trace_report; print(*sys.modules.keys() & set({heavy!r}))"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert said.stdout.strip() == ""
