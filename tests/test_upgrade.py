"""A home that an earlier version made opens in this one: its journal reads, its lake is brought up to date and says so, nothing differs.

`tests/fixtures/make_home.py` says how the home was made. Fields and tables that are added later must keep it readable.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from said import Say

from trading_assets import __version__
from trading_assets.cli.materialise import ready_lake
from trading_assets.core.tables import TABLES
from trading_assets.store.backup import unpack
from trading_assets.store.home import Home
from trading_assets.store.journal import read_records
from trading_assets.store.seals import folder_of

pytestmark = pytest.mark.timeout(300)

ARCHIVE = Path(__file__).parent / "fixtures" / "home_58315c1.tar.zst"


@pytest.fixture
def former(tmp_path: Path) -> Home:
    """The home as the earlier version left it."""
    home = Home(tmp_path / "former")
    unpack(ARCHIVE, home, lambda _share, _name: None)
    return home


def test_a_home_of_the_earlier_version_is_verified_before_anything_is_added_to_it(say: Say, former: Home) -> None:
    said = say("verify", "--json", "--home", former.root)
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert told["is_clean"]
    assert told["journal"]["records"] == sum(1 for _ in read_records(former.raw)) > 2000


def test_its_tables_get_what_is_new_and_made_again_they_are_the_same(
    say: Say, former: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = ready_lake(former)
    assert "is of an earlier version" in capsys.readouterr().err
    changes = lake.read("schema_changes")
    assert ("raw_decisions", "inputs", __version__) in changes.select("table", "column", "code_version").rows()
    assert lake.read("trades").height == 2
    for name, table in TABLES.items():
        assert dict(lake.scan(name).collect_schema()) == table.schema, name
    # Without its seals every day is made again of the journal and held against what rests.
    shutil.rmtree(folder_of(former))
    said = say("selfcheck", "--json", "--home", former.root)
    assert said.code == 0, said.out + said.err
    assert json.loads(said.out)["is_sound"]
