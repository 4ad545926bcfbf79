"""The bytes of a journal segment: names of files, header line, seal line, and the walk over sealed groups.

docs/journal-format.md describes the same in words. Everything here is computed from bytes and names; opening,
writing and following files live in `journal_disk`, `journal_commit`, `journal_recovery` and `journal_reader`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

import msgspec

from trading_assets.core.errors import StateError

FORMAT_VERSION = 1
GENESIS = "0" * 64
"""The previous seal of a chain's first segment."""
SEAL_MARK = b'{"seal":'
HEADER_MARK = b'{"segment":'
LONGEST_SEAL = 160
"""No seal line is longer: 114 bytes besides its two numbers."""

_SEAL_LINE = re.compile(rb'\{"seal":\{"first":([1-9]\d*),"last":([1-9]\d*),"sha256":"([0-9a-f]{64})"\}\}\n')
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._@+-]{0,62}[A-Za-z0-9_@+-])?")
_FILE = re.compile(r"(?P<writer>.+)-(?P<number>\d{8,})\.ndjson(?P<zst>\.zst)?")
_FIRST_HOUR = datetime(1, 1, 1, tzinfo=UTC)


class JournalError(StateError):
    """The journal cannot be written or read as it must be."""


class Chain(NamedTuple):
    """One hash chain: what one writer wrote to one stream of one account. Sorts in reading order."""

    tenant: str
    account: str
    stream: str
    writer: str

    @property
    def folder(self) -> str:
        """Folder under the journal's root, with forward slashes."""
        return f"tenant={self.tenant}/account={self.account}/stream={self.stream}"


class Segment(NamedTuple):
    """One file of a chain. `name` is its path under the root without the suffix of compression."""

    number: int
    chain: Chain
    date: date
    hour: int
    name: str
    is_compressed: bool


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """First line of a segment."""

    version: int
    tenant: str
    account: str
    stream: str
    writer: str
    number: int
    hour: str
    first: int
    previous: str


class _HeaderLine(msgspec.Struct, frozen=True):
    segment: Header


class Block(NamedTuple):
    """The bytes up to one seal: `start` of its record lines, `seal` line, `end` after it; `problem` when it does not hold."""

    start: int
    seal: int
    end: int
    first: int
    last: int
    sha256: str
    problem: str


class Scan(NamedTuple):
    """All blocks of a piece of a segment. Bytes after `end` are not sealed."""

    header: Header | None
    blocks: list[Block]
    end: int


_encoder = msgspec.json.Encoder()
_header_decoder = msgspec.json.Decoder(_HeaderLine)


def is_name(text: str) -> bool:
    """Say whether the text can be a tenant, an account or a writer: it becomes part of a path on every system."""
    return _NAME.fullmatch(text) is not None


def hour_number(at: datetime) -> int:
    """Return the UTC hour of an aware instant as a whole number. Raises ValueError for a naive one."""
    if at.tzinfo is not UTC:
        if at.tzinfo is None:
            raise ValueError(f"known_at {at} has no time zone; give an aware datetime in UTC")
        at = at.astimezone(UTC)
    return at.toordinal() * 24 + at.hour


def segment_name(chain: Chain, number: int, hour: int) -> str:
    """Return the path of a segment under the root."""
    at = _hour_start(hour)
    return f"{chain.folder}/date={at:%Y-%m-%d}/hour={at:%H}/{chain.writer}-{number:08d}.ndjson"


def segment_of(tenant: str, account: str, stream: str, day: str, hour: str, file: str) -> Segment | None:
    """Read a segment back from the parts of its path; None when the file is not a segment."""
    match = _FILE.fullmatch(file)
    if match is None:
        return None
    chain = Chain(tenant, account, stream, match["writer"])
    name = f"{chain.folder}/date={day}/hour={hour}/{file.removesuffix('.zst')}"
    try:
        return Segment(int(match["number"]), chain, date.fromisoformat(day), int(hour), name, match["zst"] is not None)
    except ValueError:
        return None  # no folder of ours is named like that


def segment_at(name: str) -> Segment:
    """Read a segment back from its path under the root. Raises ValueError when the path is not one."""
    parts = name.split("/")
    keys = ("tenant=", "account=", "stream=", "date=", "hour=")
    if len(parts) == 6 and all(part.startswith(key) for part, key in zip(parts, keys, strict=False)):
        values = [part.partition("=")[2] for part in parts[:5]]
        segment = segment_of(values[0], values[1], values[2], values[3], values[4], parts[5])
        if segment is not None:
            return segment
    raise ValueError(f"{name!r} is not the path of a segment")


