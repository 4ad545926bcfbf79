"""One account: the parts that work for it, put together, and what earlier runs left of it.

What the parts do is theirs; when they do it is `live.desk`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from live.books import Books, Terms
from live.clock import Clock
from live.feed import Feed
from live.opening import Opening, needed_bars
from live.orders import OrderBook
from live.reconciliation import Reconciliation
from live.recorder import Recorder
from live.recovery import Past
from live.releases import ReleaseSlot
from live.risk_state import RiskBook
from live.settings import AccountSettings, strategy_of
from live.settlement import Settlement
from live.trader import Trader
from live.trades import TradeBook
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
        self.rule = ClockRule.parse(settings.clock)
        self.strategy = strategy_of(settings)
        self._feature_set = FEATURE_SETS[self.strategy.feature_set]
        raw_symbols = {symbol: raw for raw, symbol in settings.symbols.items()}
        self.recorder = Recorder(journal, tenant, settings.name, clock)
        orders = OrderBook(self.recorder, self.strategy)
        trades = TradeBook(self.recorder, lambda symbol: self.books.specs.get(symbol))
        self.books = Books(orders, trades, RiskBook(self.strategy.breakers))
        self.feed = Feed(self.recorder, self.rule, settings.symbols, trades)
        self.release = ReleaseSlot(releases, self._feature_set, self.recorder)
        terms = Terms(self.strategy, settings.mode, self.rule, raw_symbols)
        self.trader = Trader(self.recorder, terms, self.feed, self.books, self.release)
        self.settlement = Settlement(self.recorder, settings, self.rule, self.feed, self.books, self.trader)
        self.reconciliation = Reconciliation(self.recorder, self.rule, self.books, self.settlement, self.trader)
        self.opening = Opening(self.recorder, self.rule, raw_symbols, self._feature_set, self.feed)
        self.past_bars: Mapping[str, Mapping[str, list[BarValues]]] = {}
        """Bars of earlier runs by symbol and timeframe, until the windows are made."""
        self.past_quotes: list[Quote] = []

    def restore(self, raw: Path) -> None:
        """Rebuild what earlier runs left. Blocks: for the start of the process."""
        past = Past(raw, self.recorder.tenant, self.name)
        self.trader.decided_until = past.restore_books(self.books)
        needed = needed_bars(self._feature_set)
        bars = past.bars({symbol: needed for symbol in self.settings.symbols.values()})
        base = self._feature_set.base
        since = {symbol: frames[base][-1].close_at for symbol, frames in bars.items() if frames[base]}
        self.past_bars, self.past_quotes = bars, past.quotes_since(since) if since else []

    async def start(self) -> None:
        """Record what is in use from now on, and take orders whose result a crash left open as UNKNOWN."""
        recorder = self.recorder
        strategy = recorder.make(
            StrategyLoad,
            recorder.clock.now(),
            recorder.chain(),
            strategy_version=self.strategy.version,
            parameters=self.strategy.to_json(),
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
        for symbol, window in self.feed.windows.items():
            decided = self.trader.decided_until.get(symbol)
            missed = 0 if decided is None else window.bars_since(to_ms(decided))
            if decided is not None and missed > 1:
                since = f"{decided:%Y-%m-%d %H:%M} UTC"
                text = f"{missed} bars of {symbol} closed after {since} without a decision; they are not decided later"
                self.recorder.error("live.account", text)


_CUT_OFF = "the daemon was restarted before its result was known"
