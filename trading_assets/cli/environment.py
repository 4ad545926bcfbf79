"""What every command needs before it starts: the home, PostgreSQL, and the environment that Dagster, dbt and MLflow read.

The environment is set here and nowhere else; it is read in `defs.settings`, dagster.yaml and dbt's plugin. Passwords
stay in it: they are never arguments.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from trading_assets.core.errors import InputError
from trading_assets.store.home import Home, home_at
from trading_assets.store.owned_processes import owned_processes

PROJECT = Path(__file__).resolve().parents[2]
DBT_PROJECT = PROJECT / "dbt_project"


def home_of(option: str | None) -> Home:
    """Return the home a command works on: the option, TRADING_HOME, or var/ in the current folder."""
    return home_at(option or os.environ.get("TRADING_HOME") or "var")


def beside_python(program: str) -> str:
    """Return the program of this virtual environment by that name, or the name itself: there is none, or it is a path."""
    if Path(program).name != program:
        return program
    found = Path(sys.executable).with_name(f"{program}.exe" if os.name == "nt" else program)
    return str(found) if found.is_file() else program


def quiet() -> None:
    """Keep libraries' own deprecation notes from a trader's screen; tests see them as errors."""
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", message="Parameter `backfill_policy`")
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
    # Read when MLflow is imported: it tells of every table it creates.
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")


def at_home(home: Home) -> None:
    """Let the asset half work on this home in this process, without any database."""
    os.environ["TRADING_HOME"] = str(home.root)


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


@contextmanager
def running(home: Home, first_date: date | None = None) -> Iterator[None]:
    """Have PostgreSQL up and the environment set while the block runs, and own every process started in it.

    Raises TradingError sentences.
    """
    from trading_assets.store.mlflow_addresses import follow_home
    from trading_assets.store.postgres import open_databases

    if not (PROJECT / "dagster.yaml").is_file():
        raise InputError(
            "starting", PROJECT, "dagster.yaml is not there", "run `trading` from an editable install of the checkout"
        )
    try:
        for folder in (home.root, home.dagster, home.mlflow, home.logs, home.dbt):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            "preparing the home",
            home.root,
            error.strerror or str(error),
            "name another one with --home, or mend its permissions",
        ) from error
    server = os.environ.get("TRADING_DATABASE_URL")
    with owned_processes(), open_databases(home.postgres, server, _tell) as databases:
        if former := follow_home(databases.mlflow, home, is_shared=bool(server)):
            _tell(f"This home lay in {former} before: MLflow's addresses now name {home.root}.")
        os.environ.update(
            {
                "TRADING_HOME": str(home.root),
                "TRADING_DAGSTER_URL": databases.dagster,
                "TRADING_DAGSTER_STORAGE": str(home.dagster),
                "TRADING_MLFLOW_URL": databases.mlflow,
                "TRADING_LAKE": str(home.lake),
                "TRADING_MARTS": str(home.marts),
                "DAGSTER_HOME": str(PROJECT),
                # One insert for a run's many partition events instead of one each: three times faster over 250 days.
                "DAGSTER_EVENT_BATCH_SIZE": "1000",
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            }
        )
        if first_date is not None:
            os.environ["TRADING_FIRST_DATE"] = first_date.isoformat()
        yield
