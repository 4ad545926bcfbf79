"""`trading up`: everything running on one machine, supervised until Ctrl-C.

Daemon, simulated terminal at real-time pace, Dagster, MLflow and the dbt docs, each its own process. What they do is
theirs; here is in which order they start, that their ports are free, and that none is left behind.
"""

from __future__ import annotations

import functools
import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from trading_assets.cli.environment import PROJECT, running
from trading_assets.cli.processes import (
    Daemon,
    LiveSettings,
    Terminal,
    finish,
    interrupt,
    last_words,
    spawn,
    write_settings,
)
from trading_assets.cli.progress import SCREEN, run_with_progress, step, steps
from trading_assets.core.errors import UnavailableError
from trading_assets.core.market.sessions import is_market_open
from trading_assets.store.files import replace_atomically
from trading_assets.store.home import Home
from trading_assets.store.seals import sealing_lake

SYMBOLS = ("EURUSD", "GBPUSD")
HISTORY_DAYS = 20
STOP_SECONDS = 30.0
RETAIN_SECONDS = 900


@dataclass(frozen=True)
class Ports:
    """Where people and terminals connect."""

    daemon: int = 8765
    dagster: int = 3000
    mlflow: int = 5000
    docs: int = 8080


def up(home: Home, ports: Ports, seed: int) -> None:
    """Start everything and wait for Ctrl-C. Raises TradingError sentences; whatever was started is stopped again."""
    for name, port in vars(ports).items():
        _check_free(name, port)
    stop = threading.Event()
    for wanted in (signal.SIGINT, signal.SIGTERM):
        signal.signal(wanted, lambda *_: stop.set())
    with ExitStack() as stack:
        stack.enter_context(running(home))
        _prepare(home)
        children = _start(stack, home, ports, seed)
        SCREEN.print(_welcome(home, ports))
        if not is_market_open(datetime.now(UTC)):
            SCREEN.print("The market is closed now: quotes begin with the next session, Sunday 17:00 in New York.")
        while not stop.wait(1.0):
            _check_alive(home, children)
        SCREEN.print("Stopping ...")
    SCREEN.print("Everything has stopped.")


def _prepare(home: Home) -> None:
    """Fill the lake with what there is and build the docs, so that no page is empty."""
    with steps() as progress:
        with step(progress, "Tables of the lake"):
            sealing_lake(home).ensure_tables()
        run_with_progress(progress, "marts", "Marts and their tests (dbt)")
        run_with_progress(progress, "docs", "Data docs (dbt)")


def _start(stack: ExitStack, home: Home, ports: Ports, seed: int) -> Mapping[str, subprocess.Popen[bytes]]:
    live = LiveSettings(symbols={name: name for name in SYMBOLS}, clock="eu", timeframe="M5", port=ports.daemon)
    settings, token = write_settings(home, live)
    daemon = Daemon(home, settings)
    stack.callback(daemon.stop)
    days = HISTORY_DAYS + 260
    start = _first_day(home)
    terminal = Terminal(
        home, daemon.url, token,
        ["--synthetic", "--seed", str(seed), "--symbols", ",".join(SYMBOLS), "--clock", "eu", "--start", start.isoformat(),
         "--days", str(days), "--history-days", str(HISTORY_DAYS), "--speed", "realtime"],
    )  # fmt: skip
    stack.callback(terminal.stop)
    threading.Thread(target=lambda: list(terminal.progress()), daemon=True).start()
    children = {"the daemon": daemon.process, "the simulated terminal": terminal.process}
    for name, command in _servers(home, ports).items():
        children[name] = stack.enter_context(_service(home, name, command))
    stack.enter_context(_docs(home, ports.docs))
    return children


def _first_day(home: Home) -> date:
    """Return the first day of the simulated market: chosen once, so that a later start continues the same market."""
    kept = home.root / "terminal.start"
    if not kept.exists():
        first = datetime.now(UTC).date() - timedelta(days=round(HISTORY_DAYS * 7 / 5))
        replace_atomically(kept, first.isoformat().encode())
    return date.fromisoformat(kept.read_text())


def _servers(home: Home, ports: Ports) -> dict[str, list[str]]:
    """Return the command lines; the stores' addresses travel in the environment, for they hold a password."""
    binaries = Path(sys.executable).parent
    return {
        "Dagster": [
            str(binaries / "dagster"), "dev", "--workspace", str(PROJECT / "workspace.yaml"),
            "--host", "127.0.0.1", "--port", str(ports.dagster),
        ],
        "MLflow": [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(ports.mlflow), "--workers", "1",
            "--artifacts-destination", str(home.mlflow),
        ],
        "retention": [
            str(binaries / "trading"), "retain", "--every", str(RETAIN_SECONDS), "--home", str(home.root), "--json",
        ],
    }  # fmt: skip


@contextmanager
def _service(home: Home, name: str, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    environment = {"MLFLOW_BACKEND_STORE_URI": os.environ["TRADING_MLFLOW_URL"]}
    with (home.logs / f"{name.lower()}.log").open("ab") as log:
        process = spawn(command, log, environment, output=log)
        try:
            yield process
        finally:
            interrupt(process)
            finish(process, STOP_SECONDS)


@contextmanager
def _docs(home: Home, port: int) -> Iterator[None]:
    """Serve the dbt docs site from this process."""
    handler = functools.partial(_QuietHandler, directory=str(home.dbt))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing for each page."""


def _check_free(name: str, port: int) -> None:
    with socket.socket() as probe:
        if sys.platform != "win32":  # there the option would let two servers share a port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UnavailableError(
                "starting",
                f"{name} on port {port}",
                "another program is using that port",
                f"stop it, or choose another with --{name}-port",
            ) from error


def _check_alive(home: Home, children: Mapping[str, subprocess.Popen[bytes]]) -> None:
    for name, process in children.items():
        if (code := process.poll()) is not None:
            log = home.logs / f"{name.split()[-1].lower()}.log"
            raise UnavailableError(
                "running", name, f"it ended by itself: {last_words(log, code)}", f"read {log} and start again"
            )


def _welcome(home: Home, ports: Ports) -> str:
    return (
        f"\n[bold]Running.[/bold] Ctrl-C stops everything.\n"
        f"  Dagster    http://127.0.0.1:{ports.dagster}   assets, lineage, runs\n"
        f"  MLflow     http://127.0.0.1:{ports.mlflow}   models\n"
        f"  Data docs  http://127.0.0.1:{ports.docs}   what every column means\n"
        f"  Daemon     http://127.0.0.1:{ports.daemon}/status, also /health, /ready and /metrics\n"
        f"  Logs       {home.logs}\n"
        f"  Next       trading status --home {home.root}\n"
    )
