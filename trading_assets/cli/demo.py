"""`trading demo`: the closed loop from nothing to a judged model and back into the daemon, in a home of its own.

Play the first part of a market, ingest, learn, judge; play the rest under the release in the same daemon; ingest, check.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from rich.progress import Progress

from trading_assets.cli.environment import running
from trading_assets.cli.materialise import ready_lake
from trading_assets.cli.processes import Daemon, LiveSettings, Terminal, write_settings
from trading_assets.cli.progress import run_with_progress, step, steps
from trading_assets.cli.summary import summary
from trading_assets.core.errors import InputError
from trading_assets.defs.due import days_to_ingest
from trading_assets.store.home import Home
from trading_assets.store.market_files import read_market

MARKER = "demo.json"
SYNTHETIC_START = date(2026, 1, 5)
SYNTHETIC_SYMBOLS = ("EURUSD", "GBPUSD")
LEARNING_SHARE = 6 / 7


@dataclass(frozen=True)
class Plan:
    """What is played: the market, the days before learning and those after it."""

    title: str
    live: LiveSettings
    terminal: tuple[str, ...]
    first: date
    split: datetime
    last: date


def synthetic_plan(seed: int, learning_days: int, release_days: int, edge: float) -> Plan:
    """Plan a seeded synthetic market with a planted, regime-dependent edge (`edge` 0: none)."""
    days = learning_days + release_days
    sessions = _weekdays(SYNTHETIC_START, days)
    return Plan(
        title=f"synthetic market, seed {seed}, edge {edge:g}, {learning_days} + {release_days} trading days",
        live=LiveSettings(symbols={name: name for name in SYNTHETIC_SYMBOLS}, clock="eu", timeframe="M5"),
        terminal=("--synthetic", "--seed", str(seed), "--days", str(days), "--edge", str(edge),
                  "--symbols", ",".join(SYNTHETIC_SYMBOLS), "--start", SYNTHETIC_START.isoformat(), "--clock", "eu"),
        first=SYNTHETIC_START - timedelta(days=1),
        split=datetime(sessions[learning_days - 1].year, sessions[learning_days - 1].month, sessions[learning_days - 1].day, 22, tzinfo=UTC),
        last=sessions[-1],
    )  # fmt: skip


def market_plan(path: Path, symbol: str | None, clock: str | None, timeframe: str, spread_points: int | None) -> Plan:
    """Plan real data: the first six sevenths of its days are learned from. Raises InputError for a file that is no market."""
    market = read_market(path, symbol=symbol, clock=clock, spread_points=spread_points)
    days = sorted({market.clock.to_utc(int(msc)).date() for msc in _days_msc(market.quotes["server_msc"])})
    if len(days) < 2:
        raise InputError("playing", path, "it holds a single day", "name a folder or file with two days or more")
    split = days[min(len(days) - 1, max(1, round(len(days) * LEARNING_SHARE)))]
    arguments = ["--market", str(path.resolve()), "--symbol", market.symbol, f"--clock={market.clock.name}"]
    if spread_points is not None:
        arguments += ["--spread-points", str(spread_points)]
    return Plan(
        title=f"{market.symbol} of {path.name}: {market.description}",
        live=LiveSettings(symbols={market.symbol: market.symbol}, clock=market.clock.name, timeframe=timeframe),
        terminal=tuple(arguments),
        first=days[0],
        split=datetime(split.year, split.month, split.day, tzinfo=UTC),
        last=days[-1],
    )


def _weekdays(start: date, count: int) -> list[date]:
    days = (start + timedelta(days=n) for n in range(2 * count + 7))
    return [day for day in days if day.weekday() < 5][:count]


def _days_msc(server_msc: Any) -> Sequence[int]:
    """Return one instant for each hour that has quotes: enough to know the UTC days."""
    hours = (server_msc // 3_600_000).unique().sort()
    return [int(hour) * 3_600_000 for hour in hours]


def demo(home: Home, plan: Plan) -> dict[str, Any]:
    """Run the loop; return the summary. Raises TradingError sentences; whatever was written stays for inspection."""
    with _own(home), running(home, plan.first), steps() as progress:
        settings, token = write_settings(home, plan.live)
        daemon = Daemon(home, settings)
        try:
            _play(progress, home, daemon, token, plan, "Playing the market, rules only", until=plan.split)
            _ingest(progress, home)
            _materialise(progress, "ledger", "Ledger", plan.first, plan.split.date())
            _materialise(progress, "dataset", "Labels and learning dataset", plan.first, plan.split.date())
            run_with_progress(progress, "retrain", "Training, judging, promoting")
            _play(progress, home, daemon, token, plan, "Playing on, same daemon", until=None)
            code = daemon.stop()
        finally:
            daemon.stop()
        if code:
            raise InputError(
                "stopping", "the daemon", f"it ended with exit code {code}", f"read {home.logs / 'daemon.log'}"
            )
        _ingest(progress, home)
        _materialise(progress, "ledger", "Ledger", plan.first, plan.last + timedelta(days=1))
        _materialise(progress, "dataset", "Labels and learning dataset", plan.first, plan.last + timedelta(days=1))
        run_with_progress(progress, "marts", "Marts and their tests (dbt)")
        run_with_progress(progress, "integrity", "Integrity checks")
        with step(progress, "Verifying the journal's chain"):
            result = summary(home, plan.title)
    return result


def _play(
    progress: Progress, home: Home, daemon: Daemon, token: Path, plan: Plan, title: str, until: datetime | None
) -> None:
    arguments = [*plan.terminal, "--speed", "lockstep"]
    arguments += ["--until", until.isoformat()] if until else ["--close-at-end"]
    if plan.live.timeframe == "M1":
        arguments += ["--step-minutes", "1"]
    with step(progress, title) as tell:
        for line in Terminal(home, daemon.url, token, arguments).progress():
            tell(line.get("progress", 1.0), str(line.get("at", ""))[:10])


def _ingest(progress: Progress, home: Home) -> None:
    for first, last in days_to_ingest(home, ready_lake(home)):
        run_with_progress(progress, "ingest", f"Assets of {first} to {last}", (first, last))


def _materialise(progress: Progress, job: str, description: str, first: date, last: date) -> None:
    run_with_progress(progress, job, description, (first, last))


def demo_owner(marker: Path) -> int:
    """Return the process a demo runs in here; 0 for none.

    The marker of a copied home names the process of the original, and its id may be another's by now.
    """
    told = json.loads(marker.read_text() or "{}")
    owner, place = int(told.get("pid", 0)), str(marker.parent)
    try:
        began = psutil.Process(owner).create_time() if owner else 0.0
    except psutil.NoSuchProcess:
        return 0
    is_its = told.get("home", place) == place and abs(told.get("began", began) - began) < 1.0
    return owner if is_its else 0


@contextmanager
def _own(home: Home) -> Iterator[None]:
    """Make the home a fresh one of ours, and say so while it runs. Never touches a home that is no demo's."""
    marker = home.root / MARKER
    if home.root.exists() and any(home.root.iterdir()):
        if not marker.exists():
            raise InputError(
                "starting the demo in",
                home.root,
                "this folder is not a demo's and is not empty",
                "name another one with --home",
            )
        owner = demo_owner(marker)
        if owner and owner != os.getpid():
            raise InputError(
                "starting the demo in",
                home.root,
                f"process {owner} is running one there",
                "wait for it, or name another folder with --home",
            )
        shutil.rmtree(home.root)
    home.root.mkdir(parents=True, exist_ok=True)
    began = psutil.Process().create_time()
    marker.write_text(json.dumps({"pid": os.getpid(), "home": str(home.root), "began": began}))
    try:
        yield
    finally:
        marker.write_text("{}")
