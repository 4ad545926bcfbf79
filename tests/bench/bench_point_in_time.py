"""A million decisions with the features and the context that were known to them, beside four other ways to the same answer.

Ours needs no search in time: a decision's record carries the features it was made on and names what belongs to it, and the dataset
(`core.learning.dataset.build_rows`) reads the record and joins by id. Others join as of a time: for each decision the last row of
its symbol that was known by then, from a table of features and one of context. Both give the same numbers; that is checked for
every decision that is compared. What ours does besides: it turns the features to the candidate's side and adds the
candidate's own columns. It is timed from decoded records and from the journal's bytes; the others from tables that lie ready in
memory, and Feast from its Parquet files.

Each way runs in a process of its own, which says its peak memory, with what it was given. Ours runs on one stretch in ten and Feast
on few decisions, over tables of as many; their times are scaled up in proportion. That is exact for ours, which also needs the memory
of one stretch however many there are, and flatters Feast, whose work for a decision grows with the rows of its symbol.

Run: python tests/bench/bench_point_in_time.py [--short] [--decisions N]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from bench_retrain import peak_memory_mb
from peers import environment

from trading_assets.core.decisions.decide import DecisionContext, decide
from trading_assets.core.decisions.strategy import INTRADAY
from trading_assets.core.features.feature_set import FEATURE_SETS
from trading_assets.core.learning.dataset import build_rows
from trading_assets.core.records.codec import decode_record, encode_record
from trading_assets.core.records.decisions import (
    AccountState,
    Decision,
    DecisionInputs,
    FeatureWindowReference,
    RiskState,
    SymbolState,
)
from trading_assets.core.release import RULES_ONLY
from trading_assets.core.tables import TABLES

START = datetime(2021, 1, 4, tzinfo=UTC)
SET = FEATURE_SETS["intraday"]
SYMBOLS = ("AUDUSD", "EURUSD", "GBPUSD", "USDJPY")
CONTEXT = ("bid", "ask", "consensus", "dispersion")
DECISIONS, SHORT_DECISIONS = 1_000_000, 20_000
AT_ONCE = 5_000
"""Decisions of which ours makes rows at a time, as the dataset does with some days of the journal."""
OF_OURS = 10
"""Ours takes one stretch in so many; each stands for itself, so the time of all is in proportion."""
OF_FEAST = 2_000
"""Decisions that Feast joins. It pairs each with every row of its symbol before it looks at the time: 5,000 of them over four
symbols took 13.8 GB and four and a half minutes."""
SAMPLED = 10
"""One decision in so many is compared."""


# --- the same decisions, as tables and as records ----------------------------------------------------------------


def tables(folder: Path, decisions: int) -> None:
    """Write decisions, features and context; a feature row is known a little after its bar closes, the decision follows it."""
    rng = np.random.default_rng(5)
    number = np.arange(decisions)
    close_us = int(START.timestamp()) * 1_000_000 + number // len(SYMBOLS) * 300_000_000
    symbol = np.array(SYMBOLS)[number % len(SYMBOLS)]
    known_us = close_us + rng.integers(1_000, 20_000, decisions)

    def moment(us: np.ndarray) -> pl.Series:
        return pl.Series(us).cast(pl.Datetime("us", "UTC"))

    values = rng.normal(size=(decisions, len(SET.names)))
    # Context changes at its own times, now and then between a bar's close and the decision.
    context = pl.DataFrame(rng.normal(size=(decisions, len(CONTEXT))), schema=list(CONTEXT)).with_columns(
        symbol=symbol, known_at=moment(close_us - 200_000_000 + rng.integers(0, 200_000_000, decisions))
    )
    features = pl.DataFrame(values, schema=list(SET.names)).with_columns(symbol=symbol, known_at=moment(known_us))
    asked = pl.DataFrame({"signal_id": [f"signal-{one:08d}" for one in number], "symbol": symbol}).with_columns(
        known_at=moment(known_us + rng.integers(0, 5_000, decisions))
    )
    asked, features, context = (frame.sort("known_at") for frame in (asked, features, context))
    for name, frame in (("decisions", asked), ("features", features), ("context", context)):
        frame.write_parquet(folder / f"{name}.parquet")
    # What each decision knew, for the records.
    with_polars(asked, features, context).write_parquet(folder / "known.parquet", row_group_size=AT_ONCE)


def template() -> Decision:
    """One decision on its own inputs, from which the others are made."""
    context = DecisionContext(
        tenant="bench", account="a", chain_id="chain", mode="execute", symbol="EURUSD", bar_open_at=START,
        bar_close_at=START + timedelta(minutes=5), known_at=START + timedelta(minutes=5),
        inputs=DecisionInputs(
            bid=1.085, ask=1.08507, quote_at=START + timedelta(minutes=5), base_bar_count=600, position=None,
            account_state=AccountState(currency="USD", balance=Decimal(10_000), equity=Decimal(10_000),
                                       margin_free=Decimal(10_000), leverage=100, trade_allowed=True),
            symbol_state=SymbolState(symbol="EURUSD", digits=5, point=0.00001, tick_size=0.00001, tick_value=Decimal(1),
                                     contract_size=Decimal(100_000), volume_min=Decimal("0.01"), volume_max=Decimal(50),
                                     volume_step=Decimal("0.01"), stops_level=0, commission_per_lot=Decimal("3.5")),
            risk=RiskState(open_positions=0, pending_orders=0, equity_high_water_mark=Decimal(10_000), breakers=(),
                           day_start_equity=Decimal(10_000), week_start_equity=Decimal(10_000), orders_last_hour=0),
        ),
        windows=(), window_sha256="00",
        feature_window=FeatureWindowReference(row_count=0, first_close_at=None, sha256_raw="", sha256_normalised="",
                                              normaliser_version="identity"),
    )  # fmt: skip
    return decide(INTRADAY, context, np.abs(np.random.default_rng(0).normal(size=len(SET.names))), RULES_ONLY)


def records(base: Decision, rows: pl.DataFrame) -> list[bytes]:
    """Return decisions as the journal holds them: those of the table, each with what was known to it."""
    told = []
    for row in rows.iter_rows(named=True):
        vector = np.array([row[name] for name in SET.names])
        inputs = msgspec.structs.replace(base.inputs, bid=row["bid"], ask=row["ask"])
        signal = row["signal_id"]
        cohort = tuple(
            msgspec.structs.replace(one, idea_id=f"{signal}-{place}") for place, one in enumerate(base.candidates)
        )
        made = msgspec.structs.replace(
            base, signal_id=signal, symbol=row["symbol"], known_at=row["known_at"], decided_at=row["known_at"], inputs=inputs,
            consensus=row["consensus"], dispersion=row["dispersion"], candidates=cohort,
            features=b64encode(vector.astype("<f8").tobytes()).decode(),
        )  # fmt: skip
        told.append(encode_record(made))
    return told


def labels_of(decisions: list[Decision]) -> pl.DataFrame:
    """Return one label for each decision, of its first LONG: as many rows as the others make."""
    table = TABLES["labels"]
    ideas = [next(one.idea_id for one in made.candidates if one.kind == "LONG") for made in decisions]
    filled = pl.DataFrame({"idea_id": ideas, "signal_id": [made.signal_id for made in decisions]})
    rest = [
        pl.lit(None, column.dtype).alias(column.name) for column in table.columns if column.name not in filled.columns
    ]
    return filled.with_columns(rest)


# --- ways of joining -----------------------------------------------------------------------------------------------


def by_record(folder: Path, sample: Path) -> dict[str, Any]:
    """Make dataset rows of the records, some at a time; records are made before each is timed."""
    known = pq.ParquetFile(folder / "known.parquet")
    count = known.metadata.num_rows
    base = template()
    outcomes = TABLES["outcomes"].empty()
    returns = TABLES["forward_returns"].empty()
    decode_s = build_s = 0.0
    made = 0
    kept = []
    for stretch in range(0, known.num_row_groups, OF_OURS if known.num_row_groups > OF_OURS else 1):
        lines = records(base, pl.DataFrame(known.read_row_group(stretch)))
        start = time.perf_counter()
        decisions = [one for one in map(decode_record, lines) if isinstance(one, Decision)]
        decode_s += time.perf_counter() - start
        labels = labels_of(decisions)
        start = time.perf_counter()
        rows = build_rows(decisions, labels, outcomes, returns)
        build_s += time.perf_counter() - start
        if len(rows) != len(decisions):
            raise SystemExit(f"{len(decisions)} decisions gave {len(rows)} rows")
        made += len(rows)
        kept.append(rows.filter(pl.col("signal_id").hash(0) % SAMPLED == 0))
    seen = pl.concat(kept)
    # A LONG's row begins with the features as they are.
    wide = seen.select(
        "signal_id", *CONTEXT, *[pl.col("features").list.get(n).alias(name) for n, name in enumerate(SET.names)]
    )
    wide.write_parquet(sample)
    return {"seconds": build_s * count / made, "decode_s": decode_s * count / made, "rows": made}


def by_tables(
    join: Callable[[Any, Any, Any], Any], load: Callable[[Path], Any]
) -> Callable[[Path, Path], dict[str, Any]]:
    """Wrap a join of three tables in memory."""

    def run(folder: Path, sample: Path) -> dict[str, Any]:
        asked, features, context = (load(folder / f"{name}.parquet") for name in ("decisions", "features", "context"))
        start = time.perf_counter()
        joined = join(asked, features, context)
        seconds = time.perf_counter() - start
        frame = joined if isinstance(joined, pl.DataFrame) else pl.DataFrame(joined)
        frame.filter(pl.col("signal_id").hash(0) % SAMPLED == 0).select(
            "signal_id", *CONTEXT, *SET.names
        ).write_parquet(sample)
        return {"seconds": seconds, "rows": len(frame)}

    return run


def with_pandas(asked: pd.DataFrame, features: pd.DataFrame, context: pd.DataFrame) -> pd.DataFrame:
    """Join by pandas merge_asof."""
    first = pd.merge_asof(asked, features, on="known_at", by="symbol")
    return pd.merge_asof(first, context, on="known_at", by="symbol")


def with_polars(asked: pl.DataFrame, features: pl.DataFrame, context: pl.DataFrame) -> pl.DataFrame:
    """Join by polars join_asof."""
    first = asked.join_asof(features, on="known_at", by="symbol", check_sortedness=False)
    return first.join_asof(context, on="known_at", by="symbol", check_sortedness=False)


def with_duckdb(asked: pl.DataFrame, features: pl.DataFrame, context: pl.DataFrame) -> pa.Table:
    """Join by DuckDB's ASOF JOIN, from and to Arrow."""
    with duckdb.connect() as connection:
        connection.execute("SET threads = 2")
        connection.execute("SET preserve_insertion_order = false")
        for name, frame in (("asked", asked), ("features", features), ("context", context)):
            connection.register(name, frame.to_arrow())
        return connection.sql(
            "SELECT a.signal_id, a.symbol, a.known_at, f.* EXCLUDE (symbol, known_at), c.* EXCLUDE (symbol, known_at) FROM asked a "
            "ASOF LEFT JOIN features f ON a.symbol = f.symbol AND a.known_at >= f.known_at "
            "ASOF LEFT JOIN context c ON a.symbol = c.symbol AND a.known_at >= c.known_at"
        ).to_arrow_table()


