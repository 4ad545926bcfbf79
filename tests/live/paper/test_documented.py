"""docs/simulated-terminal.md names every fault, deed and condition, and only tests that are there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from live.paper.conditions import Conditions
from live.paper.faults import Faults
from live.paper.script import AccountDeed, BrokerDeed, LinkDeed
from live.paper.shape import Shape

PAGE = Path(__file__).parents[3] / "docs" / "simulated-terminal.md"
# Named by the option's own row, or not unpleasant.
ELSEWHERE = {"seed", "login", "every_symbol", "symbols", "server_on", "terminal_on"}


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_everything_that_can_be_asked_for_is_on_the_page(page: str):
    names = {*Faults.__struct_fields__, *Conditions.__struct_fields__, *Shape.__struct_fields__}
    names |= {*get_args(AccountDeed), *get_args(BrokerDeed), *get_args(LinkDeed)}
    named = set(re.findall(r"`([a-z_]+)`", page))
    assert names - named - ELSEWHERE == set()


def test_every_test_on_the_page_is_there(page: str):
    tests = re.findall(r"`(test_\w+\.py)::(\w+)`", page)
    assert len(tests) > 50
    missing = [name for file, name in tests if f"def {name}(" not in (Path(__file__).parent / file).read_text()]
    assert missing == []
