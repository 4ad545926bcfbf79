"""A second ledger, slow and plain: loops over rows, exact decimals and fractions, statistics from the standard library.

Written from the definitions alone and sharing no code with the product; the tests hold the two against each other.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

ZERO = Decimal(0)
MONEY = ("profit", "commission", "swap", "fee")
Row = dict[str, Any]


def net(deal: Row) -> Decimal:
    """What a deal moved."""
    return sum((deal[name] for name in MONEY), ZERO)


def is_trade(deal: Row) -> bool:
    """Whether it fills volume."""
    return deal["kind"] in ("BUY", "SELL")


def is_paid_in(deal: Row) -> bool:
    """Whether it is the trader's money coming or going, or the broker's gift."""
    return deal["kind"] in ("BALANCE", "BONUS")


def is_earned(deal: Row) -> bool:
    """Whether its money is profit or loss: everything but what is paid in and what is lent."""
    return not is_paid_in(deal) and deal["kind"] != "CREDIT"


def last_told(deals: Sequence[Row]) -> list[Row]:
    """One deal for each ticket, its figures as told last."""
    told: dict[str, Row] = {}
    for deal in sorted(deals, key=lambda row: row["known_at"]):
        first = told.get(deal["deal_ticket"], deal)
        told[deal["deal_ticket"]] = first | {
            name: deal[name] for name in (*MONEY, "kind", "volume_lots", "price", "reason")
        }
    return list(told.values())


def closed(deals: Sequence[Row]) -> list[Row]:
    """Positions whose lots add up to nothing: when they were opened and closed, and what they made."""
    lives: dict[str, list[Row]] = defaultdict(list)
    for deal in sorted(last_told(deals), key=lambda row: row["event_at"]):
        if is_trade(deal):
            lives[deal["position_id"]].append(deal)
    ended = []
    for position, parts in lives.items():
        lots = sum((part["volume_lots"] * (1 if part["kind"] == "BUY" else -1) for part in parts), ZERO)
        if lots == ZERO:
            whole = {"position": position, "trade": parts[0]["trade_id"], "symbol": parts[0]["symbol"]}
            ended.append(
                whole
                | {"opened": parts[0]["event_at"], "closed": parts[-1]["event_at"], "net": sum(map(net, parts), ZERO)}
            )
    return ended


def minutes(deals: Sequence[Row], marks: Sequence[Row]) -> list[tuple[Any, ...]]:
    """Every minute with a deal or a mark: balance, unrealised, high-water mark, drawdown, seconds under water."""
    known, ends = last_told(deals), {row["trade"]: row["closed"] for row in closed(deals)}
    trades = {deal["trade_id"] for deal in known if is_trade(deal)}
    happened: list[tuple[Any, int, Any]] = [(deal["event_at"], 0, deal) for deal in known if deal["kind"] != "CREDIT"]
    for mark in marks:
        end = ends.get(mark["trade_id"])
        if mark["trade_id"] in trades and (end is None or mark["event_at"] <= end):
            happened.append((mark["event_at"], 1, mark))
    happened += [(end, 2, trade) for trade, end in ends.items()]
    balance = deposits = ZERO
    worth: dict[str, Decimal] = {}
    rows: dict[Any, tuple[Decimal, Decimal, Decimal]] = {}
    for at, what, row in sorted(happened, key=lambda one: (one[0], one[1])):
        if what == 0:
            balance += net(row)
            deposits += net(row) if is_paid_in(row) else ZERO
        elif what == 1:
            worth[row["trade_id"]] = row["unrealised_pnl"]
        else:
            worth.pop(row, None)
        rows[at.replace(second=0, microsecond=0)] = (balance, deposits, sum(worth.values(), ZERO))
    return _under_water(rows)


def _under_water(rows: dict[Any, tuple[Decimal, Decimal, Decimal]]) -> list[tuple[Any, ...]]:
    best, high_at, day = None, None, None
    found: list[tuple[Any, ...]] = []
    for at, (balance, deposits, unrealised) in rows.items():
        midnight = at.replace(hour=0, minute=0)
        if day is not None and midnight > day and found and found[-1][4] == ZERO:
            high_at = midnight  # on a high at the end of the day before
        day = midnight
        earned = balance + unrealised - deposits
        if best is None or earned >= best:
            best, high_at = earned, at
        under = (at - high_at).total_seconds()
        found.append((at, balance, unrealised, best + deposits, best - earned, under))
    return found


def observed_on(day: date) -> date:
    """The Monday after, for a Saturday or Sunday."""
    return day + timedelta(days=max(0, 7 - day.weekday()) if day.weekday() > 4 else 0)


def returns(deals: Sequence[Row]) -> list[float]:
    """The account's daily returns, idle weekdays included, from its first trade deal to its last."""
    known = [deal for deal in last_told(deals) if deal["kind"] != "CREDIT"]
    trading = [observed_on(deal["event_at"].date()) for deal in known if is_earned(deal)]
    if not trading:
        return []
    found, day = [], min(trading)
    while day <= max(trading):
        if day.weekday() < 5:
            today = [deal for deal in known if observed_on(deal["event_at"].date()) == day]
            before = sum((net(deal) for deal in known if observed_on(deal["event_at"].date()) < day), ZERO)
            paid = sum((net(deal) for deal in today if is_paid_in(deal) and net(deal) > ZERO), ZERO)
            made = sum((net(deal) for deal in today if is_earned(deal)), ZERO)
            if before + paid > ZERO:
                found.append(float(made / (before + paid)))
            elif not any(map(is_earned, today)):
                found.append(0.0)
        day += timedelta(days=1)
    return found


def ratios(series: Sequence[float]) -> dict[str, float | None]:
    """Sharpe, Sortino, Calmar and largest drawdown as the textbooks have them; None where a divisor is zero."""
    worst, grown, peak = 0.0, 1.0, 1.0
    for one in series:
        grown *= 1.0 + one
        peak = max(peak, grown)
        worst = min(max(worst, 1.0 - grown / peak), 1.0)  # more than everything cannot be lost
    if len(series) < 2:
        return {"sharpe": None, "sortino": None, "calmar": None, "max_drawdown": worst}
    mean, spread = statistics.fmean(series), statistics.stdev(series)
    downside = math.sqrt(statistics.fmean([min(one, 0.0) ** 2 for one in series]))
    year = grown ** (252 / len(series)) - 1.0 if grown > 0 else None
    return {
        "sharpe": mean / spread * math.sqrt(252) if spread > 1e-15 else None,
        "sortino": mean / downside * math.sqrt(252) if downside > 1e-15 else None,
        "calmar": year / worst if year is not None and worst > 1e-15 else None,
        "max_drawdown": worst,
    }
