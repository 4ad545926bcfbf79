"""The hand of a person at the terminal, and of other experts: what they do to the account without asking the daemon.

They open, close and partly close (ours too), move and remove stops, leave pending orders, pay in and out, switch trading off. Where
there is nothing to do it to, or the market is closed, nothing happens. The same account at the same quotes gives the same result.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from live.paper.broker import Broker
from live.paper.dealing import OPPOSITE, Entry
from live.paper.faults import Faults
from live.paper.orders import Fill
from live.paper.script import Event
from live.paper.working import Working
from trading_assets.core.messages import OrderFacts, PositionFacts

_USUAL_VOLUME = Decimal("0.10")
_TRAILED = 100
"""Points an expert's trailing stop stays away from the price."""
_FAR = 200
"""Points a person's stops are away from the price."""


def do(broker: Broker, event: Event, now_msc: int) -> list[Fill]:
    """Do what the event says to the account and return the deals and positions that come of it."""
    match event.do:
        case "open":
            return _open(broker, event, now_msc)
        case "close":
            return [_close(broker, held, event, now_msc) for held in chosen(broker, event)]
        case "close_by":
            return _close_by(broker, event, now_msc)
        case "set_stops":
            return [broker.change(held, sl=event.sl, tp=event.tp) for held in chosen(broker, event)]
        case "remove_stops":
            return [broker.change(held, sl=0.0, tp=0.0) for held in chosen(broker, event)]
        case "place":
            _place(broker, event, now_msc)
        case "withdraw":
            for ticket in [ticket for ticket, working in broker.book.orders.items() if working.ending == "rests"]:
                broker.book.end(ticket)
        case "deposit":
            broker.operate("BALANCE", event.amount, now_msc, event.comment or "deposit")
        case "credit":
            broker.operate("CREDIT", event.amount, now_msc, event.comment or "bonus")
        case "charge":
            broker.operate(event.kind, event.amount, now_msc, event.comment or event.kind.lower())
        case "server_off" | "server_on":
            broker.book.switch(at_server=event.do == "server_off")
        case "terminal_off" | "terminal_on":
            broker.book.switch(at_terminal=event.do == "terminal_off")
    return []


def meddle(broker: Broker, faults: Faults, now_msc: int) -> list[Fill]:
    """Do something at random that a person may do; what it is depends on the seed and the time alone."""
    key = str(now_msc)
    deed = faults.choose(("open", "close", "close_part", "set_stops", "remove_stops", "close_foreign"), "deed", key)
    side, whose = faults.choose(("BUY", "SELL"), "side", key), "foreign" if deed == "close_foreign" else "anyone"
    symbol = faults.choose(tuple(broker.contracts), "symbol", key)
    event = Event(do="open", symbol=symbol, side=side, magic=faults.choose((0, 0, 777, -5), "magic", key))  # type: ignore[arg-type]  # chosen from the two sides
    held = chosen(broker, msgspec.structs.replace(event, symbol="", whose=whose))
    if deed == "open":
        return _open(broker, event, now_msc)
    if not held:
        return []
    match deed:
        case "close_part":
            volume = held[0].volume / 2 // Decimal("0.01") * Decimal("0.01")
            return [_close(broker, held[0], msgspec.structs.replace(event, volume=volume or None), now_msc)]
        case "set_stops":
            return _set_far_stops(broker, held[0])
        case "remove_stops":
            return [broker.change(held[0], sl=0.0, tp=0.0)]
        case _:
            return [_close(broker, held[0], event, now_msc)]


def signed(magic: int) -> str:
    """Return a magic number as the terminal reads it back: 64 bits with a sign."""
    return str((magic + (1 << 63)) % (1 << 64) - (1 << 63))


def is_ours(position: PositionFacts) -> bool:
    """Return whether a position was opened by the daemon: its magic numbers have 63 bits and are never small."""
    return is_our_magic(position.magic)


