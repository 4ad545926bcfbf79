"""What happens when a message cannot be handled: told, entries stop, no session after session in a loop, nothing half booked."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from scripted_terminal import BAR as _BAR
from scripted_terminal import START, TOKEN, RunningDaemon, daemon_at, records

from live.books.risk_state import RiskBook
from live.books.trades import TradeBook
from live.clock import StreamClock
from live.desk.defects import BREAKER, Defects
from live.recorder import Recorder
from trading_assets.core.decisions.strategy import BreakerLimits
from trading_assets.core.messages import OrderCommand, Processed
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.operations import OpsError
from trading_assets.core.records.trading import BreakerEvent, Deal, Order

_NOBODY_EXPECTED = ZeroDivisionError("nobody expected it")


def defects(now_s: list[float]) -> tuple[Defects, RiskBook, list[Any]]:
    written: list[Any] = []
    recorder = SimpleNamespace(
        clock=StreamClock(START), commit=written.extend, breaker_events=lambda changes: [one.cause for one in changes]
    )
    risk = RiskBook(BreakerLimits())
    return Defects(cast(Recorder, recorder), risk, lambda: now_s[0]), risk, written


def test_the_first_defect_stops_entries_and_keeps_nobody_out() -> None:
    found, risk, written = defects([1000.0])
    found.raised(_NOBODY_EXPECTED)
    assert risk.is_tripped(BREAKER)
    assert found.pause_s == 0.0
    assert "ZeroDivisionError: nobody expected it" in written[0]
    found.raised(_NOBODY_EXPECTED)
    assert len(written) == 1, "it is tripped once"


def test_each_further_defect_in_a_row_makes_the_pause_longer_up_to_a_minute() -> None:
    now_s = [1000.0]
    found, _, _ = defects(now_s)
    pauses = []
    for _ in range(10):
        now_s[0] += found.pause_s
        found.raised(_NOBODY_EXPECTED)
        pauses.append(found.pause_s)
    assert pauses == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    now_s[0] += 59.0
    assert found.pause_s == pytest.approx(1.0)
    # After a quiet while the next one is a first one again.
    now_s[0] += 601.0
    found.raised(_NOBODY_EXPECTED)
    assert (found.pause_s, found.count) == (0.0, 11)


async def _ended_by_the_defect(daemon: RunningDaemon) -> int:
    """Have a session until it ends; returns the close code."""
    async with daemon.terminal() as terminal:
        await terminal.send_hello(TOKEN)
        try:
            await terminal.until(Processed)
        except Exception as closed:  # noqa: BLE001 - the close frame is what is looked at
            return cast(Any, closed).rcvd.code  # type: ignore[no-any-return]
    return 0


async def test_a_message_that_fails_each_time_stops_entries_and_is_not_taken_again_and_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_book: TradeBook) -> list[Any]:
        raise _NOBODY_EXPECTED

    async with daemon_at(home) as daemon:
        with monkeypatch.context() as while_broken:
            while_broken.setattr(TradeBook, "follow_on", broken)
            while_broken.setattr("live.bridge.sockets._HELD_S", 0.0)
            codes = [await _ended_by_the_defect(daemon) for _ in range(6)]
        # Two sessions were tried; from then on the account is closed for a while.
        assert codes == [1011, 1011, 1013, 1013, 1013, 1013]
        desk = daemon.desk()
        assert desk.account.books.risk.is_tripped(BREAKER)
        assert desk.pause_s > 0.0
        monkeypatch.setattr(Defects, "pause_s", 0.0)
        async with daemon.terminal() as terminal:
            await terminal.hello()
            await terminal.settle(START)
            await terminal.step()
            assert not terminal.orders, "entries wait for a person"
    trips = [event.breaker for event in records(home, BreakerEvent) if event.change == "trip"]
    assert trips.count(BREAKER) == 1
    assert len([one for one in records(home, OpsError) if "nobody expected it" in one.message]) == 2
    (decision,) = records(home, Decision)
    assert any(one.breaker == BREAKER and one.is_tripped for one in decision.breakers)
    # A restart does not forget it.
    async with daemon_at(home) as again:
        assert again.desk().account.books.risk.is_tripped(BREAKER)


async def test_a_deal_whose_booking_fails_is_not_half_booked_and_comes_again_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> list[Any]:
        raise _NOBODY_EXPECTED

    async with daemon_at(home) as daemon:
        async with daemon.terminal() as terminal:
            terminal.fills_orders = False
            await terminal.hello()
            await terminal.settle(START)
            await terminal.quotes(START, START + _BAR)
            await terminal.heartbeat(START + _BAR)
            order = await terminal.until(OrderCommand)
            with monkeypatch.context() as while_broken:
                while_broken.setattr(TradeBook, "_follow", broken)
                await terminal.fill(order)
                assert await terminal.closed() == 1011
        assert not records(home, Deal)
        async with daemon.terminal() as again:
            again.now = again.history_ends = terminal.now
            again.positions, again.deals, again.balance = terminal.positions, terminal.deals, terminal.balance
            await again.hello()
            await again.settle(again.now)
        (trade,) = daemon.desk().account.books.trades.open_trades()
        assert trade.open_lots == order.volume
    (deal,) = records(home, Deal)
    assert deal.volume_lots == order.volume
    assert [one.state for one in records(home, Order)][-1] == "FILLED"
