"""What the broker changes after the fact, and what a terminal shows of it: to the cent, once, and the same for the same seed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from live.paper.back_office import correct, correct_at_random
from live.paper.book import Book, net_of
from live.paper.broker import Broker
from live.paper.conditions import Conditions, SymbolTerms
from live.paper.desk import Desk
from live.paper.faults import Faults
from live.paper.feed import Feed
from live.paper.hand import trail_stops
from live.paper.script import Event
from live.paper.state import PlayPosition, State
from live.paper.terminal import Setup
from trading_assets.core.market.timeframes import from_ms
from trading_assets.core.messages import (
    DealFacts,
    DealUpdate,
    Hello,
    OrderUpdate,
    PositionUpdate,
    Query,
    Snapshot,
    TerminalHeartbeat,
    Ticks,
)
from trading_assets.core.trades.deal_kinds import KINDS

from .conftest import ScriptedDaemon, listening, trades_by_the_clock
from .test_broker import NOW, entry, exit_of, opened
from .test_conditions import under
from .test_terminal import played, quotes_of, saved_deals

Make = Callable[..., Setup]
OURS = 123_456_789_012


def ours(conditions: Conditions | None = None) -> tuple[Broker, str]:
    account = under(conditions or Conditions())
    return account, opened(account, entry(OURS, volume=Decimal("0.20")))


def done(account: Broker, **fields: Any) -> tuple[list[Any], list[DealFacts]]:
    return correct(account, Event(**fields), NOW + 1)


def test_a_booked_deal_is_told_with_other_money_and_the_balance_follows_also_on_disk(tmp_path: Path):
    account, ticket = ours()
    (_, (deal,)) = done(account, do="restate", money="commission", amount=Decimal("-12.67"))
    assert (deal.position_id, deal.commission) == (ticket, Decimal("-12.67"))
    (_, (deal,)) = done(account, do="restate", money="swap", amount=Decimal("-1.005"))
    assert (deal.commission, deal.swap) == (Decimal("-12.67"), Decimal("-1.01"))
    assert account.book.balance == sum(net_of(one) for one in account.book.deals) == Decimal("9986.32")
    state = State(tmp_path)
    state.save(PlayPosition(played=0, acknowledged=0, now_ms=0), account.book.take_changes())
    assert state.load_book().deals == account.book.deals
    state.close()


@pytest.mark.parametrize("is_closed", [False, True])
def test_cancelled_deals_keep_their_tickets_and_undo_position_and_money(*, is_closed: bool):
    account, ticket = ours()
    if is_closed:
        account.close(exit_of(ticket, "0.20", price=1.085), NOW)
    tickets = [deal.ticket for deal in account.book.deals]
    (_, cancelled) = done(account, do="cancel_deals", whose="ours")
    assert [deal.kind for deal in cancelled] == ["BUY_CANCELED", "SELL_CANCELED"][: 1 + is_closed]
    assert [deal.ticket for deal in account.book.deals] == tickets
    assert (account.book.balance, account.book.positions) == (Decimal("10000.00"), {})


@pytest.mark.parametrize("mode", ["hedging", "netting"])
def test_a_position_gets_another_ticket_and_commands_must_name_it(mode: Any):
    account, ticket = ours(Conditions(margin_mode=mode))
    ((fill,), _) = done(account, do="renumber", whose="ours")
    assert (fill.deal, fill.position.identifier) == (None, ticket)
    assert list(account.book.positions) == [fill.position.ticket] != [ticket]
    assert account.close(exit_of(ticket, "0.20"), NOW).retcode == 10036
    assert account.close(exit_of(fill.position.ticket, "0.20", "c2"), NOW).retcode == 10009
    assert account.book.deals[-1].position_id == ticket


def test_swap_by_reopening_closes_and_opens_under_the_same_identifier():
    account, ticket = ours()
    before = account.book.positions[ticket]
    ((left, entered), _) = done(account, do="reopen")
    assert [(f.deal.entry, f.deal.reason, f.deal.position_id) for f in (left, entered)] == [
        (way, "ROLLOVER", ticket) for way in ("OUT", "IN")
    ]
    (held,) = account.positions()
    assert (held.identifier, held.volume, held.sl, held.tp, held.magic) == (
        ticket, before.volume, before.sl, before.tp, before.magic,
    )  # fmt: skip
    assert held.ticket != ticket
    assert account.book.balance == sum(net_of(one) for one in account.book.deals)


def test_a_contract_changes_while_it_is_traded():
    account, _ = ours()
    changes: list[tuple[dict[str, Any], int]] = [
        ({"trade_mode": "close_only"}, 10044),
        ({"trade_mode": "full", "volume_step": Decimal("0.3")}, 10014),
        ({"volume_step": Decimal("0.01"), "stops_level": 200}, 10016),
        ({"stops_level": 10, "trade_tick_value": Decimal("2")}, 10009),
    ]
    for number, (terms, retcode) in enumerate(changes):
        done(account, do="set_terms", symbol="EURUSD", terms=SymbolTerms(**terms))
        assert account.open(entry(number + 2, volume=Decimal("0.20")), NOW).retcode == retcode
    assert account.contracts["EURUSD"].facts.trade_tick_value == 2
    assert account.contracts["GBPUSD"].facts.trade_tick_value == 1


def test_corrections_at_random_are_of_all_kinds_and_the_same_ones_for_the_same_seed():
    def corrected() -> Book:
        account, _ = ours()
        for second in range(120):
            correct_at_random(account, Faults(seed=5), NOW + second * 1000)
        return account.book

    book = corrected()
    assert book.deals == corrected().deals
    assert {"ROLLOVER", "EXPERT"} <= {deal.reason for deal in book.deals}
    assert len({deal.kind for deal in book.deals} & {name for name, kind in KINDS.items() if kind.role == "cost"}) > 5
    assert any(held.ticket != held.identifier for held in book.positions.values())
    assert book.balance == sum(net_of(deal) for deal in book.deals)


def test_exits_of_some_positions_are_refused_for_ever_and_stops_are_trailed(tmp_path: Path):
    account, ticket = ours()
    account.price("EURUSD", NOW, 1.08650, 1.08658)
    (fill,) = trail_stops(account)
    assert (fill.position.sl, trail_stops(account)) == (1.0855, [])
    state = State(tmp_path)
    desk = Desk(account, state, PlayPosition(played=0, acknowledged=0, now_ms=0), Faults(refused_exits=1.0))
    for number in range(5):
        desk.carry_out(exit_of(ticket, "0.20", f"c{number}", price=1.0865), NOW)
    assert [result.message.retcode for result in desk.sendable()] == [10017] * 5  # type: ignore[union-attr]
    assert list(account.book.positions) == [ticket]
    state.close()


def test_events_are_told_a_step_late_and_results_are_not(tmp_path: Path):
    state = State(tmp_path)
    desk = Desk(
        under(Conditions(), "1000000"), state, PlayPosition(played=0, acknowledged=0, now_ms=0), Faults(late_events=0.5)
    )
    for number in range(20):
        desk.carry_out(entry(number, volume=Decimal("0.10")), NOW)
    kinds = [type(result.message) for result in desk.sendable()]
    assert kinds.count(OrderUpdate) == 20
    assert 5 < kinds.count(DealUpdate) < 15
    desk.next_turn()
    kinds = [type(result.message) for result in desk.sendable()]
    assert kinds.count(OrderUpdate) == kinds.count(DealUpdate) == kinds.count(PositionUpdate) == 20
    state.close()


# --- over a connection ----------------------------------------------------------------------------------------------


async def test_the_account_is_told_in_snapshots_alone(market: Feed, setup: Make):
    async with listening(ScriptedDaemon(trade=trades_by_the_clock)) as daemon:
        until = from_ms(int(market.at_ms[4000]))
        await played(market, setup(daemon, faults=Faults(silent_account=True), until=until))
    assert len(daemon.of(TerminalHeartbeat)) > 10
    assert not any(beat.account for beat in daemon.of(TerminalHeartbeat))


async def test_contracts_told_later_hold_over_a_restart_and_a_changed_deal_is_told_again(market: Feed, setup: Make):
    def asks(daemon: ScriptedDaemon, beat: TerminalHeartbeat) -> list[tuple[type, dict[str, Any]]]:
        return [(Query, {"request_id": f"q{beat.seq}", "what": "state"}), *trades_by_the_clock(daemon, beat)]

    script = (
        Event(at=from_ms(int(market.at_ms[3000])), do="set_terms", terms=SymbolTerms(stops_level=77)),
        Event(after_deals=2, do="restate", amount=Decimal("-3.21")),
    )
    levels: list[set[int]] = []
    async with listening(ScriptedDaemon(trade=asks)) as daemon:
        for index in (6000, 8000):
            daemon.received.clear()
            given = setup(daemon, script=script, until=from_ms(int(market.at_ms[index])))
            await played(market, given)
            levels.append({facts.stops_level for one in daemon.of(Snapshot) for facts in one.symbols})
            if index == 6000:
                tellings = [ticket for ticket in daemon.deal_tickets() if daemon.deal_tickets().count(ticket) > 1]
    assert levels == [{10, 77}, {77}]
    (again,) = set(tellings)
    assert next(deal.commission for deal in saved_deals(given) if deal.ticket == again) == Decimal("-3.21")


async def test_another_login_on_another_server_greets_after_a_reconnect(market: Feed, setup: Make):
    script = (Event(at=from_ms(int(market.at_ms[3000])), do="log_in", login="66", server="Other-Live"),)
    async with listening(ScriptedDaemon()) as daemon:
        await played(market, setup(daemon, script=script, until=from_ms(int(market.at_ms[4000]))))
    assert [(hello.account.login, hello.account.server) for hello in daemon.of(Hello)] == [
        ("10001", "Paper-1"),
        ("66", "Other-Live"),
    ]


async def by_the_clock(market: Feed, setup: Make, daemon: ScriptedDaemon, **changes: Any) -> list[tuple[float, int]]:
    """Play 20 minutes from noon, 600 times as fast; returns each heartbeat's real time (s after noon) and the terminal's (ms)."""
    noon = datetime(2024, 1, 8, 12, tzinfo=UTC)
    loop = asyncio.get_running_loop()
    started, beats = loop.time(), []

    def now() -> datetime:
        return noon + timedelta(seconds=(loop.time() - started) * 600)

    def noted(_daemon: ScriptedDaemon, beat: TerminalHeartbeat) -> list[tuple[type, dict[str, Any]]]:
        beats.append(((now() - noon).total_seconds(), beat.server_time_msc - int(noon.timestamp() * 1000) - 7_200_000))
        return []

    daemon.trade, daemon.says_processed = noted, False
    async with listening(daemon):
        given = setup(daemon, pace="realtime", until=noon + timedelta(minutes=20), **changes)
        await played(market, given, now=now, rate=600.0)
    return beats


async def test_a_clock_that_is_off_and_set_shows_in_every_time_told(market: Feed, setup: Make):
    script = (Event(at=datetime(2024, 1, 8, 12, 10, tzinfo=UTC), do="set_clock", seconds=0.0),)
    beats = await by_the_clock(market, setup, ScriptedDaemon(), faults=Faults(clock_offset_s=300.0), script=script)
    ahead = [told_ms / 1000 - real_s for real_s, told_ms in beats]
    assert max(ahead[:3]) > 200
    assert max(ahead[-3:]) < 100


async def test_a_machine_that_sleeps_keeps_its_connection_and_misses_the_quotes(market: Feed, setup: Make):
    daemon = ScriptedDaemon()
    script = (Event(at=datetime(2024, 1, 8, 12, 5, tzinfo=UTC), do="sleep", seconds=480.0),)
    beats = await by_the_clock(market, setup, daemon, script=script)
    times = sorted(tick for _, tick, _, _ in quotes_of(daemon))
    gap_s = max(after - before for before, after in pairwise(times)) / 1000
    assert 420 < gap_s < 700
    assert max(after[1] - before[1] for before, after in pairwise(beats)) > 420_000
    assert (daemon.connections, daemon.sessions, len(daemon.of(Ticks)) > 0) == (1, 1, True)
