"""Money of several currencies in one: rates from recorded bars, known at the moment they are used for.

The rate of a currency is the mid of the latest closed bar of the pair with the reporting currency, direct or inverse, and
none older than RATE_LIFETIME. Without one the amount stays in its own currency and its converted value is null: a
missing rate is told, never guessed. What the amounts are is `equity`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from trading_assets.core.errors import InputError
from trading_assets.core.trades.equity import ACCOUNT, Curve, split, with_water
from trading_assets.core.trades.ledger import MONEY, ZERO

RATE_LIFETIME = timedelta(days=7)
MINUTE = timedelta(minutes=1)
RATE_SCHEMA = {
    "tenant": pl.String(),
    "currency": pl.String(),
    "rate_at": pl.Datetime("us", "UTC"),
    "rate": pl.Float64(),
    "rate_symbol": pl.String(),
}
_AMOUNTS = ("balance", "net_deposits", "unrealised_pnl")


def reporting_currencies(snapshots: pl.DataFrame, named: str = "") -> pl.DataFrame:
    """Return currency and reporting_currency of every account, from rows of raw_accounts.

    The reporting currency is the one `named`, else that of the tenant's first account on record. Raises InputError for a
    name that is no currency code.
    """
    if named and not (len(named) == 3 and named.isalpha() and named.isupper()):
        raise InputError("converting to", f"currency {named!r}", "it is no currency code", "write it as EUR or USD")
    first = snapshots.sort("known_at", *ACCOUNT, maintain_order=True)
    theirs = first.unique(["tenant"], keep="first", maintain_order=True).select(
        "tenant", reporting_currency=pl.lit(named) if named else pl.col("currency")
    )
    return (
        first.unique(ACCOUNT, keep="last", maintain_order=True).select(*ACCOUNT, "currency").join(theirs, on="tenant")
    )


def pairs_of(currencies: pl.DataFrame) -> dict[str, tuple[str, str]]:
    """Return which symbols hold a rate that is needed: (currency, reporting currency) by symbol, direct and inverse."""
    needed = currencies.filter(pl.col("currency") != pl.col("reporting_currency"))
    found: dict[str, tuple[str, str]] = {}
    for theirs, ours in needed.select("currency", "reporting_currency").unique().sort(pl.all()).iter_rows():
        found[f"{theirs}{ours}"] = found[f"{ours}{theirs}"] = (theirs, ours)
    return found


def rates(bars: pl.DataFrame, currencies: pl.DataFrame) -> pl.DataFrame:
    """Return what one unit of a foreign currency was worth at each close, from bars of the pairs' symbols.

    Of several accounts' bars that closed together the first in name counts, a direct pair before an inverse one.
    """
    parts = [pl.DataFrame(schema=RATE_SCHEMA)]
    wanted = currencies.select("tenant", "currency", "reporting_currency").unique().sort(pl.all())
    for tenant, theirs, ours in wanted.filter(pl.col("currency") != pl.col("reporting_currency")).iter_rows():
        mid = (pl.col("close") + pl.col("ask_close")) / 2.0
        of_tenant = bars.filter((pl.col("tenant") == tenant) & pl.col("symbol").is_in([theirs + ours, ours + theirs]))
        is_direct = pl.col("symbol") == theirs + ours
        parts.append(
            of_tenant.sort("close_at", ~is_direct, "account", "timeframe", maintain_order=True)
            .unique("close_at", keep="first", maintain_order=True)
            .select(
                "tenant",
                currency=pl.lit(theirs),
                rate_at="close_at",
                rate=pl.when(is_direct).then(mid).otherwise(1.0 / mid),
                rate_symbol="symbol",
            )
        )
    return pl.concat(parts).sort("tenant", "currency", "rate_at")


def with_rate(points: pl.DataFrame, currencies: pl.DataFrame, known: pl.DataFrame, at: pl.Expr) -> pl.DataFrame:
    """Add currency, reporting currency, rate and its time to points of accounts; `at` is the moment that must not be passed."""
    ours = pl.col("reporting_currency")
    own = points.join(currencies, on=list(ACCOUNT), how="left", maintain_order="left").with_columns(
        pl.col("currency").fill_null(""),
        ours.fill_null(ours.drop_nulls().first().over("tenant")).fill_null(""),
        asked_at=at,
    )
    joined = (
        own.with_row_index("__row")
        .sort("asked_at")
        .join_asof(
            known.sort("rate_at").with_columns(found_at=pl.col("rate_at")),
            left_on="asked_at",
            right_on="found_at",
            by=["tenant", "currency"],
            strategy="backward",
            tolerance=RATE_LIFETIME,
            check_sortedness=False,
        )
        .sort("__row")
        .drop("__row", "asked_at", "found_at", strict=False)
    )
    is_own = _is_own()
    return joined.with_columns(
        rate=pl.when(is_own).then(1.0).otherwise("rate"),
        rate_at=pl.when(~is_own).then("rate_at"),
        rate_symbol=pl.when(~is_own).then("rate_symbol"),
    )


def _is_own() -> pl.Expr:
    return (pl.col("currency") == pl.col("reporting_currency")) & (pl.col("currency") != "")


def converted(amount: str) -> pl.Expr:
    """Return an amount at the row's rate; null without one, and to the last digit itself in the reporting currency."""
    foreign = (pl.col(amount).cast(pl.Float64) * pl.col("rate")).round(8).cast(MONEY)
    return pl.when(_is_own()).then(pl.col(amount)).otherwise(foreign)


