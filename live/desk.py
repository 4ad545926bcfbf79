"""One account's desk: what each message of its terminal means, from hello to goodbye.

It composes the parts that know how (`feed`, `trader`, `settlement`, `reconciliation`, `opening`) and decides when. Frames and
sockets are the bridge's; in lockstep the desk also says when everything up to a heartbeat is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import assert_never

from live.clock import StreamClock, SystemClock
from live.feed import Feed
from live.link import Link
from live.opening import MOST_WAITING, Opening, needed_bars
from live.orders import OrderBook
from live.reconciliation import BREAKER, Reconciliation
from live.recorder import Recorder
from live.recovery import Past
from live.releases import ReleaseSlot
from live.risk_state import RiskBook
from live.settings import AccountSettings, Settings, strategy_of
from live.settlement import Settlement
from live.trader import Books, Terms, Trader
from live.trades import TradeBook
from live.vigil import Vigil
from trading_assets.core.errors import InputError
from trading_assets.core.features.feature_set import FEATURE_SETS
from trading_assets.core.market.bars import BarValues
from trading_assets.core.market.clock import ClockRule
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.messages import (
    Bars,
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
from trading_assets.core.records import (
    Quote,
    Record,
    Session,
    StrategyLoad,
)
from trading_assets.core.trades import lifecycle
from trading_assets.store.journal import Journal


class Desk:
    """One account, across all sessions of its terminal."""

    def __init__(self, settings: Settings, account: AccountSettings, journal: Journal, releases: Path) -> None:
        self.name = account.name
        self.link: Link | None = None
        self._settings = settings
        self._account = account
        self._strategy = strategy_of(account)
        self._feature_set = FEATURE_SETS[self._strategy.feature_set]
        self.recorder = Recorder(journal, settings.tenant, account.name)
        self._rule = ClockRule.parse(account.clock)
        raw_of = {symbol: raw for raw, symbol in account.symbols.items()}
        orders = OrderBook(self.recorder, self._strategy)
        self.trades = TradeBook(self.recorder, lambda symbol: self.books.specs.get(symbol))
        self.books = Books(orders, self.trades, RiskBook(self._strategy.breakers))
        self.feed = Feed(self.recorder, self._rule, account.symbols, self.trades)
        self.release = ReleaseSlot(releases, self._feature_set, self.recorder)
        terms = Terms(self._strategy, account.mode, self._rule, raw_of)
        self.trader = Trader(self.recorder, terms, self.feed, self.books, self.release)
        self._settlement = Settlement(self.recorder, account, self._rule, self.feed, self.books, self.trader)
        self.reconciliation = Reconciliation(self.recorder, self._rule, self.books, self._settlement, self.trader)
        self._vigil = Vigil(settings, self.recorder, orders, self.reconciliation, self.trader)
        self._opening = Opening(self.recorder, self._rule, raw_of, self._feature_set, self.feed)
        self._past_bars: Mapping[str, Mapping[str, list[BarValues]]] = {}
        self._past_quotes: list[Quote] = []
        self._is_open = False
        self._is_lockstep = False

    # --- start and end --------------------------------------------------------------------------------------------

    def restore(self, raw: Path) -> None:
        """Rebuild what earlier runs left. Blocks: for the start of the process."""
        past = Past(raw, self._settings.tenant, self.name)
        self.trader.decided_until = past.restore_books(self.books)
        needed = needed_bars(self._feature_set)
        bars = past.bars({symbol: needed for symbol in self._account.symbols.values()})
        base = self._feature_set.base
        since = {symbol: frames[base][-1].close_at for symbol, frames in bars.items() if frames[base]}
        self._past_bars, self._past_quotes = bars, past.quotes_since(since) if since else []

    async def start(self) -> None:
        """Record what is in use from now on, and take orders whose result a crash left open as UNKNOWN."""
        recorder, now = self.recorder, self.recorder.clock.now()
        strategy = recorder.make(
            StrategyLoad,
            now,
            recorder.chain(),
            strategy_version=self._strategy.version,
            parameters=self._strategy.to_json(),
        )
        unknown: list[Record] = []
        for intent in self.books.orders.pending():
            reason = "the daemon was restarted before its result was known"
            for event in (
                (lifecycle.Sent(), lifecycle.Lost()) if intent.order.state == "PLANNED" else (lifecycle.Lost(),)
            ):
                record = self.books.orders.advance(intent, event, reason)
            if record is not None:
                unknown.append(record)
        await recorder.append([strategy, *unknown])
        await self.release.follow()

    async def close(self, why: str) -> None:
        """Finish what is under way and hang up."""
        await self.recorder.settled()
        self.trader.take_timings()
        link = self.link
        if link is not None:
            await link.close(1001, why)
            await self.leave(link)

    # --- the session ----------------------------------------------------------------------------------------------

    async def greet(self, link: Link, hello: Hello) -> None:
        """A terminal authenticated for this account; a new session begins."""
        expected = self._account.login
        if expected is not None and hello.account.login != expected:
            text = (
                f"the terminal is logged in to {hello.account.login}, account {self.name} is {expected}; log in there"
            )
            self.feed.quarantine("", "wrong_login", text, hello.chain_id)
            await link.refuse("wrong_login", text, is_fatal=True)
            return
        self.trader.disconnected()
        self.link = self.trader.link = link
        self._is_lockstep, self._is_open = hello.lockstep, False
        self._vigil.restart()
        at = self._rule.to_utc(hello.server_time_msc)
        self.recorder.clock = StreamClock(at) if hello.lockstep else SystemClock()
        self.reconciliation.restart()
        self.feed.resume()
        self._opening.begin()
        self.recorder.commit([self._session_record(link, hello)])
        self._settlement.first_account(hello.account, hello.chain_id)
        await link.send(Welcome, tenant=self._settings.tenant, account=self.name)
        await link.send(Subscribe, symbols=tuple(self._account.symbols))

    async def leave(self, link: Link) -> None:
        """The connection is gone: nothing is known of what was under way (invariant 4)."""
        if self.link is link:
            self.link, self._is_open = None, False
            self._vigil.restart()
            self.trader.disconnected()
            await self.recorder.settled()

    async def resync(self, expected_seq: int) -> None:
        """Messages are missing: what they said about trading is asked for, their quotes are lost."""
        if self.link is None:
            return
        text = f"messages from {expected_seq} on are missing in session {self.link.session}; a bar may lack quotes"
        self.recorder.error("live.desk", text)
        self._distrust("messages of the terminal were lost")
        await self.link.send(Resync, expected_seq=expected_seq)
        self.reconciliation.give_up()
        await self.reconciliation.ask()

    async def handle(self, message: FromTerminal, arrived_ns: int) -> None:
        """Take one message of the session, in order."""
        match message:
            case Ticks() | TerminalHeartbeat() if not self._is_open:
                if len(self._opening.waiting) >= MOST_WAITING:
                    raise InputError("opening", f"session of {self.name}", "the terminal does not answer", "restart it")
                self._opening.waiting.append((message, arrived_ns))
            case Ticks():
                await self._ticks(message, arrived_ns)
            case TerminalHeartbeat():
                await self._heartbeat(message, arrived_ns)
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
                await self.reconciliation.deals(message)
                await self._try_to_open()
            case Snapshot():
                await self._snapshot(message)
            case Bars():
                if self.link is not None:
                    await self._opening.take(message, self.link)
                await self._try_to_open()
            case TerminalError():
                self.recorder.error(
                    "terminal", f"{message.code}: {message.text} (request {message.request_id or 'none'})"
                )
            case Goodbye():
                await self.recorder.settled()
                self.trader.take_timings()
                self.recorder.start_commit()
            case Hello() | Ticks() | TerminalHeartbeat():
                raise AssertionError(f"{type(message).__name__} is handled before")
            case _:
                assert_never(message)

    # --- market ---------------------------------------------------------------------------------------------------

    async def _ticks(self, message: Ticks, arrived_ns: int) -> None:
        for symbol, closing in self.feed.take(message):
            # The market's commit starts now and goes on while the features are computed.
            self.recorder.start_commit()
            await self.trader.decide(symbol, closing.bar, message.chain_id or self.recorder.chain(symbol), arrived_ns)
            if self._is_lockstep:
                # The rest of the batch moves the stream's time, by which orders are too late: they go first.
                await self.recorder.settled()

    async def _heartbeat(self, message: TerminalHeartbeat, arrived_ns: int) -> None:
        at = self._rule.to_utc(message.server_time_msc)
        recorder = self.recorder
        recorder.clock.observe(at)
        chain = message.chain_id or recorder.chain()
        if message.account is not None:
            self._settlement.account(message.account, chain)
        if self._is_lockstep:
            await self.release.follow()
        await self._settlement.retry()
        self.trader.take_timings()
        closed = self.feed.advance(at, chain)
        # The market's commit starts now and goes on while the features are computed.
        recorder.start_commit()
        for symbol, closing in closed:
            await self.trader.decide(symbol, closing.bar, chain, arrived_ns)
        if len(closed) < len(self.feed.windows):
            await self._decide_owed(at, chain, arrived_ns)
        if self._is_lockstep:
            if self.books.orders.in_state("UNKNOWN") or not self.reconciliation.is_done_once:
                await self.reconciliation.ask()
            self._vigil.owe(message.seq)

    async def _decide_owed(self, at: datetime, chain_id: str, arrived_ns: int) -> None:
        """Decide bars that closed just before a restart, whose decision never became durable (invariant 3)."""
        in_time = timedelta(seconds=self._strategy.order_deadline_s)
        for symbol, window in self.feed.windows.items():
            bar, decided = window.last_bar, self.trader.decided_until.get(symbol)
            if bar is not None and decided is not None and decided < bar.close_at and at - bar.close_at <= in_time:
                await self.trader.decide(symbol, bar, chain_id, arrived_ns)

    # --- opening --------------------------------------------------------------------------------------------------

    async def _snapshot(self, message: Snapshot) -> None:
        """The first one of a session opens it; later ones answer a search."""
        self.reconciliation.snapshot(message)
        records: list[Record] = [
            self._settlement.position_record(facts, message.chain_id, self.trades.by_position(facts.identifier))
            for facts in message.positions
        ]
        if self._opening.is_begun:
            self.recorder.commit(records)
            return
        records += self._settlement.contracts(message.symbols, message.chain_id)
        records += self._opening.make_windows(self.books.specs, self._past_bars, self._past_quotes)
        self._past_bars, self._past_quotes = {}, []
        records += self.trades.follow_on()
        self.recorder.commit(records)
        assert self.link is not None
        await self._opening.ask(self.link)
        await self.reconciliation.ask()
        await self._try_to_open()

    async def _try_to_open(self) -> None:
        """Look at quotes once history, positions and deals are there."""
        if (
            self._is_open
            or not self._opening.is_begun
            or not self._opening.is_answered
            or self.reconciliation.is_asking
        ):
            return
        records = self._opening.finish()
        await self.recorder.append(records)
        if not self.reconciliation.is_done_once:
            self._distrust("positions and deals could not be asked for")
        self._tell_missed()
        self._is_open = True
        waiting = self._opening.take_waiting()
        for message, arrived_ns in waiting:
            await self.handle(message, arrived_ns)

    def _tell_missed(self) -> None:
        """Say which bars closed while nobody watched: a gap is absent, it is not decided later."""
        for symbol, window in self.feed.windows.items():
            decided = self.trader.decided_until.get(symbol)
            if decided is None or window.last_bar is None:
                continue
            missed = window.bars_since(to_ms(decided))
            if missed > 1:
                text = f"{missed} bars of {symbol} closed after {decided:%Y-%m-%d %H:%M} UTC without a decision; they are not decided later"
                self.recorder.error("live.desk", text)

    async def query(self, what: str) -> bool:
        """Ask the terminal for deals in full, or for the bars since the last one; returns whether it is asked."""
        if self.link is None or self.reconciliation.is_asking or not self._is_open:
            return False
        if what == "deals":
            await self.reconciliation.ask(in_full=True)
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
            await self.release.follow()
        if link is None:
            return
        if self._vigil.is_owing:
            await self._vigil.pay()
        if self._opening.is_begun and not self._is_open:
            if self._opening.waited_s > self._settings.answer_timeout_s:
                await self._opening.ask_again(link)
                self.reconciliation.give_up()
                await self._try_to_open()
        elif self._is_open and not self._is_lockstep:
            await self._vigil.watch()

    # --- details --------------------------------------------------------------------------------------------------

    def _distrust(self, cause: str) -> None:
        changes = self.books.risk.trip(BREAKER, cause, self.recorder.clock.now())
        self.recorder.commit(self.recorder.breaker_events(changes))

    def _session_record(self, link: Link, hello: Hello) -> Session:
        return self.recorder.make(
            Session,
            self.recorder.clock.now(),
            hello.chain_id or self.recorder.chain(),
            session=link.session,
            login=hello.account.login,
            server=hello.account.server,
            company=hello.account.company,
            margin_mode=hello.account.margin_mode,
            build=hello.build,
            clock_rule=self._rule.name,
        )
