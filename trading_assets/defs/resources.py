"""What assets get handed: the lake, the journals and the releases under one home, and the registry of models."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import dagster as dg

from trading_assets.core.errors import UnavailableError
from trading_assets.store.home import Home
from trading_assets.store.lake import Lake
from trading_assets.store.registry import Tracking


class Storage(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Everything under TRADING_HOME."""

    root: str

    @property
    def home(self) -> Home:
        """Paths."""
        return Home(Path(self.root))

    @cached_property
    def lake(self) -> Lake:
        """Tables."""
        lake = Lake(self.home.lake)
        lake.ensure_tables()
        return lake


class Registry(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where models are tracked and registered."""

    tracking_url: str
    artifacts: str

    @property
    def tracking(self) -> Tracking:
        """MLflow's store and folder. Raises UnavailableError when nobody said where they are."""
        if not self.tracking_url:
            raise UnavailableError(
                "tracking", "the model", "TRADING_MLFLOW_URL is not set", "start the run with `trading`"
            )
        return Tracking(uri=self.tracking_url, artifacts=Path(self.artifacts).as_uri())
