"""Quotes of one account: validated, recorded, shown to the open trades, made into bars.

The hot path: everything here happens for every tick. What is a good quote lives in `core.market.quotes`, what a bar is
in `core.market.bars`; a bar that closes is handed out at once, before the rest of its batch is looked at, so that
nothing later than the closing quote is known to its decision (invariant 8).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from live.recorder import Recorder
from live.trades import LastQuote, TradeBook
from live.window import BEGINNING, Closing, SymbolWindow
from trading_assets.core.errors import InputError
from trading_assets.core.market.bars import BarValues
from trading_assets.core.market.clock import ClockRule
from trading_assets.core.market.quotes import QuoteValidator
from trading_assets.core.messages import BookUpdate, Tick, Ticks
from trading_assets.core.records.market import BookSnapshot, Quarantine, Quote
from trading_assets.core.records.record import Record

_SUBJECT_LENGTH = 500


class Closed(NamedTuple):
    """A base bar of a symbol that closed, already recorded."""

    symbol: str
    closing: Closing


class Feed:
    """Market data of one account."""

    def __init__(self, recorder: Recorder, rule: ClockRule, canonical: Mapping[str, str], trades: TradeBook) -> None:
        """`canonical` maps the broker's symbols to ours, in the order of deciding."""
        self._recorder = recorder
        self._rule = rule
        self._canonical = canonical
        self._trades = trades
        self._validator = QuoteValidator(canonical.values())
        # What a terminal sends again after a broken connection is known already.
        self._known_until = dict.fromkeys(canonical.values(), BEGINNING)
        self.windows: dict[str, SymbolWindow] = {}
        self.last: dict[str, LastQuote] = {}
        self.accepted = 0
        self.refused = 0

    def take(self, message: Ticks) -> Iterator[Closed]:
        """Take a batch; yields each base bar the moment a quote closes it."""
        symbol = self._canonical.get(message.symbol, "")
        window = self.windows.get(symbol)
        recorder = self._recorder
        if window is None:
            count = len(message.ticks)
            self.quarantine(message.symbol, "unknown_symbol", f"{count} ticks", message.chain_id, count)
            return
        chain = message.chain_id or recorder.chain(symbol)
        clock, refusal, rule_name = recorder.clock, self._validator.refusal, self._rule.name
        to_utc, add, tenant, account = self._rule.to_utc, window.add, recorder.tenant, recorder.account
        known_until, closed_until = self._known_until[symbol], window.closed_until
        is_traded = self._trades.open_on(symbol) is not None
        records: list[Record] = []
        for tick in message.ticks:
            try:
                at = to_utc(tick.time_msc)
            except InputError as error:
                self.quarantine(symbol, "malformed", str(error), chain)
                continue
            bid, ask = tick.bid, tick.ask
            reason = "duplicate" if at <= known_until else refusal(symbol, at, bid, ask)
            if reason is None and at < closed_until:
                reason = "late"
            if reason is not None:
                self._refuse_tick(symbol, reason, tick, chain)
                continue
            assert bid is not None
            assert ask is not None
            clock.observe(at)
            self.accepted += 1
            records.append(
                Quote(
                    tenant=tenant,
                    account=account,
                    event_at=at,
                    known_at=clock.now(),
                    chain_id=chain,
                    symbol=symbol,
                    bid=bid,
                    ask=ask,
                    server_msc=tick.time_msc,
                    clock_rule=rule_name,
                )
            )
            if is_traded:
                mark = self._trades.quote(symbol, at, bid, ask)
                if mark is not None:
                    records.append(mark)
            closing = add(at, bid, ask)
            if closing is not None:
                records += self.bar_records((closing.bar, *closing.longer), chain)
                recorder.buffer(records)
                records = []
                yield Closed(symbol, closing)
                closed_until = window.closed_until
            self.last[symbol] = LastQuote(at, bid, ask)
        recorder.buffer(records)

    def book(self, message: BookUpdate) -> None:
        """Take a depth of market: recorded, never decided on."""
        symbol = self._canonical.get(message.symbol, "")
        recorder = self._recorder
        if not symbol:
            self.quarantine(message.symbol, "unknown_symbol", "depth of market", message.chain_id)
            return
        recorder.buffer(
            [
                recorder.make(
                    BookSnapshot,
                    self._rule.to_utc(message.time_msc),
                    message.chain_id or recorder.chain(symbol),
                    symbol=symbol,
                    bid_prices=tuple(level.price for level in message.bids),
                    bid_lots=tuple(level.volume for level in message.bids),
                    ask_prices=tuple(level.price for level in message.asks),
                    ask_lots=tuple(level.volume for level in message.asks),
                    server_msc=message.time_msc,
                )
            ]
        )

    def advance(self, at: datetime, chain_id: str) -> list[Closed]:
        """Let time pass: record and return the base bars that have ended at or before `at`, in the symbols' order."""
        self._validator.advance(at)
        closed = [
            Closed(symbol, closing)
            for symbol, window in self.windows.items()
            if (closing := window.advance(at)) is not None
        ]
        for one in closed:
            self._recorder.buffer(self.bar_records((one.closing.bar, *one.closing.longer), chain_id))
        return closed

    def bar_records(self, bars: tuple[BarValues, ...] | list[BarValues], chain_id: str) -> list[Record]:
        """Return the records of closed bars."""
        recorder = self._recorder
        known_at = recorder.clock.now()
        return [
            bar.to_record(tenant=recorder.tenant, account=recorder.account, known_at=known_at, chain_id=chain_id)
            for bar in bars
        ]

    def resume(self) -> None:
        """A new connection begins: quotes up to the last one known are repetitions."""
        for symbol, last in self.last.items():
            self._known_until[symbol] = last.at

    def restore(self, quote: Quote) -> list[BarValues]:
        """Take a quote of an earlier run; one that no recorded bar holds may close bars, which are returned to be recorded."""
        window = self.windows[quote.symbol]
        if self._validator.refusal(quote.symbol, quote.event_at, quote.bid, quote.ask) is not None:
            return []
        self.last[quote.symbol] = LastQuote(quote.event_at, quote.bid, quote.ask)
        if quote.event_at < window.closed_until:
            return []
        closing = window.add(quote.event_at, quote.bid, quote.ask)
        return [] if closing is None else [closing.bar, *closing.longer]

    def quarantine(self, symbol: str, reason: str, subject: str, chain_id: str, count: int = 1) -> None:
        """Record what was refused, and why."""
        self.refused += count
        recorder = self._recorder
        recorder.buffer(
            [
                recorder.make(
                    Quarantine,
                    recorder.clock.now(),
                    chain_id or recorder.chain(symbol),
                    symbol=symbol,
                    reason=reason,
                    subject=subject[:_SUBJECT_LENGTH],
                )
            ]
        )

    def _refuse_tick(self, symbol: str, reason: str, tick: Tick, chain_id: str) -> None:
        self.quarantine(symbol, reason, f"{tick.time_msc} bid {tick.bid} ask {tick.ask}", chain_id)
