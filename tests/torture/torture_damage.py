"""A journal that was tampered with or rotted: whatever is cut, flipped, removed, exchanged or edited is found and named.

Plain and compressed segments, receipts of retention and noted ends. Each damage is done to a whole journal, looked for
by what `trading verify` runs, and undone; some are shown to the command itself. Where the end of a chain is cut,
the writer is opened on it as well: what is whole stays, what is cut is set aside, nothing is deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from broken import break_build
from survived import Survived, run

from trading_assets.cli.verify import verify as verify_home
from trading_assets.core.records.market import Quote
from trading_assets.core.records.operations import OpsError
from trading_assets.store.home import Home
from trading_assets.store.ingestion import mark_ingested
from trading_assets.store.journal import ChainEnd, Journal, compress_closed, read_groups
from trading_assets.store.journal_disk import read
from trading_assets.store.journal_format import JournalError, segment_at
from trading_assets.store.journal_retention import retain

START = datetime(2026, 11, 2, 13, tzinfo=UTC)
HOURS = 6
BIT_FLIPS, SHORT_BIT_FLIPS = 4_000, 400
_SHORT_STEP = 29


@dataclass(frozen=True)
class Damage:
    """Files as they are after it (None: gone), and what a finding must name: one of these files."""

    kind: str
    files: Mapping[str, bytes | None]
    named: tuple[str, ...]


def survive(*, is_short: bool, seed: int, broken: str = "") -> Survived:
    """Do every damage to a journal and look whether it is found and named."""
    chance, counts = random.Random(seed), Counter[str]()
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="trading-torture-") as folder:
        home = Home(Path(folder))
        asyncio.run(_write(home.raw))
        _compress_and_remove(home)
        break_build(broken)
        files = {path.relative_to(home.raw).as_posix(): path.read_bytes() for path in _files(home.raw)}
        if faults := verify_home(home)["faults"]:
            failures.append(f"an untouched journal has a fault: {faults[0]}")
        for damage in _damages(files, chance, is_short=is_short):
            _apply(home.raw, damage.files)
            found = [fault["segment"] for fault in verify_home(home)["faults"]]
            counts[damage.kind] += 1
            if not found:
                failures.append(f"{damage.kind}: nothing was found in {', '.join(damage.files)}")
            elif not set(found) & set(damage.named):
                failures.append(f"{damage.kind} in {', '.join(damage.files)}: named was {found[0]}")
            _apply(home.raw, {name: files.get(name) for name in damage.files})
            if len(failures) > 20:
                break
        failures += _cut_and_opened(home, files, counts, step=_SHORT_STEP if is_short else 1)
        failures += _commands(home, files, counts)
    return Survived("damage", dict(counts), tuple(failures))


# --- the journal ------------------------------------------------------------------------------------------------------


async def _write(raw: Path) -> None:
    """Two chains of a segment an hour over two days; only the market's is compressed and has its beginning removed."""
    async with Journal.open(raw, sync=lambda _: None) as journal:
        for group in range(HOURS * 3):
            at = START + timedelta(minutes=20 * group) + timedelta(days=group // 9)
            common = {"event_at": at, "known_at": at, "chain_id": f"c{group}", "account": "demo"}
            quote = Quote(
                tenant="market", symbol="EURUSD", bid=1.1, ask=1.2, server_msc=group, clock_rule="utc", **common
            )  # type: ignore[arg-type]
            journal.buffer([quote] * (1 + group % 3))
            await journal.append(
                [OpsError(tenant="t", component="c", message=f"{group}-{row}", **common) for row in range(2)]
            )  # type: ignore[arg-type]


def _compress_and_remove(home: Home) -> None:
    plain = home.raw.parent / "plain"
    shutil.copytree(home.raw / "tenant=t", plain)
    compress_closed(home.raw)
    shutil.rmtree(home.raw / "tenant=t")
    plain.rename(home.raw / "tenant=t")
    mark_ingested(home, "market", [START.date()])
    retain(home, START.date() + timedelta(days=1), market_days=0)


def _files(raw: Path) -> list[Path]:
    return sorted(path for path in raw.rglob("*") if path.is_file() and path.suffix != ".lock")


def _apply(raw: Path, files: Mapping[str, bytes | None]) -> None:
    for name, content in files.items():
        if content is None:
            (raw / name).unlink(missing_ok=True)
        else:
            (raw / name).parent.mkdir(parents=True, exist_ok=True)
            (raw / name).write_bytes(content)


# --- damages ----------------------------------------------------------------------------------------------------------


def _damages(files: Mapping[str, bytes], chance: random.Random, *, is_short: bool) -> Iterator[Damage]:
    segments = [name for name in files if ".ndjson" in name]
    for name in segments:
        yield from _cuts(name, files, step=_SHORT_STEP if is_short else 1)
        yield from _files_moved(name, segments, files, chance)
        if name.endswith(".ndjson"):
            yield from _lines(name, files[name])
    (receipts,) = (name for name in files if name.endswith(".removed"))
    yield from _receipts(receipts, files, segments)
    for _ in range(SHORT_BIT_FLIPS if is_short else BIT_FLIPS):
        name = chance.choice([*segments, receipts])
        yield from _flip(name, files[name], chance, _after(name, segments))


def _plain(name: str) -> str:
    return name.removesuffix(".zst")


def _after(name: str, segments: list[str]) -> tuple[str, ...]:
    """Return the names a finding about a file may carry: its own, or that of the one that follows it."""
    later = [one for one in segments if _chain(one) == _chain(name) and _number(one) > _number(name)]
    return tuple(map(_plain, (name, *sorted(later, key=_number)[:1])))


def _chain(name: str) -> str:
    return name.partition("/date=")[0].partition("/live.removed")[0]


def _number(name: str) -> int:
    return segment_at(name).number if ".ndjson" in name else 0


def _cuts(name: str, files: Mapping[str, bytes], step: int) -> Iterator[Damage]:
    content = files[name]
    kind = "compressed segment cut at a byte" if name.endswith(".zst") else "segment cut at a byte"
    ends = {index + 1 for index, byte in enumerate(content) if byte == 10}
    for size in sorted({*range(0, len(content), step), *ends} - {len(content)}):
        yield Damage(kind, {name: content[:size]}, (_plain(name),))


def _flip(name: str, content: bytes, chance: random.Random, named: tuple[str, ...]) -> Iterator[Damage]:
    altered = bytearray(content)
    altered[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    if name.endswith(".zst"):
        with tempfile.TemporaryDirectory() as folder, contextlib.suppress(JournalError):
            # A bit that says nothing: what is inside is what was written.
            path = Path(folder) / name
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
            before = read(Path(folder), segment_at(name))
            path.write_bytes(altered)
            if read(Path(folder), segment_at(name)) == before:
                return
    yield Damage("bit flipped", {name: bytes(altered)}, named)


def _lines(name: str, content: bytes) -> Iterator[Damage]:
    lines = content.splitlines(keepends=True)
    for index, line in enumerate(lines):
        rest = lines[:index], lines[index + 1 :]
        changes = {
            "line removed": [*rest[0], *rest[1]],
            "line doubled": [*rest[0], line, line, *rest[1]],
            "line edited": [*rest[0], line.replace(b'"', b"'", 1), *rest[1]],
            "line added": [*rest[0], b'{"type":"ops_error"}\n', line, *rest[1]],
        }
        if index and lines[index - 1] != line:
            changes["lines exchanged"] = [*lines[: index - 1], line, lines[index - 1], *rest[1]]
        for kind, altered in changes.items():
            yield Damage(kind, {name: b"".join(altered)}, (name,))


def _files_moved(name: str, segments: list[str], files: Mapping[str, bytes], chance: random.Random) -> Iterator[Damage]:
    content = files[name]
    yield Damage("file removed", {name: None}, _after(name, segments))
    other = chance.choice([one for one in segments if one != name and one.endswith(".zst") == name.endswith(".zst")])
    yield Damage("files exchanged", {name: files[other], other: content}, (_plain(name), _plain(other)))
    yield Damage("file replaced by another", {name: files[other]}, (_plain(name),))
    numbered = name.replace(f"-{_number(name):08d}", f"-{_number(name) + 100:08d}")
    yield Damage("file doubled under another number", {numbered: content}, (_plain(numbered),))
    elsewhere = name.replace("/hour=", "/hour=0").replace("/hour=01", "/hour=0")
    yield Damage("file doubled in another hour", {elsewhere: content}, (_plain(elsewhere), _plain(name)))
    yield Damage(
        "file under another name", {name: None, numbered: content}, (*_after(name, segments), _plain(numbered))
    )


def _receipts(name: str, files: Mapping[str, bytes], segments: list[str]) -> Iterator[Damage]:
    lines = files[name].splitlines(keepends=True)
    assert len(lines) > 2
    named = _after(name, segments)
    yield Damage("receipts removed", {name: None}, named)
    for index in range(len(lines)):
        yield Damage("receipt removed", {name: b"".join(lines[:index] + lines[index + 1 :])}, named)
        yield Damage("receipt doubled", {name: b"".join(lines[: index + 1] + lines[index:])}, named)
        yield Damage(
            "receipt edited",
            {name: files[name].replace(lines[index], lines[index].replace(b'"last":', b'"last":1'))},
            named,
        )


# --- a cut end and its writer -----------------------------------------------------------------------------------------


def _cut_and_opened(home: Home, files: Mapping[str, bytes], counts: Counter[str], step: int) -> list[str]:
    """Cut the last segment of a chain anywhere and open its writer: whole groups stay, the rest is set aside."""
    failures: list[str] = []
    name = max((one for one in files if one.startswith("tenant=t/") and ".ndjson" in one), key=_number)
    path, content = home.raw / name, files[name]
    groups = list(read_groups(home.raw, stream="ops"))
    for size in range(0, len(content), step):
        path.write_bytes(content[:size])
        lost = asyncio.run(_open(home.raw))
        kept = list(read_groups(home.raw, stream="ops"))
        whole = [one for one in groups if one.segment != name or one.cursor.offset <= size]
        torn = b"".join(one.read_bytes() for one in path.parent.glob("*.torn"))
        left = path.read_bytes() if path.exists() else b""
        if kept != whole:
            failures.append(f"cut at byte {size}: {len(whole)} groups were whole, {len(kept)} are read")
        if left + torn != content[:size]:
            failures.append(
                f"cut at byte {size}: {size} bytes were there, {len(left)} are left and {len(torn)} set aside"
            )
        if [end.segment for end in lost] != [name]:
            failures.append(f"cut at byte {size}: the writer does not say that {name} has lost its end")
        for one in path.parent.glob("*.torn"):
            one.unlink()
        _apply(home.raw, {"live.ends": files["live.ends"], name: content})
        counts["cut ends opened by their writer"] += 1
        if len(failures) > 20:
            break
    return failures


async def _open(raw: Path) -> tuple[ChainEnd, ...]:
    async with Journal.open(raw) as journal:
        return journal.lost


# --- the command ------------------------------------------------------------------------------------------------------


def _commands(home: Home, files: Mapping[str, bytes], counts: Counter[str]) -> list[str]:
    """Show some damages to `trading verify` itself, as text and as JSON."""
    failures: list[str] = []
    segments = [name for name in files if ".ndjson" in name]
    last = max((one for one in segments if one.startswith("tenant=t/")), key=_number)
    for name, content in (
        (last, None),
        (segments[0], files[segments[0]][:-9]),
        (last, files[last].replace(b"-1", b"-2")),
    ):
        _apply(home.raw, {name: content})
        code, text = _verify_command(home, "--json")
        if code != 1 or _plain(name) not in [fault["segment"] for fault in json.loads(text)["faults"]]:
            failures.append(f"`trading verify --json` ended with {code} and did not name {name}")
        code, text = _verify_command(home)
        if code != 1 or _plain(name).rpartition("/")[2] not in text.replace("\n", ""):
            failures.append(f"`trading verify` ended with {code} and did not name {name}")
        _apply(home.raw, {name: files[name]})
        counts["damages shown to the command"] += 1
    code, text = _verify_command(home)
    if code != 0 or "removed by retention" not in text:
        failures.append(f"`trading verify` ended with {code} over an untouched journal: {text}")
    return failures


def _verify_command(home: Home, *options: str) -> tuple[int, str]:
    from click.testing import CliRunner

    from trading_assets.cli.entry import trading

    with contextlib.redirect_stdout(io.StringIO()):
        result = CliRunner(env={"COLUMNS": "1000"}).invoke(trading, ["verify", "--home", str(home.root), *options])
    return result.exit_code, result.output


if __name__ == "__main__":
    sys.exit(run(survive, __doc__))
