"""Commands of the inbox: carried out once, each answered by a record. How files go in and out is `store.control`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, assert_never

from live.desk.desk import Desk
from trading_assets.core.decisions.breakers import BreakerChange
from trading_assets.core.records.trading import CommandResult
from trading_assets.store.control import Command, finish_command, take_commands, unfinished_commands


class _Carried(NamedTuple):
    """A command that was carried out, or cannot be any more, and the accounts its answer is not durable under yet."""

    command: Command
    is_done: bool
    answer: str
    desks: list[Desk]


class Inbox:
    """The command inbox of one daemon. `drain` is called when a command asks for the end."""

    def __init__(self, folder: Path, desks: Mapping[str, Desk], drain: Callable[[str], None]) -> None:
        self._folder = folder
        self._desks = desks
        self._drain = drain
        self._trouble = ""
        self._unanswered: list[_Carried] = []
        self.looks = self.failures = 0
        """How often the inbox was looked at, and how often that failed."""

    @property
    def trouble(self) -> str:
        """Why the inbox cannot be read or written; empty while it can."""
        return self._trouble

    async def answer_unfinished(self) -> None:
        """Answer what an earlier run took and did not finish; it is not carried out again."""
        why = "the daemon stopped before it was done; give it again"
        for command in unfinished_commands(self._folder):
            self._unanswered.append(_Carried(command, False, why, list(self._desks.values())))
        await self._answer()

    async def look(self) -> None:
        """Carry out what waits. An inbox that cannot be read or written is told, once, and looked at again."""
        try:
            waiting = take_commands(self._folder, self._refused)
        except OSError as error:
            self._troubled(f"not readable ({error}); mend its permissions")
            return
        failures = self.failures
        await self._answer()
        for command in waiting:
            is_done, answer = await self._carry_out(command)
            self._unanswered.append(_Carried(command, is_done, answer, list(self._desks.values())))
            await self._answer()
            if command.command == "drain":
                self._drain(f"command {command.command_id}")
        if self.failures == failures:
            self._trouble = ""
            self.looks += 1

    async def _carry_out(self, command: Command) -> tuple[bool, str]:
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
            case "drain":
                return True, "no more messages are taken; the daemon ends once everything is durable"
        assert_never(command.command)

    async def _halt(self, desks: list[Desk], why: str) -> tuple[bool, str]:
        """Stop entries, durably before it is answered; the terminals are told to open nothing either."""
        self._changed({d: d.account.books.risk.trip("halt", why, d.account.recorder.clock.now()) for d in desks})
        for desk in desks:
            await desk.tell_halt()
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
            if left:
                self._unanswered.append(carried._replace(desks=left))
                continue
            try:
                finish_command(self._folder, carried.command.command_id, is_done=carried.is_done, answer=carried.answer)
            except OSError as error:
                self._unanswered.append(carried._replace(desks=left))
                self._troubled(f"not writable ({error}); mend its permissions, or make room")

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

    def _troubled(self, problem: str) -> None:
        if problem != self._trouble:
            self._refused(str(self._folder), problem)
        self._trouble = problem
        self.failures += 1

    def _refused(self, name: str, reason: str) -> None:
        for desk in self._desks.values():
            desk.account.recorder.error("live.desk.commands", f"{name} in the command inbox is {reason}")
