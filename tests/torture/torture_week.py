"""One week by the clock: daemon, terminal, the schedules of the asset half and its self-checks together, with deaths and rests.

    python tests/torture/torture_week.py [--short] [--seed N] [--days N]

Nothing is in lockstep: all processes run the code of the wall clock, under virtual time (`virtual_time`), so that a week takes
minutes and a slow machine changes nothing. At moments drawn from the seed the daemon or the terminal is killed and started again
after a rest, the whole machine sleeps, the home is moved to another folder, the asset half rests for hours or is killed in the
middle of a run (`week_jobs`). Every seed has a death of each kind at least once. At the end what was traded is held against the
terminal's books (`facts`), and `trading verify` and the self-check must have nothing to say. The short form is one day with one
evaluation of the jobs.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from virtual_time import Conductor, replace_monotonic

BEGINS_AT = datetime(2026, 1, 4, 21, tzinfo=UTC)
"""A Sunday, an hour before the market opens."""
CLOCK = replace_monotonic(BEGINS_AT)

from facts import examine  # noqa: E402
from processes import free_port  # noqa: E402
from survived import Option, Survived, run  # noqa: E402

import live.bridge.conversation  # noqa: E402 - `time.monotonic` is replaced before the product binds it
import live.bridge.sockets  # noqa: E402
import live.clock  # noqa: E402
import live.daemon  # noqa: E402
import live.health.watch  # noqa: E402
import live.paper.play  # noqa: E402
from live.daemon import Daemon  # noqa: E402
from live.paper.faults import Faults  # noqa: E402
from live.paper.feed import from_synthetic  # noqa: E402
from live.paper.terminal import Setup, Terminal  # noqa: E402
from live.settings import read_settings  # noqa: E402

DAYS, HISTORY_DAYS = 5, 10
_SYMBOL = "EURUSD"
_TOKEN = "week"
_SHORT_DAYS = 0.25
_SLOW_S = 10.0
"""Interval of everything that looks again and again: a week of quarter seconds would take hours."""
_MOST_KILLED_AFTER_S = 25.0
_SETTINGS = """
home = "."
port = {port}
tenant = "week"
terminal_heartbeat_s = 30.0
heartbeat_s = 60.0
reconcile_s = 60.0
quote_commit_delay_s = 1.0
[[accounts]]
name = "paper"
token_sha256 = "{token}"
clock = "eu"
mode = "execute"
timeframe = "M5"
symbols = {{ "EURUSD" = "EURUSD" }}
"""

Deed = Literal["kill_daemon", "kill_terminal", "sleep", "jobs", "kill_jobs", "move_home"]


@dataclass(frozen=True, order=True)
class Act:
    """What the harness does at a moment, seconds after the beginning; `rest_s` says for how long the thing is gone."""

    at_s: float
    deed: Deed
    rest_s: float = 0.0


def acts_of(seed: int, days: float, *, is_short: bool) -> list[Act]:
    """Draw what happens: every deed at least once in a week; in the short form one death of each half and one evaluation."""
    chance, length = random.Random(seed), days * 86_400
    if is_short:
        return [
            Act(0.4 * length, "kill_daemon", 60.0),
            Act(0.6 * length, "kill_terminal", 600.0),
            Act(0.7 * length, "sleep", 2700.0),
        ]
    rests = (0.0, 30.0, 1200.0, 3 * 3600.0)
    deeds: list[Deed] = ["kill_daemon", "kill_terminal", "sleep"]
    drawn = [chance.choice(deeds) for _ in range(round(days))] + deeds
    acts = [
        Act(chance.uniform(7200, length), deed, chance.uniform(1200, 7200) if deed == "sleep" else chance.choice(rests))
        for deed in drawn
    ]
    acts += [Act(chance.uniform(0.2, 0.8) * length, "move_home")]
    # The asset half rests for hours: it is looked after at moments of its own, and one run of it is killed.
    for number in range(max(round(days), 1)):
        at = (number + chance.uniform(0.3, 1.0)) * 86_400
        acts.append(Act(at, "kill_jobs" if number == 1 else "jobs", chance.uniform(6.0, _MOST_KILLED_AFTER_S)))
    return sorted(acts)


# --- the processes ------------------------------------------------------------------------------------------------------


def _daemon(root: Path) -> int:
    live.clock.SystemClock.now = lambda _: CLOCK.utc()  # type: ignore[method-assign]
    live.daemon._TICK_S = _SLOW_S
    live.health.watch._PULSE_S = 60.0
    live.bridge.sockets._LOOK_S = _SLOW_S
    live.bridge.conversation.Patience.look_s = _SLOW_S  # type: ignore[assignment,method-assign]
    daemon = Daemon(read_settings(root / "settings.toml"))

    async def whole() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, daemon.drain, "SIGTERM")
        await daemon.run(lambda _: None)

    asyncio.run(whole())
    return 0


def _terminal(root: Path, port: int, seed: int) -> int:
    live.paper.play._BEAT_MS = int(_SLOW_S * 1000)
    first_day = (BEGINS_AT - timedelta(days=13)).date()
    feed = from_synthetic(seed, (_SYMBOL,), first_day, HISTORY_DAYS + DAYS + 1, 1.0, "eu")
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    faults = Faults(
        seed=seed, lost_events=0.1, duplicated_events=0.1, delayed_answers=0.1, lost_answers=0.05, rejects=0.1,
        partial_fills=0.1, skipped_ticks=0.01, shuffled_events=0.1,
    )  # fmt: skip
    setup = Setup(
        url=f"ws://127.0.0.1:{port}", token=_TOKEN, state=root / "terminal", pace="realtime", history_days=HISTORY_DAYS,
        seed=seed, faults=faults, patience_s=float("inf"),
    )  # fmt: skip
    summary = asyncio.run(Terminal(feed, setup, lambda _: None, lambda: bool(stopped), CLOCK.utc).run())
    print(json.dumps(summary), flush=True)
    return 0


class Week:
    """One home and what runs on it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.seed, self.port = seed, free_port(seed)
        self._folder, self._moves = folder, 0
        self.root = folder / "home"
        self.root.mkdir()
        token = sha256(_TOKEN.encode()).hexdigest()
        (self.root / "settings.toml").write_text(_SETTINGS.format(port=self.port, token=token), encoding="utf-8")
        self.conductor = Conductor(CLOCK)
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self._evaluated_at = BEGINS_AT
        self._waiting: list[tuple[float, str]] = []

    # --- live ---

    def start(self, name: str) -> None:
        """Start the daemon or the terminal, now."""
        works = {"daemon": lambda: _daemon(self.root), "terminal": lambda: _terminal(self.root, self.port, self.seed)}
        self.conductor.start(name, works[name], str(self._folder / f"{name}.txt"))

    def play(self, until_s: float) -> None:
        """Let time pass until then; who was killed is started again when its rest is over."""
        conductor = self.conductor
        while True:
            for ended in conductor.rest():
                self.failures.append(
                    f"{ended.name} ended with {ended.status} at {conductor.now}: {self.said(ended.name)}"
                )
                self._waiting.append((conductor.now_s + 60.0, ended.name))
            for due in [one for one in self._waiting if one[0] <= conductor.now_s]:
                self._waiting.remove(due)
                self.start(due[1])
            if conductor.now_s >= until_s:
                return
            conductor.move(conductor.next_s(min([until_s, *(at for at, _ in self._waiting)])))

    def said(self, name: str) -> str:
        """Return the last that a process printed."""
        path = self._folder / f"{name}.txt"
        return path.read_text(errors="replace")[-400:] if path.exists() else ""

    def do(self, act: Act) -> None:
        """Do what the seed wants done now."""
        self.counts[act.deed.replace("_", " ")] += 1
        match act.deed:
            case "kill_daemon" | "kill_terminal":
                name = act.deed.removeprefix("kill_")
                if name in self.conductor.members:
                    self.conductor.kill(name)
                    self._waiting.append((self.conductor.now_s + act.rest_s, name))
            case "sleep":
                # Nobody runs meanwhile: all that was due is due at once, as when a machine wakes up.
                self.conductor.move(self.conductor.now_s + act.rest_s)
            case "jobs":
                self.evaluate()
            case "kill_jobs":
                self.evaluate(killed_after_s=act.rest_s)
            case "move_home":
                self.move_home()

    def stop(self) -> None:
        """End both cleanly."""
        self._waiting.clear()
        for name in ("terminal", "daemon"):
            if name not in self.conductor.members:
                continue
            self.conductor.kill(name, signal.SIGTERM)
            patience = self.conductor.now_s + 600.0
            while name in self.conductor.members and self.conductor.now_s < patience:
                for ended in self.conductor.rest():
                    if ended.status:
                        self.failures.append(f"{ended.name} ended with {ended.status}: {self.said(ended.name)}")
                self.conductor.move(self.conductor.next_s(self.conductor.now_s + 60.0))
            if name in self.conductor.members:
                self.failures.append(f"{name} did not end")
                self.conductor.kill(name)

    def move_home(self) -> None:
        """Stop, rename the folder, go on there."""
        self.stop()
        self._moves += 1
        moved = self._folder / f"home ü {self._moves}"
        self.root.rename(moved)
        self.root = moved
        for name in ("daemon", "terminal"):
            self.start(name)

    # --- assets ---

    def evaluate(self, killed_after_s: float = 0.0, *, is_end: bool = False) -> dict[str, Any]:
        """Let the schedules be evaluated and their runs run, now; killed after so many real seconds where that is asked for."""
        at = self.conductor.now
        command = [
            sys.executable, str(Path(__file__).parent / "week_jobs.py"), str(self.root), at.isoformat(),
            self._evaluated_at.isoformat(), *(["--end"] if is_end else []),
        ]  # fmt: skip
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("TRADING_", "DAGSTER_"))
        }
        with (self._folder / "jobs.txt").open("ab") as errors:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
            try:
                printed, _ = process.communicate(timeout=killed_after_s or None)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                self.counts["asset halves killed"] += 1
                return {}
        line = next((one for one in printed.splitlines() if one.startswith("WEEK ")), "")
        if not line:
            self.failures.append(f"the jobs of {at} ended with {process.returncode}: {self.said('jobs')}")
            return {}
        self._evaluated_at = at
        told: dict[str, Any] = json.loads(line.removeprefix("WEEK "))
        if not is_end:
            self.counts["runs"] += len(told["ran"])
            self.failures += [f"job {job} failed at {at}: {why}" for job, why in told["failed"].items()]
        return told


