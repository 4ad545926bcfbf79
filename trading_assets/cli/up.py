"""`trading up`: everything running on one machine, supervised until Ctrl-C.

Daemon, simulated terminal at real-time pace, Dagster, MLflow and the dbt docs. What they do is theirs; here is which of
them run in a home, in which order they start, and that their ports are free. How they are watched is `cli.services`.
"""

from __future__ import annotations

import functools
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NoReturn

from trading_assets.cli.breakers import halt_sentence, standing, standing_halts
from trading_assets.cli.demo import MARKER
from trading_assets.cli.docs_server import docs_server
from trading_assets.cli.environment import PROJECT, running
from trading_assets.cli.processes import WRITTEN_BY_US, Daemon, LiveSettings, Terminal, spawn, write_settings
from trading_assets.cli.progress import SCREEN, run_with_progress, step, steps
from trading_assets.cli.services import Part, answers, stop_parts, wait_until_reachable
from trading_assets.core.errors import InputError, StateError, TradingError, UnavailableError
from trading_assets.core.market.sessions import is_market_open
from trading_assets.store.backup_plan import plan_of
from trading_assets.store.files import replace_atomically
from trading_assets.store.home import Home
from trading_assets.store.journal_disk import is_writer_alive
from trading_assets.store.seals import sealing_lake

SYMBOLS = ("EURUSD", "GBPUSD")
HISTORY_DAYS = 20
DEFAULT_SEED = 7
RETAIN_SECONDS = 900


@dataclass(frozen=True)
class Ports:
    """Where people and terminals connect."""

    daemon: int = 8765
    dagster: int = 3000
    mlflow: int = 5000
    docs: int = 8080


def up(home: Home, ports: Ports, seed: int | None, *, is_looking: bool = False) -> None:
    """Start everything and wait for Ctrl-C. Raises TradingError sentences; whatever was started is stopped again."""
    why_looking = "as asked" if is_looking else why_only_looked_at(home)
    market = None if why_looking else _market(home, seed)
    plan_of(home)  # one that cannot be followed is refused before anything starts
    for name, port in vars(ports).items():
        if name != "daemon" or market is not None:
            _check_free(name, port)
    try:
        with ExitStack() as stack:
            stack.enter_context(running(home))
            _prepare(home)
            parts: list[Part] = []
            daemons: list[Daemon] = []
            stack.callback(lambda: [one.stop() for one in daemons])
            stack.callback(lambda: stop_parts(parts))
            if market is not None:
                _start_market(home, ports, market, parts, daemons)
            is_still = is_looking or (home.root / MARKER).exists()
            _start_servers(home, ports, parts, is_still=is_still)
            stack.enter_context(docs_server(home.dbt, ports.docs))
            with steps() as progress:
                for part in parts:
                    with step(progress, f"Waiting for {part.name}"):
                        wait_until_reachable(part)
            SCREEN.print(_welcome(home, ports, why_looking, is_still=is_still), soft_wrap=True)
            _watch(parts)
    except KeyboardInterrupt:
        SCREEN.print("Everything has stopped.")


def _watch(parts: Sequence[Part]) -> NoReturn:
    """Start again what dies, until Ctrl-C."""
    try:
        while True:
            time.sleep(1.0)
            for part in parts:
                if said := part.look(time.monotonic()):
                    SCREEN.print(said, soft_wrap=True)
    except KeyboardInterrupt:
        SCREEN.print("Stopping ...")
        raise


def why_only_looked_at(home: Home) -> str | None:
    """Return why a home is shown without daemon and terminal of ours; None when its market is one `up` plays."""
    settings = home.root / "settings.toml"
    if (home.root / MARKER).exists():
        return "this home holds a demo, shown as it ended"
    if is_writer_alive(home.raw) is not False:
        return "a daemon already runs in this home"
    if settings.exists() and WRITTEN_BY_US not in settings.read_text(encoding="utf-8", errors="replace"):
        return "settings.toml is your own, and a simulated terminal has no place on its accounts"
    if home.raw.is_dir() and not (home.root / "terminal.start").exists():
        return "the record of this home is of another market than the one `trading up` simulates"
    return None


def _prepare(home: Home) -> None:
    """Fill the lake with what there is and build the docs, so that no page is empty."""
    with steps() as progress:
        with step(progress, "Tables of the lake"):
            sealing_lake(home).ensure_tables()
        for job, title in (("marts", "Marts and their tests (dbt)"), ("docs", "Data docs (dbt)")):
            try:
                run_with_progress(progress, job, title)
            except StateError as error:  # a home with a failing test is shown all the same
                SCREEN.print(str(error), soft_wrap=True)


@dataclass(frozen=True)
class Market:
    """The simulated market of a home: chosen once, so that a later start continues the same one."""

    first_day: date
    seed: int


def _market(home: Home, seed: int | None) -> Market:
    """Return the market of the home. Raises InputError for another seed than the one it began with."""
    kept = home.root / "terminal.start"
    if not kept.exists():
        return Market(
            datetime.now(UTC).date() - timedelta(days=round(HISTORY_DAYS * 7 / 5)),
            DEFAULT_SEED if seed is None else seed,
        )
    day, _, begun = kept.read_text().strip().partition(" ")
    if begun and seed is not None and int(begun) != seed:
        raise InputError(
            "starting", f"--seed {seed}", f"the market of this home was begun with seed {begun}",
            "leave the option out, or name an empty folder with --home",
        )  # fmt: skip
    return Market(date.fromisoformat(day), int(begun) if begun else DEFAULT_SEED if seed is None else seed)


