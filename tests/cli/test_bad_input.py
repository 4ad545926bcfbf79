"""Whatever is given wrong: one sentence that says what, where and how to mend it, a code that is not 0, nothing harmed."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from filelock import FileLock
from played import environment, trading
from said import Say

from trading_assets.cli.environment import beside_python
from trading_assets.store.home import Home

UNKNOWN = "01KED7JKR0JPBXQVPXAXYTRMF9"


# --- playing a market ---------------------------------------------------------------------------------------------


def test_a_market_that_is_not_there(say: Say, tmp_path: Path) -> None:
    said = say("demo", "--market", tmp_path / "nowhere.csv", "--home", tmp_path / "home")
    assert said.code == 1
    assert str(tmp_path / "nowhere.csv") in said.sentence
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02" * 100, b"name,age\nann,7\n"])
def test_a_market_of_no_known_format(say: Say, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "EURUSD.csv").write_bytes(content)
    said = say("demo", "--market", tmp_path / "EURUSD.csv", "--home", tmp_path / "home")
    assert said.code == 1
    assert "EURUSD.csv" in said.sentence
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("clock", ["mars", "+99", "eu/us"])
def test_a_clock_that_is_none(say: Say, tmp_path: Path, shared_data: Path, clock: str) -> None:
    market = shared_data / "ticks" / "oanda" / "EURUSD"
    said = say("demo", "--market", market, "--clock", clock, "--home", tmp_path / "home")
    assert said.code == 1
    assert said.sentence.startswith(f"reading the clock rule {clock!r}: it is not one; use utc, a fixed offset")
    assert not (tmp_path / "home").exists()


def test_a_clock_that_does_not_fit_the_weekends(say: Say, tmp_path: Path, shared_data: Path) -> None:
    market = shared_data / "m1" / "mt5" / "EURUSD_M1_2024_03.csv.gz"
    said = say("demo", "--market", market, "--clock", "us", "--home", tmp_path / "home")
    assert said.code == 1
    assert "the clock rule us does not fit its weekends" in said.sentence
    assert "pass the clock" in said.sentence
    assert not (tmp_path / "home").exists()


def test_a_timeframe_that_cannot_be_decided_on(say: Say, tmp_path: Path) -> None:
    said = say("demo", "--timeframe", "H4", "--home", tmp_path / "home")
    assert said.code == 2
    assert "'H4' is not one of 'M1', 'M5'" in said.err


# --- asking -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", [["status"], ["verify"], ["trace", UNKNOWN], ["explain", UNKNOWN], ["send", "halt"]]
)
def test_a_home_in_which_nothing_has_run(say: Say, tmp_path: Path, command: list[str]) -> None:
    said = say(*command, "--home", tmp_path)
    assert said.code == 1
    assert str(tmp_path) in said.sentence
    assert "there is no journal" in said.sentence
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def traded(tmp_path: Path) -> Home:
    """A home with a journal of one day and nothing made of it."""
    home = Home(tmp_path / "traded")
    folder = home.raw / "tenant=t" / "account=a" / "stream=market" / "date=2026-01-05" / "hour=10"
    folder.mkdir(parents=True)
    (folder / "live-00000001.ndjson").write_text("")
    return home


@pytest.mark.parametrize("command", ["trace", "explain"])
@pytest.mark.parametrize("identifier", ["7" + "Z" * 25, "A" * 5_000, "no id"])
def test_an_id_that_is_none(say: Say, traded: Home, command: str, identifier: str) -> None:
    said = say(command, identifier, "--home", traded.root)
    assert said.code == 1
    assert "is not an id: expected 26 characters of Crockford base32" in said.sentence
    assert len(said.sentence) < 400


def test_a_number_of_5000_digits_leads_nowhere_and_is_not_told_in_full(say: Say, traded: Home) -> None:
    said = say("trace", "9" * 5_000, "--home", traded.root)
    assert said.code == 1
    assert said.sentence.startswith("tracing " + "9" * 40 + "... (5000 characters): nothing of that id is in the lake;")


@pytest.mark.parametrize("arguments", [[], [UNKNOWN, "--day", "2026-01-05"]])
def test_explain_takes_a_signal_or_a_day(say: Say, tmp_path: Path, arguments: list[str]) -> None:
    said = say("explain", *arguments, "--home", tmp_path)
    assert said.code == 2
    assert "name a signal id, or a day with --day" in said.err


# --- running jobs -------------------------------------------------------------------------------------------------


def test_a_job_there_is_none_of(say: Say, tmp_path: Path) -> None:
    said = say("materialise", "everything", "--home", tmp_path)
    assert said.code == 1
    assert said.sentence == (
        "running job 'everything': there is no such job; "
        "use one of ingest, ledger, dataset, operations, integrity, retrain, rollout, marts, docs."
    )


@pytest.mark.parametrize("half", [["--from", "2026-01-05"], ["--to", "2026-01-05"]])
def test_half_a_range(say: Say, tmp_path: Path, half: list[str]) -> None:
    said = say("materialise", "ingest", *half, "--home", tmp_path)
    assert said.code == 1
    assert said.sentence == (
        "running job ingest: half a range of days was given; give both --from and --to, or neither."
    )


@pytest.mark.parametrize(
    ("first", "last"), [("2026-01-06", "2026-01-05"), ("2025-12-01", "2025-12-02"), ("2026-01-05", "2999-01-01")]
)
def test_a_range_that_has_no_partitions(say: Say, tmp_path: Path, first: str, last: str) -> None:
    said = say("materialise", "ingest", "--from", first, "--to", last, "--home", tmp_path)
    assert said.code == 1
    assert said.sentence == (
        f"running job ingest: {first} to {last} is no range of days from 2026-01-01, the first on record, to today; "
        "name the first day with --from and the last with --to."
    )


def test_a_backfill_while_another_runs(say: Say, traded: Home) -> None:
    traded.cursors.mkdir()
    with FileLock(traded.cursors / "backfill.lock"):
        said = say("backfill", "--home", traded.root)
    assert said.code == 1
    assert said.sentence == (f"backfilling {traded.root}: another backfill runs in this home; wait for its end.")
    assert not traded.postgres.exists()
    assert not traded.lake.exists()


def test_a_backup_to_a_place_that_is_none(say: Say, traded: Home, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for target in (tmp_path / "file" / "x", Path("/proc/x")):
        said = say("backup", target, "--without-databases", "--home", traded.root)
        assert said.code == 1
        assert said.sentence.startswith(f"writing a backup to {target}: ")


def test_a_day_that_is_none(say: Say, tmp_path: Path) -> None:
    said = say("materialise", "ingest", "--from", "monday", "--to", "2026-01-05", "--home", tmp_path)
    assert said.code == 2
    assert "'monday' does not match the format" in said.err


def test_a_first_date_that_is_none_is_a_sentence_also_before_the_graph_is_built(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [beside_python("trading"), "materialise", "ingest", "--home", str(tmp_path)], capture_output=True, text=True,
        env=environment(TRADING_FIRST_DATE="yesterday"), timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "trading: reading TRADING_FIRST_DATE: 'yesterday' is not a date; write it as 2026-01-31."
    )


# --- running everything -------------------------------------------------------------------------------------------


@pytest.fixture
def taken() -> Iterator[int]:
    """A port another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.mark.parametrize("name", ["daemon", "dagster", "mlflow", "docs"])
