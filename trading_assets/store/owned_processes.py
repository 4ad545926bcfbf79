"""Processes a command owns: none of them outlives the command, however it ends.

What is started inside `owned_processes` inherits a mark in its environment, and so do its own children. A keeper
(`store.process_keeper`), a process beside the command, reads a pipe whose other end only the command holds. When it
closes, be it by a normal end, SIGTERM, SIGKILL or a full disk, the keeper ends whatever carries the mark.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

MARK = "TRADING_OWNERS"
KEEPER_SECONDS = 60.0

_current: Keeper | None = None


class EndAsked(KeyboardInterrupt):
    """The command was asked to end by a signal; unwound as Ctrl-C is."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Keeper:
    """The process that ends what this one owns once this one is gone."""

    def __init__(self, mark: str, environment: dict[str, str]) -> None:
        self.mark = mark
        # -P: nothing in the current folder is imported. Its own environment bears no mark: it ends others, not itself.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "trading_assets.store.process_keeper", mark],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=sys.prefix,
            env=environment, **own_group(),
        )  # fmt: skip

    def keep_postgres(self, folder: Path) -> None:
        """Have the embedded server of this folder stopped too, unless another command uses it."""
        assert self._process.stdin is not None
        with suppress(OSError):  # a keeper that was killed keeps nothing; the command goes on
            self._process.stdin.write(json.dumps({"postgres": str(folder)}).encode() + b"\n")
            self._process.stdin.flush()

    def close(self) -> None:
        """Let it end what is left, and wait until it has."""
        with suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(KEEPER_SECONDS)


@contextmanager
def owned_processes() -> Iterator[Keeper]:
    """Own every process started inside the block; none is left behind it. Within itself it is one and the same."""
    global _current
    if _current is not None:
        yield _current
        return
    before = os.environ.get(MARK)
    mark = secrets.token_hex(8)
    unmarked = {name: value for name, value in os.environ.items() if name != MARK}
    keeper = _current = Keeper(mark, unmarked)
    # A command inside another's `exec` bears both marks, so that either keeper finds what it started.
    os.environ[MARK] = f"{before}:{mark}" if before else mark
    try:
        yield keeper
    finally:
        _current = None
        if before is None:
            os.environ.pop(MARK, None)
        else:
            os.environ[MARK] = before
        keeper.close()


def own_group() -> dict[str, Any]:
    """Return what Popen needs for a child whose Ctrl-C is its parent's to give: a process group of its own."""
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined,unused-ignore]
    return {"start_new_session": True}


def end_on_signals() -> None:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does: by an exception that closes what is open.

    What the starting shell had set to be ignored, such as Ctrl-C of a job in the background, stays ignored. One handler
    for all of them, for Dagster gives SIGTERM the one of Ctrl-C after each run in this process.
    """
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    ignored = {number for number in numbers if signal.getsignal(number) is signal.SIG_IGN}

    def end(number: int, _frame: FrameType | None) -> None:
        if number not in ignored:
            raise EndAsked(number)

    for number in numbers:
        signal.signal(number, end)
