"""Fixtures of the daemon's tests; the scripted terminal they talk with is `scripted_terminal`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

# Test folders are no packages: what several test modules share is found beside them.
sys.path.insert(0, str(Path(__file__).parent))

from scripted_terminal import DaemonProcess, RunningDaemon, ScriptedTerminal, daemon_at, settings_text, terminal_at


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with settings for one account."""
    (tmp_path / "settings.toml").write_text(settings_text())
    return tmp_path


@pytest.fixture
async def daemon(home: Path) -> AsyncIterator[RunningDaemon]:
    """A running daemon for one account."""
    async with daemon_at(home) as running:
        yield running


@pytest.fixture
async def terminal(daemon: RunningDaemon) -> AsyncIterator[ScriptedTerminal]:
    """A scripted terminal whose session stands, in lockstep."""
    async with terminal_at(daemon.port) as scripted:
        await scripted.hello()
        yield scripted


@pytest.fixture
def start_process() -> Iterator[Callable[..., DaemonProcess]]:
    """Starts daemons as processes; whatever still runs at the end of the test is killed."""
    started: list[DaemonProcess] = []

    def start(home: Path, *arguments: str) -> DaemonProcess:
        started.append(DaemonProcess(home, *arguments))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()
        for stream in (one.process.stdout, one.process.stderr):
            with suppress(OSError, AttributeError):
                stream.close()  # type: ignore[union-attr]
