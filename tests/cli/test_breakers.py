"""`trading halt`, `trading resume` and `trading breaker`: given to a daemon that runs, read from the journal when none does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from trading_assets.cli import command_inbox
from trading_assets.cli.entry import trading
from trading_assets.cli.processes import Daemon
from trading_assets.core.errors import InputError, UnavailableError
from trading_assets.store.control import take_commands, unfinished_commands, waiting_halts
from trading_assets.store.home import Home
from trading_assets.store.journal_disk import WriterLock, is_writer_alive

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


def test_a_breaker_there_is_not_is_named_before_anybody_is_asked(daemon: Daemon, home: Home) -> None:
    assert daemon.port
    with pytest.raises(InputError, match=r"'foo': there is none of this name; name one of account, clock"):
        command_inbox.give(home, "breaker_reset", "foo")
    with pytest.raises(InputError, match="none of this name"):
        command_inbox.send(home, "breaker_reset", "foo:EURUSD")


def test_without_a_daemon_the_journal_still_says_what_is_tripped_and_commands_say_that_none_runs(
    daemon: Daemon, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_writer_alive(home.raw) is True
    assert daemon.stop() == 0
    assert is_writer_alive(home.raw) is False
    monkeypatch.setattr(command_inbox.time, "sleep", pytest.fail)  # it is known at once
    assert "halt (stop) since" in run(home, "breaker", "list")
    for ask in (command_inbox.give, command_inbox.send):
        with pytest.raises(UnavailableError, match="no daemon runs here, nothing was changed"):
            ask(home, "drain")
    assert not list(home.control.glob("*.json")), "it must not be carried out one day, unasked"
    with pytest.raises(UnavailableError, match="the halt stays in the inbox"):
        command_inbox.give(home, "halt", "nobody is there")
    with pytest.raises(UnavailableError, match="the halt stays in the inbox"):
        command_inbox.send(home, "halt", "still nobody")
    assert [one.command.argument for one in waiting_halts(home.control)] == ["nobody is there", "still nobody"]
    assert "A halt waits in the inbox since" in run(home, "breaker", "list")
    with pytest.raises(
        UnavailableError, match=r'taken back \("nobody .*, and paper \(for the night\) is halted by an earlier'
    ):
        command_inbox.give(home, "resume")
    assert not waiting_halts(home.control)


def test_a_halt_that_waits_is_taken_back_by_resume_and_nothing_holds_any_more(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    home = Home(tmp_path)
    with pytest.raises(UnavailableError, match="no daemon runs here, no halt waits, nothing was changed"):
        command_inbox.give(home, "resume")
    with pytest.raises(UnavailableError):
        command_inbox.give(home, "halt", "news")
    take_commands(home.control)  # by a daemon that died over it
    with pytest.raises(UnavailableError):
        command_inbox.give(home, "halt", "more news")
    assert 'taken back ("news", "more news")' in run(home, "resume")
    assert not waiting_halts(home.control)
    assert not unfinished_commands(home.control)


def test_that_no_daemon_runs_is_never_said_while_one_holds_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    monkeypatch.setattr(command_inbox, "_PATIENCE_S", 0.0)
    lock = WriterLock(home.raw, "live")
    with pytest.raises(UnavailableError, match="the daemon runs and the halt was not taken, so entries may go on"):
        command_inbox.give(home, "halt", "news")
    assert len(waiting_halts(home.control)) == 1
    with pytest.raises(UnavailableError, match="the daemon runs and has not taken it; the command was taken back"):
        command_inbox.give(home, "resume")
    assert not waiting_halts(home.control), "whoever gives resume wants no halt to come after it"
    monkeypatch.setattr(command_inbox, "is_writer_alive", lambda _root: None)
    with pytest.raises(UnavailableError, match="whether a daemon runs cannot be told"):
        command_inbox.give(home, "halt", "news")
    lock.release()


def test_a_home_without_a_history_says_so(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    home = Home(tmp_path)
    assert "knows no account yet" in run(home, "breaker", "list")
    assert "No breaker has ever tripped" in run(home, "breaker", "history")
