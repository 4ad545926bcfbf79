"""Lists of a message of which an element cannot be read or counted with: the rest is used, and the element named.

Nothing is guessed in place of an element: it is left out, and what its absence must not be taken for is the desk's to know. What
a whole message must hold is `live.bridge.protocol`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from live.bridge.soundness import fault_of_element
from trading_assets.core.messages import (
    BarFacts,
    BookLevel,
    DealFacts,
    Deals,
    FromTerminal,
    OrderFacts,
    PositionFacts,
    Snapshot,
    SymbolFacts,
    Tick,
    decode_from_terminal,
)

_LISTS: dict[str, dict[str, type[msgspec.Struct]]] = {
    "snapshot": {"symbols": SymbolFacts, "positions": PositionFacts, "orders": OrderFacts},
    "deals": {"deals": DealFacts},
    "bars": {"bars": BarFacts},
    "ticks": {"ticks": Tick},
    "book": {"bids": BookLevel, "asks": BookLevel},
}
_DECODERS = {kind: msgspec.json.Decoder(kind) for lists in _LISTS.values() for kind in lists.values()}
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_SUBJECT_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Damage:
    """Elements of one list that were left out; the first of them is quoted."""

    field: str
    count: int
    problem: str
    subject: str
    symbols: tuple[str, ...] = ()
    """The broker's names of the symbols they are about, as far as those can be read."""


@dataclass(frozen=True, slots=True)
class Partial:
    """A message some of whose lists lack elements."""

    message: FromTerminal
    damages: tuple[Damage, ...]


class Envelope(msgspec.Struct):
    """What orders a message within its session, whatever else it holds."""

    session: str
    seq: int
    type: str = ""


def envelope_of(frame: str | bytes) -> Envelope | None:
    """Return a frame's envelope; None where that cannot be read either."""
    try:
        return msgspec.json.decode(frame, type=Envelope)
    except _UNREADABLE:
        return None


def readable_part(frame: str | bytes) -> Partial | None:
    """Return what is left of a frame that cannot be decoded without the elements that spoil it; None where nothing is."""
    try:
        fields = msgspec.json.decode(frame, type=dict[str, msgspec.Raw])
        lists = _LISTS.get(msgspec.json.decode(fields["type"], type=str), {})
        damages = []
        for name, kind in lists.items():
            elements = msgspec.json.decode(fields[name], type=list[msgspec.Raw])
            kept = [one for one in elements if not _problem(one, kind)]
            if len(kept) < len(elements):
                damages.append(_damage(name, kind, elements))
                fields[name] = msgspec.Raw(msgspec.json.encode(kept))
        return Partial(decode_from_terminal(msgspec.json.encode(fields)), tuple(damages)) if damages else None
    except (*_UNREADABLE, KeyError):
        return None


def countable_part(message: FromTerminal) -> FromTerminal | Partial:
    """Return a message without deals, positions and orders whose values nobody can count with."""
    match message:
        case Deals():
            lists: dict[str, Sequence[Any]] = {"deals": message.deals}
        case Snapshot():
            lists = {"positions": message.positions, "orders": message.orders}
        case _:
            return message
    changes, damages = {}, []
    for name, elements in lists.items():
        faults = {index: fault for index, one in enumerate(elements) if (fault := fault_of_element(one, name))}
        if faults:
            index, fault = next(iter(faults.items()))
            changes[name] = tuple(one for index, one in enumerate(elements) if index not in faults)
            symbols = tuple(sorted({elements[one].symbol for one in faults}))
            damages.append(Damage(name, len(faults), fault, _quoted(msgspec.json.encode(elements[index])), symbols))
    return Partial(msgspec.structs.replace(message, **changes), tuple(damages)) if damages else message


def _problem(element: msgspec.Raw, kind: type[msgspec.Struct]) -> str:
    try:
        _DECODERS[kind].decode(element)
    except _UNREADABLE as error:
        return str(error)[:200] or "it cannot be read"
    return ""


def _damage(name: str, kind: type[msgspec.Struct], elements: list[msgspec.Raw]) -> Damage:
    bad = [(one, problem) for one in elements if (problem := _problem(one, kind))]
    symbols = tuple(sorted({symbol for one, _ in bad if (symbol := _symbol_of(one))}))
    return Damage(name, len(bad), bad[0][1], _quoted(bytes(bad[0][0])), symbols)


def _symbol_of(element: msgspec.Raw) -> str:
    try:
        return msgspec.json.decode(element, type=_Named).symbol
    except _UNREADABLE:
        return ""


def _quoted(element: bytes) -> str:
    text = element.decode(errors="replace")
    # As of whole frames: whatever may hold a token is named by its size alone.
    return f"element of {len(element)} bytes" if "token" in text or "\\u" in text else text[:_SUBJECT_LENGTH]


class _Named(msgspec.Struct):
    symbol: str = ""
