"""`trading verify`: the journal's chain, and the lake computed again from it. Reads everything, changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from trading_assets.cli import summary
from trading_assets.cli.environment import at_home
from trading_assets.store.history_days import first_day
from trading_assets.store.home import Home
from trading_assets.store.ingestion import pending_days
from trading_assets.store.journal import JournalError
from trading_assets.store.journal import verify as verify_journal
from trading_assets.store.lake import Lake
from trading_assets.store.seals import sealing_lake


def verify(home: Home, *, is_thorough: bool = False) -> dict[str, Any]:
    """Return what was counted and every fault found, each with the file, the expectation and the repair.

    Tables are computed again for the days that do not rest as they were written and for a sample of the others; thorough,
    for all of them.
    """
    report = verify_journal(home.raw)
    result: dict[str, Any] = {
        "journal": {
            "records": report.records, "seals": report.seals, "segments": report.segments,
            "removed_segments": report.removed_segments, "removed_records": report.removed_records,
        },
        "faults": [
            {"segment": fault.segment, "line": fault.line, "expectation": fault.expectation,
             "observed": fault.observed, "repair": fault.repair}
            for fault in report.faults
        ],
        "pending_days": _pending(home),
    }  # fmt: skip
    lake_is_right = True
    if home.lake.is_dir():
        lake = Lake(home.lake)
        checked = {name: count(lake) for name, count in summary.CHECKS.items()}
        checked["ledger"] = _ledger(home, lake)
        again = _recomputed(home, is_thorough=is_thorough) if not report.faults else None
        differences = [*_unseen(home, lake, checked), *(again["different"] if again else ())]
        result |= checked | {"recomputed": again, "differences": differences}
        lake_is_right = not differences and not any(summary.is_wrong(name, value) for name, value in checked.items())
    result["is_clean"] = not report.faults and lake_is_right
    return result


def _ledger(home: Home, lake: Lake) -> dict[str, Any]:
    """Count the money, with what the hourly ledger has still to book: that is due, and no cent is lost by it."""
    at_home(home)
    from trading_assets.defs.follow_ups import days_left

    due = days_left(home, lake, "pnl_events")
    told = {"days_to_book": len(due)} if due else {}
    return summary.ledger(lake, due) | told


def _recomputed(home: Home, *, is_thorough: bool) -> dict[str, Any]:
    from trading_assets.cli.progress import step, steps

    at_home(home)
    from trading_assets.defs.recomputation import recompute, sentences

    title = "Computing every day again" if is_thorough else "Computing days again"
    with steps() as progress, step(progress, title) as tell:
        found = recompute(
            home, sealing_lake(home), datetime.now(UTC).date(), is_thorough=is_thorough,
            on_day=lambda done, total: tell(done / total, f"{done} of {total}"),
        )  # fmt: skip
    return {
        "days": [day.isoformat() for day in found.days], "of_days": found.of_days, "windows": found.compared["windows"],
        "features": found.compared["features"], "different": sentences(found) + _unequal(found.mismatched),
    }  # fmt: skip


def _unequal(mismatched: Mapping[str, int]) -> list[str]:
    return [
        f"{count} {name} of the days computed again are not what the decisions recorded; `trading explain --day` names them"
        for name, count in mismatched.items()
        if count
    ]


def _unseen(home: Home, lake: Lake, checked: Mapping[str, Any]) -> list[str]:
    """Say which days hold windows that are not as the decisions saw them, and the command that makes their bars again."""
    if not checked["windows"]["mismatched"]:
        return []
    rows = lake.scan("chart_windows").filter(~pl.col("is_equal"))
    told = rows.select(
        pl.len(), first=pl.col("date").min(), last=pl.col("date").max(), since=pl.col("first_open_at").min().dt.date()
    ).collect()
    count, first, last, since = told.row(0)
    begin = max(one for one in (min(since or first, first), first_day(home)) if one is not None)
    return [
        f"{count} chart windows of {first} to {last} are not as the decisions saw them, whose bars reach back to {begin}; "
        f"trading materialise ingest --from {begin} --to {last} --home {home.root}"
    ]


def _pending(home: Home) -> list[str]:
    try:
        return [day.isoformat() for day in pending_days(home)]
    except JournalError:
        return []  # Spoilt receipts: they are among the faults.
