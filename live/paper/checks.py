"""Why a trade server refuses a command: volumes, prices, stops, session, deadline, money; as the retcodes of MetaTrader 5.

Pure checks; what is filled and at which price lives in `broker`, what the account's conditions forbid in `limits`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

from live.paper.conditions import Conditions
from live.paper.contracts import Contract
from live.paper.orders import Command
from trading_assets.core.messages import CloseCommand, ModifyCommand, OrderCommand, PositionFacts, SymbolFacts
from trading_assets.core.records.record import Side

# After these the same command may come again and be carried out then: nothing was done and the cause passes.
TRANSIENT = frozenset({10004, 10018, 10020, 10021, 10024, 10029})
WORDS = {
    10004: "requote: the price moved further than the deviation allows",
    10006: "request rejected",
    10008: "placed",
    10009: "done",
    10010: "done partially, the rest is cancelled",
    10013: "invalid request",
    10014: "invalid volume",
    10015: "invalid price: it is not on the symbol's tick size",
    10016: "invalid stops: wrong side of the price or closer than the stops level",
    10017: "trading in the symbol is disabled",
    10018: "market closed",
    10019: "not enough money",
    10021: "no quotes",
    10022: "the deadline has passed",
    10024: "too many requests in a minute",
    10025: "no changes",
    10026: "autotrading is disabled at the server",
    10027: "trading is halted until the daemon connects again",
    10029: "frozen: the price is too close to the position's stop or target",
    10030: "the filling mode is not allowed for the symbol",
    10033: "the limit of working orders is reached",
    10034: "the symbol's limit of volume is reached",
    10036: "the position does not exist",
    10038: "the volume exceeds the position's",
    10039: "an order to close the position works already",
    10040: "the limit of positions is reached",
    10042: "only long positions are allowed",
    10043: "only short positions are allowed",
    10044: "only closing is allowed",
    10045: "the oldest position must be closed first",
    10046: "a position opposite to an open one is prohibited",
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


def timing_refusal(command: Command, quoted: Quoted | None, conditions: Conditions, now_msc: int) -> int | None:
    """Return why nothing at all can be done now, or None: too late, no quotes, market closed."""
    if now_msc > command.deadline_msc:
        return 10022
    if quoted is None:
        return 10021
    return None if quoted.is_open and conditions.is_trading(command.symbol, now_msc) else 10018


def price_refusal(command: OrderCommand | CloseCommand, side: Side, contract: Contract, price: float) -> int | None:
    """Return what is wrong with the price expected when it would be filled at `price`, or None."""
    if not math.isfinite(command.price) or command.price <= 0:
        return 10015
    worse = price - command.price if side == "BUY" else command.price - price
    return 10004 if worse > (command.deviation + 0.5) * contract.facts.point else None


def moved_since(command: OrderCommand, quoted: Quoted | None, point: float, conditions: Conditions) -> tuple[int, str]:
    """The expert's own check before it sends: the quote the decision saw against the present one.

    Returns the code and the sentence of a refusal, or 0 and nothing.
    """
    if not command.quote_msc or quoted is None:
        return 0, ""
    age_s = (quoted.msc - command.quote_msc) / 1000
    if conditions.max_quote_age_s and age_s > conditions.max_quote_age_s:
        return 10022, f"the decision's quote is {age_s:.0f} s old, {conditions.max_quote_age_s} s are allowed"
    known = command.known_ask if command.side == "BUY" else command.known_bid
    against = quoted.market(command.side) - known if command.side == "BUY" else known - quoted.market(command.side)
    spread = (command.known_ask - command.known_bid) / point
    points, most = against / point, max(conditions.max_quote_move_points, conditions.max_quote_move_spreads * spread)
    if known and most and points > most + 0.5:
        return 10020, f"the price moved {points:.0f} points against it, {most:.0f} are allowed"
    return 0, ""


def entry_refusal(command: OrderCommand, contract: Contract, quoted: Quoted) -> int | None:
    """Return what is wrong with an entry's volume or stops, or None."""
    facts = contract.facts
    if not (_is_step(command.volume, facts.volume_step) and facts.volume_min <= command.volume <= facts.volume_max):
        return 10014
    return stops_refusal(command.side, command.sl, command.tp, facts, quoted)


def stops_refusal(side: Side, sl: float, tp: float, facts: SymbolFacts, quoted: Quoted) -> int | None:
    """Return what is wrong with a stop and a target, or None; 0 is none."""
    if not (_is_tick(sl, facts.trade_tick_size) and _is_tick(tp, facts.trade_tick_size)):
        return 10015
    # The stops of a BUY are triggered by the bid, those of a SELL by the ask: distances count from there. Half a
    # point of tolerance, because prices are floats.
    reference, sign = (quoted.bid, 1) if side == "BUY" else (quoted.ask, -1)
    least = (max(facts.stops_level, 1) - 0.5) * facts.point
    if sl and sign * (reference - sl) < least:
        return 10016
    return 10016 if tp and sign * (tp - reference) < least else None


def exit_refusal(command: CloseCommand, position: PositionFacts, contract: Contract) -> int | None:
    """Return what is wrong with an exit's volume, or None."""
    if not _is_step(command.volume, contract.facts.volume_step):
        return 10014
    return 10038 if command.volume > position.volume else None


def change_refusal(
    command: ModifyCommand, position: PositionFacts, contract: Contract, quoted: Quoted | None
) -> int | None:
    """Return what is wrong with a change of stop and target, or None. 10025 is no refusal, but nothing to do either."""
    if quoted is None:
        return 10021
    if (command.sl, command.tp) == (position.sl, position.tp):
        return 10025
    return stops_refusal(position.side, command.sl, command.tp, contract.facts, quoted)


def is_frozen(position: PositionFacts, contract: Contract, quoted: Quoted) -> bool:
    """Return whether the price is within the freeze level of the position's stop or target."""
    level = (contract.facts.freeze_level + 0.5) * contract.facts.point
    price = quoted.bid if position.side == "BUY" else quoted.ask
    return contract.facts.freeze_level > 0 and any(
        stop and abs(price - stop) < level for stop in (position.sl, position.tp)
    )


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
