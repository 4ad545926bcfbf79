"""How far back the trading stream is read after a restart: as far as the oldest trade that may still be held was decided.

Nothing is rebuilt here (`live.books.recovery`). Exits may fail for weeks, so no number of days is longer than any trade.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import msgspec

from trading_assets.core.ids import is_magic, ulid_time
from trading_assets.store.journal import Group, JournalError, read_groups

TRADING_DAYS = 10
"""Days on which a terminal told something that are read in any case."""
_HELD_TAGS = (b'{"type":"mark"', b'{"type":"position"')
_ORDER_TAG = b'{"type":"order"'
_TOLD_TAGS = (b'{"type":"decision"', b'{"type":"deal"', b'{"type":"account"', _ORDER_TAG, *_HELD_TAGS)


class _SeenHeld(msgspec.Struct, frozen=True):
    """What a mark or a reported position says of what is held."""

    trade_id: str | None = None
    magic: str = ""
    volume_lots: Decimal = Decimal(0)


_HELD = msgspec.json.Decoder(_SeenHeld)


def dates_needed(raw: Path, tenant: str, account: str, every: list[date]) -> list[date]:
    """Return those of an account's days that are read: the last ones, and those back to the oldest trade they tell of as held.

    The id of a trade carries the time of its decision. A day on which the daemon was only started tells nothing of positions,
    and does not count. Raises JournalError.
    """
    if len(every) <= TRADING_DAYS:
        return every
    first, told = len(every), 0
    trades: set[str] = set()
    strays: set[str] = set()
    while first and told < TRADING_DAYS:
        first -= 1
        is_told = False
        for group, line in _lines(raw, tenant, account, every[first]):
            is_told = is_told or line.startswith(_TOLD_TAGS)
            if line.startswith(_HELD_TAGS):
                held = _held(line, group)
                if held.trade_id is not None:
                    trades.add(held.trade_id)
                elif held.volume_lots and is_magic(held.magic):
                    strays.add(held.magic)
        told += is_told
    oldest = min([every[first], *(ulid_time(trade).date() for trade in trades)])
    if strays:
        oldest = _first_order(raw, tenant, account, strays, [day for day in every if day < oldest]) or oldest
    return [day for day in every if day >= oldest]


def _first_order(raw: Path, tenant: str, account: str, magics: set[str], dates: list[date]) -> date | None:
    """Return the day of the oldest order with one of these magics: of positions that an earlier start did not look back to."""
    missing = {b'"magic":' + msgspec.json.encode(magic) for magic in magics}
    found = None
    for day in reversed(dates):
        for _, line in _lines(raw, tenant, account, day):
            if line.startswith(_ORDER_TAG):
                seen = {words for words in missing if words in line}
                missing -= seen
                found = day if seen else found
        if not missing:
            break
    return found


def _lines(raw: Path, tenant: str, account: str, day: date) -> Iterator[tuple[Group, bytes]]:
    for group in read_groups(raw, stream="trading", tenant=tenant, account=account, dates=[day]):
        for line in group.lines:
            yield group, line


def _held(line: bytes, group: Group) -> _SeenHeld:
    try:
        return _HELD.decode(line)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise JournalError(
            "reading", group.segment, f"a record is none of this schema ({error})",
            "start the version of this software that wrote it, or a later one",
        ) from error  # fmt: skip
