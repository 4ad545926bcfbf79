"""What the account and its symbols forbid, whatever the price: who switched trading off, modes, counts, order of closing.

Pure checks over the book, as the retcodes of MetaTrader 5. What is wrong with a command itself is in `checks`.
"""

from __future__ import annotations

from decimal import Decimal

from live.paper.book import Book
from live.paper.conditions import Conditions
from trading_assets.core.messages import CloseCommand, OrderCommand, PositionFacts, SymbolFacts
from trading_assets.core.records.record import Side


def switch_refusal(book: Book, conditions: Conditions, *, is_halted: bool) -> int | None:
    """Return who switched trading off, as a code, or None."""
    if conditions.is_demo_only:
        return 10032
    if book.counters.is_off_at_server:
        return 10026
    return 10027 if is_halted or book.counters.is_off_at_terminal else None


def entry_limit(command: OrderCommand, facts: SymbolFacts, book: Book, conditions: Conditions) -> int | None:
    """Return which limit an entry meets, or None."""
    held = [position for position in book.positions.values() if position.symbol == command.symbol]
    is_netting = conditions.margin_mode == "netting"
    return (
        _mode_refusal(command.side, facts, held, is_netting=is_netting)
        or filling_refusal(command, facts)
        or _count_refusal(command, facts, held, book, conditions)
    )


def exit_limit(position: PositionFacts, book: Book, conditions: Conditions) -> int | None:
    """Return which limit an exit meets, or None."""
    if any(
        isinstance(working.command, CloseCommand) and working.command.position == position.ticket
        for working in book.orders.values()
    ):
        return 10039
    peers = [held for held in book.positions.values() if held.symbol == position.symbol]
    oldest = min(peers, key=lambda held: (held.time_msc, int(held.ticket)))
    return 10045 if conditions.is_fifo and oldest.ticket != position.ticket else None


def _mode_refusal(side: Side, facts: SymbolFacts, held: list[PositionFacts], *, is_netting: bool) -> int | None:
    is_reducing = is_netting and any(position.side != side for position in held)
    match facts.trade_mode:
        case "disabled":
            return 10017
        case "close_only" if not is_reducing:
            return 10044
        case "long_only" if side == "SELL" and not is_reducing:
            return 10042
        case "short_only" if side == "BUY" and not is_reducing:
            return 10043
        case _:
            return None


def filling_refusal(command: OrderCommand | CloseCommand, facts: SymbolFacts) -> int | None:
    """FOK and IOC are flags of the symbol; RETURN is not one, and is forbidden under market execution."""
    match command.filling:
        case "FOK":
            is_allowed = bool(facts.filling_mode & 1)
        case "IOC":
            is_allowed = bool(facts.filling_mode & 2)
        case "RETURN":
            is_allowed = facts.trade_exemode != "market"
    return None if is_allowed else 10030


def _count_refusal(
    command: OrderCommand, facts: SymbolFacts, held: list[PositionFacts], book: Book, conditions: Conditions
) -> int | None:
    opposite = [position for position in held if position.side != command.side]
    is_netting = conditions.margin_mode == "netting"
    if conditions.forbids_opposite and opposite and not is_netting:
        return 10046
    is_new = not (is_netting and held)
    if conditions.max_positions and is_new and len(book.positions) >= conditions.max_positions:
        return 10040
    if conditions.max_orders and len(book.orders) >= conditions.max_orders:
        return 10033
    one_way = sum((position.volume for position in held if position.side == command.side), Decimal(0))
    working = sum(
        (
            order.order.volume_current
            for order in book.orders.values()
            if order.order.symbol == command.symbol and order.order.side == command.side
        ),
        Decimal(0),
    )
    if facts.volume_limit and one_way + working + command.volume > facts.volume_limit:
        return 10034
    return None
