"""How a session is opened: charts restored from the journal, history asked for, and only then quotes looked at.

Quotes and heartbeats that arrive meanwhile wait in order. The rules of what fills a chart are in `live.market.history`; positions and
deals are reconciled at the same time by `live.trading.reconciliation`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from live.bridge.link import Link
from live.clock import ServerClock
from live.market.feed import Feed
from live.market.history import asked_from, asked_timeframes, bar_of, first_fill, gap_fill
from live.market.window import KEPT_BARS, SymbolWindow
from live.recorder import Recorder
from trading_assets.core.errors import InputError
from trading_assets.core.features.feature_set import FeatureSet
from trading_assets.core.features.window import WARM_UP_BARS
from trading_assets.core.market.bars import BarValues
from trading_assets.core.market.timeframes import MINUTES, duration, floor
from trading_assets.core.messages import Bars, Query, TerminalHeartbeat, Ticks
from trading_assets.core.records.decisions import SymbolState
from trading_assets.core.records.market import Quote
from trading_assets.core.records.record import Record

# A terminal may answer empty while it downloads; a chart that is still empty after this many answers has no history.
_EMPTY_ANSWERS = 3
# Waiting messages: some hours of quotes. More means that the terminal never answers.
MOST_WAITING = 50_000
_MOST_TICKS = 500_000
_MOMENT_S = 0.25


@dataclass
class _Question:
    """One chart asked for."""

    symbol: str
    timeframe: str
    since: datetime
    asks: int = 0
    bars: list[BarValues] = field(default_factory=list)
    is_answered: bool = False


def needed_bars(feature_set: FeatureSet) -> dict[str, int]:
    """Return how many bars of each timeframe decisions of a day may reach back to."""
    return {
        timeframe: min(WARM_UP_BARS + 2 * MINUTES["D1"] // MINUTES[timeframe], KEPT_BARS)
        for timeframe in feature_set.timeframes
    }


class Opening:
    """The history of one account's charts, from the first snapshot of a session until all of it is there."""

    def __init__(
        self,
        recorder: Recorder,
        rule: ServerClock,
        raw_symbols: Mapping[str, str],
        feature_set: FeatureSet,
        feed: Feed,
        specs: Mapping[str, SymbolState],
    ) -> None:
        """`raw_symbols`: canonical symbol → the broker's; `specs`: the contracts as they are now."""
        self._recorder = recorder
        self._rule = rule
        self._raw = raw_symbols
        self._canonical = {raw: symbol for symbol, raw in raw_symbols.items()}
        self._feature_set = feature_set
        self._feed = feed
        self._specs = specs
        self._questions: dict[str, _Question] = {}
        self._waited_s = self._looked_s = 0.0
        self._held_ticks = 0
        self.is_begun = False
        """Whether this session's first snapshot has come."""
        self.waiting: deque[tuple[Ticks | TerminalHeartbeat, int]] = deque()
        """Messages that may not be looked at yet, in order."""

    @property
    def is_answered(self) -> bool:
        """Whether nothing is asked any more."""
        return all(question.is_answered for question in self._questions.values())

    def look(self) -> float:
        """Return how long the last question waits, in seconds; called a few times a second.

        What passes between two looks counts for a moment at most: a daemon that stood still blames nobody for it.
        """
        now_s = time.monotonic()
        self._waited_s += min(now_s - self._looked_s, _MOMENT_S)
        self._looked_s = now_s
        return self._waited_s

    def begin(self) -> None:
        """A new session: nothing asked for before will be answered."""
        self.is_begun = False
        self._held_ticks = 0
        self._questions.clear()
        self.waiting.clear()

    def hold(self, message: Ticks | TerminalHeartbeat, arrived_ns: int) -> None:
        """Let a message wait. Raises InputError when too many do: then the terminal never answers."""
        if not self.waiting:
            self._held_ticks = 0
        self._held_ticks += len(message.ticks) if isinstance(message, Ticks) else 0
        if len(self.waiting) >= MOST_WAITING or self._held_ticks > _MOST_TICKS:
            raise InputError(
                "opening", f"session of {self._recorder.account}", "the terminal does not answer", "restart it"
            )
        self.waiting.append((message, arrived_ns))

    def make_windows(
        self,
        points: Mapping[str, float],
        bars: Mapping[str, Mapping[str, list[BarValues]]],
        quotes: list[Quote],
    ) -> list[Record]:
        """Make the windows of symbols that have none, with what earlier runs recorded; returns bars to record.

        `points`: the step in which each symbol's chart counts spreads.
        """
        fresh = [symbol for symbol in self._raw if symbol in self._specs and symbol not in self._feed.windows]
        made: list[BarValues] = []
        for symbol in fresh:
            window = SymbolWindow(symbol, self._feature_set, points[symbol])
            past = bars.get(symbol, {})
            # Without base bars (the timeframe was changed) the chart begins anew, all of it from the terminal.
            for timeframe, recorded in past.items() if past.get(self._feature_set.base) else ():
                for bar in recorded:
                    window.restore(timeframe, bar)
            made += window.resume()
            self._feed.windows[symbol] = window
        for quote in quotes:
            if quote.symbol in fresh:
                made += self._feed.restore(quote)
        return self._feed.bar_records(made, self._recorder.chain())

    async def ask(self, link: Link) -> None:
        """Ask for the charts' history: all of it for an empty chart, else what closed since the last bar."""
        self.is_begun = True
        self._waited_s, self._looked_s = 0.0, time.monotonic()
        now = self._recorder.clock.now()
        base = self._feature_set.base
        for symbol, window in self._feed.windows.items():
            if not len(window.charts[base]):
                for timeframe in asked_timeframes(self._feature_set):
                    self._add(symbol, timeframe, asked_from(self._feature_set, timeframe, now))
            elif now - window.closed_until >= duration(base):
                self._add(symbol, base, window.closed_until)
        for question in self._questions.values():
            await self._ask(link, question)

    async def ask_again(self, link: Link) -> None:
        """Repeat the questions without an answer; one that was asked often enough is given up, loudly."""
        for question in self._questions.values():
            if question.is_answered:
                continue
            if question.asks >= _EMPTY_ANSWERS:
                question.is_answered = True
                text = f"the terminal does not answer {question.timeframe} history of {question.symbol}; the chart begins without it"
                self._recorder.error("live.market.opening", text)
            else:
                await self._ask(link, question)

    async def take(self, message: Bars, link: Link) -> None:
        """Take an answer, or a part of one."""
        question = self._questions.get(message.request_id)
        if question is None or question.is_answered:
            return
        chart_point = self._feed.windows[question.symbol].point
        point = self._specs[question.symbol].point
        now = self._recorder.clock.now()
        refused = 0
        for facts in message.bars:
            try:
                bar = bar_of(facts, question.symbol, question.timeframe, point, self._rule.rule, chart_point)
            except InputError:
                bar = None
            if bar is None:
                refused += 1
            elif bar.close_at <= now:
                question.bars.append(bar)
        if refused:
            text = f"{refused} bars of {message.symbol} {message.timeframe} are no bars or do not stand on the UTC grid; check the account's clock rule"
            self._feed.quarantine(question.symbol, "off_grid", text, message.chain_id, refused)
        if not message.is_last:
            return
        if not question.bars and not refused and question.asks < _EMPTY_ANSWERS:
            await self._ask(link, question)
        else:
            question.is_answered = True

    def finish(self) -> list[Record]:
        """Put what was answered into the charts; returns the bars to record, together (invariant 2)."""
        by_symbol: dict[str, dict[str, list[BarValues]]] = {}
        for question in self._questions.values():
            cut = self._built_from(question.symbol)
            bars = sorted(question.bars, key=lambda bar: bar.open_at)
            kept = [bar for bar in bars if cut is None or bar.close_at <= cut]
            by_symbol.setdefault(question.symbol, {})[question.timeframe] = kept
        self._questions.clear()
        filled: list[BarValues] = []
        for symbol, answered in by_symbol.items():
            filled += self._fill(symbol, answered)
        return self._feed.bar_records(filled, self._recorder.chain())

    def _fill(self, symbol: str, answered: dict[str, list[BarValues]]) -> list[BarValues]:
        window = self._feed.windows[symbol]
        if len(window.charts[self._feature_set.base]):
            return gap_fill(window, answered.get(self._feature_set.base, []), self._recorder.clock.now())
        filled: list[BarValues] = []
        for timeframe, bars in first_fill(self._feature_set, answered).items():
            for bar in bars:
                window.restore(timeframe, bar)
            filled += bars
        return filled + window.resume()

    def _built_from(self, symbol: str) -> datetime | None:
        """Return the open of the first base bar that waiting quotes make: from there on history is not taken."""
        for message, _ in self.waiting:
            if isinstance(message, Ticks) and message.ticks and self._canonical.get(message.symbol) == symbol:
                return floor(self._rule.to_utc(message.ticks[0].time_msc), self._feature_set.base)
        return None

    def _add(self, symbol: str, timeframe: str, since: datetime) -> None:
        self._questions[f"bars-{symbol}-{timeframe}"] = _Question(symbol, timeframe, since)

    async def _ask(self, link: Link, question: _Question) -> None:
        question.asks += 1
        question.bars.clear()
        self._waited_s, self._looked_s = 0.0, time.monotonic()
        await link.send(
            Query,
            request_id=f"bars-{question.symbol}-{question.timeframe}",
            what="bars",
            symbol=self._raw[question.symbol],
            timeframe=question.timeframe,
            from_msc=self._rule.to_server(question.since),
        )
