"""The live half as child processes: the daemon and the simulated terminal, started, followed and stopped.

What they do is their own business; here are their command lines, their ready lines and their ends. Secrets travel in
files of the home, never in arguments.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from trading_assets.cli.environment import PROJECT
from trading_assets.core.errors import TradingError, UnavailableError
from trading_assets.store.backup_plan import plan_of
from trading_assets.store.control import Command, CommandName, put_command
from trading_assets.store.files import replace_atomically
from trading_assets.store.home import Home
from trading_assets.store.owned_processes import own_group

STOP_SECONDS = 60.0
WRITTEN_BY_US = "# Written by `trading`"
_FULL_BYTES = 1 << 20


@dataclass(frozen=True)
class LiveSettings:
    """What the daemon's settings file says for one account on one terminal."""

    symbols: Mapping[str, str]
    clock: str
    timeframe: str
    mode: str = "execute"
    tenant: str = "demo"
    account: str = "paper"
    port: int = 0


def write_settings(home: Home, settings: LiveSettings) -> tuple[Path, Path]:
    """Write the daemon's settings and the terminal's token; return both paths. An existing token is kept."""
    token_path = home.root / "terminal.token"
    if not token_path.exists():
        replace_atomically(token_path, secrets.token_urlsafe(32).encode())
        token_path.chmod(0o600)
    digest = sha256(token_path.read_bytes().strip()).hexdigest()
    symbols = ", ".join(f'"{raw}" = "{canonical}"' for raw, canonical in settings.symbols.items())
    text = f"""{WRITTEN_BY_US}; the daemon reads it once at its start.
home = "."
port = {settings.port}
tenant = "{settings.tenant}"

[[accounts]]
name = "{settings.account}"
token_sha256 = "{digest}"
symbols = {{ {symbols} }}
clock = "{settings.clock}"
mode = "{settings.mode}"
timeframe = "{settings.timeframe}"
"""
    path = home.root / "settings.toml"
    plan = plan_of(home)
    if plan is not None:  # the one table of these settings that is a person's
        folder = json.dumps(plan.folder)  # a TOML string, too
        text += f"\n[backups]\nfolder = {folder}\nevery_hours = {plan.every_hours}\nkeep = {plan.keep}\n"
    replace_atomically(path, text.encode())
    return path, token_path


def send_command(home: Home, command: CommandName, argument: str = "") -> str:
    """Put a command into the daemon's inbox; return its id. It is carried out once."""
    return put_command(
        home.control, Command(command_id=f"{command}-{secrets.token_hex(4)}", command=command, argument=argument)
    )


class Daemon:
    """The live daemon of one home."""

    def __init__(self, home: Home, settings: Path) -> None:
        self._home = home
        home.logs.mkdir(parents=True, exist_ok=True)
        self._log = (home.logs / "daemon.log").open("ab")
        self.process = spawn([sys.executable, "-m", "live", "--settings", str(settings)], self._log)
        try:
            self.port = self._wait_until_ready()
        except BaseException:
            # Ctrl-C while it starts: nobody but us knows of the child.
            self.process.terminate()
            finish(self.process)
            self._log.close()
            raise
        # A port of 0 took a free one; `trading status` asks there, unless the home was copied: the port is not the copy's.
        replace_atomically(home.root / "daemon.port", f"{self.port}\n{home.root}\n".encode())

    @property
    def url(self) -> str:
        """Where terminals connect."""
        return f"ws://127.0.0.1:{self.port}"

    def _wait_until_ready(self) -> int:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            raise UnavailableError(
                "starting", "the daemon", last_words(self._home.logs / "daemon.log", code), "mend that and start again"
            )
        return int(json.loads(line)["port"])

    def stop(self) -> int:
        """Drain and stop it; return its exit code. Idempotent.

        A signal drains it, too: where the inbox cannot be written, on a full disk for one, or the daemon does not read it.
        """
        try:
            if self.process.poll() is None:
                with suppress(OSError, TradingError):
                    send_command(self._home, "drain")
                    self.process.wait(STOP_SECONDS / 2)
        except subprocess.TimeoutExpired:
            pass
        finally:
            interrupt(self.process)
            code = finish(self.process)
            self._log.close()
        return code


class Terminal:
    """One run of the simulated terminal."""

    def __init__(self, home: Home, url: str, token: Path, arguments: Sequence[str]) -> None:
        self._home = home
        home.logs.mkdir(parents=True, exist_ok=True)
        self._log = (home.logs / "terminal.log").open("ab")
        self.process = spawn(
            [sys.executable, "-m", "live.paper", "--url", url, "--token-file", str(token),
             "--state", str(home.root / "terminal"), *arguments],
            self._log,
        )  # fmt: skip

    def progress(self) -> Iterator[dict[str, Any]]:
        """Yield its progress lines until it ends. Raises UnavailableError when it ends with an error.

        Whoever stops listening, by Ctrl-C for one, stops it.
        """
        assert self.process.stdout is not None
        try:
            for line in self.process.stdout:
                yield json.loads(line)
            code = self.process.wait()
        finally:
            self.stop()
            self._log.close()
        if code:
            raise UnavailableError(
                "playing", "the market", last_words(self._home.logs / "terminal.log", code), "mend that and start again"
            )

    def stop(self) -> int:
        """Interrupt it; return its exit code. Idempotent."""
        interrupt(self.process)
        return finish(self.process)


def spawn(
    command: Sequence[str], log: Any, environment: Mapping[str, str] | None = None, output: Any = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    """Start a child whose Ctrl-C is ours to give, and that imports nothing from the folder a person happens to be in."""
    return subprocess.Popen(
        list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=log, cwd=PROJECT,
        env={**os.environ, "PYTHONSAFEPATH": "1", **(environment or {})}, **own_group(),
    )  # fmt: skip


def end_request() -> threading.Event:
    """Return what is set once this process is asked to end, by Ctrl-C or by whoever started it; work under way goes on."""
    asked = threading.Event()
    names = [signal.SIGINT, signal.SIGTERM]
    if sys.platform == "win32":
        names.append(signal.SIGBREAK)
    for name in names:
        signal.signal(name, lambda *_: asked.set())
    return asked


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """Ask a child to end as Ctrl-C would."""
    if process.poll() is None:
        process.send_signal(signal.CTRL_BREAK_EVENT if os.name == "nt" else signal.SIGINT)  # type: ignore[attr-defined,unused-ignore]


def finish(process: subprocess.Popen[bytes], seconds: float = STOP_SECONDS) -> int:
    """Wait for a child that was asked to end; kill it when it does not. Returns its exit code."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
    finally:
        if process.stdout is not None:
            process.stdout.close()


def last_words(log: Path, code: int) -> str:
    """Return the last line a child left in its log, or that it could leave none."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] if log.exists() else []
    if log.parent.is_dir() and shutil.disk_usage(log.parent).free < _FULL_BYTES:
        return f"the disk of {log.parent} is full"
    return lines[-1].strip().rstrip(".") if lines else f"it ended with exit code {code} and said nothing"
