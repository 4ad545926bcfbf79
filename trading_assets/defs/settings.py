"""The one place of this half that reads the environment.

TRADING_HOME            folder everything lives under; default var/ in the current folder
TRADING_FIRST_DATE      first daily partition where it is to be earlier than the first day the home's journals are about
TRADING_MLFLOW_URL      tracking backend of MLflow, set by `trading`
TRADING_DATABASE_URL    a PostgreSQL of your own, which other homes and machines may use, too
TRADING_REPORTING_CURRENCY   currency in which a tenant's accounts are added up; default: that of its first account
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

from trading_assets.core.errors import InputError
from trading_assets.store.history_days import first_day, told_days
from trading_assets.store.home import Home, home_at

DEFAULT_FIRST_DATE = date(2026, 1, 1)


@dataclass(frozen=True)
class AssetSettings:
    """What the asset graph needs to know before it is built."""

    home: Home
    first_date: date
    mlflow_url: str
    retrain_rows: int
    reporting_currency: str = ""
    is_own_database: bool = True
    """Whether Dagster's database is this home's alone."""

    @classmethod
    def from_environment(cls) -> AssetSettings:
        """Read the settings. Raises InputError for a date that is none."""
        home = home_at(os.environ.get("TRADING_HOME", "var"))
        # The partitions stay as they are while this process lives: a terminal's history of days long before is read first.
        with suppress(OSError):  # a home that cannot be written is no writer's: what ingests it says so
            told_days(home)
        return cls(
            home=home,
            first_date=first_date_of(home),
            mlflow_url=os.environ.get("TRADING_MLFLOW_URL", ""),
            retrain_rows=_count("TRADING_RETRAIN_ROWS", 5000),
            reporting_currency=os.environ.get("TRADING_REPORTING_CURRENCY", ""),
            is_own_database=not os.environ.get("TRADING_DATABASE_URL"),
        )


def _count(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdigit():
        raise InputError("reading", name, f"{text!r} is not a number of rows", f"write it as {default}")
    return int(text)


def first_date_of(home: Home) -> date:
    """Return the first day of a home's partitions as it is now: no day its journals are about lies before it.

    Raises InputError for a date in the environment that is none.
    """
    found, text = first_day(home), os.environ.get("TRADING_FIRST_DATE")
    if text:
        try:
            named = date.fromisoformat(text)
        except ValueError as error:
            raise InputError(
                "reading", "TRADING_FIRST_DATE", f"{text!r} is not a date", "write it as 2026-01-31"
            ) from error
        return min(named, found or named)
    return found or DEFAULT_FIRST_DATE
