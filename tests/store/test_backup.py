"""A home in one file and back: what is copied, how a damaged copy is found, and what is never overwritten."""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_assets.core.errors import InputError, StateError, TradingError
from trading_assets.core.records.operations import OpsError
from trading_assets.store import backup
from trading_assets.store.backup import FileEntry, Manifest, check_backup, staged, unpack, write_backup
from trading_assets.store.home import Home
from trading_assets.store.journal import Journal, read_records, verify

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)


def quiet(_share: float, _name: str) -> None:
    """Nobody looks at the progress."""


def record(number: int) -> OpsError:
    return OpsError(
        tenant="t", account="a", event_at=AT, known_at=AT, chain_id=f"c{number}", component="test", message=f"m{number}"
    )


@pytest.fixture
async def home(tmp_path: Path) -> Home:
    """A home with a journal, a table's files, a pointer, a database file, secrets and what is made again."""
    home = Home(tmp_path / "home")
    async with Journal.open(home.raw) as journal:
        await journal.append([record(1), record(2)])
        await journal.append([record(3)])
    for path, text in {
        "lake/bars/_delta_log/0.json": "log", "lake/bars/date=2026-01-05/part.parquet": "rows",
        "releases/CURRENT": "one", "releases/one/model.txt": "model", "cursors/ingestion.json": "{}",
        "settings.toml": "home", "terminal.token": "secret", "postgres/data/base": "pages", "logs/daemon.log": "lines",
        "raw/writer.lock": "",
    }.items():  # fmt: skip
        (home.root / path).parent.mkdir(parents=True, exist_ok=True)
        (home.root / path).write_text(text)
    (home.root / "terminal").mkdir()
    with closing(sqlite3.connect(home.root / "terminal" / "state.sqlite")) as state:
        state.execute("CREATE TABLE positions (ticket TEXT)")
        state.execute("INSERT INTO positions VALUES ('7')")
        state.commit()
    return home


def copied(home: Home, target: Path) -> Manifest:
    return write_backup(home, target, made_at=AT, code_version="1", dumps={}, tell=quiet)


def test_everything_comes_back_and_secrets_and_what_is_made_again_do_not(home: Home, tmp_path: Path) -> None:
    manifest = copied(home, tmp_path / "copy.tar.zst")
    again = Home(tmp_path / "again")
    assert unpack(tmp_path / "copy.tar.zst", again, quiet) == manifest
    assert (again.releases / "CURRENT").read_text() == "one"
    assert (again.lake / "bars/date=2026-01-05/part.parquet").read_text() == "rows"
    assert list(read_records(again.raw)) == list(read_records(home.raw))
    assert not verify(again.raw).faults
    with closing(sqlite3.connect(again.root / "terminal" / "state.sqlite")) as state:
        assert state.execute("SELECT ticket FROM positions").fetchall() == [("7",)]
    paths = {entry.path for entry in manifest.files}
    assert not [path for path in paths if "token" in path or path.startswith(("postgres", "logs")) or ".lock" in path]


def test_what_is_derived_is_copied_before_its_source(home: Home, tmp_path: Path) -> None:
    order = [entry.path.split("/")[0] for entry in copied(home, tmp_path / "copy.tar.zst").files]
    assert order.index("releases") < order.index("lake") < order.index("raw")
    assert order[-1] == "raw"
    lake = [entry.path for entry in copied(home, tmp_path / "other.tar.zst").files if entry.path.startswith("lake")]
    assert "_delta_log" in lake[0]


def test_a_journal_is_copied_up_to_its_last_seal(home: Home, tmp_path: Path) -> None:
    segment = next(home.raw.rglob("*.ndjson"))
    with segment.open("ab") as file:
        file.write(b'{"type":"half a rec')
    copied(home, tmp_path / "copy.tar.zst")
    again = Home(tmp_path / "again")
    unpack(tmp_path / "copy.tar.zst", again, quiet)
    assert not verify(again.raw).faults
    assert len(list(read_records(again.raw))) == 3
    assert b"half a rec" not in next(again.raw.rglob("*.ndjson")).read_bytes()


