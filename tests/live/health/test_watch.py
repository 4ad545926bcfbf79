"""The daemon's look at itself in its journal: components at every heartbeat, anomalies when they begin and end."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from scripted_terminal import BAR, START, daemon_at, price_at, records

from live.desk.commands import Inbox
from live.health.memory import resident_bytes
from live.health.watch import Pulse, Watch
from live.settings import read_settings
from trading_assets.core.records.market import Quote
from trading_assets.core.records.operations import ComponentState, DaemonHeartbeat, Finding

COMPONENTS = {"bridge", "feed", "trader", "reconciliation", "journal", "releases", "commands"}


async def test_every_heartbeat_tells_of_every_component(home: Path) -> None:
    settings = msgspec.structs.replace(read_settings(home / "settings.toml"), heartbeat_s=0.25)
    async with daemon_at(home, settings) as daemon:
        async with asyncio.timeout(10):
            while len(records(home, DaemonHeartbeat)) < 3:
                await daemon.status()
        async with daemon.terminal() as terminal:
            await terminal.hello()
            await terminal.settle(START)
            beats = len(records(home, DaemonHeartbeat))
            async with asyncio.timeout(10):
                while len(records(home, DaemonHeartbeat)) < beats + 2:
                    await daemon.status()
    told = records(home, ComponentState)
    assert {one.component for one in told} == COMPONENTS
    real = [one for one in told if one.interval_s]
    assert {one.interval_s for one in real} == {0.25}
    by_name = {one.component: one for one in real}
    assert not by_name["bridge"].is_healthy
    assert by_name["bridge"].detail == "no terminal is connected"
    assert by_name["journal"].is_healthy
    assert by_name["commands"].successes > 0
    assert by_name["commands"].last_success_at is not None
    lockstep = {one.component: one for one in told if not one.interval_s}
    assert lockstep["bridge"].is_healthy
    assert lockstep["reconciliation"].is_healthy


async def _play(home: Path, fast: range) -> list[Finding]:
    """Play bars of the usual rate; those in `fast` bring twenty times as many quotes."""
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        for number in range(40):
            if number in fast:
                begin, end = terminal.now, terminal.now + BAR
                times = [begin + timedelta(seconds=index) for index in range(300)]
                await terminal.ticks([(at, price_at(at), price_at(at) + 0.0001) for at in times])
                await terminal.settle(end)
            else:
                await terminal.step()
    return [one for one in records(home, Finding) if one.check.startswith("live.health.anomalies.")]


async def test_in_lockstep_anomalies_are_judged_by_the_stream_and_recorded(home: Path) -> None:
    # By then London alone has been open for an hour and a half, and its usual rate is known.
    found = await _play(home, range(30, 34))
    assert [(one.check, one.subject, one.severity) for one in found] == [
        ("live.health.anomalies.quote_rate", "EURUSD", "warning"), ("live.health.anomalies.quote_rate", "EURUSD", "info")
    ]  # fmt: skip
    begun, ended = found
    # The second fast bar tells, and the third usual one after them ends it.
    assert [one.event_at for one in found] == [START + 32 * BAR, START + 37 * BAR]
    assert (begun.observed, ended.observed) == ("300 quotes", "15 quotes")
    assert begun.repair
    assert ended.repair == "nothing: it has ended"


async def test_a_usual_stream_has_no_anomaly(home: Path) -> None:
    assert await _play(home, range(0)) == []
    assert records(home, Quote)


def block(seconds: float) -> None:
    """The fault itself: something that does not let the loop go on."""
    time.sleep(seconds)


async def test_the_pulse_tells_how_late_the_loop_was() -> None:
    pulse = Pulse()
    began_s = time.monotonic()
    pulse.start()
    block(0.4)
    # Two turns of the loop: what was due meanwhile comes in the first.
    for _ in range(2):
        await asyncio.sleep(0)
    late_s = pulse.take_latest()
    assert pulse.is_running
    # It was due a tenth of a second after the start.
    assert 0.29 < late_s < time.monotonic() - began_s
    assert pulse.take_latest() == 0.0
    pulse.stop()
    pulse.stop()
    assert not pulse.is_running


def test_memory_is_what_the_system_says() -> None:
    resident = resident_bytes()
    if resident is None:
        pytest.skip("this system does not say; on Linux and Windows it does")
    assert 10 << 20 < resident < 10 << 30


class Hands:
    """A clock whose hands are moved."""

    def __init__(self) -> None:
        self.at = START
        self.seconds = 0.0

    def now(self) -> datetime:
        return self.at

    def observe(self, at: datetime) -> None:
        """It is moved by hand alone."""

    def move(self, seconds: float) -> None:
        self.seconds += seconds
        self.at += timedelta(seconds=seconds)


async def test_by_the_clock_windows_last_ten_seconds_and_slow_commits_are_told_and_end(home: Path) -> None:
    hands = Hands()
    async with daemon_at(home, clock=hands) as daemon:
        desks = {"paper": daemon.desk()}
        recorder = daemon.desk().account.recorder
        inbox = Inbox(home / "control", desks, lambda _: None, lambda *_: None)
        watch = Watch(desks, recorder.journal, inbox, 10.0, lambda: hands.seconds)
        slow = [False, True, True, True, False, False, False, False]
        active = []
        for is_slow in slow:
            recorder.journal.on_commit = lambda _: None
            watch.commits.observe(0.5 if is_slow else 0.004)
            hands.move(11)
            watch.round()
            active.append(("journal_commit", "journal") in watch.active["paper"])
        assert active == [False, False, True, True, True, True, False, False]
        assert watch.anomalies_begun == 1
    found = [one for one in records(home, Finding) if one.check == "live.health.anomalies.journal_commit"]
    assert [one.severity for one in found] == ["warning", "info"]
    assert found[0].expectation == "p99 at most 200 ms"


async def test_a_round_that_hangs_and_work_that_failed_are_complaints(home: Path) -> None:
    hands = Hands()

    async def fails() -> None:
        raise ValueError("a defect")

    async with daemon_at(home) as daemon:
        desks = {"paper": daemon.desk()}
        recorder = daemon.desk().account.recorder
        watch = Watch(
            desks,
            recorder.journal,
            Inbox(home / "control", desks, lambda _: None, lambda *_: None),
            10.0,
            lambda: hands.seconds,
        )
        assert watch.complaints() == ["a task has ended: the measure of the event loop's lag"]
        watch.pulse.start()
        assert watch.complaints() == []
        hands.move(11)
        assert "has not come by for 11 s" in watch.complaints()[0]
        watch.round()
        recorder.start(fails())
        async with asyncio.timeout(5):
            while not watch.complaints():
                await daemon.status()
        assert watch.complaints() == ["a task has ended: work of account paper (ValueError: a defect)"]
        watch.pulse.stop()
        with pytest.raises(ValueError, match="a defect"):
            await recorder.settled()
