"""A copy of a home in one file, `.tar.zst`, whose last member is a manifest with the sha256 of every other.

What is derived is copied before what it is derived from (databases, releases, tables, and the journal last), so that a copy
made while everything runs never knows of something whose source it lacks. Journals are taken up to their last seal. A copy
is read back and compared before it gets its name; restoring checks again, file by file, and shows a home whole or not at all.
Which commands make and restore copies is `cli.backup`; what a database's dump is, `store.postgres_dump`.

Left out: what processes make again (the data folder of the embedded PostgreSQL, whose databases are in the copy as dumps; dbt's
target; logs), locks, secrets (tokens in clear, passwords), and commands that wait in the daemon's inbox: a `resume` of the day of
the copy must not be carried out on the day of the restore.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Literal

import msgspec
import zstandard

from trading_assets.core.errors import InputError, StateError
from trading_assets.store.file_names import place_under, problem_of
from trading_assets.store.files import sync_folder
from trading_assets.store.home import Home
from trading_assets.store.journal_format import scan

DUMPS = "databases"
"""Folder of the databases' dumps, in the copy alone."""
_MANIFEST = "manifest.json"
_INBOX = "control"
_JOURNAL = re.compile(r"raw/.+\.ndjson(\.zst)?")
_CHUNK = 1 << 20
_LARGEST_MANIFEST = 256 << 20
_RESERVE = 64 << 20
"""Bytes that a restore leaves free on the disk."""
_SECRET = (".token", ".key")
_MADE_AGAIN = frozenset({"postgres", "logs", "dbt"})
_PASSING = (".lock", ".tmp", ".part")
# Derived before its source; what is named in no line comes before the lake.
_LAST = ("models", "releases", "cursors", "lake", "raw")

Tell = Callable[[float, str], None]
"""Told of progress: the share done, and the file."""


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a copy."""

    path: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy holds. `home` is where the copied home lay, by which addresses in MLflow's database are moved."""

    version: Literal[1] = 1
    made_at: datetime
    code_version: str
    home: str
    files: tuple[FileEntry, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.files)


def write_backup(
    home: Home, target: Path, *, made_at: datetime, code_version: str, dumps: Mapping[str, Path], tell: Tell
) -> Manifest:
    """Write a copy of the home to `target` and read it back; it has its name only once it is right.

    `dumps` are files of the databases by name. Raises InputError when `target` exists or cannot be written; nothing of it
    stays then.
    """
    empty = Manifest(made_at=made_at, code_version=code_version, home=str(home.root), files=())
    with _written(target) as part:
        with part.open("wb") as file:
            with zstandard.ZstdCompressor(level=3).stream_writer(file, closefd=False) as packed:
                manifest = _pack(home, packed, empty, dumps, tell)
            file.flush()
            os.fsync(file.fileno())
        check_backup(part, lambda share, name: tell((1.0 + share) / 2, name))
    return manifest


def check_place(target: Path) -> None:
    """Raise InputError when there is a file already, or none can be written there; makes the folder."""
    with _told(target):
        if target.exists():
            raise InputError("writing a backup to", target, "there is a file already", "name another one")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target.parent):
            pass


@contextmanager
def _written(target: Path) -> Iterator[Path]:
    """Give the file to write to; it gets the target's name when the block ends well, else it is removed."""
    check_place(target)
    part = target.with_name(target.name + ".part")
    with _told(target):
        try:
            yield part
            part.replace(target)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
        sync_folder(target.parent)


