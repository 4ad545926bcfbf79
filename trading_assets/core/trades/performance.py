"""Performance: what each day brought and how good it is so far, of an account, of each symbol, strategy and model in it.

Definitions, for every scope alike:

    net P&L            what the day's deals moved, by the moment of the deal: profit, commission, swap, fee
    observation        a UTC day from Monday to Friday, from the scope's first deal on, also one without a deal; what moved on
                       a Saturday or Sunday belongs to the Monday after it, as the market's week begins on Sunday evening
    return             net P&L of an observation over the account's capital: its balance before, and what was paid in on it.
                       Days without capital are no observations. The scopes of an account share its capital, so their
                       returns add up to the account's
    Sharpe             mean / standard deviation (n - 1) of the returns, times the root of 252. No rate is deducted
    Sortino            mean of the returns over the root of the mean square of the returns, with positive ones as zero (the
                       downside deviation of Sortino and Price, 1994: over all observations), times the root of 252
    max drawdown       largest fall of the compounded returns below their highest so far, the start included
    Calmar             compounded return a year (252 observations) over max drawdown
    profit factor      net profit of the winning trades over net loss of the others
    expectancy         mean result of the trades closed, in R, before commission, of those with an outcome
    average net        mean net profit of the trades closed

A ratio whose divisor is zero or that has fewer than two observations is null, never infinite or zero. A trade is a
position, counted on the day of its last deal; one with net profit above zero is a win.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from trading_assets.core.market.symbols import pip_digits
from trading_assets.core.trades.equity import ACCOUNT, NO_STRATEGY, STRATEGY
from trading_assets.core.trades.ledger import IS_CASH, IS_PNL, IS_TRADE, MONEY, MOVED, ZERO, positions

DAYS_A_YEAR = 252
SCOPES = ("account", "symbol", "strategy", "model")
SCOPE = (*ACCOUNT, "scope", "scope_name")
FLOAT = pl.Float64()
_COLUMN_OF = {"symbol": "symbol", "strategy": STRATEGY[2], "model": STRATEGY[3]}


def closed_trades(known: pl.DataFrame, outcomes: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
    """Return one row per closed position: day of the close, net profit, R, pips, time held, symbol, strategy and model.

    `known` are distinct deals, `outcomes` give the result in R by trade, `versions` strategy and model.
    """
    trade = [*ACCOUNT, "trade_id"]
    lives = positions(known).filter(pl.col("closed_at").is_not_null())
    prices = _prices(known)
    pip = {symbol: 10.0 ** -pip_digits(symbol) for symbol in prices["symbol"].unique()}
    size = pl.col("symbol").replace_strict(pip, default=None, return_dtype=FLOAT)
    return (
        lives.join(prices, on=[*ACCOUNT, "position_id"], how="left", maintain_order="left")
        .join(outcomes.select(*trade, "result_r"), on=trade, how="left", maintain_order="left")
        .join(versions, on=trade, how="left", maintain_order="left")
        .with_columns(
            pl.col(*STRATEGY[2:]).fill_null(NO_STRATEGY),
            date=pl.col("closed_at").dt.date(),
            pips=(pl.col("sold_price") - pl.col("bought_price")) / size,
            holding_s=(pl.col("closed_at") - pl.col("opened_at")).dt.total_microseconds() / 1e6,
        )
    )


def _prices(known: pl.DataFrame) -> pl.DataFrame:
    """Return the mean price each position was bought and sold at: of a closed one, one is the entry and one the exit."""
    lots = pl.col("volume_lots").cast(FLOAT)
    sides = {"bought_price": pl.col("kind") == "BUY", "sold_price": pl.col("kind") == "SELL"}
    return (
        known.filter(IS_TRADE)
        .group_by(*ACCOUNT, "position_id", maintain_order=True)
        .agg(
            pl.col("symbol").first(),
            **{
                name: (pl.col("price") * lots).filter(side).sum() / lots.filter(side).sum()
                for name, side in sides.items()
            },
        )
    )


def daily_performance(
    known: pl.DataFrame, outcomes: pl.DataFrame, versions: pl.DataFrame, days: Sequence[date]
) -> pl.DataFrame:
    """Return one row per account, scope, name of the scope and day with a deal (table `performance_daily`).

    `known` are distinct deals back to the account's first deposit; the rows of `days` alone are returned.
    """
    closed = _scoped(closed_trades(known, outcomes, versions))
    moved = _scoped(_attributed(known, versions))
    of_day = _of_day(moved, closed)
    so_far = _so_far(of_day)
    ratios = _ratios(_observations(moved, known)).sort("observed_on")
    return (
        so_far.filter(pl.col("date").is_in(list(days)))
        .sort("date", *SCOPE)
        .join_asof(ratios, left_on="date", right_on="observed_on", by=list(SCOPE), check_sortedness=False)
        .drop("observed_on", strict=False)
        .sort(*SCOPE, "date")
    )


def observed_ratios(known: pl.DataFrame) -> pl.DataFrame:
    """Return the ratios of each account after each observation with a deal, from its distinct deals."""
    moved = known.filter(IS_PNL).select(
        *ACCOUNT, scope=pl.lit("account"), scope_name=pl.lit(""), date=pl.col("event_at").dt.date(), moved=MOVED
    )
    return _ratios(_observations(moved, known))


def _attributed(known: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
    """Return the deals that are profit or loss with the strategy and model of their position."""
    trade = [*ACCOUNT, "trade_id"]
    whose = positions(known).join(versions, on=trade, how="left").select(*ACCOUNT, "position_id", *STRATEGY[2:])
    return (
        known.filter(IS_PNL)
        .select(*ACCOUNT, "position_id", "symbol", "event_at", moved=MOVED)
        .join(whose, on=[*ACCOUNT, "position_id"], how="left", maintain_order="left")
        .with_columns(pl.col(*STRATEGY[2:]).fill_null(NO_STRATEGY), date=pl.col("event_at").dt.date())
    )


def _scoped(rows: pl.DataFrame) -> pl.DataFrame:
    """Return every row once for each scope it counts in."""
    parts = [rows.with_columns(scope=pl.lit("account"), scope_name=pl.lit(""))]
    parts += [rows.with_columns(scope=pl.lit(scope), scope_name=pl.col(column)) for scope, column in _COLUMN_OF.items()]
    return pl.concat(parts)


def _of_day(moved: pl.DataFrame, closed: pl.DataFrame) -> pl.DataFrame:
    day = [*SCOPE, "date"]
    net, result = pl.col("net_pnl"), pl.col("result_r")
    trades = closed.group_by(day).agg(
        trades_closed=pl.len().cast(pl.Int64),
        wins=(net > ZERO).sum().cast(pl.Int64),
        closed_net=net.sum(),
        won=net.filter(net > ZERO).sum(),
        lost=-net.filter(net < ZERO).sum(),
        best_net_pnl=net.max(),
        worst_net_pnl=net.min(),
        pips=pl.col("pips").sum(),
        holding_s=pl.col("holding_s").sum(),
        total_r=result.sum(),
        judged=result.count().cast(pl.Int64),
    )
    deals = moved.group_by(day).agg(
        net_pnl=pl.col("moved").sum().cast(MONEY),
        deal_count=pl.len().cast(pl.Int64),
        models=pl.col("model_version").unique().sort(),
    )
    counts, money = ("trades_closed", "wins", "judged"), ("closed_net", "won", "lost")
    return (
        deals.join(trades, on=day, how="left")
        .with_columns(
            pl.col(counts).fill_null(0),
            *(pl.col(name).fill_null(ZERO).cast(MONEY) for name in money),
            *(pl.col(name).fill_null(0.0) for name in ("pips", "holding_s", "total_r")),
        )
        .sort(day)
    )


def _ratio(top: pl.Expr, bottom: pl.Expr) -> pl.Expr:
    below = bottom.cast(FLOAT)
    return pl.when(below > 0.0).then(top.cast(FLOAT) / below)


def _so_far(of_day: pl.DataFrame) -> pl.DataFrame:
    """Add what the trades of a day and of all days up to it say, and the highest net P&L so far."""
    summed = ("trades_closed", "wins", "closed_net", "won", "lost", "pips", "holding_s", "total_r", "judged")
    running = of_day.with_columns(
        *(pl.col(name).cum_sum().over(SCOPE).alias(f"all_{name}") for name in summed),
        cumulative_pnl=pl.col("net_pnl").cum_sum().over(SCOPE),
    )
    high = pl.max_horizontal(pl.col("cumulative_pnl").cum_max().over(SCOPE), pl.lit(ZERO, MONEY)).cast(MONEY)
    count = pl.col("all_trades_closed")
    return running.with_columns(
        high_water_pnl=high,
        drawdown=(high - pl.col("cumulative_pnl")).cast(MONEY),
        win_share=_ratio(pl.col("wins"), pl.col("trades_closed")),
        profit_factor=_ratio(pl.col("won"), pl.col("lost")),
        mean_r=_ratio(pl.col("total_r"), pl.col("judged")),
        mean_holding_s=_ratio(pl.col("holding_s"), pl.col("trades_closed")),
        trades_so_far=count,
        average_net_pnl=pl.when(count > 0).then(
            (pl.col("all_closed_net") / count.clip(lower_bound=1).cast(MONEY)).cast(MONEY)
        ),
        win_share_so_far=_ratio(pl.col("all_wins"), count),
        profit_factor_so_far=_ratio(pl.col("all_won"), pl.col("all_lost")),
        pips_so_far=pl.col("all_pips"),
        mean_holding_s_so_far=_ratio(pl.col("all_holding_s"), count),
        expectancy_r=_ratio(pl.col("all_total_r"), pl.col("all_judged")),
    ).with_columns(max_drawdown=pl.col("drawdown").cum_max().over(SCOPE))


def _observed_on(day: pl.Expr) -> pl.Expr:
    """Return the day itself, of a Saturday or Sunday the Monday after it."""
    weekday = day.dt.weekday()
    return day.dt.offset_by(
        pl.when(weekday == 6).then(pl.lit("2d")).when(weekday == 7).then(pl.lit("1d")).otherwise(pl.lit("0d"))
    )


def _observations(moved: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return the returns of the observations with a deal, by scope; the others are zero and counted, not listed."""
    observed = _observed_on(pl.col("date")).alias("observed_on")
    account = (
        known.filter(pl.col("kind") != "CREDIT")
        .with_columns(observed_on=_observed_on(pl.col("event_at").dt.date()))
        .group_by(*ACCOUNT, "observed_on")
        .agg(
            moved=MOVED.sum().cast(MONEY),
            paid_in=MOVED.filter(IS_CASH & (MOVED > ZERO)).sum().cast(MONEY),
        )
        .sort(*ACCOUNT, "observed_on")
    )
    capital = account.with_columns(
        capital=(pl.col("moved").cum_sum().over(ACCOUNT) - pl.col("moved") + pl.col("paid_in")).cast(FLOAT)
    )
    return (
        moved.with_columns(observed)
        .group_by(*SCOPE, "observed_on")
        .agg(net=pl.col("moved").sum().cast(MONEY))
        .join(capital.select(*ACCOUNT, "observed_on", "capital"), on=[*ACCOUNT, "observed_on"], how="left")
        .with_columns(value=pl.when(pl.col("capital") > 0.0).then(pl.col("net").cast(FLOAT) / pl.col("capital")))
        .sort(*SCOPE, "observed_on")
    )


