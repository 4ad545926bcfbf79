"""Which names a power cut leaves: a new file is there after it only when its folder was synced, and that one's folder too.

`note_folders` notes what `os.fsync` makes durable in this process, `drop_unnamed` lets go what was not. What is
left inside a file is `power_cut`'s.
"""

from __future__ import annotations

import os
from pathlib import Path


def note_folders(notes: Path, names: Path) -> None:
    """From now on note each synced file's length in `notes`, as `power_cut.noting` does, and each synced folder's names."""
    sizes = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    entries = os.open(names, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    real = os.fsync

    def fsync_and_note(file: int) -> None:
        path = os.readlink(f"/proc/self/fd/{file}")
        if os.path.isdir(path):
            # What is created during the sync may have missed it.
            inside = os.listdir(path)
            real(file)
            os.write(entries, "".join(f"{path}/{name}\n" for name in inside).encode())
        else:
            size = os.fstat(file).st_size
            real(file)
            os.write(sizes, f"{size} {path}\n".encode())

    os.fsync = fsync_and_note  # type: ignore[assignment]


def drop_unnamed(root: Path, names: Path) -> int:
    """Remove the segments whose name, or that of a folder above up to the root, was never synced; returns how many."""
    named = set(names.read_text().splitlines()) if names.exists() else set()
    dropped = [path for path in root.rglob("*.ndjson") if not _is_named(path, root, named)]
    for path in dropped:
        path.unlink()
    return len(dropped)


def _is_named(path: Path, root: Path, named: set[str]) -> bool:
    return str(path) in named and (path == root or _is_named(path.parent, root, named))