def header_line(chain: Chain, number: int, hour: int, first: int, previous: str) -> bytes:
    """Return the first line of a segment, newline included."""
    header = Header(
        version=FORMAT_VERSION, tenant=chain.tenant, account=chain.account, stream=chain.stream, writer=chain.writer,
        number=number, hour=f"{_hour_start(hour):%Y-%m-%dT%H}", first=first, previous=previous,
    )  # fmt: skip
    return _encoder.encode(_HeaderLine(header)) + b"\n"


def seal_line(first: int, last: int, digest: str) -> bytes:
    """Return the line that seals a group, newline included."""
    return b'{"seal":{"first":%d,"last":%d,"sha256":"%b"}}\n' % (first, last, digest.encode())


def seal_digest(previous: str, *group: bytes | memoryview) -> str:
    """Return the seal of a group: sha256 over the previous seal's 64 hexadecimal digits and the group's bytes, in pieces."""
    digest = sha256(previous.encode())
    for piece in group:
        digest.update(piece)
    return digest.hexdigest()


def read_seal(line: bytes) -> tuple[int, int, str] | None:
    """Return first and last sequence number and digest of a seal line, newline included; None when it is not one."""
    match = _SEAL_LINE.fullmatch(line)
    return (int(match[1]), int(match[2]), match[3].decode()) if match else None


def header_problem(header: Header, segment: Segment) -> str:
    """Say how a header contradicts the file it stands in; empty when it does not."""
    expected = (*segment.chain, segment.number, f"{segment.date}T{segment.hour:02d}")
    observed = (header.tenant, header.account, header.stream, header.writer, header.number, header.hour)
    if header.version != FORMAT_VERSION:
        return f"the header has format version {header.version}, this software reads {FORMAT_VERSION}"
    if observed != expected:
        return f"the header names {'/'.join(map(str, observed))}, the path {'/'.join(map(str, expected))}"
    return ""


def scan(data: bytes, previous: str | None = None, next_seq: int = 0) -> Scan:
    """Check every seal of a segment's bytes, or, from a given seal on, of the rest of one.

    A block is held against the seal line before it as it stands there, so one altered group does not hide the
    state of the groups after it. Bytes after the last complete seal line are left alone.
    """
    header, start, problem = None, 0, ""
    if previous is None:
        header, start = _read_header(data)
        problem = "" if header else "the header line cannot be read"
        previous, next_seq = (header.previous, header.first) if header else (GENESIS, 1)
    blocks: list[Block] = []
    view, group, recomputed = memoryview(data), 0, ""
    while (found := _next_seal(data, group)) is not None:
        seal, end = found
        digest = seal_digest(previous, view[group:seal])
        read = read_seal(data[seal:end])
        if read is None:
            first, last, recorded = next_seq, next_seq - 1 + data.count(b"\n", start, seal), digest
            problem = problem or f"the seal line of records {first} to {last} cannot be read"
        else:
            first, last, recorded = read
            follows = digest == recorded or (recomputed and seal_digest(recomputed, view[group:seal]) == recorded)
            count = data.count(b"\n", start, seal)
            problem = problem or _group_problem(
                follows=bool(follows), first=first, last=last, count=count, due=next_seq
            )
        blocks.append(Block(start, seal, end, first, last, recorded, problem))
        recomputed = "" if recorded == digest else digest
        previous, next_seq, group, start, problem = recorded, last + 1, end, end, ""
    return Scan(header, blocks, group)


def _group_problem(*, follows: bool, first: int, last: int, count: int, due: int) -> str:
    if not follows:
        return f"records {first} to {last} and the seal before them do not give the sha256 of their seal"
    if first != due:
        return f"the seal starts at record {first}, the one before it ended at {due - 1}"
    if last - first + 1 != count:
        return f"the seal counts {last - first + 1} records, there are {count} lines"
    return ""


def _read_header(data: bytes) -> tuple[Header | None, int]:
    """Return the header and where the lines after it start; no header when the first line is not one."""
    end = data.find(b"\n") + 1
    if not data.startswith(HEADER_MARK):
        return None, 0
    try:
        return _header_decoder.decode(data[:end]).segment, end
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None, end


def _next_seal(data: bytes, position: int) -> tuple[int, int] | None:
    """Return start and end of the next complete line that starts like a seal, at or after `position`."""
    if data.startswith(SEAL_MARK, position):
        seal = position
    else:
        seal = data.find(b"\n" + SEAL_MARK, max(position - 1, 0)) + 1
        if seal == 0:
            return None
    end = data.find(b"\n", seal) + 1
    return (seal, end) if end else None


def _hour_start(hour: int) -> datetime:
    return _FIRST_HOUR + timedelta(hours=hour - 24)
