"""The one folder everything lives under (`TRADING_HOME`), and what lies where in it.

Nothing here reads the environment: whoever starts a program passes the root in.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
