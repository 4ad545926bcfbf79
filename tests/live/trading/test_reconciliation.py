"""What happens when the terminal does not say what became of an order, or says something else than our books."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from scripted_terminal import BAR, EAGER, START, RunningDaemon, ScriptedTerminal, daemon_at, records, settings_text

from live.books.recovery import Past
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.messages import (
    CloseCommand,
    DealUpdate,
    OrderCommand,
    OrderFacts,
    OrderUpdate,
    Processed,
    Query,
    TerminalHeartbeat,
)
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.operations import Finding, OpsError
from trading_assets.core.records.trading import BreakerEvent, Deal, Order, Outcome
from trading_assets.store.journal import JournalError


def states(home: Path, purpose: str = "OPEN") -> list[str]:
    return [order.state for order in records(home, Order) if order.purpose == purpose]


async def answer(terminal: ScriptedTerminal, retcode: int) -> None:
    """Answer the last order with a result code and nothing else."""
    await terminal.send(OrderUpdate, request_id=terminal.orders[-1].request_id, retcode=retcode, order=None, comment="")


async def play_bar(terminal: ScriptedTerminal) -> None:
    """Play one bar up to the daemon's order, which is not answered yet."""
    end = terminal.now + BAR
    await terminal.quotes(terminal.now, end)
    await terminal.heartbeat(end)
    await terminal.until(OrderCommand)


