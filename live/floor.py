"""The floor under decision latency: a bare websocket message in, the same bytes made durable, a frame out.

Measured as the daemon measures itself (arrival of the message to the frame written), between two processes, with
nothing of ours in between. `python -m live.floor PORT COUNT` is the other process.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

RECORD_BYTES = 16_000
ORDER_FRAME = '{"type":"order","symbol":"EURUSD","side":"BUY","volume":"0.10"}'
_sync = getattr(os, "fdatasync", os.fsync)


async def _measure(hops: int, folder: Path, size: int) -> list[float]:
    times: list[float] = []
    done = asyncio.Event()
    record = b"x" * size
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        descriptor = file.fileno()

        async def answer(connection: ServerConnection) -> None:
            async for _ in connection:
                start = time.perf_counter()
                os.write(descriptor, record)
                _sync(descriptor)
                await connection.send(ORDER_FRAME)
                times.append((time.perf_counter() - start) * 1000)
            done.set()

        async with serve(answer, "127.0.0.1", 0, compression=None) as server:
            port = server.sockets[0].getsockname()[1]
            child = await asyncio.create_subprocess_exec(sys.executable, "-m", "live.floor", str(port), str(hops))
            await done.wait()
            await child.wait()
    return times


def measure(hops: int, folder: Path, size: int = RECORD_BYTES) -> list[float]:
    """Return the time of each hop in milliseconds; the bytes are written to a file in `folder` that is removed again."""
    return asyncio.run(_measure(hops, folder, size))


async def _send(port: int, count: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}", compression=None) as connection:
        for _ in range(count):
            await connection.send('{"type":"heartbeat"}')
            await connection.recv()


if __name__ == "__main__":
    asyncio.run(_send(int(sys.argv[1]), int(sys.argv[2])))
