"""Writing a file so that a reader sees the old content or the new one, never a part: temp, fsync, rename, fsync folder."""

from __future__ import annotations

import os
from pathlib import Path


def replace_atomically(path: Path, content: bytes) -> None:
    """Put `content` at `path`, durable when this returns. Creates the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in the folder durable; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
