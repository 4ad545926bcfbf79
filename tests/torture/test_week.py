"""The virtual time in which `torture_week` plays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it forks as only Linux does")

_TWO_PROCESSES = """
import asyncio, sys, time
from datetime import UTC, datetime, timedelta
from virtual_time import Conductor, replace_monotonic

clock = replace_monotonic(datetime(2026, 1, 5, tzinfo=UTC))
conductor = Conductor(clock)


def server():
    async def answer(reader, writer):
        while line := await reader.readline():
            await asyncio.sleep(3600)
            writer.write(f"{line.decode().strip()} {clock.utc():%H:%M}\\n".encode())

    async def whole():
        server = await asyncio.start_unix_server(answer, sys.argv[1])
        async with server:
            await asyncio.sleep(86_400)

    asyncio.run(whole())
    return 0


def client():
    async def whole():
        await asyncio.sleep(1)
        reader, writer = await asyncio.open_unix_connection(sys.argv[1])
        for number in range(3):
            began = time.monotonic()
            writer.write(f"{number}\\n".encode())
            print((await reader.readline()).decode().strip(), f"{time.monotonic() - began:.0f}", flush=True)

    asyncio.run(whole())
    return 0


began = clock.monotonic()
conductor.start("server", server, sys.argv[2])
conductor.start("client", client, sys.argv[2])
while "client" in conductor.members:
    conductor.rest()
    conductor.move(conductor.next_s(conductor.now_s + 1e6))
conductor.kill("server")
assert clock.monotonic() - began < 60, "hours passed by the machine's clock"
"""


def test_in_virtual_time_an_hour_of_waiting_between_processes_passes_at_once(tmp_path: Path) -> None:
    said = tmp_path / "said.txt"
    ran = subprocess.run(
        [sys.executable, "-c", _TWO_PROCESSES, str(tmp_path / "socket"), str(said)],
        cwd=HERE, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert said.read_text().splitlines() == ["0 01:00 3600", "1 02:00 3600", "2 03:00 3600"]
