"""What the ledger costs: equity curve, its days and performance over a million profit-and-loss events of one account.

Beside it the same in pandas, as a person would write it there, in the same process: minutes with balance, high-water mark
and drawdown, days, and the ratios of the account and of each symbol. The answers are compared. Money is decimal here
and float there, which is part of the ratio.

Run: python tests/bench/bench_ledger.py [--short]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import numpy as np
import pandas as pd
import polars as pl

from trading_assets.core.trades.equity import account_curve, moves
from trading_assets.core.trades.ledger import distinct_deals, pnl_events
from trading_assets.core.trades.performance import daily_performance

Result = TypeVar("Result")
START = datetime(2020, 1, 6, tzinfo=UTC)
DAYS = 998  # the last one is no weekend
SYMBOLS = ("EURUSD", "GBPUSD", "USDJPY", "AUDUSD")
MONEY = pl.Decimal(38, 8)
KINDS = ("profit", "commission", "swap", "fee")


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Return seconds and result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def deals(events: int) -> pl.DataFrame:
    """Return an account's deals that make about so many events: of each two deals three moved something."""
    trades = events // 3
    chance = np.random.default_rng(7)
    opened = np.sort(chance.integers(3_600, DAYS * 86_400 - 7_200, trades))
    cents = chance.normal(5.0, 300.0, trades).round(2)
    number = np.arange(trades)
    parts = []
    for entry, kind in ((True, "BUY"), (False, "SELL")):
        at = opened if entry else opened + chance.integers(60, 3_600, trades)
        parts.append(
            pl.DataFrame({"seconds": at, "number": number, "profit": np.zeros(trades) if entry else cents}).select(
                tenant=pl.lit("t"), account=pl.lit("a"), deal_ticket=pl.format("{}-{}", "number", pl.lit(kind)),
                event_at=pl.lit(START) + pl.duration(seconds="seconds"), position_id=pl.col("number").cast(pl.String),
                trade_id=pl.col("number").cast(pl.String), signal_id=pl.col("number").cast(pl.String),
                symbol=pl.Series([SYMBOLS[one % len(SYMBOLS)] for one in range(trades)]), kind=pl.lit(kind),
                reason=pl.lit("EXPERT"), volume_lots=pl.lit(1).cast(MONEY), price=pl.lit(1.1), slippage_points=pl.lit(0.5),
                profit=pl.col("profit").round(2).cast(MONEY), commission=pl.lit(-0.35).cast(MONEY), swap=pl.lit(0).cast(MONEY),
                fee=pl.lit(0).cast(MONEY),
            )
        )  # fmt: skip
    deposit = parts[0].head(1).with_columns(
        deal_ticket=pl.lit("deposit"), kind=pl.lit("BALANCE"), event_at=pl.lit(START), trade_id=pl.lit(None, pl.String),
        signal_id=pl.lit(None, pl.String), position_id=pl.lit("0"), symbol=pl.lit(""), profit=pl.lit(1_000_000).cast(MONEY),
        commission=pl.lit(0).cast(MONEY),
    )  # fmt: skip
    moment = pl.col("event_at").cast(pl.Datetime("us", "UTC"))
    return pl.concat([deposit, *parts]).with_columns(moment, known_at=moment).sort("event_at")


