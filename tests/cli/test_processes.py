"""The live half as child processes: started, followed, stopped, and never left behind."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from played import processes_of

from trading_assets.cli import processes
from trading_assets.cli.processes import Daemon, LiveSettings, Terminal, last_words, send_command, write_settings
from trading_assets.core.errors import UnavailableError
from trading_assets.core.records.trading import CommandResult
from trading_assets.store.home import Home
from trading_assets.store.journal import read_records

LIVE = LiveSettings(symbols={"EURUSD": "EURUSD"}, clock="eu", timeframe="M5")
MARKET = ("--synthetic", "--days", "3", "--symbols", "EURUSD", "--start", "2026-01-05", "--clock", "eu")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_daemon_starts_answers_a_command_and_ends_cleanly(home: Home) -> None:
    settings, _ = write_settings(home, LIVE)
    daemon = Daemon(home, settings)
    try:
        assert daemon.port > 0
        assert (home.root / "daemon.port").read_text().splitlines() == [str(daemon.port), str(home.root)]
        command = send_command(home, "halt", "a test")
        until = time.monotonic() + 30
        while not list((home.control / "done").glob(f"{command}*")) and time.monotonic() < until:
            time.sleep(0.02)  # another process takes it
    finally:
        code = daemon.stop()
    assert code == 0
    assert daemon.stop() == 0
    answers = [one for one in read_records(home.raw, types=(CommandResult,)) if isinstance(one, CommandResult)]
    assert {one.command: one.is_done for one in answers} == {"halt": True, "drain": True}
    assert processes_of(home) == []


def test_a_daemon_whose_inbox_cannot_be_written_is_stopped_by_signal(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, _ = write_settings(home, LIVE)
    daemon = Daemon(home, settings)

    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(processes, "send_command", full)
    assert daemon.stop() == 0
    assert processes_of(home) == []


def test_modules_of_the_current_folder_are_not_run(
    home: Home, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("downloads")
    for name in ("live", "trading_assets", "msgspec"):
        (folder / f"{name}.py").write_text(f"open({str(folder / 'taken')!r}, 'w')")
    monkeypatch.chdir(folder)
    settings, _ = write_settings(home, LIVE)
    assert Daemon(home, settings).stop() == 0
    assert not (folder / "taken").exists()


def test_ctrl_c_while_the_daemon_starts_leaves_none_behind(home: Home) -> None:
    settings, _ = write_settings(home, LIVE)
    # A test run in the background inherits an ignored Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    # It needs longer to start than this.
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            Daemon(home, settings)
    finally:
        signal.signal(signal.SIGINT, before)
    assert processes_of(home) == []


def test_who_stops_listening_to_a_terminal_stops_it(home: Home) -> None:
    settings, token = write_settings(home, LIVE)
    daemon = Daemon(home, settings)
    try:
        terminal = Terminal(home, daemon.url, token, [*MARKET, "--speed", "realtime"])
        lines = terminal.progress()
        assert next(lines)
        lines.close()
        assert terminal.process.poll() is not None
    finally:
        daemon.stop()
    assert processes_of(home) == []


def test_a_daemon_that_cannot_start_says_why_in_one_sentence(home: Home) -> None:
    settings, _ = write_settings(home, LIVE)
    settings.write_text("port = 'many'\n")
    with pytest.raises(
        UnavailableError, match=r"^starting the daemon: .*settings\.toml.*; mend that and start again\.$"
    ):
        Daemon(home, settings)


def test_a_second_daemon_on_the_same_journal_says_so(home: Home) -> None:
    settings, _ = write_settings(home, LIVE)
    daemon = Daemon(home, settings)
    try:
        with pytest.raises(UnavailableError, match=r"starting the daemon: .*process \d+ already writes to it"):
            Daemon(home, settings)
    finally:
        assert daemon.stop() == 0


def test_a_terminal_that_cannot_play_says_why_in_one_sentence(home: Home) -> None:
    settings, token = write_settings(home, LIVE)
    daemon = Daemon(home, settings)
    try:
        with pytest.raises(UnavailableError, match=r"playing the market: .*nowhere.*; mend that and start again\.$"):
            list(Terminal(home, daemon.url, token, ["--market", str(home.root / "nowhere")]).progress())
    finally:
        daemon.stop()


def test_the_token_is_kept_private_and_kept(home: Home) -> None:
    _, token = write_settings(home, LIVE)
    secret = token.read_text()
    settings, again = write_settings(home, LIVE)
    assert again.read_text() == secret
    assert secret not in settings.read_text()
    if os.name != "nt":
        assert token.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_what_a_daemon_writes_is_its_users_alone(home: Home) -> None:
    settings, _ = write_settings(home, LIVE)
    assert Daemon(home, settings).stop() == 0
    made = [path for folder in (home.raw, home.control) for path in folder.rglob("*")]
    assert [path for path in made if path.is_file()]
    assert [path for path in made if path.stat().st_mode & 0o077] == []


def test_a_child_that_said_nothing_is_told_by_its_code(tmp_path: Path) -> None:
    assert last_words(tmp_path / "none.log", 3) == "it ended with exit code 3 and said nothing"
    (tmp_path / "some.log").write_text("first\n\nlast words.\n\n")
    assert last_words(tmp_path / "some.log", 3) == "last words"
