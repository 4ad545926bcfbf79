"""The asset graph on a home of this test process, filled from the demo all tests share, with real databases under it."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from datetime import date

import dagster as dg
import pytest
from played import Played, copy

with warnings.catch_warnings():
    # dagster-dbt imports a deprecated package, and marks as beta what has been stable; both at import alone.
    warnings.simplefilter("ignore")
    from trading_assets.definitions import defs, settings

from trading_assets.cli.environment import running
from trading_assets.store.home import Home


@pytest.fixture(scope="session")
def graph() -> dg.Definitions:
    """What Dagster loads."""
    return defs


@pytest.fixture(scope="module")
def databases() -> Iterator[Home]:
    """This process' home, empty, with its databases up and the environment of `trading` set."""
    home, before = settings.home, dict(os.environ)
    try:
        with running(home, date(2026, 1, 1)):
            yield home
    finally:
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(home.root, ignore_errors=True)


@pytest.fixture(scope="module")
def played_home(played: Played, databases: Home) -> Home:
    """This process' home as the demo left its own, to write in."""
    copy(played.home, databases.root)
    return databases
