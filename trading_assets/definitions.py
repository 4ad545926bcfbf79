"""What Dagster loads: the assets of every stage, their checks, jobs, schedules, sensors and resources."""

from __future__ import annotations

import warnings

import dagster as dg

# `backfill_policy` is what makes a backfill one run; its API has been stable since it came, but is marked beta.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

from trading_assets.defs import (  # noqa: E402 - the filter must stand before the decorators run
    checks,
    dataset,
    findings,
    freshness,
    learning,
    ledger,
    market,
    marts,
    operations,
    promotion,
    raw,
    retraining,
    rollout,
    sensors,
    signals,
    tasks,
    trades,
    transforms,
    windows,
)
from trading_assets.defs.resources import Registry, Storage  # noqa: E402
from trading_assets.defs.run_executor import RUN_EXECUTOR  # noqa: E402
from trading_assets.defs.settings import AssetSettings  # noqa: E402

settings = AssetSettings.from_environment()

defs = dg.Definitions(
    assets=freshness.with_ages(
        [
            *raw.RAW_ASSETS,
            *dg.load_assets_from_modules(
                [
                    market,
                    windows,
                    signals,
                    trades,
                    ledger,
                    dataset,
                    learning,
                    promotion,
                    retraining,
                    rollout,
                    operations,
                    findings,
                    transforms,
                ]
            ),
            marts.marts,
            marts.data_docs,
        ]
    ),
    asset_checks=checks.CHECKS,
    executor=RUN_EXECUTOR,
    jobs=tasks.jobs(),
    schedules=list(sensors.schedules()),
    sensors=sensors.SENSORS,
    resources={
        "storage": Storage(root=str(settings.home.root)),
        "registry": Registry(tracking_url=settings.mlflow_url, artifacts=str(settings.home.mlflow)),
        "dbt": marts.dbt_resource(settings),
    },
)
