"""The soak: days of trading at every bar on twenty symbols, in lockstep, without a restart; nothing may grow.

    python tests/torture/torture_soak.py [--short] [--seed N] [--days N]

The real daemon and the simulated terminal, two processes, a real websocket, the scalp set on M1. Stops are so tight that
nearly every bar opens a trade that ends before the next one: 20 symbols make some 28,000 decisions and over 20,000
trades a day. The daemon's resident memory is sampled at every progress line; after a warm-up it may grow by less than
5 %. At the end the books are held against the journal, as in `facts`, and the ledger against the balance.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import psutil
from facts import examine
from processes import Process, Stage, free_port, start_daemon, start_terminal
from survived import Option, Survived, run

from trading_assets.store.journal import compress_closed

DAYS, TRADES_A_DAY, GROWTH = 5, 20_000, 0.05
_SHORT_MINUTES, _SHORT_SYMBOLS = 30, 6
_WARM_UP = 0.2
"""Share of the play after which memory may not grow any more."""
_COMPRESS_EVERY_S = 20.0
_TOKEN = "soak"
_FIRST_DAY, _OPENS_AT = "2024-01-08", datetime(2024, 1, 8, 22, tzinfo=UTC)
SYMBOLS = (
    "EURUSD", "GBPUSD", "AUDUSD", "USDJPY", "NZDUSD", "USDCAD", "USDCHF", "USDNOK", "USDSEK", "USDPLN",
    "USDMXN", "USDZAR", "USDSGD", "USDHKD", "USDHUF", "USDTRY", "USDCNH", "USDDKK", "USDCZK", "USDILS",
)  # fmt: skip
_SETTINGS = """
port = {port}
tenant = "soak"
[[accounts]]
name = "paper"
token_sha256 = "{token}"
clock = "eu"
mode = "execute"
timeframe = "M1"
[accounts.symbols]
{symbols}
[accounts.strategy]
risk_per_trade = 0.000001
open_threshold = 0.5001
close_threshold = 0.0001
deviation_points = 1000
max_positions = 100
exit_profiles = [ {{ name = "brief", stop_atr = 0.03, target_atr = 0.5, timeout_bars = 1, trend_fit = 0.0 }} ]
[accounts.strategy.filters]
session_start_hour = 0
session_end_hour = 24
min_consensus = 0.0
max_dispersion = 100.0
blocked_regimes = []
max_cost_r = 1000.0
min_reward_r = 0.0001
max_spread_atr = 1000.0
max_volatility_ratio = 1000.0
max_quote_age_s = 100000.0
[accounts.strategy.weights]
cost = 0.0
dispersion = 0.0
[accounts.strategy.breakers]
min_confidence = 0.0
drawdown_halve = 1.0
drawdown_stop = 1.0
daily_loss = 1.0
weekly_loss = 1.0
orders_per_hour = 1000000
max_slippage_points = 100000.0
"""


@dataclass(frozen=True)
class Sample:
    """The daemon's memory when so much of the play was done."""

    share: float
    rss: int


