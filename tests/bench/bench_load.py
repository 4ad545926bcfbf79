"""What the simulated terminal can send in real time: the load of a measurement, beside the same frames on a bare websocket.

Run with `python tests/bench/bench_load.py` (`--short`: seconds instead of a minute). The peer reads and answers nothing. A load is
kept up with when the terminal is never further behind the clock than a batch; its CPU says what is left of a core.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import tempfile
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from live.paper.load import from_load
from live.paper.terminal import Setup, Terminal
from trading_assets.core.messages import Message, Subscribe, Welcome, encode_message

SYMBOLS, RATE, TIMER_MS = 20, 5000, 20


def _peer(pipe: Connection, symbols: tuple[str, ...]) -> None:
    """Serve until told to stop; then hand over arrival times and frames."""

    async def listen() -> None:
        frames: list[tuple[float, str]] = []

        async def read(connection: ServerConnection) -> None:
            out = 0

            async def send(kind: type[Message], **fields: Any) -> None:
                nonlocal out
                out += 1
                await connection.send(encode_message(kind(session="s", seq=out, sent_msc=0, **fields)))

            async for frame in connection:
                frames.append((time.time(), str(frame)))
                if '"type":"hello"' in str(frame)[:40]:
                    await send(Welcome, tenant="t", account="a")
                    await send(Subscribe, symbols=symbols)

        async with serve(read, "127.0.0.1", 0, compression=None) as server:
            pipe.send(next(iter(server.sockets)).getsockname()[1])
            await asyncio.to_thread(pipe.recv)
        pipe.send(frames)

    asyncio.run(listen())


async def _floor(url: str, frames: list[str]) -> float:
    """Send the same frames as fast as they go; seconds."""
    async with connect(url, compression=None, max_size=None, proxy=None) as socket:
        began = time.perf_counter()
        for frame in frames:
            await socket.send(frame)
        await (await socket.ping())
        return time.perf_counter() - began


def _behind_ms(received: list[tuple[float, str]]) -> tuple[float, float]:
    """Return how long after its last quote's time a batch arrived: median and largest, in milliseconds."""
    behind = []
    for at, frame in received:
        if '"type":"ticks"' in frame[:40] and '"is_late":true' not in frame:
            last_msc = int(
                frame[frame.rindex("[[") if frame.count("],[") == 0 else frame.rindex(",[") :].strip(",[").split(",")[0]
            )
            behind.append(at * 1000 - last_msc)
    behind.sort()
    return behind[len(behind) // 2], behind[-1]


def main() -> int:
    """Measure and print the table."""
    seconds = 5 if "--short" in sys.argv else 60
    began_at = datetime.now(UTC).replace(microsecond=0)
    feed = from_load(1, SYMBOLS, began_at, seconds + 30, RATE, 10, "utc")
    here, there = multiprocessing.get_context("spawn").Pipe()
    peer = multiprocessing.get_context("spawn").Process(target=_peer, args=(there, feed.symbols))
    peer.start()
    url = f"ws://127.0.0.1:{here.recv()}"
    with tempfile.TemporaryDirectory() as folder:
        until = datetime.fromtimestamp(int(time.time()) + seconds, UTC)
        setup = Setup(url=url, token="t", state=Path(folder), pace="realtime", until=until, timer_ms=TIMER_MS)
        began, cpu = time.perf_counter(), time.process_time()
        asyncio.run(Terminal(feed, setup).run())
        took, own = time.perf_counter() - began, time.process_time() - cpu
    here.send("stop")
    received = here.recv()
    peer.join()
    quotes = sum(frame.count("],[") + 1 for _, frame in received if '"type":"ticks"' in frame[:40])
    arrivals = [at for at, frame in received if '"type":"ticks"' in frame[:40]]
    span_s = arrivals[-1] - arrivals[0]
    median_ms, worst_ms = _behind_ms(received)
    here, there = multiprocessing.get_context("spawn").Pipe()
    peer = multiprocessing.get_context("spawn").Process(target=_peer, args=(there, feed.symbols))
    peer.start()
    floor_s = asyncio.run(_floor(f"ws://127.0.0.1:{here.recv()}", [frame for _, frame in received]))
    here.send("stop")
    here.recv()
    peer.join()
    print(f"{SYMBOLS} symbols, {RATE} quotes/s asked for, batches of {TIMER_MS} ms, {took:.1f} s")
    print(f"sent            {quotes / span_s:10,.0f} quotes/s in {len(arrivals) / span_s:,.0f} frames/s")
    print(f"behind          {median_ms:10.1f} ms median, {worst_ms:.1f} ms at most")
    print(f"CPU             {own / took:10.1%} of a core: {quotes / own:,.0f} quotes/s would fill it")
    print(f"bare websocket  {quotes / floor_s:10,.0f} quotes/s as fast as it goes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
