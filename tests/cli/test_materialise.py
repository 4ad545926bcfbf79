"""`trading materialise` on a copy of a played home, as a person gives it: what is due."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from played import DAYS, Played, copied, trading

from trading_assets.store.home import Home

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def home(played: Played, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with copied(played.home, tmp_path_factory.mktemp("materialise") / "home") as home:
        yield home


def test_the_ledger_takes_the_days_that_are_not_done(home: Home) -> None:
    note = home.cursors / "follow_ups" / "curves.json"
    kept = note.read_bytes()
    done = trading("materialise", "ledger", "--home", str(home.root))
    assert done.returncode == 0, done.stderr
    assert "Nothing has changed" in done.stderr
    note.unlink()
    done = trading("materialise", "ledger", "--home", str(home.root))
    assert done.returncode == 0, done.stderr
    assert f"Ledger, {DAYS[0]} to {DAYS[-1]}" in done.stderr
    assert note.read_bytes() == kept


@pytest.mark.parametrize("module", ["entry", "demo", "materialise", "backfill", "selfcheck", "up"])
def test_a_command_knows_its_home_before_any_asset_is_imported(module: str) -> None:
    # The partitions begin at the first day of the home that is known then: a home whose journal is older would have no days.
    seen = "[name for name in sys.modules if name == 'trading_assets.defs.table_asset']"
    program = f"import sys, trading_assets.cli.{module}; print({seen})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