def survive(*, is_short: bool, seed: int, broken: str = "", days: float = DAYS) -> Survived:
    """Soak, and say what grew."""
    folder = Path(tempfile.mkdtemp(prefix="trading-soak-"))
    # Nobody dies here, and the terminal's syncs would take most of the time.
    memory = Path(tempfile.mkdtemp(prefix="trading-soak-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    (folder / "terminal").symlink_to(memory)
    symbols = SYMBOLS[:_SHORT_SYMBOLS] if is_short else SYMBOLS
    minutes = _SHORT_MINUTES if is_short else round(days * 24 * 60)
    try:
        return _soak(Stage(folder, broken), symbols, minutes, seed, is_short=is_short or days < 1)
    finally:
        if not os.environ.get("TORTURE_KEEP"):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(memory, ignore_errors=True)


def _soak(stage: Stage, symbols: tuple[str, ...], minutes: int, seed: int, *, is_short: bool) -> Survived:
    port, folder = free_port(seed), stage.folder
    (folder / "token").write_text(_TOKEN)
    named = "\n".join(f'{symbol} = "{symbol}"' for symbol in symbols)
    token = sha256(_TOKEN.encode()).hexdigest()
    (folder / "settings.toml").write_text(_SETTINGS.format(port=port, token=token, symbols=named), encoding="utf-8")
    daemon = start_daemon(stage, None)
    days = 1 + -(-minutes // (24 * 60))
    terminal = start_terminal(
        stage,
        None,
        [
            "--url", f"ws://127.0.0.1:{port}", "--token-file", str(folder / "token"), "--state", str(folder / "terminal"),
            "--synthetic", "--symbols", ",".join(symbols), "--seed", str(seed), "--days", str(days), "--history-days", "1",
            "--start", _FIRST_DAY, "--until", (_OPENS_AT + timedelta(minutes=minutes)).isoformat(), "--step-minutes", "1",
            "--deposit", "10000000", "--slippage-points", "0.1", "--close-at-end", "--patience", "60",
        ],
        symbols=SYMBOLS,
    )  # fmt: skip
    started = time.monotonic()
    samples, problems = _watch(daemon, terminal, stage)
    seconds = time.monotonic() - started
    code = daemon.end(signal.SIGTERM, 60.0)
    problems += [f"the daemon ended with {code}: {daemon.said}"] if code else []
    facts = examine(stage.raw, folder / "terminal", [], [])
    counts = Counter(facts.counts)
    simulated = minutes / (24 * 60)
    growth = growth_of(samples)
    counts["trades a day"] = round(counts["trades closed"] / simulated)
    counts["decisions/s"] = round(counts["decisions"] / seconds)
    counts["daemon's memory at the end, MiB"] = samples[-1].rss >> 20 if samples else 0
    counts["growth after warm-up, hundredths of a percent"] = round(growth * 10_000)
    counts["journal, MiB"] = sum(path.stat().st_size for path in stage.raw.rglob("*") if path.is_file()) >> 20
    problems += facts.problems
    if counts["trades a day"] < TRADES_A_DAY * (len(symbols) / len(SYMBOLS)):
        problems.append(
            f"{counts['trades a day']} trades a day on {len(symbols)} symbols are too few to prove anything"
        )
    # A short play ends while caches still fill: there it is printed and not judged.
    if not is_short and growth >= GROWTH:
        problems.append(f"the daemon's memory grew by {growth:.1%} after warm-up, the limit is {GROWTH:.0%}")
    return Survived("soak", dict(counts), tuple(problems[:50]))


def growth_of(samples: list[Sample]) -> float:
    """Return by which share memory grew from the end of the warm-up to the end, both as medians of a tenth of the play."""

    def median(begin: float, end: float) -> float:
        chosen = sorted(one.rss for one in samples if begin <= one.share <= end)
        return float(chosen[len(chosen) // 2]) if chosen else 0.0

    before, after = median(_WARM_UP, _WARM_UP + 0.1), median(0.9, 1.0) or float(samples[-1].rss if samples else 0)
    return after / before - 1.0 if before else 0.0


def _watch(daemon: Process, terminal: Process, stage: Stage) -> tuple[list[Sample], list[str]]:
    """Sample the daemon's memory and compress closed segments until the terminal ends."""
    process, samples, told = psutil.Process(daemon.pid), [], 0.0
    compressed_at = time.monotonic()
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == terminal.pid:
            code = os.waitstatus_to_exitcode(status)
            return samples, [f"the terminal ended with {code}: {terminal.said}"] if code else []
        if pid == daemon.pid:
            terminal.end(signal.SIGKILL)
            return samples, [f"the daemon ended with {os.waitstatus_to_exitcode(status)}: {daemon.said}"]
        share = _progress(terminal)
        if not samples or share > samples[-1].share:
            samples.append(Sample(share, process.memory_info().rss))
        if share - told >= 0.05:
            told = share
            print(f"  {share:>4.0%} played, daemon {samples[-1].rss >> 20} MiB", flush=True)
        if time.monotonic() - compressed_at > _COMPRESS_EVERY_S:
            compress_closed(stage.raw)
            compressed_at = time.monotonic()
        time.sleep(0.2)


def _progress(terminal: Process) -> float:
    """Return how much of the play is done, by the last whole line the terminal said."""
    for line in reversed(terminal.said.splitlines()):
        if line.startswith('{"progress"') and line.endswith("}"):
            return float(json.loads(line)["progress"])
    return 0.0


if __name__ == "__main__":
    sys.exit(run(survive, __doc__, Option("days", float(DAYS), f"simulated days ({DAYS}); memory is judged from 1 on")))
