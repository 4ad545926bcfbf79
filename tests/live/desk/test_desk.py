"""One account's desk over a real websocket: decisions, orders, deals, outcomes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from scripted_terminal import (
    BAR,
    EAGER,
    START,
    TOKEN,
    RunningDaemon,
    ScriptedTerminal,
    daemon_at,
    records,
    settings_text,
)

from trading_assets.core.messages import CloseCommand, OrderCommand, Snapshot
from trading_assets.core.records.decisions import Decision, DecisionTiming
from trading_assets.core.records.market import Bar, Quote
from trading_assets.core.records.operations import OpsError
from trading_assets.core.records.trading import (
    AccountSnapshot,
    Deal,
    Mark,
    Order,
    Outcome,
    Session,
    StrategyLoad,
    SymbolSpec,
)
from trading_assets.store.journal import verify


async def test_a_bar_becomes_a_decision_an_order_a_deal_and_an_outcome(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    await terminal.settle(START)
    await terminal.step()
    (order,) = terminal.orders
    assert isinstance(order, OrderCommand)
    await terminal.step()
    await terminal.stop_out("1000", "TP")
    await terminal.settle(terminal.now)
    decision = records(daemon.home, Decision)[0]
    assert decision.signal_id == order.signal_id
    assert (decision.action, decision.suggestion, decision.bar_close_at) == ("OPEN", "LONG", START + BAR)
    states = [record.state for record in records(daemon.home, Order)]
    assert states == ["PLANNED", "SENT", "PLACED", "FILLED"]
    entry, leave = records(daemon.home, Deal)
    assert {entry.signal_id, leave.signal_id} == {decision.signal_id}
    assert (entry.chain_id, leave.chain_id) == (decision.chain_id, decision.chain_id)
    assert leave.slippage_points == 0.0
    (outcome,) = records(daemon.home, Outcome)
    assert outcome.exit_reason == "target"
    assert outcome.idea_id == decision.idea_id
    assert outcome.net_pnl == terminal.balance - Decimal("10000.00")
    marks = records(daemon.home, Mark)
    assert marks[0].cause == "fill"
    assert {mark.cause for mark in marks} >= {"fill", "minute"}
    assert outcome.mark_count == len(marks)


async def test_everything_a_decision_needs_is_on_record_and_the_journal_verifies(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    await terminal.settle(START)
    await terminal.step()
    await terminal.settle(terminal.now)
    for kind in (Session, AccountSnapshot, SymbolSpec, StrategyLoad, Decision, DecisionTiming, Bar, Quote):
        assert records(daemon.home, kind), f"no {kind.__name__}"
    (decision,) = records(daemon.home, Decision)
    assert decision.versions.strategy == records(daemon.home, StrategyLoad)[0].strategy_version
    assert decision.feature_window.row_count == 64
    bars = {(bar.timeframe, bar.open_at) for bar in records(daemon.home, Bar)}
    for window in decision.windows:
        assert (window.timeframe, window.first_open_at) in bars
        assert (window.timeframe, window.last_open_at) in bars
    assert not verify(daemon.home / "raw").faults


async def test_replay_time_is_the_streams_time(daemon: RunningDaemon, terminal: ScriptedTerminal) -> None:
    await terminal.settle(START)
    await terminal.step()
    (decision,) = records(daemon.home, Decision)
    assert decision.decided_at == decision.known_at == START + BAR
    assert all(quote.known_at == quote.event_at for quote in records(daemon.home, Quote))


async def test_in_observe_mode_everything_is_decided_and_nothing_is_sent(home: Path) -> None:
    (home / "settings.toml").write_text(settings_text(mode="observe"))
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step()
        assert not terminal.orders
    (decision,) = records(home, Decision)
    assert decision.action == "OPEN"
    assert not records(home, Order)


async def test_two_symbols_decide_at_the_same_close_each_with_its_own_order(home: Path) -> None:
    (home / "settings.toml").write_text(settings_text(symbols=("EURUSD", "GBPUSD")))
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step(("EURUSD", "GBPUSD"))
        assert {order.symbol for order in terminal.orders} == {"EURUSD", "GBPUSD"}
    decisions = records(home, Decision)
    assert len({decision.signal_id for decision in decisions}) == 2
    assert [decision.inputs.risk.orders_last_hour for decision in decisions] == [0, 1]


async def test_a_timeout_closes_the_position_at_market_and_is_its_exit_reason(home: Path) -> None:
    profiles = """
