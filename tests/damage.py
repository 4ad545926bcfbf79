"""Ways in which a lake is damaged behind the back of its assets: what the tests of the self-check and its torture do to a home.

Each damage is done with plain tools (a delete, an overwrite, other bytes in a file), never through the lake that seals its
writes. `same_rows` says whether two lakes hold the same.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import polars as pl
from deltalake import DeltaTable

from trading_assets.core.comparison import compare_rows
from trading_assets.core.errors import StateError
from trading_assets.core.tables import TABLES
from trading_assets.defs import rehearsal
from trading_assets.store.home import Home
from trading_assets.store.ingestion import marked_days, pending_days
from trading_assets.store.lake import Lake
from trading_assets.store.seals import sealing_lake
from trading_assets.store.under_way import forget_run

TOLD = ("findings", "repairs", "dataset_versions")
"""What a damaged home says more than another: that it was damaged, and that the dataset was brought back."""
REGISTRIES = (
    "label_definitions", "feature_definitions", "learning_dataset", "dataset_versions", "meta_models", "promotions",
    "retraining_runs", "findings", "repairs", "transforms", "schema_changes",
)  # fmt: skip

Damage = Callable[[Home, random.Random], str]


@contextmanager
def twin(home: Home, folder: Path) -> Iterator[Home]:
    """Have a copy of a home that shares the files nobody writes in place: quick to make and to throw away."""
    left_out = shutil.ignore_patterns("postgres", "mlflow", "dagster", "dbt", "logs", "*.lock")
    try:
        shutil.copytree(home.root, folder, ignore=left_out, copy_function=_shared, dirs_exist_ok=True)
        yield Home(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _shared(source: str, target: str) -> None:
    if "/lake/" in source or ("/raw/" in source and ".ndjson" in source):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def follow_ops(home: Home) -> None:
    """Ingest what the demo's last jobs told of themselves, so that no day waits for an ingestion."""
    maker = rehearsal.maker_of("raw_transforms")
    assert maker is not None
    rehearsal.make(home, sealing_lake(home), maker, pending_days(home))
    forget_run(home, rehearsal.RUN_ID)


def same_rows(home: Home, other: Home, but: Collection[str] = TOLD) -> list[str]:
    """Return how the first lake's rows differ from the second's, row for row; nothing when they do not."""
    lake = Lake(home.lake)
    found = []
    for name, table in TABLES.items():
        if name in but:
            continue
        ours, theirs = lake.read(name), _undamaged(other, name)
        if ours.equals(theirs):
            continue
        for day in sorted({*ours["date"], *theirs["date"]}):
            compared = compare_rows(table, day, *(frame.filter(pl.col("date") == day) for frame in (ours, theirs)))
            if not compared.is_equal:
                found.append(f"{name} of {day}: {compared.words()}")
    return found


@cache  # nobody writes in the home that others are held against
def _undamaged(home: Home, table: str) -> pl.DataFrame:
    return Lake(home.lake).read(table)


def files_of(home: Home, table: str, day: date) -> list[Path]:
    """Return the files of one day of a table."""
    lake = Lake(home.lake)
    return [Path(lake.path(table)) / path for path in sorted(lake.files(table).get(day, ()))]


