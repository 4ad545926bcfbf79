"""`trading exec`: another program with the home's databases up and its environment set, and nothing left behind it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from trading_assets.cli.environment import beside_python, running
from trading_assets.cli.processes import STOP_SECONDS, finish
from trading_assets.core.errors import InputError
from trading_assets.store.home import Home
from trading_assets.store.owned_processes import EndAsked


def execute(home: Home, command: Sequence[str]) -> int:
    """Run the program; return its exit code. What it started and left running is ended with it."""
    with running(home):
        # It is looked up beside our Python, and so is what it starts in turn.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        try:
            program = subprocess.Popen([beside_python(command[0]), *command[1:]], env={**os.environ, "PATH": path})
        except OSError as error:
            is_missing = isinstance(error, FileNotFoundError)
            problem = "there is no such program" if is_missing else str(error.strerror)
            hint = "name one of the virtual environment or of the path"
            raise InputError("running", command[0], problem, hint) from error
        return _followed(program)


def _followed(program: subprocess.Popen[bytes]) -> int:
    """Wait for the program and hand on what asks us to end."""
    while True:
        try:
            return program.wait()
        except EndAsked as asked:
            if asked.number == signal.SIGINT and sys.stdin is not None and sys.stdin.isatty():
                continue  # the terminal told the program as well
            program.terminate()
            finish(program, STOP_SECONDS)
            return 128 + asked.number
