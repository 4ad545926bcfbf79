"""What becomes of old segments: closed ones are compressed, market segments that are old and ingested are removed.

A process of its own does this (`trading retain`); writer and readers never wait for it, and killing it at any point is
harmless. Trading and ops segments are kept for ever. Of a chain only the beginning is removed, a receipt for each
segment first (`journal_receipts`), so that the chain is still proved; the bars of its days stay (`journal_bars`).
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

from trading_assets.store import journal_disk
from trading_assets.store.files import sync_folder
from trading_assets.store.home import Home
from trading_assets.store.ingestion import ingested_days
from trading_assets.store.journal_bars import keep_bars
from trading_assets.store.journal_compress import compress_segment
from trading_assets.store.journal_format import Chain, JournalError, Segment, header_problem, scan
from trading_assets.store.journal_receipts import Receipt, read_receipts, receipt_of, receipts_problem, write_receipts

_LOCK = "retention"


@dataclass(frozen=True)
class Retained:
    """What one pass did, and one sentence for each thing it left alone because something was wrong with it."""

    compressed: int = 0
    removed: int = 0
    freed_bytes: int = 0
    problems: tuple[str, ...] = ()


def retain(home: Home, today: date, market_days: int) -> Retained:
    """Compress closed segments and remove market segments whose day is more than `market_days` before `today`.

    A day is removed only when the lake has all of it. Raises StateError when another process does the same.
    """
    lock = journal_disk.WriterLock(home.raw, _LOCK)
    try:
        _sweep(home.raw)
        chains: dict[Chain, list[Segment]] = defaultdict(list)
        for segment in journal_disk.segments(home.raw):
            chains[segment.chain].append(segment)
        done, old = Retained(), set[date]()
        try:
            old = {day for day in ingested_days(home, "market") if day < today - timedelta(days=market_days)}
        except JournalError as error:
            done = Retained(problems=(f"nothing is removed: {error}",))
        for chain, segments in sorted(chains.items()):
            # Room first: compressing needs some.
            for step in (_remove_oldest, _compress) if chain.stream == "market" else (_compress,):
                try:
                    done = step(home.raw, chain, sorted(segments), old, done)
                except (JournalError, OSError) as error:
                    done = replace(done, problems=(*done.problems, f"{chain.folder}: {error}"))
        return done
    finally:
        lock.release()


def _sweep(raw: Path) -> None:
    """Remove what a killed pass left half written; the lock says that nobody is writing it now."""
    for pattern in ("date=*/hour=*/.*.zst.*.tmp", "date=*/.bars.extract.*.tmp", ".*.removed.*.tmp"):
        for path in raw.glob(f"tenant=*/account=*/stream=*/{pattern}"):
            path.unlink(missing_ok=True)


def _compress(raw: Path, chain: Chain, segments: list[Segment], _old: set[date], done: Retained) -> Retained:
    """Compress the closed segments; leave an extract of the bars of each day that is over."""
    for segment, after in pairwise(segments):
        path = raw / segment.name
        if not segment.is_compressed and path.exists():
            size = path.stat().st_size
            compress_segment(raw, segment)
            freed = size - path.with_name(path.name + ".zst").stat().st_size
            done = replace(done, compressed=done.compressed + 1, freed_bytes=done.freed_bytes + freed)
            if chain.stream == "market" and after.date != segment.date:
                keep_bars(raw, chain.tenant, chain.account, segment.date)
    return done


def _remove_oldest(raw: Path, chain: Chain, segments: list[Segment], old: set[date], done: Retained) -> Retained:
    """Remove the beginning of a chain, as far as its days are old. The last segment is never removed."""
    receipts = read_receipts(raw, chain)
    line, problem = receipts_problem(receipts)
    if line:
        raise JournalError(
            "removing from",
            chain.folder,
            f"receipt {line} does not follow: {problem}",
            "restore the receipts from a copy",
        )
    reached = receipts[-1].number if receipts else 0
    leftover = [segment for segment in segments if segment.number <= reached]
    fresh: list[Segment] = []
    for segment in segments[len(leftover) : -1]:
        if segment.date not in old:
            break
        fresh.append(segment)
    if fresh:
        for day in sorted({segment.date for segment in fresh}):
            keep_bars(raw, chain.tenant, chain.account, day)
        added = [_receipt(raw, segment) for segment in fresh]
        line, problem = receipts_problem([*receipts, *added])
        if line:
            raise JournalError("removing from", chain.folder, problem, "run `trading verify` and restore what it names")
        # From here on the segments count as removed, whether or not they are gone yet.
        write_receipts(raw, chain, [*receipts, *added])
        receipts += added
    freed = sum(_unlink(raw, segment) for segment in (*_proved(raw, leftover, receipts), *fresh))
    return replace(done, removed=done.removed + len(fresh), freed_bytes=done.freed_bytes + freed)


def _receipt(raw: Path, segment: Segment) -> Receipt:
    """Return the receipt of a segment that is what was written. Raises JournalError for one that is not."""
    data = journal_disk.read(raw, segment)
    result = scan(data)
    problem = next((block.problem for block in result.blocks if block.problem), "")
    if result.header is None or not result.blocks:
        problem = "it holds no sealed group"
    elif not problem and result.end != len(data):
        problem = "bytes after its last seal"
    problem = problem or (header_problem(result.header, segment) if result.header else "")
    if problem:
        raise JournalError("removing", raw / segment.name, problem, "run `trading verify` and restore it from a copy")
    return receipt_of(segment, result, data)


def _proved(raw: Path, leftover: list[Segment], receipts: list[Receipt]) -> list[Segment]:
    """Return the files a killed pass did not get to; one that is not its receipt's stays, for verification to name."""
    by_number = {one.number: one for one in receipts}
    return [one for one in leftover if _receipt(raw, one) == by_number[one.number]]


def _unlink(raw: Path, segment: Segment) -> int:
    """Remove a segment in both its forms, and folders that are empty then; returns the bytes freed."""
    path, freed = raw / segment.name, 0
    for one in (path, path.with_name(path.name + ".zst")):
        # Windows refuses while a reader has it open: the next pass tries again.
        with suppress(FileNotFoundError, PermissionError):
            size = one.stat().st_size
            one.unlink()
            freed += size
    sync_folder(path.parent)
    with suppress(OSError):
        path.parent.rmdir()
    return freed
