"""A position of ours never loses its owner: its ticket changes, it is reopened, corrected, traded on, held for weeks, not to be closed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from odd_terminal import OddTerminal, odd_terminal_at
from scripted_terminal import EAGER, START, RunningDaemon, daemon_at, records, settings_text

from trading_assets.core.messages import CloseCommand, PositionFacts, PositionUpdate
from trading_assets.core.records.operations import Finding
from trading_assets.core.records.trading import Outcome, Protection

# A stop far away, and over after two bars.
SHORT = '\n[[accounts.strategy.exit_profiles]]\nname = "short"\nstop_atr = 30.0\ntarget_atr = 60.0\ntimeout_bars = 2\ntrend_fit = 0.0\n'


@pytest.fixture(autouse=True)
def _short(home: Path) -> None:
    (home / "settings.toml").write_text(settings_text(strategy=EAGER + SHORT))


@asynccontextmanager
async def holding(home: Path) -> AsyncIterator[tuple[RunningDaemon, OddTerminal, PositionFacts]]:
    """A daemon, its terminal, and the one position of ours it holds."""
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as terminal:
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step()
        (held,) = terminal.positions.values()
        yield daemon, terminal, held


def closes(terminal: OddTerminal) -> list[str]:
    """Positions that closes named."""
    return [order.position for order in terminal.orders if isinstance(order, CloseCommand)]


def rebook(terminal: OddTerminal, held: PositionFacts, ticket: str) -> PositionFacts:
    """Let the server book a position under another ticket; its identifier stays."""
    del terminal.positions[held.ticket]
    terminal.positions[ticket] = changed = msgspec.structs.replace(held, ticket=ticket)
    return changed


# --- tickets ------------------------------------------------------------------------------------------------------------


async def test_a_close_names_the_ticket_that_was_told_last(home: Path) -> None:
    async with holding(home) as (_, terminal, held):
        await terminal.send(PositionUpdate, position=rebook(terminal, held, "501000"))
        for _ in range(2):
            await terminal.step()
        assert closes(terminal) == ["501000"]
    (outcome,) = records(home, Outcome)
    assert (outcome.exit_reason, outcome.position_id) == ("timeout", held.identifier)


async def test_a_ticket_that_changed_while_no_daemon_ran_is_taken_from_the_first_snapshot(home: Path) -> None:
    async with holding(home) as (_, before, held):
        rebook(before, held, "501000")
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as terminal:
        terminal.now = terminal.history_ends = before.now
        terminal.positions, terminal.deals = before.positions, before.deals
        await terminal.hello()
        for _ in range(2):
            await terminal.step()
        assert closes(terminal) == ["501000"]
    assert [outcome.exit_reason for outcome in records(home, Outcome)] == ["timeout"]


# --- stops moved by others ----------------------------------------------------------------------------------------------


async def test_a_stop_that_another_expert_trails_is_respected_and_told_once_an_hour(home: Path) -> None:
    (home / "settings.toml").write_text(settings_text(strategy=EAGER + SHORT.replace("bars = 2", "bars = 90")))
    async with holding(home) as (_, terminal, held):
        begin = terminal.now
        for number in range(1, 91):
            await terminal.change(held.ticket, sl=round(held.sl + number * 0.00001, 5))
            await terminal.heartbeat(begin + number * timedelta(minutes=1))
        await terminal.settle(terminal.now)
        assert terminal.changes == []
    told = records(home, Protection)
    assert [one.step for one in told] == ["moved", "moved"]
    assert told[1].known_at - told[0].known_at >= timedelta(hours=1)
    assert len([one for one in records(home, Finding) if one.check == "live.trading.protection"]) == 2