def _start_market(home: Home, ports: Ports, market: Market, parts: list[Part], daemons: list[Daemon]) -> None:
    live = LiveSettings(symbols={name: name for name in SYMBOLS}, clock="eu", timeframe="M5", port=ports.daemon)
    replace_atomically(home.root / "terminal.start", f"{market.first_day.isoformat()} {market.seed}".encode())
    settings, token = write_settings(home, live)
    heard = threading.Event()

    def daemon() -> Daemon:
        for old in daemons:
            old.stop()
        daemons[:] = [Daemon(home, settings)]
        return daemons[0]

    def is_healthy() -> bool:
        return answers(f"http://127.0.0.1:{daemons[0].port}/health")

    def terminal() -> Terminal:
        begun = Terminal(
            home, daemons[0].url, token,
            ["--synthetic", "--seed", str(market.seed), "--symbols", ",".join(SYMBOLS), "--clock", "eu",
             "--start", market.first_day.isoformat(), "--days", str(HISTORY_DAYS + 260),
             "--history-days", str(HISTORY_DAYS), "--speed", "realtime"],
        )  # fmt: skip
        threading.Thread(target=_hear, args=(begun.process, heard), daemon=True).start()
        return begun

    for part in (
        Part("the daemon", home.logs / "daemon.log", daemon, is_healthy, ends_for_good=True),
        Part("the simulated terminal", home.logs / "terminal.log", terminal, heard.is_set),
    ):  # fmt: skip
        part.begin(time.monotonic())
        parts.append(part)


def _hear(process: subprocess.Popen[bytes], heard: threading.Event) -> None:
    """Read what the terminal says, so that it never waits for a reader."""
    with suppress(ValueError):  # closed by whoever stopped it
        for _ in process.stdout or ():
            heard.set()


def _start_servers(home: Home, ports: Ports, parts: list[Part], *, is_still: bool) -> None:
    """Start the servers; the stores' addresses travel in the environment, for they hold a password."""
    binaries = Path(sys.executable).parent
    web = ["--workspace", str(PROJECT / "workspace.yaml"), "--host", "127.0.0.1", "--port", str(ports.dagster)]
    # A home that is only looked at must not change by itself: no schedule runs, no sensor trains.
    dagster = [str(binaries / "dagster-webserver"), *web] if is_still else [str(binaries / "dagster"), "dev", *web]
    mlflow = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(ports.mlflow), "--workers", "1",
        "--artifacts-destination", str(home.mlflow),
        "--allowed-hosts", f"127.0.0.1:{ports.mlflow},localhost:{ports.mlflow}",
    ]  # fmt: skip
    retention = [
        str(binaries / "trading"),
        "retain",
        "--every",
        str(RETAIN_SECONDS),
        "--home",
        str(home.root),
        "--json",
    ]
    servers = [
        ("Dagster", dagster, lambda: answers(f"http://127.0.0.1:{ports.dagster}/server_info")),
        ("MLflow", mlflow, lambda: answers(f"http://127.0.0.1:{ports.mlflow}/health")),
    ]
    if not is_still:
        servers.append(("retention", retention, lambda: True))
        if plan_of(home) is not None:
            backups = [str(binaries / "trading"), "backup", "--scheduled", "--home", str(home.root), "--json"]
            servers.append(("backups", backups, lambda: True))
    for name, command, is_reachable in servers:
        log = home.logs / f"{name.lower()}.log"
        part = Part(name, log, functools.partial(_Service, log, command), is_reachable)
        part.begin(time.monotonic())
        parts.append(part)


class _Service:
    """A server whose words go into its log."""

    def __init__(self, log: Path, command: Sequence[str]) -> None:
        environment = {"MLFLOW_BACKEND_STORE_URI": os.environ["TRADING_MLFLOW_URL"]}
        with log.open("ab") as words:
            self.process = spawn(command, words, environment, output=words)


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


def _backup_words(home: Home) -> str:
    plan = plan_of(home)
    if plan is None:
        return "none; the table backups of settings.toml says where to, how often, and how many are kept"
    return f"every {plan.every_hours:g} h into {plan.folder_of(home)}, the newest {plan.keep} are kept"


def _welcome(home: Home, ports: Ports, why_looking: str | None, *, is_still: bool) -> str:
    """Say what runs where, what does not and why, and what stops trading."""
    lines = ["\n[bold]Running.[/bold] Ctrl-C stops everything."]
    if why_looking:
        lines.append(f"Without daemon and terminal: {why_looking}." + (" No schedule runs." if is_still else ""))
    lines += [
        f"  Dagster    http://127.0.0.1:{ports.dagster}   assets, lineage, runs",
        f"  MLflow     http://127.0.0.1:{ports.mlflow}   models",
        f"  Data docs  http://127.0.0.1:{ports.docs}   what every column means",
    ]
    if not why_looking:
        lines.append(f"  Daemon     http://127.0.0.1:{ports.daemon}/status, also /health, /ready and /metrics")
    if not is_still:
        lines.append(f"  Backups    {_backup_words(home)}")
    lines += [f"  Logs       {home.logs}", f"  Next       trading status --home {home.root}\n"]
    lines += [halt_sentence(one) + "." for one in standing_halts(home)]
    with suppress(TradingError, OSError):
        lines += [
            f"{account} is halted since {one['since']:%Y-%m-%d %H:%M} UTC ({one['cause']}); `trading resume` lifts it."
            for account, kept in standing(home)["accounts"].items()
            for one in kept
            if one["breaker"] == "halt"
        ]
    if not why_looking and not is_market_open(datetime.now(UTC)):
        lines.append("The market is closed now: quotes begin with the next session, Sunday 17:00 in New York.")
    return "\n".join(lines)
