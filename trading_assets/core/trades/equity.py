"""Equity through time, by the minute and at the end of every day: of an account, of each strategy and model in it, of a tenant.

Equity = balance + unrealised. The high-water mark moves with deposits, so that a withdrawal is no drawdown; time under
water runs from the last minute that was a high. Average net = arithmetic mean net profit per closed trade, in account
currency. A strategy has no deposits: its curve is what its trades earned, and the curves of all strategies of an account
add up to what the account earned.

Everything realised is counted from the deals. What also depends on the marks, the high and when it was, can be taken up
from the end of an earlier day (`taken_up`), with the same result as from the first deposit on; so a day costs a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl

from trading_assets.core.trades.ledger import IS_CASH, IS_PNL, MONEY, MOVED, ZERO, positions

ACCOUNT = ("tenant", "account")
STRATEGY = (*ACCOUNT, "strategy_version", "model_version")
NO_STRATEGY = "none"
"""Strategy and model of deals that no decision of ours caused."""
RULES_ONLY = "rules-only"
"""Model of decisions without one."""

DAY = timedelta(days=1)
_MOMENT = pl.Datetime("us", "UTC")
_NOTHING = pl.lit(ZERO, MONEY)
# What adds up, and its type.
_SUMS = {
    "balance": MONEY,
    "net_deposits": MONEY,
    "unrealised_pnl": MONEY,
    "open_trades": pl.Int64(),
    "trades": pl.Int64(),
    "closed_net": MONEY,
    "closed_square": MONEY,
}


@dataclass(frozen=True)
class Curve:
    """One curve for each key: `minutes` with a deal or a mark, and the end of every day."""

    minutes: pl.DataFrame
    days: pl.DataFrame


def midnight(day: date) -> datetime:
    """Return the start of a UTC day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def moves(known: pl.DataFrame, marks: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
    """Return everything that moves a curve, one row a move: money, revaluation, a trade opened or closed.

    `known` are distinct deals back to the first; `marks` reach back to the last one before the days asked for, of each
    trade open then; `versions` name strategy and model of a trade (columns of STRATEGY and `trade_id`).
    """
    lives = positions(known)
    trade = [*ACCOUNT, "trade_id"]
    named = lives.select(*ACCOUNT, "position_id", "trade_id").join(versions, on=trade, how="left")
    whose = named.select(*ACCOUNT, "position_id", *STRATEGY[2:])
    parts = [_money(known), _revaluations(marks, lives), _openings(lives), _closings(lives)]
    return (
        pl.concat(parts, how="diagonal")
        .join(whose, on=[*ACCOUNT, "position_id"], how="left", maintain_order="left")
        .with_columns(
            *(pl.col(name).fill_null(0).cast(dtype) for name, dtype in _SUMS.items()),
            pl.col(*STRATEGY[2:]).fill_null(NO_STRATEGY),
        )
    )


def _money(known: pl.DataFrame) -> pl.DataFrame:
    return known.filter(pl.col("kind") != "CREDIT").select(
        *ACCOUNT,
        "position_id",
        "event_at",
        balance=MOVED,
        net_deposits=pl.when(IS_CASH).then(MOVED).otherwise(_NOTHING),
        is_pnl=IS_PNL,
    )


def _openings(lives: pl.DataFrame) -> pl.DataFrame:
    opened = pl.col("opened_at").alias("event_at")
    return lives.select(*ACCOUNT, "position_id", opened, open_trades=pl.lit(1), is_pnl=pl.lit(True))


def _closings(lives: pl.DataFrame) -> pl.DataFrame:
    return lives.filter(pl.col("closed_at").is_not_null()).select(
        *ACCOUNT,
        "position_id",
        pl.col("closed_at").alias("event_at"),
        open_trades=pl.lit(-1),
        trades=pl.lit(1),
        closed_net=pl.col("net_pnl"),
        closed_square=(pl.col("net_pnl") * pl.col("net_pnl")).cast(MONEY),
        is_pnl=pl.lit(True),
    )


def _revaluations(marks: pl.DataFrame, lives: pl.DataFrame) -> pl.DataFrame:
    """Return how the unrealised profit moves: by each mark against the one before, and back to nothing at the close.

    A trade is worth its last mark until the deal that closes it, and nothing from then on; one without deals is no trade.
    """
    trade = [*ACCOUNT, "trade_id"]
    known = lives.filter(pl.col("trade_id").is_not_null()).select(*trade, "position_id", "closed_at")
    valued = (
        marks.select(*trade, "event_at", value=pl.col("unrealised_pnl").cast(MONEY))
        .join(known, on=trade, how="inner", maintain_order="left")
        # A mark of the closing instant was made before the close; a later one has nothing left to value.
        .filter(pl.col("closed_at").is_null() | (pl.col("event_at") <= pl.col("closed_at")))
    )
    ended = known.filter(pl.col("closed_at").is_not_null()).with_columns(event_at=pl.col("closed_at"), value=_NOTHING)
    path = pl.concat([valued, ended.select(valued.columns)]).sort(*trade, "event_at", maintain_order=True)
    change = pl.col("value") - pl.col("value").shift(1).over(trade).fill_null(ZERO)
    return path.select(*ACCOUNT, "position_id", "event_at", unrealised_pnl=change.cast(MONEY), is_pnl=pl.lit(True))


def account_curve(moved: pl.DataFrame, days: Sequence[date], taken_up: pl.DataFrame | None = None) -> Curve:
    """Return the curves of the accounts (tables `equity_curve` and `equity_daily`) over the days, none left out.

    `taken_up` are rows of `equity_daily` of the day before the first, one per account; without it the curves begin with
    the first of the days, and nothing may have moved before it.
    """
    return _curve(moved, ACCOUNT, days, taken_up)


def strategy_curve(moved: pl.DataFrame, days: Sequence[date], taken_up: pl.DataFrame | None = None) -> Curve:
    """Return the curves of each strategy and model of an account (tables `strategy_curve` and `strategy_daily`)."""
    return _curve(moved.filter(pl.col("is_pnl")), STRATEGY, days, taken_up)


def _curve(moved: pl.DataFrame, key: Sequence[str], days: Sequence[date], taken_up: pl.DataFrame | None) -> Curve:
    since, until = midnight(days[0]), midnight(days[-1]) + DAY
    sums = pl.col(*_SUMS).sum()
    before = moved.filter(pl.col("event_at") < since).group_by(key, maintain_order=True).agg(sums)
    minute = pl.col("event_at").dt.truncate("1m").alias("at")
    within = (
        moved.filter((pl.col("event_at") >= since) & (pl.col("event_at") < until))
        .group_by(*key, minute)
        .agg(sums)
        .with_columns(rank=pl.lit(2))
    )
    opening = before.with_columns(at=pl.lit(since, _MOMENT), rank=pl.lit(0))
    first = (
        pl.concat([opening.select(*key, "at"), within.select(*key, "at")])
        .group_by(key)
        .agg(first_at=pl.col("at").min())
    )
    ends = _day_ends(first, days).select(
        *key, *(pl.lit(0).cast(dtype).alias(name) for name, dtype in _SUMS.items()), "at", rank=pl.lit(1)
    )
    columns = [*key, *_SUMS, "at", "rank"]
    points = pl.concat(frame.select(columns) for frame in (opening, within, ends)).sort(*key, "at", "rank")
    running = points.with_columns(pl.col(*_SUMS).cum_sum().over(key)).with_columns(
        equity=(pl.col("balance") + pl.col("unrealised_pnl")).cast(MONEY)
    )
    return split(with_water(running, key, taken_up), key)


def _day_ends(first: pl.DataFrame, days: Sequence[date]) -> pl.DataFrame:
    """Return one row for each key and end of a day from its first move on."""
    ends = pl.DataFrame({"at": [midnight(day) + DAY for day in days]}, schema={"at": _MOMENT})
    return first.join(ends, how="cross").filter(pl.col("at") > pl.col("first_at"))


def with_water(points: pl.DataFrame, key: Sequence[str], taken_up: pl.DataFrame | None) -> pl.DataFrame:
    """Add the high-water mark and what hangs on it to points in order of time, with equity and net_deposits.

    `rank` of a point is 0 for what was there before, 1 for the end of a day, 2 for a minute.
    """
    earned = (pl.col("equity") - pl.col("net_deposits")).cast(MONEY)
    if taken_up is None:
        with_state = points.with_columns(known_high=pl.lit(None, MONEY), known_since=pl.lit(None, _MOMENT))
    else:
        high = (pl.col("high_water_mark") - pl.col("net_deposits")).cast(MONEY).alias("known_high")
        state = taken_up.select(*key, high, pl.col("under_water_since_at").alias("known_since"))
        with_state = points.join(state, on=list(key), how="left", maintain_order="left")
    best = pl.max_horizontal(earned, pl.col("known_high")).cum_max().over(key)
    return (
        with_state.with_columns(high_water_mark=(best + pl.col("net_deposits")).cast(MONEY))
        .with_columns(drawdown=(pl.col("high_water_mark") - pl.col("equity")).cast(MONEY))
        .with_columns(is_high=pl.col("drawdown") == ZERO)
        .with_columns(
            # The last minute that was a high; the opening point of a state under water is older than itself.
            last_high=pl.when(pl.col("is_high") & (pl.col("rank") != 0))
            .then("at")
            .when(pl.col("rank") == 0)
            .then(pl.coalesce("known_since", "at"))
            .forward_fill()
            .over(key)
        )
        .with_columns(
            under_water_since_at=pl.when(~pl.col("is_high")).then("last_high"),
            drawdown_share=_share(pl.col("drawdown"), pl.col("high_water_mark")),
        )
        .with_columns(
            under_water_s=pl.when(pl.col("drawdown").is_not_null()).then(
                (pl.col("at") - pl.col("under_water_since_at")).dt.total_microseconds().fill_null(0) / 1e6
            )
        )
        .drop("known_high", "known_since", "is_high", "last_high")
    )


def _share(drawdown: pl.Expr, high: pl.Expr) -> pl.Expr:
    # Nothing deposited, nothing to draw down; an account under water has lost all of it.
    share = (drawdown.cast(pl.Float64) / high.cast(pl.Float64)).clip(0.0, 1.0)
    return pl.when(high > ZERO).then(share).otherwise(0.0)


def split(points: pl.DataFrame, key: Sequence[str]) -> Curve:
    """Part the points into minutes and ends of days; a day's largest drawdown and longest time under water go with its end."""
    points = points.filter(pl.col("rank") != 0)
    if "trades" in points.columns:
        points = _with_trades(points)
    minutes = points.filter(pl.col("rank") == 2).with_columns(date=pl.col("at").dt.date()).rename({"at": "minute_at"})
    day = (pl.col("at") - pl.when(pl.col("rank") == 1).then(pl.duration(days=1)).otherwise(pl.duration())).dt.date()
    worst = points.group_by(*key, date=day).agg(
        max_drawdown=pl.col("drawdown").max(),
        max_drawdown_share=pl.col("drawdown_share").max(),
        longest_under_water_s=pl.col("under_water_s").max(),
    )
    days = points.filter(pl.col("rank") == 1).with_columns(date=day)
    return Curve(
        minutes.drop("rank"), days.drop("rank").join(worst, on=[*key, "date"], how="left", maintain_order="left")
    )


def _with_trades(points: pl.DataFrame) -> pl.DataFrame:
    """Add mean and standard deviation of the net profit of the trades closed so far, from their number, sum and squares."""
    count = pl.col("trades")
    total = pl.col("closed_net").cast(pl.Float64)
    spread = (pl.col("closed_square").cast(pl.Float64) - total * total / count).clip(lower_bound=0.0) / (count - 1)
    return points.with_columns(
        average_net_pnl=pl.when(count > 0).then(
            (pl.col("closed_net") / count.clip(lower_bound=1).cast(MONEY)).cast(MONEY)
        ),
        trade_pnl_volatility=pl.when(count > 1).then(spread.sqrt()),
    ).drop("closed_net", "closed_square")
