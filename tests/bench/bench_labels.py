"""What labels cost: a year of M5 decisions of one symbol, from bars alone and with the quotes behind them, and forward returns.

Beside them a plain pandas loop over a part of the same candidates, which walks one at a time as a person would, and mlfinpy's
triple barrier in an environment of its own (`peers`). The answers are compared. mlfinpy knows one price for each bar, its close,
and neither spread nor costs; there both label the same simplified candidates: entry at the close of the decision's bar, barriers
touched by later closes alone, the vertical barrier at the timeout, none whose life meets a weekend, where only ours
would close it. A target fills at its price here and at the touching close there, so what is compared is the moment and the barrier,
and for the others the result too. Also what an hour of the dataset costs at one and at ten times the history.

Run: python tests/bench/bench_labels.py [--short]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import polars as pl
from bench_learning import ATR, FEATURES, PROFILES, SPREAD, START, market, moments
from peers import environment

from trading_assets.core.tables import TABLES
from trading_assets.core.trades.forward_returns import forward_returns
from trading_assets.core.trades.label_definition import LabelCosts
from trading_assets.core.trades.labels import DEFINITION, label_candidates
from trading_assets.store.dataset_versions import record_version
from trading_assets.store.lake import Lake

Result = TypeVar("Result")
LOOPED = 300
"""Candidates the pandas loop walks; its time is scaled up."""
BY_PEER = 12_000
"""Candidates mlfinpy labels; its time, which is the same for each, is scaled up."""
WEEK_MS, WEEKEND_FROM_MS = 7 * 86_400_000, (4 * 1440 + 20 * 60) * 60_000
"""From Monday: an hour before the close of Friday on, a candidate may meet the weekend."""


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Return seconds and result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def quotes_of(bars: pl.DataFrame) -> pl.DataFrame:
    """Return four quotes for each bar: open, low, high, close."""
    parts = [
        bars.select(
            "symbol",
            pl.col("open_at").dt.offset_by(f"{15 * number}s").alias("event_at"),
            bid=name,
            ask=f"ask_{name}",
        )
        for number, name in enumerate(("open", "low", "high", "close"))
    ]
    return pl.concat(parts).sort("event_at")


def looped(ideas: pl.DataFrame, bars: pl.DataFrame) -> list[tuple[str, str, float]]:
    """Label candidates one by one over a pandas frame: idea, barrier, gross result. No cohorts, no excursions, no costs."""
    frame = bars.to_pandas().set_index("open_at").sort_index()
    found = []
    for one in ideas.iter_rows(named=True):
        end = one["bar_close_at"] + one["timeout_bars"] * timedelta(minutes=5)
        path = frame.loc[pd.Timestamp(one["bar_close_at"]) : pd.Timestamp(end) - pd.Timedelta(milliseconds=1)]
        long = one["kind"] == "LONG"
        sign, side = (1.0, "") if long else (-1.0, "ask_")
        stop, target, barrier = sign * one["stop_price"], sign * one["target_price"], "timeout"
        price = sign * path[f"{side}close"].iloc[-1]
        for _, row in path.iterrows():
            opened = sign * row[f"{side}open"]
            low = sign * row[f"{side}low" if long else f"{side}high"]
            high = sign * row[f"{side}high" if long else f"{side}low"]
            if opened >= target:
                barrier, price = "target", target
            elif low <= stop:
                barrier, price = "stop", min(opened, stop)
            elif high >= target:
                barrier, price = "target", target
            if barrier != "timeout":
                break
        found.append((one["idea_id"], barrier, (price - sign * one["entry_price"]) / one["risk_unit"]))
    return found


def simplified(bars: pl.DataFrame, ideas: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return bars and candidates as mlfinpy can know them: closes without spread, no life that meets a weekend."""
    closes = bars.with_columns(
        pl.col("close").alias(side + name) for side in ("", "ask_") for name in ("open", "high", "low", "close")
    )
    shift = pl.when(pl.col("kind") == "LONG").then(SPREAD).otherwise(0.0)
    begin = pl.col("bar_close_at").dt.epoch("ms") - int(START.timestamp() * 1000)  # a Monday
    end = begin + pl.col("timeout_bars") * 300_000
    few = ideas.filter(end % WEEK_MS < WEEKEND_FROM_MS, begin % WEEK_MS < end % WEEK_MS)
    few = few.join(closes.select(bar_close_at="close_at", at_close="close"), on="bar_close_at", how="inner")
    few = few.filter(pl.col("bar_close_at") + pl.col("timeout_bars") * timedelta(minutes=5) <= closes["close_at"].max())
    # To the bit the same distances from the same close, whatever side the spread was on.
    return closes, few.with_columns(
        pl.col("stop_price", "target_price") - shift, entry_price=pl.col("at_close")
    ).drop("at_close")  # fmt: skip


