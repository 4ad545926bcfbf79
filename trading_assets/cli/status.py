"""`trading status`: what the daemon says of itself and how far the lake has followed, without waking anything."""

from __future__ import annotations

import json
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
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=2) as answer:
            return {"is_running": True, "port": port, **json.loads(answer.read())}
    except (urllib.error.URLError, OSError, ValueError):
        return {"is_running": False}


def _port(home: Home) -> int | None:
    """Return the port the daemon last listened on: as written when it was started, else as its settings say."""
    written = home.root / "daemon.port"
    if written.exists():
        return int(written.read_text())
    settings = home.root / "settings.toml"
    port = int(tomllib.loads(settings.read_text()).get("port", 0)) if settings.exists() else 0
    return port or None


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
