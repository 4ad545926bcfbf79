"""The restore drill: a played home in one file, back into an empty place, answering as before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy
from played import Played, copied
from said import Say

from trading_assets.store.home import Home
from trading_assets.store.lake import Lake
from trading_assets.store.postgres import open_databases

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def home(played: Played, tmp_path: Path) -> Iterator[Home]:
    """A copy of the played home with databases of its own, in which MLflow knows one experiment."""
    with copied(played.home, tmp_path / "home") as home:
        with open_databases(home.postgres) as databases:
            engine = sqlalchemy.create_engine(databases.mlflow, poolclass=sqlalchemy.NullPool)
            with engine.begin() as connection:
                connection.execute(sqlalchemy.text("CREATE TABLE experiments (name text, artifact_location text)"))
                row = {"place": home.mlflow.as_uri() + "/1"}
                connection.execute(sqlalchemy.text("INSERT INTO experiments VALUES ('meta', :place)"), row)
        yield home


def experiments(home: Home) -> list[tuple[str, str]]:
    with open_databases(home.postgres) as databases:
        engine = sqlalchemy.create_engine(databases.mlflow, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sqlalchemy.text("SELECT * FROM experiments"))]


def test_a_restored_home_answers_as_the_one_that_was_copied(say: Say, home: Home, tmp_path: Path) -> None:
    again, places = Home(tmp_path / "again"), tmp_path / "copies"
    places.mkdir()
    made = say("backup", places, "--home", home.root, "--json")
    assert made.code == 0, made.err
    archive = json.loads(made.out)["archive"]
    assert say("backup", "--check", archive).code == 0
    assert say("restore", archive, "--home", again.root).code == 0
    trade = Lake(home.lake).read("trades").sort("opened_at").row(0, named=True)["trade_id"]
    for command in (("verify",), ("trace", trade)):
        before, after = (say(*command, "--json", "--home", one.root) for one in (home, again))
        assert (before.code, json.loads(before.out)) == (after.code, json.loads(after.out))
    assert experiments(again) == [("meta", again.mlflow.as_uri() + "/1")]
    assert not (again.root / "databases").exists()


def test_bad_input_is_told_in_a_sentence_and_harms_nothing(say: Say, played: Played, tmp_path: Path) -> None:
    archive, home = tmp_path / "copy.tar.zst", played.home.root
    assert say("backup", archive, "--without-databases", "--home", home).code == 0
    said = say("restore", archive, "--home", home)
    assert (said.code, said.out) == (1, "")
    assert "it is not empty" in said.err
    said = say("backup", archive, "--home", home)
    assert "there is a file already; name another one" in said.err
    said = say("backup", home / "inside.tar.zst", "--home", home)
    assert "inside the home itself" in said.err
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    said = say("restore", archive, "--home", tmp_path / "again")
    assert said.code == 1
    assert "take another copy; nothing was restored" in said.err
    assert not (tmp_path / "again").exists()
    said = say("restore", tmp_path / "none", "--home", tmp_path / "again")
    assert "name a file that `trading backup` made" in said.err
