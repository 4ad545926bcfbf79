"""A bar whose quotes are not all there, or came late, is decided as WAIT with the breaker of data; the next one is traded."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_terminal import (
    BAR,
    PATIENCE_S,
    START,
    RunningDaemon,
    ScriptedTerminal,
    daemon_at,
    price_at,
    records,
)

from live.bridge.inlet import Dropped
from live.market.gaps import Gaps
from trading_assets.core.decisions.explain import recompute
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.messages import OrderCommand, Query, Tick, Ticks
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.trading import BreakerEvent
from trading_assets.core.release import RULES_ONLY

MINUTE = timedelta(minutes=1)


class SetClock:
    """System time as a test sets it."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def observe(self, at: datetime) -> None:
        """The stream does not move it."""


async def lose_messages(_daemon: RunningDaemon, terminal: ScriptedTerminal) -> None:
    terminal.seq += 1


async def drop_quotes(daemon: RunningDaemon, _terminal: ScriptedTerminal) -> None:
    daemon.desk().dropped(Dropped("EURUSD", 7, to_ms(START + 2 * MINUTE), to_ms(START + 3 * MINUTE)))


async def deliver_late(_daemon: RunningDaemon, terminal: ScriptedTerminal) -> None:
    at = START + 2 * MINUTE
    ticks = (Tick(to_ms(at), price_at(at), price_at(at) + 0.0001),)
    await terminal.send(Ticks, symbol="EURUSD", ticks=ticks, is_late=True)


@pytest.mark.parametrize(
    ("deed", "words"),
    [
        (lose_messages, "messages of the terminal were lost"),
        (drop_quotes, "7 quotes were dropped"),
        (deliver_late, "quotes of the bar were delivered late"),
    ],
)
async def test_a_bar_that_lacks_quotes_waits_with_its_reason_and_the_next_one_is_traded(
    daemon: RunningDaemon, terminal: ScriptedTerminal, deed: object, words: str
) -> None:
    await terminal.settle(START)
    await terminal.quotes(START, START + 2 * MINUTE)
    await deed(daemon, terminal)  # type: ignore[operator]  # one of the three above
    await terminal.quotes(START + 2 * MINUTE + timedelta(seconds=20), START + BAR)
    await terminal.settle(START + BAR)
    assert not terminal.orders
    await terminal.step()
    assert len(terminal.orders) == 1
    waited, traded = records(daemon.home, Decision)
    assert (waited.suggestion, traded.action) == ("WAIT", "OPEN")
    assert words in waited.inputs.bar_problem
    assert traded.inputs.bar_problem == ""
    causes = {state.breaker: state.cause for state in waited.breakers if state.is_tripped}
    assert words in causes["data"]
    assert any(verdict.filter == "bar_data" and verdict.verdict == "block" for verdict in waited.filters)
    # It concerns the one decision: nothing is kept.
    assert "data" not in {event.breaker for event in records(daemon.home, BreakerEvent)}
    assert recompute(daemon.desk().account.strategy, waited, RULES_ONLY) == waited


async def test_by_the_clock_a_bar_in_which_the_connection_was_lost_is_recorded_and_not_traded(home: Path) -> None:
    clock = SetClock(START + 2 * MINUTE)
    text = (home / "settings.toml").read_text()
    (home / "settings.toml").write_text("reconcile_s = 0.2\n" + text)
    async with daemon_at(home, clock=clock) as daemon:
        async with daemon.terminal() as before:
            await before.hello(lockstep=False)
            await before.quotes(START, START + 2 * MINUTE)
            async with asyncio.timeout(PATIENCE_S):
                while daemon.desk().account.feed.accepted < 6:
                    await before.until(Query)
        # It comes back with sound numbers and says nothing of the minutes between.
        async with daemon.terminal() as after:
            after.now, after.history_ends = START, START
            clock.at = START + 4 * MINUTE
            await after.hello(lockstep=False)
            await after.quotes(START + 4 * MINUTE, START + BAR)
            clock.at = START + BAR
            await after.heartbeat(START + BAR)
            async with asyncio.timeout(PATIENCE_S):
                while daemon.desk().account.trader.decisions < 1:
                    await after.until(Query)
            await after.quotes(START + BAR, START + 2 * BAR)
            clock.at = START + 2 * BAR
            await after.heartbeat(START + 2 * BAR)
            await after.until(OrderCommand)
    waited, traded = records(home, Decision)
    assert (waited.suggestion, traded.action) == ("WAIT", "OPEN")
    assert "the connection was lost meanwhile" in waited.inputs.bar_problem
    assert traded.inputs.bar_problem == ""