def test_a_backup_never_replaces_a_file_and_a_restore_never_a_home(home: Home, tmp_path: Path) -> None:
    target = tmp_path / "copy.tar.zst"
    copied(home, target)
    before = target.read_bytes()
    with pytest.raises(InputError, match="there is a file already"):
        copied(home, target)
    assert target.read_bytes() == before
    with pytest.raises(InputError, match="not empty"):
        unpack(target, home, quiet)


def test_a_restore_that_fails_leaves_nothing(home: Home, tmp_path: Path) -> None:
    target, again = tmp_path / "copy.tar.zst", Home(tmp_path / "again")
    copied(home, target)
    with pytest.raises(InputError, match="not empty"), staged(again) as stage:
        # The second time there is something in the way already.
        [unpack(target, stage, quiet) for _ in range(2)]
    assert not again.root.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.tar.zst", "home"]
    with staged(again) as stage:
        unpack(target, stage, quiet)
    assert (again.releases / "CURRENT").exists()


def test_a_part_of_a_backup_is_no_backup(home: Home, tmp_path: Path) -> None:
    target = tmp_path / "copy.tar.zst"
    copied(home, target)
    content = target.read_bytes()
    for size in (0, 1, len(content) // 2, len(content) - 1):
        torn = tmp_path / "torn.tar.zst"
        torn.write_bytes(content[:size])
        with pytest.raises(TradingError):
            check_backup(torn, quiet)


@pytest.fixture
def change_inside(home: Home, tmp_path: Path) -> Callable[[int, int], Path]:
    """Change one byte of what a copy unpacks to, behind the back of the compression's own checks."""
    target = tmp_path / "copy.tar.zst"
    copied(home, target)
    with target.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
        plain = reader.read()
    # Headers of the archive hold padding that means nothing; the files' bytes all mean something.
    blocks = [
        at
        for at in range(0, len(plain), 512)
        if plain[at : at + 512].strip(b"\0") and plain[at + 257 : at + 262] != b"ustar"
    ]

    def changed(place: int, mask: int) -> Path:
        bent = bytearray(plain)
        bent[blocks[place % len(blocks)]] ^= mask
        path = tmp_path / "bent.tar.zst"
        path.write_bytes(zstandard.ZstdCompressor().compress(bytes(bent)))
        return path

    return changed


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_changed_byte_of_any_file_is_found(change_inside: Callable[[int, int], Path], place: int, bit: int) -> None:
    with pytest.raises(StateError, match=r"not as it was written|manifest|cannot be read"):
        check_backup(change_inside(place, 1 << bit), quiet)


def test_a_copy_the_disk_changed_while_it_was_written_gets_no_name(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(descriptor: int) -> None:
        size, place = os.fstat(descriptor).st_size, os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, size // 2, os.SEEK_SET)
        os.write(descriptor, b"\0" * 64)
        os.lseek(descriptor, place, os.SEEK_SET)

    monkeypatch.setattr(os, "fsync", spoil)
    target = tmp_path / "copy.tar.zst"
    with pytest.raises(StateError):
        copied(home, target)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit of a file's size to fill up")
def test_a_backup_onto_a_full_disk_is_a_sentence_and_leaves_no_part(home: Home, tmp_path: Path) -> None:
    import resource

    places = tmp_path / "places"
    places.mkdir()
    (home.root / "models").mkdir()
    (home.root / "models" / "model.txt").write_bytes(os.urandom(200_000))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(InputError, match=r"copy.tar.zst: File too large; make room"):
            copied(home, places / "copy.tar.zst")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(places.iterdir()) == []


@pytest.mark.parametrize("place", ["file/copy.tar.zst", "file/folder/copy.tar.zst", "x" * 300, "cycle/copy.tar.zst"])
def test_a_place_that_cannot_be_written_to_is_a_sentence(home: Home, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "cycle").symlink_to(tmp_path / "cycle")
    with pytest.raises(InputError, match="make room, mend permissions, or name another place"):
        copied(home, tmp_path / place)
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cycle", "file", "home"]


def test_a_file_of_the_home_that_cannot_be_read_is_named_and_no_part_stays(home: Home, tmp_path: Path) -> None:
    (home.root / "terminal" / "other.db").write_text("no database at all")
    (tmp_path / "places").mkdir()
    with pytest.raises(InputError, match="file is not a database"):
        copied(home, tmp_path / "places" / "copy.tar.zst")
    assert list((tmp_path / "places").iterdir()) == []


def packed(target: Path, files: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> Path:
    """Make an archive by hand, with a manifest that fits its files."""
    entries = [
        FileEntry(path=name, size=len(content), sha256=sha256(content).hexdigest()) for name, content in files.items()
    ]
    manifest = msgspec.json.encode(Manifest(made_at=AT, code_version="1", home="/h", files=tuple(entries)))
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in [*files.items(), ("manifest.json", manifest)]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.type = kind if name != "manifest.json" else tarfile.REGTYPE
            archive.addfile(info, io.BytesIO(content))
    target.write_bytes(zstandard.ZstdCompressor().compress(plain.getvalue()))
    return target


JOURNAL = {"raw/tenant=t/a.ndjson": b"{}"}


@pytest.mark.parametrize(
    "name",
    [
        "../outside.txt", "/outside.txt", "C:/outside.txt", "lake/../../outside.txt", "..\\outside.txt", "raw/C:\\outside.txt",
        "raw/f:stream", "lake/con", "lake/NUL.txt", "lake/com1.log", "lake/name.", "lake/name ", "lake//name", "lake/a\nb",
        "lake/what?", "lake/" + "x" * 300,
    ],
)  # fmt: skip
def test_a_copy_with_a_name_that_is_no_file_of_a_home_everywhere_restores_nothing(tmp_path: Path, name: str) -> None:
    archive = packed(tmp_path / "copy.tar.zst", {name: b"x", **JOURNAL})
    with pytest.raises(StateError, match="nothing was restored"):
        unpack(archive, Home(tmp_path / "in" / "again"), quiet)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path != archive]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_a_copy_with_anything_but_files_restores_nothing(tmp_path: Path, kind: bytes) -> None:
    archive = packed(tmp_path / "copy.tar.zst", {"lake": b"", **JOURNAL}, kind)
    with pytest.raises(StateError, match="no file"):
        unpack(archive, Home(tmp_path / "again"), quiet)


def test_names_that_are_one_on_windows_are_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path / "copy.tar.zst", {"lake/Bars": b"a", "lake/bars": b"b", **JOURNAL})
    with pytest.raises(StateError, match="twice, as Windows reads names"):
        unpack(archive, Home(tmp_path / "again"), quiet)


def test_a_copy_that_is_larger_than_the_room_there_is_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed(tmp_path / "copy.tar.zst", {"lake/large": bytes(3_000_000), **JOURNAL})
    assert archive.stat().st_size < 10_000
    free = backup._RESERVE + 1_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(free, 0, free))
    with pytest.raises(InputError, match="larger than the 1 MB there is room for; make room"):
        unpack(archive, Home(tmp_path / "again"), quiet)
    assert list((tmp_path / "again").iterdir()) == []


