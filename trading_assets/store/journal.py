"""The durable raw journal as the rest of the system uses it: one writer that appends, readers that follow.

`append` answers when its records are on disk (invariant 1); readers see whole groups only (invariant 2). Bytes are
described in docs/journal-format.md. What the records say is `core.records`'; how they become tables is the lake's.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import AbstractEventLoop, Future, TimerHandle
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from trading_assets.core.errors import InputError
from trading_assets.core.records.codec import decode_record, encode_records
from trading_assets.core.records.record import Record
from trading_assets.store.journal_commit import Batch, CommitThread, Part, Result, Writing, plan
from trading_assets.store.journal_compress import compress_closed
from trading_assets.store.journal_disk import Sync, WriterLock, sync_file
from trading_assets.store.journal_ends import ChainEnd, EndNotes
from trading_assets.store.journal_format import Chain, JournalError, hour_number, is_name
from trading_assets.store.journal_reader import (
    Cursor,
    Group,
    journal_dates,
    read_groups,
    read_groups_backwards,
    read_records,
)
from trading_assets.store.journal_recovery import Torn, recover
from trading_assets.store.journal_verify import Fault, JournalReport, verify

__all__ = [
    "ChainEnd", "Cursor", "Fault", "Group", "Journal", "JournalError", "JournalReport", "Torn",
    "compress_closed", "journal_dates", "read_groups", "read_groups_backwards", "read_records", "verify",
]  # fmt: skip

MARKET_DELAY_S = 0.2
# A chain is looked up by the hour, too: those of some days back are asked for no more.
_KEYS_KEPT = 1_000
_EAGER_BYTES = 1 << 20
"""Buffered bytes that start a commit before the delay has passed."""
_MOST_BYTES = 256 << 20
"""Buffered bytes the disk may be behind before market data is refused."""

_Key = tuple[str, str, str, int]


class Journal:
    """One writer's journal. Use `async with Journal.open(...)`, or `close()` it.

    All methods belong to one event loop. At most one commit is under way; what is handed over meanwhile shares the next
    one. A commit takes everything handed over before it, so no trading record is durable before the market data it saw.
    """

    def __init__(self, root: Path, writer: str, market_delay_s: float, sync: Sync) -> None:
        """Use `open`."""
        self._root, self._writer, self._delay = root, writer, market_delay_s
        self._lock = WriterLock(root, writer)
        try:
            heads, torn = recover(root, writer)
            ends = {chain: ChainEnd(head.name, head.last, head.seal) for chain, head in heads.items() if head.number}
            notes = EndNotes(root, writer, ends)
        except OSError as error:
            self._lock.release()
            raise JournalError(
                "recovering the journal", root, str(error), "mend the disk or its permissions and start again"
            ) from error
        except BaseException:
            self._lock.release()
            raise
        self.torn: tuple[Torn, ...] = tuple(torn)
        """What recovery moved aside when the journal was opened; the owner reports it."""
        self.lost = notes.lost
        """Ends that were durable when they were noted and are gone; the owner reports them."""
        self.records = self.seals = self.commits = self.bytes = self.faults = 0
        self.on_commit: Callable[[float], None] = lambda _seconds: None
        """Told how long each commit took, for whoever measures."""
        self._chains = {chain: Writing(head, None) for chain, head in heads.items()}
        self._keys: dict[_Key, Chain] = {}
        self._pending: list[Batch] = []
        self._pending_bytes = 0
        self._pending_since_s = self._committing_since_s = 0.0
        self._flushes: list[Future[None]] = []
        self._is_committing = self._is_due = self._is_closed = False
        self._timer: TimerHandle | None = None
        self._error: JournalError | None = None
        self._thread = CommitThread(root, sync, notes)

    @classmethod
    def open(
        cls, root: Path, writer: str = "live", *, market_delay_s: float = MARKET_DELAY_S, sync: Sync = sync_file
    ) -> Self:
        """Open the journal for writing: take the writer's lock, recover its chains. Blocks; for the start of a process.

        `sync` makes an open file's bytes durable. Raises StateError when another process holds the lock and
        InputError for a writer's name that cannot be part of a file's.
        """
        if not is_name(writer):
            raise InputError("opening the journal", root, f"{writer!r} cannot be a writer's name", _NAME_HINT)
        return cls(root, writer, market_delay_s, sync)

    @property
    def root(self) -> Path:
        """Folder of the raw journal."""
        return self._root

    @property
    def health(self) -> str:
        """`ok`, or what went wrong in the last commit."""
        return "ok" if self._error is None else str(self._error)

    @property
    def pending_bytes(self) -> int:
        """Bytes handed over whose commit has not begun."""
        return self._pending_bytes

    @property
    def unsynced_s(self) -> float:
        """Age of the oldest record that is not durable; 0 when all are."""
        if not self._is_committing and not self._pending:
            return 0.0
        return time.monotonic() - (self._committing_since_s if self._is_committing else self._pending_since_s)

    async def append(self, records: Sequence[Record]) -> None:
        """Return once the records are durable. Those of one stream, account and hour become visible together.

        Raises JournalError when they are not durable, or would not read back; they are then not in the journal, unless
        they are of several streams or hours and the first ones succeeded.
        """
        await self.hand_over(records)

    def hand_over(self, records: Sequence[Record]) -> Future[None]:
        """Like `append`, but the records take their place in the journal before this returns; await the future.

        For a caller whose next records must stand after these, whoever waits for the commit. Raises JournalError at
        once for records that would not read back.
        """
        loop = self._running()
        waiter: Future[None] = loop.create_future()
        if not records:
            waiter.set_result(None)
            return waiter
        batches = [self._batch(key, run, waiter) for key, run in _runs(records)]
        for batch in batches:
            _check_readable(batch)
        self._take(batches)
        self._start(loop)
        return waiter

    def start_commit(self) -> None:
        """Start the commit of everything handed over, without waiting for it."""
        self._start(self._running())

    def buffer(self, records: Sequence[Record]) -> None:
        """Hand over market data; it is durable within the market delay, or with the next append, whichever is first.

        Returns at once. After a failed commit it is kept and tried again. Raises JournalError when the disk is
        so far behind that keeping more would only end in memory.
        """
        if not records:
            return
        loop = self._running()
        if self._pending_bytes > _MOST_BYTES:
            raise JournalError(
                "buffering for", self._root, f"{self._pending_bytes >> 20} MiB wait for the disk ({self.health})",
                "free the disk or slow the feed down",
            ) from self._error  # fmt: skip
        self._take([self._batch(key, run, None) for key, run in _runs(records)])
        if self._pending_bytes > _EAGER_BYTES and self._error is None:
            self._start(loop)
        elif self._timer is None:
            self._timer = loop.call_later(self._delay, self._start, loop)

    async def flush(self) -> None:
        """Return once everything handed over so far is durable. Raises JournalError when it is not."""
        loop = self._running()
        if self._pending or self._is_committing:
            waiter: Future[None] = loop.create_future()
            self._flushes.append(waiter)
            self._start(loop)
            await waiter

    async def close(self) -> None:
        """Make everything durable, end the thread, let go of the lock. May be called again."""
        if self._is_closed:
            return
        try:
            await self.flush()
        finally:
            self._is_closed = True
            self._stop_timer()
            self._thread.stop()
            self._lock.release()
            for waiter in (*self._flushes, *(batch.waiter for batch in self._pending)):
                if waiter is not None:
                    waiter.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _running(self) -> AbstractEventLoop:
        if self._is_closed:
            raise JournalError("writing to", self._root, "it is closed", "open it again before writing")
        return asyncio.get_running_loop()

    def _batch(self, key: _Key, records: list[Record], waiter: Future[None] | None) -> Batch:
        chain = self._keys.get(key)
        if chain is None:
            chain = self._keys[key] = self._chain(key)
        return Batch(chain, key[3], encode_records(records), len(records), waiter)

    def _chain(self, key: _Key) -> Chain:
        if len(self._keys) > _KEYS_KEPT:
            self._keys.clear()
        for name in key[:2]:
            if not is_name(name):
                raise InputError("writing to", self._root, f"{name!r} cannot be a tenant or account", _NAME_HINT)
        return Chain(key[0], key[1], key[2], self._writer)

    def _take(self, batches: list[Batch]) -> None:
        if not self._pending:
            self._pending_since_s = time.monotonic()
        self._pending += batches
        self._pending_bytes += sum(len(batch.data) for batch in batches)

    def _start(self, loop: AbstractEventLoop) -> None:
        """Begin a commit of everything pending, unless one is under way: then it follows that one."""
        self._stop_timer()
        self._is_due = self._is_committing
        if self._is_committing:
            return
        batches, flushes = self._pending, self._flushes
        self._pending, self._flushes, self._pending_bytes = [], [], 0
        parts = plan(batches, self._chains)
        if not parts:
            _resolve(flushes)
            return
        self._is_committing, self._committing_since_s = True, self._pending_since_s
        began_s = time.monotonic()
        self._thread.submit(parts, loop, lambda result: self._finish(loop, parts, flushes, result, began_s))

    def _finish(
        self, loop: AbstractEventLoop, parts: list[Part], flushes: list[Future[None]], result: Result, began_s: float
    ) -> None:
        self._is_committing = False
        self.on_commit(time.monotonic() - began_s)
        for part in parts[: result.done]:
            self._chains[part.chain] = Writing(part.head, part.hour)
            self.records += sum(batch.records for batch in part.batches)
            self.bytes += len(part.data)
        self.seals += result.done
        self.commits += 1
        self._error = None
        if result.error is not None:
            self._fail(parts[result.done :], flushes, result.error)
        _resolve(batch.waiter for part in parts for batch in part.batches)
        _resolve(flushes)
        if self._is_due:
            self._start(loop)
        elif self._pending and self._timer is None:
            self._timer = loop.call_later(self._delay, self._start, loop)

    def _fail(self, parts: list[Part], flushes: list[Future[None]], cause: Exception) -> None:
        """Tell those who wait; keep market data, for which nobody waits, for the next commit."""
        self._error = JournalError(
            "writing", self._root / parts[0].name, _problem(cause),
            "free the disk or mend it; the segment is closed and the next append opens a new one",
        )  # fmt: skip
        self._error.__cause__ = cause
        self.faults += 1
        failed = parts[0].chain
        if failed in self._chains:
            self._chains[failed] = Writing(self._chains[failed].head, None)
        kept: list[Batch] = []
        for batch in (batch for part in parts for batch in part.batches):
            if batch.waiter is None:
                kept.append(batch)
            elif not batch.waiter.done():
                batch.waiter.set_exception(self._error)
        for waiter in flushes:
            if not waiter.done():
                waiter.set_exception(self._error)
        if kept:
            self._pending_since_s = self._committing_since_s
        self._pending[:0] = kept
        self._pending_bytes += sum(len(batch.data) for batch in kept)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


_NAME_HINT = "use up to 64 letters, digits and . _ @ + -, starting with a letter or digit and not ending in a dot"


def _key(record: Record) -> _Key:
    return (record.tenant, record.account, record.STREAM, hour_number(record.known_at))


def _runs(records: Sequence[Record]) -> Iterator[tuple[_Key, list[Record]]]:
    """Records of one stream, account and hour together, each in their order; runs of market data stay runs."""
    if len(records) == 1:
        yield _key(records[0]), [records[0]]
        return
    if len({(record.STREAM, record.tenant, record.account) for record in records}) == 1:
        # Most are one message's quotes: their hours are told by the first and the last moment among them.
        moments = [record.known_at for record in records]
        if hour_number(min(moments)) == hour_number(max(moments)):
            yield _key(records[0]), list(records)
            return
    together: dict[_Key, list[Record]] = {}
    for key, run in groupby(records, _key):
        together.setdefault(key, []).extend(run)
    yield from together.items()


def _check_readable(batch: Batch) -> None:
    """Refuse what could be written and not be read: nobody may act on a decision that cannot be recomputed."""
    # Most batches are one record, which need not be copied out of its line.
    for line in [batch.data] if batch.records == 1 else batch.data.splitlines():
        try:
            decode_record(line)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise JournalError(
                "appending to", batch.chain.folder, f"the record would not read back ({error}): {line[:80].decode(errors='replace')}",
                "give the field a value of its type; a float that may be missing must be nullable",
            ) from error  # fmt: skip


def _problem(cause: Exception) -> str:
    """Say what stopped a commit: a disk, or what should not happen at all and is repeated word for word."""
    return f"the disk refused it ({cause})" if isinstance(cause, OSError) else f"a defect stopped it ({cause!r})"


def _resolve(waiters: Iterator[Future[None] | None] | list[Future[None]]) -> None:
    for waiter in waiters:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
