"""How many bytes the journal has of a day: before compression, and with what retention removed. So a day's number
changes when the day has grown and at no other time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import date
from pathlib import Path

import zstandard

from trading_assets.core.records.record import Stream
from trading_assets.store import journal_disk
from trading_assets.store.journal_format import Segment, segment_at
from trading_assets.store.journal_receipts import Receipt, chains_with_receipts, read_receipts

_FRAME_HEADER_BYTES = 18


def day_sizes(
    root: Path,
    stream: Stream,
    *,
    tenant: str | None = None,
    account: str | None = None,
    days: Collection[date] | None = None,
) -> dict[date, int]:
    """Return the bytes of each day of a stream, of one account or of all. Raises JournalError at spoilt receipts."""
    sizes: Counter[date] = Counter()
    removed: set[str] = set()
    for chain in chains_with_receipts(root):
        if chain.stream == stream and tenant in (None, chain.tenant) and account in (None, chain.account):
            for receipt in read_receipts(root, chain):
                removed.add(receipt.segment)
                if days is None or date_of(receipt) in days:
                    sizes[date_of(receipt)] += receipt.size
    for segment in journal_disk.segments(root, tenant=tenant, account=account, stream=stream, dates=days):
        if segment.name not in removed:
            sizes[segment.date] += size_of(root, segment)
    return dict(sizes)


def size_of(root: Path, segment: Segment) -> int:
    """Return a segment's bytes before compression; 0 for one that vanished meanwhile or cannot be read."""
    path = root / segment.name
    try:
        if not segment.is_compressed:
            return path.stat().st_size
    except FileNotFoundError:
        pass  # compressed a moment ago
    try:
        with path.with_name(path.name + ".zst").open("rb") as file:
            return int(zstandard.get_frame_parameters(file.read(_FRAME_HEADER_BYTES)).content_size)
    except (FileNotFoundError, zstandard.ZstdError):
        return 0


def removed_days(root: Path, stream: Stream) -> set[date]:
    """Return the days of a stream of which retention removed segments."""
    found: set[date] = set()
    for chain in chains_with_receipts(root):
        if chain.stream == stream:
            found |= {date_of(receipt) for receipt in read_receipts(root, chain)}
    return found


def date_of(receipt: Receipt) -> date:
    """Return the day of a removed segment."""
    return segment_at(receipt.segment).date