def tenant_curve(
    accounts: Curve,
    opening: pl.DataFrame,
    currencies: pl.DataFrame,
    known: pl.DataFrame,
    taken_up: pl.DataFrame | None = None,
) -> Curve:
    """Return the curves of the tenants in their reporting currencies (tables `tenant_curve` and `tenant_daily`).

    At each minute of any account every account counts with its latest balance and the rate known by then; where an account
    has no rate, the tenant's amounts are null. `opening` are the accounts' rows of `equity_daily` of the day before,
    `taken_up` the tenants' of `tenant_daily`. Deposits are converted at the rate of the moment as well, so that
    a rate moves what was earned and not what was paid in.
    """
    columns = [*ACCOUNT, "at", *_AMOUNTS, "open_trades"]
    minutes = accounts.minutes.select(pl.col("minute_at").alias("at"), *ACCOUNT, *_AMOUNTS, "open_trades")
    values = pl.concat(
        [
            opening.select(columns).with_columns(rank=pl.lit(0)),
            accounts.days.select(columns).with_columns(rank=pl.lit(1)),
            minutes.select(columns).with_columns(rank=pl.lit(2)),
        ]
    )
    asked = values.select("tenant", "at", "rank").unique()
    owners = values.select(ACCOUNT).unique()
    # An account counts at another's minute with what it was worth last: the order of a point is its time, then its rank.
    every = asked.join(owners, on="tenant").join(values, on=["tenant", "account", "at", "rank"], how="left")
    filled = (
        every.sort(*ACCOUNT, "at", "rank")
        .with_columns(pl.col(*_AMOUNTS, "open_trades").forward_fill().over(ACCOUNT))
        .filter(pl.col("balance").is_not_null())
    )
    asked_at = pl.col("at") + pl.when(pl.col("rank") == 2).then(pl.lit(MINUTE)).otherwise(pl.lit(timedelta(0)))
    rated = with_rate(filled, currencies, known, asked_at).with_columns(
        converted(name).alias(name) for name in _AMOUNTS
    )
    whole = pl.col("rate").is_null().sum() == 0
    points = (
        rated.group_by("tenant", "reporting_currency", "at", "rank")
        .agg(
            *(pl.when(whole).then(pl.col(name).sum().cast(MONEY)).alias(name) for name in _AMOUNTS),
            open_trades=pl.col("open_trades").sum(),
            accounts=pl.len().cast(pl.Int64),
            unconverted_accounts=pl.col("rate").is_null().sum().cast(pl.Int64),
        )
        .with_columns(equity=(pl.col("balance") + pl.col("unrealised_pnl")).cast(MONEY))
        .sort("tenant", "at", "rank")
    )
    return split(with_water(points, ["tenant"], taken_up), ["tenant"])


def missing_rates(days: pl.DataFrame) -> pl.DataFrame:
    """Return for each account and currency which days of `equity_daily` have money and no rate: first, last, count."""
    return (
        days.filter(pl.col("rate").is_null() & (pl.col("closing_equity") != ZERO))
        .group_by(*ACCOUNT, "currency", "reporting_currency")
        .agg(first=pl.col("date").min(), last=pl.col("date").max(), count=pl.len())
        .sort(ACCOUNT)
    )


def unconverted(days: pl.DataFrame) -> Sequence[str]:
    """Say in a sentence for each account and currency which days of `equity_daily` have no rate."""
    return [
        "converting {tenant}/{account} to {reporting_currency}: no bar of {currency}{reporting_currency} or "
        "{reporting_currency}{currency} is on record within {life} days of {count} days from {first} to {last}; the rows "
        "stay in {currency}: let a terminal of this tenant quote the pair, or name another reporting currency.".format(
            life=RATE_LIFETIME.days, **row
        )
        for row in missing_rates(days).iter_rows(named=True)
    ]
