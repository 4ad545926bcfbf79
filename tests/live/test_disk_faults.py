"""Disks and clocks that misbehave for real: a full file system, one remounted read-only, a slow one, a clock set back."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from scripted_terminal import BAR, START, daemon_at, records

from live.trading.trader import Trader
from trading_assets.core.messages import Processed, Query
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.operations import OpsError
from trading_assets.core.records.trading import BreakerEvent, Order
from trading_assets.store import journal_disk
from trading_assets.store.journal import Journal, JournalError, read_records, verify
from trading_assets.store.journal_disk import sync_file


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip(
            "only root on Linux may mount a small disk; tests/live/test_disk.py has the same faults by the sync seam"
        )
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def remount(disk: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", disk], check=True)


def error(text: str, at: datetime = START) -> OpsError:
    return OpsError(tenant="t", account="a", event_at=at, known_at=at, chain_id="c", component="test", message=text)


def fill(path: Path) -> None:
    """Write until there is no room for another byte."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        with suppress(OSError):
            while True:
                os.write(descriptor, b"x" * 65536)
    finally:
        os.close(descriptor)


async def refused(journal: Journal, text: str, words: str) -> None:
    with pytest.raises(JournalError, match=words):
        await journal.append([error(text)])


async def test_a_disk_that_is_full_refuses_loses_nothing_and_is_written_again_once_there_is_room(
    small_disk: Path,
) -> None:
    raw, filler = small_disk / "raw", small_disk / "filler"
    async with Journal.open(raw) as journal:
        await journal.append([error("before")])
        fill(filler)
        await refused(journal, "x" * 20_000, "No space left")
        assert "No space left" in journal.health
        filler.unlink()
        await journal.append([error("after")])
        assert journal.health == "ok"
    report = verify(raw)
    assert (report.faults, report.unsealed_bytes) == ([], 0)
    assert [one.message for one in read_records(raw, types=[OpsError])] == ["before", "after"]  # type: ignore[union-attr]


