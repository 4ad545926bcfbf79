"""A disk that fails: nothing is acted on that is not durable (invariant 1), and nothing already written is harmed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from scripted_terminal import BAR, START, daemon_at, records

from trading_assets.core.errors import StateError
from trading_assets.core.messages import Processed
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.market import Bar
from trading_assets.core.records.trading import BreakerEvent, Order
from trading_assets.store.journal import verify
from trading_assets.store.journal_disk import sync_file


class Disk:
    """Syncs for real until it is told to fail, at once or after some more syncs."""

    def __init__(self) -> None:
        self.is_failing = False
        self.fails_after: int | None = None

    def sync(self, descriptor: int) -> None:
        if self.fails_after is not None:
            self.is_failing = self.fails_after <= 0
            self.fails_after -= 1
        if self.is_failing:
            raise OSError(28, "No space left on device")
        sync_file(descriptor)


async def test_no_order_leaves_while_the_disk_fails_and_trading_goes_on_after_it(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk()
    async with daemon_at(home, sync=disk.sync) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        disk.is_failing = True
        await terminal.quotes(START, START + BAR)
        seq = await terminal.heartbeat(START + BAR)
        waiting = asyncio.create_task(terminal.until(Processed, lambda message: message.upto_seq >= seq))
        # The commit of the decision itself has failed, not only the market's before it.
        while not daemon.desk().account.trader.failures:
            assert (await daemon.status())["accounts"]
        assert "No space left" in (await daemon.status())["journal"]["health"]
        assert not waiting.done(), "what is not durable is not processed"
        disk.is_failing = False
        await waiting
        assert not terminal.orders
        await terminal.step()
        await terminal.step()
        assert len(terminal.orders) == 1
        await terminal.settle(terminal.now)
    assert any("No space left" in message for message in caplog.messages)
    assert not verify(home / "raw").faults
    orders = [order.state for order in records(home, Order) if order.signal_id == terminal.orders[0].signal_id]
    assert orders[0] == "PLANNED"
    decisions = {decision.signal_id for decision in records(home, Decision)}
    assert terminal.orders[0].signal_id in decisions
    assert all(event.change for event in records(home, BreakerEvent))


async def test_a_bar_whose_decision_never_became_durable_is_decided_after_the_restart(home: Path) -> None:
    disk, terminals = Disk(), []

    async def play_until_the_decision_fails() -> None:
        async with daemon_at(home, sync=disk.sync) as daemon, daemon.terminal() as terminal:
            terminals.append(terminal)
            await terminal.hello()
            await terminal.settle(START)
            await terminal.step()
            disk.fails_after = 1
            await terminal.quotes(terminal.now, START + 2 * BAR)
            await terminal.heartbeat(START + 2 * BAR)
            while "No space left" not in (await daemon.status())["journal"]["health"]:
                continue

    with pytest.raises(StateError, match="No space left"):
        await play_until_the_decision_fails()
    (terminal,) = terminals
    assert [bar.close_at for bar in records(home, Bar) if bar.timeframe == "M5"][-1] == START + 2 * BAR
    assert [decision.bar_close_at for decision in records(home, Decision)] == [START + BAR]
    async with daemon_at(home) as daemon, daemon.terminal() as later:
        later.now = later.history_ends = terminal.now
        later.positions, later.deals = terminal.positions, terminal.deals
        await later.hello()
        await later.quotes(START + BAR, START + 2 * BAR)
        await later.settle(START + 2 * BAR)
        await later.step()
    closes = [decision.bar_close_at for decision in records(home, Decision)]
    assert closes == [START + BAR, START + 2 * BAR, START + 3 * BAR]
