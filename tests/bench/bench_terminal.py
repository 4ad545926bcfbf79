"""What the simulated terminal costs a lockstep replay: its steps beside the floor, the same frames on a bare websocket.

Run with `python tests/bench/bench_terminal.py`. The peer answers each heartbeat at once, in a process of its own.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import tempfile
import time
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from live.paper.feed import Feed, from_synthetic
from live.paper.terminal import Setup, Terminal
from trading_assets.core.messages import (
    Message,
    Processed,
    Subscribe,
    Welcome,
    decode_from_terminal,
    encode_message,
)

DAYS = 15
SYMBOLS = ("EURUSD", "GBPUSD")


def _is(kind: str, frame: str) -> bool:
    return f'"type":"{kind}"' in frame[:40]


async def _answer(connection: ServerConnection, frames: list[str]) -> None:
    """Speak the daemon's side without deciding anything."""
    out = 0

    async def send(kind: type[Message], **fields: Any) -> None:
        nonlocal out
        out += 1
        await connection.send(encode_message(kind(session="s", seq=out, sent_msc=0, **fields)))

    async for frame in connection:
        text = str(frame)
        frames.append(text)
        if _is("heartbeat", text):
            await send(Processed, upto_seq=decode_from_terminal(text).seq)
        elif _is("hello", text):
            await send(Welcome, tenant="t", account="a")
            await send(Subscribe, symbols=SYMBOLS)


def _peer(pipe: Connection) -> None:
    """Serve until told to stop; then hand over the frames received."""

    async def listen() -> None:
        frames: list[str] = []
        async with serve(lambda connection: _answer(connection, frames), "127.0.0.1", 0, compression=None) as server:
            pipe.send(next(iter(server.sockets)).getsockname()[1])
            await asyncio.to_thread(pipe.recv)
        pipe.send(frames)

    asyncio.run(listen())


async def _floor(url: str, frames: list[str]) -> None:
    """Send the recorded frames and wait for the answers the terminal waited for."""
    async with connect(url, compression=None, max_size=None, proxy=None) as socket:
        for frame in frames:
            await socket.send(frame)
            for _ in range(_is("heartbeat", frame) + 2 * _is("hello", frame)):
                await socket.recv()


def _with_peer(feed: Feed | None, frames: list[str]) -> tuple[float, float, list[str]]:
    """Run the terminal (or, without a feed, the floor) against a new peer; seconds, own CPU seconds, frames received."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    peer = multiprocessing.get_context("spawn").Process(target=_peer, args=(there,))
    peer.start()
    url = f"ws://127.0.0.1:{here.recv()}"
    began, cpu = time.perf_counter(), time.process_time()
    if feed is None:
        asyncio.run(_floor(url, frames))
    else:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(Terminal(feed, Setup(url=url, token="t", state=Path(folder))).run())
    seconds, own = time.perf_counter() - began, time.process_time() - cpu
    here.send("stop")
    received = here.recv()
    peer.join()
    return seconds, own, received


def main() -> int:
    """Print the table."""
    began = time.perf_counter()
    feed = from_synthetic(1, SYMBOLS, date(2024, 1, 8), DAYS, 1.0, "eu")
    made = time.perf_counter() - began
    seconds, own, frames = _with_peer(feed, [])
    floor_seconds, floor_own, _ = _with_peer(None, frames)
    steps = sum(_is("heartbeat", frame) for frame in frames)
    print(f"synthetic market: {len(feed):,} quotes in {made:.2f} s, {len(feed) / made:,.0f} quotes/s")
    print(f"{'':28}{'terminal':>12}{'floor':>12}{'ratio':>8}")
    for name, ours, floor in (("wall time a step, ms", seconds, floor_seconds), ("own CPU a step, ms", own, floor_own)):
        print(f"{name:28}{ours / steps * 1000:>12.3f}{floor / steps * 1000:>12.3f}{ours / floor:>8.2f}")
    print(f"{'decisions/s it would allow':28}{2 * steps / seconds:>12,.0f}{2 * steps / floor_seconds:>12,.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
