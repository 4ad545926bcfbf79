"""A home that was moved, renamed or copied: its MLflow finds its files where they lie now, and writes nothing into the old place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import sqlalchemy
from mlflow import MlflowClient

from trading_assets.core.errors import StateError
from trading_assets.store.home import Home
from trading_assets.store.mlflow_addresses import EXPERIMENT, follow_home, move_addresses
from trading_assets.store.postgres import open_databases

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database, empty: making its tables takes seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.sqlite"
    url = f"sqlite:///{path}"
    MlflowClient(url, url).search_experiments()
    return path


@pytest.fixture
def database(model: Path, tmp_path: Path) -> Path:
    """A database of one's own, in the home that the tests begin with."""
    (tmp_path / "old home").mkdir()
    return Path(shutil.copy(model, tmp_path / "old home"))


def url_of(home: Home) -> str:
    return f"sqlite:///{home.root / 'mlflow.sqlite'}"


def first_run(url: str, home: Home, folder: Path) -> str:
    """Track a run with a file and a registered model, as a training does; return the run's id."""
    client = MlflowClient(url, url)
    experiment = client.create_experiment(EXPERIMENT, artifact_location=home.mlflow.as_uri())
    run = client.create_run(experiment).info.run_id
    (folder / "model.txt").write_text("weights")
    client.log_artifact(run, str(folder / "model.txt"))
    client.set_tag(run, "model_card", (home.models / "m" / "card.html").as_uri())
    client.create_registered_model(EXPERIMENT)
    client.create_model_version(EXPERIMENT, f"{home.mlflow.as_uri()}/{run}/artifacts", run)
    return str(run)


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("is_copied", [True, False])
def test_a_home_that_lies_elsewhere_reads_and_writes_its_own_files(
    database: Path, tmp_path: Path, is_copied: bool
) -> None:
    old, new = Home(database.parent), Home(tmp_path / "new home ü")
    run = first_run(url_of(old), old, tmp_path)
    assert follow_home(url_of(old), old, is_shared=False) == ""
    if is_copied:
        shutil.copytree(old.root, new.root)
        before = files_below(old.root), (old.root / "mlflow.sqlite").read_bytes()
    else:
        old.root.rename(new.root)
    url = url_of(new)
    assert follow_home(url, new, is_shared=False) == str(old.root)
    assert follow_home(url, new, is_shared=False) == ""
    client = MlflowClient(url, url)
    found = client.get_experiment_by_name(EXPERIMENT)
    assert found is not None
    assert found.artifact_location == new.mlflow.as_uri()
    assert Path(client.download_artifacts(run, "model.txt", str(tmp_path))).read_text() == "weights"
    assert client.get_run(run).data.tags["model_card"] == (new.models / "m" / "card.html").as_uri()
    assert client.get_model_version(EXPERIMENT, "1").source == f"{new.mlflow.as_uri()}/{run}/artifacts"
    again = client.create_run(found.experiment_id).info.run_id
    client.log_artifact(again, str(tmp_path / "model.txt"))
    assert (new.mlflow / again / "artifacts" / "model.txt").is_file()
    if is_copied:
        assert (files_below(old.root), (old.root / "mlflow.sqlite").read_bytes()) == before
    else:
        assert not old.root.exists()


def test_a_place_that_only_begins_like_the_former_one_is_left(database: Path, tmp_path: Path) -> None:
    home, other = Home(tmp_path / "home"), Home(tmp_path / "home2")
    url = f"sqlite:///{database}"
    client = MlflowClient(url, url)
    client.create_experiment(EXPERIMENT, artifact_location=home.mlflow.as_uri())
    client.create_experiment("another", artifact_location=other.mlflow.as_uri())
    assert follow_home(url, Home(tmp_path / "moved"), is_shared=False) == str(home.root)
    found = client.get_experiment_by_name("another")
    assert found is not None
    assert found.artifact_location == other.mlflow.as_uri()


def test_a_database_that_two_homes_share_is_not_taken_from_the_one_that_is_there(
    database: Path, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    home.root.mkdir()
    url = f"sqlite:///{database}"
    client = MlflowClient(url, url)
    client.create_experiment(EXPERIMENT, artifact_location=home.mlflow.as_uri())
    with pytest.raises(StateError, match=r"its models lie in another home, .*; give each home a server or databases"):
        follow_home(url, Home(tmp_path / "copy"), is_shared=True)
    home.root.rmdir()
    assert follow_home(url, Home(tmp_path / "copy"), is_shared=True) == str(home.root)


def test_a_backup_of_a_windows_machine_finds_its_files_here(database: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{database}"
    client = MlflowClient(url, url)
    client.create_experiment(EXPERIMENT, artifact_location="file:///C:/Users/First%20Last/var/mlflow")
    move_addresses(url, "C:\\Users\\First Last\\var", Home(tmp_path / "home"))
    found = client.get_experiment_by_name(EXPERIMENT)
    assert found is not None
    assert found.artifact_location == (tmp_path / "home" / "mlflow").as_uri()


def test_a_copy_made_while_the_server_ran_gets_a_server_of_its_own(tmp_path: Path) -> None:
    with open_databases(tmp_path / "home" / "postgres") as theirs:
        engine = sqlalchemy.create_engine(theirs.mlflow, poolclass=sqlalchemy.NullPool)
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CHECKPOINT"))
        ignored = shutil.ignore_patterns("*.lock", ".s.PGSQL.*[0-9]")
        shutil.copytree(tmp_path / "home", tmp_path / "copy", ignore=ignored)
        with open_databases(tmp_path / "copy" / "postgres") as ours:
            assert ours.mlflow != theirs.mlflow
            engine = sqlalchemy.create_engine(ours.mlflow, poolclass=sqlalchemy.NullPool)
            with engine.connect() as connection:
                where = connection.scalar(sqlalchemy.text("SHOW data_directory"))
            assert where == str(tmp_path / "copy" / "postgres" / "data")