@pytest.mark.parametrize("files", [{}, {"settings.toml": b"x"}, {"lake/a.ndjson": b"x"}])
def test_a_copy_without_a_journal_is_none(tmp_path: Path, files: dict[str, bytes]) -> None:
    with pytest.raises(StateError, match="it holds no journal"):
        check_backup(packed(tmp_path / "copy.tar.zst", files), quiet)


def test_waiting_commands_are_neither_copied_nor_restored(home: Home, tmp_path: Path) -> None:
    (home.control / "done").mkdir(parents=True)
    (home.control / "resume-1.json").write_text("{}")
    (home.control / "done" / "halt-1.json").write_text("{}")
    paths = {entry.path for entry in copied(home, tmp_path / "copy.tar.zst").files}
    assert "control/done/halt-1.json" in paths
    assert "control/resume-1.json" not in paths
    # An earlier version copied them.
    earlier = packed(tmp_path / "earlier.tar.zst", {"control/resume-1.json": b"{}", **JOURNAL})
    again = Home(tmp_path / "again")
    unpack(earlier, again, quiet)
    assert not list(again.control.glob("*.json"))


def test_what_is_wrong_with_the_place_is_not_said_of_the_copy(home: Home, tmp_path: Path) -> None:
    copied(home, tmp_path / "copy.tar.zst")
    (tmp_path / "file").write_text("mine")
    for place in ("x" * 300, "file/home"):
        with pytest.raises(InputError, match=r"restoring into .*; make room, mend permissions, or name another folder"):
            unpack(tmp_path / "copy.tar.zst", Home(tmp_path / place), quiet)
