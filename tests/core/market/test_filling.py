"""Which filling is asked for, for every mask and execution mode."""

from __future__ import annotations

from typing import get_args

import pytest

from trading_assets.core.market.filling import filling_of
from trading_assets.core.records.record import Execution


@pytest.mark.parametrize(
    ("mask", "execution", "filling"),
    [
        (1, "market", "FOK"),
        (2, "market", "IOC"),
        (3, "market", "IOC"),
        (4, "market", None),  # Book or cancel is for limit orders.
        (0, "market", None),
        (0, "exchange", "RETURN"),
        (1, "exchange", "FOK"),
        (3, "exchange", "IOC"),
        (0, "instant", "FOK"),
        (2, "request", "FOK"),
    ],
)
def test_the_filling_follows_from_the_mask_and_the_execution(
    mask: int, execution: Execution, filling: str | None
) -> None:
    assert filling_of(mask, execution) == filling


def test_return_is_never_asked_for_under_market_execution() -> None:
    for execution in get_args(Execution):
        for mask in range(8):
            assert filling_of(mask, execution) != "RETURN" or (execution == "exchange" and not mask & 3)
