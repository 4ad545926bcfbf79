"""What the broker itself changes after the fact: money of booked deals, cancelled deals, tickets of positions, contracts.

MetaTrader's rules: the identifier of a position stays for its life, its ticket is another one once the server books the position anew
(DEAL_REASON_ROLLOVER); a cancelled deal keeps its ticket, becomes BUY_CANCELED or SELL_CANCELED, and its profit is zero. What people do
is `hand`'s. The same account at the same quotes gives the same result.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from live.paper.broker import Broker
from live.paper.contracts import cents
from live.paper.dealing import OPPOSITE, ZERO
from live.paper.faults import Faults
from live.paper.hand import chosen, is_our_magic
from live.paper.orders import Fill
from live.paper.script import Event
from trading_assets.core.messages import DealFacts, PositionFacts
from trading_assets.core.trades.deal_kinds import KINDS, TRADE_KINDS

_AT_RANDOM = ("restate", "restate", "charge", "reopen", "renumber")
_NEWEST_OF_OURS = Event(do="renumber", whose="ours")
_OF_LATE = 12
"""Deals that are changed at random are among the last so many."""
_CHARGES = tuple(name for name, kind in KINDS.items() if kind.role == "cost")


def restate(broker: Broker, deal: DealFacts, money: str, amount: Decimal) -> DealFacts:
    """Change one kind of a booked deal's money (profit, commission, swap, fee) and return the deal as it is now."""
    changed = msgspec.structs.replace(deal, **{money: cents(amount)})
    broker.book.revise(changed)
    return changed


def cancel(broker: Broker, position_id: str) -> list[DealFacts]:
    """Take back every deal of a position, which is open no longer; returns the deals as they are now."""
    cancelled = [
        msgspec.structs.replace(deal, kind=f"{deal.kind}_CANCELED", profit=ZERO, commission=ZERO, swap=ZERO, fee=ZERO)
        for deal in broker.book.deals
        if deal.position_id == position_id and deal.kind in TRADE_KINDS
    ]
    for deal in cancelled:
        broker.book.revise(deal)
    for held in [one for one in broker.book.positions.values() if one.identifier == position_id]:
        broker.book.put(msgspec.structs.replace(held, volume=Decimal(0)))
    return cancelled


def renumber(broker: Broker, held: PositionFacts) -> list[Fill]:
    """Give a position another ticket, without a deal; its identifier stays."""
    broker.book.put(msgspec.structs.replace(held, volume=Decimal(0)))
    return [broker.change(held, ticket=broker.book.ticket())]


def reopen(broker: Broker, held: PositionFacts, comment: str, now_msc: int) -> list[Fill]:
    """Close a position and open it again at the same price, as swap by reopening does: identifier, stops and magic stay."""
    price = broker.quotes[held.symbol].market(OPPOSITE[held.side])
    left = broker.leave(held, held.volume, price, "ROLLOVER", comment, now_msc, commission=ZERO)
    ticket = broker.book.ticket()
    again = msgspec.structs.replace(held, ticket=ticket, price_open=price, swap=ZERO)
    return [left, broker.enter_anew(again, comment, now_msc)]


def change_terms(broker: Broker, event: Event) -> None:
    """Let other terms hold for a symbol, or for each, from now on."""
    for symbol in (event.symbol,) if event.symbol else tuple(broker.contracts):
        if symbol in broker.contracts:
            broker.contracts[symbol] = event.terms.apply(broker.contracts[symbol])


def correct(broker: Broker, event: Event, now_msc: int) -> tuple[list[Fill], list[DealFacts]]:
    """Do what the event says; returns new fills, and the deals that are to be told again."""
    match event.do:
        case "restate":
            booked = _deals_of(broker, event.whose)[-1:]
            return [], [restate(broker, deal, event.money, event.amount) for deal in booked]
        case "cancel_deals":
            booked = _deals_of(broker, event.whose)[-1:]
            return [], [changed for deal in booked for changed in cancel(broker, deal.position_id)]
        case "renumber" | "reopen":
            fills: list[Fill] = []
            for held in chosen(broker, event):
                fills += (
                    renumber(broker, held) if event.do == "renumber" else reopen(broker, held, event.comment, now_msc)
                )
            return fills, []
        case _:
            change_terms(broker, event)
            return [], []


def correct_at_random(broker: Broker, faults: Faults, now_msc: int) -> tuple[list[Fill], list[DealFacts]]:
    """Do something a back office may do; what it is depends on the seed and the time alone. A charge is a new deal of no fill."""
    key = str(now_msc)
    deed = faults.choose(_AT_RANDOM, "correction", key)
    amount = cents(Decimal(faults.choose((-7, -31, -250, 12), "amount of correction", key)) / 100)
    held, booked = chosen(broker, _NEWEST_OF_OURS), _deals_of(broker, "ours")[-_OF_LATE:]
    if deed == "charge":
        return [], [broker.operate(faults.choose(_CHARGES, "kind of charge", key), amount, now_msc, "by the broker")]
    if deed == "restate":
        if not booked:
            return [], []
        deal = faults.choose(booked, "restated deal", key)
        return [], [restate(broker, deal, faults.choose(("commission", "swap", "fee"), "money", key), amount)]
    if not held:
        return [], []
    return (renumber(broker, held[0]) if deed == "renumber" else reopen(broker, held[0], "rollover", now_msc)), []


def _deals_of(broker: Broker, whose: str) -> Sequence[DealFacts]:
    """Return the fills of ours, of others or of anyone, oldest first."""
    fills = [deal for deal in broker.book.deals if deal.kind in TRADE_KINDS]
    ours = {deal.position_id for deal in fills if is_our_magic(deal.magic)}
    return [deal for deal in fills if whose == "anyone" or (deal.position_id in ours) == (whose == "ours")]
