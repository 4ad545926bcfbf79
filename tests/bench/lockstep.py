"""One lockstep replay for the benchmarks: the daemon and the simulated terminal, two processes, a real websocket."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from trading_assets.core.records.decisions import DecisionTiming
from trading_assets.store.journal import read_records

TOKEN = "bench"
SETTINGS = f"""
port = 0
tenant = "bench"
[[accounts]]
name = "paper"
token_sha256 = "{sha256(TOKEN.encode()).hexdigest()}"
clock = "eu"
mode = "execute"
[accounts.symbols]
EURUSD = "EURUSD"
GBPUSD = "GBPUSD"
"""


@dataclass(frozen=True)
class Run:
    """What a replay came to. `seconds`: from the terminal's first progress to its last message."""

    decisions: int
    quotes: int
    seconds: float
    timings: list[DecisionTiming]


def replay(home: Path, days: int, history_days: int = 5) -> Run:
    """Play `days` trading days of two synthetic symbols, of which the first `history_days` are history."""
    (home / "settings.toml").write_text(SETTINGS)
    (home / "token").write_text(TOKEN)
    daemon = subprocess.Popen([sys.executable, "-m", "live", "--home", str(home)], stdout=subprocess.PIPE, text=True)
    try:
        assert daemon.stdout is not None
        port = json.loads(daemon.stdout.readline())["port"]
        run = _play(home, port, days, history_days)
    finally:
        daemon.terminate()
        daemon.wait()
    timings = [
        record for record in read_records(home / "raw", types=(DecisionTiming,)) if isinstance(record, DecisionTiming)
    ]
    return Run(*run, timings)


def _play(home: Path, port: int, days: int, history_days: int) -> tuple[int, int, float]:
    terminal = subprocess.Popen(
        [
            sys.executable, "-m", "live.paper", "--url", f"ws://127.0.0.1:{port}", "--token-file", str(home / "token"),
            "--state", str(home / "terminal"), "--synthetic", "--seed", "3", "--days", str(days),
            "--history-days", str(history_days), "--close-at-end",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert terminal.stdout is not None
    terminal.stdout.readline()
    before, start = _account(port), time.perf_counter()
    for _ in terminal.stdout:
        pass
    seconds, after = time.perf_counter() - start, _account(port)
    if terminal.wait() != 0:
        raise SystemExit("the simulated terminal failed; see its message above")
    return after["decisions"] - before["decisions"], after["quotes"] - before["quotes"], seconds


def _account(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=10) as answer:
        account: dict[str, Any] = json.load(answer)["accounts"]["paper"]
        return account