[[accounts.strategy.exit_profiles]]
name = "short"
stop_atr = 30.0
target_atr = 60.0
timeout_bars = 2
trend_fit = 0.0
"""
    (home / "settings.toml").write_text(settings_text(strategy=EAGER + profiles))
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        for _ in range(3):
            await terminal.step()
        assert [type(order) for order in terminal.orders[:2]] == [OrderCommand, CloseCommand]
        assert (await daemon.status())["accounts"]["paper"]["pending_orders"] == []
    (outcome,) = records(home, Outcome)
    assert outcome.exit_reason == "timeout"
    assert records(home, Decision)[2].inputs.position.bars_held == 2


async def test_a_crossed_quote_is_quarantined_and_the_rest_of_its_batch_counts(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    await terminal.settle(START)
    seconds = [START + index * (BAR / 300) for index in range(5)]
    await terminal.ticks(
        [
            (seconds[1], 1.1, 1.1001),
            (seconds[2], 1.1002, 1.1001),
            (seconds[3], None, 1.1001),
            (seconds[0], 1.1, 1.1001),
            (seconds[4], 1.1, 1.1),
        ]
    )
    await terminal.ticks([(seconds[4], 1.0, 1.1)], "XAUUSD")
    await terminal.settle(START + BAR)
    status = (await daemon.status())["accounts"]["paper"]
    assert (status["quotes"], status["quarantined"], status["decisions"]) == (2, 4, 1)


async def test_a_foreign_position_is_counted_and_left_alone(daemon: RunningDaemon, terminal: ScriptedTerminal) -> None:
    await terminal.settle(START)
    foreign = OrderCommand(
        session="", seq=0, sent_msc=0, request_id="x", signal_id="x", magic="77", symbol="EURUSD", side="SELL",
        volume=Decimal("0.1"), price=1.1, sl=0.0, tp=0.0, deviation=0, deadline_msc=0, comment="by hand",
    )  # fmt: skip
    await terminal.fill(foreign)
    await terminal.step()
    assert (await daemon.status())["accounts"]["paper"]["foreign_positions"] == 1
    deal = records(daemon.home, Deal)[0]
    assert (deal.trade_id, deal.signal_id) == (None, None)
    assert records(daemon.home, Decision)[0].inputs.risk.open_positions == 1


async def test_a_quote_closes_a_bar_before_the_heartbeat_and_later_quotes_are_not_seen(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    await terminal.settle(START)
    await terminal.quotes(START, START + BAR)
    last = START + BAR - BAR / 15
    await terminal.ticks([(START + BAR, 1.2, 1.2001), (START + BAR + BAR / 300, 1.3, 1.3001)])
    await terminal.settle(START + BAR * 1.5)
    (decision,) = records(daemon.home, Decision)
    assert decision.inputs.quote_at == last
    assert decision.decided_at == START + BAR
    assert decision.inputs.ask < 1.2


async def test_a_replay_of_a_time_to_come_is_refused_and_stands_in_nobodys_way(home: Path) -> None:
    async with daemon_at(home) as daemon:
        async with daemon.terminal() as liar:
            liar.now = START + timedelta(days=27_000)
            await liar.send_hello(TOKEN)
            assert await liar.closed() == 1008
            assert [refusal.code for refusal in liar.refusals()] == ["future"]
        async with daemon.terminal() as terminal:
            await terminal.hello()
            await terminal.settle(START)
            await terminal.step()
            assert daemon.desk().account.trader.decisions == 1
            equity_at = daemon.desk().account.books.risk.equity_at
            assert equity_at is not None
            assert equity_at <= START + BAR


async def test_a_state_that_is_read_after_its_terminal_has_gone_is_left(
    daemon: RunningDaemon, terminal: ScriptedTerminal, record_of: Callable[..., Any]
) -> None:
    await terminal.settle(START)
    desk = daemon.desk()
    link = desk.link
    assert link is not None
    await desk.leave(link)
    await desk.handle(record_of(Snapshot, account=terminal.account(), symbols=(), positions=(), orders=()), 0)
    assert not records(daemon.home, OpsError)