WAYS: dict[str, Callable[[Path, Path], dict[str, Any]]] = {
    "ours": by_record,
    "polars": by_tables(with_polars, pl.read_parquet),
    "duckdb": by_tables(with_duckdb, pl.read_parquet),
    "pandas": by_tables(with_pandas, pd.read_parquet),
}
NAMES = {"polars": "polars join_asof (floor)", "duckdb": "DuckDB ASOF JOIN", "pandas": "pandas merge_asof"}


# --- measuring -----------------------------------------------------------------------------------------------------


def ask(way: str, folder: Path) -> tuple[dict[str, Any], pl.DataFrame]:
    """Run one way in a process of its own; its figures and its sample."""
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder)]
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return told, pl.read_parquet(folder / f"{way}.sample.parquet")


def equal_rows(sample: pl.DataFrame, ours: pl.DataFrame) -> str:
    """Say how many of a sample's rows are those of ours, to the bit."""
    both = ours.select("signal_id").join(sample, on="signal_id", how="inner").sort("signal_id")
    mine = ours.join(both.select("signal_id"), on="signal_id", how="semi").sort("signal_id")
    names = [*CONTEXT, *SET.names]
    alike = (both.select(names).to_numpy() == mine.select(names).to_numpy()).all(axis=1)
    return f"{int(alike.sum()):,} of {len(alike):,} compared rows equal"


