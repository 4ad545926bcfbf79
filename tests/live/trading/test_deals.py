"""Deals of the account that fill nothing, deals that change after they were told, and what the marks make of them."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from scripted_terminal import BAR, RunningDaemon, ScriptedTerminal, records

from live.books.books import Books
from live.books.orders import OrderBook
from live.books.recovery import Past
from live.books.risk_state import RiskBook
from live.books.trades import TradeBook
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.messages import DealFacts, DealUpdate, Processed, TerminalHeartbeat
from trading_assets.core.records.decisions import Decision, RiskState
from trading_assets.core.records.operations import Finding
from trading_assets.core.records.trading import BreakerEvent, Deal, Outcome


def operation(terminal: ScriptedTerminal, kind: str, amount: str) -> DealFacts:
    """Book a deal that fills nothing, at the broker."""
    deal = DealFacts(
        ticket=f"c{len(terminal.deals)}", order="0", position_id="0", magic="0", symbol="", kind=kind, entry="IN",
        reason="CLIENT", volume=Decimal(0), price=0.0, profit=Decimal(amount), commission=Decimal(0), swap=Decimal(0),
        fee=Decimal(0), time_msc=to_ms(terminal.now), comment="",
    )  # fmt: skip
    terminal.deals.append(deal)
    terminal.balance += deal.profit
    return deal


async def tell(terminal: ScriptedTerminal, deal: DealFacts) -> None:
    """Tell a deal with the account as it is now."""
    await terminal.send(DealUpdate, deal=deal, account=terminal.account())


def marks(daemon: RunningDaemon) -> RiskState:
    """What the last decision saw of the marks."""
    last: Decision = records(daemon.home, Decision)[-1]
    return last.inputs.risk


async def test_costs_lower_the_equity_deposits_move_the_marks_and_a_type_nobody_knows_is_reported(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    terminal.fills_orders = False
    await terminal.step()
    for kind, amount in (("COMMISSION_DAILY", "-12.40"), ("BALANCE", "500"), ("BONUS", "50"), ("NEW_TYPE", "-1")):
        await tell(terminal, operation(terminal, kind, amount))
    await terminal.step()
    decision = records(daemon.home, Decision)[-1]
    assert decision.inputs.account_state.equity == Decimal("10536.60")
    assert marks(daemon).equity_high_water_mark == Decimal("10550.00")
    (finding,) = (one for one in records(daemon.home, Finding) if one.check == "live.trading.settlement")
    assert "NEW_TYPE is none" in finding.observed


async def test_a_deposit_shown_before_its_deal_stops_entries_only_until_it_is_told(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    terminal.fills_orders = False
    await terminal.step()
    # The account's facts come first, a bar closes, and the event of the deal is lost: the search finds it.
    deposit = operation(terminal, "BALANCE", "10000")
    terminal.deals.remove(deposit)
    end = terminal.now + BAR
    await terminal.quotes(terminal.now, end)
    terminal.now = end
    seq = await terminal.send(TerminalHeartbeat, server_time_msc=to_ms(end), account=terminal.account())
    await terminal.until(Processed, lambda message: message.upto_seq >= seq)
    decision = records(daemon.home, Decision)[-1]
    assert decision.inputs.risk.unexplained_balance == Decimal(10000)
    assert decision.action == "NONE"
    terminal.deals.append(deposit)
    await terminal.step()
    await terminal.step()
    assert marks(daemon).equity_high_water_mark == Decimal("20000.00")
    assert marks(daemon).unexplained_balance == 0
    trips = {(one.breaker, one.change) for one in records(daemon.home, BreakerEvent)}
    assert trips == {("model_absent", "trip"), ("reconciliation", "trip"), ("reconciliation", "reset")}


async def test_a_deal_told_again_with_other_money_is_recorded_and_its_outcome_revised(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    await terminal.step()
    held = next(iter(terminal.positions.values()))
    await terminal.stop_out(held.ticket, "TP")
    await terminal.step()
    (before,) = records(daemon.home, Outcome)
    # The entry's commission is charged later: told by an event; then its swap is corrected and only a search tells it.
    entry = terminal.deals[0]
    await tell(terminal, change(terminal, entry, commission=entry.commission - Decimal("12.67")))
    await tell(terminal, terminal.deals[0])
    await terminal.step()
    change(terminal, terminal.deals[0], swap=Decimal("-0.50"))
    end = terminal.now + BAR
    seq = await terminal.send(TerminalHeartbeat, server_time_msc=to_ms(end), account=terminal.account())
    terminal.now = end
    await terminal.until(Processed, lambda message: message.upto_seq >= seq)
    await terminal.step()
    tellings = [deal for deal in records(daemon.home, Deal) if deal.deal_ticket == entry.ticket]
    assert [(deal.commission, deal.swap) for deal in tellings] == [
        (Decimal("-2.50"), 0), (Decimal("-15.17"), 0), (Decimal("-15.17"), Decimal("-0.50")),
    ]  # fmt: skip
    revisions = [one for one in records(daemon.home, Outcome) if one.trade_id == before.trade_id]
    assert [(one.revision, before.net_pnl - one.net_pnl) for one in revisions] == [
        (0, 0), (1, Decimal("12.67")), (2, Decimal("13.17")),
    ]  # fmt: skip
    assert marks(daemon).unexplained_balance == 0


async def test_an_entry_the_broker_takes_back_leaves_no_position_and_no_trade_after_a_restart_too(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    await terminal.step()
    (entry,) = terminal.deals
    terminal.positions.clear()
    terminal.fills_orders = False
    await tell(terminal, change(terminal, entry, kind="BUY_CANCELED", commission=Decimal(0)))
    await terminal.step()
    books = daemon.desk().account.books
    assert books.trades.open_trades() == []
    assert [deal.kind for deal in records(daemon.home, Deal)] == ["BUY", "BUY_CANCELED"]
    assert books.money.unexplained == 0
    account = daemon.desk().account
    strategy = account.strategy
    later = Books(
        OrderBook(account.recorder, strategy), TradeBook(account.recorder, lambda _: None), RiskBook(strategy.breakers)
    )
    Past(daemon.home / "raw", "tests", account.name).restore_books(later)
    assert later.trades.open_trades() == []
    assert later.money.unexplained == 0


def change(terminal: ScriptedTerminal, deal: DealFacts, **figures: object) -> DealFacts:
    """Change a deal at the broker."""
    later = msgspec.structs.replace(deal, **figures)
    terminal.deals[terminal.deals.index(deal)] = later
    moved = [one.profit + one.commission + one.swap + one.fee for one in (deal, later)]
    terminal.balance += moved[1] - moved[0]
    return later
