"""`trading retain`: old segments and old days of tables removed, once or again and again until it is told to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from trading_assets.cli.processes import end_request
from trading_assets.core.errors import TradingError
from trading_assets.store.home import Home
from trading_assets.store.journal_retention import Retained
from trading_assets.store.journal_retention import retain as retain_once


def retain(home: Home, market_days: int, *, with_lake: bool = True) -> dict[str, Any]:
    """Do one pass over the journal, then one over the lake, and return what they did."""
    from trading_assets.store.lake_retention import LakeRetained, retain_lake

    today = datetime.now(UTC).date()
    journal = retain_once(home, today, market_days)
    lake = retain_lake(home, today) if with_lake else LakeRetained({}, 0)
    told = asdict(journal) | {"dropped_days": lake.dropped_days, "vacuumed_files": lake.vacuumed_files}
    return told | {"problems": (*journal.problems, *lake.problems)}


def retention_rules(market_days: int) -> dict[str, Any]:
    """Return how long each stream of the journal and each table of the lake is kept, in days; None: for ever."""
    from trading_assets.store.lake_retention import rules

    return {
        "streams": {"market": market_days, "trading": None, "ops": None},
        "tables": {rule.table: rule.keep_days for rule in rules()},
        "all_versions_of": [rule.table for rule in rules() if rule.keeps_versions],
    }


def retain_every(home: Home, market_days: int, seconds: float, tell: Callable[[dict[str, Any]], None]) -> None:
    """Do a pass now and every so many seconds, until Ctrl-C or a request to end; a pass under way is finished.

    The lake, whose days and versions grow old by the day, is gone through once a day.
    """
    stop, lake_at = end_request(), None
    while not stop.is_set():
        if home.raw.is_dir():
            try:
                today = datetime.now(UTC).date()
                tell(retain(home, market_days, with_lake=today != lake_at))
                lake_at = today
            except TradingError as error:
                tell(asdict(Retained(problems=(str(error),))))
        stop.wait(seconds)
