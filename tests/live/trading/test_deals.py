"""Deals of the account that fill nothing, deals that change after they were told, and what the marks make of them."""

from __future__ import annotations

from decimal import Decimal

from scripted_terminal import BAR, RunningDaemon, ScriptedTerminal, records

from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.messages import DealFacts, DealUpdate, Processed, TerminalHeartbeat
from trading_assets.core.records.decisions import Decision, RiskState
from trading_assets.core.records.operations import Finding
from trading_assets.core.records.trading import BreakerEvent


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
