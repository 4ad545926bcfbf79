"""Virtual time for several processes: none waits for a clock, all see the same time, and it moves when nobody has work left.

A process under virtual time runs the product's own code by the clock: `time.monotonic`, the event loop and whatever is handed
`VirtualClock.utc` as a clock read one number. When its loop has nothing to do before the next timer, it says so over a socket
pair and for when that timer is due. The `Conductor` asks all processes in turn; once a whole round has changed nothing, every
message between them has arrived and been answered, and time moves to the earliest timer. A week then takes minutes, and no
time-out fires because a machine was slow. Bytes on a loopback socket are there once they are sent; work in threads counts as work.

`time.monotonic` must be replaced before the product is imported: defaults such as `now_s=time.monotonic` are bound then.
POSIX only.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import select
import selectors
import signal
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

_real_monotonic = time.monotonic
_ASK = b"?"
_REST = struct.Struct("<Qd")


class VirtualClock:
    """The time of this process: seconds since the beginning, and the UTC instant they stand for."""

    def __init__(self, begins_at: datetime) -> None:
        self.begins_at = begins_at
        self.is_virtual = False
        # Shared with every forked process: a message must not arrive before the time it was sent at.
        self._shared = memoryview(mmap.mmap(-1, 8)).cast("d")

    @property
    def now_s(self) -> float:
        """Seconds since the beginning."""
        return self._shared[0]

    def move(self, to_s: float) -> None:
        """Let time pass, for all processes."""
        self._shared[0] = max(self._shared[0], to_s)

    def monotonic(self) -> float:
        """Return virtual seconds in a process under virtual time, else those of the machine."""
        return self.now_s if self.is_virtual else _real_monotonic()

    def utc(self) -> datetime:
        """Return the instant."""
        return self.begins_at + timedelta(seconds=self.now_s)


def replace_monotonic(begins_at: datetime) -> VirtualClock:
    """Put a clock in the place of `time.monotonic`; it stays the machine's until a process goes under virtual time."""
    clock = VirtualClock(begins_at)
    time.monotonic = clock.monotonic
    return clock


class _Selector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Selects without waiting; where the loop would wait, it rests and lets the conductor move the time."""

    def __init__(self, clock: VirtualClock, control: socket.socket) -> None:
        super().__init__()
        self._clock, self._control = clock, control
        self._work, self._is_asked = 0, False
        self.in_threads = 0
        """Calls that threads carry out for the loop now."""
        self._poll = select.poll()
        self._poll.register(self.fileno(), select.POLLIN)
        self._poll.register(control, select.POLLIN)

    def select(self, timeout: float | None = None) -> list[Any]:
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return self._worked(events)
        if self.in_threads:
            return self._worked(super().select(None))
        due_s = float("inf") if timeout is None else self._clock.now_s + timeout
        while True:
            if self._is_asked:
                self._is_asked = False
                self._control.sendall(_REST.pack(self._work, due_s))
            ready = {descriptor for descriptor, _ in self._poll.poll()}
            if self.fileno() in ready and (events := super().select(0)):
                return self._worked(events)
            if self._control.fileno() in ready:
                self._take_question()
                if events := super().select(0):
                    return self._worked(events)
                if due_s <= self._clock.now_s:
                    return self._worked([])

    def _take_question(self) -> None:
        if not self._control.recv(1):
            os._exit(1)  # the conductor is gone
        self._is_asked = True

    def _worked(self, events: list[Any]) -> list[Any]:
        self._work += 1
        return events


class _Loop(asyncio.SelectorEventLoop):
    """An event loop under virtual time that knows which of its calls are in threads."""

    def __init__(self, selector: _Selector) -> None:
        super().__init__(selector)
        self.virtual_selector = selector

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        future = super().run_in_executor(executor, func, *args)
        self.virtual_selector.in_threads += 1
        future.add_done_callback(lambda _: self._is_back())
        return future

    def _is_back(self) -> None:
        self.virtual_selector.in_threads -= 1


class _Policy(asyncio.DefaultEventLoopPolicy):
    def __init__(self, clock: VirtualClock, control: socket.socket) -> None:
        super().__init__()
        self._of = (clock, control)

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return _Loop(_Selector(*self._of))


def go_virtual(clock: VirtualClock, control: socket.socket) -> None:
    """Put this process under virtual time: every event loop it makes from now on. Call it in the child."""
    clock.is_virtual = True
    asyncio.set_event_loop_policy(_Policy(clock, control))
    _count_commits()
    _count_disk_calls()


def _count_disk_calls() -> None:
    """Count a call of a disk thread as work of the loop that awaits it."""
    from live.disk_thread import DiskThread

    original = DiskThread.call

    async def call(self: Any, function: Callable[[], Any]) -> Any:
        selector = asyncio.get_running_loop().virtual_selector  # type: ignore[attr-defined]
        selector.in_threads += 1
        try:
            return await original(self, function)
        finally:
            selector.in_threads -= 1

    DiskThread.call = call  # type: ignore[method-assign]


def _count_commits() -> None:
    """Count a commit of the journal's own thread as work of the loop that waits for it."""
    from trading_assets.store.journal_commit import CommitThread

    original = CommitThread.submit

    def submit(self: Any, parts: Any, loop: Any, done: Callable[[Any], None]) -> None:
        selector = loop.virtual_selector

        def tell(result: Any) -> None:
            selector.in_threads -= 1
            done(result)

        selector.in_threads += 1
        original(self, parts, loop, tell)

    CommitThread.submit = submit  # type: ignore[method-assign]


