"""A terminal in real time: system time counts, and what does not come is asked for without being told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from scripted_terminal import BAR, START, ScriptedTerminal, daemon_at, records

from trading_assets.core.messages import OrderCommand, Query
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.trading import Order


class TuesdayClock:
    """System time, moved to the Tuesday of the scripted market: on a weekend nothing is entered."""

    def __init__(self) -> None:
        self._shift = START - datetime.now(UTC)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._shift

    def observe(self, at: datetime) -> None:
        """The stream does not move it."""


def impatient(home: Path) -> None:
    path = home / "settings.toml"
    path.write_text(
        path.read_text().replace(
            "answer_timeout_s = 2.0", "answer_timeout_s = 0.3\nreconcile_s = 0.5\nheartbeat_s = 0.3"
        )
    )


async def opened(terminal: ScriptedTerminal) -> None:
    """Connect in real time, just before a bar closes, and play up to the order at its close."""
    terminal.now = START
    await terminal.hello(lockstep=False)
    await terminal.quotes(START, START + BAR)
    await terminal.heartbeat(START + BAR)
    await terminal.until(OrderCommand)


async def test_in_real_time_a_bar_is_decided_at_system_time(home: Path) -> None:
    impatient(home)
    async with daemon_at(home, clock=TuesdayClock()) as daemon, daemon.terminal() as terminal:
        await opened(terminal)
        await terminal.until(Query, lambda query: query.what == "deals")
    (decision,) = records(home, Decision)
    assert timedelta(0) < decision.decided_at - START < timedelta(minutes=1)
    assert decision.bar_close_at == START + BAR
    assert [order.state for order in records(home, Order)] == ["PLANNED", "SENT", "PLACED", "FILLED"]


async def test_an_answer_that_does_not_come_in_time_makes_the_order_unknown_and_is_searched_for(home: Path) -> None:
    impatient(home)
    async with daemon_at(home, clock=TuesdayClock()) as daemon, daemon.terminal() as terminal:
        terminal.fills_orders = False
        await opened(terminal)
        order = terminal.orders[0]
        while daemon.desk().account.books.orders.in_state("SENT"):
            await terminal.until(Query)
        await terminal.fill(order, tell=False)
        while not daemon.desk().account.books.trades.open_trades():
            await terminal.until(Query)
        assert (await daemon.status())["accounts"]["paper"]["pending_orders"] == []
    states = [record.state for record in records(home, Order)]
    assert states[:3] == ["PLANNED", "SENT", "UNKNOWN"]
    assert states[-1] == "FILLED"


async def test_the_terminal_is_asked_again_and_again_without_a_cause(home: Path) -> None:
    impatient(home)
    async with daemon_at(home, clock=TuesdayClock()) as daemon, daemon.terminal() as terminal:
        await opened(terminal)
        for _ in range(3):
            await terminal.until(Query, lambda query: query.what == "deals")
        assert daemon.desk().account.reconciliation.is_done_once


async def test_history_that_is_never_answered_is_given_up_aloud(home: Path) -> None:
    impatient(home)
    async with daemon_at(home, clock=TuesdayClock()) as daemon, daemon.terminal() as terminal:
        terminal.answers_history = False
        await terminal.hello(lockstep=False)
        await terminal.quotes(START, START + BAR)
        await terminal.heartbeat(START + BAR)
        while not daemon.desk().account.trader.decisions:
            await terminal.until(Query)
    (decision,) = records(home, Decision)
    assert decision.action == "NONE"
    assert any("insufficient history" in reason for reason in decision.reasons)
