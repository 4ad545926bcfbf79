"""What must be there because something else is: bars where quotes are, labels where the future has passed, rows of the dataset.

Pure checks over frames like those of `core.integrity`, and what tells of a table that is not as it was written.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, timedelta

import polars as pl

from trading_assets.core.comparison import Compared
from trading_assets.core.integrity import Difference, Severity
from trading_assets.core.trades.currencies import RATE_LIFETIME, missing_rates

NOBODY = ("ops", "dagster")
"""Tenant and account of a finding that is about a table and nobody's rows: those of the asset half itself."""

_CHART = ["tenant", "account", "symbol"]


def bars_cover_quotes(minutes: pl.DataFrame, bars: pl.DataFrame) -> list[Difference]:
    """Every minute with a quote has a bar. `minutes`: owner, symbol, date, open_at; `bars`: those of M1 on these days."""
    bare = minutes.join(bars.select(*_CHART, "open_at"), on=[*_CHART, "open_at"], how="anti")
    by_day = bare.group_by([*_CHART, "date"]).agg(
        pl.len().alias("count"), pl.col("open_at").min().alias("first"), pl.col("open_at").max().alias("last")
    )
    return [
        Difference(
            check="bars_cover_quotes", severity="error", tenant=row["tenant"], account=row["account"],
            subject=f"{row['symbol']} on {row['date']}",
            expectation="a bar for every minute with a quote",
            observed=f"none for {row['count']} minutes from {row['first']:%H:%M} to {row['last']:%H:%M}",
            repair="rebuild the day's bars from its quotes", table="bars", day=row["date"],
        )
        for row in by_day.sort([*_CHART, "date"]).iter_rows(named=True)
    ]  # fmt: skip


def money_has_a_rate(days: pl.DataFrame) -> list[Difference]:
    """Every day of `equity_daily` with money in it is converted into the reporting currency."""
    return [
        Difference(
            check="money_has_a_rate", severity="warning", tenant=row["tenant"], account=row["account"],
            subject=f"{row['currency']} to {row['reporting_currency']}",
            expectation=f"a bar of {row['currency']}{row['reporting_currency']} or {row['reporting_currency']}{row['currency']} within {RATE_LIFETIME.days} days",
            observed=f"none for {row['count']} days from {row['first']} to {row['last']}",
            repair="let a terminal of this tenant quote the pair, or name another reporting currency",
            table="equity_daily", day=row["last"],
        )
        for row in missing_rates(days).iter_rows(named=True)
    ]  # fmt: skip


def labels_are_complete(candidates: pl.DataFrame, labels: pl.DataFrame) -> list[Difference]:
    """Every LONG or SHORT candidate with prices has a label, once its future has surely passed.

    `candidates` are those of days so far back that no label of theirs can still wait.
    """
    priced = candidates.filter(
        pl.col("kind").is_in(["LONG", "SHORT"])
        & pl.all_horizontal(
            pl.col("entry_price", "stop_price", "target_price", "risk_unit", "timeout_bars").is_not_null()
        )
    )
    bare = priced.join(labels, on=["tenant", "account", "idea_id"], how="anti")
    return _by_day(bare, priced, "labels_are_complete", "labels", "a label for each of {all} candidates whose future has passed",
                   "{count} have none, such as {first}", "label the candidates of that day again", "warning")  # fmt: skip


def labelled_candidates_are_learned(labels: pl.DataFrame, dataset: pl.DataFrame) -> list[Difference]:
    """Every label is a row of the learning dataset, and every row has its label."""
    key, kept = ["tenant", "account", "idea_id"], "labelled_candidates_are_learned"
    return [
        *_by_day(labels.join(dataset, on=key, how="anti"), labels, kept, "learning_dataset", "a row for each of {all} labels",
                 "{count} have none, such as {first}", "add the rows of that day to the dataset"),
        *_by_day(dataset.join(labels, on=key, how="anti"), dataset, kept, "labels", "a label behind each of {all} rows",
                 "{count} have none, such as {first}", "label the candidates of that day again"),
    ]  # fmt: skip


def curves_have_no_gaps(table: str, days: Sequence[date], due: Collection[date]) -> list[Difference]:
    """From its first day to its last, a curve has rows on every day, market or not; days that are still to be made are no gap."""
    there = set(days)
    every = (min(there) + timedelta(days=number) for number in range((max(there) - min(there)).days)) if there else ()
    return [
        about_table("curves_have_no_gaps", table, day, "a row of every day between the first and the last", "none",
                    "make the day's rows again from deals and marks")
        for day in every
        if day not in there and day not in due
    ]  # fmt: skip


def _by_day(
    bare: pl.DataFrame, whole: pl.DataFrame, check: str, table: str, expectation: str, observed: str, repair: str,
    severity: Severity = "error",
) -> list[Difference]:  # fmt: skip
    owner = ["tenant", "account", "date"]
    counted = bare.group_by(owner).agg(pl.len().alias("count"), pl.col("idea_id").min().alias("first"))
    told = counted.join(whole.group_by(owner).agg(pl.len().alias("all")), on=owner).sort(owner)
    return [
        Difference(
            check=check, severity=severity, tenant=row["tenant"], account=row["account"], subject=f"{table} of {row['date']}",
            expectation=expectation.format(**row), observed=observed.format(**row), repair=repair, table=table, day=row["date"],
        )
        for row in told.iter_rows(named=True)
    ]  # fmt: skip


def table_is_as_due(compared: Compared, problem: str) -> tuple[Difference, ...]:
    """A day of a table holds the rows that its sources give."""
    if compared.is_equal:
        return ()
    return (
        about_table(
            "tables_are_as_written", compared.table, compared.day, f"{compared.due} rows, as its sources give them",
            f"{compared.words()} ({problem})", "make the day's rows again from what they are made from",
        ),
    )  # fmt: skip


def about_table(
    check: str, table: str, day: date | None, expectation: str, observed: str, repair: str, severity: Severity = "error"
) -> Difference:
    """Return a difference that is about a table, or a day of it, and nobody's rows."""
    return Difference(
        check=check, severity=severity, tenant=NOBODY[0], account=NOBODY[1], subject=f"{table} of {day}" if day else table,
        expectation=expectation, observed=observed, repair=repair, table=table, day=day,
    )  # fmt: skip