@contextmanager
def _told(target: Path) -> Iterator[None]:
    """Tell what the system refuses in a sentence. A file of the home that cannot be read is named in it."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        named = Path(str(getattr(error, "filename", None) or target))
        problem = str(getattr(error, "strerror", None) or error)
        if isinstance(error, FileExistsError):
            problem = f"{named} is not a folder"
        elif named.parent != target.parent:
            problem += f" ({named})"
        raise InputError(
            "writing a backup to", target, problem, "make room, mend permissions, or name another place"
        ) from error


def check_backup(archive: Path, tell: Tell, room: int | None = None) -> Manifest:
    """Read a copy from end to end. Raises StateError naming the first file that is not as it was written.

    With `room`, the bytes there is place for, it is read no further than that; InputError says so.
    """
    with _opened(archive, tell) as (members, told):
        return _checked(archive, members, None, told, room)


def unpack(archive: Path, home: Home, tell: Tell) -> Manifest:
    """Put a copy's files into `home`. Raises StateError, or InputError for a home that is not empty or a disk without room.

    It is read to its end first: nothing is written of a copy that is damaged, or larger than there is room for.
    """
    check_empty(home)
    with _placed(home.root):
        home.root.mkdir(parents=True, exist_ok=True)
        room = max(shutil.disk_usage(home.root).free - _RESERVE, 0)
    size = check_backup(archive, lambda share, name: tell(share / 2, name), room).size
    with _opened(archive, lambda share, name: tell((1.0 + share) / 2, name)) as (members, told):
        return _checked(archive, members, home.root, told, size)


def check_empty(home: Home) -> None:
    """Raise InputError when something is in the home already."""
    with _placed(home.root):
        is_taken = home.root.exists() and (not home.root.is_dir() or any(home.root.iterdir()))
    if is_taken:
        raise InputError(
            "restoring into", home.root, "it is not empty, and nothing there is overwritten",
            "name a folder that does not exist with --home",
        )  # fmt: skip


@contextmanager
def staged(home: Home) -> Iterator[Home]:
    """Give a home beside the right place; it takes that place when the block ends well, else it is removed."""
    check_empty(home)
    stage = Home(home.root.with_name(f".{home.root.name}.restoring"))
    shutil.rmtree(stage.root, ignore_errors=True)
    try:
        yield stage
        if home.root.exists():
            home.root.rmdir()
        stage.root.replace(home.root)
        sync_folder(home.root.parent)
    finally:
        shutil.rmtree(stage.root, ignore_errors=True)


# --- packing ----------------------------------------------------------------------------------------------------


def _pack(home: Home, packed: IO[bytes], empty: Manifest, dumps: Mapping[str, Path], tell: Tell) -> Manifest:
    entries: list[FileEntry] = []
    with tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for name, path in dumps.items():
            entries.append(_add(archive, f"{DUMPS}/{name}", path))
        expected = sum(1 for _ in _files(home))
        # Listed again as it is copied: what was added meanwhile belongs to it, sources last.
        for done, path in enumerate(_files(home)):
            relative = path.relative_to(home.root).as_posix()
            tell(min(done / expected, 1.0) / 2, relative)
            entry = _add_sealed(archive, relative, path) if _is_segment(relative) else _add(archive, relative, path)
            if entry is not None:
                entries.append(entry)
        manifest = msgspec.structs.replace(empty, files=tuple(entries))
        content = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        archive.addfile(_info(_MANIFEST, len(content)), io.BytesIO(content))
    return manifest


def _files(home: Home) -> Iterator[Path]:
    """Yield the files to copy, what is derived before its source."""
    top = sorted(path for path in home.root.iterdir() if path.name not in (*_MADE_AGAIN, *_LAST))
    for path in (*top, *(home.root / name for name in _LAST)):
        yield from (one for one in _below(path) if not _is_waiting(one.relative_to(home.root).as_posix()))


def _below(path: Path) -> Iterator[Path]:
    if path.is_symlink() or path.name.endswith((*_SECRET, *_PASSING)):
        return
    if path.is_file():
        yield path
    elif path.is_dir():
        # A Delta table's log before its data: what the copied log names is then there. A pointer before what it points at.
        children = sorted(path.iterdir(), key=lambda child: (child.name != "_delta_log", child.is_dir(), child.name))
        for child in children:
            yield from _below(child)


def _is_waiting(relative: str) -> bool:
    """Whether a file lies in the daemon's inbox itself, not among the commands that were taken."""
    return PurePosixPath(relative).parent.as_posix() == _INBOX


def _is_segment(relative: str) -> bool:
    return relative.startswith("raw/") and relative.endswith(".ndjson")


def _add(archive: tarfile.TarFile, name: str, path: Path) -> FileEntry:
    if path.suffix in (".sqlite", ".db"):
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / path.name
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as sink:
                source.backup(sink)
            return _add_file(archive, name, copy)
    return _add_file(archive, name, path)


def _add_file(archive: tarfile.TarFile, name: str, path: Path) -> FileEntry:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        hashing = _Hashing(file)
        archive.addfile(_info(name, size), hashing)  # type: ignore[arg-type]  # only `read` is called
    return FileEntry(path=name, size=size, sha256=hashing.sha256.hexdigest())


def _add_sealed(archive: tarfile.TarFile, name: str, path: Path) -> FileEntry | None:
    """Add a segment up to its last seal; one without a seal is left out, as readers do."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        # It was compressed since the folder was listed: its compressed copy holds the same.
        compressed = path.with_name(path.name + ".zst")
        return _add_file(archive, f"{name}.zst", compressed)
    scanned = scan(data)
    if not scanned.blocks:
        return None
    content = data[: scanned.end]
    archive.addfile(_info(name, len(content)), io.BytesIO(content))
    return FileEntry(path=name, size=len(content), sha256=hashlib.sha256(content).hexdigest())


def _info(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info


class _Hashing:
    """A reader that knows the sha256 of what was read through it."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.sha256 = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self.sha256.update(data)
        return data


# --- reading back -------------------------------------------------------------------------------------------------


