"""From records handed over to sealed bytes on disk: planning a commit, and the one thread that carries it out.

Planning runs in the event loop and touches no file; the thread writes and syncs and knows nothing of records, so the
two share no state but the queue between them. Who waits for a commit is `journal`'s business.
"""

from __future__ import annotations

import os
import threading
import time
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from trading_assets.store import journal_disk
from trading_assets.store.journal_disk import Sync
from trading_assets.store.journal_ends import ChainEnd, EndNotes
from trading_assets.store.journal_format import Chain, header_line, seal_digest, seal_line, segment_name
from trading_assets.store.journal_recovery import EMPTY, Head

# What trading and ops records speak of is durable before they are: a crash leaves no decision without its quotes.
_ORDER = {"market": 0, "ops": 1, "trading": 2}


class Batch(NamedTuple):
    """Encoded records of one chain and hour that were handed over together."""

    chain: Chain
    hour: int
    data: bytes
    records: int
    waiter: Future[None] | None


@dataclass(frozen=True, slots=True)
class Part:
    """One group and its seal, for one segment; `head` is where the chain ends once it is durable."""

    chain: Chain
    hour: int
    name: str
    is_new: bool
    data: bytes
    head: Head
    batches: list[Batch]


class Writing(NamedTuple):
    """A segment a chain may go on writing to, and where the chain ends."""

    head: Head
    hour: int | None


class Result(NamedTuple):
    """How many parts of a commit are durable, and what stopped the next one."""

    done: int
    error: Exception | None


def plan(batches: Iterable[Batch], chains: dict[Chain, Writing]) -> list[Part]:
    """Form one group for each chain and hour, in the order they must become durable. `chains` is not changed."""
    runs: dict[Chain, list[list[Batch]]] = {}
    for batch in batches:
        of_chain = runs.setdefault(batch.chain, [])
        if of_chain and of_chain[-1][0].hour == batch.hour:
            of_chain[-1].append(batch)
        else:
            of_chain.append([batch])
    parts: list[Part] = []
    for chain in sorted(runs, key=lambda chain: _ORDER[chain.stream]):
        writing = chains.get(chain, Writing(EMPTY, None))
        for run in runs[chain]:
            part = _part(chain, writing, run)
            parts.append(part)
            writing = Writing(part.head, part.hour)
    return parts


def _part(chain: Chain, writing: Writing, run: list[Batch]) -> Part:
    head, hour = writing.head, run[0].hour
    is_new = writing.hour != hour
    number = head.number + 1 if is_new else head.number
    first, last = head.last + 1, head.last + sum(batch.records for batch in run)
    pieces = [batch.data for batch in run]
    if is_new:
        pieces.insert(0, header_line(chain, number, hour, first, head.seal))
    digest = seal_digest(head.seal, *pieces)
    pieces.append(seal_line(first, last, digest))
    data = b"".join(pieces)
    name = segment_name(chain, number, hour)
    return Part(chain, hour, name, is_new, data, Head(number, last, digest, name), run)


@dataclass(slots=True)
class _File:
    name: str
    descriptor: int
    size: int


class CommitThread:
    """Carries out one commit at a time, away from the event loop, so that a slow disk delays nothing but its waiters.

    The thread needs the interpreter a few times in each commit. Beside a loop that computes, it waits up to
    `sys.getswitchinterval()` (5 ms) each time; a process whose loop decides sets 0.1 ms (tests/bench/bench_journal.py).
    """

    def __init__(self, root: Path, sync: Sync, notes: EndNotes) -> None:
        self._root, self._sync, self._notes = root, sync, notes
        self._orders: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._names = journal_disk.DurableNames(root)
        self._files: dict[Chain, _File] = {}
        self._damaged: dict[Chain, _File] = {}
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def submit(self, parts: list[Part], loop: AbstractEventLoop, done: Callable[[Result], None]) -> None:
        """Commit the parts in order; `done` is called in the loop."""

        def carry_out() -> None:
            result = self._commit(parts)
            # A loop that was closed without closing the journal has nobody left to tell.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(done, result)
            # After the answer: nobody waits for the note.
            self._notes.write_when_due(time.monotonic())

        self._orders.put(carry_out)

    def stop(self) -> None:
        """Finish what was submitted, close the files and end."""
        self._orders.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (order := self._orders.get()) is not None:
            order()
        for file in self._files.values():
            os.close(file.descriptor)
        with suppress(OSError):
            self._notes.write()

    def _commit(self, parts: list[Part]) -> Result:
        for done, part in enumerate(parts):
            try:
                self._write(part)
            except Exception as error:  # noqa: BLE001 - whatever it was, those who wait are told and the thread lives on
                return Result(done, error)
        return Result(len(parts), None)

    def _write(self, part: Part) -> None:
        self._mend(part.chain)
        file, is_new = self._file(part)
        try:
            journal_disk.write(file.descriptor, part.data)
            self._sync(file.descriptor)
            if is_new:
                self._names.sync(self._root / part.name)
        except Exception:
            # After a failed fsync the kernel may hold pages it calls clean and never wrote: a second fsync would
            # succeed and lie. The segment ends at its last durable seal and is not written to again.
            self._damaged[part.chain] = self._files.pop(part.chain)
            os.close(file.descriptor)
            with suppress(OSError):
                self._mend(part.chain)
            raise
        file.size += len(part.data)
        self._notes.learn(part.chain, ChainEnd(part.name, part.head.last, part.head.seal))

    def _file(self, part: Part) -> tuple[_File, bool]:
        """Return the open segment of a part, and whether it was created just now."""
        file = self._files.get(part.chain)
        if file is not None and not part.is_new:
            return file, False
        if file is not None:
            del self._files[part.chain]
            os.close(file.descriptor)
        self._files[part.chain] = _File(part.name, journal_disk.create(self._root, part.name), 0)
        return self._files[part.chain], True

    def _mend(self, chain: Chain) -> None:
        """Cut a segment whose commit failed back to its last durable seal. Until that works the chain stays closed."""
        file = self._damaged.get(chain)
        if file is not None:
            journal_disk.cut(self._root / file.name, file.size)
            del self._damaged[chain]
