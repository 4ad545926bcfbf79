"""The process: its ready line, its end by a signal, and one clear sentence for whatever keeps it from running."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from scripted_terminal import DaemonProcess, status_of

from live.__main__ import main


def test_the_process_says_ready_refuses_a_second_one_and_ends_with_0_on_a_signal(
    home: Path, start_process: Callable[[Path], DaemonProcess]
) -> None:
    started = start_process(home)
    assert started.ready["ready"] is True
    second = start_process(home)
    assert second.ready == {}
    code, errors = second.end()
    assert (code, errors.count("\n")) == (1, 1)
    assert str(home / "raw") in errors
    # The first one is unharmed.
    assert status_of(started.port)["accounts"]["paper"]["is_connected"] is False
    started.process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT))
    code, lines = started.end()
    assert code == 0
    events = [json.loads(line)["event"] for line in lines.splitlines()]
    assert events == ["the daemon listens", "the daemon ends"]


@pytest.mark.parametrize("text", ["[[[", 'tenant = "x"\naccounts = []\n'])
def test_unreadable_settings_end_with_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "settings.toml").write_text(text)
    assert main(["--home", str(tmp_path)]) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("reading settings")
    assert errors.count("\n") == 1


def test_a_port_in_use_ends_with_one_sentence(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = home / "settings.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        path.write_text(path.read_text().replace("port = 0", f"port = {taken.getsockname()[1]}"))
        assert main(["--settings", str(path)]) == 1
    assert "choose another port" in capsys.readouterr().err


def test_without_settings_the_usage_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert "--settings" in capsys.readouterr().err
