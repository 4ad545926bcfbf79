"""The daemon as a whole: opens the journal, restores the desks, listens, looks after what no message does, ends cleanly.

Every task has its owner here. What a desk does with messages is `live.desk.desk`; how the process is started and stopped
by signals is `live.__main__`.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from live.bridge.conversation import Patience
from live.bridge.keyring import Keyring
from live.bridge.pages import Pages
from live.bridge.sockets import Bridge, tls_context
from live.bridge.visitors import Visitors
from live.clock import Clock, SystemClock
from live.desk.account import Account
from live.desk.commands import Inbox
from live.desk.desk import Desk
from live.health.components import missing
from live.health.metrics import Metrics
from live.health.status import standing, status
from live.health.watch import Watch
from live.logs import log
from live.settings import Settings, home_of
from trading_assets.core.messages import DaemonBeat
from trading_assets.core.records.operations import DaemonHeartbeat, Finding
from trading_assets.store.journal import Journal, JournalError
from trading_assets.store.journal_disk import Sync, sync_file

_TICK_S = 0.25
_INTERNAL_ERROR = 1011


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
        self.bridge: Bridge | None = None
        """Where terminals connect, once it is there."""

    def drain(self, why: str) -> None:
        """Ask for a clean end. May be called again and from signal handlers of the loop."""
        self._why = self._why or why
        self._ending.set()

    @property
    def halts(self) -> dict[str, str]:
        """Why entries are halted, by account; accounts that are not are left out."""
        return {
            name: state.cause
            for name, desk in self._desks.items()
            for state in desk.account.books.risk.tripped
            if state.breaker == "halt"
        }

    async def run(self, announce: Callable[[int], None]) -> None:
        """Run until `drain`; `announce` is told the port once terminals may connect. Raises TradingError."""
        settings, home = self._settings, self._home
        async with Journal.open(home.raw, market_delay_s=settings.quote_commit_delay_s, sync=self._sync) as journal:
            for one in settings.accounts:
                account = Account(one, settings.tenant, journal, home.releases, self._clock)
                self._desks[one.name] = Desk(settings, account)
            for desk in self._desks.values():
                desk.account.restore()
            self._report_torn(journal)
            for desk in self._desks.values():
                await desk.account.start()
            inbox = Inbox(home.control, self._desks, self.drain, self._report_defect)
            await inbox.answer_unfinished()
            # A halt that waits holds before the first terminal is let in.
            await inbox.look()
            self._tell_halts()
            watch = Watch(self._desks, journal, inbox, settings.heartbeat_s)
            bridge = self.bridge = self._bridge(journal, watch)
            tls = tls_context(Path(settings.tls.certificate), Path(settings.tls.key)) if settings.tls else None
            _tune_the_interpreter()
            try:
                port = await bridge.open(settings.host, settings.port, tls)
                watch.pulse.start()
                watch.round()
                announce(port)
                log().info("the daemon listens", port=port, accounts=list(self._desks))
                await self._look_after(inbox, watch)
            finally:
                log().info("the daemon ends", why=self._why or "an error")
                watch.pulse.stop()
                for desk in self._desks.values():
                    await desk.close(self._why or "the daemon ends")
                await bridge.close()

    def _bridge(self, journal: Journal, watch: Watch) -> Bridge:
        settings = self._settings
        accounts = {name: desk.account for name, desk in self._desks.items()}
        visitors = Visitors(journal, settings.tenant, accounts, self._clock)
        digests = {account.name: account.token_sha256 for account in settings.accounts}
        return Bridge(
            self._desks,
            Keyring(settings.tenant, digests, self._home.tokens, visitors.trouble),
            visitors,
            pages=self._pages(journal, watch, visitors),
            report=self._report_defect,
            origins=settings.allowed_origins,
            patience=Patience(settings.hello_timeout_s, settings.terminal_heartbeat_s, settings.send_timeout_s),
        )

    async def _look_after(self, inbox: Inbox, watch: Watch) -> None:
        """Everything that happens by the clock on the wall, until the end."""
        commands = asyncio.create_task(inbox.run())
        try:
            await self._go_round(commands, watch)
        finally:
            await inbox.close(commands)

    async def _go_round(self, commands: asyncio.Task[None], watch: Watch) -> None:
        # The first heartbeat is due after one interval: by then it is known whether time is the clock's or a replay's.
        beat_s = self._settings.heartbeat_s
        while not self._ending.is_set():
            if commands.done():
                await commands
            for desk in self._desks.values():
                await self._tick(desk)
            watch.round()
            beat_s -= _TICK_S
            if beat_s <= 0.0:
                beat_s = self._settings.heartbeat_s
                watch.beat()
                await self._beat()
            try:
                async with asyncio.timeout(_TICK_S):
                    await self._ending.wait()
            except TimeoutError:
                continue

    async def _tick(self, desk: Desk) -> None:
        """Look after one account: what its terminal brings about must not stop the others."""
        link = desk.link
        try:
            await desk.tick()
        except JournalError:
            raise
        except Exception as defect:
            if link is None:
                raise
            self._report_defect(f"desk of account {desk.account.name}", defect)
            await link.close(_INTERNAL_ERROR, "the daemon could not look after the session; see its journal")

    def _pages(self, journal: Journal, watch: Watch, visitors: Visitors) -> Pages:
        tenant, desks, started_at = self._settings.tenant, self._desks, self._started_at
        return Pages(
            status=lambda: status(str(self._home.root), tenant, desks, journal, started_at, watch.components),
            complaints=watch.complaints,
            missing=lambda: {name: missing(standing(desk)) for name, desk in desks.items()},
            hosts=self._settings.allowed_hosts,
            metrics=Metrics(tenant, desks, journal, watch, visitors, started_at).text,
        )

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
                interval_s=0.0 if desk.is_lockstep else self._settings.heartbeat_s,
            )
            recorder.buffer([beat])
            if desk.link is not None:
                await desk.link.send(DaemonBeat)

    def _report_defect(self, where: str, defect: BaseException) -> None:
        traceback = (type(defect), defect, defect.__traceback__)
        log(component=where).error("a defect of this software", exc_info=traceback)
        for desk in self._desks.values():
            desk.account.recorder.error(
                where, f"{type(defect).__name__}: {defect}; a defect of this software, report this with the log"
            )

    def _tell_halts(self) -> None:
        for account, cause in self.halts.items():
            log(account=account).warning("entries are halted; `trading resume` lifts it", cause=cause)

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
        for end in journal.lost:
            next(iter(self._desks.values())).account.recorder.finding(
                "store.journal.recovery",
                f"{end.segment} record {end.last_seq}",
                "records that were durable are still there",
                "the chain ends before them: the disk lost them, or somebody removed them",
                "restore the segment from a copy; positions and deals are taken from the terminal meanwhile",
            )


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
