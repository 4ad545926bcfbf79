"""The way of an open trade: every quote goes in, marks come out, and with them the excursions.

A mark is made on the fill, each minute, when the result crosses a multiple of R, and at the first touch of stop or target.
Excursions see every quote, marked or not. What the trade came to in the end is `outcomes`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Literal

import msgspec

from trading_assets.core.records.record import Side
from trading_assets.core.records.trading import Mark

Cause = Literal["minute", "fill", "r_multiple", "stop_touch", "target_touch"]

_MONEY = Context(prec=28, rounding=ROUND_HALF_EVEN)
_CENT = Decimal("0.01")
_MINUTE_S = 60


class OpenTrade(msgspec.Struct, frozen=True, kw_only=True):
    """What a path needs to know of a trade: all fixed at its entry."""

    trade_id: str
    signal_id: str
    symbol: str
    side: Side
    volume_lots: Decimal
    entry_price: float
    stop_price: float
    target_price: float
    risk_unit: float
    opened_at: datetime
    tick_size: float
    tick_value: Decimal


class MarkValues(msgspec.Struct, frozen=True, kw_only=True):
    """A mark without the envelope of its record."""

    at: datetime
    cause: Cause
    bid: float
    ask: float
    unrealised_pnl: Decimal
    unrealised_r: float
    drawdown_r: float
    mae_r: float
    mfe_r: float
    live_risk: Decimal


class PathSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What the path came to."""

    mae_r: float
    mfe_r: float
    time_to_mfe_s: float
    realised_volatility: float
    mark_count: int


