"""Why a trade server refuses a command: volumes, prices, stops, session, deadline, money; as the retcodes of MetaTrader 5.

Pure checks; what is filled and at which price lives in `broker`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

from live.paper.contracts import Contract
from trading_assets.core.messages import CloseCommand, OrderCommand, PositionFacts
from trading_assets.core.records.record import Side

# After these the same command may come again and be carried out then: nothing was done and the cause passes.
TRANSIENT = frozenset({10004, 10018, 10020, 10021, 10024, 10029})
WORDS = {
    10004: "requote: the price moved further than the deviation allows",
    10006: "request rejected",
    10009: "done",
    10010: "done partially, the rest is cancelled",
    10013: "invalid request",
    10014: "invalid volume",
    10015: "invalid price: it is not on the symbol's tick size",
    10016: "invalid stops: wrong side of the price or closer than the stops level",
    10018: "market closed",
    10019: "not enough money",
    10021: "no quotes",
    10022: "the deadline has passed",
    10027: "trading is halted until the daemon connects again",
    10036: "the position does not exist",
    10038: "the volume exceeds the position's",
}


@dataclass
class Quoted:
    """The last quote of a symbol, and whether its session is open."""

    msc: int
    bid: float
    ask: float
    is_open: bool = True

    def market(self, side: Side) -> float:
        """Return the price a market order of this side trades at."""
        return self.ask if side == "BUY" else self.bid


def request_refusal(
    command: OrderCommand | CloseCommand,
    side: Side,
    contract: Contract,
    quoted: Quoted | None,
    price: float,
    now_msc: int,
) -> int | None:
    """Return why neither an entry nor an exit can be done now at `price`, or None."""
    if now_msc > command.deadline_msc:
        return 10022
    if quoted is None:
        return 10021
    if not quoted.is_open:
        return 10018
    if not math.isfinite(command.price) or command.price <= 0:
        return 10015
    worse = price - command.price if side == "BUY" else command.price - price
    return 10004 if worse > (command.deviation + 0.5) * contract.facts.point else None


def entry_refusal(command: OrderCommand, contract: Contract, quoted: Quoted) -> int | None:
    """Return what is wrong with an entry's volume or stops, or None."""
    facts = contract.facts
    if not (_is_step(command.volume, facts.volume_step) and facts.volume_min <= command.volume <= facts.volume_max):
        return 10014
    if not (_is_tick(command.sl, facts.trade_tick_size) and _is_tick(command.tp, facts.trade_tick_size)):
        return 10015
    # The stops of a BUY are triggered by the bid, those of a SELL by the ask: distances count from there. Half a
    # point of tolerance, because prices are floats.
    reference, sign = (quoted.bid, 1) if command.side == "BUY" else (quoted.ask, -1)
    least = (max(facts.stops_level, 1) - 0.5) * facts.point
    if command.sl and sign * (reference - command.sl) < least:
        return 10016
    return 10016 if command.tp and sign * (command.tp - reference) < least else None


def exit_refusal(command: CloseCommand, position: PositionFacts, contract: Contract) -> int | None:
    """Return what is wrong with an exit's volume, or None."""
    if not _is_step(command.volume, contract.facts.volume_step):
        return 10014
    return 10038 if command.volume > position.volume else None


def triggered(position: PositionFacts, bid: float, ask: float) -> str | None:
    """Return SL or TP when this quote reaches the position's stop or target, else None. The stop comes first."""
    if position.side == "BUY":
        stop, target = bid <= position.sl, bid >= position.tp
    else:
        stop, target = ask >= position.sl, ask <= position.tp
    if position.sl and stop:
        return "SL"
    return "TP" if position.tp and target else None


def _is_step(volume: Decimal, step: Decimal) -> bool:
    return volume.is_finite() and volume > 0 and volume % step == 0


def _is_tick(price: float, tick_size: float) -> bool:
    """Return whether the price is a multiple of the tick size, within the error of a float."""
    return math.isfinite(price) and price >= 0 and abs(price / tick_size - round(price / tick_size)) < 1e-3
