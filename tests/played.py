"""A demo played once for all tests: real daemon and terminal processes, real PostgreSQL, Dagster and dbt.

Tests read its home and never write there; who needs to write takes a copy. Under pytest-xdist the workers share it.
Before the demo runs to its end, one in the same home is interrupted, so every test also sees a home that was used before.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from filelock import FileLock

from trading_assets.cli.environment import beside_python
from trading_assets.store.home import Home

PROJECT = Path(__file__).resolve().parents[1]
FOLDER = "a b ü#&'s $HOME"
"""A person's folders have such names: everything that is tested on the played home is tested in one."""
PLAN = ("--days", "2", "--release-days", "1")
"""Two days under the rules, one after the training: Monday 5 to Wednesday 7 January 2026."""
DAYS = [date(2026, 1, day) for day in (4, 5, 6, 7)]
"""UTC days of its quotes: the first session opens on Sunday evening."""
PATIENCE_S = 120.0
SETTINGS = ("TRADING_", "DAGSTER_", "MLFLOW_")


@dataclass(frozen=True)
class Played:
    """What the demo left: its home, the object it printed, and how the interrupted one before it ended."""

    home: Home
    answer: dict[str, Any]
    interrupted_code: int
    interrupted_left: list[str]


def environment(**more: str) -> dict[str, str]:
    """Return this process' environment without any setting of ours, as a person's shell has it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)} | more


def trading(*arguments: str, timeout: float = 600.0) -> subprocess.CompletedProcess[str]:
    """Run `trading` as a person does."""
    return subprocess.run(
        [beside_python("trading"), *arguments], capture_output=True, text=True, env=environment(), timeout=timeout,
        check=False, cwd=PROJECT,
    )  # fmt: skip


def play_once(folder: Path) -> Played:
    """Play the demo into the folder, or wait for the process that does, and return what it left."""
    told = folder / "played.json"
    with FileLock(folder / "played.lock"):
        if not told.exists():
            told.write_text(json.dumps(_play(Home(folder / FOLDER))))
    result = json.loads(told.read_text())
    assert result["code"] == 0, result["said"]
    return Played(
        Home(folder / FOLDER), json.loads(result["printed"]), result["interrupted_code"], result["interrupted_left"]
    )


def _play(home: Home) -> dict[str, Any]:
    command = ("demo", *PLAN, "--json", "--home", str(home.root))
    interrupted_code, interrupted_left = _interrupted(home, command)
    done = trading(*command)
    # Eighty megabytes that no test reads; whoever runs a job in a copy has a server of its own.
    shutil.rmtree(home.postgres, ignore_errors=True)
    return {
        "code": done.returncode,
        "printed": done.stdout,
        "said": done.stderr,
        "interrupted_code": interrupted_code,
        "interrupted_left": interrupted_left,
    }


def _interrupted(home: Home, command: tuple[str, ...]) -> tuple[int, list[str]]:
    """Start the demo, press Ctrl-C once decisions are made; return its exit code and the processes it left behind."""
    demo = subprocess.Popen(
        [beside_python("trading"), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=environment(), cwd=PROJECT, start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + PATIENCE_S
    while (
        not list(home.raw.glob("*/*/stream=trading/date=2026-01-05/*/*"))
        and demo.poll() is None
        and time.monotonic() < until
    ):
        time.sleep(0.02)  # another process fills the folder
    demo.send_signal(signal.SIGINT)
    code = demo.wait(PATIENCE_S)
    return code, processes_of(home)


def processes_of(home: Home) -> list[str]:
    """Return the command lines of running processes that name the home."""
    lines = (" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
    return [line for line in lines if str(home.root) in line]


def copy(home: Home, folder: Path) -> Home:
    """Copy a played home, without its databases, to write in."""
    shutil.copytree(
        home.root, folder, ignore=shutil.ignore_patterns("postgres", "mlflow", "dagster", "*.lock"), dirs_exist_ok=True
    )
    return Home(folder)


@contextmanager
def copied(home: Home, folder: Path) -> Iterator[Home]:
    """Have a copy while the block runs."""
    try:
        yield copy(home, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
