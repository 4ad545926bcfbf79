"""The few things a journal asks of the operating system: create, write, make durable, cut back, lock, list.

Each has its path for Windows, which has no fdatasync, no fsync of a folder and no flock. What the bytes mean is
`journal_format`'s.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path

import zstandard

from trading_assets.store.files import sync_folder
from trading_assets.store.journal_format import JournalError, Segment, segment_of

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

Sync = Callable[[int], None]
"""Makes what was written to an open file durable. Raises OSError when it cannot."""

_BINARY = getattr(os, "O_BINARY", 0)
# Windows locks bytes, and a locked byte cannot be read: lock one far behind the text.
_LOCKED_BYTE = 1 << 20
_TRIES, _TRY_AGAIN_S = 5, 0.01


def sync_file(descriptor: int) -> None:
    """Make the file's bytes durable, whatever the system calls it."""
    if sys.platform == "darwin":
        # fsync leaves the bytes in the drive's cache there.
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    elif hasattr(os, "fdatasync"):
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)


def create(root: Path, name: str) -> int:
    """Create a new segment and its folders; return its descriptor. None of the names is durable yet.

    Raises FileExistsError when there is one: a segment is never opened for writing twice.
    """
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | _BINARY, 0o644)


# Folders are of an hour: those of some days back are written to no more, and syncing one again costs a millisecond.
_NAMES_KEPT = 1_000


class DurableNames:
    """Which folders' own names this process knows to be durable.

    That a folder is there says nothing: a process that was killed, or a commit that failed, may have made it without
    syncing the folder above, and a power cut would take it with everything acknowledged inside.
    """

    def __init__(self, root: Path) -> None:
        self._top = root.parent
        self._known: set[Path] = set()

    def sync(self, path: Path) -> None:
        """Make a new file's name durable, and those of the folders above it up to the root."""
        folder = path.parent
        sync_folder(folder)
        while folder != self._top and folder not in self._known:
            sync_folder(folder.parent)
            if len(self._known) >= _NAMES_KEPT:
                self._known.clear()
            self._known.add(folder)
            folder = folder.parent


def write(descriptor: int, data: bytes) -> None:
    """Write all the bytes."""
    written = os.write(descriptor, data)
    if written < len(data):
        view = memoryview(data)
        while written < len(data):
            written += os.write(descriptor, view[written:])


def cut(path: Path, size: int) -> None:
    """Cut the file back to `size` bytes, durable when this returns; remove it when nothing is left."""
    if size == 0:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
        return
    with path.open("r+b") as file:
        file.truncate(size)
        os.fsync(file.fileno())


def read(root: Path, segment: Segment, offset: int = 0) -> bytes:
    """Return the segment's bytes from `offset` on, decompressed when it has been compressed meanwhile or before."""
    path = root / segment.name
    if not segment.is_compressed:
        with suppress(FileNotFoundError), path.open("rb") as file:
            file.seek(offset)
            return file.read()
    compressed = path.with_name(path.name + ".zst")
    try:
        return zstandard.ZstdDecompressor().decompress(compressed.read_bytes())[offset:]
    except (zstandard.ZstdError, MemoryError) as error:  # the second for an altered size in the frame's header
        raise JournalError(
            "reading", compressed, f"it does not decompress ({error})", "restore it from a copy"
        ) from error
    except FileNotFoundError as error:
        raise JournalError("reading", path, "it was removed meanwhile", "restore it from a copy") from error


def segments(
    root: Path,
    *,
    tenant: str | None = None,
    account: str | None = None,
    stream: str | None = None,
    dates: Collection[date] | None = None,
) -> Iterator[Segment]:
    """List the segments under the root, in no particular order. A name that was listed may be compressed a moment later."""
    days = None if dates is None else {f"date={day.isoformat()}" for day in dates}
    for tenant_folder in _below(root, "tenant=", tenant):
        for account_folder in _below(f"{root}/{tenant_folder}", "account=", account):
            account_path = f"{root}/{tenant_folder}/{account_folder}"
            for stream_folder in _below(account_path, "stream=", stream):
                stream_path = f"{account_path}/{stream_folder}"
                for day in _below(stream_path, "date=", None):
                    if days is not None and day not in days:
                        continue
                    for hour in _below(f"{stream_path}/{day}", "hour=", None):
                        files = os.listdir(f"{stream_path}/{day}/{hour}")
                        yield from _of_hour((tenant_folder, account_folder, stream_folder, day, hour), files)


def _of_hour(folders: tuple[str, ...], files: list[str]) -> Iterator[Segment]:
    tenant, account, stream, day, hour = (folder.partition("=")[2] for folder in folders)
    present = set(files)
    for file in files:
        # Between the rename of a compressed copy and the removal of the original both are there.
        if file.endswith(".zst") and file.removesuffix(".zst") in present:
            continue
        segment = segment_of(tenant, account, stream, day, hour, file)
        if segment is not None:
            yield segment


def _below(folder: str | Path, key: str, value: str | None) -> list[str]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return [name for name in names if (name.startswith(key) if value is None else name == key + value)]


def is_writer_alive(root: Path, writer: str = "live") -> bool | None:
    """Whether a process holds the writer's lock; None when that cannot be told, which is not a no."""
    try:
        descriptor = os.open(root / f"{writer}.lock", (os.O_RDWR if os.name == "nt" else os.O_RDONLY) | _BINARY)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        _lock(descriptor)
    except (BlockingIOError, PermissionError):  # the first on POSIX, the second on Windows
        return True
    except OSError:
        return None
    else:
        _unlock(descriptor)
        return False
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Lock a file for this process. Raises BlockingIOError or PermissionError when another one has it."""
    if sys.platform == "win32":
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _unlock(descriptor: int) -> None:
    if sys.platform == "win32":
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


class WriterLock:
    """Held by the one process that writes under a name; the system lets go of it when the process dies."""

    def __init__(self, root: Path, writer: str) -> None:
        """Take the lock. Raises JournalError when another process, or another journal of this one, holds it."""
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(root / f"{writer}.lock", os.O_RDWR | os.O_CREAT | _BINARY, 0o644)
        except OSError as error:
            raise JournalError(
                "opening the journal", root, f"it cannot be written ({error})", "make the folder writable"
            ) from error
        try:
            self._take()
        except (BlockingIOError, PermissionError) as error:  # the first on POSIX, the second on Windows
            holder = os.read(self._descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._descriptor)
            raise JournalError(
                "opening the journal", root, f"process {holder} already writes to it as {writer!r}",
                "stop that process, or give this one a home or a writer's name of its own",
            ) from error  # fmt: skip
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def _take(self) -> None:
        for _ in range(_TRIES):
            try:
                return _lock(self._descriptor)
            except (BlockingIOError, PermissionError):
                # Whoever asks whether there is a writer holds the lock for a moment.
                time.sleep(_TRY_AGAIN_S)
        return _lock(self._descriptor)

    def release(self) -> None:
        """Let go of the lock; the file stays, since removing it would let two processes lock two files of one name."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
