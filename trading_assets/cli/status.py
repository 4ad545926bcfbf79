"""`trading status`: what the daemon says of itself and how far the lake has followed, without waking anything."""

from __future__ import annotations

import json
import os
import ssl
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from trading_assets.cli.breakers import standing_halts
from trading_assets.core.errors import InputError, StateError, TradingError
from trading_assets.store.backup_plan import standing_of
from trading_assets.store.home import Home
from trading_assets.store.ingestion import pending_days
from trading_assets.store.job_health import read_jobs
from trading_assets.store.journal_disk import is_writer_alive
from trading_assets.store.lake import Lake
from trading_assets.store.release import current_id

TABLES = ("signals", "trades", "outcomes", "labels", "learning_dataset")


def status(home: Home) -> dict[str, Any]:
    """Return the state of a home; a part that cannot be read says why. Raises InputError when nothing has run there yet."""
    if not home.raw.is_dir():
        raise InputError(
            "reading the status of",
            home.root,
            "there is no journal",
            "start with `trading demo` or `trading up`, or name its home with --home",
        )
    lake = Lake(home.lake)
    parts: dict[str, Callable[[], Any]] = {
        "daemon": lambda: daemon_pages(home),
        "waiting_halts": lambda: standing_halts(home),
        "release": lambda: current_id(home.releases) or "rules-only",
        "pending_days": lambda: [day.isoformat() for day in pending_days(home)],
        "jobs": lambda: jobs(home, datetime.now(UTC)),
        "backups": lambda: standing_of(home, datetime.now(UTC)),
    }
    of_lake: dict[str, tuple[Callable[[], Any], Any]] = {
        "lake": (lambda: {name: _rows(lake, name) for name in TABLES}, {}),
        "latest_decision": (
            lambda: _latest(lake, "signals", ("signal_id", "symbol", "bar_close_at", "suggestion", "action")), None,
        ),
        "latest_trade": (
            lambda: _latest(lake, "trades", ("trade_id", "symbol", "side", "opened_at", "exit_reason", "net_pnl")), None,
        ),
        "errors": (lambda: _errors(lake), []),
    }  # fmt: skip
    result: dict[str, Any] = {"home": str(home.root)} | {name: _part(read) for name, read in parts.items()}
    has_lake = home.lake.is_dir()
    return result | {name: _part(read) if has_lake else empty for name, (read, empty) in of_lake.items()}


def _part(read: Callable[[], Any]) -> Any:
    """Return one part of the status; what cannot be read costs its line alone."""
    try:
        return read()
    except (TradingError, OSError, ValueError, pl.exceptions.PolarsError) as error:
        return {"problem": str(error)}


def daemon_pages(home: Home) -> dict[str, Any]:
    """Return what the daemon says of itself, or why it could not be asked. That none runs is said only when it is known."""
    try:
        port = _port(home)
        if port is None:
            problem = "neither daemon.port nor settings.toml says on which port it listens"
        else:
            return _asked(home, port)
    except (urllib.error.URLError, OSError, ValueError, TradingError) as error:
        reason = error.problem if isinstance(error, StateError) else str(getattr(error, "reason", error))
        problem = f"its pages could not be asked ({reason})"
    is_alive = is_writer_alive(home.raw)
    return {"is_running": False} if is_alive is False else {"is_running": is_alive, "problem": problem}


def _asked(home: Home, port: int) -> dict[str, Any]:
    trust = _trust(home)
    base = f"{'http' if trust is None else 'https'}://127.0.0.1:{port}"
    told = _ask(f"{base}/status", trust)
    other = str(told.get("home", home.root))
    if not _is_same(other, home.root):
        raise StateError("asking", "the daemon", f"on port {port} listens the one of {other}", "look at that home")
    return {
        "is_running": True,
        "port": port,
        "metrics": f"{base}/metrics",
        **{page: _ask(f"{base}/{page}", trust) for page in ("health", "ready")},
        **told,
    }


def jobs(home: Home, now: datetime) -> dict[str, Any]:
    """Return how the jobs of the asset graph do, as the watch over them said last, and whether that says how they do now."""
    report = read_jobs(home)
    if report is None:
        return {"is_known": False, "asked_at": None, "jobs": {}}
    told = {one.job: msgspec.to_builtins(one) for one in report.jobs}
    return {"is_known": report.is_fresh(now), "asked_at": report.at, "jobs": told}


def _ask(page: str, trust: ssl.SSLContext | None) -> dict[str, Any]:
    """Return one page of the daemon; one that says no says why, in the same form. Never asks a proxy for this host."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))
    try:
        with opener.open(page, timeout=2) as answer:
            content: dict[str, Any] = json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            content = json.loads(refused.read())
    return content


def _port(home: Home) -> int | None:
    """Return the port the daemon last listened on: as written when it was started in this folder, else as its settings say."""
    written = home.root / "daemon.port"
    if written.exists():
        port, *places = written.read_text(encoding="utf-8").splitlines()
        if not places or _is_same(places[0], home.root):
            return int(port)
    return int(_settings(home).get("port", 0)) or None


def _is_same(place: str, root: Path) -> bool:
    """Whether a folder named somewhere is this home; one that is not there any more is not."""
    try:
        return place == str(root) or os.path.samefile(place, root)
    except OSError:
        return False


def _trust(home: Home) -> ssl.SSLContext | None:
    """Return what to trust where the port is encrypted: the very certificate of the settings, whatever name it bears."""
    tls = _settings(home).get("tls")
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # The certificate itself is the anchor: who signed it need not be known here.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(home.root / tls["certificate"])
    except OSError as error:
        problem = error.strerror or str(error)
        hint = "name a certificate chain in PEM in [tls] of settings.toml"
        raise InputError("reading the certificate", home.root / tls["certificate"], problem, hint) from error
    return context


def _settings(home: Home) -> dict[str, Any]:
    settings = home.root / "settings.toml"
    return tomllib.loads(settings.read_text(encoding="utf-8")) if settings.exists() else {}


def _rows(lake: Lake, table: str) -> int:
    return int(lake.scan(table).select(pl.len()).collect().item())


def _latest(lake: Lake, table: str, columns: tuple[str, ...]) -> dict[str, Any] | None:
    dates = lake.dates(table)
    rows = lake.read(table, dates=dates[-1:], columns=columns) if dates else pl.DataFrame()
    order = "bar_close_at" if "bar_close_at" in columns else "opened_at"
    return rows.sort(order).row(-1, named=True) if rows.height else None


def _errors(lake: Lake) -> list[dict[str, Any]]:
    columns = ("known_at", "component", "message")
    return lake.read("raw_ops_errors", columns=columns).sort("known_at").tail(5).to_dicts()
