"""A power cut for processes that are killed: SIGKILL keeps the system's cache, a power cut does not.

`noting` makes a journal's `sync` that really syncs and then notes up to which byte the file is durable. Once the process
is dead, `cut_power` cuts every segment back to what was noted, and `leave_remains` puts back some of what was not
synced, torn, with holes or altered. Linux only, as the kill is.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from trading_assets.store import journal_disk, journal_recovery
from trading_assets.store.journal_format import Segment, scan

_make_durable = journal_recovery._make_durable


class Lost(NamedTuple):
    """What a power cut took: bytes nobody was promised, by file, and how many files as a whole."""

    tails: dict[Path, bytes]
    files: int

    @property
    def size(self) -> int:
        """Return how many bytes."""
        return sum(map(len, self.tails.values()))


def noting(notes: Path, sync: Callable[[int], None] = journal_disk.sync_file) -> Callable[[int], None]:
    """Return a `sync` for the journal that notes in the file `notes`, by path, how many bytes are durable."""
    descriptor = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def sync_and_note(file: int) -> None:
        size = os.fstat(file).st_size
        sync(file)
        os.write(descriptor, f"{size} {os.readlink(f'/proc/self/fd/{file}')}\n".encode())

    def make_durable_and_note(root: Path, segment: Segment) -> None:
        _make_durable(root, segment)
        path = (root / segment.name).resolve()
        if path.exists():
            os.write(descriptor, f"{path.stat().st_size} {path}\n".encode())

    # What recovery builds on it syncs by itself, not by the journal's `sync`.
    journal_recovery._make_durable = make_durable_and_note
    return sync_and_note


def cut_power(root: Path, notes: Path, chance: random.Random | None = None) -> Lost:
    """Cut every segment under `root` back to the length noted last; files that were never synced vanish.

    With `chance` some of what was not synced remains (`leave_remains`).
    """
    durable: dict[str, int] = {}
    for line in notes.read_text().splitlines() if notes.exists() else []:
        size, _, path = line.partition(" ")
        durable[path] = int(size)
    tails: dict[Path, bytes] = {}
    vanished = 0
    for segment in sorted(root.rglob("*.ndjson")):
        kept = durable.get(str(segment.resolve()), 0)
        if kept < segment.stat().st_size:
            tails[segment] = segment.read_bytes()[kept:]
            os.truncate(segment, kept)
        if kept == 0:
            segment.unlink()
            vanished += 1
    lost = Lost(tails, vanished)
    if chance is not None:
        leave_remains(lost, chance)
    return lost


def lost_of(root: Path, told: Path) -> list[str]:
    """Return a sentence for each segment that holds less than was said to be durable: lines of last record and name."""
    last: dict[str, int] = {}
    for line in told.read_text().splitlines() if told.exists() else []:
        number, _, name = line.partition(" ")
        last[name] = max(int(number), last.get(name, 0))
    problems = []
    for name, due in last.items():
        path = root / name
        blocks = [block for block in scan(path.read_bytes()).blocks if not block.problem] if path.exists() else []
        held = blocks[-1].last if blocks else 0
        if held < due:
            problems.append(f"acknowledged records up to {due} of {name} are lost, it ends with {held}")
    return problems


def leave_remains(lost: Lost, chance: random.Random) -> None:
    """Put back some of what a power cut took, as disks do: the first bytes, or pages in any order."""
    for path, tail in lost.tails.items():
        left = _left_of(tail, chance)
        if left:
            with path.open("ab") as file:
                file.write(left)


def _left_of(tail: bytes, chance: random.Random) -> bytes:
    """Return what is left of bytes that were written and not synced."""
    match chance.randrange(4):
        case 0:
            return b""
        case 1:
            return tail[: chance.randrange(len(tail))]
        case 2:
            begin = chance.randrange(len(tail))
            end = min(begin + 512, len(tail))
            return tail[:begin] + bytes(end - begin) + tail[end:]
        case _:
            at = chance.randrange(len(tail))
            return tail[:at] + bytes([tail[at] ^ 1]) + tail[at + 1 :]
