"""Where MLflow's database says its files lie: in the home, by absolute address, so they are rewritten when the home has moved.

MLflow keeps the address of a folder with each experiment, run, model and version, for ever. A home that was moved, renamed or
copied would write into its old place, or find nothing. The experiment of the models tells which place that was: no file beside
the database has to agree with it. A restored home is one that has moved (`cli.backup`).
"""

from __future__ import annotations

from pathlib import Path, PureWindowsPath
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import sqlalchemy

from trading_assets.core.errors import StateError
from trading_assets.store.home import Home

EXPERIMENT = "meta-model"
"""The experiment of the trained models, whose files lie in the home's folder `mlflow`."""

# Table, column: addresses of files, and what we noted of our own.
_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
    ("tags", "value"),
    ("model_version_tags", "value"),
)


def follow_home(mlflow_url: str, home: Home, *, is_shared: bool) -> str:
    """Let MLflow's addresses follow a home that lies elsewhere than they say; return the former place, else nothing.

    All of it in one transaction. A copy of a home has a database of its own, unless it is on a server that both use
    (`is_shared`): StateError then, while the other home is still there, and nothing is changed.
    """
    engine = sqlalchemy.create_engine(mlflow_url, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        former = _former_place(connection)
        if former is None or former == home.root.as_uri():
            return ""
        place = _shown(former)
        if is_shared and Path(place).is_dir():
            raise StateError(
                "opening", f"MLflow's database for {home.root}", f"its models lie in another home, {place}",
                "give each home a server or databases of its own in TRADING_DATABASE_URL, or remove the other home",
            )  # fmt: skip
        _rewrite(connection, former, home.root.as_uri())
    return place


def move_addresses(mlflow_url: str, former: str, home: Home) -> None:
    """Let MLflow's database name files in `home` instead of those in the folder `former`, of whatever system that was."""
    is_windows = bool(PureWindowsPath(former).drive)
    old = PureWindowsPath(former).as_uri() if is_windows else Path(former).as_uri()
    engine = sqlalchemy.create_engine(mlflow_url, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        _rewrite(connection, old, home.root.as_uri())


def _former_place(connection: sqlalchemy.Connection) -> str | None:
    """Return the address of the home whose folder `mlflow` the experiment names."""
    if not sqlalchemy.inspect(connection).has_table("experiments"):
        return None
    asked = sqlalchemy.text("SELECT artifact_location FROM experiments WHERE name = :name")
    location = connection.scalar(asked, {"name": EXPERIMENT})
    if not isinstance(location, str) or not location.startswith("file://") or not location.endswith("/mlflow"):
        return None
    return location.removesuffix("/mlflow")


def _rewrite(connection: sqlalchemy.Connection, old: str, new: str) -> None:
    known = sqlalchemy.inspect(connection)
    for table, column in _ADDRESSES:
        if known.has_table(table) and column in {one["name"] for one in known.get_columns(table)}:
            connection.execute(
                sqlalchemy.text(
                    f"UPDATE {table} SET {column} = :new || substr({column}, :rest)"
                    f" WHERE {column} = :old OR substr({column}, 1, :length) = :inside"
                ),
                {"old": old, "new": new, "rest": len(old) + 1, "inside": f"{old}/", "length": len(old) + 1},
            )


def _shown(address: str) -> str:
    parts = urlsplit(address)
    return url2pathname(parts.path) if not parts.netloc else unquote(address)
