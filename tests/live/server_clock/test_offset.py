"""Clocks that differ by seconds, and time of which nothing is known: named, entries stop, exits go out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from scripted_terminal import (
    BAR,
    EAGER,
    PATIENCE_S,
    START,
    RunningDaemon,
    ScriptedTerminal,
    daemon_at,
    price_at,
    records,
    settings_text,
)

from live.desk.desk import Desk
from live.health.components import missing
from live.health.status import standing
from live.server_clock.offset import ClockOffset, offset_cause
from trading_assets.core.market.timeframes import from_ms
from trading_assets.core.messages import CloseCommand, OrderCommand, Processed, Query
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.operations import Finding
from trading_assets.core.records.trading import BreakerEvent, ClockVerdict

SECOND = timedelta(seconds=1)
# Every position is closed at the bar after its entry: the weekend begins in three and a half days.
BRIEF = EAGER.replace(
    "min_consensus = 0.0", "min_consensus = 0.0\nweekend_entry_minutes = 0\nweekend_exit_minutes = 6000"
)


class SetClock:
    """System time as a test sets it."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def observe(self, at: datetime) -> None:
        """The stream does not move it."""


# --- the measure ----------------------------------------------------------------------------------------------------


def measured(*ahead_s: float, passing_s: float = 1.0) -> timedelta | None:
    seconds = count(0.0, passing_s)
    offset = ClockOffset(lambda: next(seconds))
    for index, ahead in enumerate(ahead_s):
        offset.observe(START + index * 1000 * SECOND, START + (index * 1000 - ahead) * SECOND)
    return offset.measured


@pytest.mark.parametrize("off_s", [12, -12, 45, -45, 290, -290])
def test_an_offset_is_known_after_four_moments_by_what_was_under_way_for_the_shortest_time(off_s: int) -> None:
    assert measured(off_s, off_s - 3, off_s - 1) is None
    assert measured(off_s, off_s - 3, off_s - 1, off_s - 7) == (off_s - 1) * SECOND
    assert measured(off_s, 9000, off_s, off_s) == off_s * SECOND, "one garbled time means nothing"


def test_what_a_stalled_line_delivers_at_once_is_one_moment() -> None:
    assert measured(*range(-60, 1), passing_s=0.001) is None


def test_a_heartbeat_that_repeats_the_last_quotes_time_says_nothing_and_a_clock_set_back_does() -> None:
    seconds = count(0.0)
    offset = ClockOffset(lambda: next(seconds))
    for _ in range(20):
        offset.observe(START, START + next(seconds) * SECOND)
    assert offset.measured is None
    for index in range(20):
        at = START - timedelta(hours=2) + index * SECOND
        offset.observe(at, at + 14 * SECOND)
    assert offset.measured == -14 * SECOND
    assert offset.is_too_large


def test_a_greeting_is_believed_when_it_is_ahead_since_an_old_time_may_be_the_last_quotes() -> None:
    offset = ClockOffset()
    offset.greet(START - timedelta(days=2), START)
    assert offset.measured is None
    offset.greet(START + 12 * SECOND, START)
    assert offset.is_too_large
    assert offset_cause(12 * SECOND).startswith("this computer's clock is 12 s behind the terminal's; synchronise it")


# --- a session by the clock -----------------------------------------------------------------------------------------


async def until(is_so: Callable[[], bool]) -> None:
    """Let the daemon in this process work until something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110 - the daemon has no event for it
            await asyncio.sleep(0)


@asynccontextmanager
async def in_real_time(daemon: RunningDaemon, terminal: ScriptedTerminal) -> AsyncIterator[Desk]:
    """A session by the clock whose terminal answers what it is asked; each message is a moment of its own."""
    await terminal.hello(lockstep=False)
    answering = asyncio.create_task(terminal.until(Processed))
    desk = daemon.desk()
    await until(lambda: desk.is_open)
    seconds = count(0.0)
    desk.account.clock_watch.offset._now_s = lambda: next(seconds)
    yield desk
    answering.cancel()
    await asyncio.gather(answering, return_exceptions=True)


async def quote(desk: Desk, terminal: ScriptedTerminal, clock: SetClock, at: datetime, skew: timedelta) -> None:
    """Send a quote while the computer's clock is off, and wait until it is taken."""
    clock.at, seen = at + skew, desk.account.feed.accepted
    await terminal.ticks([(at, price_at(at), price_at(at) + 0.0001)])
    await until(lambda: desk.account.feed.accepted > seen)


