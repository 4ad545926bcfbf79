"""Dumps of the two databases: made and loaded by PostgreSQL's own programs, from the wheel. Passwords go by environment."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import sqlalchemy
from sqlalchemy.engine import URL, make_url

from trading_assets.core.errors import InputError, UnavailableError
from trading_assets.store.postgres import Databases
from trading_assets.store.postgres_server import binaries


def by_name(databases: Databases) -> dict[str, str]:
    """Return the databases' URLs by the name of their dump."""
    return {"dagster.dump": databases.dagster, "mlflow.dump": databases.mlflow}


def dump(url: str, path: Path) -> None:
    """Write a consistent dump of a database. Raises UnavailableError with PostgreSQL's words."""
    _run("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={path}")


def load(url: str, path: Path) -> None:
    """Load a dump into a database without tables. Raises InputError when it has some, UnavailableError."""
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        tables = sqlalchemy.inspect(connection).get_table_names()
    if tables:
        raise InputError(
            "restoring into", f"the database {make_url(url).database}",
            f"it holds {len(tables)} tables already, and nothing is overwritten",
            "drop it, name another server in TRADING_DATABASE_URL, or restore with --without-databases",
        )  # fmt: skip
    _run("pg_restore", url, "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", str(path))


def _run(program: str, url: str, *arguments: str) -> None:
    address = make_url(url)
    suffix = ".exe" if os.name == "nt" else ""
    done = subprocess.run(
        [str(binaries() / f"{program}{suffix}"), "--no-password", f"--dbname={address.database}", *arguments],
        env={**os.environ, **_environment(address)}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["nothing"]
        raise UnavailableError(
            f"running {program} on",
            f"the database {address.database}",
            f"it said: {lines[0]}",
            "mend that and try again",
        )


def _environment(address: URL) -> dict[str, str]:
    socket = address.query.get("host")
    host = address.host or (socket if isinstance(socket, str) else "")
    return {
        "PGHOST": host or "localhost",
        "PGPORT": str(address.port or 5432),
        "PGUSER": address.username or "",
        "PGPASSWORD": str(address.password or ""),
    }
