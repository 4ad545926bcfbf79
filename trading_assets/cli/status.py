"""`trading status`: what the daemon says of itself and how far the lake has followed, without waking anything."""

from __future__ import annotations

import json
import ssl
import tomllib
import urllib.error
import urllib.request
from typing import Any

import polars as pl

from trading_assets.core.errors import InputError
from trading_assets.store.home import Home
from trading_assets.store.ingestion import pending_days
from trading_assets.store.lake import Lake
from trading_assets.store.release import current_id


def status(home: Home) -> dict[str, Any]:
    """Return the state of a home. Raises InputError when nothing has run there yet."""
    if not home.raw.is_dir():
        raise InputError(
            "reading the status of",
            home.root,
            "there is no journal",
            "start with `trading demo` or `trading up`, or name its home with --home",
        )
    lake = Lake(home.lake)
    has_lake = home.lake.is_dir()
    return {
        "home": str(home.root),
        "daemon": _daemon(home),
        "release": current_id(home.releases) or "rules-only",
        "pending_days": [day.isoformat() for day in pending_days(home)],
        "lake": {name: _rows(lake, name) for name in ("signals", "trades", "outcomes", "labels", "learning_dataset")}
        if has_lake
        else {},
        "latest_decision": _latest(lake, "signals", ("signal_id", "symbol", "bar_close_at", "suggestion", "action"))
        if has_lake
        else None,
        "latest_trade": _latest(lake, "trades", ("trade_id", "symbol", "side", "opened_at", "exit_reason", "net_pnl"))
        if has_lake
        else None,
        "errors": _errors(lake) if has_lake else [],
    }


def _daemon(home: Home) -> dict[str, Any]:
    port = _port(home)
    if port is None:
        return {"is_running": False}
    trust = _trust(home)
    base = f"{'http' if trust is None else 'https'}://127.0.0.1:{port}"
    try:
        return {
            "is_running": True,
            "port": port,
            "metrics": f"{base}/metrics",
            **{page: _ask(f"{base}/{page}", trust) for page in ("health", "ready")},
            **_ask(f"{base}/status", trust),
        }
    except (urllib.error.URLError, OSError, ValueError):
        return {"is_running": False}


def _ask(page: str, trust: ssl.SSLContext | None) -> dict[str, Any]:
    """Return one page of the daemon; one that says no says why, in the same form."""
    try:
        with urllib.request.urlopen(page, timeout=2, context=trust) as answer:
            content: dict[str, Any] = json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            content = json.loads(refused.read())
    return content


def _port(home: Home) -> int | None:
    """Return the port the daemon last listened on: as written when it was started, else as its settings say."""
    written = home.root / "daemon.port"
    if written.exists():
        return int(written.read_text())
    return int(_settings(home).get("port", 0)) or None


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
