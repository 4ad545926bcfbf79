"""The daemon as a whole: opens the journal, restores the desks, listens, looks after what no message does, ends cleanly.

Every task has its owner here. What a desk does with messages is `live.desk`; how the process is started and stopped
by signals is `live.__main__`.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from datetime import datetime

from live.account import Account
from live.bridge import Bridge
from live.clock import Clock, SystemClock
from live.commands import Inbox
from live.desk import Desk
from live.protocol import Refused
from live.settings import Settings, home_of
from live.status import status
from trading_assets.core.messages import DaemonBeat
from trading_assets.core.records.market import Quarantine
from trading_assets.core.records.operations import DaemonHeartbeat, Finding
from trading_assets.store.journal import Journal
from trading_assets.store.journal_disk import Sync, sync_file

_TICK_S = 0.25
_UNKNOWN_ACCOUNT = "unknown"


class Daemon:
    """One process: one journal, one port, a desk for each account."""

    def __init__(self, settings: Settings, sync: Sync = sync_file, clock: Clock | None = None) -> None:
        """`sync` makes the journal's bytes durable; `clock` is what real time is taken from, system time by default."""
        self._settings = settings
        self._sync = sync
        self._home = home_of(settings)
        self._clock = clock or SystemClock()
        self._started_at: datetime = self._clock.now()
        self._ending = asyncio.Event()
        self._why = ""
        self._desks: dict[str, Desk] = {}

    def drain(self, why: str) -> None:
        """Ask for a clean end. May be called again and from signal handlers of the loop."""
        self._why = self._why or why
        self._ending.set()

    async def run(self, announce: Callable[[int], None]) -> None:
        """Run until `drain`; `announce` is told the port once terminals may connect. Raises TradingError."""
        settings, home = self._settings, self._home
        async with Journal.open(home.raw, market_delay_s=settings.quote_commit_delay_s, sync=self._sync) as journal:
            for one in settings.accounts:
                account = Account(one, settings.tenant, journal, home.releases, self._clock)
                self._desks[one.name] = Desk(settings, account)
            for desk in self._desks.values():
                desk.account.restore(home.raw)
            self._report_torn(journal)
            for desk in self._desks.values():
                await desk.account.start()
            inbox = Inbox(home.control, self._desks, self.drain)
            await inbox.answer_unfinished()
            bridge = Bridge(
                self._desks,
                {account.name: account.token_sha256 for account in settings.accounts},
                status=lambda: status(settings.tenant, self._desks, journal, self._started_at),
                record_refusal=lambda account, refused: self._quarantine(journal, account, refused),
                report=self._report_defect,
            )
            _tune_the_interpreter()
            try:
                announce(await bridge.open(settings.host, settings.port))
                await self._look_after(inbox)
            finally:
                for desk in self._desks.values():
                    await desk.close(self._why or "the daemon ends")
                await bridge.close()

    async def _look_after(self, inbox: Inbox) -> None:
        """Everything that happens by the clock on the wall, until the end."""
        beat_s = 0.0
        while not self._ending.is_set():
            await inbox.look()
            for desk in self._desks.values():
                await desk.tick()
            beat_s -= _TICK_S
            if beat_s <= 0.0:
                beat_s = self._settings.heartbeat_s
                await self._beat()
            try:
                async with asyncio.timeout(_TICK_S):
                    await self._ending.wait()
            except TimeoutError:
                continue

    async def _beat(self) -> None:
        for desk in self._desks.values():
            recorder = desk.account.recorder
            beat = recorder.make(
                DaemonHeartbeat,
                recorder.clock.now(),
                recorder.chain(),
                quotes=desk.account.feed.accepted,
                quarantined=desk.account.feed.refused,
                decisions=desk.account.trader.decisions,
                open_positions=desk.account.books.open_positions,
                release_id=desk.account.release.current.release_id,
                is_connected=desk.link is not None,
            )
            recorder.buffer([beat])
            if desk.link is not None:
                await desk.link.send(DaemonBeat)

    def _quarantine(self, journal: Journal, account: str | None, refused: Refused) -> None:
        """Record a refused frame; one that no account can be named for is recorded all the same."""
        desk = self._desks.get(account or "")
        subject = f"{refused.text}: {refused.subject}"
        if desk is not None:
            desk.account.feed.quarantine("", refused.reason, subject, "")
            return
        now = self._clock.now()
        chain = next(iter(self._desks.values())).account.recorder.chain()
        record = Quarantine(
            tenant=self._settings.tenant,
            account=_UNKNOWN_ACCOUNT,
            event_at=now,
            known_at=now,
            chain_id=chain,
            symbol="",
            reason=refused.reason,
            subject=subject[:500],
        )
        journal.buffer([record])

    def _report_defect(self, where: str, defect: BaseException) -> None:
        for desk in self._desks.values():
            desk.account.recorder.error(
                where, f"{type(defect).__name__}: {defect}; the session was closed, report this with the log"
            )

    def _report_torn(self, journal: Journal) -> None:
        """What recovery moved aside is told, never read, never deleted."""
        for torn in journal.torn:
            desk = next(iter(self._desks.values()))
            recorder = desk.account.recorder
            finding = recorder.make(
                Finding,
                recorder.clock.now(),
                recorder.chain(),
                check="store.journal.recovery",
                severity="warning",
                subject=str(torn),
                expectation="a segment ends with a seal",
                observed="bytes after the last seal, from a process that was killed",
                repair="nothing: they were moved aside to a .torn file and never acknowledged",
            )
            recorder.buffer([finding])


def _tune_the_interpreter() -> None:
    """Keep the collector and the scheduler of threads out of the decision path.

    What is loaded now lives as long as the process, so it is left out of every collection; records and messages hold no
    cycles, so reference counting frees them, and rare collections suffice for the rest. The journal's thread asks for
    the interpreter in the middle of a decision's arithmetic: by default it waits 5 ms for it, as long as a decision takes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    sys.setswitchinterval(0.0002)
