"""The judge on rows drawn from a formula in the short form; `python tests/torture/torture_learning.py` tries twenty played markets."""

from __future__ import annotations

import pytest
import torture_learning


def test_edges_are_promoted_noise_refused_leaks_named_and_decayed_champions_taken_back() -> None:
    told = torture_learning.survive(is_short=True, seed=1)
    assert told.failures == ()
    for what in ("edge promoted", "noise refused", "leak refused and named", "decayed champion taken back"):
        assert told.counts[what] == torture_learning.SHORT_SEEDS


@pytest.mark.parametrize("what", ["edge promoted", "noise refused"])
def test_one_market_in_twenty_may_be_judged_wrongly_and_no_second_one(what: str) -> None:
    missed = [(what, "first"), (what, "second")]
    assert torture_learning._unforgiven(missed[:1], 20) == ()
    assert torture_learning._unforgiven(missed, 20) == ("first", "second")
    assert torture_learning._unforgiven(missed[:1], 2) == ("first",)


def test_a_leak_that_is_not_named_is_never_forgiven() -> None:
    assert torture_learning._unforgiven([("leak refused and named", "missed")], 20) == ("missed",)