def line(what: str, seconds: float, decisions: int, ours_s: float, peak_mb: float, beside: str = "") -> None:
    """Print one row of the table."""
    print(
        f"{what:<52}{seconds:>9.2f} s{decisions / seconds:>13,.0f}/s{seconds / ours_s:>8.3f}x{peak_mb:>9,.0f} MB  {beside}",
        flush=True,
    )


def feast(folder: Path, decisions: int, ours_s: float, ours: pl.DataFrame) -> None:
    """Run Feast on the first decisions alone, over whole tables of as many."""
    part = folder / "feast"
    part.mkdir()
    few = min(decisions // 10, OF_FEAST)
    for name in ("decisions", "features", "context"):
        pl.scan_parquet(folder / f"{name}.parquet").head(few).sink_parquet(part / f"{name}.parquet")
    with environment("feast") as peer:
        told = peer.ask(str(part), str(part / "out.parquet"))
    if "failed" in told:
        print(f"{'Feast get_historical_features':<52}   not measured: {told['failed']}")
        return
    said = equal_rows(pl.read_parquet(part / "out.parquet"), ours)
    scaled = told["seconds"] * decisions / few
    what = f"Feast get_historical_features, {few:,} of them"
    line(
        what,
        scaled,
        decisions,
        ours_s,
        told["peak_mb"],
        f"{said}; took {told['seconds']:.1f} s, scaled up in proportion; memory of those few",
    )


def main() -> None:
    """Measure and print, or, as the process of one way, say its figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true", help=f"{SHORT_DECISIONS:,} decisions")
    parser.add_argument("--decisions", type=int, help="another number of decisions")
    parser.add_argument("--way", choices=sorted(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--make", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.make:
        tables(asked.folder, asked.make)
        return
    if asked.way:
        told = WAYS[asked.way](asked.folder, asked.folder / f"{asked.way}.sample.parquet")
        print(json.dumps(told | {"peak_mb": peak_memory_mb()}))
        return
    count = asked.decisions or (SHORT_DECISIONS if asked.short else DECISIONS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own, whose memory is gone before anything is measured.
        subprocess.run([sys.executable, __file__, "--make", str(count), "--folder", name], check=True)
        print(
            f"{count:,} decisions of {len(SYMBOLS)} symbols, {len(SET.names)} features, {len(CONTEXT)} columns of context"
        )
        print(f"{'way':<52}{'taken':>11}{'decisions':>15}{'ratio':>9}{'peak':>12}")
        told, ours = ask("ours", folder)
        seconds = told["seconds"]
        part = f", {told['rows']:,} of them" if told["rows"] < count else ""
        line(f"ours: dataset rows of decoded records{part}", seconds, count, seconds, told["peak_mb"])
        line("ours, from the journal's bytes", seconds + told["decode_s"], count, seconds, told["peak_mb"])
        for way, what in NAMES.items():
            peer, sample = ask(way, folder)
            line(what, peer["seconds"], count, seconds, peer["peak_mb"], equal_rows(sample, ours))
        feast(folder, count, seconds, ours)
    print("ratio: time beside the first row. peak: of the process, with what it was given")


if __name__ == "__main__":
    main()
