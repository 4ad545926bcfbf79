"""Disks that fail under load: full for real where one may be mounted, failing and slow at random syncs elsewhere.

What was acknowledged must be there, once and in order, what was refused must not be, and the journal must be written
again by itself once the disk works.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from broken import break_build
from survived import Survived, run

from trading_assets.core.records.operations import OpsError
from trading_assets.store.journal import Journal, JournalError, read_records, verify
from trading_assets.store.journal_disk import sync_file

START = datetime(2026, 11, 2, tzinfo=UTC)
ROUNDS, SHORT_ROUNDS = 400, 25
_FAULTS = (errno.ENOSPC, errno.EIO, errno.EROFS)


def survive(*, is_short: bool, seed: int, broken: str = "") -> Survived:
    """Write through rounds of faults, and hold what is left against what was acknowledged."""
    break_build(broken)
    chance, counts = random.Random(seed), Counter[str]()
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="trading-torture-") as folder:
        root = Path(folder)
        rounds = SHORT_ROUNDS if is_short else ROUNDS
        failures += asyncio.run(_through_faults(root / "seam", rounds, chance, counts))
        disk = root / "disk"
        disk.mkdir()
        if _mount(disk):
            try:
                failures += asyncio.run(_through_a_full_disk(disk, rounds // 5, chance, counts))
            finally:
                subprocess.run(["umount", "--lazy", disk], check=True)
        else:
            counts["disks that could not be mounted: faults by the seam alone"] += 1
    return Survived("disk", dict(counts), tuple(failures))


def _mount(disk: Path) -> bool:
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return False
    return not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True, check=False
    ).returncode


async def _through_faults(raw: Path, rounds: int, chance: random.Random, counts: Counter[str]) -> list[str]:
    """Fail and slow down single syncs at random; the clock jumps, back too."""

    def sync(descriptor: int) -> None:
        kind = chance.random()
        if kind < 0.15:
            counts["syncs that failed"] += 1
            raise OSError(chance.choice(_FAULTS), "injected")
        if kind < 0.2:
            counts["syncs of 100 ms and more"] += 1
            time.sleep(0.1)
        sync_file(descriptor)

    acknowledged: list[str] = []
    refused: set[str] = set()
    async with Journal.open(raw, sync=sync) as journal:
        for number in range(rounds):
            at = START + timedelta(minutes=10 * number - chance.choice((0, 0, 0, 90)))
            names = [f"{number}-{index}" for index in range(chance.randrange(1, 8))]
            results = await asyncio.gather(
                *(journal.append([_record(name, at)]) for name in names), return_exceptions=True
            )
            for name, result in zip(names, results, strict=True):
                if result is None:
                    acknowledged.append(name)
                else:
                    refused.add(name)
        counts["appends refused"] += len(refused)
        counts["appends acknowledged"] += len(acknowledged)
        while True:  # the last sync may fail as well
            with suppress(JournalError):
                await journal.append([_record("last", START)])
                break
    return _held(raw, [*acknowledged, "last"], counts)


async def _through_a_full_disk(disk: Path, rounds: int, chance: random.Random, counts: Counter[str]) -> list[str]:
    """Fill the disk, be refused, make room, be written again."""
    raw, filler = disk / "raw", disk / "filler"
    acknowledged: list[str] = []
    failures: list[str] = []
    async with Journal.open(raw) as journal:
        for number in range(rounds):
            descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT)
            with suppress(OSError):
                while os.write(descriptor, b"x" * 65536):
                    pass
            os.close(descriptor)
            for attempt in range(6):
                name = f"{number}-{attempt}"
                with suppress(JournalError):
                    await journal.append(
                        [_record(name, START + timedelta(hours=number % 7), chance.randrange(100, 6000))]
                    )
                    acknowledged.append(name)
            counts["times the disk was full"] += 1
            counts["writes a full disk refused"] += journal.health != "ok"
            filler.unlink()
            name = f"{number}-after"
            await journal.append([_record(name, START + timedelta(hours=number % 7))])
            acknowledged.append(name)
    return failures + _held(raw, acknowledged, counts)


def _record(name: str, at: datetime, size: int = 200) -> OpsError:
    return OpsError(
        tenant="t", account="a", event_at=at, known_at=at, chain_id=name, component="test", message="x" * size
    )


def _held(raw: Path, acknowledged: list[str], counts: Counter[str]) -> list[str]:
    """Return what is wrong: a journal must hold exactly what it acknowledged, in that order."""
    report = verify(raw)
    failures = [f"verify: {one.segment} line {one.line}: {one.observed}" for one in report.faults[:5]]
    found = [record.chain_id for record in read_records(raw)]
    if found != acknowledged:
        lost, added = set(acknowledged) - set(found), set(found) - set(acknowledged)
        failures.append(
            f"{len(lost)} acknowledged records are lost, {len(added)} refused ones are there, of {len(found)}"
        )
    counts["records read back"] += len(found)
    counts["segments"] += report.segments
    return failures


if __name__ == "__main__":
    sys.exit(run(survive, __doc__))
