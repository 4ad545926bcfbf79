"""The databases of Dagster and MLflow, on the embedded PostgreSQL or on a server of your own.

Two databases on one server, because their tables have the same names. How the embedded server runs is
`store.postgres_server`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, OperationalError, ProgrammingError

from trading_assets.core.errors import InputError, UnavailableError
from trading_assets.store.owned_processes import owned_processes
from trading_assets.store.postgres_server import ROLE, EmbeddedServer

DATABASES = ("dagster", "mlflow")
_CONNECT_SECONDS = 10


@dataclass(frozen=True, repr=False)
class Databases:
    """URLs (SQLAlchemy, psycopg2) of the two databases. They hold a password: not for arguments or logs."""

    dagster: str
    mlflow: str


@contextmanager
def open_databases(
    folder: Path, server_url: str | None = None, tell: Callable[[str], None] | None = None
) -> Iterator[Databases]:
    """Have both databases there while the block runs.

    Without `server_url` the embedded server of `folder` is started, or used if it runs already; it is kept up meanwhile, which
    `tell` is told of, and stopped by whoever leaves it last, or by a keeper when that one was killed. With `server_url`
    (postgresql://user:password@host/database) that server is used and left running. Raises UnavailableError or InputError, one sentence each.
    """
    if server_url:
        yield _ensured(_external(server_url), "the server of TRADING_DATABASE_URL")
        return
    server = EmbeddedServer(folder, tell)
    with owned_processes() as keeper:
        keeper.keep_postgres(server.folder)
        try:
            yield _embedded(server, folder)
        finally:
            server.stop()


def _embedded(server: EmbeddedServer, folder: Path) -> Databases:
    address = server.start()
    query = {"host": address.host} if address.host.startswith("/") else {}
    url = URL.create(
        "postgresql", ROLE, address.password, None if query else address.host, address.port, "postgres", query
    )
    return _ensured(url, f"the embedded PostgreSQL in {folder}")


def _external(server_url: str) -> URL:
    subject, hint = "TRADING_DATABASE_URL", "write it as postgresql://user:password@host:5432/postgres"
    try:
        url = make_url(server_url.replace("postgres://", "postgresql://", 1))
    except ArgumentError as error:
        raise InputError("read", subject, "it is not a database URL", hint) from error
    if url.drivername not in ("postgresql", "postgresql+psycopg2"):
        raise InputError("read", subject, f"{url.drivername} is not PostgreSQL", hint)
    return url if url.database else url.set(database="postgres")


def _ensured(url: URL, subject: str) -> Databases:
    """Create what is missing of the two databases and return their URLs."""
    engine = sqlalchemy.create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        poolclass=sqlalchemy.NullPool,
        connect_args={"connect_timeout": _CONNECT_SECONDS},
    )
    try:
        with engine.connect() as connection:
            found = set(connection.scalars(sqlalchemy.text("SELECT datname FROM pg_database")))
            for name in DATABASES:
                if name not in found:
                    _create(connection, name)
    except OperationalError as error:
        raise UnavailableError(
            "connect to", subject, _words(error), "start it, or mend its address and password"
        ) from error
    except ProgrammingError as error:
        raise InputError(
            "create databases on",
            subject,
            _words(error),
            f"create {' and '.join(DATABASES)} there, or use a role that may",
        ) from error
    finally:
        engine.dispose()
    dagster, mlflow = (_text(url.set(database=name)) for name in DATABASES)
    return Databases(dagster, mlflow)


def _text(url: URL) -> str:
    # A socket's folder is written plainly: configuration files of migrations take a percent sign for their own.
    address, mark, query = url.render_as_string(hide_password=False).partition("?")
    return address + mark + query.replace("%2F", "/")


def _create(connection: sqlalchemy.Connection, name: str) -> None:
    try:
        connection.execute(sqlalchemy.text(f'CREATE DATABASE "{name}"'))
    except (ProgrammingError, sqlalchemy.exc.IntegrityError):
        # Another process may have created it since we looked.
        found = sqlalchemy.text("SELECT 1 FROM pg_database WHERE datname = :name")
        if not connection.scalar(found, {"name": name}):
            raise


def _words(error: OperationalError | ProgrammingError) -> str:
    lines = [line.strip() for line in str(error.orig or error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