@dataclass
class Member:
    """A process under virtual time, as the conductor knows it."""

    name: str
    pid: int
    control: socket.socket
    work: int = -1
    due_s: float = 0.0
    status: int | None = None
    """Exit status as of `waitpid`, once it has ended."""


class Conductor:
    """Owns the time: starts processes, lets them work until all rest, and moves on to the next timer."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.members: dict[str, Member] = {}

    @property
    def now_s(self) -> float:
        """Seconds since the beginning."""
        return self._clock.now_s

    @property
    def now(self) -> datetime:
        """The instant."""
        return self._clock.utc()

    def start(self, name: str, work: Callable[[], int], said: str) -> Member:
        """Fork a process that begins now; what it prints is appended to the file `said`."""
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            for member in self.members.values():
                member.control.close()
            self._become(work, theirs, said)
        theirs.close()
        member = self.members[name] = Member(name, pid, ours)
        return member

    def _become(self, work: Callable[[], int], control: socket.socket, said: str) -> None:
        import ctypes
        import traceback

        status = 1
        try:
            ctypes.CDLL(None).prctl(
                1, signal.SIGKILL
            )  # whoever kills the harness kills its processes: PR_SET_PDEATHSIG
            descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            go_virtual(self._clock, control)
            status = work()
        except BaseException:  # noqa: BLE001 - it is printed, and the process ends
            traceback.print_exc()
        finally:
            os._exit(status)

    def rest(self) -> list[Member]:
        """Let everybody work until nobody has anything left to do now; return those that ended."""
        ended: list[Member] = []
        is_moving = True
        while is_moving and self.members:
            is_moving = False
            for member in self.members.values():
                with suppress(OSError):
                    member.control.sendall(_ASK)
            for member in list(self.members.values()):
                told = b""
                with suppress(OSError):
                    told = member.control.recv(_REST.size, socket.MSG_WAITALL)
                if len(told) < _REST.size:
                    ended.append(self._end(member))
                    is_moving = True
                    continue
                work, member.due_s = _REST.unpack(told)
                is_moving, member.work = is_moving or work != member.work, work
        return ended

    def next_s(self, latest_s: float) -> float:
        """Return when the next timer of anybody is due, at most `latest_s`."""
        return min([latest_s, *(member.due_s for member in self.members.values())])

    def move(self, to_s: float) -> None:
        """Let time pass."""
        self._clock.move(to_s)

    def kill(self, name: str, number: int = signal.SIGKILL) -> Member:
        """Send a signal to a process; with SIGKILL return once it is gone."""
        member = self.members[name]
        os.kill(member.pid, number)
        return self._end(member) if number == signal.SIGKILL else member

    def _end(self, member: Member) -> Member:
        _, member.status = os.waitpid(member.pid, 0)
        member.control.close()
        self.members.pop(member.name, None)
        return member