async def test_an_order_that_is_filled_without_a_word_is_found_by_its_magic(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    terminal.fills_orders = False
    await terminal.settle(START)
    await play_bar(terminal)
    await terminal.fill(terminal.orders[0], tell=False)
    await terminal.settle(terminal.now)
    assert states(daemon.home) == ["PLANNED", "SENT", "UNKNOWN", "FILLED"]
    assert records(daemon.home, Deal)[0].signal_id == terminal.orders[0].signal_id
    await terminal.step()
    assert len(terminal.orders) == 1, "nothing is sent again"


async def test_a_deal_of_a_fill_that_nobody_told_is_asked_for(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    terminal.fills_orders = False
    await terminal.settle(START)
    await play_bar(terminal)
    order = terminal.orders[0]
    await terminal.fill(order, tell=False)
    whole = terminal.deals.pop()
    half = whole.volume // 2
    parts = [
        msgspec.structs.replace(whole, ticket=f"{whole.ticket}-{part}", volume=volume)
        for part, volume in enumerate((half, whole.volume - half))
    ]
    terminal.deals += parts
    facts = OrderFacts(
        ticket=whole.order, position_id=whole.position_id, magic=order.magic, symbol=order.symbol, side="BUY",
        state="FILLED", volume_initial=order.volume, volume_current=Decimal(0), price_open=order.price, sl=0.0, tp=0.0,
        time_setup_msc=whole.time_msc, time_done_msc=whole.time_msc,
    )  # fmt: skip
    await terminal.send(OrderUpdate, request_id=order.request_id, retcode=10009, order=facts, comment="done")
    await terminal.send(DealUpdate, deal=parts[0], account=terminal.account())
    await terminal.settle(terminal.now)
    assert [deal.deal_ticket for deal in records(daemon.home, Deal)] == [part.ticket for part in parts]
    assert states(daemon.home)[-1] == "FILLED"


async def test_an_exit_told_before_its_entry_belongs_to_its_trade_all_the_same(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    terminal.fills_orders = False
    await terminal.settle(START)
    await play_bar(terminal)
    await terminal.fill(terminal.orders[0], tell=False)
    (entry,), (held,) = terminal.deals, terminal.positions.values()
    part = msgspec.structs.replace(
        entry, ticket="x1", kind="SELL", entry="OUT", reason="CLIENT", volume=Decimal("0.01"), magic="0"
    )
    terminal.book(part, msgspec.structs.replace(held, volume=held.volume - part.volume))
    await terminal.send(DealUpdate, deal=part, account=terminal.account())
    await terminal.settle(terminal.now)
    booked = records(daemon.home, Deal)
    assert [deal.deal_ticket for deal in booked] == [entry.ticket, "x1"]
    assert len({deal.trade_id for deal in booked}) == 1
    assert booked[0].trade_id is not None


async def test_a_balance_that_no_known_deal_explains_is_asked_about(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    await terminal.settle(START)
    await terminal.step()
    (held,) = terminal.positions
    deal = msgspec.structs.replace(
        terminal.deals[0], ticket="x1", kind="SELL", entry="OUT", reason="SL", profit=Decimal("-7.00")
    )
    terminal.book(deal, msgspec.structs.replace(terminal.positions[held], volume=Decimal(0)))
    seq = await terminal.send(TerminalHeartbeat, server_time_msc=to_ms(terminal.now), account=terminal.account())
    await terminal.until(Processed, lambda message: message.upto_seq >= seq)
    (outcome,) = records(daemon.home, Outcome)
    assert outcome.exit_reason == "stop"


@pytest.mark.parametrize("retcode", [10012, 10031, 10011, 10028, 12345])
async def test_an_unknown_result_blocks_entries_until_the_terminal_is_searched_after_the_deadline(
    daemon: RunningDaemon, terminal: ScriptedTerminal, retcode: int
) -> None:
    terminal.fills_orders = False
    await terminal.settle(START)
    await play_bar(terminal)
    await answer(terminal, retcode)
    await terminal.settle(terminal.now)
    assert states(daemon.home)[-1] == "UNKNOWN", "before the deadline it may still arrive"
    await terminal.settle(terminal.now + timedelta(seconds=11))
    assert states(daemon.home)[-1] == "EXPIRED"
    assert len(terminal.orders) == 1


async def test_while_a_result_is_unknown_the_next_bar_waits(daemon: RunningDaemon, terminal: ScriptedTerminal) -> None:
    terminal.fills_orders = False
    await terminal.settle(START)
    await play_bar(terminal)
    await answer(terminal, 10012)
    # The terminal cannot be searched: it says it holds no such deal, but holds the position.
    terminal.knows_deals = False
    await terminal.fill(terminal.orders[0], tell=False)
    await terminal.step()
    last = records(daemon.home, Decision)[-1]
    assert (last.action, last.inputs.risk.pending_orders) == ("NONE", 1)
    assert any(verdict.filter == "pending_orders" and verdict.verdict == "block" for verdict in last.filters)
    assert len(terminal.orders) == 1


@pytest.mark.parametrize("retcode", [10006, 10014, 10018, 10019])
async def test_a_refused_order_is_closed_with_its_code_and_the_next_bar_decides_anew(
    daemon: RunningDaemon, terminal: ScriptedTerminal, retcode: int
) -> None:
    terminal.fills_orders = False
    await terminal.settle(START)
    await play_bar(terminal)
    await answer(terminal, retcode)
    await terminal.settle(terminal.now)
    last = records(daemon.home, Order)[-1]
    assert (last.state, last.retcode) == ("REFUSED", retcode)
    tripped = [(event.breaker, event.symbol) for event in records(daemon.home, BreakerEvent) if event.change == "trip"]
    # The broker's margin is the symbol's: the others are traded on.
    assert (("no_money", "EURUSD") in tripped) == (retcode == 10019)
    assert "account" not in [name for name, _ in tripped]


async def test_an_entry_whose_price_moved_is_left_to_the_next_bar(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    terminal.fills_orders = False
    await terminal.settle(START)
    await play_bar(terminal)
    await answer(terminal, 10004)
    await terminal.settle(terminal.now)
    assert states(daemon.home) == ["PLANNED", "SENT", "PLANNED", "EXPIRED"]
    assert len(terminal.orders) == 1


async def test_a_close_whose_price_moved_is_sent_again_under_the_same_magic(home: Path) -> None:
    profile = '\n[[accounts.strategy.exit_profiles]]\nname = "short"\nstop_atr = 30.0\ntarget_atr = 60.0\ntimeout_bars = 1\ntrend_fit = 0.0\n'
    (home / "settings.toml").write_text(settings_text(strategy=EAGER + profile))
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step()
        terminal.fills_orders = False
        end = terminal.now + BAR
        await terminal.quotes(terminal.now, end)
        await terminal.heartbeat(end)
        first = await terminal.until(CloseCommand)
        await answer(terminal, 10004)
        second = await terminal.until(CloseCommand)
        assert (first.magic, first.position) == (second.magic, second.position)
        await terminal.fill(second)
        await terminal.settle(end)
    assert records(home, Outcome)[0].exit_reason == "timeout"


async def test_results_that_come_in_the_other_order_give_the_same_end(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    terminal.fills_orders = False
    await terminal.settle(START)
    await play_bar(terminal)
    await terminal.fill(terminal.orders[0], tell=False)
    await terminal.report(terminal.deals[-1], terminal.positions["1000"])
    await answer(terminal, 10009)
    await terminal.settle(terminal.now)
    assert states(daemon.home)[-1] == "FILLED"
    assert len(records(daemon.home, Deal)) == 1


async def test_a_deal_told_twice_is_booked_once(daemon: RunningDaemon, terminal: ScriptedTerminal) -> None:
    await terminal.settle(START)
    await terminal.step()
    for _ in range(2):
        await terminal.report(terminal.deals[0], terminal.positions["1000"])
    await terminal.settle(terminal.now)
    assert len(records(daemon.home, Deal)) == 1


async def test_a_partial_fill_is_real_volume(daemon: RunningDaemon, terminal: ScriptedTerminal) -> None:
    terminal.fills_orders = False
    await terminal.settle(START)
    await play_bar(terminal)
    order = terminal.orders[0]
    half = msgspec.structs.replace(order, volume=(order.volume / 2).quantize(Decimal("0.01")))
    await terminal.fill(half, tell=False)
    await answer(terminal, 10010)
    await terminal.report(terminal.deals[-1], terminal.positions["1000"])
    await terminal.settle(terminal.now)
    assert states(daemon.home)[-1] == "PARTIAL"
    await terminal.stop_out("1000")
    await terminal.settle(terminal.now)
    (outcome,) = records(daemon.home, Outcome)
    assert outcome.volume_lots == half.volume


async def test_a_position_that_vanished_without_a_deal_becomes_a_finding_and_stops_entries(
    home: Path,
) -> None:
    async with daemon_at(home) as daemon:
        async with daemon.terminal() as terminal:
            await terminal.hello()
            await terminal.settle(START)
            await terminal.step()
        now = terminal.now
        async with daemon.terminal() as again:
            again.now, again.history_ends = now, now
            again.deals = list(terminal.deals)
            await again.hello()
            await again.settle(now)
            await again.settle(now)
            await again.hello()
            await again.settle(now)
            status = (await daemon.status())["accounts"]["paper"]
            assert "reconciliation" in status["tripped_breakers"]
    finding = records(home, Finding)[0]
    assert "the terminal does not hold it" in finding.observed


async def test_an_exit_that_happened_while_nobody_listened_is_read_on_the_next_connection(home: Path) -> None:
    async with daemon_at(home) as daemon:
        async with daemon.terminal() as terminal:
            await terminal.hello()
            await terminal.settle(START)
            await terminal.step()
        held = terminal.positions["1000"]
        async with daemon.terminal() as again:
            again.now = again.history_ends = terminal.now
            again.positions, again.deals = dict(terminal.positions), list(terminal.deals)
            again.session = "not yet"
            # Booked at the broker, told to nobody.
            closed = msgspec.structs.replace(held, volume=Decimal(0))
            deal = msgspec.structs.replace(
                terminal.deals[0], ticket="late", entry="OUT", kind="SELL", reason="SL", price=held.sl,
                profit=again.profit(held, held.sl),
            )  # fmt: skip
            again.book(deal, closed)
            await again.hello()
            await again.settle(again.now)
    (outcome,) = records(home, Outcome)
    assert outcome.exit_reason == "stop"
    assert outcome.gross_pnl == deal.profit


async def test_a_reversal_closes_first_and_opens_once_the_position_is_gone(home: Path) -> None:
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step()
        assert isinstance(terminal.orders[0], OrderCommand)
        # The market turns: bar after bar lower, until the other side is strong enough.
        for _ in range(60):
            begin = terminal.now
            last = records_price(terminal)
            times = [begin + index * timedelta(seconds=20) for index in range(15)]
            await terminal.ticks(
                [
                    (at, round(last - 0.00002 * index, 5), round(last - 0.00002 * index + 0.0001, 5))
                    for index, at in enumerate(times)
                ]
            )
            terminal.bid = round(last - 0.00002 * 15, 5)
            await terminal.settle(begin + BAR)
            if len(terminal.orders) > 1:
                break
        decision = records(home, Decision)[-1]
        assert decision.action == "REVERSE"
        assert [type(order) for order in terminal.orders] == [OrderCommand, CloseCommand, OrderCommand]
        assert terminal.orders[2].side == "SELL"
        assert len(terminal.positions) == 1
    kinds = [(order.purpose, order.state) for order in records(home, Order)][-8:]
    assert kinds.index(("CLOSE", "FILLED")) < kinds.index(("OPEN", "SENT"))
    assert records(home, Outcome)[0].exit_reason == "signal"


def records_price(terminal: ScriptedTerminal) -> float:
    return getattr(terminal, "bid", 1.1)


async def test_deals_of_days_that_are_not_read_back_are_not_booked_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step()
        await terminal.stop_out("1000")
        # A day later the journal's first day is beyond what a restart reads.
        await terminal.settle(START + timedelta(days=1))
        await terminal.step()
    booked = len(records(home, Deal))
    monkeypatch.setattr("live.books.look_back.TRADING_DAYS", 1)
    async with daemon_at(home) as daemon:
        assert daemon.desk().account.books.trades.known.since is not None
        async with daemon.terminal() as again:
            again.now = again.history_ends = terminal.now
            again.deals, again.positions = list(terminal.deals), dict(terminal.positions)
            await again.hello()
            await again.settle(again.now)
            await daemon.desk().account.reconciliation.ask(in_full=True)
            await again.settle(again.now)
            assert len(records(home, Deal)) == booked
            # Told once more although it is older than what was read back, and beside it one that nobody ever booked.
            known, missed = terminal.deals[0], msgspec.structs.replace(terminal.deals[0], ticket="missed", magic="0")
            assert daemon.desk().account.books.trades.known.standing(known.ticket, START) == "unsure"
            for deal in (known, missed, missed):
                await again.send(DealUpdate, deal=deal, account=again.account())
            await again.settle(again.now)
    tickets = [deal.deal_ticket for deal in records(home, Deal)]
    assert len(tickets) == len(set(tickets)) == booked + 1
    assert tickets[-1] == "missed"


async def test_a_deal_of_long_ago_that_cannot_be_looked_up_is_neither_booked_nor_forgotten(
    daemon: RunningDaemon, terminal: ScriptedTerminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await terminal.settle(START)
    await terminal.step()
    account = daemon.desk().account
    account.books.trades.known.since = START + timedelta(days=1)
    old = msgspec.structs.replace(terminal.deals[0], ticket="old", magic="0")

    def unreadable(_past: Past, _deals: object) -> set[str]:
        raise JournalError("reading", "the journal", "the disk is away", "mend the disk")

    with monkeypatch.context() as broken:
        broken.setattr(Past, "booked", unreadable)
        await terminal.send(DealUpdate, deal=old, account=terminal.account())
        await terminal.settle(terminal.now)
    assert "old" not in [deal.deal_ticket for deal in records(daemon.home, Deal)]
    assert any("cannot be looked up" in error.message for error in records(daemon.home, OpsError))
    await terminal.send(DealUpdate, deal=old, account=terminal.account())
    await terminal.settle(terminal.now)
    assert [deal.deal_ticket for deal in records(daemon.home, Deal)].count("old") == 1


async def test_a_search_reaches_back_to_the_order_whose_result_is_not_known_though_later_deals_are(home: Path) -> None:
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        terminal.fills_orders = False
        await terminal.hello()
        await terminal.settle(START)
        await play_bar(terminal)
        # Filled, and nobody said so; hours later another deal of the account is told.
        await terminal.fill(terminal.orders[0], tell=False)
        filled_at = terminal.deals[0].time_msc
        later = msgspec.structs.replace(
            terminal.deals[0], ticket="x1", order="y1", position_id="77", magic="0",
            time_msc=filled_at + to_ms(START + timedelta(hours=5)) - to_ms(START),
        )  # fmt: skip
        books = daemon.desk().account.books
        books.trades.known.last_at = START + timedelta(hours=5)
        terminal.deals.append(later)
        terminal.balance += later.commission
        await terminal.settle(terminal.now + timedelta(hours=5))
        asked = [one for one in terminal.received if isinstance(one, Query) and one.what == "deals"][-1]
        assert asked.from_msc <= filled_at
        assert [order.state for order in records(home, Order) if order.purpose == "OPEN"][-1] == "FILLED"


async def test_a_difference_seen_once_stops_nothing_and_seen_again_it_does(
    daemon: RunningDaemon, terminal: ScriptedTerminal, home: Path
) -> None:
    await terminal.settle(START)
    await terminal.step()
    assert terminal.positions
    terminal.positions.clear()
    account, seen = daemon.desk().account, []
    for _ in range(2):
        assert await daemon.desk().query("deals")
        await terminal.settle(terminal.now)
        seen.append((account.reconciliation.differences, account.books.risk.is_tripped("reconciliation")))
    assert seen == [(1, False), (2, True)]
    assert any("the terminal does not hold it" in finding.observed for finding in records(home, Finding))
