"""Closed segments become `.zst` files of the same bytes: chain, cursors and readers stay as they are.

A segment is closed once its chain has a later one. A process of its own does this; the writer never waits for it.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import zstandard

from trading_assets.store import journal_disk
from trading_assets.store.files import replace_atomically, sync_folder
from trading_assets.store.journal_format import Chain, JournalError, Segment, scan

_LEVEL = 9


def compress_closed(root: Path) -> int:
    """Compress every closed segment that is not yet; return how many. May be stopped and run again at any point.

    Raises JournalError at a segment whose seals do not hold, and leaves it as it is.
    """
    chains: dict[Chain, list[Segment]] = defaultdict(list)
    for segment in journal_disk.segments(root):
        chains[segment.chain].append(segment)
    count = 0
    for segments in chains.values():
        for segment in sorted(segments)[:-1]:
            if not segment.is_compressed:
                compress_segment(root, segment)
                count += 1
    return count


def compress_segment(root: Path, segment: Segment) -> None:
    """Compress one closed segment. Raises JournalError when its seals do not hold, and leaves it as it is."""
    path = root / segment.name
    data = journal_disk.read(root, segment)
    result = scan(data)
    problem = next((block.problem for block in result.blocks if block.problem), "")
    if problem or result.end != len(data):
        raise JournalError(
            "compressing",
            path,
            problem or "bytes after its last seal",
            "run `trading verify` and restore it from a copy",
        )
    replace_atomically(
        path.with_name(path.name + ".zst"), zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(data)
    )
    # Windows refuses while a reader has it open: both stay, readers take the original, and the next run tries again.
    with suppress(PermissionError):
        path.unlink()
    sync_folder(path.parent)
