"""The messages that carry out orders, and whether an entry may still be sent at the present price. Pure.

When they leave is `live.trading.sending`'s; what an order is, `live.books.orders`'.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from live.books.orders import CANCEL, Intent
from live.clock import ServerClock
from live.market.feed import LastQuote
from trading_assets.core.decisions.sizing import floored
from trading_assets.core.market.filling import filling_of
from trading_assets.core.messages import CloseCommand, Message, OrderCommand
from trading_assets.core.records.decisions import SymbolState
from trading_assets.core.records.trading import Order

# Prices are floats: a distance counts as kept when half a point is missing.
_HALF = 0.5


def command(
    intent: Intent, raw_symbol: str, rule: ServerClock, symbol: SymbolState, ticket: str
) -> tuple[type[Message], dict[str, Any]]:
    """Return the message that carries out an order, without its envelope. `ticket` is what a close names its position by."""
    order, quote = intent.order, intent.quote
    fields: dict[str, Any] = {
        "chain_id": order.chain_id,
        "request_id": order.magic,
        "signal_id": order.signal_id,
        "magic": order.magic,
        "symbol": raw_symbol,
        "volume": order.volume_lots,
        "price": order.price,
        "deviation": order.deviation_points,
        "deadline_msc": rule.deadline_msc(order.deadline_at),
        # Where no filling is allowed there are no entries; an exit is tried with the most usual one.
        "filling": filling_of(symbol.filling_mode, symbol.trade_exemode) or "IOC",
    }
    if order.purpose == "OPEN":
        return OrderCommand, fields | {
            "side": order.side,
            "sl": order.stop_price,
            "tp": order.target_price,
            "comment": f"open {order.signal_id[-20:]}",
            # By these the terminal holds the order against its own prices.
            "known_bid": quote.bid if quote else 0.0,
            "known_ask": quote.ask if quote else 0.0,
            "quote_msc": rule.to_server(quote.at) if quote else 0,
        }
    return CloseCommand, fields | {
        "position": ticket or order.position_id or "0",
        "comment": f"{order.close_reason} {order.signal_id[-18:]}",
    }


def cancel_command(
    order: Order, ticket: str, raw_symbol: str, rule: ServerClock, deadline_at: datetime
) -> dict[str, Any]:
    """Return the fields of the command that withdraws what still works of an order."""
    return {
        "chain_id": order.chain_id,
        "request_id": f"{CANCEL}{order.magic}",
        "signal_id": order.signal_id,
        "magic": order.magic,
        "symbol": raw_symbol,
        "order": ticket,
        "deadline_msc": rule.deadline_msc(deadline_at),
    }


def contract_refusal(order: Order, symbol: SymbolState) -> str:
    """Say why the broker would refuse an entry by the contract as it is now; empty when nothing is known against it."""
    opens = {"full": True, "long_only": order.side == "BUY", "short_only": order.side == "SELL"}
    if not opens.get(symbol.trade_mode, False):
        return f"the broker's trade mode of {symbol.symbol} is {symbol.trade_mode} by now"
    if not symbol.volume_min <= order.volume_lots <= symbol.volume_max or order.volume_lots != floored(
        order.volume_lots, symbol
    ):
        return (
            f"by now {symbol.symbol} is traded from {symbol.volume_min} to {symbol.volume_max} lots in steps of "
            f"{symbol.volume_step}, this order has {order.volume_lots}"
        )
    if filling_of(symbol.filling_mode, symbol.trade_exemode) is None:
        return f"by now {symbol.symbol} allows no filling that {symbol.trade_exemode} execution accepts"
    return ""


def entry_problem(order: Order, symbol: SymbolState, quote: LastQuote) -> str:
    """Say why an entry must not be sent at the present price any more; empty when it may.

    The decision was made on another quote: the price may have run away, or come too close to the stop or target. And maybe on
    another contract: what the broker would refuse by the present one is not sent.
    """
    refused = contract_refusal(order, symbol)
    if refused:
        return refused
    side = 1 if order.side == "BUY" else -1
    price, reached = (quote.ask, quote.bid) if side > 0 else (quote.bid, quote.ask)
    moved = side * (price - order.price) / symbol.point
    if moved > order.deviation_points + _HALF:
        return f"the price moved by {moved:.0f} points, {order.deviation_points} are accepted"
    least = (max(symbol.stops_level, symbol.freeze_level, 1) - _HALF) * symbol.point
    if side * (reached - order.stop_price) < least or side * (order.target_price - reached) < least:
        return f"the price came too close to stop or target: {max(symbol.stops_level, symbol.freeze_level)} points are needed"
    return ""
