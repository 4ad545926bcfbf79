"""The processes under torture: the daemon and the simulated terminal as they are, entered through here.

Each is a process of its own, forked from one that has loaded the code already, so that hundreds of deaths and starts
take minutes. Before the product's own `main` runs in it, kill points are placed, a broken build is broken, durable
bytes are noted and what leaves or arrives is logged. POSIX only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import time
import traceback
from asyncio import AbstractEventLoop
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from broken import break_build
from points import Due, Points, place_in_daemon, place_in_terminal
from power_cut import noting

import live.__main__
import live.paper.__main__
from live.paper import synthetic

_WILD = replace(synthetic.PAIRS["EURUSD"], bar_volatility=0.003)
"""Ten times the usual volatility: beside it a broker's smallest stop distance is nothing."""


class Process:
    """A forked process; what it says goes to a file."""

    def __init__(self, name: str, work: Callable[[], int], said: Path) -> None:
        self.name = name
        self._said = said
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _become(work, said)

    @property
    def said(self) -> str:
        """Return the end of what it printed."""
        return self._said.read_text(errors="replace")[-2000:].strip() if self._said.exists() else ""

    def end(self, number: int = signal.SIGTERM, patience_s: float = 20.0) -> int:
        """Ask it to end, kill it when it does not; returns its exit code, negative for a signal."""
        os.kill(self.pid, number)
        deadline = time.monotonic() + patience_s
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                deadline = float("inf")
            time.sleep(0.01)


def _become(work: Callable[[], int], said: Path) -> None:
    """Be the child: everything printed goes to the file, and nothing of the parent runs on."""
    status = 1
    try:
        signal.alarm(0)
        # Whoever kills a play kills its daemon and terminal with it: PR_SET_PDEATHSIG.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        status = work()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - it is printed, and the process ends
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


@dataclass(frozen=True)
class Stage:
    """The folder of one play, and how commits are carried out in it."""

    folder: Path
    broken: str = ""
    turns: int | None = None
    """Turns of the event loop a commit takes; None leaves it to the journal's thread and to chance."""

    @property
    def raw(self) -> Path:
        """Return the journal's root."""
        return self.folder / "raw"

    @property
    def notes(self) -> Path:
        """Return the file in which durable bytes are noted."""
        return self.folder / "durable.txt"

    @property
    def told(self) -> Path:
        """Return the file in which the journal's word that records are durable is noted, when it is given."""
        return self.folder / "told.txt"

    @property
    def frames(self) -> Path:
        """Return the file in which the daemon's trade commands are noted before they leave."""
        return self.folder / "frames.txt"

    @property
    def commands(self) -> Path:
        """Return the file in which the terminal notes trade commands when they arrive."""
        return self.folder / "commands.txt"

    @property
    def diary(self) -> Path:
        """Return the file in which kills and cuts are noted."""
        return self.folder / "diary.txt"


def free_port(seed: int) -> int:
    """Return a port nobody listens on, below those the system gives away itself."""
    for attempt in range(100):
        port = 20_000 + (os.getpid() * 7 + seed * 13 + attempt * 101) % 12_000
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free between 20000 and 32000")


def start_daemon(stage: Stage, due: Due | None) -> Process:
    """Start the daemon on the stage's settings."""

    def work() -> int:
        points = Points(due, stage.diary)
        place_in_daemon(points)
        _log(_daemon_link(), "send", stage.frames, _frame_of)
        _note_what_is_durable(stage, points)
        if stage.turns is not None:
            _step_commits(stage.turns)
        _note_what_is_told(stage.told)
        break_build(stage.broken)
        _shorten_waits()
        return live.__main__.main(["--settings", str(stage.folder / "settings.toml")])

    return Process("daemon", work, stage.folder / "daemon.txt")


def start_terminal(stage: Stage, due: Due | None, arguments: list[str], symbols: tuple[str, ...] = ()) -> Process:
    """Start the simulated terminal; `symbols` get a wild synthetic market, also those that have none."""

    def work() -> int:
        from live.paper.desk import Desk

        points = Points(due, stage.diary)
        place_in_terminal(points)
        _log(Desk, "carry_out", stage.commands, _command_of)
        _shorten_waits()
        synthetic.PAIRS.update(dict.fromkeys(symbols, _WILD))
        return live.paper.__main__.main(arguments)

    return Process("terminal", work, stage.folder / "terminal.txt")


def _daemon_link() -> type:
    from live.bridge.link import Link

    return Link


def _log(owner: type, method: str, path: Path, of: Callable[..., str]) -> None:
    """Note a line of every call that has one, before the call."""
    original = getattr(owner, method)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def logged(*arguments: Any, **named: Any) -> Any:
        line = of(*arguments, **named)
        if line:
            os.write(descriptor, f"{line}\n".encode())
        return original(*arguments, **named)

    setattr(owner, method, logged)


def _frame_of(_link: Any, kind: type, **fields: Any) -> str:
    if kind.__name__ not in ("OrderCommand", "CloseCommand"):
        return ""
    return f"{kind.__name__} {fields['request_id']} {fields['magic']} {fields['signal_id']}"


def _command_of(_desk: Any, command: Any, *_: Any, **__: Any) -> str:
    kind = type(command).__name__
    return f"{kind} {command.request_id} {command.magic} {command.signal_id}" if hasattr(command, "signal_id") else ""


def _note_what_is_durable(stage: Stage, points: Points) -> None:
    from live.daemon import Daemon

    original, note = Daemon.__init__, noting(stage.notes)

    def sync(descriptor: int) -> None:
        # What is written to the stream of operations follows the clock on the wall: it is not counted.
        is_counted = "stream=ops" not in os.readlink(f"/proc/self/fd/{descriptor}")
        if is_counted:
            points.visit("written, not synced")
        note(descriptor)
        if is_counted:
            points.visit("synced, not told")

    def init(self: Any, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named | {"sync": sync})

    Daemon.__init__ = init  # type: ignore[method-assign]


def _note_what_is_told(path: Path) -> None:
    from trading_assets.store.journal_commit import CommitThread

    original = CommitThread.submit
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def submit(self: Any, parts: Any, loop: AbstractEventLoop, done: Any) -> None:
        def tell(result: Any) -> None:
            for part in parts[: result.done]:
                os.write(descriptor, f"{part.head.last} {part.name}\n".encode())
            done(result)

        original(self, parts, loop, tell)

    CommitThread.submit = submit  # type: ignore[method-assign]


def _step_commits(turns: int) -> None:
    """Carry commits out in the event loop, some turns later: which came first is then no matter of chance."""
    from trading_assets.store.journal_commit import CommitThread

    def submit(self: Any, parts: Any, loop: AbstractEventLoop, done: Any) -> None:
        def turn(left: int) -> None:
            if left:
                loop.call_soon(turn, left - 1)
            else:
                done(self._commit(parts))

        turn(turns)

    CommitThread.submit = submit  # type: ignore[method-assign]


def _shorten_waits() -> None:
    """Wait less by the clock on the wall, in the same proportions: what is waited for comes at once or never."""
    import live.daemon
    import live.paper.terminal

    for module, name, seconds in (
        (live.daemon, "_TICK_S", 0.05),
        (live.paper.terminal, "_RETRY_S", 0.02),
    ):
        if not hasattr(module, name):
            raise AttributeError(f"{module.__name__} has no {name} any more; see tests/torture/processes.py")
        setattr(module, name, seconds)
