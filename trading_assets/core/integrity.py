"""What must always be true of the record, as pure checks over frames. What is not becomes a difference with its repair.

Frames are rows of the tables they are named after. Which tables are read when, and what a difference sets in motion,
lives with the assets; the chain of the journal is verified by its own store.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Literal, TypeAlias

import msgspec
import polars as pl

from trading_assets.core.health import DAEMON
from trading_assets.core.market.sessions import open_ms_between
from trading_assets.core.records.operations import Finding
from trading_assets.core.trades.ledger import ZERO, Conservation

Severity: TypeAlias = Literal["info", "warning", "error"]

LONGEST_GAP = timedelta(minutes=60)

_OWNER = ["tenant", "account"]
_ASK_DEALS = "ask the terminal for its deals of that day, then rebuild trades and outcomes"
_INGEST = "ingest the journal of that day again"
_REBUILD = "rebuild the day's partition from the raw tables"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it must be."""

    check: str
    severity: Severity
    tenant: str
    account: str
    subject: str
    expectation: str
    observed: str
    repair: str
    table: str = ""
    """Table whose rows are not as they must be; empty when it is about none."""
    day: date | None = None
    """Day of the partition it is about."""

    def record(self, at: datetime, chain_id: str, state: Literal["found", "resolved"] = "found") -> Finding:
        """Return it as a record of the journal, found, or not found any more, at `at`."""
        return Finding(
            tenant=self.tenant,
            account=self.account,
            event_at=at,
            known_at=at,
            chain_id=chain_id,
            check=self.check,
            severity=self.severity,
            subject=self.subject,
            expectation=self.expectation,
            observed=self.observed,
            repair=self.repair,
            table=self.table,
            day=self.day.isoformat() if self.day is not None else "",
            state=state,
        )


def _differences(
    rows: pl.DataFrame,
    check: str,
    *,
    subject: str,
    expectation: str,
    observed: str,
    repair: str,
    table: str,
    severity: Severity = "error",
) -> list[Difference]:
    """Make one difference of each row, about its day of `table`; the texts may name columns in braces."""
    return [
        Difference(
            check=check,
            severity=severity,
            tenant=row["tenant"],
            account=row["account"],
            subject=subject.format(**row),
            expectation=expectation.format(**row),
            observed=observed.format(**row),
            repair=repair,
            table=table,
            day=row.get("date"),
        )
        for row in rows.iter_rows(named=True)
    ]


def executed_decisions_have_trades(orders: pl.DataFrame, trades: pl.DataFrame) -> list[Difference]:
    """Every entry order that was filled belongs to a trade."""
    filled = orders.filter((pl.col("purpose") == "OPEN") & (pl.col("filled_lots") > ZERO))
    return _differences(
        filled.join(trades, on=[*_OWNER, "trade_id"], how="anti"),
        "executed_decisions_have_trades",
        table="trades",
        subject="signal {signal_id}",
        expectation="trade {trade_id}, since {filled_lots} lots of its order were filled",
        observed="no such trade",
        repair=_ASK_DEALS,
    )


def closed_trades_have_outcomes(trades: pl.DataFrame, outcomes: pl.DataFrame) -> list[Difference]:
    """Every trade that is closed has an outcome."""
    closed_on = pl.col("closed_at").cast(pl.Datetime("us", "UTC")).dt.date()
    closed = trades.filter(~pl.col("is_open")).with_columns(date=closed_on)
    return _differences(
        closed.join(outcomes, on=[*_OWNER, "trade_id"], how="anti"),
        "closed_trades_have_outcomes",
        table="outcomes",
        subject="trade {trade_id}",
        expectation="an outcome, since it was closed at {closed_at}",
        observed="none",
        repair=_INGEST,
    )