# --- the judgement ------------------------------------------------------------------------------------------------------


def survive(*, is_short: bool, seed: int, broken: str = "", days: float = DAYS) -> Survived:  # noqa: ARG001
    """Play the week and hold its end against everything."""
    folder = Path(tempfile.mkdtemp(prefix="trading-week-"))
    days = _SHORT_DAYS if is_short else days
    try:
        week = Week(folder, seed)
        for name in ("daemon", "terminal"):
            week.start(name)
        for act in acts_of(seed, days, is_short=is_short):
            week.play(act.at_s)
            week.do(act)
            _progress(week, act)
        week.play(days * 86_400 + (0 if is_short else 3 * 3600))
        week.stop()
        _judge(week)
    finally:
        if not os.environ.get("TORTURE_KEEP"):
            shutil.rmtree(folder, ignore_errors=True)
    return Survived("week", dict(week.counts), tuple(week.failures[:50]))


def _progress(week: Week, act: Act) -> None:
    print(f"  {week.conductor.now:%a %H:%M} {act.deed}, {len(week.failures)} not survived", flush=True)


def _judge(week: Week) -> None:
    facts = examine(week.root / "raw", week.root / "terminal", [], [])
    week.counts += facts.counts
    week.failures += facts.problems
    end = week.evaluate(is_end=True)
    if not end:
        return
    verified, checked = end["verify"], end["selfcheck"]
    if not verified["is_clean"]:
        wrong = {name: value for name, value in verified.items() if name not in ("journal",)}
        week.failures.append(f"verify is not clean: {wrong}")
    week.failures += [f"pending: {day}" for day in end["pending"]]
    week.failures += [
        f"job {job} failed at the end: {why}" for one in end["rounds"] for job, why in one["failed"].items()
    ]
    week.failures += [
        f"self-check: {one['subject']}: {one['observed']}" for one in checked["standing"] if one["severity"] == "error"
    ]


if __name__ == "__main__":
    sys.exit(run(survive, __doc__, Option("days", float(DAYS), f"days of the week that are played ({DAYS})")))
