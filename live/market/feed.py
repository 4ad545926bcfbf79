"""Quotes of one account: validated, recorded, shown to the open trades, made into bars.

The hot path: everything here happens for every tick. What is a good quote lives in `core.market.quotes`, what a bar is
in `core.market.bars`; a bar that closes is handed out at once, before the rest of its batch is looked at, so that
nothing later than the closing quote is known to its decision (invariant 8). Depth of market (`live.market.depth`) is recorded
here and goes nowhere else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from live.bridge.soundness import MOST_PRICE
from live.clock import ServerClock, StreamClock
from live.market.depth import book_fault, book_record, book_text
from live.market.gaps import Gaps
from live.market.window import BEGINNING, Closing, SymbolWindow
from live.recorder import Recorder
from trading_assets.core.errors import InputError
from trading_assets.core.market.bars import BarValues
from trading_assets.core.market.quotes import QuoteValidator
from trading_assets.core.messages import BookUpdate, Tick, Ticks
from trading_assets.core.records.market import Quarantine, Quote
from trading_assets.core.records.record import Record

_SUBJECT_LENGTH = 500
# How far a replay's time may jump within a session. Further is a lie or a slip, and all that comes after it would be late.
_MOST_JUMP = timedelta(days=31)


class LastQuote(NamedTuple):
    """The latest accepted quote of a symbol."""

    at: datetime
    bid: float
    ask: float
    is_late: bool = False
    """Whether it was delivered late, after the connection had been down: recorded, never traded on."""


class Followed(Protocol):
    """Open trades, as far as quotes are shown to them."""

    def open_on(self, symbol: str) -> object | None: ...

    def quote(self, symbol: str, at: datetime, bid: float, ask: float) -> Record | None: ...


class Closed(NamedTuple):
    """A base bar of a symbol that closed, already recorded."""

    symbol: str
    closing: Closing


class Feed:
    """Market data of one account."""

    def __init__(
        self,
        recorder: Recorder,
        rule: ServerClock,
        canonical: Mapping[str, str],
        trades: Followed,
        most_ahead: timedelta = timedelta(minutes=5),
    ) -> None:
        """`canonical` maps the broker's symbols to ours, in the order of deciding.

        `most_ahead`: how far ahead of our clock a terminal's may be; what is further is no time to close a bar by.
        """
        self._most_ahead = most_ahead
        self._recorder = recorder
        self._rule = rule
        self._canonical = canonical
        self._trades = trades
        self._validator = QuoteValidator(canonical.values())
        # What a terminal sends again after a broken connection is known already.
        self._known_until = dict.fromkeys(canonical.values(), BEGINNING)
        self._at_last: dict[str, set[tuple[float, float]]] = {symbol: set() for symbol in canonical.values()}
        """Prices accepted at each symbol's last instant: a terminal that reads ticks by time sends them again."""
        self._instant: dict[str, datetime] = {}
        self.windows: dict[str, SymbolWindow] = {}
        self.gaps = Gaps()
        self.last: dict[str, LastQuote] = {}
        self.accepted = 0
        self.refused = 0
        self.quotes = dict.fromkeys(canonical.values(), 0)
        """Quotes accepted, by symbol."""
        self.refusals: Counter[str] = Counter()
        """What was refused, by reason."""

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
        last, at_last = self._last_at(symbol), self._at_last[symbol]
        latest = self.latest()
        is_traded = self._trades.open_on(symbol) is not None
        records: list[Record] = []
        accepted: list[tuple[datetime, float, float]] = []
        is_late = message.is_late
        for tick in message.ticks:
            try:
                at = to_utc(tick.time_msc)
            except InputError as error:
                self.quarantine(symbol, "malformed", str(error), chain)
                continue
            bid, ask = tick.bid, tick.ask
            reason: str | None
            if at <= last and (at < known_until or (at == last and (bid, ask) in at_last)):
                reason = "duplicate"
            elif at > latest:
                reason = "future"
            elif bid is not None and ask is not None and (bid >= MOST_PRICE or ask >= MOST_PRICE):
                reason = "out_of_range"
            else:
                reason = refusal(symbol, at, bid, ask)
                if reason is None and at < closed_until:
                    reason = "late"
            if reason is not None:
                self._refuse_tick(symbol, reason, tick, chain)
                continue
            assert bid is not None
            assert ask is not None
            clock.observe(at)
            self.accepted += 1
            self.quotes[symbol] += 1
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
                    is_late=is_late,
                )
            )
            if not accepted:
                self.gaps.reach(symbol, at)
            accepted.append((at, bid, ask))
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
                self.gaps.forget(symbol, closing.bar.close_at)
                closed_until = window.closed_until
            self.last[symbol] = LastQuote(at, bid, ask, is_late)
        recorder.buffer(records)
        if is_late and accepted:
            self.gaps.add(
                symbol,
                accepted[0][0],
                accepted[-1][0],
                "quotes of the bar were delivered late: it is recorded, not traded",
            )
        self._remember(symbol, accepted)

    def _last_at(self, symbol: str) -> datetime:
        last = self.last.get(symbol)
        return BEGINNING if last is None else last.at

    def latest(self) -> datetime:
        """Return until when a time may be: a little ahead of our clock; in lockstep the stream says itself how it passes."""
        clock = self._recorder.clock
        return clock.now() + (_MOST_JUMP if isinstance(clock, StreamClock) else self._most_ahead)

    def _remember(self, symbol: str, accepted: list[tuple[datetime, float, float]]) -> None:
        """Keep the prices of the last instant: those of this batch, and earlier ones when the instant is the same."""
        if not accepted:
            return
        last = accepted[-1][0]
        prices = {(bid, ask) for at, bid, ask in reversed(accepted) if at == last}
        if self._instant.get(symbol) == last:
            prices |= self._at_last[symbol]
        self._at_last[symbol], self._instant[symbol] = prices, last

    def book(self, message: BookUpdate) -> None:
        """Take a depth of market: recorded, never decided on."""
        symbol = self._canonical.get(message.symbol, "")
        recorder = self._recorder
        if not symbol:
            self.quarantine(message.symbol, "unknown_symbol", "depth of market", message.chain_id)
            return
        at = self._rule.to_utc(message.time_msc)
        reason = book_fault(message) or ("future" if at > self.latest() else "")
        if reason:
            text = book_text(message)
            self.quarantine(symbol, reason, text, message.chain_id)
            return
        recorder.buffer([book_record(recorder, message, symbol, at)])

    def advance(self, at: datetime, chain_id: str) -> list[Closed]:
        """Let time pass: record and return the base bars that have ended at or before `at`, in the symbols' order."""
        self._validator.advance(at)
        for symbol in self.windows:
            self.gaps.reach(symbol, at)
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

    def lost(self, cause: str = "messages of the terminal were lost: the bar may lack quotes") -> None:
        """Messages of the terminal are missing: each symbol's quotes from its last one on, until the next one comes."""
        for symbol in self._canonical.values():
            last = self.last.get(symbol)
            self.gaps.open(symbol, None if last is None else last.at, cause)

    def dropped(self, symbol: str, first_msc: int, last_msc: int, count: int) -> None:
        """Quotes made room for later ones, because the daemon could not keep up: on record, and nothing is traded on their bar."""
        text = f"{count} quotes of server time {first_msc} to {last_msc}: the daemon could not keep up, later quotes replaced them"
        ours = self._canonical.get(symbol, "")
        self.quarantine(ours or symbol, "dropped", text, "", count)
        if ours in self.windows:
            # No time is believed that is no quote's: a gap ends by our clock at the latest.
            latest = self.latest()
            try:
                first, last = sorted(min(self._rule.to_utc(msc), latest) for msc in (first_msc, last_msc))
            except InputError:
                first = last = latest
            cause = f"{count} quotes were dropped, because the daemon could not keep up: the bar lacks quotes"
            self.gaps.add(ours, min(first, self._last_at(ours)), last, cause)

    def resume(self) -> None:
        """A new connection begins: quotes up to the last one known are repetitions.

        By the clock the market went on meanwhile, and a new session counts anew: no number tells whether its terminal kept
        every quote. In lockstep time stood still.
        """
        for symbol, last in self.last.items():
            self._known_until[symbol] = last.at
        if not isinstance(self._recorder.clock, StreamClock):
            for symbol, last in self.last.items():
                self.gaps.open(symbol, last.at, "the connection was lost meanwhile: the bar may lack quotes")

    def restore(self, quote: Quote) -> list[BarValues]:
        """Take a quote of an earlier run; one that no recorded bar holds may close bars, which are returned to be recorded."""
        window = self.windows[quote.symbol]
        if self._validator.refusal(quote.symbol, quote.event_at, quote.bid, quote.ask) is not None:
            return []
        self.last[quote.symbol] = LastQuote(quote.event_at, quote.bid, quote.ask, quote.is_late)
        self._remember(quote.symbol, [(quote.event_at, quote.bid, quote.ask)])
        if quote.event_at < window.closed_until:
            return []
        closing = window.add(quote.event_at, quote.bid, quote.ask)
        return [] if closing is None else [closing.bar, *closing.longer]

    def quarantine(self, symbol: str, reason: str, subject: str, chain_id: str, count: int = 1) -> None:
        """Record what was refused, and why."""
        self.refused += count
        self.refusals[reason] += count
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
                    occurrences=count,
                )
            ]
        )

    def _refuse_tick(self, symbol: str, reason: str, tick: Tick, chain_id: str) -> None:
        self.quarantine(symbol, reason, f"{tick.time_msc} bid {tick.bid} ask {tick.ask}", chain_id)
