"""Reading a journal: sealed groups in the order of their chains, from a cursor or a date on.

A group is held against its seal before it is handed out, so what a reader gets is whole and unaltered. Bytes after
the last seal are not read. Chains as a whole, missing files included, are checked by `journal_verify`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import date
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any, cast

import msgspec

from trading_assets.core.records.codec import AnyRecord
from trading_assets.core.records.record import Record, Stream
from trading_assets.store import journal_disk
from trading_assets.store.journal_format import (
    LONGEST_SEAL,
    Chain,
    JournalError,
    Scan,
    Segment,
    header_problem,
    read_seal,
    scan,
    segment_at,
)

_VERIFY_HINT = "run `trading verify`, restore the segment from a copy and read again"


class Cursor(msgspec.Struct, frozen=True):
    """How far a consumer has read a chain: a segment, and the offset after a seal in it (before compression)."""

    segment: str
    offset: int


class Group(msgspec.Struct, frozen=True):
    """Records that became visible together, as their journal lines without the newline."""

    stream: Stream
    tenant: str
    account: str
    segment: str
    first_seq: int
    last_seq: int
    lines: list[bytes]
    cursor: Cursor


def read_groups(
    root: Path,
    *,
    stream: Stream | None = None,
    tenant: str | None = None,
    account: str | None = None,
    dates: Collection[date] | None = None,
    after: Cursor | Collection[Cursor] | None = None,
) -> Iterator[Group]:
    """Yield the sealed groups, chain by chain, each chain in the order it was written.

    `dates` are UTC dates of `known_at`. A cursor moves the start of its own chain and of no other: to follow several
    chains, keep and pass the last cursor of each. Raises JournalError at a group that does not hold against its
    seal, or for a cursor that does not stand after one.
    """
    chains = _chains(root, stream, tenant, account, dates)
    starts = _starts(after)
    for chain in sorted(chains):
        start, offset = starts.get(chain, (0, 0))
        number, seal = -1, ""
        for segment in sorted(chains[chain]):
            if segment.number < start:
                continue
            result, data = _scanned(root, segment, offset if segment.number == start else 0)
            if result.header is not None and segment.number == number + 1 and result.header.previous != seal:
                raise _broken(root, segment, "it does not follow the last seal of the segment before it")
            base = offset if segment.number == start else 0
            yield from _groups(root, segment, result, data, base)
            if result.blocks:
                number, seal = segment.number, result.blocks[-1].sha256


def read_groups_backwards(
    root: Path, *, stream: Stream, tenant: str, account: str, dates: Collection[date] | None = None
) -> Iterator[Group]:
    """Yield the sealed groups of an account's stream, each chain from its end; for a reader that stops early.

    Segments are read one by one as they are asked for. Raises JournalError at a group that does not hold.
    """
    chains = _chains(root, stream, tenant, account, dates)
    for chain in sorted(chains):
        for segment in sorted(chains[chain], reverse=True):
            result, data = _scanned(root, segment, 0)
            yield from reversed(list(_groups(root, segment, result, data, 0)))


def read_records(
    root: Path,
    *,
    stream: Stream | None = None,
    tenant: str | None = None,
    account: str | None = None,
    dates: Collection[date] | None = None,
    after: Cursor | Collection[Cursor] | None = None,
    types: Collection[type[Record]] | None = None,
) -> Iterator[AnyRecord]:
    """Yield the sealed records in the order of `read_groups`. Lines of other types are skipped without decoding."""
    kinds = None if types is None else tuple(types)
    if kinds == ():
        return
    prefixes = (b"{",) if kinds is None else tuple(b'{"type":"%b"' % _tag(kind) for kind in kinds)
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
        AnyRecord if kinds is None else reduce(or_, cast(tuple[Any, ...], kinds))
    )
    decode = decoder.decode
    for group in read_groups(root, stream=stream, tenant=tenant, account=account, dates=dates, after=after):
        for index, line in enumerate(group.lines):
            if line.startswith(prefixes):
                try:
                    record = decode(line)
                except (msgspec.DecodeError, UnicodeError) as error:
                    raise JournalError(
                        "reading", root / group.segment, f"record {group.first_seq + index} is none of this schema ({error})",
                        "read it with the version of this software that wrote it, or a later one",
                    ) from error  # fmt: skip
                yield record


def journal_dates(
    root: Path, *, stream: Stream | None = None, tenant: str | None = None, account: str | None = None
) -> list[date]:
    """Return the UTC dates that have segments, in order."""
    found = journal_disk.segments(root, tenant=tenant, account=account, stream=stream)
    return sorted({segment.date for segment in found})


def _tag(kind: type[Record]) -> bytes:
    return str(kind.__struct_config__.tag).encode()


def _chains(
    root: Path, stream: str | None, tenant: str | None, account: str | None, dates: Collection[date] | None
) -> dict[Chain, list[Segment]]:
    chains: dict[Chain, list[Segment]] = defaultdict(list)
    for segment in journal_disk.segments(root, tenant=tenant, account=account, stream=stream, dates=dates):
        chains[segment.chain].append(segment)
    return chains


def _starts(after: Cursor | Collection[Cursor] | None) -> dict[Chain, tuple[int, int]]:
    cursors = () if after is None else (after,) if isinstance(after, Cursor) else after
    starts: dict[Chain, tuple[int, int]] = {}
    for cursor in cursors:
        try:
            segment = segment_at(cursor.segment)
        except ValueError as error:
            raise JournalError("reading after", cursor.segment, str(error), "use a cursor a group came with") from error
        starts[segment.chain] = max(starts.get(segment.chain, (0, 0)), (segment.number, cursor.offset))
    return starts


def _scanned(root: Path, segment: Segment, offset: int) -> tuple[Scan, bytes]:
    """Scan a segment from an offset on; the seal before the offset is where the chain is taken up."""
    if offset == 0:
        data = journal_disk.read(root, segment)
        return scan(data), data
    back = max(offset - LONGEST_SEAL, 0)
    data = journal_disk.read(root, segment, back)
    before, data = data[: offset - back], data[offset - back :]
    seal = read_seal(before[before.rfind(b"\n", 0, -1) + 1 :])
    if len(before) < offset - back or seal is None:
        raise JournalError(
            "reading after", f"{root / segment.name} at byte {offset}", "no seal ends there",
            "use a cursor a group came with, or read from the start of the chain",
        )  # fmt: skip
    return scan(data, seal[2], seal[1] + 1), data


def _groups(root: Path, segment: Segment, result: Scan, data: bytes, base: int) -> Iterator[Group]:
    chain = segment.chain
    if result.header is not None and (problem := header_problem(result.header, segment)):
        raise _broken(root, segment, problem)
    for index, block in enumerate(result.blocks):
        if block.problem:
            if all(later.problem for later in result.blocks[index:]) and _is_end(root, segment):
                return
            raise _broken(root, segment, block.problem)
        lines = data[block.start : block.seal - 1].split(b"\n")
        cursor = Cursor(segment.name, base + block.end)
        yield Group(chain.stream, chain.tenant, chain.account, segment.name, block.first, block.last, lines, cursor)  # type: ignore[arg-type]


def _is_end(root: Path, segment: Segment) -> bool:
    """What does not hold at the very end of a chain was torn by a crash and waits for recovery."""
    chain = segment.chain
    others = journal_disk.segments(root, tenant=chain.tenant, account=chain.account, stream=chain.stream)
    return not any(other.chain == chain and other.number > segment.number for other in others)


def _broken(root: Path, segment: Segment, problem: str) -> JournalError:
    return JournalError("reading", root / segment.name, problem, _VERIFY_HINT)
