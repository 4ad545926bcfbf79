"""Stops and targets of open positions: put back once when missing, respected when moved, every step on record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from odd_terminal import OddTerminal, odd_terminal_at
from scripted_terminal import START, RunningDaemon, daemon_at, records

from trading_assets.core.messages import ModifyCommand
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.operations import Finding
from trading_assets.core.records.trading import Deal, Protection


@pytest.fixture
async def terminal(daemon: RunningDaemon) -> AsyncIterator[OddTerminal]:
    """A terminal that holds one position of ours."""
    async with odd_terminal_at(daemon.port) as odd:
        await odd.hello()
        await odd.settle(START)
        await odd.step()
        assert list(odd.positions) == ["1000"]
        yield odd


def steps(home: Path) -> list[str]:
    return [record.step for record in records(home, Protection)]


async def test_a_stop_the_broker_dropped_is_put_back_once_and_reported(terminal: OddTerminal, home: Path) -> None:
    held = terminal.positions["1000"]
    await terminal.change("1000", sl=0.0)
    asked = await terminal.until(ModifyCommand)
    assert (asked.sl, asked.tp, asked.position, asked.magic) == (held.sl, held.tp, "1000", held.magic)
    await terminal.settle(terminal.now)
    assert steps(home) == ["reattach", "attached"]
    (finding,) = records(home, Finding)
    assert "the terminal holds stop 0" in finding.observed
    # Written before it was asked for (invariant 1).
    assert records(home, Protection)[0].retcode is None


async def test_a_stop_that_is_taken_away_again_is_a_persons_will(terminal: OddTerminal, home: Path) -> None:
    await terminal.change("1000", sl=0.0)
    await terminal.until(ModifyCommand)
    await terminal.settle(terminal.now)
    for _ in range(3):
        await terminal.change("1000", sl=0.0)
        await terminal.settle(terminal.now + timedelta(seconds=30))
    assert len(terminal.changes) == 1
    assert steps(home) == ["reattach", "attached", "missing"]


async def test_a_stop_that_was_moved_is_respected_reported_and_counts_from_then_on(
    terminal: OddTerminal, home: Path
) -> None:
    moved = round(terminal.positions["1000"].sl + 0.0002, 5)
    await terminal.change("1000", sl=moved)
    await terminal.change("1000")
    await terminal.step()
    assert not terminal.changes
    assert steps(home) == ["moved"]
    assert [finding.severity for finding in records(home, Finding)] == ["warning"]
    position = records(home, Decision)[-1].inputs.position
    assert position is not None
    assert position.stop_price == moved
    # The fill at the moved stop is no slippage against the decision's.
    await terminal.stop_out("1000")
    await terminal.settle(terminal.now)
    assert records(home, Deal)[-1].slippage_points == 0.0


async def test_a_refused_change_is_tried_three_times_and_then_left_to_a_person(
    terminal: OddTerminal, home: Path
) -> None:
    terminal.answers_changes_with = 10029
    for _ in range(9):
        await terminal.change("1000", tp=0.0)
        await terminal.settle(terminal.now + timedelta(seconds=11))
    assert len(terminal.changes) == 3
    assert len({change.request_id for change in terminal.changes}) == 3
    assert steps(home)[-1] == "missing"
    assert [finding.severity for finding in records(home, Finding)] == ["error", "error"]


async def test_a_lost_answer_is_asked_again_and_what_the_search_sees_counts(terminal: OddTerminal, home: Path) -> None:
    stop = terminal.positions["1000"].sl
    terminal.answers_changes_with = 0
    await terminal.change("1000", sl=0.0)
    await terminal.until(ModifyCommand)
    # The change was made without a word.
    await terminal.change("1000", sl=stop)
    await terminal.settle(terminal.now + timedelta(seconds=11))
    assert steps(home) == ["reattach", "attached"]
    assert len(terminal.changes) == 1


async def test_a_stop_that_went_missing_while_nobody_listened_is_found_by_the_search_also_after_a_restart(
    home: Path,
) -> None:
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as terminal:
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step()
    for expected in (1, 0):
        async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as again:
            again.now = again.history_ends = terminal.now
            again.positions, again.deals = dict(terminal.positions), list(terminal.deals)
            await again.change("1000", tell=False, sl=0.0)
            await again.hello()
            await again.settle(again.now)
            await again.settle(again.now)
            assert len(again.changes) == expected, "asked once over all runs"
            terminal.now = again.now
    assert steps(home) == ["reattach", "attached", "missing"]


async def test_within_the_time_of_an_answer_a_missing_stop_is_not_asked_for_again(
    terminal: OddTerminal, home: Path
) -> None:
    terminal.answers_changes_with = 0
    await terminal.change("1000", sl=0.0)
    await terminal.until(ModifyCommand)
    for _ in range(3):
        await terminal.change("1000", sl=0.0)
        await terminal.settle(terminal.now + timedelta(seconds=1))
    assert len(terminal.changes) == 1
    await terminal.change("1000", sl=0.0)
    await terminal.settle(terminal.now + timedelta(seconds=11))
    await terminal.change("1000", sl=0.0)
    await terminal.settle(terminal.now)
    assert len(terminal.changes) == 2
    assert steps(home) == ["reattach", "reattach"]


async def test_a_stop_the_price_has_passed_is_reported_and_asked_for_once_the_price_is_back(
    terminal: OddTerminal, home: Path
) -> None:
    stop = terminal.positions["1000"].sl
    at = terminal.now + timedelta(seconds=1)
    await terminal.ticks([(at, stop - 0.0001, stop)])
    await terminal.change("1000", sl=0.0)
    await terminal.settle(at)
    assert (len(terminal.changes), len(records(home, Finding))) == (0, 1)
    later = at + timedelta(seconds=1)
    price = terminal.positions["1000"].price_open
    await terminal.ticks([(later, price, price + 0.0001)])
    await terminal.change("1000", sl=0.0)
    await terminal.settle(later)
    assert [change.sl for change in terminal.changes] == [stop]
