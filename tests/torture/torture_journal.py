"""The journal's writer under load, killed at random points, some kills a power cut; the same folder opened again each time.

What was acknowledged must all be there, once, whole, in its order and with the market data before it; the chain must
hold. Closed segments are compressed meanwhile by a process that is killed with it.
"""

from __future__ import annotations

import asyncio
import os
import random
import selectors
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from broken import break_build
from durable_names import drop_unnamed, note_folders
from power_cut import cut_power, leave_remains, noting
from survived import Survived, run

from trading_assets.core.errors import TradingError
from trading_assets.core.records.market import Quote
from trading_assets.core.records.operations import OpsError
from trading_assets.core.records.record import Record
from trading_assets.core.records.trading import StrategyLoad
from trading_assets.store.journal import Journal, compress_closed, read_records, verify
from trading_assets.store.journal_disk import sync_file

KILLS, SHORT_KILLS = 600, 15
CHECK_EVERY = 30
WORKERS = 6
START = datetime(2026, 11, 2, tzinfo=UTC)
_SHORT_LIFE_S, _LONGEST_LIFE_S = 0.1, 5.0
_SIZES = (200, 13_000)


@dataclass
class _Seen:
    """What the writers told and what was done to them."""

    acknowledged: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def survive(*, is_short: bool, seed: int, broken: str = "") -> Survived:
    """Kill a writer many times and hold what is left against what it acknowledged."""
    chance, seen = random.Random(seed), _Seen()
    kills = SHORT_KILLS if is_short else KILLS
    with tempfile.TemporaryDirectory(prefix="trading-torture-") as folder:
        root, notes = Path(folder).resolve() / "raw", Path(folder) / "durable"
        for life in range(1, kills + 1):
            _live_and_die(root, notes, life, chance, broken, seen)
            seen.counts["kills"] += 1
            if life % 3:
                lost = cut_power(root, notes)
                leave_remains(lost, chance)
                seen.counts["of them power cuts"] += 1
                seen.counts["bytes power cuts tore or took"] += lost.size
                seen.counts["files power cuts took whole"] += drop_unnamed(root, Path(f"{notes}.names"))
            if life % CHECK_EVERY == 0 or life == kills:
                _check(root, notes, seen)
                print(f"  {life} kills, {len(seen.acknowledged)} groups acknowledged", flush=True)
                if seen.failures:
                    break
    return Survived("journal", dict(seen.counts), tuple(seen.failures))


# --- killing ----------------------------------------------------------------------------------------------------------


def _live_and_die(root: Path, notes: Path, life: int, chance: random.Random, broken: str, seen: _Seen) -> None:
    """Let a writer and a compressing process live for a moment, and kill both."""
    reading, writing = os.pipe()
    seed = chance.randrange(1 << 30)
    writer = _fork(partial(_write_until_killed, root, notes, life, seed, broken, writing))
    os.close(writing)
    others = [_fork(partial(_compress_until_killed, root))] if life % 4 == 0 else []
    # One in four dies by the clock, maybe while it recovers; the others once they have said enough.
    seconds = chance.uniform(0.0, _SHORT_LIFE_S) if chance.random() < 0.25 else _LONGEST_LIFE_S
    told = _listen(reading, seconds, chance.randrange(1, 60))
    for process in (writer, *others):
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    told += _rest(reading)
    os.close(reading)
    lines = told.decode().split("\n")[:-1]
    seen.failures += [f"life {life}: the writer ended by itself: {line[1:]}" for line in lines if line.startswith("!")]
    seen.acknowledged |= {line for line in lines if not line.startswith("!")}
    seen.counts["lives in which something was acknowledged"] += bool(lines)


