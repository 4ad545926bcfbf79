"""Two ingestions of the same days at once: one waits for nobody, nothing is doubled, nothing is lost, the loser says so."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Barrier

import polars as pl

from trading_assets.core.errors import UnavailableError
from trading_assets.core.records.market import Quote
from trading_assets.core.tables import TABLES
from trading_assets.store.lake import Lake
from trading_assets.store.raw_frames import records_frame

DAYS = [date(2026, 3, 2), date(2026, 3, 3)]
WRITERS, ROUNDS = 4, 5


def quotes(count: int) -> pl.DataFrame:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    return records_frame(
        "raw_quotes",
        [
            Quote(tenant="t", account="a", event_at=at + timedelta(minutes=minute), known_at=at + timedelta(minutes=minute),
                  chain_id="c", symbol="EURUSD", bid=1.1, ask=1.1002, server_msc=minute, clock_rule="utc")
            for minute in range(0, 2880, 2880 // count)
        ],
    )  # fmt: skip


def test_the_same_days_written_at_once_are_written_once(tmp_path: Path) -> None:
    Lake(tmp_path).create(TABLES["raw_quotes"])
    frame, start = quotes(288), Barrier(WRITERS)

    def ingest(_: int) -> int:
        lake, refused = Lake(tmp_path), 0
        for _ in range(ROUNDS):
            start.wait()
            try:
                lake.overwrite_dates("raw_quotes", frame, DAYS)
            except UnavailableError as error:
                refused += "another writer was faster" in str(error)
        return refused

    with ThreadPoolExecutor(WRITERS) as writers:
        refused = sum(writers.map(ingest, range(WRITERS)))
    lake = Lake(tmp_path)
    assert lake.read("raw_quotes").equals(frame)
    # Each round somebody was first.
    assert ROUNDS <= lake.version("raw_quotes") == WRITERS * ROUNDS - refused
