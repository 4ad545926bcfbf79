"""Reading a small file where others may put anything: regular files only, without waiting, up to a size.

A named pipe, a folder, a link or a file without end must neither hold up nor fill up whoever looks into a folder that
people and programs write to. What the bytes mean is the caller's business.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class UnusableFileError(ValueError):
    """What lies there is not a regular file of the permitted size; waiting will not change that."""


def read_small_file(path: Path, most_bytes: int) -> bytes:
    """Return the file's bytes. Raises UnusableFileError for anything else than a small regular file, OSError otherwise."""
    # Asked before opening, too: Windows has no O_NOFOLLOW, and opening a device can do something.
    _check(path.lstat(), most_bytes)
    descriptor = os.open(path, _FLAGS)
    try:
        _check(os.fstat(descriptor), most_bytes)
        content = b""
        while chunk := os.read(descriptor, most_bytes + 1 - len(content)):
            content += chunk
            if len(content) > most_bytes:
                raise UnusableFileError(f"it is larger than {most_bytes} bytes")
    finally:
        os.close(descriptor)
    return content


def _check(status: os.stat_result, most_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UnusableFileError(f"it is a {_kind(status.st_mode)}, not a file")
    if status.st_size > most_bytes:
        raise UnusableFileError(f"it has {status.st_size} bytes, {most_bytes} are the most")


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISDIR, "folder"),
        (stat.S_ISLNK, "link"),
        (stat.S_ISFIFO, "named pipe"),
        (stat.S_ISSOCK, "socket"),
    )
    return next((name for is_kind, name in kinds if is_kind(mode)), "device")
