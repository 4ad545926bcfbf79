"""Decision latency under load: 5,000 quotes a second over 20 symbols while their 20 bars close at once, again and again.

Two processes, the daemon and the simulated terminal, in real time over a websocket. Figures are the daemon's own, from the arrival of
the message that closed the bars to the frame of the first and of the last order of that close. The floor is measured in the same run:
a bare websocket hop and one fdatasync of as many bytes as a decision has. To see many closes in minutes both processes share a clock
that runs six times as fast, on a Tuesday; the quotes are 5,000 in a second of ours.
Run: `python tests/bench/bench_closing.py [CLOSES] [--symbols N] [--rate QUOTES]`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from live.daemon import Daemon
from live.floor import measure
from live.paper.load import PRICES, from_load
from live.paper.terminal import Setup, Terminal
from live.settings import read_settings
from trading_assets.core.records.decisions import DecisionTiming
from trading_assets.store.journal import read_records

TOKEN = "bench"
FASTER = 6
TUESDAY = datetime(2024, 3, 5, 9, 59, 30, tzinfo=UTC)
FIRST_AIM_MS, LAST_AIM_MS = 6.0, 60.0
# Every bar gives an order: what is entered at one close runs out of time at the next.
SETTINGS = """
port = 0
tenant = "bench"
[[accounts]]
name = "paper"
token_sha256 = "{token}"
clock = "utc"
mode = "execute"
timeframe = "M1"
[accounts.symbols]
{symbols}
[accounts.strategy]
open_threshold = 0.02
close_threshold = 0.01
exit_profiles = [{{ name = "quick", stop_atr = 20.0, target_atr = 20.0, timeout_bars = 1, trend_fit = 0.0 }}]
risk_per_trade = 0.0005
max_positions = 100
deviation_points = 500
max_leverage = 1000.0
[accounts.strategy.filters]
min_consensus = 0.0
max_dispersion = 10.0
session_start_hour = 0
session_end_hour = 24
blocked_regimes = []
max_cost_r = 100.0
min_reward_r = 0.0001
max_spread_atr = 100.0
max_volatility_ratio = 1000.0
[accounts.strategy.breakers]
min_confidence = 0.0
daily_loss = 1.0
weekly_loss = 1.0
drawdown_halve = 1.0
drawdown_stop = 1.0
orders_per_hour = 1000000
max_slippage_points = 1000000.0
"""


class FastClock:
    """A clock that ran from `TUESDAY` on at `began`, faster than ours."""

    def __init__(self, began: float) -> None:
        self._began = began

    def now(self) -> datetime:
        return TUESDAY + timedelta(seconds=(time.time() - self._began) * FASTER)

    def observe(self, at: datetime) -> None:
        """The stream does not move it."""


def daemon(home: Path, began: float) -> None:
    """Be the daemon."""
    one = Daemon(read_settings(home / "settings.toml"), clock=FastClock(began))

    async def run() -> None:
        import signal

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, one.drain, "the benchmark ends")
        await one.run(lambda port: print(json.dumps({"port": port}), flush=True))

    asyncio.run(run())


def terminal(home: Path, began: float, port: int, symbols: int, rate: int, closes: int) -> None:
    """Be the terminal."""
    seconds = 60 * (closes + 1)
    feed = from_load(1, symbols, TUESDAY, seconds, max(rate // FASTER, symbols), 60, "utc")
    clock = FastClock(began)
    setup = Setup(
        url=f"ws://127.0.0.1:{port}",
        token=TOKEN,
        state=home / "terminal",
        pace="realtime",
        until=TUESDAY + timedelta(seconds=seconds - 20),
        timer_ms=20,
    )
    print(json.dumps(asyncio.run(Terminal(feed, setup, now=clock.now, rate=FASTER).run())))


def resident_mb(pid: int) -> float:
    """Return a process's resident memory; NaN where the system does not tell it this way."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return float("nan")
    found = re.search(r"VmRSS:\s+(\d+)", text)
    return int(found.group(1)) / 1024 if found else float("nan")


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile of the values."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def play(
    home: Path, symbols: int, rate: int, closes: int
) -> tuple[list[DecisionTiming], list[float], dict[str, object]]:
    """Run both processes; returns the timings, the daemon's memory minute by minute and the terminal's summary."""
    names = "\n".join(f'{name} = "{name}"' for name in list(PRICES)[:symbols])
    (home / "settings.toml").write_text(SETTINGS.format(token=sha256(TOKEN.encode()).hexdigest(), symbols=names))
    # The terminal needs a while to make its market; time begins after that.
    began = time.time() + 6
    me = [sys.executable, __file__, "--home", str(home), "--began", repr(began)]
    server = subprocess.Popen([*me, "--be", "daemon"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        port = json.loads(server.stdout.readline())["port"]
        options = ["--port", str(port), "--symbols", str(symbols), "--rate", str(rate), str(closes)]
        client = subprocess.Popen([*me, "--be", "terminal", *options], stdout=subprocess.PIPE, text=True)
        memory = []
        while True:
            try:
                said, _ = client.communicate(timeout=60 / FASTER)
                break
            except subprocess.TimeoutExpired:
                memory.append(resident_mb(server.pid))
        if client.returncode != 0:
            raise SystemExit("the simulated terminal failed; see its message above")
    finally:
        server.terminate()
        server.wait()
    timings = [one for one in read_records(home / "raw", types=(DecisionTiming,)) if isinstance(one, DecisionTiming)]
    return timings, memory, json.loads(said.splitlines()[-1])


def row(name: str, values: Sequence[float], floor: Sequence[float]) -> None:
    """Print median and 99th percentile with their ratios to the floor."""
    if not values:
        print(f"{name:<36}{0:>8}")
        return
    p50, p99 = quantile(values, 0.5), quantile(values, 0.99)
    ratios = f"{p50 / quantile(floor, 0.5):>8.1f}{p99 / quantile(floor, 0.99):>8.1f}"
    print(f"{name:<36}{len(values):>8}{p50:>9.2f}{p99:>9.2f}{ratios}")


def _order_times(ones: list[DecisionTiming]) -> list[float]:
    """Return when the orders of one close were out, in milliseconds after the first message that closed a bar, rising.

    Symbols close by messages of their own, which wait for each other: each one's time is put on one scale.
    """
    out = {id(one): one.known_at.timestamp() * 1000 / FASTER for one in ones}
    began = min(out[id(one)] - one.total_us / 1000 for one in ones)
    return sorted(out[id(one)] - began for one in ones if one.has_order)


def table(timings: list[DecisionTiming], floor: list[float], symbols: int) -> None:
    """Print what the closes took."""
    closes: dict[datetime, list[DecisionTiming]] = defaultdict(list)
    for one in timings:
        closes[one.event_at].append(one)
    full = [ones for ones in closes.values() if sum(one.has_order for one in ones) >= symbols * 0.9]
    orders = [_order_times(ones) for ones in full]
    print(f"{len(full)} closes with orders of nine symbols in ten or more, of {len(closes)}")
    print(f"{'ms':<36}{'n':>8}{'p50':>9}{'p99':>9}{'x p50':>8}{'x p99':>8}")
    row("floor: hop and fdatasync", floor, floor)
    row("first order of a close", [totals[0] for totals in orders], floor)
    row("last order of a close", [totals[-1] for totals in orders], floor)
    of_full = [one for ones in full for one in ones]
    row("  features of one symbol", [one.features_us / 1000 for one in of_full], floor)
    row("  decide of one symbol", [one.decide_us / 1000 for one in of_full], floor)
    row("  commit of one symbol", [one.commit_us / 1000 for one in of_full], floor)
    if orders:
        first, last = (quantile([totals[at] for totals in orders], 0.99) for at in (0, -1))
        met = [f"{'met' if took < aim else 'missed'}" for took, aim in ((first, FIRST_AIM_MS), (last, LAST_AIM_MS))]
        print(
            f"aim: p99 of the first under {FIRST_AIM_MS:.0f} ms: {met[0]}; of the last under {LAST_AIM_MS:.0f} ms: {met[1]}"
        )


def main() -> None:
    """Print the table, or be one of the two processes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("closes", nargs="?", type=int, default=30)
    parser.add_argument("--symbols", type=int, default=20)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--be", choices=("daemon", "terminal"))
    parser.add_argument("--home", type=Path)
    parser.add_argument("--began", type=float)
    parser.add_argument("--port", type=int)
    given = parser.parse_args()
    if given.be == "daemon":
        daemon(given.home, given.began)
        return
    if given.be == "terminal":
        terminal(given.home, given.began, given.port, given.symbols, given.rate, given.closes)
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        floor = measure(1000, home)
        timings, memory, summary = play(home, given.symbols, given.rate, given.closes)
    print(f"{given.symbols} symbols, {given.rate} quotes/s, {summary['deals']} deals")
    table(timings, floor, given.symbols)
    if memory:
        half = memory[len(memory) // 2 :]
        print(
            f"memory of the daemon: {memory[0]:.0f} MB after the first minute, {half[0]:.0f} MB half way, {half[-1]:.0f} MB at the end"
        )


if __name__ == "__main__":
    main()
