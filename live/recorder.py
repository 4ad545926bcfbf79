"""Writes one account's records: fills in who and when, and owns the commits that are under way.

How a record becomes durable is `store.journal`; which record is written when is the business of the callers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from datetime import datetime
from typing import Any, Literal, TypeVar

from live.clock import Clock
from live.logs import log
from trading_assets.core.decisions.breakers import BreakerChange
from trading_assets.core.errors import StateError
from trading_assets.core.ids import chain_id as make_chain_id
from trading_assets.core.records.operations import Finding, OpsError
from trading_assets.core.records.record import Record
from trading_assets.core.records.trading import BreakerEvent
from trading_assets.store.journal import Journal

Kind = TypeVar("Kind", bound=Record)


class Recorder:
    """Records of one account. `clock` is the session's: system time, or the stream's in lockstep (invariant 10)."""

    def __init__(self, journal: Journal, tenant: str, account: str, clock: Clock) -> None:
        self.journal = journal
        self.tenant = tenant
        self.account = account
        self.clock = clock
        self.fault = ""
        """Why the journal cannot be written; empty while it can."""
        self.log = log(account=account)
        """The account's log; a session adds itself to its lines."""
        self._running: set[asyncio.Task[None]] = set()
        self._defect: BaseException | None = None
        self._is_settled = True

    @property
    def defect(self) -> BaseException | None:
        """What a piece of work has raised and nobody has been told yet."""
        return self._defect

    def make(self, record_type: type[Kind], event_at: datetime, chain_id: str, /, **fields: Any) -> Kind:
        """Return a record of this account, known now."""
        return record_type(
            tenant=self.tenant,
            account=self.account,
            event_at=event_at,
            known_at=self.clock.now(),
            chain_id=chain_id,
            **fields,
        )

    def buffer(self, records: Sequence[Record]) -> None:
        """Hand over records that may wait a moment for their commit."""
        try:
            self.journal.buffer(records)
        except StateError as error:
            self._fail(error)

    def commit(self, records: Sequence[Record]) -> None:
        """Hand over records and start their commit, without waiting here. Readers see them together."""
        if records:
            self.buffer(records)
        self.start_commit()

    def start_commit(self) -> None:
        """Start making everything handed over durable, without waiting here."""
        self._is_settled = False
        self.journal.start_commit()

    def hand_over(self, records: Sequence[Record]) -> Awaitable[None]:
        """Hand over records somebody waits for, see `durable`: they take their place in the journal now."""
        try:
            return self.journal.hand_over(records)
        except StateError as error:
            refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            refused.set_exception(error)
            return refused

    async def durable(self, commit: Awaitable[None]) -> bool:
        """Wait for a commit; returns whether it succeeded. A fault is kept in `fault` until one does."""
        try:
            await commit
        except StateError as error:
            self._fail(error)
            return False
        self.fault = ""
        return True

    async def append(self, records: Sequence[Record]) -> bool:
        """Make records durable together; returns whether they are."""
        return await self.durable(self.journal.append(records))

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Own a piece of work that ends with a commit. What it raises is raised by `settled`."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def settled(self) -> bool:
        """Wait until nothing is under way; returns whether everything is durable. Raises what a piece of work raised."""
        while self._running:
            await asyncio.wait(self._running)
        if self._defect is not None:
            defect, self._defect = self._defect, None
            raise defect
        if not self._is_settled:
            self._is_settled = await self.durable(self.journal.flush())
        return self._is_settled

    # --- records that several callers write -----------------------------------------------------------------------

    def breaker_events(self, changes: Sequence[BreakerChange], chain_id: str = "") -> list[BreakerEvent]:
        """Return the records of trips and resets."""
        now = self.clock.now()
        return [
            self.make(
                BreakerEvent,
                now,
                chain_id or self.chain(),
                breaker=change.breaker,
                change=change.change,
                effect=change.effect,
                cause=change.cause,
                symbol=change.symbol,
            )
            for change in changes
        ]

    def error(self, component: str, message: str) -> None:
        """Record an error in the stream of operations, and say it in the log."""
        chain = self.chain()
        self.log.error("an error was recorded", component=component, problem=message, chain_id=chain)
        self.buffer([self.make(OpsError, self.clock.now(), chain, component=component, message=message)])

    def finding(
        self,
        check: str,
        subject: str,
        expectation: str,
        observed: str,
        repair: str,
        severity: Literal["info", "warning", "error"] = "error",
    ) -> None:
        """Record a difference between what must be true and what is."""
        self.buffer(
            [
                self.make(
                    Finding,
                    self.clock.now(),
                    self.chain(),
                    check=check,
                    severity=severity,
                    subject=subject,
                    expectation=expectation,
                    observed=observed,
                    repair=repair,
                )
            ]
        )

    def chain(self, symbol: str = "") -> str:
        """Return the chain of something that no message of the terminal started."""
        return make_chain_id(self.clock.now(), self.tenant, self.account, symbol)

    def _fail(self, error: StateError) -> None:
        """Keep a fault, and say it aloud when it is new: the journal itself may not be able to hold it."""
        if str(error) != self.fault:
            self.log.error("the journal cannot be written", problem=str(error))
        self.fault = str(error)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None and self._defect is None:
            self._defect = task.exception()