async def test_messages_lost_across_a_close_taint_both_bars(daemon: RunningDaemon, terminal: ScriptedTerminal) -> None:
    await terminal.settle(START)
    await terminal.quotes(START, START + 3 * MINUTE)
    terminal.seq += 1
    await terminal.quotes(START + BAR + 2 * MINUTE, START + 2 * BAR)
    await terminal.settle(START + 2 * BAR)
    await terminal.step()
    assert [bool(one.inputs.bar_problem) for one in records(daemon.home, Decision)] == [True, True, False]


async def test_a_time_nobody_can_believe_taints_no_later_bar(home: Path) -> None:
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello(lockstep=False)
        feed = daemon.desk().account.feed
        while not daemon.desk().is_open:
            await terminal.heartbeat(terminal.now)
            await terminal.until(object)
        now = daemon.desk().account.recorder.clock.now()
        feed.dropped("EURUSD", -(10**15), 10**15, 3)
        feed.dropped("EURUSD", 0, to_ms(now + timedelta(days=30)), 3)
        assert feed.gaps.problem("EURUSD", now, now + BAR)
        assert not feed.gaps.problem("EURUSD", now + timedelta(hours=1), now + timedelta(hours=1) + BAR)
        feed.dropped("XAUUSD", 0, 1, 3)
        assert feed.refusals["dropped"] == 9


HOURS = st.integers(0, 40)


@given(st.lists(st.tuples(HOURS, HOURS), min_size=1, max_size=8), st.lists(HOURS, max_size=5), HOURS)
def test_a_bar_in_a_gap_is_always_told_and_one_after_all_gaps_never(
    gaps: list[tuple[int, int]], opened: list[int], at: int
) -> None:
    kept, last = Gaps(), max(max(gap) for gap in gaps)
    for first, second in gaps:
        kept.add("EURUSD", START + min(first, second) * MINUTE, START + max(first, second) * MINUTE, "late")
    for since in opened:
        kept.open("EURUSD", START + since * MINUTE, "lost")
    in_gap = any(min(gap) < at + 5 and max(gap) >= at for gap in gaps) or any(since < at + 5 for since in opened)
    bar = START + at * MINUTE, START + (at + 5) * MINUTE
    assert bool(kept.problem("EURUSD", *bar)) >= in_gap
    kept.reach("EURUSD", START + 50 * MINUTE)
    end = 50 if opened else last
    after = START + (end + 1) * MINUTE
    assert kept.problem("EURUSD", after, after + BAR) == ""
    kept.forget("EURUSD", after)
    assert kept.problem("EURUSD", *bar) == ""


def test_a_bar_that_closed_before_a_gap_lacks_nothing() -> None:
    gaps = Gaps()
    gaps.add("EURUSD", START + BAR, START + BAR + MINUTE, "lost")
    assert gaps.problem("EURUSD", START, START + BAR) == ""
    assert gaps.problem("EURUSD", START + BAR, START + 2 * BAR) == "lost"
    assert gaps.problem("EURUSD", START + 2 * BAR, START + 3 * BAR) == ""
    assert gaps.problem("GBPUSD", START + BAR, START + 2 * BAR) == ""
