"""How the steps of a run are executed: one after the other in the run's own process, which holds the run's lock until it ends.

The lock is what tells a run that goes on from one whose process died (`defs.dead_runs`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg

from trading_assets.defs.settings import AssetSettings
from trading_assets.store.home import Home
from trading_assets.store.run_locks import hold_until_exit


class _LockedExecutor(dg.Executor):
    """Dagster's executor, under the run's lock. The lock outlives it: the end of the run is recorded after the last step."""

    def __init__(self, inner: dg.Executor, home: Home) -> None:
        self._inner, self._home = inner, home

    @property
    def retries(self) -> Any:
        return self._inner.retries

    @property
    def step_dependency_config(self) -> Any:
        return self._inner.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        hold_until_exit(self._home, plan_context.run_id)
        yield from self._inner.execute(plan_context, execution_plan)


def _create(context: dg.InitExecutorContext) -> dg.Executor:
    create = dg.in_process_executor.executor_creation_fn
    assert create is not None
    return _LockedExecutor(create(context), AssetSettings.from_environment().home)


# A step takes milliseconds, a process of its own seconds.
RUN_EXECUTOR = dg.ExecutorDefinition(
    name="in_process",
    config_schema=dg.in_process_executor.config_schema.as_field(),
    executor_creation_fn=_create,
    description="Executes the steps in the run's own process, under the run's lock.",
)
