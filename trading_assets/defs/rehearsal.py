"""A day of a table made again from what it is made from, without writing it: what it must hold.

The very computation of the asset runs, over a lake that keeps what it writes in memory. So every table of days can be held
against its sources, row by row, and nothing says twice what a table is. What is held and when is `defs.selfcheck`.
"""

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from inspect import signature, unwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import polars as pl

from trading_assets.core.tables import TABLES
from trading_assets.defs import dataset, ledger, market, operations, raw, signals, trades, windows
from trading_assets.store.home import Home
from trading_assets.store.rehearsal_lake import RehearsalLake
from trading_assets.store.seals import SealingLake

_STAGES: tuple[ModuleType, ...] = (raw, market, windows, signals, trades, ledger, dataset, operations)

RUN_ID = "selfcheck"
"""What a computation sees as its run."""


@dataclass(frozen=True)
class Stage:
    """What an asset is handed: a home and a lake. The same two a run's storage has."""

    home: Home
    lake: Any


@dataclass(frozen=True)
class _Run:
    """The run an asset believes to be part of."""

    run_id: str = RUN_ID


@dataclass(frozen=True)
class _Context:
    """What an asset asks of its run: which days, which run, and where to say something."""

    partition_keys: list[str]
    run: _Run = _Run()
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("trading_assets.selfcheck"))


@dataclass(frozen=True)
class Maker:
    """What makes tables of days: its tables, what they are made from, and the group they are in."""

    name: str
    tables: tuple[str, ...]
    sources: frozenset[str]
    group: str
    compute: Callable[..., Any]

    def make(self, days: Sequence[date], stage: Stage) -> None:
        """Run the computation for the days."""
        result = self.compute(_Context([day.isoformat() for day in sorted(days)]), storage=stage)
        if isinstance(result, Iterator):
            for _ in result:
                pass


@dataclass(frozen=True)
class _CursorsApart(Home):
    """A home whose cursors lie elsewhere: what is only rehearsed was not ingested."""

    apart: Path = Path()

    @property
    def cursors(self) -> Path:
        return self.apart


def _definitions() -> Iterator[dg.AssetsDefinition]:
    for module in _STAGES:
        values = [value for value in vars(module).values() if isinstance(value, dg.AssetsDefinition)]
        yield from (*values, *getattr(module, "RAW_ASSETS", ()))


@cache
def makers() -> tuple[Maker, ...]:
    """Return what makes each table of days, sources before what is made from them."""
    found: dict[str, Maker] = {}
    for definition in _definitions():
        tables = tuple(key.path[-1] for key in definition.keys)
        if definition.partitions_def is None or not TABLES.keys() >= set(tables):
            continue
        sources = {source.path[-1] for keys in definition.asset_deps.values() for source in keys} - set(tables)
        compute: Any = definition.op.compute_fn
        found[definition.op.name] = Maker(
            definition.op.name, tables, frozenset(sources), TABLES[tables[0]].stage, unwrap(compute.decorated_fn)
        )
    return tuple(_in_order(found))


def _in_order(found: dict[str, Maker]) -> Iterator[Maker]:
    made_by = {table: maker.name for maker in found.values() for table in maker.tables}
    done: set[str] = set()

    def before(maker: Maker) -> Iterator[Maker]:
        if maker.name in done:
            return
        done.add(maker.name)
        for source in sorted(maker.sources):
            if source in made_by:
                yield from before(found[made_by[source]])
        yield maker

    for name in found:
        yield from before(found[name])


def maker_of(table: str) -> Maker | None:
    """Return what makes a table of days; None for a table that is written otherwise."""
    return next((maker for maker in makers() if table in maker.tables), None)


def makers_behind(table: str) -> list[Maker]:
    """Return what makes a table and everything it is made from, the raw tables first."""
    behind, wanted = [], {table}
    for maker in reversed(makers()):
        if wanted & set(maker.tables):
            behind.append(maker)
            wanted |= maker.sources
    return behind[::-1]


def rehearse(
    home: Home, lake: RehearsalLake, maker: Maker, days: Sequence[date]
) -> dict[str, dict[date, pl.DataFrame]]:
    """Return what the maker would write on the days, by table and day; it also lies in the rehearsal's lake.

    A day is missing when its journal is not whole any more: nothing says what it must hold.
    """
    with tempfile.TemporaryDirectory(prefix="trading-rehearsal-") as folder:
        own: Home = home
        if maker.group == "raw":
            if (home.cursors / "ingestion.json").is_file():
                shutil.copy(home.cursors / "ingestion.json", folder)
            own = _CursorsApart(home.root, Path(folder))
        for table in maker.tables:
            lake.forget(table, days)
        before = {table: set(lake.written.get(table, {})) for table in maker.tables}
        maker.make(days, Stage(own, lake))
    for table in maker.tables:
        # A cumulative table may go on past the days; what follows is held when its turn comes.
        lake.forget(table, lake.written.get(table, {}).keys() - before[table] - set(days))
    made = {table: lake.written.get(table, {}) for table in maker.tables}
    return {table: {day: frame for day, frame in of_table.items() if day in days} for table, of_table in made.items()}


def make(home: Home, lake: SealingLake, maker: Maker, days: Sequence[date]) -> None:
    """Run the maker for real."""
    maker.make(days, Stage(home, lake))


def make_whole(definition: dg.AssetsDefinition, home: Home, lake: SealingLake) -> None:
    """Run for real what writes a table as a whole, or adds to it."""
    compute: Any = definition.op.compute_fn
    function = unwrap(compute.decorated_fn)
    asked = {"context": _Context([]), "storage": Stage(home, lake)}
    function(**{name: value for name, value in asked.items() if name in signature(function).parameters})