def test_a_port_in_use(say: Say, tmp_path: Path, taken: int, name: str) -> None:
    home = tmp_path / "home"
    others = [f"--{other}-port=0" for other in ("daemon", "dagster", "mlflow", "docs") if other != name]
    said = say("up", f"--{name}-port", str(taken), *others, "--home", home)
    assert said.code == 1
    assert said.sentence == (
        f"starting {name} on port {taken}: another program is using that port; "
        f"stop it, or choose another with --{name}-port."
    )
    assert not home.exists()


def test_a_command_the_daemon_does_not_know(say: Say, tmp_path: Path) -> None:
    said = say("send", "dance", "--home", tmp_path)
    assert said.code == 2
    assert "'dance' is not one of" in said.err


def test_a_database_url_that_is_none(tmp_path: Path, say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADING_DATABASE_URL", "mysql://somewhere/x")
    said = say("materialise", "ledger", "--home", tmp_path)
    assert said.code == 1
    assert "TRADING_DATABASE_URL: mysql is not PostgreSQL" in said.sentence


def test_help_and_version_need_no_home() -> None:
    assert trading("--help").returncode == 0
    assert trading("--version").stdout.strip().endswith("0.1.0")


def test_a_home_that_is_a_file(say: Say, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    said = say("materialise", "ledger", "--home", tmp_path / "file")
    assert said.code == 1
    assert said.sentence == (
        f"preparing the home {tmp_path / 'file'}: File exists; name another one with --home, or mend its permissions."
    )


def test_a_program_that_is_not_there(say: Say, tmp_path: Path) -> None:
    said = say("exec", "--home", tmp_path, "nonesuch")
    assert said.code == 1
    assert said.sentence == (
        "running nonesuch: there is no such program; name one of the virtual environment or of the path."
    )


def test_a_program_gets_the_databases_and_the_environment_of_the_home(say: Say, tmp_path: Path) -> None:
    look = "import os, sys; sys.exit(7 if os.environ['TRADING_HOME'] == sys.argv[1] and os.environ['TRADING_DAGSTER_URL'] else 1)"
    assert say("exec", "--home", tmp_path, "python", "-c", look, tmp_path).code == 7


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX")
def test_a_program_by_its_path_finds_ours_and_leaves_none_of_its_own_behind(say: Say, tmp_path: Path) -> None:
    script = f"sleep 600 & echo $! > {tmp_path}/pid; python -c 'import msgspec'"
    assert say("exec", "--home", tmp_path / "home", "--", shutil.which("sh"), "-c", script).code == 0
    with suppress(psutil.NoSuchProcess):  # it is gone, or waits for whoever takes note of its end
        assert psutil.Process(int((tmp_path / "pid").read_text())).status() == psutil.STATUS_ZOMBIE
