"""Writing a file so that a reader sees the old content or the new one, never a part: temp, fsync, rename, fsync folder."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def replace_atomically(path: Path, content: bytes) -> None:
    """Put `content` at `path`, durable when this returns. Creates the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write_synced(temporary, content)
        temporary.replace(path)
    except OSError:
        # A disk that is full is not helped by a part of what it had no room for.
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file nobody looks at yet; its bytes are durable when this returns, its name is not."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make a rename in the folder durable; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
