"""Rows out of the lake's files alone: the same as Polars' own reading of the table, and of no file that cannot hold them."""

from __future__ import annotations

import json
import struct
from base64 import b85encode
from datetime import date, timedelta
from pathlib import Path

import polars as pl
from deltalake import DeltaTable, write_deltalake

from trading_assets.store.lake_rows import Ask, LakeRows

DAYS = [date(2026, 3, 2) + timedelta(days=number) for number in range(3)]


def deals(day: date, first: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "date": [day] * 3, "deal_ticket": [str(first + number) for number in range(3)],
            "order_ticket": [None, str(first + 101), None], "profit": [1.0, 2.0, 3.0],
        }
    )  # fmt: skip


def write(root: Path, frame: pl.DataFrame, configuration: dict[str, str | None] | None = None) -> None:
    write_deltalake(
        str(root / "deals"), frame.to_arrow(), mode="append", partition_by=["date"], schema_mode="merge",
        configuration=configuration,
    )  # fmt: skip


def asked(root: Path, ask: Ask) -> list[dict[str, object]]:
    (rows,) = LakeRows(root).ask(ask)
    return rows


def test_a_file_older_than_a_column_has_nulls_there(tmp_path: Path) -> None:
    write(tmp_path, deals(DAYS[0], 100))
    write(tmp_path, deals(DAYS[1], 200).with_columns(fee=pl.lit(0.5)))
    rows = asked(tmp_path, Ask("deals", pl.col("fee").is_null() | (pl.col("profit") > 2), DAYS, order="deal_ticket"))
    whole = pl.read_delta(str(tmp_path / "deals")).sort("deal_ticket")
    assert rows == whole.filter(pl.col("fee").is_null() | (pl.col("profit") > 2)).to_dicts()
    assert [row["fee"] for row in rows] == [None, None, None, 0.5]


def test_only_files_that_can_hold_a_value_are_opened(tmp_path: Path) -> None:
    for number, day in enumerate(DAYS):
        write(tmp_path, deals(day, 100 * (number + 1)))
    columns = ("deal_ticket", "order_ticket")
    ask = Ask(
        "deals", pl.any_horizontal(pl.col(columns) == "201"), one_of=tuple((one, "201") for one in columns),
        order="deal_ticket",
    )  # fmt: skip
    everything = asked(tmp_path, ask)
    assert [(row["date"], row["deal_ticket"]) for row in everything] == [(DAYS[0], "101"), (DAYS[1], "201")]
    (last,) = (tmp_path / "deals" / f"date={DAYS[2]}").iterdir()
    last.unlink()
    assert asked(tmp_path, ask) == everything


def test_a_table_that_is_not_there_or_has_no_such_day_has_no_rows(tmp_path: Path) -> None:
    write(tmp_path, deals(DAYS[0], 100))
    every = pl.lit(value=True)
    assert LakeRows(tmp_path).ask(Ask("nothing", every), Ask("deals", every, [DAYS[1]])) == [[], []]


def test_rows_that_another_program_marked_as_deleted_are_not_read(tmp_path: Path) -> None:
    write(tmp_path, deals(DAYS[0], 100), {"delta.enableDeletionVectors": "true"})
    write(tmp_path, deals(DAYS[1], 200))
    assert DeltaTable(str(tmp_path / "deals")).protocol().min_reader_version == 3
    mark_first_row(tmp_path / "deals" / "_delta_log", 1)
    every = pl.lit(value=True)
    found = asked(tmp_path, Ask("deals", every, DAYS[1:2], order="deal_ticket"))
    assert [row["deal_ticket"] for row in found] == ["201", "202"]
    assert asked(tmp_path, Ask("deals", every, DAYS[2:])) == []


def mark_first_row(log: Path, version: int) -> None:
    """Commit that the first row of the file a version added is deleted: a bitmap of {0} within the log, as others write it."""
    (added,) = [
        line["add"]
        for line in map(json.loads, (log / f"{version:020d}.json").read_text().splitlines())
        if "add" in line
    ]
    rows = struct.pack("<IQIIIHHIHH", 1681511377, 1, 0, 12346, 1, 0, 0, 16, 0, 0)
    z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    b85 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
    vector = {
        "storageType": "i", "pathOrInlineDv": b85encode(rows).decode().translate(str.maketrans(b85, z85)),
        "sizeInBytes": len(rows), "cardinality": 1,
    }  # fmt: skip
    removed = {"path": added["path"], "dataChange": True, "deletionTimestamp": added["modificationTime"]}
    lines = [{"remove": removed}, {"add": added | {"deletionVector": vector}}]
    (log / f"{version + 1:020d}.json").write_text("\n".join(map(json.dumps, lines)))