def ours(found: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return days of the curve, and performance."""
    days = [START.date() + timedelta(days=number) for number in range(DAYS + 1)]
    versions = pl.DataFrame(
        schema=dict.fromkeys(("tenant", "account", "trade_id", "strategy_version", "model_version"), pl.String)
    )
    marks = pl.DataFrame(
        schema={"tenant": pl.String, "account": pl.String, "trade_id": pl.String, "event_at": pl.Datetime("us", "UTC"), "unrealised_pnl": MONEY}
    )  # fmt: skip
    outcomes = pl.DataFrame(schema={"tenant": pl.String, "account": pl.String, "trade_id": pl.String, "result_r": pl.Float64})  # fmt: skip
    known = distinct_deals(found)
    curve = account_curve(moves(known, marks, versions), days)
    return curve.days, daily_performance(known, outcomes, versions, days)


def by_pandas(found: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return days of the curve, and the last Sharpe ratio of the account and of each symbol."""
    found = found.drop_duplicates(["tenant", "account", "deal_ticket"]).sort_values("event_at")
    found["moved"] = found[list(KINDS)].sum(axis=1)
    is_trade = found["kind"].isin(["BUY", "SELL"])
    found["deposit"] = found["moved"].where(~is_trade, 0.0)
    minute = found.groupby(found["event_at"].dt.floor("min"))[["moved", "deposit"]].sum().cumsum()
    earned = minute["moved"] - minute["deposit"]
    minute["drawdown"] = earned.cummax() - earned
    days = minute.groupby(minute.index.date).agg({"moved": "last", "drawdown": "max"})
    trades = found[is_trade]
    signed = trades["volume_lots"].where(trades["kind"] == "BUY", -trades["volume_lots"])
    lives = trades.assign(signed=signed).groupby("position_id").agg(
        symbol=("symbol", "first"), opened=("event_at", "first"), closed=("event_at", "last"), net=("moved", "sum"), lots=("signed", "sum")
    )  # fmt: skip
    closed = lives[lives["lots"] == 0]
    closed.groupby(["symbol", closed["closed"].dt.date]).agg(
        net=("net", "sum"), count=("net", "size"), best=("net", "max")
    )
    ratios = {}
    for name in ("", *SYMBOLS):
        mine = trades if not name else trades[trades["symbol"] == name]
        ratios[name] = _sharpe(mine, found)
    return days, ratios


def _sharpe(mine: pd.DataFrame, found: pd.DataFrame) -> float:
    def on(frame: pd.DataFrame) -> pd.Series:
        day = frame["event_at"].dt.tz_localize(None).dt.normalize()
        return day + pd.to_timedelta((7 - day.dt.weekday).where(day.dt.weekday > 4, 0), unit="D")

    moved = mine.groupby(on(mine))["moved"].sum()
    whole = found.groupby(on(found))[["moved", "deposit"]].sum()
    capital = whole["moved"].cumsum() - whole["moved"] + whole["deposit"].clip(lower=0)
    weekdays = pd.bdate_range(moved.index.min(), moved.index.max())
    returns = (moved / capital.reindex(moved.index)).reindex(weekdays, fill_value=0.0)
    return float(returns.mean() / returns.std() * np.sqrt(252))


def main(events: int) -> None:
    """Print seconds of both and their ratio."""
    found = deals(events)
    count = pnl_events(found).height
    seconds, (days, performance) = timed(lambda: ours(found))
    event_seconds, _ = timed(lambda: pnl_events(found))
    frame = found.with_columns(pl.col(*KINDS, "volume_lots").cast(pl.Float64)).to_pandas()
    peer_seconds, (peer_days, peer_ratios) = timed(lambda: by_pandas(frame))
    assert abs(float(days["balance"][-1]) - peer_days["moved"].iloc[-1]) < 0.01
    last = performance.filter(pl.col("scope").is_in(["account", "symbol"])).sort("date").group_by("scope_name").last()
    for name, ratio in last.select("scope_name", "sharpe_ratio").iter_rows():
        assert abs(ratio - peer_ratios[name]) < 1e-6, (name, ratio, peer_ratios[name])
    print(f"{count} events of {found.height} deals over {DAYS} days")
    print(f"profit-and-loss events from the deals  {event_seconds:6.2f} s")
    print(f"equity and performance, decimal        {seconds:6.2f} s")
    print(f"the same in pandas, float              {peer_seconds:6.2f} s")
    print(f"pandas takes                           {peer_seconds / seconds:6.2f} times as long")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="thirty thousand events")
    main(30_000 if parser.parse_args().short else 1_000_000)