def compare_with_mlfinpy(bars: pl.DataFrame, ideas: pl.DataFrame, sample: int) -> None:
    """Label the simplified candidates with both and print times and how many agree."""
    closes, all_ideas = simplified(bars, ideas)
    ours_s, labels = timed(lambda: label_candidates(all_ideas, closes, LabelCosts()))
    line(f"the same of {len(labels):,} on closes alone, as mlfinpy knows them", ours_s, len(labels))
    few = all_ideas.sample(min(sample, len(all_ideas)), seed=2).sort("bar_close_at")
    entry, risk = few["entry_price"].to_numpy(), few["risk_unit"].to_numpy()
    side = np.where((few["kind"] == "LONG").to_numpy(), 1.0, -1.0)
    start_ms = few["bar_close_at"].dt.epoch("ms").to_numpy()
    end_ms = start_ms + few["timeout_bars"].to_numpy() * 300_000
    multiple = {name: (stop, target) for name, stop, target, _ in PROFILES}
    group = (few["kind"] + few["exit_profile"]).rank("dense").to_numpy()
    stop, target = (np.array([multiple[name][place] for name in few["exit_profile"]]) for place in (0, 1))
    with tempfile.TemporaryDirectory() as folder, environment("mlfinpy") as peer:
        given, answered = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(
            given, bar_ms=closes["close_at"].dt.epoch("ms").to_numpy(), close=closes["close"].to_numpy(), start_ms=start_ms,
            end_ms=end_ms, side=side, stop=stop, target=target, unit=ATR / entry, group=group,
        )  # fmt: skip
        told = peer.ask(str(given), str(answered))
        if "failed" in told:
            print(f"{'mlfinpy':<66}   not measured: {told['failed']}")
            return
        with np.load(answered) as file:
            their_end_ms, their_result = file["end_ms"], file["result"]
    mine = few.select("idea_id").join(labels, on="idea_id", how="left", maintain_order="left")
    barrier = mine["barrier"].to_numpy()
    their_move = side * (entry * (1.0 + their_result) ** side - entry)
    theirs = np.select([their_move >= target * ATR, their_move <= -stop * ATR], ["target", "stop"], "timeout")
    alike = (mine["label_end_at"].dt.epoch("ms").to_numpy() == their_end_ms) & (barrier == theirs)
    is_close = np.abs(mine["gross_r"].to_numpy() * risk - their_move) < 1e-9
    alike &= is_close | (barrier == "target")
    scaled = told["seconds"] / len(few) * len(labels)
    line(
        f"mlfinpy's triple barrier, {len(few):,} of them, scaled up", scaled, len(labels),
        f"{scaled / ours_s:,.0f} times as long; {int(alike.sum()):,} of {len(few):,} labels equal",
    )  # fmt: skip


def line(what: str, seconds: float, rows: int, beside: str = "") -> None:
    """Print one row of the table."""
    print(f"{what:<66}{seconds:>9.2f} s{rows / seconds:>14,.0f} rows/s  {beside}")


