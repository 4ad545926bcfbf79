"""A home may lie in any folder whose name the library of the tables can read; any other is refused in one sentence."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from said import Say

from trading_assets.core.errors import InputError
from trading_assets.store.home import home_at
from trading_assets.store.lake_rows import Ask, LakeRows
from trading_assets.store.table_files import file_path, scan_table
from trading_assets.store.table_log import commits_of

USABLE = (
    "plain",
    "a b",
    "José",
    "quote's",
    'double"quote',
    "hash#",
    "q?",
    "am&per",
    "100%",
    "日本",
    "$x`y`",
    "a{b}<c>;~!",
    " end ",
)
REFUSED = ("pct%41", "[x]", "x|y", "x^y", "date=2026-03-02", "env=prod", "a\\b", "a\tb", "a\x7fb", "bad\udcff")
DAYS = (date(2026, 3, 2), date(2026, 3, 3))

READ_BACK = """
import sys
from pathlib import Path
import polars as pl
from deltalake import DeltaTable, write_deltalake
table = Path(sys.argv[1]) / "table"
write_deltalake(str(table), pl.DataFrame({"date": ["a"], "value": [1]}).to_arrow(), partition_by=["date"])
DeltaTable(str(table))
files = [str(path) for path in table.rglob("*.parquet")]
assert pl.scan_parquet(files, glob=False, hive_schema={"date": pl.String}).collect().rows() == [(1, "a")]
"""


@pytest.mark.parametrize("name", USABLE)
def test_the_rows_of_a_table_are_found_in_a_folder_of_any_usable_name(tmp_path: Path, name: str) -> None:
    home = home_at(tmp_path / name)
    folder = str(home.lake / "table")
    for day, value in zip(DAYS, (1, 2), strict=True):
        frame = pl.DataFrame({"date": [day], "value": [value]})
        write_deltalake(folder, frame.to_arrow(), mode="append", partition_by=["date"])
    delta = DeltaTable(folder)
    assert scan_table(delta, folder).sort("value").collect().rows() == [(DAYS[0], 1), (DAYS[1], 2)]
    assert scan_table(delta, folder, since=DAYS[1]).collect().rows() == [(DAYS[1], 2)]
    (rows,) = LakeRows(home.lake).ask(Ask("table", pl.lit(value=True), [DAYS[0]]))
    assert rows == [{"date": DAYS[0], "value": 1}]


def test_the_commits_of_a_table_are_found_in_a_folder_with_a_hash_sign(tmp_path: Path) -> None:
    folder = str(tmp_path / "a#b?")
    for day in DAYS:
        frame = pl.DataFrame({"date": [day], "value": [1]})
        write_deltalake(folder, frame.to_arrow(), mode="append", partition_by=["date"])
    assert [one["version"] for one in commits_of(folder, 1)] == [1, 0]
    assert [one["version"] for one in commits_of(folder, 1, 1)] == [1]


def test_an_entry_of_the_log_is_decoded_once(tmp_path: Path) -> None:
    folder = str(tmp_path / "a b")
    write_deltalake(folder, pl.DataFrame({"key": ["a b", "50%"], "value": [1, 2]}).to_arrow(), partition_by=["key"])
    entries = pl.DataFrame(DeltaTable(folder).get_add_actions(flatten=True))["path"]
    assert all(Path(file_path(folder, entry)).is_file() for entry in entries)


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_the_library_cannot_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot read; name another folder"):
        home_at(tmp_path / name / "home")


@pytest.mark.parametrize("name", ["pct%41", "x|y", "date=2026-03-02"])
def test_no_name_is_refused_without_need(tmp_path: Path, name: str) -> None:
    # In a process of its own: for some names the library panics.
    (tmp_path / name).mkdir()
    done = subprocess.run([sys.executable, "-c", READ_BACK, str(tmp_path / name)], capture_output=True, check=False)
    assert done.returncode != 0


@pytest.mark.parametrize("command", [["status"], ["demo"], ["up"], ["restore", "x"], ["halt"], ["exec", "--", "true"]])
def test_every_command_refuses_it_before_it_begins(say: Say, tmp_path: Path, command: list[str]) -> None:
    head, *rest = command
    said = say(head, "--home", tmp_path / "x|y", *rest)
    assert said.code == 1
    assert "holds one of [ ] \\ | ^ =" in said.sentence
    assert list(tmp_path.iterdir()) == []


def test_the_daemon_refuses_it_too(tmp_path: Path) -> None:
    from live.__main__ import main

    home = tmp_path / "x|y"
    home.mkdir()
    digest = "0" * 64
    (home / "settings.toml").write_text(
        f'[[accounts]]\nname = "a"\ntoken_sha256 = "{digest}"\nsymbols = {{ "EURUSD" = "EURUSD" }}\nclock = "utc"\n'
    )
    assert main(["--home", str(home)]) == 1
    assert [path.name for path in home.iterdir()] == ["settings.toml"]
