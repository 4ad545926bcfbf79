"""What assets get handed: the lake, the journals and the releases under one home, and the registry of models."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import dagster as dg
from pydantic import PrivateAttr

from trading_assets.core.errors import UnavailableError
from trading_assets.store.home import Home
from trading_assets.store.registry import Tracking
from trading_assets.store.seals import SealingLake, sealing_lake


class Storage(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Everything under TRADING_HOME."""

    root: str
    _run_id: str = PrivateAttr(default="")

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Take the run's id, which every commit of its lake carries."""
        self._run_id = context.run.run_id if context.run is not None else ""

    @property
    def home(self) -> Home:
        """Paths."""
        return Home(Path(self.root))

    @cached_property
    def lake(self) -> SealingLake:
        """Tables."""
        lake = sealing_lake(self.home)
        lake.provenance.run_id = self._run_id
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
