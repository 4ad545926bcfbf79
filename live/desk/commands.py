"""Commands of the inbox: carried out once, each answered by a record. How files go in and out is `store.control`.

The kill switch comes first: a halt waits for nothing that can hang or fail, neither for what stands before it in the inbox
nor for the disk that takes its answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, assert_never

from live.desk.desk import Desk
from live.disk_thread import DiskThread
from trading_assets.core.decisions.breakers import BreakerChange
from trading_assets.core.records.trading import CommandResult
from trading_assets.store.control import Command, finish_command, take_commands, unfinished_commands
from trading_assets.store.journal import JournalError

_LOOK_S = 0.25
_MOST_QUIET_S = 10.0
"""How long a look may take before the inbox counts as out of reach."""
_ENDING_S = 2.0
_OVERTAKEN = "a halt was given after it; give it again to lift that"
_ANSWERS = "done"
"""Name under which trouble with filing answers is kept."""


class _Carried(NamedTuple):
    """A command that was carried out, or cannot be any more, and the accounts its answer is not durable under yet."""

    command: Command
    is_done: bool
    answer: str
    desks: list[Desk]


class _Read(NamedTuple):
    """What one look at a folder of the inbox has found."""

    commands: list[Command]
    refused: list[tuple[str, str]]
    stuck: dict[str, str]


class Inbox:
    """The command inbox of one daemon. `drain` is called when a command asks for the end."""

    def __init__(
        self,
        folder: Path,
        desks: Mapping[str, Desk],
        drain: Callable[[str], None],
        report: Callable[[str, BaseException], None],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`report` takes a defect; `now_s` is the clock durations are measured by."""
        self._folder = folder
        self._desks = desks
        self._drain = drain
        self._report = report
        self._now_s = now_s
        self._disk = DiskThread("command inbox")
        self._troubles: dict[str, str] = {}
        self._looked_s = now_s()
        self._waiting: list[Command] = []
        self._unanswered: list[_Carried] = []
        self._serving: asyncio.Task[None] | None = None
        self._is_ending = False
        self.looks = self.failures = 0
        """How often the inbox was looked at, and how often something there could not be read or written."""
        for desk in desks.values():
            desk.inbox_trouble = lambda: self.trouble

    @property
    def trouble(self) -> str:
        """Why not every command can be taken or answered; empty while it can."""
        quiet_s = self._now_s() - self._looked_s
        if quiet_s > _MOST_QUIET_S:
            return f"the command inbox has not answered for {quiet_s:.0f} s; its disk hangs"
        return next((f"{name} in the command inbox is {problem}" for name, problem in self._troubles.items()), "")

    async def answer_unfinished(self) -> None:
        """Answer what an earlier run took and did not finish; it is not carried out again, except a halt, which holds."""
        why = "the daemon stopped before it was done; give it again"
        read = await self._read(unfinished_commands)
        for command in read.commands:
            if command.command == "halt":
                await self._carry_out(command)
            else:
                self._not_done([command], why)
        await self._answer()

    async def run(self) -> None:
        """Look again and again, until `close`."""
        told = ""
        while not self._is_ending:
            try:
                await self.look()
                told = ""
            except JournalError:
                raise
            except Exception as defect:  # noqa: BLE001 - the next halt must be taken all the same; it is reported
                if repr(defect) != told:
                    self._report("live.desk.commands", defect)
                told = repr(defect)
            await asyncio.sleep(_LOOK_S)

    async def close(self, running: asyncio.Task[None]) -> None:
        """End the task of `run`, after what it is about, unless that hangs."""
        self._is_ending = True
        tasks = [running] if self._serving is None else [running, self._serving]
        await asyncio.wait(tasks, timeout=_ENDING_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._disk.close()

    async def look(self) -> None:
        """Take what waits and carry out halts; the rest and the answers follow. What cannot be read is told, once."""
        read = await self._read(take_commands)
        self._looked_s = self._now_s()
        self.looks += not read.stuck
        halts = [index for index, command in enumerate(read.commands) if command.command == "halt"]
        if halts:
            # What was given before the last halt must not lift it.
            waiting = [*self._waiting, *read.commands[: halts[-1]]]
            self._waiting = [command for command in waiting if not _lifts_halt(command) and command.command != "halt"]
            self._not_done([command for command in waiting if _lifts_halt(command)], _OVERTAKEN)
            for index in halts:
                await self._carry_out(read.commands[index])
        self._waiting += read.commands[halts[-1] + 1 if halts else 0 :]
        await self._serve()

    async def _serve(self) -> None:
        """Start what may have to wait, for a terminal or a disk; the next look, which may find a halt, does not wait for it."""
        serving = self._serving
        if serving is not None:
            if not serving.done():
                return
            self._serving = None
            await serving
        if self._waiting or self._unanswered:
            self._serving = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._waiting:
            await self._carry_out(self._waiting.pop(0))
        await self._answer()

    async def _read(self, read: Callable[..., list[Command]]) -> _Read:
        """Read a folder of the inbox in its thread, and tell what is wrong there."""

        def reading() -> _Read:
            found = _Read([], [], {})
            found.commands.extend(
                read(self._folder, lambda name, why: found.refused.append((name, why)), found.stuck.__setitem__)
            )
            return found

        try:
            found = await self._disk.call(reading)
        except OSError as error:
            found = _Read([], [], {str(self._folder): f"not readable ({error}); mend its permissions"})
        for name, reason in found.refused:
            self._tell(name, reason)
        kept = {name: problem for name, problem in self._troubles.items() if name == _ANSWERS}
        for name, problem in found.stuck.items():
            self.failures += 1
            if self._troubles.get(name) != problem:
                self._tell(name, problem)
        self._troubles = {**kept, **found.stuck}
        return found

    def _not_done(self, commands: list[Command], why: str) -> None:
        self._unanswered += [_Carried(command, False, why, list(self._desks.values())) for command in commands]

    async def _carry_out(self, command: Command) -> None:
        try:
            is_done, answer = await self._do(command)
        except JournalError:
            raise
        except Exception as defect:  # noqa: BLE001 - whoever gave it is told, and other commands go on; it is reported
            self._report(f"command {command.command}", defect)
            is_done, answer = (
                False,
                f"a defect of this software: {type(defect).__name__}: {defect}; see the daemon's log",
            )
        self._unanswered.append(_Carried(command, is_done, answer, list(self._desks.values())))

    async def _do(self, command: Command) -> tuple[bool, str]:
        desks, argument = list(self._desks.values()), command.argument
        match command.command:
            case "halt":
                return await self._halt(desks, argument or "by command")
            case "resume":
                return await self._reset(desks, "halt")
            case "breaker_reset":
                return await self._reset(desks, argument)
            case "query":
                return await self._query(desks, argument)
            case "reload":
                for desk in desks:
                    desk.account.release.look_again()
                return True, "the release is looked at again before the next decision"
            case "account_accept":
                return await self._accept(desks, argument)
            case "drain":
                return True, "no more messages are taken; the daemon ends once everything is durable"
        assert_never(command.command)

    async def _halt(self, desks: list[Desk], why: str) -> tuple[bool, str]:
        """Stop entries, durably before it is answered; the terminals are told to open nothing either."""
        self._changed({d: d.account.books.risk.trip("halt", why, d.account.recorder.clock.now()) for d in desks})
        # All at once: one terminal that reads nothing must not keep the others from knowing.
        await asyncio.gather(*(desk.tell_halt() for desk in desks))
        told = [desk.account.name for desk in desks if desk.link is not None]
        words = f"; the terminal of {', '.join(told)} is told" if told else ""
        return True, f"no new positions are opened until `resume`{words}"

    async def _reset(self, desks: list[Desk], breaker: str) -> tuple[bool, str]:
        if not breaker:
            return False, "name the breaker to reset"
        name, _, named = breaker.partition(":")
        symbol = named or None
        tripped = [desk for desk in desks if desk.account.books.risk.is_tripped(name, symbol)]
        if not tripped:
            held = sorted({kept.label for desk in desks for kept in desk.account.books.risk.kept})
            return False, f"{breaker} is not tripped; tripped are: {', '.join(held) or 'none'}"
        why = "by a person's command"
        self._changed({desk: desk.account.books.risk.reset(name, why, symbol) for desk in tripped})
        for desk in tripped:
            await desk.tell_halt()
        return True, f"{breaker} is reset on {', '.join(desk.account.name for desk in tripped)}"

    @staticmethod
    async def _accept(desks: list[Desk], name: str) -> tuple[bool, str]:
        for desk in desks:
            if desk.account.name == name or (not name and len(desks) == 1):
                return await desk.accept_account()
        known = ", ".join(desk.account.name for desk in desks)
        return False, f"there is no account {name or 'without a name'}; name one of {known}"

    async def _query(self, desks: list[Desk], argument: str) -> tuple[bool, str]:
        if argument not in ("", "deals", "bars"):
            return False, f"{argument!r} cannot be asked for; ask for deals or bars"
        asked = [desk for desk in desks if await desk.query(argument or "deals")]
        if not asked:
            return False, "no terminal is connected, or a question is under way; give it again"
        return (
            True,
            f"the terminal of {', '.join(desk.account.name for desk in asked)} is asked for {argument or 'deals'}",
        )

    @staticmethod
    def _changed(changes: Mapping[Desk, tuple[BreakerChange, ...]]) -> None:
        for desk, changed in changes.items():
            desk.account.recorder.commit(desk.account.recorder.breaker_events(changed))

    async def _answer(self) -> None:
        """Answer under every account; a command is finished once that is durable, while the disk fails at a later look."""
        unanswered, self._unanswered = self._unanswered, []
        for carried in unanswered:
            left = [desk for desk in carried.desks if not await self._record(desk, carried)]
            if left or not await self._finish(carried):
                self._unanswered.append(carried._replace(desks=left))
            if carried.command.command == "drain" and carried.is_done:
                self._drain(f"command {carried.command.command_id}")

    async def _finish(self, carried: _Carried) -> bool:
        """File the answer for whoever waits for it; returns whether that is done."""
        command, is_done, answer = carried.command, carried.is_done, carried.answer
        try:
            await self._disk.call(lambda: finish_command(self._folder, command, is_done=is_done, answer=answer))
        except OSError as error:
            problem = f"not writable ({error}); mend its permissions, or make room"
            self.failures += 1
            if self._troubles.get(_ANSWERS) != problem:
                self._tell(_ANSWERS, problem)
            self._troubles[_ANSWERS] = problem
            return False
        self._troubles.pop(_ANSWERS, None)
        return True

    async def _record(self, desk: Desk, carried: _Carried) -> bool:
        """Answer under one account; returns whether that is durable."""
        recorder = desk.account.recorder
        record = recorder.make(
            CommandResult,
            recorder.clock.now(),
            recorder.chain(),
            command_id=carried.command.command_id,
            command=carried.command.command,
            is_done=carried.is_done,
            answer=carried.answer,
        )
        return await recorder.append([record])

    def _tell(self, name: str, reason: str) -> None:
        for desk in self._desks.values():
            desk.account.recorder.error("live.desk.commands", f"{name} in the command inbox is {reason}")


def _lifts_halt(command: Command) -> bool:
    is_halts = command.argument.partition(":")[0] == "halt"
    return command.command == "resume" or (command.command == "breaker_reset" and is_halts)
