"""Whether a journal is what its writers wrote: every seal, every link from file to file, every file there.

Findings only; nothing is repaired here, and a journal may be verified while it is written. A chain cannot show that
its own end was cut off: keep `JournalReport.ends` elsewhere and pass them in again to have that checked too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from itertools import pairwise
from pathlib import Path

import msgspec

from trading_assets.core.records.codec import decode_record
from trading_assets.store import journal_disk
from trading_assets.store.journal_format import (
    GENESIS,
    HEADER_MARK,
    Block,
    Chain,
    JournalError,
    Scan,
    Segment,
    header_problem,
    scan,
)

_RESTORE = "restore the segment from a copy; records of untouched groups can still be read one by one"


class Fault(msgspec.Struct, frozen=True):
    """One place where the journal is not what was written. `line` counts from 1; 0 is the file as a whole."""

    segment: str
    line: int
    expectation: str
    observed: str
    repair: str


class ChainEnd(msgspec.Struct, frozen=True):
    """The last seal of a chain when it was verified."""

    segment: str
    last_seq: int
    sha256: str


class JournalReport(msgspec.Struct, frozen=True):
    """What was counted and what was found. `unsealed_bytes` are a commit under way, or torn and not yet recovered."""

    records: int
    seals: int
    segments: int
    faults: list[Fault]
    ends: list[ChainEnd]
    torn: list[str]
    unsealed_bytes: int


def verify(root: Path, known_ends: Collection[ChainEnd] = ()) -> JournalReport:
    """Check every chain of the journal from its first byte to its last seal, and that it contains the known ends."""
    chains: dict[Chain, list[Segment]] = defaultdict(list)
    for segment in journal_disk.segments(root):
        chains[segment.chain].append(segment)
    walk = _Walk(root, {(end.segment, end.last_seq): end for end in known_ends})
    for chain in sorted(chains):
        walk.chain(sorted(chains[chain]))
    walk.missing_ends()
    torn = sorted(
        path.relative_to(root).as_posix() for path in root.glob("tenant=*/account=*/stream=*/date=*/hour=*/*.torn")
    )
    return JournalReport(
        walk.records, walk.seals, sum(map(len, chains.values())), walk.faults, walk.ends, torn, walk.unsealed
    )


class _Walk:
    """Counts and findings of one pass."""

    def __init__(self, root: Path, known: dict[tuple[str, int], ChainEnd]) -> None:
        self._root, self._known = root, known
        self.records = self.seals = self.unsealed = 0
        self.faults: list[Fault] = []
        self.ends: list[ChainEnd] = []

    def chain(self, segments: list[Segment]) -> None:
        """Check the segments of one chain, given by number."""
        self._numbers(segments)
        previous, last, number = GENESIS, 0, 0
        for segment in segments:
            try:
                data = journal_disk.read(self._root, segment)
            except JournalError as error:
                self._fault(segment.name, 0, "a file that can be read", str(error), _RESTORE)
                continue
            result = scan(data)
            if result.header is not None and segment.number == number + 1:
                self._link(segment, result, previous, last)
            self._blocks(segment, result, data)
            if len(data) > result.end:
                self._tail(segment, data, result.end, is_last=segment is segments[-1])
            if result.blocks:
                end = result.blocks[-1]
                previous, last, number = end.sha256, end.last, segment.number
        if number:
            self.ends.append(ChainEnd(segments[-1].name, last, previous))

    def missing_ends(self) -> None:
        """Report the known ends that no chain contains any more."""
        for end in self._known.values():
            self._fault(
                end.segment, 0, f"record {end.last_seq} sealed as {end.sha256[:16]}…, as it was when this end was noted",
                "no such seal", "the end of the chain was cut off or rewritten; restore it from a copy",
            )  # fmt: skip

    def _numbers(self, segments: list[Segment]) -> None:
        if segments[0].number != 1:
            self._gap(segments[0], 1)
        for before, segment in pairwise(segments):
            if segment.number == before.number:
                self._fault(
                    segment.name, 0, f"one segment {segment.number} in the chain", f"another one: {before.name}",
                    "remove the one that is a copy",
                )  # fmt: skip
            elif segment.number != before.number + 1:
                self._gap(segment, before.number + 1)

    def _gap(self, segment: Segment, due: int) -> None:
        missing = f"segment {due}" if segment.number == due + 1 else f"segments {due} to {segment.number - 1}"
        self._fault(segment.name, 0, f"{missing} of the chain before it", "it is missing", "restore it from a copy")

    def _link(self, segment: Segment, result: Scan, previous: str, last: int) -> None:
        header = result.header
        assert header is not None
        if header.previous != previous or header.first != last + 1:
            self._fault(
                segment.name, 1, f"a header that follows record {last} sealed as {previous[:16]}…",
                f"it follows record {header.first - 1} sealed as {header.previous[:16]}…",
                "the end of the segment before it was altered, or this file belongs elsewhere; restore both from copies",
            )  # fmt: skip

    def _blocks(self, segment: Segment, result: Scan, data: bytes) -> None:
        if result.header is not None and (problem := header_problem(result.header, segment)):
            self._fault(
                segment.name, 1, "a header that names its own file", problem, "put the file back to its own path"
            )
        for block in result.blocks:
            self.seals += 1
            self.records += block.last - block.first + 1
            known = self._known.get((segment.name, block.last))
            if known is not None and known.sha256 == block.sha256:
                del self._known[(segment.name, block.last)]
            if block.problem:
                line = _suspect(data, block)
                self._fault(segment.name, line, "lines and seals as they were written", block.problem, _RESTORE)

    def _tail(self, segment: Segment, data: bytes, end: int, *, is_last: bool) -> None:
        if is_last:
            self.unsealed += len(data) - end
        else:
            line = data.count(b"\n", 0, end) + 1
            self._fault(
                segment.name,
                line,
                "nothing after the last seal",
                f"{len(data) - end} bytes that no seal covers",
                _RESTORE,
            )

    def _fault(self, segment: str, line: int, expectation: str, observed: str, repair: str) -> None:
        self.faults.append(Fault(segment, line, expectation, observed, repair))


def _suspect(data: bytes, block: Block) -> int:
    """Return the number of the block's first line that is no record, or else of its first line."""
    start = 0 if block.start == 0 else data.rfind(b"\n", 0, block.start) + 1
    first = data.count(b"\n", 0, start) + 1
    for offset, line in _enumerated(data[start : block.seal]):
        if not line.startswith(HEADER_MARK):
            try:
                decode_record(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                return first + offset
    return first


def _enumerated(lines: bytes) -> Iterator[tuple[int, bytes]]:
    return enumerate(lines.split(b"\n")[:-1])
