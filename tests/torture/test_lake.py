"""A few blows at the lake of the demo; `python tests/torture/torture_lake.py` deals many."""

from __future__ import annotations

import pytest
import torture_lake
from played import Played

pytestmark = pytest.mark.timeout(900)


def test_whatever_is_done_to_the_lake_it_ends_as_the_undamaged_one(played: Played) -> None:
    told = torture_lake.survive(is_short=True, seed=3, home=played.home.root)
    assert told.failures == ()
    assert told.counts["findings mended"] > 0
    assert told.counts["lakes equal row for row"] == 1
