"""A daemon among hostile terminals: rubbish of every kind over real sockets, and a fuzzer that follows coverage.

Over sockets: spoiled and nested messages, huge numbers, fragments, binary and oversized frames, lone pings, strangers
and wrong tokens, connections torn off in the middle. No crash, no hang, no memory without bound; every refusal is answered
and recorded; a terminal in order trades afterwards. The fuzzer (`fuzz_protocol`) runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import random
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path

import psutil
from broken import break_build
from rubbish import TOKEN, messages, spoil
from survived import Survived, run
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from trading_assets.core.messages import Refusal, Welcome, decode_from_daemon, encode_message
from trading_assets.core.records.market import Quarantine
from trading_assets.core.records.operations import OpsError
from trading_assets.store.journal import verify

sys.path.insert(0, str(Path(__file__).parents[1] / "live"))
from scripted_terminal import BAR, START, RunningDaemon, daemon_at, records, settings_text

CONNECTIONS, SHORT_CONNECTIONS = 1500, 24
FUZZ_S, SHORT_FUZZ_S = 150, 3
MOST_GROWTH_MIB = 300
PATIENCE_S = 20.0
_DEFECT = "report this with the log"


def survive(*, is_short: bool, seed: int, broken: str = "") -> Survived:
    """Torture the bridge; return what it survived."""
    break_build(broken)
    counts, failures = Counter[str](), list[str]()
    with tempfile.TemporaryDirectory(prefix="trading-torture-") as folder:
        connections = SHORT_CONNECTIONS if is_short else CONNECTIONS
        logging.disable()
        try:
            asyncio.run(_over_sockets(Path(folder), connections, random.Random(seed), counts, failures))
        finally:
            logging.disable(logging.NOTSET)
        _fuzz(Path(folder) / "fuzz", SHORT_FUZZ_S if is_short else FUZZ_S, seed, counts, failures)
    return Survived("protocol", dict(counts), tuple(failures))


async def _over_sockets(
    home: Path, connections: int, chance: random.Random, counts: Counter[str], failures: list[str]
) -> None:
    home.joinpath("settings.toml").write_text(settings_text(), encoding="utf-8")
    process = psutil.Process()
    async with daemon_at(home) as daemon:
        bridge = daemon.daemon.bridge
        assert bridge is not None
        pauses = bridge._visitors.pauses
        before = process.memory_info().rss
        for number in range(connections):
            pauses._failures.clear()  # All of it comes from one address, which would only have to wait.
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await _hostile(daemon, chance, counts)
            except TimeoutError:
                failures.append(f"connection {number} hung")
                break
        counts["connections of hostile terminals"] = connections
        growth = (process.memory_info().rss - before) >> 20
        if growth > MOST_GROWTH_MIB:
            failures.append(f"memory grew by {growth} MiB, {MOST_GROWTH_MIB} are allowed")
        pauses._failures.clear()
        await _good(daemon, failures)
    _look_into_the_journal(home, counts, failures)


async def _hostile(daemon: RunningDaemon, chance: random.Random, counts: Counter[str]) -> None:
    """One connection: often greeted properly, then some dozens of frames with something wrong about them."""
    address = f"ws://127.0.0.1:{daemon.port}"
    try:
        async with connect(
            address, compression=None, max_size=None, max_queue=None, proxy=None, close_timeout=1
        ) as connection:
            session = await _greet(connection, chance) if chance.random() < 0.8 else ""
            seq = 2
            for _ in range(chance.randrange(1, 40)):
                message = chance.choice(messages(session, seq))
                frame = encode_message(message)
                if chance.random() < 0.8:
                    counts["frames with something wrong"] += 1
                    await _send(connection, chance, spoil(chance, frame))
                else:
                    await _send(connection, chance, frame)
                seq += chance.choice((1, 1, 1, 1, 0, 2, 1000))
            if chance.random() < 0.3:
                connection.transport.abort()
                return
            await _read_out(connection, counts)
    except (
        ConnectionClosed,
        InvalidStatus,
        OSError,
        EOFError,
        AttributeError,
    ):  # the last one as in `live.bridge.link`
        counts["connections the daemon ended"] += 1


async def _greet(connection: ClientConnection, chance: random.Random) -> str:
    hello = encode_message(messages("", 1)[0])
    if chance.random() < 0.1:
        hello = hello.replace(TOKEN, chance.choice(("", "wrong", "x" * 1500, "\u00e9")))
    await connection.send(hello)
    while True:
        message = decode_from_daemon(await connection.recv())
        if isinstance(message, Welcome):
            return message.session


async def _send(connection: ClientConnection, chance: random.Random, frame: str | bytes) -> None:
    way = chance.random()
    if way < 0.1 and frame:
        cut = chance.randrange(len(frame))
        await connection.send([frame[:cut], frame[cut:]])
    elif way < 0.15:
        await connection.ping()
        await connection.send(frame)
    elif way < 0.16:
        await connection.send("[" * (4 * 1024 * 1024))
    elif way < 0.17:
        await connection.send(b"\x00" * (5 * 1024 * 1024))
    else:
        await connection.send(frame)


async def _read_out(connection: ClientConnection, counts: Counter[str]) -> None:
    """Read what the daemon has to say, until a pong says that it has read everything."""
    pong = await connection.ping()
    reader = asyncio.create_task(_refusals(connection, counts))
    try:
        async with asyncio.timeout(PATIENCE_S / 2):
            await pong
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def _refusals(connection: ClientConnection, counts: Counter[str]) -> None:
    while True:
        message = decode_from_daemon(await connection.recv())
        if isinstance(message, Refusal):
            counts["refusals answered"] += 1
            assert message.code
            assert message.text


async def _good(daemon: RunningDaemon, failures: list[str]) -> None:
    """A terminal in order comes after all of them: it must be able to play."""
    async with daemon.terminal() as terminal:
        terminal.now = START + timedelta(days=1)
        terminal.history_ends = terminal.now
        try:
            await terminal.hello()
            await terminal.settle(terminal.now)
            await terminal.quotes(terminal.now, terminal.now + BAR)
            before = daemon.desk().account.trader.decisions
            await terminal.settle(terminal.now + BAR)
        except (TimeoutError, ConnectionClosed) as error:
            failures.append(f"a terminal in order could not play afterwards: {error!r}")
            return
        if daemon.desk().account.trader.decisions != before + 1:
            failures.append("the bar of a terminal in order was not decided afterwards")


def _look_into_the_journal(home: Path, counts: Counter[str], failures: list[str]) -> None:
    failures += [f"the journal does not verify: {fault}" for fault in verify(home / "raw").faults]
    refused = Counter[str]()
    for record in records(home, Quarantine):
        refused[record.reason] += record.occurrences
    counts["frames and quotes refused, on record"] = sum(refused.values())
    counts["reasons of refusal"] = len(refused)
    if sum(refused.values()) < counts["refusals answered"]:
        failures.append(f"{counts['refusals answered']} refusals were answered, {sum(refused.values())} are on record")
    failures += [f"a defect: {error.message}" for error in list(records(home, OpsError)) if _DEFECT in error.message]
    if any(TOKEN.encode() in path.read_bytes() for path in (home / "raw").rglob("*.ndjson")):
        failures.append("a token stands in the journal")


def _fuzz(folder: Path, seconds: int, seed: int, counts: Counter[str], failures: list[str]) -> None:
    if importlib.util.find_spec("atheris") is None:
        counts["inputs of the fuzzer (atheris is not installed)"] = 0
        return
    folder.mkdir()
    command = [sys.executable, str(Path(__file__).with_name("fuzz_protocol.py")), str(seconds), str(seed), str(folder)]
    ran = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=seconds * 4 + 120, check=False
    )
    said = dict(
        line.removeprefix("stat::").split(":", 1) for line in ran.stderr.splitlines() if line.startswith("stat::")
    )
    counts["inputs of the fuzzer"] = int(said.get("number_of_executed_units", "0"))
    counts["inputs it found worth keeping"] = int(said.get("new_units_added", "0"))
    counts["its memory at the most, MiB"] = int(said.get("peak_rss_mb", "0"))
    if ran.returncode != 0:
        words = [line for line in ran.stderr.splitlines() if "Error" in line or "ERROR" in line or "assert" in line]
        found = [path.read_bytes()[:300] for path in folder.iterdir() if path.is_file()]
        failures.append(f"the fuzzer ended with {ran.returncode}: {' / '.join(words[:4])}; input {found[:1]}")


if __name__ == "__main__":
    sys.exit(run(survive, __doc__))
