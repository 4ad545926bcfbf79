"""A position of ours never loses its owner: its ticket changes, it is reopened, corrected, traded on, held for weeks, not to be closed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from odd_terminal import OddTerminal, odd_terminal_at
from scripted_terminal import BAR, EAGER, START, RunningDaemon, daemon_at, records, settings_text

from live.books.unowned import Unowned
from trading_assets.core.ids import magic
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.messages import (
    CloseCommand,
    DealFacts,
    DealUpdate,
    OrderCommand,
    OrderUpdate,
    PositionFacts,
    PositionUpdate,
    Processed,
)
from trading_assets.core.records.operations import Finding
from trading_assets.core.records.trading import BreakerEvent, Deal, Order, Outcome, Protection

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


# --- reopened, corrected, traded on --------------------------------------------------------------------------------------


def server_deal(terminal: OddTerminal, held: PositionFacts, entry: str, **changes: object) -> DealFacts:
    """A deal by which the server closes a position, or books it anew."""
    kind = held.side if entry == "IN" else {"BUY": "SELL", "SELL": "BUY"}[held.side]
    number = len(terminal.deals)
    deal = msgspec.structs.replace(
        terminal.deals[0], ticket=f"s{number}", order=f"so{number}", kind=kind, entry=entry, reason="ROLLOVER",
        volume=held.volume, profit=Decimal("1.00") if entry == "OUT" else Decimal(0), commission=Decimal(0),
        time_msc=to_ms(terminal.now) + number, comment="rollover",
    )  # fmt: skip
    return msgspec.structs.replace(deal, **changes)


async def reopen(terminal: OddTerminal, held: PositionFacts, ticket: str, *, told: tuple[str, ...]) -> None:
    """Swap by reopening: the server closes a position and books it anew under another ticket. `told` says what is heard."""
    out = server_deal(terminal, held, "OUT")
    terminal.book(out, msgspec.structs.replace(held, volume=Decimal(0)))
    anew = msgspec.structs.replace(held, ticket=ticket)
    back = server_deal(terminal, held, "IN")
    terminal.book(back, anew)
    for kind, deal in (("OUT", out), ("IN", back)):
        if kind in told:
            await terminal.send(DealUpdate, deal=deal, account=terminal.account())
    if "position" in told:
        await terminal.send(PositionUpdate, position=anew)


def entries(terminal: OddTerminal) -> int:
    return len([order for order in terminal.orders if isinstance(order, OrderCommand)])


@pytest.mark.parametrize(
    "told", [("OUT", "IN", "position"), ("IN", "OUT"), ("OUT", "position"), ("OUT",), ("position",)], ids="+".join
)
async def test_a_position_the_server_reopens_keeps_its_trade_its_time_limit_and_nothing_is_opened_beside_it(
    home: Path, told: tuple[str, ...]
) -> None:
    async with holding(home) as (daemon, terminal, held):
        await reopen(terminal, held, "501000", told=told)
        assert entries(terminal) == 1
        for _ in range(2):
            await terminal.step()
        assert (entries(terminal), closes(terminal)) == (1, ["501000"])
        assert not terminal.positions
        await terminal.settle(terminal.now)
        tripped = daemon.desk().account.books.risk.tripped
        assert [state.breaker for state in tripped] == ["model_absent"]
    deals = records(home, Deal)
    assert len({deal.trade_id for deal in deals}) == 1
    last = records(home, Outcome)[-1]
    assert (last.exit_reason, last.volume_lots) == ("timeout", held.volume)
    assert last.net_pnl == sum(deal.profit + deal.commission for deal in deals)


async def test_a_reopened_trade_is_open_after_a_restart_too_and_a_lost_stop_is_put_back(home: Path) -> None:
    async with holding(home) as (_, before, held):
        await reopen(before, held, "501000", told=("OUT", "IN", "position"))
        await before.settle(before.now)
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as terminal:
        terminal.now = terminal.history_ends = before.now
        terminal.positions, terminal.deals = before.positions, before.deals
        await terminal.change("501000", tell=False, sl=0.0)
        await terminal.hello()
        await terminal.settle(terminal.now)
        assert [(change.position, change.sl) for change in terminal.changes] == [("501000", held.sl)]
        for _ in range(2):
            await terminal.step()
        assert closes(terminal) == ["501000"]
    assert [outcome.exit_reason for outcome in records(home, Outcome)] == ["manual", "timeout"]


async def test_an_exit_the_broker_takes_back_is_made_again(home: Path) -> None:
    async with holding(home) as (_, terminal, held):
        for _ in range(2):
            await terminal.step()
        assert not terminal.positions
        assert [outcome.exit_reason for outcome in records(home, Outcome)] == ["timeout"]
        # The broker books the position anew: its close had been a mistake.
        back = server_deal(terminal, held, "IN", reason="CLIENT", comment="correction")
        terminal.book(back, held)
        await terminal.report(back, held)
        await terminal.step()
        assert (entries(terminal), closes(terminal)) == (1, [held.ticket, held.ticket])
    assert [outcome.exit_reason for outcome in records(home, Outcome)] == ["timeout", "timeout"]


async def test_what_is_left_of_a_netted_position_that_was_turned_round_is_closed_in_time(home: Path) -> None:
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as terminal:
        terminal.margin_mode = "netting"
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step()
        (held,) = terminal.positions.values()
        turn = server_deal(
            terminal, held, "INOUT", kind="SELL", reason="CLIENT", magic="0", volume=3 * held.volume, profit=Decimal(1)
        )
        turned = msgspec.structs.replace(held, ticket="t2", side="SELL", volume=2 * held.volume, magic="0")
        terminal.positions.clear()
        terminal.book(turn, turned)
        await terminal.report(turn, turned)
        for _ in range(3):
            await terminal.step()
            terminal.now += timedelta(seconds=1)
        assert entries(terminal) == 1, "nothing beside it"
        assert closes(terminal) == ["t2"]
        close = [order for order in records(home, Order) if order.purpose == "CLOSE"][-1]
        assert (close.side, close.volume_lots, close.close_reason) == ("BUY", 2 * held.volume, "timeout")


# --- held although no record knows it --------------------------------------------------------------------------------------


async def test_a_position_whose_journal_is_lost_is_closed_when_its_time_is_over_and_nothing_opened_beside_it(
    home: Path,
) -> None:
    number = str(magic("a signal of a journal that was lost", "OPEN"))
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as terminal:
        for hour, ticket in ((-5, "1"), (0, "2")):
            terminal.positions[ticket] = PositionFacts(
                ticket=ticket, identifier=f"9{ticket}", magic=number, symbol="EURUSD", side="BUY",
                volume=Decimal("0.10"), price_open=1.1, sl=0.0, tp=0.0, swap=Decimal(0), profit=Decimal(0),
                time_msc=to_ms(START + timedelta(hours=hour)), comment="",
            )  # fmt: skip
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step()
        assert closes(terminal) == ["1"], "the longest time limit, two bars, is over for the older one alone"
        await terminal.step()
        assert (entries(terminal), closes(terminal)) == (0, ["1", "2"])
    findings = [one for one in records(home, Finding) if "no record knows it" in one.observed]
    assert [finding.subject for finding in findings] == ["position 91", "position 92"]
    tripped = {(event.breaker, event.symbol) for event in records(home, BreakerEvent) if event.change == "trip"}
    assert ("unknown_position", "EURUSD") in tripped


@pytest.mark.parametrize("is_forgotten", [False, True], ids=["named", "by its magic alone"])
async def test_a_trade_held_longer_than_is_read_back_usually_is_known_after_a_restart(
    home: Path, monkeypatch: pytest.MonkeyPatch, is_forgotten: bool
) -> None:
    monkeypatch.setattr("live.books.look_back.TRADING_DAYS", 1)
    (home / "settings.toml").write_text(settings_text(strategy=EAGER + SHORT.replace("bars = 2", "bars = 200")))
    async with holding(home) as (daemon, before, held):
        for day in (1, 2):
            before.now = START + timedelta(days=day)
            if is_forgotten:
                # As a start that had not looked so far back told it: nobody's, with a magic of ours.
                daemon.desk().account.books.trades.begin_anew()
            await before.send(PositionUpdate, position=held)
            await before.settle(before.now)
    # A start that no terminal followed has a day of its own in the journal and tells nothing of positions.
    async with daemon_at(home):
        pass
    (home / "settings.toml").write_text(settings_text(strategy=EAGER + SHORT))
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as terminal:
        assert [trade.position_id for trade in daemon.desk().account.books.trades.open_trades()] == [held.identifier]
        terminal.now = terminal.history_ends = before.now
        terminal.positions, terminal.deals = before.positions, before.deals
        await terminal.hello()
        await terminal.step()
        assert (entries(terminal), closes(terminal)) == (0, [held.ticket]), "nothing is opened beside it"
    (outcome,) = records(home, Outcome)
    assert outcome.exit_reason == "timeout"


# --- refused again and again -----------------------------------------------------------------------------------------------


def changes_of(home: Path, breaker: str) -> list[tuple[str, str]]:
    return [(one.change, one.symbol) for one in records(home, BreakerEvent) if one.breaker == breaker]


async def refusing_bar(terminal: OddTerminal, retcode: int) -> None:
    """Play one bar; what is sent is refused."""
    sent, end = len(terminal.orders), terminal.now + BAR
    await terminal.quotes(terminal.now, end)
    seq = await terminal.heartbeat(end)
    await terminal.until((OrderCommand, CloseCommand, Processed))
    for order in terminal.orders[sent:]:
        await terminal.send(OrderUpdate, request_id=order.request_id, retcode=retcode, order=None, comment="no")
    if len(terminal.orders) > sent:
        await terminal.until(Processed, lambda message: message.upto_seq >= seq)


@pytest.mark.parametrize("retcode", [10017, 10006, 10030])
async def test_an_exit_refused_again_and_again_is_told_and_stops_its_symbol_until_it_is_closed(
    home: Path, retcode: int
) -> None:
    async with holding(home) as (_, terminal, held):
        terminal.fills_orders = False
        for _ in range(4):
            await refusing_bar(terminal, retcode)
        assert len(closes(terminal)) >= 3, "it is tried at each bar"
        (finding,) = [one for one in records(home, Finding) if one.check == "live.trading.refused_orders"]
        assert (finding.severity, str(retcode) in finding.observed) == ("error", True)
        assert changes_of(home, "exit_refused") == [("trip", "EURUSD")]
        terminal.fills_orders = True
        for _ in range(2):
            await terminal.step()
        assert held.ticket not in terminal.positions
    assert changes_of(home, "exit_refused") == [("trip", "EURUSD"), ("reset", "EURUSD")]


async def test_a_stray_position_on_another_symbol_keeps_no_symbol_stopped_whose_exit_succeeded(home: Path) -> None:
    async with holding(home) as (daemon, terminal, held):
        terminal.fills_orders = False
        for _ in range(4):
            await refusing_bar(terminal, 10006)
        assert changes_of(home, "exit_refused") == [("trip", "EURUSD")]
        stray = msgspec.structs.replace(held, identifier="9", ticket="9", symbol="GBPUSD")
        daemon.desk().account.books.unowned["9"] = Unowned(stray, None)
        terminal.fills_orders = True
        for _ in range(2):
            await terminal.step()
        assert held.ticket not in terminal.positions
        assert "9" in daemon.desk().account.books.unowned
    assert changes_of(home, "exit_refused") == [("trip", "EURUSD"), ("reset", "EURUSD")]


async def test_a_position_the_broker_calls_closed_and_the_terminal_holds_is_told_at_once(home: Path) -> None:
    async with holding(home) as (_, terminal, _held):
        terminal.fills_orders = False
        for _ in range(2):
            await refusing_bar(terminal, 10036)
        await terminal.settle(terminal.now + timedelta(seconds=1))
        assert len(closes(terminal)) == 1
        (finding,) = [one for one in records(home, Finding) if one.check == "live.trading.refused_orders"]
        assert "the terminal holds it" in finding.observed


async def test_entries_refused_in_a_row_are_told_once_and_rest(home: Path) -> None:
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as terminal:
        await terminal.hello()
        await terminal.settle(START)
        terminal.fills_orders = False
        for _ in range(14):
            await refusing_bar(terminal, 10030)
        assert entries(terminal) == 4, "three in a row, and one more after half an hour"
        (finding,) = [one for one in records(home, Finding) if one.check == "live.trading.refused_orders"]
        assert "10030" in finding.observed
    assert changes_of(home, "entry_refused") == [("trip", "EURUSD"), ("reset", "EURUSD"), ("trip", "EURUSD")]


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
