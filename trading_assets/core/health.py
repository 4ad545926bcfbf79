"""How the daemon's components did, hour by hour, from their heartbeats: what they said, and for how long they said nothing.

Which heartbeats are read and where the hours are written is the asset's (`defs/operations.py`); what a component says of
itself now is `live.health.components`'s.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

import polars as pl

from trading_assets.core.market.sessions import are_open

PATIENCE = 3
"""Intervals after which a heartbeat is overdue."""
DAEMON = "daemon"
"""Component that stands for the process as a whole."""

_WHO = ["tenant", "account", "component"]
_SAID = ("is_healthy", "last_success_at", "successes", "errors", "detail")
_HOUR = timedelta(hours=1)


def heartbeats(components: pl.DataFrame, daemons: pl.DataFrame) -> pl.DataFrame:
    """Return the heartbeats of all components in order; the process' own count as those of the component `daemon`."""
    process = daemons.select(
        "tenant",
        "account",
        "known_at",
        "interval_s",
        component=pl.lit(DAEMON),
        is_healthy=pl.lit(True),
        last_success_at=pl.lit(None, pl.Datetime("us", "UTC")),
        successes="decisions",
        errors=pl.lit(0, pl.Int64),
        detail=pl.lit(""),
    )
    columns = ["tenant", "account", "component", "known_at", "interval_s", *_SAID]
    return pl.concat([components.select(columns), process.select(columns)]).sort(*_WHO, "known_at", maintain_order=True)


def system_health(beats: pl.DataFrame, first: date, until: datetime) -> pl.DataFrame:
    """Return the hours from `first` on that ended by `until`. `beats` may begin earlier: what came before is needed."""
    begin = datetime.combine(first, datetime.min.time(), tzinfo=until.tzinfo)
    end = until.replace(minute=0, second=0, microsecond=0)
    counted = beats.with_columns(
        hour_at=pl.col("known_at").dt.truncate("1h"),
        successes=_grown("successes"),
        errors=_grown("errors"),
        # Without an interval nothing is due: its silence could not be told from time that stands still.
        is_due=pl.col("interval_s") > 0.0,
    )
    said = counted.group_by(*_WHO, "hour_at", maintain_order=True).agg(
        heartbeats=pl.len().cast(pl.Int64),
        healthy_share=pl.col("is_healthy").mean(),
        successes=pl.col("successes").sum(),
        errors=pl.col("errors").sum(),
        last_success_at=pl.col("last_success_at").last(),
        trouble=pl.col("detail").filter(~pl.col("is_healthy")).last().fill_null(""),
        is_due=pl.col("is_due").any(),
    )
    silent = _silent_hours(beats, begin, end)
    hours = said.join(silent, on=[*_WHO, "hour_at"], how="full", coalesce=True).sort(*_WHO, "hour_at")
    hours = hours.filter(pl.col("hour_at") >= begin, pl.col("hour_at") < end)
    is_open = are_open(hours["hour_at"].dt.epoch("ms").to_numpy())
    silence = pl.col("silent_s").fill_null(0.0)
    return hours.with_columns(
        date=pl.col("hour_at").dt.date(),
        heartbeats=pl.col("heartbeats").fill_null(0),
        successes=pl.col("successes").fill_null(0),
        errors=pl.col("errors").fill_null(0),
        trouble=pl.col("trouble").fill_null(""),
        longest_silence_s=pl.col("longest_silence_s").fill_null(0.0),
        silent_open_s=pl.when(pl.Series(is_open)).then(silence).otherwise(0.0),
        uptime_share=pl.when(pl.col("is_due").fill_null(value=True)).then(1.0 - silence / 3600.0),
    )


def _grown(name: str) -> pl.Expr:
    """Return by how much a counter has grown since the heartbeat before; a restarted process counts from zero."""
    counter = pl.col(name)
    since = counter - counter.shift(1).over(_WHO)
    return pl.when((since >= 0).fill_null(value=False)).then(since).otherwise(counter)


def _silent_hours(beats: pl.DataFrame, begin: datetime, end: datetime) -> pl.DataFrame:
    """Return for each hour with silence how much of it there was, and the longest stretch."""
    overdue = pl.col("known_at") + pl.duration(microseconds=(pl.col("interval_s") * PATIENCE * 1e6).cast(pl.Int64))
    stretches = (
        beats.with_columns(
            from_at=overdue,
            to_at=pl.col("known_at").shift(-1).over(_WHO).fill_null(pl.lit(end, pl.Datetime("us", "UTC"))),
        )
        .filter(pl.col("interval_s") > 0.0)
        .with_columns(
            from_at=pl.max_horizontal("from_at", pl.lit(begin, pl.Datetime("us", "UTC"))),
            to_at=pl.min_horizontal("to_at", pl.lit(end, pl.Datetime("us", "UTC"))),
        )
        .filter(pl.col("to_at") > pl.col("from_at"))
        .select(*_WHO, "from_at", "to_at")
    )
    cut = stretches.with_columns(
        hour_at=pl.datetime_ranges(pl.col("from_at").dt.truncate("1h"), "to_at", "1h", closed="both")
    ).explode("hour_at")
    within = pl.min_horizontal("to_at", pl.col("hour_at") + _HOUR) - pl.max_horizontal("from_at", "hour_at")
    return (
        cut.with_columns(silent_s=within.dt.total_microseconds() / 1e6)
        .filter(pl.col("silent_s") > 0.0)
        .group_by(*_WHO, "hour_at")
        .agg(silent_s=pl.col("silent_s").sum(), longest_silence_s=pl.col("silent_s").max())
    )
