"""A journal of many weeks out of one that was played: the same week again and again, each a valid journal's continuation.

A week is moved by whole weeks: dates, the time in front of ids, and the tickets change, prices do not. Everything joins as
it did, and segments, seals and the chain are the journal's own. What a shift cannot keep are hashes over times: chart and
feature windows are told unequal. Deposits and the terminal's history come in the first week alone.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from trading_assets.core.ids import ulid, ulid_time
from trading_assets.core.records.codec import decode_record
from trading_assets.core.records.record import Record, Stream
from trading_assets.store.journal import Journal, read_groups

STREAMS: tuple[Stream, ...] = ("market", "trading", "ops")
_DATE = re.compile(rb"20\d\d-\d\d-\d\d(?=T|\")")
_ID = re.compile(rb'"[0-7][0-9A-HJKMNP-TV-Z]{25}"')
_TICKET = re.compile(rb'"(deal_ticket|order_ticket|position_id|magic)":"(\d+)"')
_SERVER = re.compile(rb'"server_msc":(\d+)')
_FIRST_WEEK_ALONE = (b'"kind":"BALANCE"', b'"source":"history"')
_TOGETHER = 5000


def write_weeks(played: Path, target: Path, week: list[date], weeks: int) -> list[date]:
    """Write `weeks` copies of the played days of a week, one after the other; return the days written, in order."""
    asyncio.run(_write(played, target, week, weeks))
    return [day + timedelta(weeks=number) for number in range(weeks) for day in week]


async def _write(played: Path, target: Path, week: list[date], weeks: int) -> None:
    lines = {(stream, day): _lines(played, stream, day) for stream in STREAMS for day in week}
    async with Journal.open(target, writer="weeks") as journal:
        for number in range(weeks):
            shift = Shift(number)
            for day in week:
                for stream in STREAMS:
                    for batch in _batches(shift.records(lines[stream, day])):
                        await journal.append(batch)


def _lines(played: Path, stream: Stream, day: date) -> list[bytes]:
    return [line for group in read_groups(played, stream=stream, dates=[day]) for line in group.lines]


def _batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    for record in records:
        batch.append(record)
        if len(batch) == _TOGETHER:
            yield batch
            batch = []
    if batch:
        yield batch


class Shift:
    """Moves journal lines by some weeks."""

    def __init__(self, weeks: int) -> None:
        self._by = timedelta(weeks=weeks)
        self._tickets = weeks * 10**9
        self._known: dict[bytes, bytes] = {}

    def records(self, lines: list[bytes]) -> Iterator[Record]:
        """Return the records of the lines, moved."""
        for line in lines:
            if not self._by:
                yield decode_record(line)
            elif not any(text in line for text in _FIRST_WEEK_ALONE):
                yield decode_record(self._moved(line))

    def _moved(self, line: bytes) -> bytes:
        line = _DATE.sub(self._date, line)
        line = _ID.sub(self._id, line)
        line = _TICKET.sub(lambda found: b'"%s":"%d"' % (found[1], int(found[2]) + self._tickets), line)
        milliseconds = int(self._by.total_seconds() * 1000)
        return _SERVER.sub(lambda found: b'"server_msc":%d' % (int(found[1]) + milliseconds), line)

    def _date(self, found: re.Match[bytes]) -> bytes:
        text = found[0]
        if text not in self._known:
            self._known[text] = (date.fromisoformat(text.decode()) + self._by).isoformat().encode()
        return self._known[text]

    def _id(self, found: re.Match[bytes]) -> bytes:
        time = found[0][1:11]
        if time not in self._known:
            at = ulid_time(time.decode() + "0" * 16)
            self._known[time] = ulid(at + self._by, "")[:10].encode() if at > datetime(2020, 1, 1, tzinfo=UTC) else time
        return b'"' + self._known[time] + found[0][11:]