def rewrite(home: Home, table: str, day: date, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Write a day of a table again, changed."""
    lake = Lake(home.lake)
    lake.overwrite_dates(table, change(lake.read(table, dates=[day])), [day])


def days_of(home: Home, table: str) -> list[date]:
    """Return the days of a table that have rows and do not wait for an ingestion, which would write them again anyway.

    With the cursor lost every day seems to wait; those that have not grown are the self-check's.
    """
    waiting = set(pending_days(home)) if marked_days(home, "market") else set()
    try:
        return [day for day in Lake(home.lake).dates(table) if day not in waiting]
    except StateError:  # its log is damaged already
        return []


def a_day(home: Home, chance: random.Random, table: str) -> date:
    """Choose one of them."""
    return chance.choice(days_of(home, table))


def delete_partition_files(home: Home, chance: random.Random, table: str = "") -> str:
    table = table or _any_table(home, chance)
    day = a_day(home, chance, table)
    for path in files_of(home, table, day):
        path.unlink()
    return f"the files of {table} of {day} deleted"


def delete_partition(home: Home, chance: random.Random, table: str = "") -> str:
    table = table or _any_table(home, chance)
    day = a_day(home, chance, table)
    DeltaTable(Lake(home.lake).path(table)).delete(f"date = '{day}'")
    return f"the partition {day} of {table} deleted by a commit"


def flip_a_byte(home: Home, chance: random.Random, table: str = "") -> str:
    table = table or _any_table(home, chance)
    day = a_day(home, chance, table)
    path = chance.choice(files_of(home, table, day))
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.unlink()  # a copy may share the file
    path.write_bytes(bytes(content))
    return f"a bit flipped in a file of {table} of {day}"


def cut_a_file(home: Home, chance: random.Random, table: str = "") -> str:
    """Leave a file shorter than it was, or empty, as a power cut does."""
    table = table or _any_table(home, chance)
    day = a_day(home, chance, table)
    path = chance.choice(files_of(home, table, day))
    content = path.read_bytes()
    kept = chance.choice((0, chance.randrange(len(content))))
    path.unlink()  # a copy may share the file
    path.write_bytes(content[:kept])
    return f"a file of {table} of {day} cut to {kept} of {len(content)} bytes"


def tear_a_commit(home: Home, chance: random.Random, table: str = "") -> str:
    """Leave the last commit of a table cut off, or empty, as a power cut does."""
    table = table or _any_table(home, chance)
    path = max((Path(Lake(home.lake).path(table)) / "_delta_log").glob("*.json"))
    content = path.read_bytes()
    kept = chance.choice((0, chance.randrange(1, len(content) - 2)))
    path.unlink()  # a copy may share the file
    path.write_bytes(content[:kept])
    return f"the last commit of {table} cut to {kept} of {len(content)} bytes"


def drop_a_row(home: Home, chance: random.Random, table: str = "") -> str:
    table = table or _any_table(home, chance)
    day = a_day(home, chance, table)
    row = chance.randrange(Lake(home.lake).rows_by_date(table)[day])
    rewrite(home, table, day, lambda frame: frame.with_row_index("#").filter(pl.col("#") != row).drop("#"))
    return f"row {row} of {table} of {day} dropped"


def corrupt_a_row(home: Home, chance: random.Random, table: str = "") -> str:
    table = table or _any_table(home, chance)
    day = a_day(home, chance, table)
    numbers = [column.name for column in TABLES[table].columns if column.dtype == pl.Float64 and column.highest is None]
    lists = [column.name for column in TABLES[table].columns if column.dtype == pl.List(pl.Float64)]
    if not numbers + lists:
        return delete_partition(home, chance, table)
    name = chance.choice(numbers + lists)
    row = chance.randrange(Lake(home.lake).rows_by_date(table)[day])
    value = pl.col(name)
    changed = value.list.eval(pl.element().fill_null(0.0) + 1e-9) if name in lists else value.fill_null(0.5) + 1e-9
    here = pl.int_range(pl.len()) == row
    rewrite(
        home, table, day, lambda frame: frame.with_columns(pl.when(here).then(changed).otherwise(value).alias(name))
    )
    return f"{name} of row {row} of {table} of {day} changed in the ninth place"


def ingest_twice(home: Home, chance: random.Random, table: str = "") -> str:
    """Append a day of a raw table to itself, as an ingestion would that did not replace."""
    raw = [name for name in TABLES if name.startswith("raw_") and days_of(home, name)]
    table = table or chance.choice(raw)
    day = a_day(home, chance, table)
    Lake(home.lake).append(table, Lake(home.lake).read(table, dates=[day]))
    return f"{table} of {day} ingested a second time"


def hide_an_hour(home: Home, chance: random.Random) -> str:
    """Take an hour of one symbol's bars out of the lake."""
    day = chance.choice(Lake(home.lake).dates("bars")[1:])
    bars = Lake(home.lake).read("bars", dates=[day])
    bar = bars.row(chance.randrange(bars.height), named=True)
    until = bar["open_at"] + timedelta(hours=1)
    inside = (pl.col("symbol") == bar["symbol"]) & pl.col("open_at").is_between(bar["open_at"], until)
    rewrite(home, "bars", day, lambda frame: frame.filter(~inside))
    return f"an hour of bars of {bar['symbol']} from {bar['open_at']} hidden"


def orphan_a_trade(home: Home, chance: random.Random) -> str:
    """Take away the decision behind a trade, in the record's own table and in the one made of it."""
    trade = chance.choice(Lake(home.lake).read("trades").to_dicts())
    for table in ("raw_decisions", "signals"):
        day = next(day for day in Lake(home.lake).dates(table) if trade["signal_id"] in set(Lake(home.lake).read(table, dates=[day])["signal_id"]))  # fmt: skip
        rewrite(home, table, day, lambda frame: frame.filter(pl.col("signal_id") != trade["signal_id"]))
    return f"the decision of trade {trade['trade_id']} taken away"


def lose_the_cursor(home: Home, chance: random.Random) -> str:
    path = home.cursors / "ingestion.json"  # copied, never shared
    if chance.random() < 0.5:
        path.unlink(missing_ok=True)
        return "the journal's cursor deleted"
    path.write_bytes((path.read_bytes() if path.is_file() else b"")[: chance.randrange(40)])
    return "the journal's cursor cut off"


def lose_seals(home: Home, chance: random.Random) -> str:
    path = chance.choice(sorted((home.cursors / "seals").glob("*.json")))
    path.unlink()
    return f"the seals of {path.stem} deleted"


def _any_table(home: Home, chance: random.Random) -> str:
    return chance.choice([name for name in TABLES if name not in REGISTRIES and days_of(home, name)])


EVERY: tuple[Damage, ...] = (
    delete_partition_files, delete_partition, flip_a_byte, cut_a_file, tear_a_commit, drop_a_row, corrupt_a_row, ingest_twice, hide_an_hour, orphan_a_trade,
    lose_the_cursor, lose_seals,
)  # fmt: skip
