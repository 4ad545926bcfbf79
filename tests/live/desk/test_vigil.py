"""How often a terminal is asked by the clock on the wall."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from scripted_terminal import START

from live.desk import vigil
from live.desk.vigil import Vigil


class _Searches:
    """Searches that find nothing out."""

    is_asking, is_urgent = False, True

    def __init__(self) -> None:
        self.count = self.in_full = 0

    async def ask(self, *, in_full: bool = False) -> None:
        self.count += 1
        self.in_full += in_full


async def test_urgent_searches_that_change_nothing_become_as_rare_as_others_and_quick_again_after_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s, searches = 100.0, _Searches()
    monkeypatch.setattr(vigil.time, "monotonic", lambda: now_s)
    orders = SimpleNamespace(in_state=lambda _: [], pending=list)
    recorder = SimpleNamespace(clock=SimpleNamespace(now=lambda: START), commit=lambda _: None)
    settings = SimpleNamespace(answer_timeout_s=5.0, reconcile_s=15.0)
    watching = Vigil(*cast(Any, (settings, recorder, None, orders, searches, None)))

    async def searched(seconds: int) -> int:
        nonlocal now_s
        before = searches.count
        for _ in range(seconds * 4):
            now_s += 0.25
            await watching.watch()
        return searches.count - before

    assert await searched(12) >= 8
    assert await searched(600) <= 45
    searches.is_urgent = False
    assert await searched(60) <= 4
    searches.is_urgent = True
    assert await searched(12) >= 8
