"""What an account's journal says after a restart: trades, orders, risk state, and which bars are decided.

A bar decided is not decided again, an order sent is not sent again (invariant 3): everything is rebuilt from records, in
the order they were written, before the first terminal may connect. What the terminal then says comes on top (`live.reconciliation`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

from live.books import Books
from trading_assets.core.market.bars import BarValues
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.market import Bar, Quote
from trading_assets.core.records.record import Record
from trading_assets.core.records.trading import AccountSnapshot, BreakerEvent, Deal, Mark, Order, Outcome
from trading_assets.store.journal import journal_dates, read_records

# The trading stream is read this many journalled days back: longer than any trade's time limit, weekends included.
TRADING_DAYS = 10

_TRADING_TYPES: tuple[type[Record], ...] = (Decision, Order, Deal, Mark, Outcome, BreakerEvent, AccountSnapshot)


class Past:
    """One account's journal, read back."""

    def __init__(self, raw: Path, tenant: str, account: str) -> None:
        self._raw = raw
        self._tenant = tenant
        self._account = account

    def restore_books(self, books: Books) -> dict[str, datetime]:
        """Rebuild trades, orders and risk state; returns until when each symbol is decided."""
        dates = journal_dates(self._raw, stream="trading", tenant=self._tenant, account=self._account)[-TRADING_DAYS:]
        decided: dict[str, datetime] = {}
        marks: dict[str, list[Mark]] = {}
        for record in self._read("trading", dates, _TRADING_TYPES):
            match record:
                case Decision():
                    decided[record.symbol] = max(record.bar_close_at, decided.get(record.symbol, record.bar_close_at))
                    if record.mode == "execute" and record.action in ("OPEN", "REVERSE"):
                        books.trades.expect(record)
                    risk = record.inputs.risk
                    books.risk.restore(risk, record.inputs.account_state.equity, record.decided_at)
                case Order():
                    self._restore_order(books, record)
                case Mark():
                    marks.setdefault(record.trade_id, []).append(record)
                case _:
                    self._restore_other(books, record)
        for trade in books.trades.open_trades():
            trade.marks = marks.get(trade.trade_id, [])
        return decided

    def bars(self, needed: dict[str, dict[str, int]]) -> dict[str, dict[str, list[BarValues]]]:
        """Return the recorded bars by symbol and timeframe, in order, back to as many as are needed of each.

        `needed` names how many bars of each timeframe a symbol's windows take.
        """
        found: dict[str, dict[str, dict[datetime, BarValues]]] = {
            symbol: {timeframe: {} for timeframe in counts} for symbol, counts in needed.items()
        }
        for day in reversed(journal_dates(self._raw, stream="market", tenant=self._tenant, account=self._account)):
            of_day: dict[tuple[str, str, datetime], BarValues] = {}
            for record in self._read("market", [day], (Bar,)):
                assert isinstance(record, Bar)
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
        # The week before holds the last quote of every symbol that is still traded.
        for record in self._read("market", dates[-3:], (Quote,)):
            assert isinstance(record, Quote)
            if record.symbol not in since:
                continue
            if record.event_at >= since[record.symbol]:
                later.append(record)
            else:
                last[record.symbol] = record
        return [*last.values(), *later]

    def _read(self, stream: str, dates: list[date], types: tuple[type[Record], ...]) -> Iterator[Record]:
        yield from read_records(
            self._raw,
            stream=stream,  # type: ignore[arg-type]
            tenant=self._tenant,
            account=self._account,
            dates=dates,
            types=types,
        )

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
            case Deal():
                intent = books.orders.find(record.magic)
                books.trades.restore_deal(record, intent.order if intent else None)
                if record.slippage_points is not None:
                    books.risk.restore_slippage(record.slippage_points)
                if record.kind in ("BALANCE", "CREDIT"):
                    books.risk.restore_cash(record.event_at, record.profit)
            case Outcome():
                books.trades.end(record)
            case BreakerEvent():
                books.risk.restore_breaker(record)
            case AccountSnapshot():
                books.risk.observe_equity(record.event_at, record.equity)


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
