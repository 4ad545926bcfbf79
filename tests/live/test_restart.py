"""Kill the daemon at the worst moments: nothing is decided twice, nothing sent twice, nothing forgotten."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
from scripted_terminal import (
    BAR,
    START,
    DaemonProcess,
    ScriptedTerminal,
    daemon_at,
    records,
    settings_text,
    terminal_at,
)

from trading_assets.core.features.feature_set import FEATURE_SETS, encode_vector
from trading_assets.core.features.feature_window import feature_windows
from trading_assets.core.features.normaliser import IDENTITY
from trading_assets.core.features.window import ChartWindow, anchor_ms, anchored, combined_sha256, day_windows
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.messages import OrderCommand
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.market import Bar, Quote
from trading_assets.core.records.operations import OpsError
from trading_assets.core.records.trading import Mark, Order, Outcome
from trading_assets.store.journal import verify


def continued(terminal: ScriptedTerminal, later: ScriptedTerminal) -> ScriptedTerminal:
    """Let a new connection stand for the same terminal."""
    later.now = later.history_ends = terminal.now
    later.positions, later.deals, later.balance = terminal.positions, terminal.deals, terminal.balance
    return later


async def test_a_daemon_killed_after_its_order_finds_the_position_and_does_not_decide_the_bar_again(
    home: Path, start_process: Callable[[Path], DaemonProcess]
) -> None:
    first = start_process(home)
    async with terminal_at(first.port) as terminal:
        await terminal.hello()
        await terminal.settle(START)
        terminal.fills_orders = False
        await terminal.quotes(START, START + BAR)
        await terminal.heartbeat(START + BAR)
        order = await terminal.until(OrderCommand)
        # The order is carried out; its result never arrives.
        first.kill()
    terminal.now = START + BAR
    async with daemon_at(home) as second, second.terminal() as later:
        continued(terminal, later)
        await later.fill(order, tell=False)
        await later.hello()
        # What was not acknowledged is sent again.
        await later.quotes(START, START + BAR)
        await later.settle(START + BAR)
        assert not later.orders
        await later.step()
        await later.stop_out("1000", "TP")
        await later.settle(later.now)
    decisions = records(home, Decision)
    assert [decision.bar_close_at for decision in decisions] == [START + BAR, START + 2 * BAR]
    assert decisions[1].inputs.position.signal_id == decisions[0].signal_id
    assert decisions[1].inputs.position.bars_held == 1
    # Whether SENT became durable before the kill is a matter of milliseconds.
    states = [record.state for record in records(home, Order) if record.state != "SENT"]
    assert states == ["PLANNED", "UNKNOWN", "FILLED"]
    (outcome,) = records(home, Outcome)
    assert outcome.signal_id == order.signal_id
    assert not verify(home / "raw").faults


async def test_a_day_played_with_a_restart_in_the_middle_equals_the_day_played_through(tmp_path: Path) -> None:
    homes = [tmp_path / "through", tmp_path / "restarted"]
    for home in homes:
        home.mkdir()
        (home / "settings.toml").write_text(settings_text())
    async with daemon_at(homes[0]) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        for _ in range(8):
            await terminal.step()
    async with daemon_at(homes[1]) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        for _ in range(4):
            await terminal.step()
        # Half a bar is known when the daemon goes down.
        await terminal.quotes(terminal.now, terminal.now + BAR * 0.4)
        await terminal.settle(terminal.now + BAR * 0.4)
    async with daemon_at(homes[1]) as daemon, daemon.terminal() as later:
        continued(terminal, later)
        await later.hello()
        await later.settle(later.now)
        await later.quotes(later.now, START + 5 * BAR)
        await later.settle(START + 5 * BAR)
        for _ in range(3):
            await later.step()
    through, restarted = (records(home, Decision) for home in homes)
    assert len(restarted) == 8
    for one, other in zip(through, restarted, strict=True):
        assert (one.signal_id, one.features, one.window_sha256) == (
            other.signal_id,
            other.features,
            other.window_sha256,
        )
        assert (one.feature_window, one.inputs) == (other.feature_window, other.inputs)
        assert (one.suggestion, one.action, one.candidates) == (other.suggestion, other.action, other.candidates)


async def test_live_rows_windows_and_hashes_equal_what_the_batch_side_computes(home: Path) -> None:
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        for _ in range(6):
            await terminal.step()
    feature_set = FEATURE_SETS["intraday"]
    charts = {timeframe: chart(home, timeframe) for timeframe in feature_set.timeframes}
    anchor = anchor_ms(to_ms(START))
    rows = feature_set.day(day_windows(charts, anchor))
    windows = list(feature_windows(rows, IDENTITY(feature_set.names), range(len(rows))))
    for decision in records(home, Decision):
        close_ms = to_ms(decision.bar_close_at)
        at = list(rows.close_ms).index(close_ms)
        assert decision.features == encode_vector(rows.matrix[at])
        assert decision.feature_window == windows[at].reference()
        seen = tuple(anchored(charts[timeframe], anchor, close_ms).reference() for timeframe in feature_set.timeframes)
        assert decision.windows == seen
        assert decision.window_sha256 == combined_sha256(seen)


def chart(home: Path, timeframe: str) -> ChartWindow:
    """Return the recorded bars of one timeframe as a chart."""
    bars = sorted((bar for bar in records(home, Bar) if bar.timeframe == timeframe), key=lambda bar: bar.open_at)
    names = (
        "open_at",
        "close_at",
        "open",
        "high",
        "low",
        "close",
        "ask_close",
        "tick_count",
        "spread_max_points",
        "spread_sum_points",
    )
    return ChartWindow.from_frame(
        pl.DataFrame([{name: getattr(bar, name) for name in names} for bar in bars]), timeframe
    )


async def test_bars_that_closed_while_the_daemon_was_away_come_from_history_and_are_not_decided(home: Path) -> None:
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step()
    async with daemon_at(home) as daemon, daemon.terminal() as later:
        continued(terminal, later)
        later.now = START + 7.2 * BAR
        later.history_ends = START + 7 * BAR
        await later.hello()
        await later.settle(later.now)
        await later.quotes(later.now, START + 8 * BAR)
        await later.settle(START + 8 * BAR)
    decisions = records(home, Decision)
    assert [decision.bar_close_at for decision in decisions] == [START + BAR, START + 8 * BAR]
    base = [bar for bar in records(home, Bar) if bar.timeframe == "M5" and bar.open_at >= START]
    assert [bar.source for bar in base] == ["quotes", *["history"] * 6, "quotes"]
    assert [bar.open_at for bar in base] == [START + index * BAR for index in range(8)]
    assert decisions[1].windows[0].bar_count == decisions[0].windows[0].bar_count + 7
    assert any("without a decision" in error.message for error in records(home, OpsError))


async def test_the_first_bar_of_all_is_decided_after_a_restart_when_its_decision_was_lost(home: Path) -> None:
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step()
    (decisions,) = (home / "raw" / "tenant=tests" / "account=paper").glob("stream=trading")
    shutil.rmtree(decisions)
    async with daemon_at(home) as daemon, daemon.terminal() as later:
        continued(terminal, later)
        await later.hello()
        await later.settle(later.now)
    assert [decision.bar_close_at for decision in records(home, Decision)] == [START + BAR]


async def test_a_single_bar_that_closed_too_long_ago_is_said_to_be_missed_once(home: Path) -> None:
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step()
    async with daemon_at(home) as daemon, daemon.terminal() as later:
        continued(terminal, later)
        later.now = START + 2.2 * BAR
        later.history_ends = START + 2 * BAR
        await later.hello()
        await later.settle(later.now)
        await later.settle(later.now + BAR / 10)
    assert [decision.bar_close_at for decision in records(home, Decision)] == [START + BAR]
    (told,) = [error.message for error in records(home, OpsError) if "without a decision" in error.message]
    assert told.startswith("1 bars of EURUSD")


async def test_a_restart_keeps_marks_excursions_and_breakers(home: Path) -> None:
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        for _ in range(3):
            await terminal.step()
        daemon.desk().account.recorder.commit(
            daemon.desk().account.recorder.breaker_events(
                daemon.desk().account.books.risk.trip("halt", "test", terminal.now)
            )
        )
        await terminal.settle(terminal.now)
    before = records(home, Mark)[-1]
    async with daemon_at(home) as daemon, daemon.terminal() as later:
        continued(terminal, later)
        await later.hello()
        await later.settle(later.now)
        status = (await daemon.status())["accounts"]["paper"]
        assert status["tripped_breakers"]["halt"] == "test"
        assert len(status["open_trades"]) == 1
        await later.step()
        await later.stop_out("1000")
        await later.settle(later.now)
    marks, (outcome,) = records(home, Mark), records(home, Outcome)
    assert [mark.cause for mark in marks].count("fill") == 1
    assert outcome.mark_count == len(marks)
    assert outcome.mfe_r >= before.mfe_r


async def test_quotes_sent_again_after_a_broken_connection_count_once(home: Path) -> None:
    async with daemon_at(home) as daemon:
        async with daemon.terminal() as terminal:
            await terminal.hello()
            await terminal.settle(START)
            await terminal.quotes(START, START + BAR / 2)
            await terminal.settle(START + timedelta(seconds=1))
        async with daemon.terminal() as later:
            continued(terminal, later)
            await later.hello()
            await later.quotes(START, START + BAR)
            await later.settle(START + BAR)
    quotes: list[Any] = records(home, Quote)
    assert len(quotes) == len({quote.event_at for quote in quotes}) == 15
    assert len(records(home, Decision)) == 1