def _fork(work: Callable[[], None]) -> int:
    """Run `work` in a child that never comes back here. Forking saves the half second that Python takes to start."""
    process = os.fork()
    if process == 0:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - it is said, and the process ends
            print(f"  {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(1)
    return process


def _listen(reading: int, seconds: float, acknowledgements: int) -> bytes:
    """Read what the writer says until it has said enough, or for so long."""
    told, until = b"", time.monotonic() + seconds
    with selectors.DefaultSelector() as ready:
        ready.register(reading, selectors.EVENT_READ)
        while told.count(b"\n") < acknowledgements and (left := until - time.monotonic()) > 0:
            if not ready.select(left):
                break
            piece = os.read(reading, 65536)
            if not piece:
                break
            told += piece
    return told


def _rest(reading: int) -> bytes:
    pieces = b""
    while piece := os.read(reading, 65536):
        pieces += piece
    return pieces


def _compress_until_killed(root: Path) -> None:
    while True:
        compress_closed(root)
        time.sleep(0.001)


# --- the writer -------------------------------------------------------------------------------------------------------


def _write_until_killed(root: Path, notes: Path, life: int, seed: int, broken: str, tell: int) -> None:
    break_build(broken)
    note_folders(notes, Path(f"{notes}.names"))
    chance = random.Random(seed)

    def slow_sync(descriptor: int) -> None:
        # Most kills find a commit that is written and not yet synced.
        time.sleep(chance.uniform(0.0, 0.006))
        sync_file(descriptor)

    try:
        asyncio.run(_work(root, life, chance, noting(notes, slow_sync), tell))
    except Exception as error:  # noqa: BLE001 - whatever it is, the one who kills is told
        os.write(tell, f"!{type(error).__name__}: {error}\n".replace("\n", " ").encode() + b"\n")


async def _work(root: Path, life: int, chance: random.Random, sync: Callable[[int], None], tell: int) -> None:
    number = 0

    async def worker(journal: Journal) -> None:
        nonlocal number
        while True:
            number += 1
            name = f"{life}-{number}"
            # An hour passes with every life or so, and sometimes the clock is set back.
            at = START + timedelta(minutes=20 * life + 2 * number - (90 if chance.random() < 0.03 else 0))
            journal.buffer([_quote(name, at, index) for index in range(chance.randrange(1, 6))])
            await journal.append(_group(name, at, chance))
            os.write(tell, f"{name}\n".encode())

    async with Journal.open(root, market_delay_s=0.002, sync=sync) as journal, asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(worker(journal))


def _quote(name: str, at: datetime, index: int) -> Quote:
    return Quote(
        tenant="market", account="a", event_at=at, known_at=at, chain_id=name, symbol="EURUSD", bid=1.1, ask=1.2,
        server_msc=index, clock_rule="utc",
    )  # fmt: skip


def _group(name: str, at: datetime, chance: random.Random) -> list[Record]:
    """Return records that belong together: each says how many they are and carries what proves it whole."""
    count, account = chance.randrange(1, 4), chance.choice("ab")
    common: dict[str, Any] = {"tenant": "t", "account": account, "event_at": at, "known_at": at, "chain_id": name}
    if chance.random() < 0.3:
        return [
            OpsError(component=f"{part}/{count}", message=_text(name, part, 300), **common) for part in range(count)
        ]
    size = chance.choice(_SIZES)
    return [
        StrategyLoad(strategy_version=f"{part}/{count}", parameters=_text(name, part, size), **common)
        for part in range(count)
    ]


def _text(name: str, part: int, size: int) -> str:
    digest = sha256(f"{name}/{part}/{size}".encode()).hexdigest()
    return f"{size} " + (digest * (size // 64 + 1))[:size]


# --- checking ---------------------------------------------------------------------------------------------------------


def _check(root: Path, notes: Path, seen: _Seen) -> None:
    """Open the folder once more and hold everything in it against what was acknowledged."""
    # In a process that notes what it makes durable: the next power cut must leave it.
    _, status = os.waitpid(_fork(partial(_open_and_close, root, notes)), 0)
    if status:
        seen.failures.append("it cannot be opened; see above")
        return
    try:
        groups, quotes = _read(root, seen)
    except TradingError as error:
        seen.failures.append(f"it does not read back: {error}")
        return
    report = verify(root)
    seen.failures += [f"verify: {one.segment} line {one.line}: {one.observed}" for one in report.faults[:5]]
    lost = sorted(seen.acknowledged - groups.keys())
    if lost:
        seen.failures.append(f"{len(lost)} acknowledged groups are lost, the first is {lost[0]}")
    bare = sorted(name for name in groups if not quotes[name])
    if bare:
        seen.failures.append(f"{len(bare)} groups are durable without the quotes before them, the first is {bare[0]}")
    seen.counts["groups acknowledged"] = len(seen.acknowledged)
    seen.counts["records read back"] = report.records
    seen.counts["seals"] = report.seals
    seen.counts["segments"] = report.segments
    seen.counts["of them compressed"] = sum(1 for _ in root.glob("**/*.zst"))
    seen.counts["torn ends set aside"] = len(report.torn)


def _open_and_close(root: Path, notes: Path) -> None:
    async def work() -> None:
        async with Journal.open(root, sync=noting(notes)):
            pass

    note_folders(notes, Path(f"{notes}.names"))
    asyncio.run(work())
    os._exit(0)


def _read(root: Path, seen: _Seen) -> tuple[dict[str, list[str]], Counter[str]]:
    """Return the parts of each group and how many quotes each has, and say what is torn, doubled or out of order."""
    groups: dict[str, list[str]] = {}
    quotes: Counter[str] = Counter()
    for record in read_records(root, types=[Quote, OpsError, StrategyLoad]):
        name = record.chain_id
        if isinstance(record, Quote):
            if record.server_msc != quotes[name]:
                seen.failures.append(f"quote {record.server_msc} of {name} stands where {quotes[name]} is due")
            quotes[name] += 1
            continue
        assert isinstance(record, OpsError | StrategyLoad)
        is_error = isinstance(record, OpsError)
        place, text = (record.component, record.message) if is_error else (record.strategy_version, record.parameters)
        part, size = int(place.partition("/")[0]), int(text.partition(" ")[0])
        if text != _text(name, part, size):
            seen.failures.append(f"record {part} of group {name} is torn")
        groups.setdefault(name, []).append(place)
    for name, places in groups.items():
        count = int(places[0].partition("/")[2])
        if places != [f"{part}/{count}" for part in range(count)]:
            seen.failures.append(f"group {name} is there as {places}")
    return groups, quotes


if __name__ == "__main__":
    sys.exit(run(survive, __doc__))
