"""`trading up`: which parts run in which home, what is started again, and what the docs' port gives away."""

from __future__ import annotations

import http.client
import subprocess
import sys
from pathlib import Path

import pytest
from said import Say

from trading_assets.cli.demo import MARKER
from trading_assets.cli.docs_server import docs_server
from trading_assets.cli.processes import LiveSettings, write_settings
from trading_assets.cli.services import FIRST_PAUSE_S, LONGEST_PAUSE_S, Part, stop_parts, wait_until_reachable
from trading_assets.cli.up import why_only_looked_at
from trading_assets.core.errors import UnavailableError
from trading_assets.store.home import Home
from trading_assets.store.journal_disk import WriterLock

LIVE = LiveSettings(symbols={"EURUSD": "EURUSD"}, clock="eu", timeframe="M5")


class Child:
    """A process that runs a line of Python."""

    def __init__(self, line: str) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", line])


def part(tmp_path: Path, line: str, *, ends_for_good: bool = False) -> Part:
    return Part("MLflow", tmp_path / "mlflow.log", lambda: Child(line), lambda: False, ends_for_good)


# --- which parts run ----------------------------------------------------------------------------------------------


def test_a_new_home_and_one_that_up_began_are_played(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert why_only_looked_at(home) is None
    home.raw.mkdir(parents=True)
    write_settings(home, LIVE)
    (home.root / "terminal.start").write_text("2026-10-21")
    assert why_only_looked_at(home) is None


def test_a_demo_a_foreign_market_a_running_daemon_and_ones_own_settings_are_looked_at(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.raw.mkdir()
    assert "of another market" in str(why_only_looked_at(home))
    settings, _ = write_settings(home, LIVE)
    settings.write_text("port = 8765\n")
    assert "settings.toml is your own" in str(why_only_looked_at(home))
    lock = WriterLock(home.raw, "live")
    assert "a daemon already runs" in str(why_only_looked_at(home))
    lock.release()
    (home.root / MARKER).write_text("{}")
    assert "holds a demo" in str(why_only_looked_at(home))
    assert settings.read_text() == "port = 8765\n"


def test_another_seed_than_the_markets_is_refused_before_anything_starts(say: Say, tmp_path: Path) -> None:
    (tmp_path / "terminal.start").write_text("2026-10-21 7")
    ports = [f"--{name}-port=0" for name in ("daemon", "dagster", "mlflow", "docs")]
    said = say("up", "--seed", "8", *ports, "--home", tmp_path)
    assert said.code == 1
    assert said.sentence == (
        "starting --seed 8: the market of this home was begun with seed 7; "
        "leave the option out, or name an empty folder with --home."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["terminal.start"]


# --- parts that die -----------------------------------------------------------------------------------------------


def test_a_part_that_died_is_started_again_after_pauses_that_grow(tmp_path: Path) -> None:
    one = part(tmp_path, "raise SystemExit(3)")
    one.begin(0.0)
    now, pauses = 0.0, []
    for _ in range(8):
        assert one.running is not None
        one.running.process.wait()
        said = one.look(now)
        assert said is not None
        assert said.startswith(
            "MLflow ended by itself: it ended with exit code 3 and said nothing. It is started again in"
        )
        assert one.again_at is not None
        pauses.append(one.again_at - now)
        assert one.look(one.again_at - 0.01) is None
        now = one.again_at
        assert one.look(now) == "MLflow was started again."
    assert pauses[0] == FIRST_PAUSE_S
    assert pauses[-1] == LONGEST_PAUSE_S
    assert pauses == sorted(pauses)
    # One that ran for long begins with the first pause again.
    assert one.running is not None
    one.running.process.wait()
    one.look(now + 1_000)
    assert one.again_at == now + 1_000 + FIRST_PAUSE_S


def test_a_daemon_that_was_drained_stays_drained(tmp_path: Path) -> None:
    one = part(tmp_path, "pass", ends_for_good=True)
    one.begin(0.0)
    assert one.running is not None
    one.running.process.wait()
    assert one.look(1.0) == "MLflow has ended as it was asked to, and is not started again."
    assert one.look(1_000.0) is None


def test_a_part_that_cannot_be_started_again_is_tried_again(tmp_path: Path) -> None:
    def refused() -> Child:
        raise UnavailableError("starting", "the daemon", "its port is taken", "free it")

    one = part(tmp_path, "raise SystemExit(1)")
    one.begin(0.0)
    assert one.running is not None
    one.running.process.wait()
    one.look(0.0)
    one.start = refused
    assert one.again_at is not None
    assert "its port is taken" in str(one.look(one.again_at))
    assert one.again_at is not None


def test_running_is_said_of_no_part_that_ended_or_does_not_answer(tmp_path: Path) -> None:
    one = part(tmp_path, "raise SystemExit(3)")
    one.begin(0.0)
    with pytest.raises(UnavailableError, match="starting MLflow: it ended with exit code 3"):
        wait_until_reachable(one)
    deaf = part(tmp_path, "import time; time.sleep(600)")
    deaf.begin(0.0)
    with pytest.raises(UnavailableError, match="it does not answer after 0 s"):
        wait_until_reachable(deaf, 0.0)
    stop_parts([one, deaf])
    assert deaf.running is not None
    assert deaf.running.process.poll() is not None


# --- the docs' port -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/", "127.0.0.1", 200),
        ("/manifest.json?cb=1", "localhost", 200),
        ("/dbt.log", "127.0.0.1", 404),
        ("/../secret", "127.0.0.1", 404),
        ("/catalog.json", "127.0.0.1", 404),  # not made yet
        ("/", "evil.example", 403),
        ("/", "", 403),
    ],
)
def test_the_docs_port_serves_the_docs_alone_and_this_host_alone(
    tmp_path: Path, path: str, host: str, status: int
) -> None:
    (tmp_path / "dbt").mkdir()
    for name in ("index.html", "manifest.json", "dbt.log", "../secret"):
        (tmp_path / "dbt" / name).write_text("{}")
    with docs_server(tmp_path / "dbt", 0) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path, headers={"Host": host})
        assert connection.getresponse().status == status
        connection.close()
