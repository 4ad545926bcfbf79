"""What a writer does before it writes: find where each of its chains ends, and move aside what is not sealed.

Bytes after the last valid seal belong to a group nobody was told is durable. They go to a `.torn` file beside the
segment: reported, never read, never deleted. Altered groups before that seal are `journal_verify`'s business.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from trading_assets.store import journal_disk
from trading_assets.store.files import replace_atomically, sync_folder
from trading_assets.store.journal_format import GENESIS, Chain, Segment, scan


class Head(NamedTuple):
    """Where a chain ends: number of its last segment, last sequence number, last seal, the segment's name."""

    number: int
    last: int
    seal: str
    name: str = ""


class Torn(NamedTuple):
    """Bytes that were moved aside: `file` and `segment` are paths under the journal's root."""

    file: str
    segment: str
    size: int


EMPTY = Head(0, 0, GENESIS)


def recover(root: Path, writer: str) -> tuple[dict[Chain, Head], list[Torn]]:
    """Return the ends of the writer's chains, durable from now on, and what was moved aside to get there.

    The caller holds the writer's lock.
    """
    chains: dict[Chain, list[Segment]] = defaultdict(list)
    for segment in journal_disk.segments(root):
        if segment.chain.writer == writer:
            chains[segment.chain].append(segment)
    heads: dict[Chain, Head] = {}
    torn: list[Torn] = []
    for chain, segments in chains.items():
        heads[chain] = _head(root, segments, torn)
    return heads, torn


def _head(root: Path, segments: list[Segment], torn: list[Torn]) -> Head:
    for segment in sorted(segments, reverse=True):
        data = journal_disk.read(root, segment)
        valid = [block for block in scan(data).blocks if not block.problem]
        end = valid[-1].end if valid else 0
        if end < len(data) or not data:
            torn.append(_move_aside(root, segment, data, end))
        if valid:
            _make_durable(root, segment)
            return Head(segment.number, valid[-1].last, valid[-1].sha256, segment.name)
    return EMPTY


def _move_aside(root: Path, segment: Segment, data: bytes, end: int) -> Torn:
    """Move the bytes from `end` on to a new `.torn` file; a crash on the way leaves them twice, never nowhere."""
    path = root / segment.name
    attempt, target = 0, path.with_name(f"{path.name}.torn")
    while target.exists():
        attempt += 1
        target = path.with_name(f"{path.name}.{attempt}.torn")
    if end == 0:
        path.rename(target)
        sync_folder(path.parent)
    else:
        replace_atomically(target, data[end:])
        journal_disk.cut(path, end)
    return Torn(target.relative_to(root).as_posix(), segment.name, len(data) - end)


def _make_durable(root: Path, segment: Segment) -> None:
    """A killed writer may have left sealed bytes that are only in memory: build on nothing less than the disk."""
    path = root / segment.name
    if segment.is_compressed:
        return
    with path.open("r+b") as file:
        os.fsync(file.fileno())
    journal_disk.DurableNames(root).sync(path)
