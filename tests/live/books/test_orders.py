"""Orders beside the straight way: working, withdrawn, frozen, out of session; what the frames carry; whose account it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from odd_terminal import OddTerminal, odd_terminal_at
from scripted_terminal import BAR, EAGER, START, RunningDaemon, daemon_at, price_at, records, settings_text

from live.trading.frames import entry_problem
from trading_assets.core.ids import magic
from trading_assets.core.market.timeframes import from_ms, to_ms
from trading_assets.core.messages import (
    CancelCommand,
    CloseCommand,
    DealFacts,
    Goodbye,
    OrderCommand,
    OrderUpdate,
    PositionFacts,
    SignalNotice,
    Tick,
    Ticks,
)
from trading_assets.core.records.decisions import Decision, TraderLimits
from trading_assets.core.records.operations import Finding, OpsError
from trading_assets.core.records.trading import BreakerEvent, Deal, Order, Outcome, Session
from trading_assets.store.journal_disk import sync_file


@pytest.fixture
async def terminal(daemon: RunningDaemon) -> AsyncIterator[OddTerminal]:
    """A terminal whose session stands; it answers no order by itself."""
    async with odd_terminal_at(daemon.port) as odd:
        odd.fills_orders = False
        await odd.hello()
        await odd.settle(START)
        yield odd


def states(home: Path, purpose: str = "OPEN") -> list[str]:
    return [order.state for order in records(home, Order) if order.purpose == purpose]


async def entry(terminal: OddTerminal) -> OrderCommand:
    """Play one bar up to the entry."""
    end = terminal.now + BAR
    await terminal.quotes(terminal.now, end)
    await terminal.heartbeat(end)
    order: OrderCommand = await terminal.until(OrderCommand)
    return order


async def answer(terminal: OddTerminal, retcode: int) -> None:
    await terminal.send(OrderUpdate, request_id=terminal.orders[-1].request_id, retcode=retcode, order=None, comment="")


def foreign(terminal: OddTerminal, number: str = "777", **changes: object) -> PositionFacts:
    facts = PositionFacts(
        ticket="f1", identifier="f1", magic=number, symbol="EURUSD", side="BUY", volume=Decimal("0.10"), price_open=1.1,
        sl=0.0, tp=0.0, swap=Decimal(0), profit=Decimal(0), time_msc=to_ms(terminal.now), comment="by hand",
    )  # fmt: skip
    return msgspec.structs.replace(facts, **changes)


# --- what a frame carries ---------------------------------------------------------------------------------------------


async def test_an_entry_carries_the_quote_it_was_decided_on_and_a_filling_the_symbol_allows(
    terminal: OddTerminal, home: Path
) -> None:
    order = await entry(terminal)
    decision = records(home, Decision)[-1]
    assert (order.known_bid, order.known_ask) == (decision.inputs.bid, decision.inputs.ask)
    assert from_ms(order.quote_msc) == decision.inputs.quote_at
    assert order.filling == "IOC"


async def test_a_symbol_that_fills_all_or_nothing_is_asked_so_and_one_that_fills_nothing_is_not_entered(
    home: Path,
) -> None:
    for mask, filling in ((1, "FOK"), (0, None)):
        async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as odd:
            odd.contract = {"filling_mode": mask}
            odd.now = odd.history_ends = START if filling else START + 12 * BAR
            await odd.hello()
            await odd.settle(odd.now)
            odd.fills_orders = False
            await odd.step()
            assert [one.filling for one in odd.orders] == ([filling] if filling else [])
    assert any("allows no filling" in reason for reason in records(home, Decision)[-1].reasons)


@pytest.mark.parametrize(
    ("contract", "words"),
    [
        ({"trade_mode": "disabled"}, "switched trading on this symbol off"),
        ({"trade_mode": "close_only"}, "be closed only"),
        ({"trade_mode": "short_only"}, "opened SHORT only"),
        ({"volume_limit": Decimal("0.005")}, "volume_limit allows 0 lots"),
    ],
)
async def test_what_the_broker_does_not_allow_is_not_sent_and_said(home: Path, contract: dict, words: str) -> None:  # type: ignore[type-arg]
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as odd:
        odd.contract = contract
        await odd.hello()
        await odd.settle(START)
        await odd.step()
        assert not odd.orders
    assert any(words in reason for reason in records(home, Decision)[-1].reasons)


# --- placed, working, withdrawn -----------------------------------------------------------------------------------------


async def test_a_placed_order_past_its_deadline_is_withdrawn_and_over_once_the_terminal_says_so(
    terminal: OddTerminal, home: Path
) -> None:
    order = await entry(terminal)
    await terminal.place(order)
    await terminal.settle(terminal.now)
    assert states(home)[-1] == "PLACED"
    assert not terminal.cancels, "before its deadline it may still be filled"
    await terminal.settle(terminal.now + timedelta(seconds=11))
    (cancel,) = terminal.cancels
    assert (cancel.order, cancel.magic, cancel.request_id) == ("w1", order.magic, f"cancel-{order.magic}")
    await terminal.settle(terminal.now)
    assert states(home)[-3:] == ["PLACED", "UNKNOWN", "CANCELLED"]
    # The next bar decides anew: nothing is under way any more.
    await terminal.heartbeat(terminal.now)
    await entry(terminal)
    assert len(terminal.orders) == 2


async def test_an_order_filled_while_it_is_withdrawn_is_believed(terminal: OddTerminal, home: Path) -> None:
    terminal.hears_cancels = False
    order = await entry(terminal)
    await terminal.place(order)
    await terminal.settle(terminal.now)
    await terminal.heartbeat(terminal.now + timedelta(seconds=11))
    await terminal.until(CancelCommand)
    terminal.working.clear()
    await terminal.fill(order, tell=False)
    await terminal.settle(terminal.now)
    await terminal.settle(terminal.now + timedelta(seconds=1))
    assert states(home)[-1] == "FILLED"
    assert len(records(home, Deal)) == 1


async def test_a_working_order_that_cannot_be_withdrawn_is_asked_for_until_it_is_gone(
    terminal: OddTerminal, home: Path
) -> None:
    terminal.hears_cancels = False
    await terminal.place(await entry(terminal))
    await terminal.settle(terminal.now)
    for _ in range(3):
        await terminal.settle(terminal.now + timedelta(seconds=11))
    assert len(terminal.cancels) == 3
    assert len({cancel.request_id for cancel in terminal.cancels}) == 1
    terminal.working.clear()
    await terminal.settle(terminal.now + timedelta(seconds=11))
    assert states(home)[-1] == "EXPIRED"
    assert len(terminal.orders) == 1, "it was never sent again"


async def test_the_rest_of_an_order_that_works_on_is_withdrawn_and_the_filled_part_stays(
    terminal: OddTerminal, home: Path
) -> None:
    order = await entry(terminal)
    half = (order.volume / 2).quantize(Decimal("0.01"))
    await terminal.fill(msgspec.structs.replace(order, volume=half), tell=False)
    await terminal.place(order, filled=str(half))
    await terminal.report(terminal.deals[-1], terminal.positions["1000"])
    await terminal.settle(terminal.now)
    await terminal.settle(terminal.now + timedelta(seconds=11))
    await terminal.send(OrderUpdate, request_id=order.request_id, retcode=10010, order=None, comment="")
    # A search sees the rest working: by a new session, which searches at once.
    await terminal.hello()
    await terminal.settle(terminal.now)
    await terminal.settle(terminal.now)
    assert len(terminal.cancels) == 1
    assert states(home)[-1] == "PARTIAL"
    assert "CANCELLED" not in states(home)


async def test_an_order_the_broker_rejects_after_it_was_placed_is_over(terminal: OddTerminal, home: Path) -> None:
    order = await entry(terminal)
    facts = await terminal.place(order)
    terminal.working.clear()
    rejected = msgspec.structs.replace(facts, state="EXPIRED")
    await terminal.send(OrderUpdate, request_id=order.request_id, retcode=10008, order=rejected, comment="expired")
    await terminal.settle(terminal.now)
    assert states(home)[-1] == "EXPIRED"


async def test_an_answer_told_twice_and_late_changes_nothing(terminal: OddTerminal, home: Path) -> None:
    order = await entry(terminal)
    await terminal.fill(order)
    await terminal.settle(terminal.now)
    before = len(records(home, Order))
    for retcode in (10009, 10009, 10006, 10012):
        await answer(terminal, retcode)
    await terminal.settle(terminal.now)
    assert states(home)[-1] == "FILLED"
    assert {one.state for one in records(home, Order)[before:]} <= {"FILLED"}
    assert len(records(home, Deal)) == 1


async def test_a_fill_of_an_order_taken_for_over_is_booked_to_its_decision(terminal: OddTerminal, home: Path) -> None:
    order = await entry(terminal)
    await answer(terminal, 10012)
    await terminal.settle(terminal.now)
    await terminal.settle(terminal.now + timedelta(seconds=11))
    assert states(home)[-1] == "EXPIRED"
    await terminal.fill(order, tell=False)
    await terminal.report(terminal.deals[-1], terminal.positions["1000"])
    await terminal.settle(terminal.now)
    assert states(home)[-1] == "FILLED"
    assert records(home, Deal)[0].signal_id == order.signal_id


# --- session, frozen ------------------------------------------------------------------------------------------------------


async def test_after_market_closed_nothing_is_sent_until_the_symbol_is_quoted_again(
    terminal: OddTerminal, home: Path
) -> None:
    await entry(terminal)
    # The refusal comes after the last quote of the session.
    await terminal.quotes(terminal.now, terminal.now + BAR)
    await answer(terminal, 10018)
    await terminal.settle(START + 2 * BAR)
    quiet = records(home, Decision)[-1]
    assert quiet.inputs.market_closed_at is not None
    assert any("has not quoted since" in reason for reason in quiet.reasons)
    assert len(terminal.orders) == 1
    await entry(terminal)
    assert records(home, Decision)[-1].inputs.market_closed_at is None


async def test_a_frozen_close_backs_off_and_is_sent_again_under_the_same_magic(home: Path) -> None:
    profile = '\n[[accounts.strategy.exit_profiles]]\nname = "short"\nstop_atr = 30.0\ntarget_atr = 60.0\ntimeout_bars = 1\ntrend_fit = 0.0\n'
    (home / "settings.toml").write_text(settings_text(strategy=EAGER + profile))
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as terminal:
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step()
        terminal.fills_orders = False
        end = terminal.now + BAR
        await terminal.quotes(terminal.now, end)
        await terminal.heartbeat(end)
        first = await terminal.until(CloseCommand)
        await answer(terminal, 10029)
        await terminal.settle(end)
        assert len(terminal.orders) == 2, "not at once"
        await terminal.heartbeat(end + timedelta(seconds=2))
        second = await terminal.until(CloseCommand)
        assert (first.magic, first.position) == (second.magic, second.position)
        await terminal.fill(second)
        await terminal.settle(terminal.now)
    assert records(home, Outcome)[0].exit_reason == "timeout"


async def test_a_close_is_held_back_while_the_price_is_within_the_freeze_level_of_the_stop(home: Path) -> None:
    profile = '\n[[accounts.strategy.exit_profiles]]\nname = "short"\nstop_atr = 30.0\ntarget_atr = 60.0\ntimeout_bars = 1\ntrend_fit = 0.0\n'
    (home / "settings.toml").write_text(settings_text(strategy=EAGER + profile))
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as terminal:
        terminal.contract = {"freeze_level": 50}
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step()
        (ticket,) = terminal.positions
        end = terminal.now + BAR
        await terminal.quotes(terminal.now, end)
        bid = price_at(end - BAR / 15)
        # A person has moved the stop to 30 points under the price: the server lets nobody close there.
        await terminal.change(ticket, sl=round(bid - 0.0003, 5))
        await terminal.settle(end)
        await terminal.settle(end + timedelta(seconds=2))
        await terminal.settle(end + timedelta(seconds=4))
        assert not [order for order in terminal.orders if isinstance(order, CloseCommand)]
        await terminal.change(ticket, sl=round(bid - 0.01, 5))
        await terminal.heartbeat(end + timedelta(seconds=9))
        await terminal.until(CloseCommand)
        await terminal.settle(terminal.now)
    closes = [order for order in records(home, Order) if order.purpose == "CLOSE"]
    assert [order.state for order in closes] == ["PLANNED", "PLANNED", "SENT", "PLACED", "FILLED"]
    assert "too near to its stop or target" in closes[1].reason
    assert records(home, Outcome)[0].exit_reason == "timeout"


async def test_a_close_held_back_past_its_deadline_is_on_record_with_a_later_one(home: Path) -> None:
    profile = '\n[[accounts.strategy.exit_profiles]]\nname = "short"\nstop_atr = 30.0\ntarget_atr = 60.0\ntimeout_bars = 1\ntrend_fit = 0.0\n'
    (home / "settings.toml").write_text(settings_text(strategy=EAGER + profile))
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as terminal:
        terminal.contract = {"freeze_level": 50}
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step()
        (ticket,) = terminal.positions
        end = terminal.now + BAR
        await terminal.quotes(terminal.now, end)
        await terminal.change(ticket, sl=round(price_at(end - BAR / 15) - 0.0003, 5))
        for seconds in (0, 2, 4, 12, 14):
            await terminal.settle(end + timedelta(seconds=seconds))
    waits = [order for order in records(home, Order) if "too near to its stop or target" in order.reason]
    assert [order.event_at - end for order in waits] == [timedelta(0), timedelta(seconds=12)]
    assert waits[0].deadline_at < waits[1].event_at < waits[1].deadline_at


async def test_a_frozen_position_that_its_own_stop_closes_is_not_closed_again(home: Path) -> None:
    profile = '\n[[accounts.strategy.exit_profiles]]\nname = "short"\nstop_atr = 30.0\ntarget_atr = 60.0\ntimeout_bars = 1\ntrend_fit = 0.0\n'
    (home / "settings.toml").write_text(settings_text(strategy=EAGER + profile))
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as terminal:
        terminal.contract = {"freeze_level": 50}
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step()
        (ticket,) = terminal.positions
        end = terminal.now + BAR
        await terminal.quotes(terminal.now, end)
        await terminal.change(ticket, sl=round(price_at(end - BAR / 15) - 0.0003, 5))
        await terminal.settle(end)
        await terminal.stop_out(ticket)
        await terminal.settle(end + timedelta(seconds=2))
        assert not [order for order in terminal.orders if isinstance(order, CloseCommand)]
    close = [order for order in records(home, Order) if order.purpose == "CLOSE"][-1]
    assert close.reason == "the position is closed already"


async def test_a_close_held_back_is_over_with_its_position_also_when_no_heartbeat_follows(home: Path) -> None:
    profile = '\n[[accounts.strategy.exit_profiles]]\nname = "short"\nstop_atr = 30.0\ntarget_atr = 60.0\ntimeout_bars = 1\ntrend_fit = 0.0\n'
    (home / "settings.toml").write_text(settings_text(strategy=EAGER + profile))
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as terminal:
        terminal.contract = {"freeze_level": 50}
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step()
        (ticket,) = terminal.positions
        end = terminal.now + BAR
        await terminal.quotes(terminal.now, end)
        await terminal.change(ticket, sl=round(price_at(end - BAR / 15) - 0.0003, 5))
        await terminal.settle(end)
        # The data ends here: the last things said are the deal that closed it, and goodbye.
        await terminal.stop_out(ticket)
        await terminal.send(Goodbye, reason="the data has ended")
    closes = [order for order in records(home, Order) if order.purpose == "CLOSE"]
    assert (closes[-1].state, closes[-1].reason) == ("EXPIRED", "the position is closed already")


# --- netting, hedging, other people's positions --------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "entries"), [("netting", 0), ("hedging", 1)])
async def test_a_foreign_position_on_the_symbol_blocks_entries_where_orders_would_merge(
    home: Path, mode: str, entries: int
) -> None:
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as odd:
        odd.margin_mode = mode
        odd.positions["f1"] = foreign(odd)
        await odd.hello()
        await odd.settle(START)
        await odd.step()
        assert len(odd.orders) == entries
    decision = records(home, Decision)[-1]
    assert (decision.inputs.risk.foreign_positions, decision.inputs.risk.open_positions) == (1, 1)
    assert decision.inputs.risk.long_lots == Decimal("0.10")
    assert any("would merge with it" in reason for reason in decision.reasons) is (mode == "netting")
    (finding,) = records(home, Finding)
    assert (finding.severity, "with magic 777" in finding.observed) == ("info", True)


async def test_a_position_of_our_making_that_no_record_knows_is_found_and_stops_entries(home: Path) -> None:
    orphan = str(magic("a signal of a journal that was lost", "OPEN"))
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as odd:
        odd.positions["f1"] = foreign(odd, orphan)
        await odd.hello()
        await odd.settle(START)
        await odd.step()
        assert not odd.orders, "from the first comparison on"
        tripped = [(event.breaker, event.symbol) for event in records(home, BreakerEvent) if event.change == "trip"]
        assert ("unknown_position", "EURUSD") in tripped
        assert "reconciliation" not in [breaker for breaker, _ in tripped]
        del odd.positions["f1"]
        await odd.hello()
        await odd.settle(odd.now)
        await odd.step()
        assert len(odd.orders) == 1, "once it is gone the breaker lets go"
    differences = [one for one in records(home, Finding) if one.severity == "error"]
    assert len(differences) == 1, "told once, however often it is seen"
    assert "no record knows it" in differences[0].observed


async def test_a_deal_that_turns_our_netted_position_round_ends_the_trade_and_stops_entries(
    terminal: OddTerminal, home: Path
) -> None:
    order = await entry(terminal)
    await terminal.fill(order)
    await terminal.settle(terminal.now)
    held = terminal.positions["1000"]
    deal = msgspec.structs.replace(
        terminal.deals[0], ticket="turn", entry="INOUT", kind="SELL", reason="CLIENT", magic="0", volume=held.volume * 3,
        profit=Decimal("1.00"),
    )  # fmt: skip
    turned = msgspec.structs.replace(held, ticket="t2", side="SELL", volume=held.volume * 2)
    terminal.positions.clear()
    terminal.book(deal, turned)
    await terminal.report(deal, turned)
    await terminal.settle(terminal.now)
    (outcome,) = records(home, Outcome)
    assert (outcome.exit_reason, outcome.volume_lots) == ("manual", order.volume)
    # Its later exit is not ours and makes no second outcome.
    gone = msgspec.structs.replace(deal, ticket="gone", entry="OUT", kind="BUY", volume=turned.volume)
    await terminal.report(gone, msgspec.structs.replace(turned, volume=Decimal(0)))
    await terminal.settle(terminal.now)
    assert len(records(home, Outcome)) == 1
    assert records(home, Deal)[-1].trade_id is None


async def test_a_persons_partial_close_and_close_by_are_the_trades_own(terminal: OddTerminal, home: Path) -> None:
    order = await entry(terminal)
    await terminal.fill(order)
    held = terminal.positions["1000"]
    parts = ((Decimal("0.01"), "OUT"), (held.volume - Decimal("0.01"), "OUT_BY"))
    left = held.volume
    for volume, way in parts:
        left -= volume
        deal: DealFacts = msgspec.structs.replace(
            terminal.deals[0], ticket=f"by-{way}", entry=way, kind="SELL", reason="CLIENT", magic="0", volume=volume
        )
        changed = msgspec.structs.replace(held, volume=left)
        terminal.book(deal, changed)
        await terminal.report(deal, changed)
    await terminal.settle(terminal.now)
    (outcome,) = records(home, Outcome)
    assert (outcome.exit_reason, outcome.volume_lots) == ("manual", held.volume)


# --- many at once, recommendations ------------------------------------------------------------------------------------------


async def test_symbols_that_close_at_once_count_each_others_entries(home: Path) -> None:
    limited = "max_positions = 1\n" + EAGER
    (home / "settings.toml").write_text(settings_text(symbols=("EURUSD", "GBPUSD"), strategy=limited))
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as odd:
        await odd.hello()
        await odd.settle(START)
        await odd.step(("EURUSD", "GBPUSD"))
        assert len(odd.orders) == 1
    second = records(home, Decision)[-1]
    assert (second.symbol, second.inputs.risk.pending_entries) == ("GBPUSD", 1)
    assert second.inputs.risk.reserved_margin > 0
    assert any("1 entries are under way, the limit is 1" in reason for reason in second.reasons)


async def test_a_recommendation_is_shown_once_it_is_durable_and_nothing_is_sent(home: Path) -> None:
    (home / "settings.toml").write_text(settings_text(mode="recommend"))
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as odd:
        await odd.hello()
        await odd.settle(START)
        end = odd.now + BAR
        await odd.quotes(odd.now, end)
        await odd.heartbeat(end)
        notice = await odd.until(SignalNotice)
        decision = records(home, Decision)[-1]
        assert notice.signal_id == decision.signal_id
        assert (notice.entry, notice.sl, notice.tp) == (
            decision.entry_price,
            decision.stop_price,
            decision.target_price,
        )
        assert (notice.volume, notice.confidence, notice.reasons) == (
            decision.volume_lots, decision.confidence, decision.reasons,
        )  # fmt: skip
        assert not odd.orders


async def test_in_observe_nothing_is_shown(home: Path) -> None:
    (home / "settings.toml").write_text(settings_text(mode="observe"))
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as odd:
        await odd.hello()
        await odd.settle(START)
        await odd.step()
        assert not [message for message in odd.received if isinstance(message, SignalNotice)]


async def test_the_traders_limits_are_recorded_with_the_session_and_bind_until_they_change(home: Path) -> None:
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as odd:
        odd.limits = TraderLimits(allowed_symbols=("GBPUSD",))
        await odd.hello()
        await odd.settle(START)
        await odd.step()
        assert not odd.orders
        odd.limits = TraderLimits(risk_per_trade=0.002)
        await odd.hello()
        await odd.settle(odd.now)
        await odd.step()
        assert len(odd.orders) == 1
    forbidden, allowed = records(home, Decision)
    assert any("the trader does not allow EURUSD" in reason for reason in forbidden.reasons)
    assert allowed.risk_amount <= Decimal(20)
    assert any("0.20% of equity at risk in a trade, not 1.00%" in reason for reason in allowed.reasons)
    # The broker's names become ours; a symbol that is not traded here has none.
    assert [session.limits for session in records(home, Session)] == [
        TraderLimits(allowed_symbols=()),
        TraderLimits(risk_per_trade=0.002),
    ]


async def test_the_end_of_the_symbols_own_week_is_known_and_kept(home: Path) -> None:
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as odd:
        # Tuesday 09:00, an hour after the start.
        odd.contract = {"week_end_minute": 24 * 60 + 9 * 60}
        await odd.hello()
        await odd.settle(START)
        await odd.step()
        assert not odd.orders
    (decision,) = records(home, Decision)
    assert decision.inputs.week_ends_at == START + timedelta(hours=1)
    assert any("last 120 minutes of the week" in reason for reason in decision.reasons)


async def test_quotes_that_were_delivered_late_are_recorded_and_not_traded(terminal: OddTerminal, home: Path) -> None:
    times = [terminal.now + index * timedelta(seconds=20) for index in range(15)]
    ticks = tuple(Tick(to_ms(at), price_at(at), price_at(at) + 0.0001) for at in times)
    await terminal.send(Ticks, symbol="EURUSD", ticks=ticks, is_late=True)
    await terminal.settle(terminal.now + BAR)
    decision = records(home, Decision)[-1]
    assert decision.inputs.is_late
    assert any("delivered late" in reason for reason in decision.reasons)
    assert not terminal.orders
    await entry(terminal)
    assert not records(home, Decision)[-1].inputs.is_late


async def test_an_entry_is_not_sent_once_a_breaker_tripped_or_the_price_ran_away(
    daemon: RunningDaemon, terminal: OddTerminal
) -> None:
    order = await entry(terminal)
    account = daemon.desk().account
    intent = account.books.orders.find(order.magic)
    assert intent is not None
    spec, quote = account.books.specs["EURUSD"], account.feed.last["EURUSD"]
    assert entry_problem(intent.order, spec, quote) == ""
    away = quote._replace(bid=quote.bid + 0.002, ask=quote.ask + 0.002)
    assert "the price moved by 200 points, 100 are accepted" in entry_problem(intent.order, spec, away)
    near = quote._replace(bid=intent.order.stop_price + 0.00005, ask=intent.order.stop_price + 0.00015)
    assert "came too close to stop or target" in entry_problem(intent.order, spec, near)
    assert account.sender._problem(intent.order, terminal.now) == ""
    account.books.risk.trip("halt", "a test", terminal.now)
    assert account.sender._problem(intent.order, terminal.now) == "breaker halt tripped before it was sent"
    late = intent.order.deadline_at + timedelta(seconds=1)
    assert account.sender._problem(intent.order, late) == "its deadline passed before it was sent"


async def test_the_journals_breaker_lets_go_only_after_something_was_made_durable(home: Path) -> None:
    is_failing = False

    def sync(descriptor: int) -> None:
        if is_failing:
            raise OSError(28, "No space left on device")
        sync_file(descriptor)

    async with daemon_at(home, sync=sync) as daemon:
        account = daemon.desk().account
        recorder, risk, watch = account.recorder, account.books.risk, account.trader._watch_journal
        is_failing = True
        assert not await recorder.append([recorder.make(OpsError, START, "c", component="test", message="lost")])
        watch()
        assert risk.is_tripped("journal")
        is_failing = False
        watch()
        assert risk.is_tripped("journal"), "that the disk may be well again is no proof"
        assert await recorder.append([recorder.make(OpsError, START, "c", component="test", message="kept")])
        watch()
        assert not risk.is_tripped("journal")
    changes = [(event.breaker, event.change) for event in records(home, BreakerEvent)]
    assert changes[-1] == ("journal", "reset")
