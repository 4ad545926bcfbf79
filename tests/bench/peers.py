"""Peers that need packages of their own: each gets a virtual environment beside the project, whose own one is not touched.

`TRADING_BENCH_PEERS` names a folder in which the environments stay for the next run; without it each is made anew in a temporary
folder and removed. Where one cannot be made, the benchmark's row says why. What a peer does is a script `peer_<name>.py`, run
inside its environment; it gets arguments and answers with one line of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER_VARIABLE = "TRADING_BENCH_PEERS"
REQUIREMENTS = {
    # It imports scikit-learn without asking for it.
    "mlfinpy": ("mlfinpy==0.1.2", "pandas==2.3.3", "scikit-learn==1.5.2"),
    "feast": ("feast==0.67.0", "pandas==2.3.3"),
}
"""What each peer installs; the rest follows from it."""


@dataclass(frozen=True)
class Peer:
    """A peer's environment, or why there is none."""

    name: str
    python: Path | None
    missing: str = ""

    def ask(self, *arguments: str) -> dict[str, Any]:
        """Run the peer's script; its answer, or {"failed": reason}."""
        if self.python is None:
            return {"failed": self.missing}
        script = Path(__file__).with_name(f"peer_{self.name}.py")
        quiet = dict(os.environ, PYTHONWARNINGS="ignore", FEAST_USAGE="False")
        done = subprocess.run(
            [str(self.python), str(script), *arguments], capture_output=True, text=True, check=False, env=quiet
        )
        if done.returncode:
            return {"failed": _last_line(done.stderr)}
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer


@contextmanager
def environment(name: str) -> Iterator[Peer]:
    """Give the peer's environment, made now unless the kept one has the same requirements."""
    kept = os.environ.get(FOLDER_VARIABLE)
    if kept:
        yield _made(name, Path(kept) / name)
        return
    with tempfile.TemporaryDirectory(prefix="bench-peer-", ignore_cleanup_errors=True) as folder:
        yield _made(name, Path(folder) / name)


def _made(name: str, folder: Path) -> Peer:
    wanted = REQUIREMENTS[name]
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    ready = folder / "ready"
    if ready.is_file() and ready.read_text() == "\n".join(wanted):
        return Peer(name, python)
    print(f"(installing {wanted[0]} into an environment of its own)", file=sys.stderr, flush=True)
    steps = ([sys.executable, "-m", "venv", "--clear", str(folder)], _pip(python, wanted))
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            return Peer(name, None, f"{wanted[0]} could not be installed: {_last_line(done.stderr)}")
    ready.write_text("\n".join(wanted))
    return Peer(name, python)


def _pip(python: Path, wanted: Sequence[str]) -> list[str]:
    return [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--only-binary=:all:",
        *wanted,
    ]


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["no message"])[-1].strip()[:200]
