"""Whether a journal is what its writers wrote: every seal, every link from file to file, every file there.

Findings only; nothing is repaired here, and a journal may be verified while it is written. What retention removed is
proved by its receipts (`journal_receipts`). A chain cannot show that its own end was cut off: the ends its writer noted
(`journal_ends`) are held against it, and those a caller kept and passes in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import msgspec

from trading_assets.core.records.codec import decode_record
from trading_assets.store import journal_disk
from trading_assets.store.journal_ends import ChainEnd, read_noted
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
from trading_assets.store.journal_receipts import (
    Receipt,
    chains_with_receipts,
    read_receipts,
    receipts_path,
    receipts_problem,
)

_RESTORE = "restore the segment from a copy; records of untouched groups can still be read one by one"


class Fault(msgspec.Struct, frozen=True):
    """One place where the journal is not what was written. `line` counts from 1; 0 is the file as a whole."""

    segment: str
    line: int
    expectation: str
    observed: str
    repair: str


class JournalReport(msgspec.Struct, frozen=True):
    """What was counted and what was found. `unsealed_bytes` are a commit under way, or torn and not yet recovered.

    `removed_segments` and `removed_records` are not there any more and proved by the receipts of retention.
    """

    records: int
    seals: int
    segments: int
    faults: list[Fault]
    ends: list[ChainEnd]
    torn: list[str]
    unsealed_bytes: int
    removed_segments: int = 0
    removed_records: int = 0


def verify(root: Path, known_ends: Collection[ChainEnd] = ()) -> JournalReport:
    """Check every chain of the journal from its first byte to its last seal, and that it contains the known ends."""
    walk = _Walk(root, known_ends)
    chains: dict[Chain, list[Segment]] = defaultdict(list)
    for segment in journal_disk.segments(root):
        chains[segment.chain].append(segment)
    for chain in sorted({*chains, *chains_with_receipts(root)}):
        walk.chain(chain, sorted(chains[chain]))
    walk.missing_ends()
    torn = sorted(
        path.relative_to(root).as_posix() for path in root.glob("tenant=*/account=*/stream=*/date=*/hour=*/*.torn")
    )
    return JournalReport(
        walk.records, walk.seals, walk.segments, walk.faults, walk.ends, torn, walk.unsealed,
        walk.removed_segments, walk.removed_records,
    )  # fmt: skip


class _Walk:
    """Counts and findings of one pass."""

    def __init__(self, root: Path, known_ends: Iterable[ChainEnd]) -> None:
        self._root = root
        self.records = self.seals = self.segments = self.unsealed = self.removed_segments = self.removed_records = 0
        self.faults: list[Fault] = []
        self.ends: list[ChainEnd] = []
        # Before any segment is looked at: a chain that grows meanwhile still holds what was noted.
        self._known = {*known_ends, *self._noted()}

    def _noted(self) -> Iterator[ChainEnd]:
        for path in sorted(self._root.glob("*.ends")):
            try:
                noted = read_noted(path)
            except JournalError as error:
                self._fault(path.name, 0, "the ends a writer noted", str(error), "restore the note from a copy")
            else:
                yield from (*noted.ends, *noted.lost)

    def chain(self, chain: Chain, present: list[Segment]) -> None:
        """Check one chain: the receipts of what was removed, then the segments, given by number."""
        receipts = self._receipts(chain)
        number, before, end = 0, ChainEnd("", 0, GENESIS), None
        if receipts:
            number, before = receipts[-1].number, ChainEnd("", receipts[-1].last, receipts[-1].seal)
        segments = [segment for segment in present if segment.number > number]
        self._not_yet_removed(receipts, present[: len(present) - len(segments)])
        self.segments += len(segments)
        self._numbers(segments, number + 1)
        for segment in segments:
            try:
                data = journal_disk.read(self._root, segment)
            except JournalError as error:
                self._fault(segment.name, 0, "a file that can be read", str(error), _RESTORE)
                continue
            result = scan(data)
            if result.header is not None and segment.number == number + 1:
                self._link(segment, result, before)
            self._blocks(segment, result, data)
            if len(data) > result.end:
                self._tail(segment, data, result.end, is_last=segment is segments[-1])
            number, before = segment.number, ChainEnd(segment.name, before.last_seq, before.sha256)
            if result.blocks:
                end = before = ChainEnd(segment.name, result.blocks[-1].last, result.blocks[-1].sha256)
        if end is not None:
            self.ends.append(end)

    def _receipts(self, chain: Chain) -> Sequence[Receipt]:
        """Return the receipts of a chain as far as they follow each other."""
        name = receipts_path(self._root, chain).relative_to(self._root).as_posix()
        expectation, repair = "receipts that follow each other", "restore the receipts from a copy"
        try:
            receipts = read_receipts(self._root, chain)
        except JournalError as error:
            self._fault(name, 0, expectation, str(error), repair)
            return []
        line, problem = receipts_problem(receipts)
        if line:
            self._fault(name, line, expectation, problem, repair)
            receipts = receipts[: line - 1]
        for one in receipts:
            self.removed_segments += 1
            self.removed_records += one.last - one.first + 1
        # An end inside a removed segment is proved by the chain of receipts alone.
        removed = {one.segment: one for one in receipts}
        for end in [end for end in self._known if end.segment in removed]:
            one = removed[end.segment]
            if one.first <= end.last_seq < one.last or (end.last_seq, end.sha256) == (one.last, one.seal):
                self._known.discard(end)
        return receipts

    def _not_yet_removed(self, receipts: Sequence[Receipt], segments: list[Segment]) -> None:
        """Retention was stopped between a receipt and the file's removal: it is the file of the receipt, or a fault."""
        by_number = {one.number: one for one in receipts}
        for segment in segments:
            try:
                is_same = sha256(journal_disk.read(self._root, segment)).hexdigest() == by_number[segment.number].sha256
            except JournalError:
                is_same = False
            if not is_same:
                self._fault(
                    segment.name, 0, "the bytes its receipt was written for", "other bytes",
                    "restore it from a copy, or remove it: its records were removed by retention",
                )  # fmt: skip

    def missing_ends(self) -> None:
        """Report the known ends that no chain contains any more."""
        for end in sorted(self._known, key=lambda end: (end.segment, end.last_seq)):
            self._fault(
                end.segment, 0, f"record {end.last_seq} sealed as {end.sha256[:16]}…, as it was when this end was noted",
                "no such seal", "the end of the chain was cut off or rewritten; restore it from a copy",
            )  # fmt: skip

    def _numbers(self, segments: list[Segment], due: int) -> None:
        if segments and segments[0].number != due:
            self._gap(segments[0], due)
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

    def _link(self, segment: Segment, result: Scan, before: ChainEnd) -> None:
        header = result.header
        assert header is not None
        if header.first > before.last_seq + 1 and before.segment:
            self._fault(
                before.segment, 0, f"records up to {header.first - 1}, which {segment.name} follows",
                f"it ends with record {before.last_seq}", "its end was cut off; restore it from a copy",
            )  # fmt: skip
        elif (header.first, header.previous) != (before.last_seq + 1, before.sha256):
            self._fault(
                segment.name, 1, f"a header that follows record {before.last_seq} sealed as {before.sha256[:16]}…",
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
            self._known.discard(ChainEnd(segment.name, block.last, block.sha256))
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
