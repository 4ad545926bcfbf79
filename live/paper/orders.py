"""What goes into the trade server with a command and what comes out of it: execution, fills, answers, orders.

Values and the functions that make them; the decisions are `broker`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from live.paper.working import Ending
from trading_assets.core.messages import (
    AccountFacts,
    CancelCommand,
    CloseCommand,
    DealFacts,
    ModifyCommand,
    OrderCommand,
    OrderFacts,
    PositionFacts,
)
from trading_assets.core.records.record import OrderState, Side

Command = OrderCommand | CloseCommand | ModifyCommand | CancelCommand


@dataclass(frozen=True)
class Execution:
    """How the trade server treats one command; the default is without faults."""

    retcode: int | None = None
    """Refuse with this code."""
    filled_share: Decimal = Decimal(1)
    """Share of an entry that is filled."""
    parts: int = 1
    """Deals the volume is filled by."""
    placed: Ending | None = None
    """Answer 10008 and end the order like this later."""
    placed_ms: int = 0
    """How much later."""
    comment: str | None = None
    """What the broker makes of the comment; None leaves it."""


AS_ASKED = Execution()


@dataclass(frozen=True)
class Fill:
    """One deal with the position and the account after it; no deal where a position was changed without one."""

    deal: DealFacts | None
    position: PositionFacts
    account: AccountFacts


@dataclass(frozen=True)
class Answer:
    """What became of a command. `is_repeat`: it had been answered before and nothing was done now."""

    request_id: str
    retcode: int
    order: OrderFacts | None
    comment: str
    fills: tuple[Fill, ...] = ()
    is_repeat: bool = False


def order_of(
    command: OrderCommand | CloseCommand,
    ticket: str,
    position: str,
    side: Side,
    filled: Decimal,
    price: float,
    msc: int,
) -> OrderFacts:
    """Return an order that was carried out, whole or in part."""
    state: OrderState = "FILLED" if filled == command.volume else "PARTIAL"
    stops = (command.sl, command.tp) if isinstance(command, OrderCommand) else (0.0, 0.0)
    return OrderFacts(
        ticket=ticket, position_id=position, magic=command.magic, symbol=command.symbol, side=side, state=state,
        volume_initial=command.volume, volume_current=command.volume - filled, price_open=price, sl=stops[0], tp=stops[1],
        time_setup_msc=msc, time_done_msc=msc,
    )  # fmt: skip


def parts_of(volume: Decimal, parts: int, step: Decimal) -> list[Decimal]:
    """Split a volume into at most `parts` multiples of the step that add up to it."""
    first = volume / parts // step * step
    if parts == 1 or first <= 0:
        return [volume]
    return [*[first] * (parts - 1), volume - first * (parts - 1)]


def placed_order(command: OrderCommand | CloseCommand, ticket: str, side: Side, msc: int) -> OrderFacts:
    """Return an order the server has taken and not carried out."""
    stops = (command.sl, command.tp) if isinstance(command, OrderCommand) else (0.0, 0.0)
    return OrderFacts(
        ticket=ticket, position_id="0" if isinstance(command, OrderCommand) else command.position, magic=command.magic,
        symbol=command.symbol, side=side, state="PLACED", volume_initial=command.volume, volume_current=command.volume,
        price_open=command.price, sl=stops[0], tp=stops[1], time_setup_msc=msc, time_done_msc=0,
    )  # fmt: skip