def trades_have_decisions(trades: pl.DataFrame, signals: pl.DataFrame) -> list[Difference]:
    """Every trade was opened by a decision that is on record, and by the candidate that decision chose."""
    chosen = signals.select(*_OWNER, "signal_id", chosen_idea=pl.col("idea_id"), is_known=pl.lit(True))
    joined = trades.join(chosen, on=[*_OWNER, "signal_id"], how="left")
    unknown = joined.filter(pl.col("is_known").is_null())
    other = joined.filter(pl.col("is_known") & pl.col("chosen_idea").ne_missing(pl.col("idea_id")))
    return [
        *_differences(
            unknown,
            "trades_have_decisions",
            table="signals",
            subject="trade {trade_id}",
            expectation="decision {signal_id}",
            observed="no such decision",
            repair=_INGEST,
        ),
        *_differences(
            other,
            "trades_have_decisions",
            table="trades",
            subject="trade {trade_id}",
            expectation="candidate {chosen_idea}, which decision {signal_id} chose",
            observed="candidate {idea_id}",
            repair=_INGEST,
        ),
    ]


def outcomes_equal_trades(outcomes: pl.DataFrame, trades: pl.DataFrame) -> list[Difference]:
    """What the daemon says a trade made is what its deals say."""
    stated = outcomes.select(*_OWNER, "trade_id", stated_pnl=pl.col("net_pnl"))
    joined = trades.filter(~pl.col("is_open")).join(stated, on=[*_OWNER, "trade_id"], how="inner")
    return _differences(
        joined.filter(pl.col("stated_pnl") != pl.col("net_pnl")),
        "outcomes_equal_trades",
        table="outcomes",
        subject="trade {trade_id}",
        expectation="net profit {net_pnl}, by its deals",
        observed="{stated_pnl} in its outcome",
        repair=_ASK_DEALS,
    )


def windows_are_equal(chart_windows: pl.DataFrame) -> list[Difference]:
    """The bars a decision saw are the bars the lake holds."""
    return _differences(
        chart_windows.filter(~pl.col("is_equal")),
        "windows_are_equal",
        table="chart_windows",
        subject="window of signal {signal_id}, {timeframe}",
        expectation="hash {recorded_sha256}, as the decision recorded it",
        observed="{recomputed_sha256} from the lake's bars",
        repair="make bars and windows of the day again; of the last days the terminal is asked for its bars",
    )


def features_are_equal(feature_windows: pl.DataFrame) -> list[Difference]:
    """The features a decision used are the features computed here, bit for bit (invariant 7)."""
    return _differences(
        feature_windows.filter(~(pl.col("is_equal") & pl.col("is_vector_equal"))),
        "features_are_equal",
        table="feature_windows",
        subject="features of signal {signal_id}",
        expectation="hash {recorded_sha256_raw}, as the decision recorded it",
        observed="{recomputed_sha256_raw} recomputed, vector equal: {is_vector_equal}",
        repair=_REBUILD,
    )


