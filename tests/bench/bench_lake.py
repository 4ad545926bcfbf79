"""How fast journal lines become a frame and rest in the lake, beside a peer that decodes and a floor that only writes.

Run it: python tests/bench/bench_lake.py [--quotes N] [--folder DIR].
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from trading_assets.core.columns.column import Table
from trading_assets.core.records.codec import encode_record
from trading_assets.core.records.market import Quote
from trading_assets.core.tables import TABLES
from trading_assets.store.lake import Lake
from trading_assets.store.raw_frames import records_frame

START = datetime(2026, 11, 2, tzinfo=UTC)
TABLE = TABLES["raw_quotes"]


def lines_of(count: int) -> list[bytes]:
    """Return the journal lines of one day's quotes."""
    step = timedelta(hours=23) / count
    return [
        encode_record(
            Quote(
                tenant="market", account="demo", event_at=START + i * step, known_at=START + i * step,
                chain_id="01KB2B3V00D3F8H2Q6S9W4X7YZ", symbol="EURUSD", bid=1.1 + i % 977 * 1e-5,
                ask=1.10012 + i % 977 * 1e-5, server_msc=1_793_577_600_000 + i, clock_rule="us",
            )
        )
        for i in range(count)
    ]  # fmt: skip


def decoded_frame(lines: list[bytes], table: Table) -> pl.DataFrame:
    """Return the peer's frame: every line decoded into a record, every field gathered into a column."""
    decoder = msgspec.json.Decoder(Quote)
    quotes = [decoder.decode(line) for line in lines]
    days = {"date": [quote.known_at.date() for quote in quotes], "journal_index": range(len(quotes))}
    fields = {name: [getattr(quote, name) for quote in quotes] for name in Quote.__struct_fields__}
    return pl.DataFrame({name: (days | fields)[name] for name in table.names}, schema=table.schema)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return seconds and result."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def show(what: str, seconds: float, beside: str, other: float) -> None:
    print(f"{what:<28} {seconds:7.2f} s   {beside:<34} {other:7.2f} s   ratio {seconds / other:5.2f}")


def main() -> int:
    """Print a line for each measurement."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quotes", type=int, default=700_000)
    arguments.add_argument("--folder", type=Path, default=None)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        lines = lines_of(chosen.quotes)
        framing, frame = timed(lambda: records_frame(TABLE.name, lines))
        decoding, decoded = timed(lambda: decoded_frame(lines, TABLE))
        assert frame.equals(decoded)
        lake = Lake(Path(folder) / "lake")
        lake.ensure_tables()
        lake.overwrite_dates(TABLE.name, TABLE.empty(), [START.date()])  # pandera's first use
        writing, _ = timed(lambda: lake.overwrite_dates(TABLE.name, frame, [START.date()]))
        plain, _ = timed(lambda: frame.write_parquet(Path(folder) / "plain.parquet"))
        reading, back = timed(lambda: lake.read(TABLE.name))
        bare, _ = timed(lambda: pl.read_parquet(Path(folder) / "plain.parquet"))
        assert back.equals(frame)
    print(f"{chosen.quotes:,} quotes, {sum(map(len, lines)) / 1e6:.0f} MB of journal lines")
    show("lines into a frame", framing, "peer: msgspec and lists", decoding)
    show("into the lake, checked", writing, "floor: one parquet file, unchecked", plain)
    show("out of the lake, ordered", reading, "floor: that file", bare)
    return 0


if __name__ == "__main__":
    sys.exit(main())