class TradePath:
    """Follows one open trade through its quotes. Mutable, for as long as the trade is open."""

    def __init__(self, trade: OpenTrade) -> None:
        if trade.risk_unit <= 0.0:
            raise ValueError(f"trade {trade.trade_id} has no risk unit; its decision named no stop")
        self.trade = trade
        self._sign = 1.0 if trade.side == "BUY" else -1.0
        self._mae = 0.0
        self._mfe = 0.0
        self._mfe_at = trade.opened_at
        self._multiple = 0
        self._minute = _minute_of(trade.opened_at)
        self._touched: set[Cause] = set()
        self._last_mid: float | None = None
        self._squares = 0.0
        self._marks = 0

    @property
    def mark_count(self) -> int:
        """Marks made so far."""
        return self._marks

    def open(self, at: datetime, bid: float, ask: float) -> MarkValues:
        """Mark the fill at the quote of its time."""
        result = self.result_r(bid, ask)
        self._excursion(at, result)
        self._cross(result)
        return self._mark(at, bid, ask, "fill")

    def add(self, at: datetime, bid: float, ask: float) -> MarkValues | None:
        """Take one quote; return the mark it makes, the weightiest one when there are several causes."""
        result = self.result_r(bid, ask)
        self._excursion(at, result)
        cause = self._cause(at, bid if self._sign > 0.0 else ask, result)
        return None if cause is None else self._mark(at, bid, ask, cause)

    def result_r(self, bid: float, ask: float) -> float:
        """Return the unrealised result in R: closing at the bid for BUY, at the ask for SELL."""
        price = bid if self._sign > 0.0 else ask
        return self._sign * (price - self.trade.entry_price) / self.trade.risk_unit

    def resize(self, volume_lots: Decimal, entry_price: float) -> None:
        """Take a change of the position: another part was filled, or a part was closed."""
        self.trade = msgspec.structs.replace(self.trade, volume_lots=volume_lots, entry_price=entry_price)

    def revalue(self, tick_size: float, tick_value: Decimal) -> None:
        """Take a change of what a price step is worth: later marks are valued by it."""
        self.trade = msgspec.structs.replace(self.trade, tick_size=tick_size, tick_value=tick_value)

    def resume(self, marks: Iterable[Mark]) -> None:
        """Go on after a restart from the marks on record, oldest first; quotes between the marks are in their excursions."""
        for mark in marks:
            if mark.mfe_r > self._mfe:
                self._mfe, self._mfe_at = mark.mfe_r, mark.event_at
            self._mae = min(self._mae, mark.mae_r)
            self._cross(mark.unrealised_r)
            if mark.cause in ("stop_touch", "target_touch"):
                self._touched.add(mark.cause)
            self._minute = max(self._minute, _minute_of(mark.event_at))
            self._count(mark.bid, mark.ask)

    def summary(self) -> PathSummary:
        """Return what the path came to so far."""
        return PathSummary(
            mae_r=self._mae,
            mfe_r=self._mfe,
            time_to_mfe_s=max((self._mfe_at - self.trade.opened_at).total_seconds(), 0.0),
            realised_volatility=math.sqrt(self._squares),
            mark_count=self._marks,
        )

    def _excursion(self, at: datetime, result: float) -> None:
        if result > self._mfe:
            self._mfe, self._mfe_at = result, at
        elif result < self._mae:
            self._mae = result

    def _cause(self, at: datetime, price: float, result: float) -> Cause | None:
        """Return why this quote is marked. All causes are counted, so that none is reported later a second time."""
        touch = self._touch(price)
        has_crossed = self._cross(result)
        minute = _minute_of(at)
        is_minute = minute > self._minute
        if is_minute:
            self._minute = minute
        return touch or ("r_multiple" if has_crossed else "minute" if is_minute else None)

    def _touch(self, price: float) -> Cause | None:
        trade = self.trade
        if trade.stop_price > 0.0 and self._sign * (price - trade.stop_price) <= 0.0:
            return self._first("stop_touch")
        if trade.target_price > 0.0 and self._sign * (price - trade.target_price) >= 0.0:
            return self._first("target_touch")
        return None

    def _first(self, cause: Cause) -> Cause | None:
        if cause in self._touched:
            return None
        self._touched.add(cause)
        return cause

    def _cross(self, result: float) -> bool:
        """Whether a whole multiple of R is crossed, other than the last one: a quote that wavers around one marks it once."""
        if result >= self._multiple + 1:
            self._multiple = math.floor(result)
        elif result <= self._multiple - 1:
            self._multiple = math.ceil(result)
        else:
            return False
        return True

    def _count(self, bid: float, ask: float) -> None:
        mid = (bid + ask) / 2.0
        if self._last_mid is not None:
            self._squares += math.log(mid / self._last_mid) ** 2
        self._last_mid = mid
        self._marks += 1

    def _mark(self, at: datetime, bid: float, ask: float, cause: Cause) -> MarkValues:
        self._count(bid, ask)
        trade = self.trade
        result = self.result_r(bid, ask)
        price = bid if self._sign > 0.0 else ask
        to_stop = self._sign * (price - trade.stop_price) if trade.stop_price > 0.0 else trade.risk_unit
        return MarkValues(
            at=at,
            cause=cause,
            bid=bid,
            ask=ask,
            unrealised_pnl=self._value(self._sign * (price - trade.entry_price)),
            unrealised_r=result,
            drawdown_r=self._mfe - result,
            mae_r=self._mae,
            mfe_r=self._mfe,
            live_risk=self._value(max(to_stop, 0.0)),
        )

    def _value(self, distance: float) -> Decimal:
        """Return the value of a price distance for the open volume, to the cent."""
        trade = self.trade
        in_ticks = Decimal(round(distance / trade.tick_size, 6))
        return _MONEY.multiply(in_ticks, trade.tick_value * trade.volume_lots).quantize(_CENT, ROUND_HALF_EVEN, _MONEY)


def mark_record(
    path: TradePath, values: MarkValues, tenant: str, account: str, chain_id: str, known_at: datetime
) -> Mark:
    """Return the record of a mark."""
    return Mark(
        tenant=tenant,
        account=account,
        event_at=values.at,
        known_at=known_at,
        chain_id=chain_id,
        trade_id=path.trade.trade_id,
        signal_id=path.trade.signal_id,
        symbol=path.trade.symbol,
        cause=values.cause,
        bid=values.bid,
        ask=values.ask,
        unrealised_pnl=values.unrealised_pnl,
        unrealised_r=values.unrealised_r,
        drawdown_r=values.drawdown_r,
        mae_r=values.mae_r,
        mfe_r=values.mfe_r,
        live_risk=values.live_risk,
    )


def _minute_of(at: datetime) -> int:
    return int(at.timestamp() // _MINUTE_S)
