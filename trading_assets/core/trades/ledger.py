"""The ledger: profit-and-loss events from deals, the equity curve, and the proof that no cent is lost.

Definitions. Profit and loss is what deals of kind BUY and SELL moved: profit, commission, swap, fee. Balance operations
are deposits, credit is neither. Equity = balance + unrealised. The high-water mark moves with deposits, so that a
withdrawal is no drawdown. Average net = arithmetic mean net profit per closed trade, in account currency.
All money is Decimal. How one trade ended is `outcomes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import polars as pl

PNL_KINDS = ("profit", "commission", "swap", "fee")
MONEY = pl.Decimal(38, 8)
ZERO = Decimal(0)

_OWNER = ["tenant", "account"]
_MOVED = pl.sum_horizontal(*PNL_KINDS).cast(MONEY)
_IS_TRADE = pl.col("kind").is_in(["BUY", "SELL"])
_IS_CREDIT = pl.col("kind") == "CREDIT"


def distinct_deals(deals: pl.DataFrame) -> pl.DataFrame:
    """Return one row per account and deal ticket, the one known first: a terminal asked again answers again."""
    return deals.sort("known_at", maintain_order=True).unique(
        [*_OWNER, "deal_ticket"], keep="first", maintain_order=True
    )


def pnl_events(deals: pl.DataFrame) -> pl.DataFrame:
    """Return one row per trade deal and kind of money it moved (table `pnl_events`); zero amounts have no row."""
    return (
        distinct_deals(deals)
        .filter(_IS_TRADE)
        .rename({"kind": "deal_kind", "reason": "source"})
        .unpivot(
            on=PNL_KINDS,
            index=[
                *_OWNER,
                "deal_ticket",
                "event_at",
                "known_at",
                "position_id",
                "trade_id",
                "signal_id",
                "symbol",
                "source",
                "slippage_points",
            ],
            variable_name="kind",
            value_name="amount",
        )
        .filter(pl.col("amount") != ZERO)
        .with_columns(date=pl.col("event_at").dt.date())
        .sort(*_OWNER, "event_at", "deal_ticket", "kind")
    )


@dataclass(frozen=True)
class Conservation:
    """The same money counted three ways."""

    deals: Decimal
    """What the trade deals moved."""
    events: Decimal
    """What the profit-and-loss events say."""
    deposits: Decimal
    """What balance operations moved."""
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
        deals=_total(known.filter(_IS_TRADE).select(_MOVED.alias("moved"))["moved"]),
        events=_total(events["amount"]),
        deposits=_total(known.filter(pl.col("kind") == "BALANCE").select(_MOVED.alias("moved"))["moved"]),
        balance_change=balance_change,
    )


def _total(amounts: pl.Series) -> Decimal:
    total = amounts.cast(MONEY).sum()
    assert isinstance(total, Decimal)
    return total


def equity_curve(deals: pl.DataFrame, marks: pl.DataFrame) -> pl.DataFrame:
    """Return balance and equity for every minute with a deal or a mark (table `equity_curve`).

    Both frames reach back to the account's first deposit: `deals` are rows of raw_deals, `marks` of marks, in any order.
    A trade is worth its last mark until the deal that closes it, and nothing from then on.
    """
    known = distinct_deals(deals)
    closed = closings(known)
    realised = known.filter(~_IS_CREDIT).select(
        *_OWNER,
        "event_at",
        balance=_MOVED,
        deposits=pl.when(_IS_TRADE).then(pl.lit(ZERO, MONEY)).otherwise(_MOVED),
        unrealised_pnl=pl.lit(ZERO, MONEY),
        open_trades=pl.lit(0, pl.Int64),
    )
    moves = pl.concat([realised, _revaluations(marks, closed), _counts(known, closed)]).sort(
        *_OWNER, "event_at", maintain_order=True
    )
    running = moves.with_columns(
        pl.col("balance", "deposits", "unrealised_pnl", "open_trades").cum_sum().over(_OWNER),
        minute_at=pl.col("event_at").dt.truncate("1m"),
    )
    minutes = running.group_by(*_OWNER, "minute_at", maintain_order=True).agg(
        pl.col("balance", "deposits", "unrealised_pnl", "open_trades").last()
    )
    return _with_drawdown(minutes)


def closings(known: pl.DataFrame) -> pl.DataFrame:
    """Return each closed position with `closed_at`, its `trade_id` and its net profit, from distinct deals."""
    signed = pl.when(pl.col("kind") == "BUY").then(pl.col("volume_lots")).otherwise(-pl.col("volume_lots"))
    return (
        known.filter(_IS_TRADE)
        .sort("event_at", maintain_order=True)
        .group_by(*_OWNER, "position_id", maintain_order=True)
        .agg(
            trade_id=pl.col("trade_id").drop_nulls().first(),
            opened_at=pl.col("event_at").first(),
            closed_at=pl.col("event_at").last(),
            open_lots=signed.sum(),
            net_pnl=_MOVED.sum(),
        )
        .filter(pl.col("open_lots") == ZERO)
    )


def _revaluations(marks: pl.DataFrame, closed: pl.DataFrame) -> pl.DataFrame:
    """Return how the unrealised profit moves: by each mark against the one before, and back to nothing at the close."""
    trade = [*_OWNER, "trade_id"]
    ends = closed.filter(pl.col("trade_id").is_not_null()).select(*trade, "closed_at")
    valued = (
        marks.select(*trade, "event_at", value=pl.col("unrealised_pnl").cast(MONEY))
        .join(ends, on=trade, how="left")
        # A mark of the closing instant was made before the close; a later one has nothing left to value.
        .filter(pl.col("closed_at").is_null() | (pl.col("event_at") <= pl.col("closed_at")))
        .drop("closed_at")
    )
    emptied = ends.select(*trade, event_at=pl.col("closed_at"), value=pl.lit(ZERO, MONEY))
    path = pl.concat([valued, emptied]).sort(*trade, "event_at", maintain_order=True)
    change = pl.col("value") - pl.col("value").shift(1).over(trade).fill_null(ZERO)
    return path.select(
        *_OWNER,
        "event_at",
        balance=pl.lit(ZERO, MONEY),
        deposits=pl.lit(ZERO, MONEY),
        unrealised_pnl=change.cast(MONEY),
        open_trades=pl.lit(0, pl.Int64),
    )


def _counts(known: pl.DataFrame, closed: pl.DataFrame) -> pl.DataFrame:
    """Return when the number of open trades moves: up at the first deal of a position, down at the closing one."""
    opened = known.filter(_IS_TRADE).group_by(*_OWNER, "position_id").agg(event_at=pl.col("event_at").min())
    nothing = pl.lit(ZERO, MONEY)
    return pl.concat(
        frame.select(
            *_OWNER,
            "event_at",
            balance=nothing,
            deposits=nothing,
            unrealised_pnl=nothing,
            open_trades=pl.lit(step, pl.Int64),
        )
        for frame, step in ((opened, 1), (closed.rename({"closed_at": "event_at"}), -1))
    )


def _with_drawdown(minutes: pl.DataFrame) -> pl.DataFrame:
    equity = pl.col("balance") + pl.col("unrealised_pnl")
    earned = (equity - pl.col("deposits")).cum_max().over(_OWNER)
    share = pl.col("drawdown").cast(pl.Float64) / pl.col("high_water_mark").cast(pl.Float64)
    return (
        minutes.with_columns(equity=equity.cast(MONEY), high_water_mark=(earned + pl.col("deposits")).cast(MONEY))
        .with_columns(drawdown=pl.col("high_water_mark") - pl.col("equity"))
        .with_columns(
            # Nothing deposited, nothing to draw down; an account under water has lost all of it.
            drawdown_share=pl.when(pl.col("high_water_mark") > ZERO).then(share.clip(0.0, 1.0)).otherwise(0.0),
            date=pl.col("minute_at").dt.date(),
        )
        .drop("deposits")
    )


def equity_daily(deals: pl.DataFrame, curve: pl.DataFrame) -> pl.DataFrame:
    """Return one row per account and UTC day with a deal or a mark (table `equity_daily`), from the whole curve."""
    day = [*_OWNER, "date"]
    known = distinct_deals(deals).with_columns(date=pl.col("event_at").dt.date())
    days = curve.group_by(day).agg(
        closing_balance=pl.col("balance").sort_by("minute_at").last(),
        closing_equity=pl.col("equity").sort_by("minute_at").last(),
        max_drawdown_share=pl.col("drawdown_share").max(),
    )
    moved = known.group_by(day).agg(
        deposits=_MOVED.filter(~_IS_TRADE).sum(),
        gross_pnl=pl.col("profit").filter(_IS_TRADE).sum(),
        **{kind: pl.col(kind).filter(_IS_TRADE).sum() for kind in ("commission", "swap", "fee")},
    )
    ended = closings(known)
    opened = known.filter(_IS_TRADE).group_by(*_OWNER, "position_id").agg(date=pl.col("date").min())
    joined = (
        days.join(moved, on=day, how="left")
        .join(opened.group_by(day).len("trades_opened"), on=day, how="left")
        .join(
            ended.group_by(*_OWNER, date=pl.col("closed_at").dt.date()).agg(
                trades_closed=pl.len(), closed_net=pl.col("net_pnl").sum()
            ),
            on=day,
            how="left",
        )
    )
    money = ("deposits", "gross_pnl", "commission", "swap", "fee", "closed_net")
    return _with_running(
        joined.with_columns(
            *(pl.col(name).fill_null(ZERO).cast(MONEY) for name in money),
            pl.col("trades_opened", "trades_closed").fill_null(0).cast(pl.Int64),
        ).sort(day)
    )


def _with_running(days: pl.DataFrame) -> pl.DataFrame:
    """Add what a day has of the days before it: opening balance, average net, volatility of profit and loss."""
    net = pl.sum_horizontal("gross_pnl", "commission", "swap", "fee").cast(MONEY)
    trades = pl.col("trades_closed").cum_sum().over(_OWNER)
    earned = pl.col("closed_net").cum_sum().over(_OWNER)
    number = pl.col("net_pnl").cast(pl.Float64)
    opening = pl.col("closing_balance").shift(1).over(_OWNER).fill_null(ZERO)
    return (
        days.with_columns(net_pnl=net, opening_balance=opening.cast(MONEY))
        .with_columns(
            return_share=pl.when(pl.col("opening_balance") != ZERO).then(
                number / pl.col("opening_balance").cast(pl.Float64)
            ),
            average_net_pnl=pl.when(trades > 0).then((earned / trades.clip(lower_bound=1).cast(MONEY)).cast(MONEY)),
            pnl_volatility=number.rolling_std(window_size=len(days) + 2, min_samples=2).over(_OWNER),
        )
        .drop("closed_net")
    )
