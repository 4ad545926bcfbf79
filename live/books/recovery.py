"""What an account's journal says after a restart: trades, orders, risk state, and which bars are decided.

A bar decided is not decided again, an order sent is not sent again (invariant 3): everything is rebuilt from records, in
the order they were written, before the first terminal may connect. What the terminal then says comes on top (`live.trading.reconciliation`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from live.books.account_identity import AccountIdentity, identity_on_record
from live.books.books import Books
from live.books.look_back import dates_needed
from trading_assets.core.market.bars import BarValues
from trading_assets.core.records.decisions import AccountState, Decision, RiskState
from trading_assets.core.records.market import Bar, Quote
from trading_assets.core.records.record import Record
from trading_assets.core.records.trading import (
    ACCOUNT_CHANGE,
    AccountChange,
    AccountSnapshot,
    BreakerEvent,
    ClockVerdict,
    Deal,
    Mark,
    Order,
    Outcome,
    Protection,
    Session,
    StrategyLoad,
    SymbolSpec,
)
from trading_assets.store.journal import JournalError, journal_dates, read_groups, read_groups_backwards
from trading_assets.store.journal_bars import bar_days, bar_lines

_OVERLAP = timedelta(hours=1)

_TRADING_TYPES: tuple[type[Record], ...] = (
    Decision, Order, Deal, Mark, Outcome, BreakerEvent, AccountSnapshot, ClockVerdict, Protection, StrategyLoad, SymbolSpec,
    Session, AccountChange
)  # fmt: skip


class _SeenInputs(msgspec.Struct, frozen=True):
    account_state: AccountState
    risk: RiskState


class _SeenDecision(msgspec.Struct, frozen=True, tag_field="type", tag="decision"):
    """What is needed of a decision that opened nothing: most are, and all of one takes ten times as long to decode."""

    symbol: str
    mode: str
    action: str
    bar_close_at: datetime
    decided_at: datetime
    inputs: _SeenInputs

    @property
    def opens(self) -> bool:
        return self.mode == "execute" and self.action in ("OPEN", "REVERSE")


class _SeenDeal(msgspec.Struct, frozen=True, tag_field="type", tag="deal"):
    """What is needed of a deal of long ago."""

    deal_ticket: str


_BAR, _QUOTE, _DECISION = msgspec.json.Decoder(Bar), msgspec.json.Decoder(Quote), msgspec.json.Decoder(Decision)
_SEEN = msgspec.json.Decoder(_SeenDecision)
_TRADING: msgspec.json.Decoder[Any] = msgspec.json.Decoder(reduce(or_, cast(tuple[Any, ...], _TRADING_TYPES)))
_DEAL = msgspec.json.Decoder(_SeenDeal)
_DECISION_TAG, _QUOTE_TAG, _DEAL_TAG = b'{"type":"decision"', b'{"type":"quote"', b'{"type":"deal"'
_OUTCOME_TAG = b'{"type":"outcome"'
_SESSION_TAGS = (b'{"type":"session"', b'{"type":"account_change"')
_Kind = TypeVar("_Kind")


def _decoded(decoder: msgspec.json.Decoder[_Kind], line: bytes, where: str) -> _Kind:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise JournalError(
            "reading", where, f"a record is none of this schema ({error})",
            "start the version of this software that wrote it, or a later one",
        ) from error  # fmt: skip


class Past:
    """One account's journal, read back."""

    def __init__(self, raw: Path, tenant: str, account: str) -> None:
        self._raw = raw
        self._tenant = tenant
        self._account = account

    def restore_books(self, books: Books) -> dict[str, datetime]:
        """Rebuild trades, orders and risk state; returns until when each symbol is decided."""
        every = journal_dates(self._raw, stream="trading", tenant=self._tenant, account=self._account)
        dates = dates_needed(self._raw, self._tenant, self._account, every)
        if len(every) > len(dates):
            # A server's clock may be ahead: a deal of the first hour may stand in the day before.
            books.trades.known.since = datetime.combine(dates[0], time(), UTC) + _OVERLAP
        decided: dict[str, datetime] = {}
        marks: dict[str, list[Mark]] = {}
        told: dict[str, Deal] = {}
        for record in self._trading(dates):
            match record:
                case Decision() | _SeenDecision():
                    decided[record.symbol] = max(record.bar_close_at, decided.get(record.symbol, record.bar_close_at))
                    if isinstance(record, Decision):
                        books.trades.expect(record)
                    risk = record.inputs.risk
                    seen = record.inputs.account_state
                    books.risk.restore(risk, seen.equity, record.decided_at, record.symbol)
                    books.money.restored(seen.balance, risk.unexplained_balance)
                case Order():
                    self._restore_order(books, record)
                case Mark():
                    marks.setdefault(record.trade_id, []).append(record)
                case Deal() if record.reason != ACCOUNT_CHANGE:
                    before = told.get(record.deal_ticket)
                    told[record.deal_ticket] = record
                    # Told again, its first telling may lie further back: then the decisions since hold the difference.
                    if before is not None or record.event_at.date() >= dates[0]:
                        books.money.deal(record, before)
                    self._restore_other(books, record)
                case _:
                    self._restore_other(books, record)
        if books.identity is None:
            books.identity, books.deal_prefix = self._last_identity(every[: -len(dates) or None])
        for trade in books.trades.open_trades():
            trade.marks = marks.get(trade.trade_id, [])
        return decided

    def _last_identity(self, dates: list[date]) -> tuple[AccountIdentity | None, str]:
        """Return whose account it was in the last session on record, however long ago, and what its deals begin with."""
        for group in read_groups_backwards(
            self._raw, stream="trading", tenant=self._tenant, account=self._account, dates=dates
        ):
            for line in reversed(group.lines):
                if line.startswith(_SESSION_TAGS):
                    record = _decoded(_TRADING, line, group.segment)
                    if isinstance(record, Session):
                        return identity_on_record(record), record.deal_prefix
                    return AccountIdentity(
                        record.login, record.server, record.currency, record.margin_mode
                    ), record.deal_prefix
        return None, ""

    def booked(self, deals: Mapping[str, datetime]) -> set[str]:
        """Return which of these deals, times by ticket, are on record, however long ago. Raises JournalError."""
        if not deals:
            return set()
        first = (min(deals.values()) - _OVERLAP).date()
        every = journal_dates(self._raw, stream="trading", tenant=self._tenant, account=self._account)
        found: set[str] = set()
        for group in read_groups(
            self._raw,
            stream="trading",
            tenant=self._tenant,
            account=self._account,
            dates=[day for day in every if day >= first],
        ):
            for line in group.lines:
                if line.startswith(_DEAL_TAG):
                    found.add(_decoded(_DEAL, line, group.segment).deal_ticket)
        return found & deals.keys()

    def tellings(self, deals: Mapping[str, datetime]) -> dict[str, Deal]:
        """Return these deals, times by ticket, as they were recorded last. Raises JournalError."""
        found: dict[str, Deal] = {}
        first = (min(deals.values()) - _OVERLAP).date()
        for record in self._since(first, _DEAL_TAG):
            if isinstance(record, Deal) and record.deal_ticket in deals:
                found[record.deal_ticket] = record
        return found

    def ending(self, trade: str, since: datetime) -> tuple[Outcome | None, dict[str, Deal]]:
        """Return a trade's outcome as recorded last and its deals by ticket; `since`: of one of its deals. Raises JournalError."""
        outcome: Outcome | None = None
        deals: dict[str, Deal] = {}
        for record in self._since((since - _OVERLAP).date(), _DEAL_TAG, _OUTCOME_TAG):
            if isinstance(record, Deal) and record.trade_id == trade:
                deals[record.deal_ticket] = record
            elif isinstance(record, Outcome) and record.trade_id == trade:
                outcome = record
        if outcome is not None and outcome.opened_at < since:
            return self.ending(trade, outcome.opened_at)
        return outcome, deals

    def _since(self, first: date, *tags: bytes) -> Iterator[Record]:
        """Yield the records of the trading stream with these tags, from a day on."""
        every = journal_dates(self._raw, stream="trading", tenant=self._tenant, account=self._account)
        dates = [day for day in every if day >= first]
        for group in read_groups(self._raw, stream="trading", tenant=self._tenant, account=self._account, dates=dates):
            for line in group.lines:
                if line.startswith(tags):
                    yield _decoded(_TRADING, line, group.segment)

    def bars(self, needed: dict[str, dict[str, int]]) -> dict[str, dict[str, list[BarValues]]]:
        """Return the recorded bars by symbol and timeframe, in order, back to as many as are needed of each.

        `needed` names how many bars of each timeframe a symbol's windows take.
        """
        found: dict[str, dict[str, dict[datetime, BarValues]]] = {
            symbol: {timeframe: {} for timeframe in counts} for symbol, counts in needed.items()
        }
        days = journal_dates(self._raw, stream="market", tenant=self._tenant, account=self._account)
        # Days of which retention left nothing but the bars have no segments and are days all the same.
        days = sorted({*days, *bar_days(self._raw, self._tenant, self._account)})
        for day in reversed(days):
            of_day: dict[tuple[str, str, datetime], BarValues] = {}
            for line in bar_lines(self._raw, self._tenant, self._account, day, is_kept=day != days[-1]):
                record = _decoded(_BAR, line, f"the bars of {day}")
                if record.timeframe in needed.get(record.symbol, {}):
                    # Of two records of one bar the first counts: it is the one decisions have seen.
                    of_day.setdefault((record.symbol, record.timeframe, record.open_at), _values(record))
            for (symbol, timeframe, open_at), bar in of_day.items():
                found[symbol][timeframe][open_at] = bar
            if all(len(found[s][t]) >= count for s, counts in needed.items() for t, count in counts.items()):
                break
        return {
            symbol: {timeframe: [bars[open_at] for open_at in sorted(bars)] for timeframe, bars in by_frame.items()}
            for symbol, by_frame in found.items()
        }

    def quotes_since(self, since: dict[str, datetime]) -> list[Quote]:
        """Return the recorded quotes at or after each symbol's time, in order: those no recorded bar holds.

        A symbol without quotes after its time contributes its last one before it, so that its last price is known.
        """
        dates = journal_dates(self._raw, stream="market", tenant=self._tenant, account=self._account)
        later: list[Quote] = []
        last: dict[str, Quote] = {}
        wanted = {symbol: b'"symbol":' + msgspec.json.encode(symbol) for symbol in since}
        # From the end, which is near. The days before hold the last quote of every symbol that is still traded.
        for group in read_groups_backwards(
            self._raw, stream="market", tenant=self._tenant, account=self._account, dates=dates[-3:]
        ):
            for line in reversed(group.lines):
                if not line.startswith(_QUOTE_TAG) or not any(mark in line for mark in wanted.values()):
                    continue
                quote = _decoded(_QUOTE, line, group.segment)
                if quote.event_at >= since[quote.symbol]:
                    later.append(quote)
                else:
                    last[quote.symbol] = quote
                    del wanted[quote.symbol]
            if not wanted:
                break
        return [*last.values(), *reversed(later)]

    def _trading(self, dates: list[date]) -> Iterator[Record | _SeenDecision]:
        """Yield the records of the trading stream; of a decision that opened nothing only what is needed of it."""
        prefixes = tuple(b'{"type":"%b"' % str(one.__struct_config__.tag).encode() for one in _TRADING_TYPES)
        for group in read_groups(self._raw, stream="trading", tenant=self._tenant, account=self._account, dates=dates):
            for line in group.lines:
                if line.startswith(_DECISION_TAG):
                    seen = _decoded(_SEEN, line, group.segment)
                    yield _decoded(_DECISION, line, group.segment) if seen.opens else seen
                elif line.startswith(prefixes):
                    yield _decoded(_TRADING, line, group.segment)

    @staticmethod
    def _restore_order(books: Books, order: Order) -> None:
        is_new = books.orders.find(order.magic) is None
        books.orders.restore(order)
        if order.purpose == "OPEN":
            if is_new:
                books.risk.observe_entry(order.event_at)
            if order.state in ("REFUSED", "EXPIRED", "CANCELLED"):
                books.trades.give_up(order.trade_id)

    @staticmethod
    def _restore_other(books: Books, record: Record) -> None:
        match record:
            case Deal(reason=reason) if reason == ACCOUNT_CHANGE:
                pass  # Told by no terminal: what the new account's deals are asked for from is not its time.
            case Deal():
                intent = books.orders.find(record.magic)
                books.trades.restore_deal(record, intent.order if intent else None)
                books.risk.restore_slippage(record)
            case Outcome():
                books.trades.end(record)
            case Protection():
                books.protected(record)
            case StrategyLoad():
                books.risk.restore_start(record)
            case BreakerEvent():
                books.risk.restore_breaker(record)
            case AccountSnapshot():
                books.money.account(record.event_at, record.balance, record.equity, record.credit)
                books.balance, books.credit = record.balance, record.credit
            case ClockVerdict():
                books.clock = record
            case Session():
                books.identity, books.deal_prefix = identity_on_record(record), record.deal_prefix
            case AccountChange():
                books.change_account(record)
            case SymbolSpec():
                books.chart_points[record.symbol] = record.chart_point or record.spec.point


def _values(bar: Bar) -> BarValues:
    return BarValues(
        symbol=bar.symbol,
        timeframe=bar.timeframe,
        open_at=bar.open_at,
        close_at=bar.close_at,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        ask_open=bar.ask_open,
        ask_high=bar.ask_high,
        ask_low=bar.ask_low,
        ask_close=bar.ask_close,
        tick_count=bar.tick_count,
        spread_min_points=bar.spread_min_points,
        spread_max_points=bar.spread_max_points,
        spread_sum_points=bar.spread_sum_points,
        source=bar.source,
    )