def is_our_magic(magic: str) -> bool:
    """Return whether a magic number is one of the daemon's."""
    return int(magic) > 1_000_000


def chosen(broker: Broker, event: Event) -> list[PositionFacts]:
    """Return the positions the event befalls; only such whose market is open."""
    held = [
        position
        for position in broker.book.positions.values()
        if event.symbol in ("", position.symbol)
        and (event.whose == "anyone" or is_ours(position) == (event.whose == "ours"))
        and _is_open(broker, position.symbol)
    ]
    return held if event.which == "all" else held[:1] if event.which == "oldest" else held[-1:]


def _is_open(broker: Broker, symbol: str) -> bool:
    quoted = broker.quotes.get(symbol)
    return quoted is not None and quoted.is_open


def _open(broker: Broker, event: Event, now_msc: int) -> list[Fill]:
    symbol = event.symbol or next(iter(broker.contracts))
    if not _is_open(broker, symbol):
        return []
    volume, price = event.volume or _USUAL_VOLUME, broker.quotes[symbol].market(event.side)
    if broker.account().margin_free < broker.added_margin(symbol, event.side, volume, price):
        return []
    ticket, magic = broker.book.ticket(), signed(event.magic)
    entry = Entry(ticket, symbol, event.side, volume, price, magic, event.sl, event.tp, event.comment, event.reason)
    return broker.enter(entry, 1, now_msc)


def _close(broker: Broker, held: PositionFacts, event: Event, now_msc: int) -> Fill:
    price = broker.quotes[held.symbol].market(OPPOSITE[held.side])
    volume = min(event.volume or held.volume, held.volume)
    # The deal carries the position's magic as MetaTrader writes it: 0, the hand's own.
    return broker.leave(held, volume, price, event.reason, event.comment, now_msc, magic=signed(event.magic))


def _close_by(broker: Broker, event: Event, now_msc: int) -> list[Fill]:
    for held in chosen(broker, event):
        other = next((one for one in broker.held_in(held.symbol) if one.side != held.side), None)
        if other is not None:
            return broker.leave_by(held, other, event.comment, now_msc)
    return []


def _set_far_stops(broker: Broker, held: PositionFacts) -> list[Fill]:
    contract, quoted = broker.contracts[held.symbol], broker.quotes[held.symbol]
    price, far = quoted.market(OPPOSITE[held.side]), _FAR * contract.facts.point
    sign = 1 if held.side == "BUY" else -1
    sl, tp = (contract.round_price(price - sign * far), contract.round_price(price + sign * far))
    return [broker.change(held, sl=sl, tp=tp)]


def trail_stops(broker: Broker) -> list[Fill]:
    """Move the stop of each position of ours behind the price, as an expert that trails does: never away from it."""
    moved = []
    for held in chosen(broker, Event(do="set_stops", whose="ours", which="all")):
        contract, quoted = broker.contracts[held.symbol], broker.quotes[held.symbol]
        price, far = quoted.market(OPPOSITE[held.side]), _TRAILED * contract.facts.point
        sl = contract.round_price(price - far if held.side == "BUY" else price + far)
        is_closer = sl > held.sl if held.side == "BUY" else not held.sl or sl < held.sl
        if is_closer:
            moved.append(broker.change(held, sl=sl))
    return moved


def _place(broker: Broker, event: Event, now_msc: int) -> None:
    """Leave a pending order; it is seen in a snapshot alone, and rests until it is withdrawn."""
    symbol, volume = event.symbol or next(iter(broker.contracts)), event.volume or _USUAL_VOLUME
    order = OrderFacts(
        ticket=broker.book.ticket(), position_id="0", magic=signed(event.magic), symbol=symbol, side=event.side, state="PLACED",
        volume_initial=volume, volume_current=volume, price_open=event.price, sl=event.sl, tp=event.tp, time_setup_msc=now_msc,
        time_done_msc=0,
    )  # fmt: skip
    broker.book.work(Working(order=order, command=None, ending="rests", due_msc=0, wait_ms=0))
