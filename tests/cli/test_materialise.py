"""`trading materialise` on a copy of a played home, as a person gives it: what is due."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from played import DAYS, Played, copied, trading

from trading_assets.store.home import Home

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def home(played: Played, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with copied(played.home, tmp_path_factory.mktemp("materialise") / "home") as home:
        yield home


def test_the_ledger_of_a_young_home_takes_the_days_there_are(home: Home) -> None:
    # The days that may still change reach back before the first one of the journal.
    done = trading("materialise", "ledger", "--home", str(home.root))
    assert done.returncode == 0, done.stderr
    assert f"Ledger, {DAYS[0]} to {DAYS[-1]}" in done.stderr