def dataset_rows(days: int, per_day: int) -> pl.DataFrame:
    """Return rows of the dataset's shape, filled with noise."""
    table, size = TABLES["learning_dataset"], days * per_day
    rng = np.random.default_rng(0)
    values: dict[str, object] = {}
    for column in table.columns:
        if column.name == "features":
            values[column.name] = pl.Series(rng.normal(size=(size, FEATURES))).arr.to_list()
        elif column.name == "date":
            values[column.name] = [date(2024, 1, 1) + timedelta(days=number // per_day) for number in range(size)]
        elif column.allowed:
            values[column.name] = [column.allowed[0]] * size
        elif column.dtype == pl.String:
            values[column.name] = [f"{column.name}-{number}" for number in range(size)]
        elif column.dtype == pl.Float64:
            low = -1.0 if column.highest == 0.0 else 0.0
            values[column.name] = rng.random(size) + low
        elif column.dtype == pl.Boolean:
            values[column.name] = [True] * size
        elif column.dtype == pl.Int64:
            values[column.name] = [1] * size
        else:
            values[column.name] = moments(np.arange(size))
    return pl.DataFrame(values).select(pl.col(column.name).cast(column.dtype) for column in table.columns)


def hour_of_dataset(days: int) -> float:
    """Return the seconds of appending and recording an hour after `days` days of history."""
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        lake.ensure_tables()
        rows = dataset_rows(days + 1, 1440)
        last = rows["date"].max()
        lake.append("learning_dataset", rows.filter(pl.col("date") < last))
        record_version(lake)
        seconds = []
        for hour in range(3):
            fresh = rows.filter(pl.col("date") == last).slice(hour * 60, 60)

            def grow(fresh: pl.DataFrame = fresh) -> None:
                lake.append("learning_dataset", fresh)
                record_version(lake)

            seconds.append(timed(grow)[0])
        return min(seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true", help="a tenth of the year")
    short = parser.parse_args().short
    bars, ideas = market()
    if short:
        bars = bars.head(len(bars) // 10)
        ideas = ideas.filter(pl.col("bar_close_at") < bars["close_at"].max())
    quotes = quotes_of(bars)
    some = ideas.filter(pl.col("bar_close_at") < ideas["bar_close_at"].min() + timedelta(days=3)).sample(LOOPED, seed=1)
    loop_s, by_loop = timed(lambda: looped(some, bars))
    seconds, labels = timed(lambda: label_candidates(ideas, bars, LabelCosts()))
    known = {row[0]: row for row in labels.select("idea_id", "barrier", "gross_r").iter_rows()}
    alike = [known[idea][1] == barrier and abs(known[idea][2] - result) < 1e-9 for idea, barrier, result in by_loop]
    weekends = sum(known[idea][1] == "weekend" for idea, *_ in by_loop)
    print(
        f"{sum(alike)} of {len(alike)} labels equal those of the loop, which knows no weekend ({weekends} labels end at one)"
    )
    scaled = loop_s / LOOPED * len(labels)
    line(f"labels of {len(labels):,} candidates from {len(bars):,} M1 bars", seconds, len(labels))
    with_quotes, _ = timed(lambda: label_candidates(ideas, bars, LabelCosts(), DEFINITION, quotes))
    line(f"the same with the {len(quotes):,} quotes behind them", with_quotes, len(labels))
    line(f"pandas loop, {LOOPED} of them, scaled up", scaled, len(labels), f"{scaled / seconds:,.0f} times as long")
    compare_with_mlfinpy(bars, ideas, BY_PEER // 10 if short else BY_PEER)
    signals = ideas.unique("signal_id").with_columns(bid=pl.col("entry_price"), ask=pl.col("entry_price") + 0.00005)
    returns_s, returns = timed(lambda: forward_returns(signals, bars))
    line(f"forward returns of {len(signals):,} signals", returns_s, len(returns))
    base = 3 if short else 20
    for days in (base, base * 10):
        line(f"an hour of the dataset (60 rows) after {days} days ({days * 1440:,} rows)", hour_of_dataset(days), 60)


if __name__ == "__main__":
    main()