@contextmanager
def _opened(archive: Path, tell: Tell) -> Iterator[tuple[tarfile.TarFile, Callable[[str], None]]]:
    """Open a copy; the second value is told each member's name. Raises InputError when it cannot be read, StateError."""
    try:
        with (
            archive.open("rb") as file,
            zstandard.ZstdDecompressor().stream_reader(file) as unpacked,
            tarfile.open(fileobj=unpacked, mode="r|") as members,
        ):
            size = max(os.fstat(file.fileno()).st_size, 1)
            yield members, lambda name: tell(file.tell() / size, name)
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as error:
        raise _damaged(archive, f"it cannot be read to its end ({error})") from error
    except OSError as error:
        raise InputError(
            "reading", archive, error.strerror or str(error), "name a file that `trading backup` made"
        ) from error


@contextmanager
def _placed(root: Path) -> Iterator[None]:
    """Tell what the system refuses where a copy is restored to: the copy itself is not at fault."""
    try:
        yield
    except OSError as error:
        problem = f"{error.strerror or error} ({error.filename})" if error.filename else error.strerror or str(error)
        raise InputError(
            "restoring into", root, problem, "make room, mend permissions, or name another folder with --home"
        ) from error


def _checked(
    archive: Path, members: tarfile.TarFile, root: Path | None, told: Callable[[str], None], room: int | None
) -> Manifest:
    """Hold every member against the manifest, the last member; write them under `root` when it is given."""
    found: list[FileEntry] = []
    names: set[str] = set()
    left = room
    for member in members:
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise _damaged(archive, f"{member.name!a} is no file")
        if left is not None and (left := left - member.size) < 0 and member.name != _MANIFEST:
            raise _too_large(archive, room)
        if member.name == _MANIFEST:
            manifest = _manifest(archive, member, members.extractfile(member))
            _compare(archive, manifest.files, found)
            return manifest
        if problem := problem_of(member.name):
            raise _damaged(archive, problem)
        if (folded := member.name.casefold()) in names:
            raise _damaged(archive, f"it holds {member.name} twice, as Windows reads names")
        names.add(folded)
        told(member.name)
        found.append(_taken(archive, members, member, root))
    raise _damaged(archive, "its manifest is missing, so it was not finished")


def _taken(archive: Path, members: tarfile.TarFile, member: tarfile.TarInfo, root: Path | None) -> FileEntry:
    source = members.extractfile(member)
    if source is None:
        raise _damaged(archive, f"{member.name} is no file")
    hashing = _Hashing(source)
    # Waiting commands are in copies that an earlier version made.
    with _sink(archive, None if _is_waiting(member.name) else root, member.name) as write:
        while chunk := hashing.read(_CHUNK):
            write(chunk)
    return FileEntry(path=member.name, size=member.size, sha256=hashing.sha256.hexdigest())


@contextmanager
def _sink(archive: Path, root: Path | None, name: str) -> Iterator[Callable[[bytes], object]]:
    """Give what takes a file's bytes; without `root` they go nowhere."""
    if root is None:
        yield len
        return
    target = place_under(root, name)
    if target is None:
        raise _damaged(archive, f"{name} would lie outside of the home")
    with _placed(root):
        target.parent.mkdir(parents=True, exist_ok=True)
        file = target.open("xb")

    def write(chunk: bytes) -> None:
        with _placed(root):
            file.write(chunk)

    with file:
        yield write
        with _placed(root):
            file.flush()
            os.fsync(file.fileno())


def _manifest(archive: Path, member: tarfile.TarInfo, source: IO[bytes] | None) -> Manifest:
    if member.size > _LARGEST_MANIFEST:
        raise _damaged(archive, f"its manifest of {member.size} bytes is none")
    try:
        return msgspec.json.decode(source.read() if source else b"", type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _damaged(archive, f"its manifest is of no known version ({error})") from error


def _compare(archive: Path, expected: Sequence[FileEntry], found: Sequence[FileEntry]) -> None:
    there = {entry.path: entry for entry in found}
    for entry in expected:
        if entry != there.pop(entry.path, None):
            raise _damaged(archive, f"{entry.path} is not as it was written")
    if there:
        raise _damaged(archive, f"{next(iter(there))} is not in its manifest")
    if not any(_JOURNAL.fullmatch(entry.path) for entry in expected):
        raise _damaged(archive, "it holds no journal, so it is no copy of a home")


def _too_large(archive: Path, room: int | None) -> InputError:
    return InputError(
        "unpacking", archive, f"its files are larger than the {(room or 0) / 1e6:,.0f} MB there is room for",
        "make room, or restore to another disk with --home; nothing was restored",
    )  # fmt: skip


def _damaged(archive: Path, problem: str) -> StateError:
    return StateError("reading the backup", archive, problem, "take another copy; nothing was restored")
