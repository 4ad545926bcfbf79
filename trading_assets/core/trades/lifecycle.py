"""The life of an order: which state follows which, for every result code of a MetaTrader 5 trade server.

Unknown is not no (invariant 4): a result that does not say what happened puts an order in state UNKNOWN, and the only ways out
are what the terminal reports or a complete search that finds nothing after the deadline. Nothing leaves
UNKNOWN to be sent again. The broker is right about the past (invariant 5): a deal is believed in every state.
Codes: https://www.mql5.com/en/docs/constants/errorswarnings/enum_trade_return_codes
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, assert_never

import msgspec

from trading_assets.core.records.record import OrderState

ResultClass = Literal["accepted", "refused", "price_moved", "unknown", "throttled"]


class Result(msgspec.Struct, frozen=True):
    """What a result code means: its class, and in words."""

    kind: ResultClass
    words: str
    trips: str = ""
    """Breaker the code trips, of the account or of the order's symbol, as its rule says; empty when none."""


RESULTS: dict[int, Result] = {
    10004: Result("price_moved", "requote"),
    10006: Result("refused", "request rejected"),
    10007: Result("refused", "request cancelled by the trader"),
    10008: Result("accepted", "order placed, not filled yet"),
    10009: Result("accepted", "request completed"),
    10010: Result("accepted", "request completed in part"),
    10011: Result("unknown", "request processing error"),
    10012: Result("unknown", "request cancelled by timeout"),
    10013: Result("refused", "invalid request"),
    10014: Result("refused", "invalid volume"),
    10015: Result("refused", "invalid price"),
    10016: Result("refused", "invalid stops"),
    10017: Result("refused", "trading is disabled"),
    10018: Result("refused", "market is closed"),
    10019: Result("refused", "not enough money", "no_money"),
    10020: Result("price_moved", "prices changed"),
    10021: Result("price_moved", "no quotes to process the request"),
    10022: Result("refused", "expired: its deadline has passed"),
    10024: Result("throttled", "too many requests"),
    10025: Result("accepted", "no changes in the request"),
    10026: Result("refused", "autotrading disabled by the server", "account"),
    10027: Result("refused", "autotrading disabled by the terminal", "account"),
    10028: Result("unknown", "request locked for processing"),
    10029: Result("throttled", "order or position frozen"),
    10030: Result("refused", "invalid filling mode"),
    10031: Result("unknown", "no connection with the trade server"),
    10032: Result("refused", "allowed for live accounts only"),
    10033: Result("refused", "limit of pending orders reached"),
    10034: Result("refused", "limit of volume reached"),
    10035: Result("refused", "invalid or prohibited order type"),
    10036: Result("refused", "position is closed already"),
    10038: Result("refused", "close volume exceeds the position"),
    10039: Result("refused", "a close order exists already"),
    10040: Result("refused", "limit of open positions reached"),
    10041: Result("refused", "pending order activation rejected"),
    10042: Result("refused", "only long positions are allowed"),
    10043: Result("refused", "only short positions are allowed"),
    10044: Result("refused", "only closing is allowed"),
    10045: Result("refused", "positions must be closed first in, first out"),
    10046: Result("refused", "opposite positions are prohibited"),
}


BY_CONTRACT = frozenset({10014, 10016, 10017, 10030, 10042, 10043, 10044})
"""Refused by the contract's volumes, levels, filling or trade mode: it may be another than the one told last."""
MARKET_CLOSED = 10018
"""Nothing is sent on the symbol until it is quoted again."""
# The server says that it has the order, or did something with it.
_CARRIED_OUT = frozenset({10008, 10009, 10010})


def result_of(retcode: int) -> Result:
    """Return what a result code means. A code that is not on the list says nothing about the order: unknown."""
    return RESULTS.get(retcode) or Result("unknown", f"result code {retcode} is not known")


# --- events ------------------------------------------------------------------------------------------------------


class Sent(msgspec.Struct, frozen=True):
    """The command was written to the socket."""


class Answered(msgspec.Struct, frozen=True):
    """The terminal answered with a result code."""

    retcode: int


class Filled(msgspec.Struct, frozen=True):
    """Deals of the order are known: how much of what was asked for is filled in total."""

    filled_lots: Decimal
    volume_lots: Decimal


class Lost(msgspec.Struct, frozen=True):
    """No answer in time, or the connection broke."""


class Working(msgspec.Struct, frozen=True):
    """A search found the order at the broker, working and without deals yet."""


