"""What cannot be read is named once and spoils nothing beside it; what is lost is asked for, and not for ever."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from odd_terminal import OddTerminal, odd_terminal_at
from scripted_terminal import EAGER, START, daemon_at, records, settings_text

from trading_assets.core.messages import CloseCommand, OrderCommand, Query, Resync
from trading_assets.core.records.market import Quarantine
from trading_assets.core.records.operations import Finding
from trading_assets.core.records.trading import Deal

_BAD = {"ticket": "7", "kind": "BUY", "symbol": "EURUSD"}
SHORT = '\n[[accounts.strategy.exit_profiles]]\nname = "short"\nstop_atr = 30.0\ntarget_atr = 60.0\ntimeout_bars = 2\ntrend_fit = 0.0\n'


@pytest.fixture(autouse=True)
def _short(home: Path) -> None:
    (home / "settings.toml").write_text(settings_text(strategy=EAGER + SHORT))


def damage(terminal: OddTerminal, kind: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Let the terminal send messages of a kind damaged from now on."""
    send = terminal.connection.send

    async def damaged(text: str) -> None:
        message = json.loads(text)
        if message["type"] == kind:
            change(message)
        await send(json.dumps(message))

    terminal.connection.send = cast(Any, damaged)  # type: ignore[method-assign]


def asked(terminal: OddTerminal) -> int:
    return len([one for one in terminal.received if isinstance(one, Query | Resync)])


async def test_a_deal_that_cannot_be_read_in_any_answer_hides_no_other_and_sets_off_no_storm(home: Path) -> None:
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as terminal:
        damage(terminal, "deals", lambda message: message["deals"].append(_BAD))
        await terminal.hello()
        await terminal.settle(START)
        for _ in range(4):
            await terminal.step()
        assert not terminal.refusals()
        assert [type(order) for order in terminal.orders] == [OrderCommand, CloseCommand, OrderCommand]
        assert asked(terminal) < 30
        assert not [one for one in terminal.received if isinstance(one, Resync)]
        assert daemon.desk().lost.unreadable > 0
    assert len(records(home, Deal)) == 3
    (finding,) = [one for one in records(home, Finding) if one.check == "live.desk.lost_messages"]
    assert finding.subject == "deals of the terminal"
    (refused,) = records(home, Quarantine)
    assert ("7" in refused.subject, refused.reason) == (True, "invalid")


async def test_a_position_that_cannot_be_read_lets_nothing_be_taken_for_gone_and_exits_go_out(home: Path) -> None:
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as terminal:
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step()
        (held,) = terminal.positions.values()
        damage(terminal, "snapshot", lambda message: message["positions"].append(_BAD))
        desk = daemon.desk()
        assert await desk.query("deals")
        for _ in range(4):
            await terminal.step()
        assert [type(order) for order in terminal.orders] == [OrderCommand, CloseCommand], "nothing is entered"
        assert held.ticket not in terminal.positions
        assert desk.account.books.risk.is_tripped("reconciliation")
        assert asked(terminal) < 40


async def test_a_deal_event_that_cannot_be_read_is_searched_for(home: Path) -> None:
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as terminal:
        await terminal.hello()
        await terminal.settle(START)
        damage(terminal, "deal", lambda message: message["deal"].pop("price"))
        for _ in range(4):
            await terminal.step()
        assert {one.code for one in terminal.refusals()} == {"invalid"}
        assert not [one for one in terminal.received if isinstance(one, Resync)]
        assert CloseCommand in [type(order) for order in terminal.orders]
        assert not daemon.desk().account.books.risk.is_tripped("reconciliation")
    assert len(records(home, Deal)) >= 2


async def test_gaps_at_every_message_are_asked_about_at_growing_intervals_and_named(home: Path) -> None:
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as terminal:
        await terminal.hello()
        await terminal.settle(START)
        for _ in range(50):
            terminal.seq += 1
            await terminal.quotes(terminal.now, terminal.now + timedelta(seconds=20))
        await terminal.settle(START + timedelta(seconds=1))
        assert len([one for one in terminal.received if isinstance(one, Resync)]) == 3
        assert "again and again" in daemon.desk().lost.detail
        assert not daemon.desk().account.books.risk.is_tripped("reconciliation"), "the search at the end agreed"
    (finding,) = [one for one in records(home, Finding) if one.check == "live.desk.lost_messages"]
    assert finding.subject == "sequence numbers"
