"""Raw tables: every sealed record of the journals, unchanged, one table for each record type.

One pass over a stream fills all its tables. Records in = rows out, or the step fails and the lake stays as it was.
Nothing is interpreted here.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import dagster as dg

from trading_assets.core.errors import StateError
from trading_assets.core.records.codec import RECORD_TYPES
from trading_assets.core.records.record import Record, Stream
from trading_assets.core.tables import raw_name
from trading_assets.defs.partitions import chunks, dates_of
from trading_assets.defs.resources import Storage
from trading_assets.defs.table_asset import ONE_RUN, PARTITIONS, RETRIES, counting, materialised, table_spec
from trading_assets.store.ingestion import mark_ingested, mark_reached, reached, whole_days
from trading_assets.store.journal import read_groups
from trading_assets.store.journal_sizes import day_sizes
from trading_assets.store.raw_frames import records_frame
from trading_assets.store.under_way import begin_days

STREAMS: tuple[Stream, ...] = ("market", "trading", "ops")


def _types(stream: Stream) -> dict[bytes, type[Record]]:
    return {str(kind.__struct_config__.tag).encode(): kind for kind in RECORD_TYPES if stream == kind.STREAM}


def _raw_asset(stream: Stream) -> dg.AssetsDefinition:
    kinds = _types(stream)

    @dg.multi_asset(
        name=f"raw_{stream}",
        specs=[table_spec(raw_name(kind)) for kind in kinds.values()],
        partitions_def=PARTITIONS,
        backfill_policy=ONE_RUN,
        retry_policy=RETRIES,
        description=f"Every sealed record of the {stream} stream.",
    )
    @counting
    def ingest(context: dg.AssetExecutionContext, storage: Storage) -> Iterator[dg.MaterializeResult[Any]]:
        rows: dict[bytes, int] = dict.fromkeys(kinds, 0)
        if stream == "market":
            # Before anything is read: whatever is written meanwhile belongs to the next ingestion.
            mark_reached(storage.home, reached(storage.home))
        begin_days(storage.home, context.run.run_id, dates_of(context))
        for days in chunks(dates_of(context)):
            # What is written from here on belongs to the next ingestion, what retention removed to the last one.
            sizes = day_sizes(storage.home.raw, stream, days=days)
            whole = whole_days(storage.home, stream, days)
            lines: dict[bytes, list[bytes]] = defaultdict(list)
            total = 0
            for group in read_groups(storage.home.raw, stream=stream, dates=whole):
                for line in group.lines:
                    lines[line[9 : line.index(b'"', 9)]].append(line)
                    total += 1
            if unknown := lines.keys() - kinds.keys():
                raise StateError(
                    "ingesting",
                    f"stream {stream}",
                    f"it holds records of unknown types {sorted(unknown)}",
                    "run the version of this software that wrote the journal, or a later one",
                )
            if whole_days(storage.home, stream, whole) != whole:
                raise StateError(
                    "ingesting",
                    f"stream {stream} of {days[0]} to {days[-1]}",
                    "retention removed segments while they were read",
                    "run the ingestion again",
                )
            written = 0
            for tag, kind in kinds.items():
                frame = records_frame(raw_name(kind), lines.pop(tag, []))
                if whole:
                    storage.lake.overwrite_dates(raw_name(kind), frame, whole)
                rows[tag] += frame.height
                written += frame.height
            if written != total:
                raise StateError(
                    "ingesting",
                    f"stream {stream} of {days[0]} to {days[-1]}",
                    f"{total} records became {written} rows",
                    "run the ingestion again, and report this if it stays so",
                )
            mark_ingested(storage.home, stream, days, sizes)
            context.log.info("%s: %s to %s, %s records", stream, days[0], days[-1], total)
        for tag, kind in kinds.items():
            yield materialised(raw_name(kind), rows[tag], rows_in=rows[tag])

    return ingest


RAW_ASSETS = [_raw_asset(stream) for stream in STREAMS]
