"""`trading halt`, `trading resume` and `trading breaker`: given to a daemon that runs, read from the journal when none does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from trading_assets.cli import breakers
from trading_assets.cli.entry import trading
from trading_assets.cli.processes import Daemon
from trading_assets.core.errors import UnavailableError
from trading_assets.store.home import Home

SETTINGS = """
home = "."
port = 0
[[accounts]]
name = "paper"
token_sha256 = "{token}"
symbols = {{ "EURUSD" = "EURUSD" }}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose daemon was halted, had a breaker that is not tripped reset, and ended."""
    root = tmp_path_factory.mktemp("breakers")
    (root / "settings.toml").write_text(SETTINGS.format(token="0" * 64))
    return Home(root)


@pytest.fixture(scope="module")
def daemon(home: Home) -> Iterator[Daemon]:
    running = Daemon(home, home.root / "settings.toml")
    yield running
    running.stop()


def run(home: Home, *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(trading, [*arguments, "--home", str(home.root)])
    assert result.exit_code == code, result.output
    return result.output


def test_a_halt_is_answered_listed_resumed_and_remembered(daemon: Daemon, home: Home) -> None:
    assert daemon.process.poll() is None
    assert "no new positions are opened until `resume`" in run(home, "halt", "before the speech")
    listed = run(home, "breaker", "list")
    assert "paper: halt (stop) since" in listed
    assert "before the speech; reset by a person" in listed
    assert "data is not tripped; tripped are: halt" in run(home, "breaker", "reset", "data", code=1)
    assert "halt is reset on paper" in run(home, "resume")
    assert "paper: no breaker is tripped" in run(home, "breaker", "list")
    changes = json.loads(run(home, "breaker", "history", "--json"))["changes"]
    assert [(one["breaker"], one["change"], one["cause"]) for one in changes] == [
        ("halt", "trip", "before the speech"),
        ("halt", "reset", "by a person's command"),
    ]
    assert "halt trip: before the speech" in run(home, "breaker", "history")
    assert "halt" in run(home, "halt", "for the night", "--json")


def test_without_a_daemon_the_journal_still_says_what_is_tripped_and_commands_say_that_none_runs(
    daemon: Daemon, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert daemon.stop() == 0
    monkeypatch.setattr(breakers, "_PATIENCE_S", 0.2)
    assert "halt (stop) since" in run(home, "breaker", "list")
    with pytest.raises(UnavailableError, match=r"no daemon runs here; the command was taken back"):
        breakers.give(home, "resume")
    assert not list(home.control.glob("*.json")), "it must not be carried out one day, unasked"
    with pytest.raises(UnavailableError, match="the halt stays in the inbox"):
        breakers.give(home, "halt", "nobody is there")
    assert len(list(home.control.glob("halt-*.json"))) == 1


def test_a_home_without_a_history_says_so(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    home = Home(tmp_path)
    assert "knows no account yet" in run(home, "breaker", "list")
    assert "No breaker has ever tripped" in run(home, "breaker", "history")
