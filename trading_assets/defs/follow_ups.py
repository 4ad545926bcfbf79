"""Which days of the hourly tables are due: those that hang on a day of a source that was written since they were made.

A table is made again for what changed, however long ago that is and however long nothing ran; never for a window of recent
days. What is noted of each is `store.follow_ups`. Nothing here imports an asset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import wraps
from inspect import isgeneratorfunction
from typing import Any, TypeAlias

import polars as pl

from trading_assets.defs.left_alone import LABEL_DAYS
from trading_assets.defs.partitions import dates_of
from trading_assets.store.follow_ups import changed_days, note_follow_up, read_follow_up, versions_of
from trading_assets.store.home import Home
from trading_assets.store.lake import Lake

Changed: TypeAlias = Mapping[str, set[date]]
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Follower:
    """What is made again when its sources change: the job that makes it, and which of its days hang on which changed ones."""

    job: str
    sources: tuple[str, ...]
    hangs_on: Callable[[Lake, Changed], set[date]]


def _same_days(_lake: Lake, changed: Changed) -> set[date]:
    return set().union(*changed.values())


def _days_of_curves(lake: Lake, changed: Changed) -> set[date]:
    """Bars only convert money where there is some."""
    held = set(lake.dates("equity_daily"))
    return set().union(*(days & held if table == "bars" else days for table, days in changed.items()))


def _days_of_performance(lake: Lake, changed: Changed) -> set[date]:
    """Each day says how good it is so far: what changed is in every day after it."""
    moved = set().union(*changed.values())
    if changed["raw_deals"]:
        told = lake.scan("raw_deals", dates=sorted(changed["raw_deals"]))
        moved |= set(told.select(pl.col("event_at").dt.date().unique()).collect().to_series())
    if not moved:
        return set()
    last = max([*moved, *lake.dates("performance_daily")[-1:]])
    return {min(moved) + number * DAY for number in range((last - min(moved)).days + 1)}


def _days_of_labels(source: str) -> Callable[[Lake, Changed], set[date]]:
    """A label is made from the prices of the day before its own to those that its future reaches."""

    def days(lake: Lake, changed: Changed) -> set[date]:
        decided = set(lake.dates(source))
        priced = set().union(*(of for table, of in changed.items() if table != source))
        near = {day + shift * DAY for day in priced for shift in range(-LABEL_DAYS, 2)}
        return changed[source] | (near & decided)

    return days


def _days_heard(lake: Lake, changed: Changed) -> set[date]:
    """An hour counts how long nothing was heard: what is heard on a day is in the days after it until something is heard again."""
    heard = sorted({day for table in changed for day in lake.dates(table)})
    found: set[date] = set()
    for day in set().union(*changed.values()):
        until = next((one for one in heard if one > day), day)
        found |= {day + number * DAY for number in range((until - day).days + 1)}
    return found


def _days_of_trades(lake: Lake, changed: Changed) -> set[date]:
    """A trade rests on the day it was opened, whenever its deals and its outcome are told."""
    told = sorted(set().union(*changed.values()))
    if not told:
        return set()
    named = [lake.scan(table, dates=told).select("trade_id").collect() for table in changed]
    ids = pl.concat(named).to_series().drop_nulls().unique().to_list()
    resting = lake.scan("trades").filter(pl.col("is_open") | pl.col("trade_id").is_in(ids))
    return {*told, *resting.select(pl.col("date").unique()).collect().to_series()}


FOLLOWERS: Mapping[str, Follower] = {
    "trades": Follower("ingest", ("raw_deals", "outcomes"), _days_of_trades),
    "pnl_events": Follower("ledger", ("raw_deals",), _same_days),
    "curves": Follower("ledger", ("raw_deals", "marks", "signals", "raw_accounts", "bars"), _days_of_curves),
    "performance_daily": Follower("ledger", ("raw_deals", "signals", "outcomes"), _days_of_performance),
    "labels": Follower("dataset", ("candidates", "bars", "raw_quotes"), _days_of_labels("candidates")),
    "forward_returns": Follower("dataset", ("signals", "bars"), _days_of_labels("signals")),
    "system_health": Follower("operations", ("raw_component_states", "raw_daemon_heartbeats"), _days_heard),
}
"""Everything that is made of days besides the ingestion itself, which follows the journals."""


def days_left(home: Home, lake: Lake, name: str) -> set[date]:
    """Return the days of a follower that are due."""
    return _look(home, lake, name)[1]


def days_due(home: Home, lake: Lake, job: str) -> set[date]:
    """Return the days that are due of all that a job makes."""
    return set().union(*(days_left(home, lake, name) for name, one in FOLLOWERS.items() if one.job == job))


def _look(home: Home, lake: Lake, name: str) -> tuple[dict[str, int], set[date]]:
    follower, noted = FOLLOWERS[name], read_follow_up(home, name)
    now = versions_of(lake, follower.sources)
    changed = changed_days(lake, noted.versions, now)
    return now, {*noted.left, *follower.hangs_on(lake, changed)}


def following(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate an asset that is a follower: what was due when it began, and is made when it ends, is due no more."""

    def decorate(write: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(write)
        def written(context: Any, storage: Any) -> Any:
            now, due = _look(storage.home, storage.lake, name)
            result = write(context, storage)
            note_follow_up(storage.home, name, now, due - set(dates_of(context)))
            return result

        @wraps(write)
        def yielded(context: Any, storage: Any) -> Iterator[Any]:
            now, due = _look(storage.home, storage.lake, name)
            yield from write(context, storage)
            note_follow_up(storage.home, name, now, due - set(dates_of(context)))

        return yielded if isgeneratorfunction(write) else written

    return decorate


def span(days: Iterable[date], first: date) -> tuple[date, date] | None:
    """Return the range from the first to the last of the days, none before `first`: what takes up the day before is one run."""
    ordered: Sequence[date] = sorted(day for day in days if day >= first)
    return (ordered[0], ordered[-1]) if ordered else None
