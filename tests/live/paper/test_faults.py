"""Faults: drawn by hash, as often as asked for, read from JSON with a sentence for what is wrong."""

from __future__ import annotations

import pytest

from live.paper.faults import Faults, draw, parse_faults
from trading_assets.core.errors import InputError


def test_draws_repeat_and_hit_as_often_as_asked_for():
    faults = Faults(seed=1, rejects=0.2)
    struck = [faults.strikes(faults.rejects, "reject", str(number)) for number in range(5000)]
    assert struck == [faults.strikes(faults.rejects, "reject", str(number)) for number in range(5000)]
    assert 0.17 < sum(struck) / len(struck) < 0.23
    assert struck != [Faults(seed=2).strikes(0.2, "reject", str(number)) for number in range(5000)]
    assert all(0 <= draw(3, str(number)) < 1 for number in range(1000))


def test_a_well_behaved_terminal_is_the_default():
    assert not any(Faults().strikes(0.0, "any", str(number)) for number in range(100))


@pytest.mark.parametrize("text", ['{"rejects": 1.5}', '{"unknown": 1}', "no json", "[]"])
def test_what_is_wrong_with_the_faults_is_said(text: str):
    assert parse_faults('{"rejects": 0.5}').rejects == 0.5
    with pytest.raises(InputError, match="--faults"):
        parse_faults(text)