class Missing(msgspec.Struct, frozen=True):
    """A complete search of positions, orders and deals by magic found nothing."""

    is_past_deadline: bool


class Ended(msgspec.Struct, frozen=True):
    """The terminal reports that the order ended."""

    state: Literal["CANCELLED", "EXPIRED", "REFUSED"]


class Withdrawn(msgspec.Struct, frozen=True):
    """Past its deadline the order still works at the broker; the terminal is asked to cancel it."""


class Abandoned(msgspec.Struct, frozen=True):
    """An order that waits to be sent (again) is given up: too old, price too far, risk gone."""


Event = Sent | Answered | Filled | Lost | Working | Missing | Ended | Withdrawn | Abandoned

# Their result is not known, or they still work: no new entries on the symbol meanwhile.
OPEN_STATES: frozenset[OrderState] = frozenset({"PLANNED", "SENT", "PLACED", "UNKNOWN"})
# Over, but for deals that arrive late.
CLOSED_STATES: frozenset[OrderState] = frozenset({"FILLED", "REFUSED", "EXPIRED", "CANCELLED"})


class TransitionError(ValueError):
    """An event that cannot happen in this state: a defect of the caller, not of the broker."""


def advance(state: OrderState, event: Event | int) -> OrderState:
    """Return the state after an event; an int is the result code of an answer.

    PLANNED is also the state of an order that was refused for its price or throttled: it may be sent again under the same magic
    after age, spread and risk are checked once more. Raises TransitionError for what the sender must not do.
    """
    if isinstance(event, int):
        event = Answered(event)
    match event:
        case Sent():
            return _sent(state)
        case Answered(retcode):
            return _answered(state, retcode)
        case Filled(filled_lots, volume_lots):
            return _filled(state, filled_lots, volume_lots)
        case Lost():
            return "UNKNOWN" if state in ("SENT", "UNKNOWN") else state
        case Working():
            # The broker is right: also of an order that was taken for over.
            return state if state in ("PLANNED", "PARTIAL", "FILLED") else "PLACED"
        case Missing(is_past_deadline):
            # Before its deadline it may still arrive; a closed order has nothing to be found any more.
            return "EXPIRED" if is_past_deadline and state in ("SENT", "PLACED", "UNKNOWN") else state
        case Ended(end):
            return state if state in ("FILLED", "PARTIAL") else end
        case Withdrawn():
            return _withdrawn(state)
        case Abandoned():
            return _abandoned(state)
    assert_never(event)


def is_open(state: OrderState) -> bool:
    """Return whether an order in this state may still change what the account holds."""
    return state in OPEN_STATES


def _sent(state: OrderState) -> OrderState:
    if state != "PLANNED":
        raise TransitionError(f"an order in state {state} must not be sent; ask the terminal what became of it")
    return "SENT"


def _answered(state: OrderState, retcode: int) -> OrderState:
    if state == "PLANNED":
        raise TransitionError("an order that was not sent cannot be answered")
    if state in ("FILLED", "PARTIAL"):
        return state
    kind = result_of(retcode).kind
    if state in CLOSED_STATES:
        # It was taken for over and is said to be carried out: the terminal is asked before anything new is sent.
        return "UNKNOWN" if retcode in _CARRIED_OUT else state
    match kind:
        case "accepted":
            return "PARTIAL" if retcode == 10010 else "PLACED"
        case "refused":
            # A refusal cannot undo what was placed: then the terminal is asked.
            return "UNKNOWN" if state == "PLACED" else "REFUSED"
        case "unknown":
            return "PLACED" if state == "PLACED" else "UNKNOWN"
        case "price_moved" | "throttled":
            return "PLANNED" if state == "SENT" else "UNKNOWN"
    assert_never(kind)


def _filled(state: OrderState, filled: Decimal, volume: Decimal) -> OrderState:
    if filled <= 0:
        return state
    return "FILLED" if filled >= volume or state == "FILLED" else "PARTIAL"


def _withdrawn(state: OrderState) -> OrderState:
    if state == "PARTIAL":
        return state  # What is filled stays filled; it is the rest that is withdrawn.
    if state not in ("PLACED", "UNKNOWN"):
        raise TransitionError(f"an order in state {state} does not work at the broker; there is nothing to withdraw")
    return "UNKNOWN"


def _abandoned(state: OrderState) -> OrderState:
    if state != "PLANNED":
        raise TransitionError(f"an order in state {state} cannot be abandoned; ask the terminal what became of it")
    return "EXPIRED"
