"""One account's desk: what each message of its terminal means, from hello to goodbye.

It composes the parts that know how (`feed`, `trader`, `settlement`, `reconciliation`, `opening`) and decides when. Frames and
sockets are the bridge's; in lockstep the desk also says when everything up to a heartbeat is done.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never

from live.account import Account
from live.clock import StreamClock
from live.link import Link
from live.opening import MOST_WAITING
from live.reconciliation import BREAKER
from live.settings import Settings
from live.vigil import Vigil
from trading_assets.core.errors import InputError
from trading_assets.core.messages import (
    Bars,
    BookUpdate,
    Deals,
    DealUpdate,
    FromTerminal,
    Goodbye,
    Hello,
    OrderUpdate,
    PositionUpdate,
    Resync,
    Snapshot,
    Subscribe,
    TerminalError,
    TerminalHeartbeat,
    Ticks,
    Welcome,
)
from trading_assets.core.records.record import Record
from trading_assets.core.records.trading import Session


class Desk:
    """Messages of one account's terminal, across all its sessions."""

    def __init__(self, settings: Settings, account: Account) -> None:
        self.account = account
        self.link: Link | None = None
        self._settings = settings
        self._recorder = account.recorder
        self._feed = account.feed
        self._trader = account.trader
        self._settlement = account.settlement
        self._reconciliation = account.reconciliation
        self._opening = account.opening
        self._vigil = Vigil(settings, account.recorder, account.books.orders, account.reconciliation, account.trader)
        self._is_open = self._is_opening = False
        self._is_lockstep = False

    async def close(self, why: str) -> None:
        """Finish what is under way and hang up."""
        await self._recorder.settled()
        self._trader.take_timings()
        link = self.link
        if link is not None:
            await link.close(1001, why)
            await self.leave(link)

    # --- the session ----------------------------------------------------------------------------------------------

    async def greet(self, link: Link, hello: Hello) -> None:
        """A terminal authenticated for this account; a new session begins."""
        expected = self.account.settings.login
        if expected is not None and hello.account.login != expected:
            text = f"the terminal is logged in to {hello.account.login}, account {self.account.name} is {expected}; log in there"
            self._feed.quarantine("", "wrong_login", text, hello.chain_id)
            await link.refuse("wrong_login", text, is_fatal=True)
            return
        self._trader.disconnected()
        self.link = self._trader.link = link
        self._is_lockstep, self._is_open, self._is_opening = hello.lockstep, False, False
        self._vigil.restart()
        at = self.account.rule.to_utc(hello.server_time_msc)
        self._recorder.clock = StreamClock(at) if hello.lockstep else self.account.clock
        self._reconciliation.restart()
        self._feed.resume()
        self._opening.begin()
        self._recorder.commit([self._session_record(link, hello)])
        self._settlement.first_account(hello.account, hello.chain_id)
        await link.send(Welcome, tenant=self._settings.tenant, account=self.account.name)
        await link.send(Subscribe, symbols=tuple(self.account.settings.symbols))

    async def leave(self, link: Link) -> None:
        """The connection is gone: nothing is known of what was under way (invariant 4)."""
        if self.link is link:
            self.link, self._is_open = None, False
            self._vigil.restart()
            self._trader.disconnected()
            await self._recorder.settled()

    async def resync(self, expected_seq: int) -> None:
        """Messages are missing: what they said about trading is asked for, their quotes are lost."""
        if self.link is None:
            return
        text = f"messages from {expected_seq} on are missing in session {self.link.session}; a bar may lack quotes"
        self._recorder.error("live.desk", text)
        self._distrust("messages of the terminal were lost")
        await self.link.send(Resync, expected_seq=expected_seq)
        self._reconciliation.give_up()
        await self._reconciliation.ask()

    async def handle(self, message: FromTerminal, arrived_ns: int) -> None:
        """Take one message of the session, in order."""
        match message:
            case Ticks() | TerminalHeartbeat() if not self._is_open:
                if len(self._opening.waiting) >= MOST_WAITING:
                    raise InputError(
                        "opening", f"session of {self.account.name}", "the terminal does not answer", "restart it"
                    )
                self._opening.waiting.append((message, arrived_ns))
            case Ticks() | TerminalHeartbeat():
                await self._market(message, arrived_ns)
            case _:
                await self._other(message)
        if self._vigil.is_owing:
            await self._vigil.pay()

    async def _other(self, message: FromTerminal) -> None:
        match message:
            case OrderUpdate():
                await self._settlement.order_update(message)
                if self._is_lockstep:
                    # Time stands still until `processed`: a price that had moved is the present one already.
                    await self._settlement.retry()
            case DealUpdate():
                await self._settlement.deal(message.deal, message.chain_id, message.account)
            case PositionUpdate():
                self._settlement.position(message.position, message.chain_id)
            case Deals():
                await self._reconciliation.deals(message)
                await self._try_to_open()
            case Snapshot():
                await self._snapshot(message)
            case BookUpdate():
                self._feed.book(message)
            case Bars():
                if self.link is not None:
                    await self._opening.take(message, self.link)
                await self._try_to_open()
            case TerminalError():
                self._recorder.error(
                    "terminal", f"{message.code}: {message.text} (request {message.request_id or 'none'})"
                )
            case Goodbye():
                await self._recorder.settled()
                self._trader.take_timings()
                self._recorder.start_commit()
            case Hello() | Ticks() | TerminalHeartbeat():
                raise AssertionError(f"{type(message).__name__} is handled before")
            case _:
                assert_never(message)

    # --- market ---------------------------------------------------------------------------------------------------

    async def _market(self, message: Ticks | TerminalHeartbeat, arrived_ns: int) -> None:
        if isinstance(message, Ticks):
            await self._ticks(message, arrived_ns)
        else:
            await self._heartbeat(message, arrived_ns)

    async def _ticks(self, message: Ticks, arrived_ns: int) -> None:
        for symbol, closing in self._feed.take(message):
            # The market's commit starts now and goes on while the features are computed.
            self._recorder.start_commit()
            await self._trader.decide(symbol, closing.bar, message.chain_id or self._recorder.chain(symbol), arrived_ns)
            if self._is_lockstep:
                # The rest of the batch moves the stream's time, by which orders are too late: they go first.
                await self._recorder.settled()

    async def _heartbeat(self, message: TerminalHeartbeat, arrived_ns: int) -> None:
        at = self.account.rule.to_utc(message.server_time_msc)
        recorder = self._recorder
        recorder.clock.observe(at)
        chain = message.chain_id or recorder.chain()
        if message.account is not None:
            self._settlement.account(message.account, chain)
        if self._is_lockstep:
            await self.account.release.follow()
        await self._settlement.retry()
        closed = self._feed.advance(at, chain)
        # The market's commit starts now and goes on while the features are computed.
        recorder.start_commit()
        for symbol, closing in closed:
            await self._trader.decide(symbol, closing.bar, chain, arrived_ns)
        if not closed:
            self._trader.take_timings()
        if len(closed) < len(self._feed.windows):
            await self._decide_owed(at, chain, arrived_ns)
        if self._is_lockstep:
            if self.account.books.orders.in_state("UNKNOWN") or not self._reconciliation.is_done_once:
                await self._reconciliation.ask()
            self._vigil.owe(message.seq)

    async def _decide_owed(self, at: datetime, chain_id: str, arrived_ns: int) -> None:
        """Decide bars that closed just before a restart, whose decision never became durable (invariant 3)."""
        in_time = timedelta(seconds=self.account.strategy.order_deadline_s)
        for symbol, window in self._feed.windows.items():
            bar, decided = window.last_bar, self._trader.decided_until.get(symbol)
            if bar is not None and decided is not None and decided < bar.close_at and at - bar.close_at <= in_time:
                await self._trader.decide(symbol, bar, chain_id, arrived_ns)

    # --- opening --------------------------------------------------------------------------------------------------

    async def _snapshot(self, message: Snapshot) -> None:
        """The first one of a session opens it; later ones answer a search."""
        self._reconciliation.snapshot(message)
        records: list[Record] = [
            self._settlement.position_record(
                facts, message.chain_id, self.account.books.trades.by_position(facts.identifier)
            )
            for facts in message.positions
        ]
        if self._opening.is_begun:
            self._recorder.commit(records)
            return
        records += self._settlement.contracts(message.symbols, message.chain_id)
        records += self._opening.make_windows(
            self.account.books.specs, self.account.past_bars, self.account.past_quotes
        )
        self.account.past_bars, self.account.past_quotes = {}, []
        records += self.account.books.trades.follow_on()
        self._recorder.commit(records)
        assert self.link is not None
        await self._opening.ask(self.link)
        await self._reconciliation.ask()
        await self._try_to_open()

    async def _try_to_open(self) -> None:
        """Look at quotes once history, positions and deals are there."""
        opening = self._opening
        is_waiting = not opening.is_begun or not opening.is_answered or self._reconciliation.is_asking
        if self._is_open or self._is_opening or is_waiting:
            return
        self._is_opening = True
        await self._recorder.append(opening.finish())
        if not self._reconciliation.is_done_once:
            self._distrust("positions and deals could not be asked for")
        self.account.tell_missed()
        # What arrives meanwhile waits behind what waits already.
        while opening.waiting:
            await self._market(*opening.waiting.popleft())
        self._is_open, self._is_opening = True, False

    async def query(self, what: str) -> bool:
        """Ask the terminal for deals in full, or for the bars since the last one; returns whether it is asked."""
        if self.link is None or self._reconciliation.is_asking or not self._is_open:
            return False
        if what == "deals":
            await self._reconciliation.ask(in_full=True)
        else:
            self._is_open = False
            await self._opening.ask(self.link)
            await self._try_to_open()
        return True

    # --- what the clock on the wall does ----------------------------------------------------------------------------

    async def tick(self) -> None:
        """Look after what no message does. Called a few times a second."""
        link = self.link
        if not self._is_lockstep or link is None:
            await self.account.release.follow()
        if link is None:
            return
        if self._vigil.is_owing:
            await self._vigil.pay()
        if self._opening.is_begun and not self._is_open:
            if not self._is_opening and self._opening.waited_s > self._settings.answer_timeout_s:
                await self._opening.ask_again(link)
                self._reconciliation.give_up()
                await self._try_to_open()
        elif self._is_open and not self._is_lockstep:
            await self._vigil.watch()

    # --- details --------------------------------------------------------------------------------------------------

    def _distrust(self, cause: str) -> None:
        changes = self.account.books.risk.trip(BREAKER, cause, self._recorder.clock.now())
        self._recorder.commit(self._recorder.breaker_events(changes))

    def _session_record(self, link: Link, hello: Hello) -> Session:
        return self._recorder.make(
            Session,
            self._recorder.clock.now(),
            hello.chain_id or self._recorder.chain(),
            session=link.session,
            login=hello.account.login,
            server=hello.account.server,
            company=hello.account.company,
            margin_mode=hello.account.margin_mode,
            build=hello.build,
            clock_rule=self.account.rule.name,
        )