async def play(desk: Desk, terminal: ScriptedTerminal, clock: SetClock, skew: timedelta) -> None:
    """Play one bar, and wait until it is decided."""
    end, decided = terminal.now + BAR, desk.account.trader.decisions
    begin = terminal.now
    for index in range(1, 7):
        await quote(desk, terminal, clock, begin + index * timedelta(seconds=49), skew)
    clock.at = end + skew
    await terminal.heartbeat(end)
    await until(lambda: desk.account.trader.decisions > decided)


@pytest.mark.parametrize("off_s", [12, -290])
async def test_clocks_seconds_apart_are_named_entries_stop_and_exits_go_out_with_a_deadline_the_terminal_accepts(
    home: Path, off_s: int
) -> None:
    text = settings_text(strategy=BRIEF)
    (home / "settings.toml").write_text("reconcile_s = 0.05\n" + text)
    clock, skew = SetClock(START), off_s * SECOND
    async with (
        daemon_at(home, clock=clock) as daemon,
        daemon.terminal() as terminal,
        in_real_time(daemon, terminal) as desk,
    ):
        await play(desk, terminal, clock, timedelta(0))
        await until(lambda: bool(desk.account.books.trades.open_trades()))
        assert [type(order) for order in terminal.orders] == [OrderCommand]
        begin = terminal.now
        for index in range(1, 13):  # The measure forgets the time when they agreed.
            await quote(desk, terminal, clock, begin + index * SECOND, skew)
        (ready,) = missing(standing(desk))
        assert (
            f"this computer's clock is {abs(off_s)} s {'ahead of' if off_s > 0 else 'behind'} the terminal's" in ready
        )
        await play(desk, terminal, clock, skew)
        await until(lambda: len(terminal.orders) == 2)
        close = terminal.orders[-1]
        assert isinstance(close, CloseCommand)
        assert terminal.now < from_ms(close.deadline_msc) <= terminal.now + 11 * SECOND
        await play(desk, terminal, clock, skew)
        assert len(terminal.orders) == 2
        status = (await daemon.status())["accounts"]["paper"]
        assert status["clock_offset_s"] == pytest.approx(-off_s)
    assert [one.change for one in records(home, BreakerEvent) if one.breaker == "clock"] == ["trip"]
    (finding,) = (one for one in records(home, Finding) if one.check == "live.server_clock.offset")
    assert "at most 10 s apart" in finding.expectation
    (verdict,) = (one for one in records(home, ClockVerdict) if one.occasion == "offset")
    assert verdict.offset_s == pytest.approx(-off_s)
    last = records(home, Decision)[-1]
    assert any(state.breaker == "clock" and state.is_tripped for state in last.breakers)


async def test_after_a_sleep_over_a_living_connection_bars_are_asked_for_and_the_first_one_is_not_traded(
    home: Path,
) -> None:
    (home / "settings.toml").write_text("reconcile_s = 0.05\n" + (home / "settings.toml").read_text())
    clock = SetClock(START)
    async with (
        daemon_at(home, clock=clock) as daemon,
        daemon.terminal() as terminal,
        in_real_time(daemon, terminal) as desk,
    ):
        await quote(desk, terminal, clock, START + SECOND, timedelta(0))
        asked = len(terminal.received)
        terminal.now = terminal.history_ends = START + 9 * BAR
        await quote(desk, terminal, clock, terminal.now + SECOND, timedelta(0))
        await until(lambda: desk.is_open)
        await play(desk, terminal, clock, timedelta(0))
        assert not terminal.orders
        await play(desk, terminal, clock, timedelta(0))
        await until(lambda: len(terminal.orders) == 1)
        assert {one.what for one in terminal.received[asked:] if isinstance(one, Query)} >= {"bars", "state", "deals"}
    (finding,) = (one for one in records(home, Finding) if one.check == "live.desk.desk")
    assert "nothing was heard of the terminal for 2700 s" in finding.observed
    first, second = records(home, Decision)
    assert "nothing was heard" in first.inputs.bar_problem
    assert (first.suggestion, second.inputs.bar_problem) == ("WAIT", "")
