"""`trading verify`: the journal's chain, and the lake held against it. Reads everything, changes nothing."""

from __future__ import annotations

from typing import Any

from trading_assets.cli import summary
from trading_assets.store.home import Home
from trading_assets.store.ingestion import pending_days
from trading_assets.store.journal import JournalError
from trading_assets.store.journal import verify as verify_journal
from trading_assets.store.lake import Lake


def verify(home: Home) -> dict[str, Any]:
    """Return what was counted and every fault found, each with the file, the expectation and the repair."""
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
        result |= checked
        lake_is_right = not any(summary.is_wrong(name, value) for name, value in checked.items())
    result["is_clean"] = not report.faults and lake_is_right
    return result


def _pending(home: Home) -> list[str]:
    try:
        return [day.isoformat() for day in pending_days(home)]
    except JournalError:
        return []  # Spoilt receipts: they are among the faults.
