"""What happens at stated moments: people, other experts, the broker and the power, as a list of events (`--script`).

Values read from JSON; what an event does to the account is `hand`'s or `back_office`'s, to the connection `session`'s. Each event
happens once, also over restarts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from live.paper.conditions import SymbolTerms
from trading_assets.core.errors import InputError
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.records.record import Side

AccountDeed = Literal[
    "open", "close", "close_by", "set_stops", "remove_stops", "place", "withdraw", "deposit", "credit", "charge",
    "server_off", "server_on", "terminal_off", "terminal_on",
]  # fmt: skip
BrokerDeed = Literal["restate", "cancel_deals", "renumber", "reopen", "set_terms"]
LinkDeed = Literal["reinit", "reconnect", "freeze", "log_in", "sleep", "set_clock", "die"]


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One event: when, what, and to what."""

    at: datetime | None = None
    """UTC; it happens before the first quote at or after this."""
    after_deals: Annotated[int, Meta(ge=0)] = 0
    """Or: at the first heartbeat (a step, in real time a second) with this many deals in the account, deposits included."""
    do: AccountDeed | BrokerDeed | LinkDeed
    symbol: str = ""
    """Empty: of any symbol, and for a new position the first one."""
    whose: Literal["ours", "foreign", "anyone"] = "anyone"
    """Which positions it may befall: ours have a magic number above 0 that no event gave them."""
    which: Literal["oldest", "newest", "all"] = "newest"
    side: Side = "BUY"
    volume: Decimal | None = None
    """Of a new position or order (0.10); how much of a position is closed (all of it)."""
    price: float = 0.0
    """Of a pending order."""
    sl: float = 0.0
    tp: float = 0.0
    magic: int = 0
    """0 is a person; another expert has one of its own. 64 bits, unsigned ones read back signed."""
    reason: Literal["CLIENT", "MOBILE", "WEB", "EXPERT"] = "CLIENT"
    amount: Decimal = Decimal(0)
    kind: str = "CHARGE"
    """`charge`: type of the deal, any of MetaTrader's that fills nothing."""
    told: Literal["at_once", "after_the_account", "never"] = "at_once"
    """When the deal of a `deposit`, `credit`, `charge`, or one that is changed, is told: `after_the_account` a step later; `never`: asking shows it."""
    login: str = ""
    """`log_in`: greet as this account; when the daemon refuses, the person logs back in."""
    server: str = ""
    """`log_in`: on this server; empty, on the same one."""
    money: Literal["profit", "commission", "swap", "fee"] = "commission"
    """`restate`: which money of the newest fill is `amount` from now on."""
    terms: SymbolTerms = SymbolTerms()
    """`set_terms`: what holds from now on for `symbol`, or for every one."""
    seconds: float = 0.0
    """`sleep`: how long; `set_clock`: how far the terminal's clock is ahead from now on."""
    comment: str = ""

    @property
    def is_of_link(self) -> bool:
        """Whether it befalls the connection or the process and not the account."""
        return self.do in get_args(LinkDeed)

    @property
    def is_of_broker(self) -> bool:
        """Whether the broker itself does it."""
        return self.do in get_args(BrokerDeed)


def due_events(
    events: Sequence[Event], done: Sequence[int], now_ms: int, deals: int, *, at_beat: bool
) -> list[tuple[int, Event]]:
    """Return the events whose moment has come, with their numbers. Those that count deals wait for a heartbeat."""
    return [
        (number, event)
        for number, event in enumerate(events)
        if number not in done
        and (to_ms(event.at) <= now_ms if event.at is not None else at_beat and deals >= event.after_deals)
    ]


def parse_script(text: str) -> tuple[Event, ...]:
    """Read events from a JSON array. Raises InputError naming what is wrong."""
    try:
        events = msgspec.json.decode(text, type=tuple[Event, ...])
    except (msgspec.DecodeError, UnicodeError) as error:
        known = ", ".join(Event.__struct_fields__)
        raise InputError("reading", "--script", str(error), f"pass a JSON array of objects with {known}") from error
    return tuple(_in_utc(event) for event in events)


def _in_utc(event: Event) -> Event:
    if event.at is None or event.at.tzinfo is not None:
        return event
    return msgspec.structs.replace(event, at=event.at.replace(tzinfo=UTC))
