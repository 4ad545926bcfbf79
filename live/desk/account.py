"""One account: the parts that work for it, put together, and what earlier runs left of it.

What the parts do is theirs; when they do it is `live.desk.desk`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from live.books.books import Books, Terms
from live.books.orders import OrderBook
from live.books.recovery import Past
from live.books.risk_state import RiskBook
from live.books.trades import TradeBook
from live.clock import Clock, ServerClock
from live.market.feed import Feed
from live.market.opening import Opening, needed_bars
from live.recorder import Recorder
from live.server_clock.watch import ClockWatch
from live.settings import AUTO, AccountSettings, strategy_of
from live.trading.contracts import Contracts
from live.trading.holdings import Holdings
from live.trading.protection import Protector
from live.trading.reconciliation import Reconciliation
from live.trading.releases import ReleaseSlot
from live.trading.sending import Sender
from live.trading.settlement import Settlement
from live.trading.trader import Trader
from trading_assets.core.decisions.source import decisions_version
from trading_assets.core.features.feature_set import FEATURE_SETS
from trading_assets.core.market.bars import BarValues
from trading_assets.core.market.clock import ClockRule
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.records.market import Quote
from trading_assets.core.records.record import Record
from trading_assets.core.records.trading import StrategyLoad
from trading_assets.core.trades.lifecycle import Lost, Sent
from trading_assets.store.journal import Journal


class Account:
    """Everything that is kept of one account while the process lives."""

    def __init__(self, settings: AccountSettings, tenant: str, journal: Journal, releases: Path, clock: Clock) -> None:
        self.name = settings.name
        self.settings = settings
        self.clock = clock
        self.rule = ServerClock(None if settings.clock == AUTO else ClockRule.parse(settings.clock))
        self.strategy = strategy_of(settings)
        self._feature_set = FEATURE_SETS[self.strategy.feature_set]
        raw_symbols = {symbol: raw for raw, symbol in settings.symbols.items()}
        self.recorder = Recorder(journal, tenant, settings.name, clock)
        self.past = Past(journal.root, tenant, settings.name)
        orders = OrderBook(self.recorder, self.strategy)
        trades = TradeBook(self.recorder, lambda symbol: self.books.specs.get(symbol))
        self.books = Books(orders, trades, RiskBook(self.strategy.breakers))
        most_ahead = timedelta(seconds=settings.most_ahead_s)
        self.feed = Feed(self.recorder, self.rule, settings.symbols, trades, most_ahead)
        self.release = ReleaseSlot(releases, self._feature_set, self.recorder)
        terms = Terms(self.strategy, settings.mode, self.rule, raw_symbols)
        self.sender = Sender(self.recorder, terms, self.feed, self.books)
        self.trader = Trader(self.recorder, terms, self.feed, self.books, self.release, self.sender)
        protector = Protector(self.recorder, terms, self.books, self.sender)
        self.holdings = Holdings(self.recorder, settings, self.books, protector)
        self.contracts = Contracts(self.recorder, settings, self.books)
        self.settlement = Settlement(
            self.recorder, settings, self.rule, self.feed, self.books, self.sender, protector, self.holdings, self.past
        )
        self.reconciliation = Reconciliation(
            self.recorder,
            self.rule,
            self.books,
            self.settlement,
            self.sender,
            protector,
            self.holdings,
            settings.symbols,
        )
        self.opening = Opening(self.recorder, self.rule, raw_symbols, self._feature_set, self.feed, self.books.specs)
        self.clock_watch = ClockWatch(self.recorder, self.rule, self.books.risk, self.feed, settings.symbols)
        self.past_bars: Mapping[str, Mapping[str, list[BarValues]]] = {}
        """Bars of earlier runs by symbol and timeframe, until the windows are made."""
        self.past_quotes: list[Quote] = []

    def restore(self) -> None:
        """Rebuild what earlier runs left. Blocks: for the start of the process."""
        past = self.past
        self.trader.decided_until = past.restore_books(self.books)
        self.clock_watch.restore(self.books.clock)
        needed = needed_bars(self._feature_set)
        bars = past.bars({symbol: needed for symbol in self.settings.symbols.values()})
        base = self._feature_set.base
        since = {symbol: frames[base][-1].close_at for symbol, frames in bars.items() if frames[base]}
        self.past_bars, self.past_quotes = bars, past.quotes_since(since) if since else []

    async def start(self) -> None:
        """Record what is in use from now on, and take orders whose result a crash left open as UNKNOWN."""
        recorder = self.recorder
        for warning in self.strategy.unit_warnings:
            recorder.log.warning(warning, account=self.settings.name)
        decisions_version()  # Read from source once: not while the first bar waits.
        strategy = recorder.make(
            StrategyLoad,
            recorder.clock.now(),
            recorder.chain(),
            strategy_version=self.strategy.version,
            parameters=self.strategy.to_json(),
            # However long nothing is decided from here on, what is tripped stays on record.
            risk=self.books.risk.marks(),
            equity=self.books.risk.equity,
            equity_at=self.books.risk.equity_at,
            symbol_breakers=self.books.risk.symbol_breakers(),
        )
        records: list[Record] = [strategy]
        for intent in self.books.orders.pending():
            # PLANNED may have been sent: its frame leaves before SENT is durable.
            events = (Sent(), Lost()) if intent.order.state == "PLANNED" else (Lost(),)
            changed = [self.books.orders.advance(intent, event, _CUT_OFF) for event in events]
            records += [record for record in changed[-1:] if record is not None]
        await recorder.append(records)
        await self.release.follow()

    def tell_missed(self) -> None:
        """Say which bars closed while nobody watched: a gap is absent, it is not decided later."""
        still_in_time = self.recorder.clock.now() - timedelta(seconds=self.strategy.order_deadline_s)
        for symbol, window in self.feed.windows.items():
            decided, last = self.trader.decided_until.get(symbol), window.last_bar
            if decided is None and last is not None and last.source == "quotes":
                decided = last.open_at
            if decided is None or last is None or last.close_at <= decided:
                continue
            # The last one is decided at the next heartbeat when it closed just now; else it is missed, too.
            missed = window.bars_since(to_ms(decided)) - (last.close_at >= still_in_time)
            if last.close_at < still_in_time:
                self.trader.decided_until[symbol] = last.close_at
            if missed > 0:
                since = f"{decided:%Y-%m-%d %H:%M} UTC"
                text = f"{missed} bars of {symbol} closed after {since} without a decision; they are not decided later"
                self.recorder.error("live.desk.account", text)


_CUT_OFF = "the daemon was restarted before its result was known"
