"""Commands of the inbox: carried out once, answered by a record, also over a restart."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_terminal import PATIENCE_S, START, DaemonProcess, RunningDaemon, ScriptedTerminal, daemon_at, records
from test_disk import Disk

from live.desk import commands
from live.health.components import missing
from live.health.status import standing
from trading_assets.core.messages import Halt
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.operations import OpsError
from trading_assets.core.records.trading import BreakerEvent, CommandResult
from trading_assets.store.control import Command, answer_of, put_command, take_commands


async def command(home: Path, name: Any, argument: str = "") -> CommandResult:
    """Give a command and wait for the record that answers it."""
    known = len(records(home, CommandResult))
    put_command(home / "control", Command(f"{name}-{known}", name, argument))
    async with asyncio.timeout(PATIENCE_S):
        while len(answers := await asyncio.to_thread(records, home, CommandResult)) == known:
            continue
    answer: CommandResult = answers[-1]
    return answer


async def test_halt_stops_entries_until_resume(terminal: ScriptedTerminal, home: Path) -> None:
    await terminal.settle(START)
    assert (await command(home, "halt", "nothing feels right")).is_done
    await terminal.step()
    assert not terminal.orders
    assert any("nothing feels right" in reason for reason in records(home, Decision)[-1].reasons)
    assert (await command(home, "resume")).is_done
    await terminal.step()
    assert len(terminal.orders) == 1
    halts = [(event.change, event.cause) for event in records(home, BreakerEvent) if event.breaker == "halt"]
    assert halts == [("trip", "nothing feels right"), ("reset", "by a person's command")]


async def test_a_breaker_is_reset_by_name_and_one_that_is_not_tripped_is_named(
    daemon: RunningDaemon, terminal: ScriptedTerminal, home: Path
) -> None:
    await terminal.settle(START)
    daemon.desk().account.books.risk.trip("slippage_anomaly", "a test", terminal.now)
    refused = await command(home, "breaker_reset", "halt")
    assert not refused.is_done
    assert "slippage_anomaly" in refused.answer
    assert (await command(home, "breaker_reset", "slippage_anomaly")).is_done
    assert not daemon.desk().account.books.risk.is_tripped("slippage_anomaly")
    assert not (await command(home, "breaker_reset")).is_done


async def test_a_breaker_of_a_symbol_is_reset_by_its_name_and_symbol(
    daemon: RunningDaemon, terminal: ScriptedTerminal, home: Path
) -> None:
    await terminal.settle(START)
    risk = daemon.desk().account.books.risk
    risk.trip("exit_refused", "a test", terminal.now, "EURUSD")
    refused = await command(home, "breaker_reset", "exit_refused:XAUUSD")
    assert (refused.is_done, "exit_refused:EURUSD" in refused.answer) == (False, True)
    assert (await command(home, "breaker_reset", "exit_refused:EURUSD")).is_done
    assert not risk.is_tripped("exit_refused")


async def test_query_asks_the_terminal_for_deals(daemon: RunningDaemon, terminal: ScriptedTerminal, home: Path) -> None:
    await terminal.settle(START)
    searches = daemon.desk().account.reconciliation._number
    answer = await command(home, "query", "deals")
    assert answer.is_done
    assert daemon.desk().account.reconciliation._number == searches + 1
    assert not (await command(home, "query", "the weather")).is_done


async def test_query_without_a_terminal_is_not_done(daemon: RunningDaemon, home: Path) -> None:
    answer = await command(home, "query", "deals")
    assert not answer.is_done
    assert "no terminal is connected" in answer.answer
    assert daemon.port


async def test_drain_ends_the_daemon_once_everything_is_durable(home: Path) -> None:
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step()
        put_command(home / "control", Command("end", "drain"))
        assert await terminal.closed() == 1001
        await asyncio.wait_for(daemon.task, PATIENCE_S)
    (answer,) = records(home, CommandResult)
    assert (answer.command, answer.is_done) == ("drain", True)


async def test_a_command_taken_before_a_crash_is_answered_and_not_carried_out_again_but_a_halt_holds(
    home: Path, start_process: Callable[..., DaemonProcess]
) -> None:
    put_command(home / "control", Command("end", "drain"))
    put_command(home / "control", Command("halt-1", "halt", "news"))
    take_commands(home / "control")
    async with daemon_at(home) as daemon:
        answers = {answer.command_id: answer.is_done for answer in records(home, CommandResult)}
        assert answers == {"end": False, "halt-1": True}
        assert daemon.desk().account.books.risk.is_tripped("halt")
    halted = start_process(home)
    assert halted.ready["halts"] == {"paper": "news"}, "whoever starts it can say so"


async def test_a_halt_goes_first_and_what_was_given_before_it_does_not_lift_it(home: Path) -> None:
    given = [
        Command("a", "resume"),
        Command("b", "query", "deals"),
        Command("c", "halt", "news"),
        Command("d", "reload"),
    ]
    for at, one in enumerate(given):
        put_command(home / "control", one)
        os.utime(home / "control" / f"{one.command_id}.json", (at, at))
    async with daemon_at(home) as daemon:
        assert daemon.desk().account.books.risk.is_tripped("halt")
        async with asyncio.timeout(PATIENCE_S):
            while len(answers := await asyncio.to_thread(records, home, CommandResult)) < len(given):
                continue
        assert {answer.command_id: answer.is_done for answer in answers} == {
            "a": False,
            "b": False,
            "c": True,
            "d": True,
        }
        assert "a halt was given after it" in next(one.answer for one in answers if one.command_id == "a")
        assert (await command(home, "resume")).is_done


@pytest.mark.parametrize("place", ["control", "control/taken", "tokens"])
async def test_whatever_lies_in_the_inbox_or_among_the_tokens_holds_up_nothing_and_is_told_once(
    home: Path, place: str
) -> None:
    (home / place).mkdir(parents=True)
    (home / place / "folder.json").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(home / place / "pipe.json")
    os.utime(home / place / "folder.json", (1, 1))
    async with daemon_at(home) as daemon:
        for _ in range(2):
            assert (await command(home, "halt", "news")).is_done
        assert (await daemon.status())["accounts"]["paper"]["components"]["commands"]["is_healthy"]
    told = [error.message for error in records(home, OpsError) if "it is a folder, not a file" in error.message]
    assert len(told) == 1


async def test_an_inbox_that_hangs_or_cannot_be_read_stops_nobody_and_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 0.0
    is_over = threading.Event()

    def hangs(*_: object) -> list[Command]:
        is_over.wait(PATIENCE_S)
        raise PermissionError(13, "Permission denied")

    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        monkeypatch.setattr(commands, "take_commands", hangs)
        inbox = commands.Inbox(home / "control", {"paper": daemon.desk()}, print, print, lambda: seconds)
        look = asyncio.create_task(inbox.look())
        await terminal.settle(START)
        await terminal.step()
        assert len(terminal.orders) == 1
        assert inbox.trouble == ""
        seconds = 11.0
        assert inbox.trouble == "the command inbox has not answered for 11 s; its disk hangs"
        assert missing(standing(daemon.desk())) == [f"commands cannot be taken: {inbox.trouble}"]
        is_over.set()
        await look
        assert "not readable ([Errno 13] Permission denied)" in inbox.trouble


async def test_a_file_that_is_no_command_is_put_aside_and_told(daemon: RunningDaemon, home: Path) -> None:
    (home / "control").mkdir(exist_ok=True)
    (home / "control" / "strange.json").write_text('{"command": "fly"}')
    await command(home, "halt")
    daemon.desk().account.recorder.start_commit()
    await daemon.desk().account.recorder.settled()
    assert any("strange" in error.message for error in records(home, OpsError))
    assert (home / "control" / "refused" / "strange.json").exists()


@pytest.mark.parametrize("restarts", [2])
async def test_a_halt_survives_restarts(home: Path, restarts: int) -> None:
    async with daemon_at(home):
        await command(home, "halt", "for the night")
    for _ in range(restarts):
        async with daemon_at(home) as daemon:
            assert daemon.desk().account.books.risk.is_tripped("halt")


async def test_a_halt_reaches_the_terminal_and_every_later_session_until_it_is_lifted(
    terminal: ScriptedTerminal, home: Path
) -> None:
    await terminal.settle(START)
    answered = await command(home, "halt", "news")
    assert answered.answer == "no new positions are opened until `resume`; the terminal of paper is told"
    halt = await terminal.until(Halt)
    assert (halt.reason, halt.is_lifted) == ("news", False)
    await terminal.hello()
    assert not (await terminal.until(Halt)).is_lifted
    await command(home, "resume")
    assert (await terminal.until(Halt)).is_lifted
    await terminal.hello()
    await terminal.settle(terminal.now)
    assert sum(isinstance(message, Halt) for message in terminal.received) == 3


async def test_a_halt_given_while_no_daemon_ran_holds_before_the_first_terminal_is_let_in(home: Path) -> None:
    put_command(home / "control", Command("halt-1", "halt", "nobody was there"))
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        assert daemon.desk().account.books.risk.is_tripped("halt")
        await terminal.hello()
        assert (await terminal.until(Halt)).reason == "nobody was there"


async def test_while_the_disk_fails_no_command_is_finished_and_its_answer_comes_with_the_disk(home: Path) -> None:
    disk = Disk()
    async with daemon_at(home, sync=disk.sync) as daemon:
        disk.is_failing = True
        put_command(home / "control", Command("halt-1", "halt", "the disk fails"))
        async with asyncio.timeout(PATIENCE_S):
            while not daemon.desk().account.recorder.fault:
                await daemon.status()
        assert daemon.desk().account.books.risk.is_tripped("halt"), "entries stop at once"
        assert answer_of(home / "control", "halt-1") is None
        disk.is_failing = False
        async with asyncio.timeout(PATIENCE_S):
            while (answer := answer_of(home / "control", "halt-1")) is None:
                await daemon.status()
    assert answer.is_done
    assert [one.command_id for one in records(home, CommandResult)] == ["halt-1"]


async def test_an_answer_that_cannot_be_filed_is_told_once_and_filed_later(daemon: RunningDaemon, home: Path) -> None:
    in_the_way = home / "control" / "done"
    in_the_way.parent.mkdir(exist_ok=True)
    in_the_way.write_text("no folder")
    put_command(home / "control", Command("halt-1", "halt"))
    async with asyncio.timeout(PATIENCE_S):
        while (await daemon.status())["accounts"]["paper"]["components"].get("commands", {}).get("errors", 0) < 2:
            continue
        in_the_way.unlink()
        while answer_of(home / "control", "halt-1") is None:
            await daemon.status()
    recorder = daemon.desk().account.recorder
    recorder.start_commit()
    await recorder.settled()
    assert sum("is not writable" in error.message for error in records(home, OpsError)) == 1
    assert len(records(home, CommandResult)) == 1
