"""The days of an account in money (table `equity_daily`): what was paid in and earned, beside where the curve stood at the end.

The curve itself is `equity`, conversion `currencies`, how good it was `performance`.
"""

from __future__ import annotations

import polars as pl

from trading_assets.core.trades.currencies import converted, with_rate
from trading_assets.core.trades.equity import ACCOUNT
from trading_assets.core.trades.ledger import (
    IS_CASH,
    IS_PNL,
    MONEY,
    MOVED,
    PNL_KINDS,
    ZERO,
    apportioned,
    positions,
)
from trading_assets.core.trades.performance import observed_ratios

_DAY = [*ACCOUNT, "date"]
_OF_DAY = ("deposits", "paid_in", "credit", "gross_pnl", "commission", "swap", "fee")


def account_days(
    ends: pl.DataFrame, known: pl.DataFrame, currencies: pl.DataFrame, rates: pl.DataFrame
) -> pl.DataFrame:
    """Return one row per account and day, from the ends of the days of its curve and its distinct deals.

    Conservation: opening balance + deposits + net P&L = closing balance, to the cent.
    """
    money = pl.sum_horizontal("gross_pnl", "commission", "swap", "fee").cast(MONEY)
    named = ends.rename({"balance": "closing_balance", "equity": "closing_equity"})
    joined = named.join(_money(known), on=_DAY, how="left", maintain_order="left").join(
        _counts(known), on=_DAY, how="left", maintain_order="left"
    )
    full = (
        joined.with_columns(
            *(pl.col(name).fill_null(ZERO).cast(MONEY) for name in _OF_DAY),
            pl.col("trades_opened", "trades_closed").fill_null(0).cast(pl.Int64),
        )
        .with_columns(net_pnl=money)
        .with_columns(opening_balance=(pl.col("closing_balance") - pl.col("deposits") - pl.col("net_pnl")).cast(MONEY))
    )
    capital = (pl.col("opening_balance") + pl.col("paid_in")).cast(pl.Float64)
    returned = full.with_columns(
        return_share=pl.when(capital > 0.0).then(pl.col("net_pnl").cast(pl.Float64) / capital)
    ).drop("paid_in")
    rated = with_rate(returned, currencies, rates, pl.col("at"))
    return _with_volatility(
        rated.with_columns(
            converted_balance=converted("closing_balance"),
            converted_equity=converted("closing_equity"),
            converted_net_pnl=converted("net_pnl"),
        ),
        known,
    )


def _money(known: pl.DataFrame) -> pl.DataFrame:
    return (
        apportioned(known)
        .group_by(*ACCOUNT, date=pl.col("event_at").dt.date())
        .agg(
            deposits=MOVED.filter(IS_CASH).sum(),
            paid_in=MOVED.filter(IS_CASH & (MOVED > ZERO)).sum(),
            credit=MOVED.filter(~IS_CASH & ~IS_PNL).sum(),
            **{kind: pl.col(kind).filter(IS_PNL).sum() for kind in PNL_KINDS},
        )
        .rename({"profit": "gross_pnl"})
    )


def _counts(known: pl.DataFrame) -> pl.DataFrame:
    lives = positions(known)
    opened = lives.group_by(*ACCOUNT, date=pl.col("opened_at").dt.date()).agg(trades_opened=pl.len())
    closed = (
        lives.filter(pl.col("closed_at").is_not_null())
        .group_by(*ACCOUNT, date=pl.col("closed_at").dt.date())
        .agg(trades_closed=pl.len())
    )
    return opened.join(closed, on=_DAY, how="full", coalesce=True)


def _with_volatility(days: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Add the standard deviation of the daily net P&L, as of the last day with a deal."""
    ratios = observed_ratios(known).filter(pl.col("scope") == "account").select(
        *ACCOUNT, "pnl_volatility", observed_on="observed_on"
    )  # fmt: skip
    return (
        days.sort("date")
        .join_asof(
            ratios.sort("observed_on"),
            left_on="date",
            right_on="observed_on",
            by=list(ACCOUNT),
            check_sortedness=False,
        )
        .drop("observed_on", strict=False)
        .sort(_DAY)
    )
