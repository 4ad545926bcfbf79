"""The one folder everything lives under (`TRADING_HOME`), and what lies where in it.

Nothing here reads the environment: whoever starts a program passes the root in.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from trading_assets.core.errors import InputError

PRIVATE = 0o077
"""What a process that writes into a home takes from the modes of what it creates: everything of other users."""
# What the table library makes of a folder's name: `%41` an A and `\\` a step down, `date=2026` a column; on others it stops.
_REFUSED = (
    (re.compile(r"%[0-9A-Fa-f]{2}"), "a percent sign with two digits"),
    (re.compile(r"[\x00-\x1f\x7f]"), "a control character"),
    (re.compile(r"[\ud800-\udfff]"), "letters that are not UTF-8"),
    (re.compile(r"[\[\]\\|^=]"), "one of [ ] \\ | ^ ="),
)


def create_privately() -> int:
    """Let files and folders this process creates be its user's alone; return the mask before.

    Windows has no such modes: there a home is as private as the folder it is made in, a user's own by default.
    """
    return os.umask(PRIVATE)


def home_at(path: str | Path) -> Home:
    """Return the home in a folder. Raises InputError for a folder whose name the lake's tables cannot have above them."""
    root = Path(path).resolve()
    for name in root.parts[1:]:
        for sign, words in _REFUSED:
            if sign.search(name):
                shown = ascii(name)[1:-1]
                raise InputError(
                    "using the home", ascii(str(root))[1:-1] if not str(root).isprintable() else root,
                    f"the folder name {shown} holds {words}, which the library of the tables cannot read",
                    "name another folder with --home or TRADING_HOME, or rename this one",
                )  # fmt: skip
    return Home(root)


@dataclass(frozen=True)
class Home:
    """Paths under one root. Creating the object creates nothing."""

    root: Path

    @property
    def raw(self) -> Path:
        """Journals."""
        return self.root / "raw"

    @property
    def lake(self) -> Path:
        """Delta tables, one folder each."""
        return self.root / "lake"

    @property
    def marts(self) -> Path:
        """DuckDB file of the dbt models."""
        return self.root / "marts.duckdb"

    @property
    def models(self) -> Path:
        """Trained models with what they were judged on, one folder each, before any is released."""
        return self.root / "models"

    @property
    def releases(self) -> Path:
        """Immutable release folders and the CURRENT pointer."""
        return self.root / "releases"

    @property
    def control(self) -> Path:
        """Command inbox of the daemon."""
        return self.root / "control"

    @property
    def tokens(self) -> Path:
        """Tokens of terminals, by their sha256."""
        return self.root / "tokens"

    @property
    def cursors(self) -> Path:
        """Where each consumer of a journal has got to."""
        return self.root / "cursors"

    @property
    def postgres(self) -> Path:
        """Data folder of the embedded PostgreSQL."""
        return self.root / "postgres"

    @property
    def dagster(self) -> Path:
        """Dagster's own storage and logs."""
        return self.root / "dagster"

    @property
    def mlflow(self) -> Path:
        """MLflow's artifacts."""
        return self.root / "mlflow"

    @property
    def dbt(self) -> Path:
        """dbt's target folder, manifest and docs site."""
        return self.root / "dbt"

    @property
    def logs(self) -> Path:
        """Logs of the processes."""
        return self.root / "logs"
