"""The ledger: profit-and-loss events from deals, and the proof that no cent is lost.

Which deals are profit or loss, which are deposits and which are neither is `deal_kinds`' table; what moved is profit, commission,
swap, fee. The broker is right about the past: where it tells a deal again with other figures, the latest telling counts,
and the events say so by a correction of the difference, never by a changed row. All money is Decimal.
What the events add up to is `equity`, how well that was done is `performance`, how one trade ended is `outcomes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from trading_assets.core.trades.deal_kinds import CASH_KINDS, CREDIT_KINDS, TRADE_KINDS, named_for

PNL_KINDS = ("profit", "commission", "swap", "fee")
MONEY = pl.Decimal(38, 8)
ZERO = Decimal(0)

_OWNER = ["tenant", "account"]
MOVED = pl.sum_horizontal(*PNL_KINDS).cast(MONEY)
IS_TRADE = pl.col("kind").is_in(TRADE_KINDS)
"""Deals that fill volume."""
IS_CASH = pl.col("kind").is_in(CASH_KINDS)
"""Deals that pay in or out."""
IS_PNL = ~pl.col("kind").is_in((*CASH_KINDS, *CREDIT_KINDS))
"""Deals whose money is profit or loss: of trades, costs, and whatever nobody knows."""
_TOLD_LAST = (*PNL_KINDS, "kind", "reason", "volume_lots", "price")
_EVENT_OF = ("position_id", "trade_id", "signal_id", "symbol", "source", "slippage_points")


def distinct_deals(deals: pl.DataFrame) -> pl.DataFrame:
    """Return one row per account and deal ticket: a terminal asked again answers again.

    Money, type, reason, volume and price are as told last; everything else, the moment it became known as well, as told first.
    """
    tellings = deals.sort("known_at", maintain_order=True)
    ticket = [*_OWNER, "deal_ticket"]
    first = tellings.unique(ticket, keep="first", maintain_order=True)
    if len(first) == len(tellings):
        return first
    told = [name for name in _TOLD_LAST if name in deals.columns]
    last = tellings.select(*ticket, *told).unique(ticket, keep="last", maintain_order=True)
    return first.drop(told).join(last, on=ticket, how="left", maintain_order="left").select(deals.columns)


def apportioned(deals: pl.DataFrame) -> pl.DataFrame:
    """Return deals with the amount of each cost in the kind of money it is: a daily commission is told as profit."""
    elsewhere = pl.lit(False)
    parts = {}
    for money in PNL_KINDS[1:]:
        is_of = pl.col("kind").is_in(named_for(money))
        parts[money] = pl.when(is_of).then(pl.col(money) + pl.col("profit")).otherwise(pl.col(money)).cast(MONEY)
        elsewhere = elsewhere | is_of
    return deals.with_columns(**parts, profit=pl.when(elsewhere).then(ZERO).otherwise(pl.col("profit")).cast(MONEY))


def pnl_events(deals: pl.DataFrame) -> pl.DataFrame:
    """Return one row per telling of a deal that is profit or loss and kind of money it moved (table `pnl_events`).

    `deals` are rows of raw_deals, all that are known of the tickets in it. An event belongs to the day on which it became
    known, and what becomes known later adds events and changes none. Zero amounts have no row.
    """
    ticket = [*_OWNER, "deal_ticket"]
    counted = {kind: pl.when(IS_PNL).then(pl.col(kind)).otherwise(ZERO).cast(MONEY) for kind in PNL_KINDS}
    told = apportioned(deals).with_columns(**counted).sort("known_at", maintain_order=True)
    before = {kind: pl.col(kind).shift(1).over(ticket).fill_null(ZERO) for kind in PNL_KINDS}
    moved = told.with_columns((pl.col(kind) - before[kind]).cast(MONEY) for kind in PNL_KINDS)
    changes = moved.filter(pl.any_horizontal(pl.col(kind) != ZERO for kind in PNL_KINDS))
    return (
        changes.with_columns(
            revision=pl.int_range(pl.len(), dtype=pl.Int64).over(ticket),
            deal_fees=pl.sum_horizontal("commission", "swap", "fee").cast(MONEY),
        )
        .rename({"kind": "deal_kind", "reason": "source"})
        .unpivot(
            on=PNL_KINDS,
            index=[*ticket, "event_at", "known_at", *_EVENT_OF, "revision", "deal_fees"],
            variable_name="kind",
            value_name="amount",
        )
        .filter(pl.col("amount") != ZERO)
        .with_columns(date=pl.col("known_at").dt.date())
        .sort(*_OWNER, "known_at", "event_at", "deal_ticket", "revision", "kind")
    )


@dataclass(frozen=True)
class Conservation:
    """The same money counted three ways."""

    deals: Decimal
    """What the deals moved that are profit or loss."""
    events: Decimal
    """What the profit-and-loss events say."""
    deposits: Decimal
    """What was paid in and out."""
    balance_change: Decimal
    """What the terminal says the balance moved by."""

    @property
    def difference(self) -> Decimal:
        """Largest distance between any two of the three; 0 when no cent is lost."""
        counted = (self.deals, self.events, self.balance_change - self.deposits)
        return max(counted) - min(counted)


def conservation(deals: pl.DataFrame, events: pl.DataFrame, balance_change: Decimal) -> Conservation:
    """Count realised money by deals, by events and by the balance, whose change the terminal reported.

    `deals` and `events` cover the same accounts and the same span as `balance_change`. Credit is in none of the three.
    """
    known = distinct_deals(deals)
    return Conservation(
        deals=_total(known.filter(IS_PNL).select(MOVED.alias("moved"))["moved"]),
        events=_total(events["amount"]),
        deposits=_total(known.filter(IS_CASH).select(MOVED.alias("moved"))["moved"]),
        balance_change=balance_change,
    )


def _total(amounts: pl.Series) -> Decimal:
    total = amounts.cast(MONEY).sum()
    assert isinstance(total, Decimal)
    return total


def positions(known: pl.DataFrame) -> pl.DataFrame:
    """Return one row per position of distinct deals: when it was opened and closed (null while open), and its net profit."""
    signed = pl.when(pl.col("kind") == "BUY").then(pl.col("volume_lots")).otherwise(-pl.col("volume_lots"))
    fills = known.filter(IS_TRADE)
    # A deal that was taken back, or a cost of the position, fills nothing and moves money all the same.
    of_fills = known.filter(IS_PNL).join(fills, on=[*_OWNER, "position_id"], how="semi", maintain_order="left")
    return (
        of_fills.sort("event_at", maintain_order=True)
        .group_by(*_OWNER, "position_id", maintain_order=True)
        .agg(
            trade_id=pl.col("trade_id").drop_nulls().first(),
            signal_id=pl.col("signal_id").drop_nulls().first(),
            opened_at=pl.col("event_at").filter(IS_TRADE).first(),
            last_deal_at=pl.col("event_at").filter(IS_TRADE).last(),
            open_lots=signed.filter(IS_TRADE).sum(),
            net_pnl=MOVED.sum().cast(MONEY),
        )
        .with_columns(closed_at=pl.when(pl.col("open_lots") == ZERO).then(pl.col("last_deal_at")))
        .drop("last_deal_at")
    )