def keys_are_unique(table: str, rows: pl.DataFrame, key: Sequence[str]) -> list[Difference]:
    """A table's key names one row."""
    columns = list(dict.fromkeys([*_OWNER, *key]))
    day = [pl.col("date").max()] if "date" in rows.columns and "date" not in key else []
    repeated = rows.group_by(columns, maintain_order=True).agg(pl.len(), *day).filter(pl.col("len") > 1)
    named = ", ".join(f"{name} {{{name}}}" for name in columns if name not in _OWNER)
    return _differences(
        repeated,
        "keys_are_unique",
        table=table,
        subject=f"{table}, {named}",
        expectation="one row",
        observed="{len} rows",
        repair=_REBUILD,
    )


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows went in and came out of a step for one tenant and account."""

    step: str
    tenant: str
    account: str
    rows_in: int
    rows_out: int
    table: str = ""
    day: date | None = None


def counts_agree(counts: Iterable[Count]) -> list[Difference]:
    """From each step as many rows come out as went in."""
    return [
        Difference(
            check="counts_agree",
            severity="error",
            tenant=count.tenant,
            account=count.account,
            subject=count.step,
            expectation=f"{count.rows_in} rows, as many as went in",
            observed=f"{count.rows_out} rows",
            repair=_REBUILD,
            table=count.table,
            day=count.day,
        )
        for count in counts
        if count.rows_in != count.rows_out
    ]


def counts_by_owner(
    step: str, source: pl.DataFrame, result: pl.DataFrame, key: str, *, table: str = "", day: date | None = None
) -> list[Count]:
    """Count the distinct keys of source and result for each tenant and account."""
    entered = source.group_by(_OWNER).agg(rows_in=pl.col(key).n_unique())
    came = result.group_by(_OWNER).agg(rows_out=pl.len())
    joined = entered.join(came, on=_OWNER, how="full", coalesce=True).fill_null(0).sort(_OWNER)
    return [Count(step=step, table=table, day=day, **row) for row in joined.iter_rows(named=True)]


def bars_have_no_gaps(bars: pl.DataFrame, longest: timedelta = LONGEST_GAP) -> list[Difference]:
    """Between two bars of a symbol and timeframe no more market time passes than `longest`.

    A minute without a quote has no bar, so the shortest timeframe's gaps are quiet minutes as well; weekends are no
    market time. Holidays are not known here: a gap is a warning.
    """
    chart = [*_OWNER, "symbol", "timeframe"]
    followed = (
        bars.sort(*chart, "open_at")
        .with_columns(next_open_at=pl.col("open_at").shift(-1).over(chart))
        .filter((pl.col("next_open_at") - pl.col("close_at")) > longest)
    )
    missing = open_ms_between(
        followed["close_at"].dt.epoch("ms").to_numpy(), followed["next_open_at"].dt.epoch("ms").to_numpy()
    )
    gaps = followed.with_columns(minutes=pl.Series(missing, dtype=pl.Int64) // 60_000).filter(
        pl.col("minutes") > longest // timedelta(minutes=1)
    )
    return _differences(
        gaps,
        "bars_have_no_gaps",
        table="bars",
        subject="{symbol} {timeframe} from {close_at} to {next_open_at}",
        expectation="bars while the market was open",
        observed="none for {minutes} minutes",
        repair="make the day's bars again; of the last days the terminal is asked, once: hours it does not give stay a gap",
        severity="warning",
    )


def no_component_was_silent(health: pl.DataFrame) -> list[Difference]:
    """While the market is open, the daemon and each of its components are heard of at every heartbeat.

    Where the daemon as a whole was silent, that is said once and not for each of its components.
    """
    hour = [*_OWNER, "hour_at"]
    silent = health.filter(pl.col("silent_open_s") > 0.0)
    process = silent.filter(pl.col("component") == DAEMON).select(*hour, process_silent_s="silent_open_s")
    rows = (
        silent.join(process, on=hour, how="left")
        .filter(
            (pl.col("component") == DAEMON)
            | (pl.col("silent_open_s") > pl.col("process_silent_s").fill_null(0.0) + 1.0)
        )
        .with_columns(minutes=(pl.col("silent_open_s") / 60.0).round(1))
    )
    return _differences(
        rows,
        "no_component_was_silent",
        table="system_health",
        subject="{component} in the hour from {hour_at}",
        expectation="a heartbeat at every interval while the market was open",
        observed="none for {minutes} minutes",
        repair="look at the daemon's log of that hour, and why nothing restarted it",
        severity="warning",
    )


def no_cent_is_lost(tenant: str, account: str, counted: Conservation) -> list[Difference]:
    """Deals, profit-and-loss events and the balance tell of the same money."""
    if counted.difference == ZERO:
        return []
    return [
        Difference(
            check="no_cent_is_lost",
            table="pnl_events",
            severity="error",
            tenant=tenant,
            account=account,
            subject="ledger",
            expectation=f"the balance's change of {counted.balance_change} less deposits of {counted.deposits}",
            observed=f"{counted.deals} by deals, {counted.events} by profit-and-loss events",
            repair="ask the terminal for all deals, then rebuild the profit-and-loss events",
        )
    ]
