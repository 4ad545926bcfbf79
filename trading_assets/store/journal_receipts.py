"""What stays of a segment that retention removed: a receipt, by which its chain is still proved from the first record on.

Receipts of a chain lie in one file, `<writer>.removed` in the chain's folder, one line a segment, oldest first. Only
the beginning of a chain is ever removed, so receipts join each other and the first segment that is still there. What
is removed, and when, is `journal_retention`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import msgspec

from trading_assets.store.files import replace_atomically
from trading_assets.store.journal_format import GENESIS, Chain, JournalError, Scan, Segment, segment_at

_SUFFIX = ".removed"


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """One removed segment: `size` and `sha256` are those of its bytes before compression."""

    segment: str
    number: int
    first: int
    last: int
    groups: int
    previous: str
    seal: str
    size: int
    sha256: str


class _Line(msgspec.Struct, frozen=True):
    """`sha256` is taken over the receipt as it is written."""

    removed: Receipt
    sha256: str


_decoder = msgspec.json.Decoder(_Line)


def receipts_path(root: Path, chain: Chain) -> Path:
    """Return where the receipts of a chain lie."""
    return root / chain.folder / f"{chain.writer}{_SUFFIX}"


def receipt_of(segment: Segment, scanned: Scan, data: bytes) -> Receipt:
    """Return the receipt of a segment whose seals hold."""
    assert scanned.header is not None
    return Receipt(
        segment=segment.name, number=segment.number, first=scanned.header.first, last=scanned.blocks[-1].last,
        groups=len(scanned.blocks), previous=scanned.header.previous, seal=scanned.blocks[-1].sha256,
        size=len(data), sha256=sha256(data).hexdigest(),
    )  # fmt: skip


def read_receipts(root: Path, chain: Chain) -> list[Receipt]:
    """Return a chain's receipts, oldest first. Raises JournalError at a line that is none."""
    path = receipts_path(root, chain)
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    receipts: list[Receipt] = []
    for number, line in enumerate(lines, 1):
        try:
            receipt = _decoder.decode(line).removed
            segment_at(receipt.segment)
            if line != _line(receipt):
                raise ValueError("it is not what was written")
            receipts.append(receipt)
        except ValueError as error:  # among them msgspec's and those of the text's encoding
            raise JournalError(
                "reading", f"{path} line {number}", f"it is no receipt ({error})", "restore the file from a copy"
            ) from error
    return receipts


def write_receipts(root: Path, chain: Chain, receipts: Sequence[Receipt]) -> None:
    """Replace a chain's receipts, durable when this returns."""
    replace_atomically(receipts_path(root, chain), b"".join(_line(one) + b"\n" for one in receipts))


def _line(receipt: Receipt) -> bytes:
    return msgspec.json.encode(_Line(receipt, sha256(msgspec.json.encode(receipt)).hexdigest()))


def chains_with_receipts(root: Path) -> list[Chain]:
    """Return the chains of which something was removed."""
    found: list[Chain] = []
    for path in root.glob(f"tenant=*/account=*/stream=*/*{_SUFFIX}"):
        tenant, account, stream = (part.partition("=")[2] for part in path.relative_to(root).parts[:3])
        found.append(Chain(tenant, account, stream, path.name.removesuffix(_SUFFIX)))
    return sorted(found)


def receipts_problem(receipts: Sequence[Receipt]) -> tuple[int, str]:
    """Return the first line that does not follow the one before it, and why; 0 when all do."""
    number, last, seal = 0, 0, GENESIS
    for line, one in enumerate(receipts, 1):
        if (one.number, one.first, one.previous) != (number + 1, last + 1, seal):
            return line, (
                f"segment {one.number} from record {one.first} after {one.previous[:16]}…, "
                f"where segment {number + 1} from record {last + 1} after {seal[:16]}… is due"
            )
        number, last, seal = one.number, one.last, one.seal
    return 0, ""