async def test_a_disk_that_becomes_read_only_refuses_and_goes_on_when_it_is_writable(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = small_disk / "raw"
    async with Journal.open(raw) as journal:
        await journal.append([error("before")])
    remount(small_disk, "ro")
    with pytest.raises(JournalError, match="Read-only"):
        Journal.open(raw)
    assert verify(raw).faults == []
    remount(small_disk, "rw")
    async with Journal.open(raw) as journal:
        real = journal_disk.write
        with monkeypatch.context() as patched:
            # A disk cannot be remounted under an open file; the kernel does it by itself after an error.
            patched.setattr(journal_disk, "write", read_only)
            await refused(journal, "lost", "Read-only")
        assert journal_disk.write is real
        await journal.append([error("after")])
    assert [one.message for one in read_records(raw, types=[OpsError])] == ["before", "after"]  # type: ignore[union-attr]


def read_only(descriptor: int, data: bytes) -> None:  # noqa: ARG001 - what the journal calls
    raise OSError(30, "Read-only file system")


class SlowDiskClock:
    """System time that passes only while the disk syncs: once there is a decision, as long as the test says."""

    def __init__(self) -> None:
        self.at = START + BAR
        self.sync_takes = timedelta(0)
        self.decisions: Callable[[], int] = lambda: 0

    def now(self) -> datetime:
        return self.at

    def observe(self, at: datetime) -> None:
        """The stream does not move it."""

    def sync(self, descriptor: int) -> None:
        sync_file(descriptor)
        if self.decisions():
            self.at += self.sync_takes


@pytest.mark.parametrize(("seconds", "state", "sent"), [(0.0, "SENT", 1), (11.0, "EXPIRED", 0)])
async def test_a_slow_disk_makes_entries_late_and_late_entries_are_not_sent(
    home: Path, seconds: float, state: str, sent: int
) -> None:
    clock = SlowDiskClock()
    async with daemon_at(home, sync=clock.sync, clock=clock) as daemon, daemon.terminal() as terminal:
        terminal.fills_orders = False
        terminal.now = START
        await terminal.hello(lockstep=False)
        await terminal.heartbeat(START)
        while not daemon.desk().is_open:
            await terminal.until(Query)
        await terminal.quotes(START, START + BAR)
        await terminal.heartbeat(START + BAR - timedelta(seconds=1))
        account = daemon.desk().account
        while account.feed.accepted < 15:
            await daemon.status()
        clock.sync_takes, clock.decisions = timedelta(seconds=seconds), lambda: account.trader.decisions
        # The decision's own commit takes longer than the order may wait (10 s).
        await terminal.heartbeat(START + BAR)
        while account.books.orders.reached["SENT"] + account.books.orders.reached["EXPIRED"] < 1:
            await daemon.status()
        assert account.sender.orders_sent == sent
    (decision,) = records(home, Decision)
    orders = [order for order in records(home, Order) if order.signal_id == decision.signal_id]
    assert orders[0].state == "PLANNED"
    assert state in [order.state for order in orders]
    assert ("its deadline passed before it was sent" in {order.reason for order in orders}) == (not sent)
    assert verify(home / "raw").faults == []


async def test_a_decision_under_a_failed_journal_waits_by_its_breaker_and_the_reset_is_on_record(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_failing = [False]
    made: list[Decision] = []
    plan = Trader._plan

    def noted(trader: Trader, decision: Decision) -> Any:
        made.append(decision)
        return plan(trader, decision)

    # What could not be made durable is on no record: it is looked at where it is made.
    monkeypatch.setattr(Trader, "_plan", noted)

    def sync(descriptor: int) -> None:
        if is_failing[0]:
            raise OSError(5, "Input/output error")
        sync_file(descriptor)

    async with daemon_at(home, sync=sync) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        trader = daemon.desk().account.trader
        is_failing[0] = True
        for bar in range(2):
            await terminal.quotes(START + bar * BAR, START + (bar + 1) * BAR)
            seq = await terminal.heartbeat(START + (bar + 1) * BAR)
            # The commit of the first decision fails; the second is decided knowing that, and fails as well.
            while trader.failures < bar + 1:
                await daemon.status()
        assert daemon.desk().account.books.risk.is_tripped("journal")
        waiting = asyncio.create_task(terminal.until(Processed, lambda message: message.upto_seq >= seq))
        await daemon.status()
        assert not waiting.done()
        is_failing[0] = False
        await waiting
        terminal.now = START + 2 * BAR
        for _ in range(3):
            await terminal.step()
        assert terminal.orders, "trading goes on by itself"
        assert not daemon.desk().account.books.risk.is_tripped("journal")
    decided = {decision.signal_id: decision for decision in records(home, Decision)}
    assert {order.signal_id for order in terminal.orders} <= decided.keys(), "nothing that was not durable was sent"
    changes = [event.change for event in records(home, BreakerEvent) if event.breaker == "journal"]
    assert changes == ["trip", "reset"]
    first, second = made[:2]
    assert (first.action, second.suggestion) == ("OPEN", "WAIT")
    assert [state.breaker for state in second.breakers if state.is_tripped and state.effect == "stop"] == ["journal"]
    # Both bars stay off the record, which says so once; each bar after them is decided once.
    assert not {first.signal_id, second.signal_id} & decided.keys()
    assert [decision.bar_close_at for decision in decided.values()] == [START + number * BAR for number in (3, 4, 5)]
    told = [error.message for error in records(home, OpsError) if "could not be made durable" in error.message]
    assert len(told) == 1
    assert told[0].startswith(f"2 decisions of EURUSD up to the bar of {START + 2 * BAR:%Y-%m-%d %H:%M}")
    assert verify(home / "raw").faults == []


async def test_a_clock_set_back_keeps_the_order_of_the_journal(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    times = [START, START + timedelta(hours=3), START + timedelta(hours=1), START - timedelta(days=2), START]
    async with Journal.open(raw) as journal:
        for number, at in enumerate(times):
            await journal.append([error(str(number), at)])
    async with Journal.open(raw) as journal:
        await journal.append([error("after", START - timedelta(days=5))])
    assert [one.message for one in read_records(raw, types=[OpsError])] == ["0", "1", "2", "3", "4", "after"]  # type: ignore[union-attr]
    assert verify(raw).faults == []
    assert len(list(raw.glob("**/*.ndjson"))) == 6, "each hour met again begins a segment of its own"