def _ratios(observations: pl.DataFrame) -> pl.DataFrame:
    """Return the ratios after each observation with a deal, from sums over all observations up to it."""
    value = pl.col("value").fill_null(0.0)
    skipped = pl.col("value").is_null().cast(pl.Int64).cum_sum().over(SCOPE)
    first = pl.col("observed_on").first().over(SCOPE)
    days = pl.business_day_count(first, pl.col("observed_on") + timedelta(days=1)).cast(pl.Int64) - skipped
    grown = (1.0 + value).cum_prod().over(SCOPE)
    root = float(DAYS_A_YEAR) ** 0.5
    sums = observations.with_columns(
        observations=days,
        total=value.cum_sum().over(SCOPE),
        squares=(value * value).cum_sum().over(SCOPE),
        falls=(value.clip(upper_bound=0.0) ** 2).cum_sum().over(SCOPE),
        pnl=pl.col("net").cast(FLOAT).cum_sum().over(SCOPE),
        pnl_squares=(pl.col("net").cast(FLOAT) ** 2).cum_sum().over(SCOPE),
        grown=grown,
        peak=pl.max_horizontal(grown.cum_max().over(SCOPE), pl.lit(1.0)),
    ).with_columns(
        max_drawdown_share=(1.0 - pl.col("grown") / pl.col("peak")).clip(0.0, 1.0).cum_max().over(SCOPE),
    )
    count = pl.col("observations")
    mean = pl.col("total") / count
    spread = _deviation("total", "squares", count)
    annual = pl.when(pl.col("grown") > 0.0).then(pl.col("grown") ** (DAYS_A_YEAR / count) - 1.0)
    downside = (pl.col("falls") / count).sqrt()
    return sums.with_columns(
        pnl_volatility=pl.when(count > 1).then(_deviation("pnl", "pnl_squares", count)),
        annual_return_share=pl.when(count > 1).then(annual),
        sharpe_ratio=pl.when((count > 1) & (spread > 1e-15)).then(mean / spread * root),
        sortino_ratio=pl.when((count > 1) & (downside > 1e-15)).then(mean / downside * root),
        calmar_ratio=pl.when((count > 1) & (pl.col("max_drawdown_share") > 1e-15)).then(
            annual / pl.col("max_drawdown_share")
        ),
    ).select(
        *SCOPE, "observed_on", "observations", "pnl_volatility", "annual_return_share", "sharpe_ratio", "sortino_ratio",
        "calmar_ratio", "max_drawdown_share",
    )  # fmt: skip


def _deviation(total: str, squares: str, count: pl.Expr) -> pl.Expr:
    """Return the standard deviation (n - 1) from sum and sum of squares."""
    return ((pl.col(squares) - pl.col(total) ** 2 / count).clip(lower_bound=0.0) / (count - 1)).sqrt()
