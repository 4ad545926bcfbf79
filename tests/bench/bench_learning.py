"""What learning costs: labels, walk-forward and scoring, each beside the least it could cost.

Run: python tests/bench/bench_learning.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import lightgbm as lgb
import numpy as np
import polars as pl

from trading_assets.core.columns.learning import HORIZONS
from trading_assets.core.learning.meta_model import TrainingParams, matrix_of, train_on
from trading_assets.core.learning.training import fit
from trading_assets.core.trades.label_definition import LabelCosts
from trading_assets.core.trades.labels import label_candidates

Result = TypeVar("Result")
START = datetime(2023, 1, 2, tzinfo=UTC)
MINUTES = 370_000
DECISIONS = 16_700
FEATURES = 115
PROFILES = (("tight", 2.0, 2.0, 24), ("balanced", 2.5, 4.0, 48), ("wide", 3.0, 7.5, 96))
ATR, SPREAD = 0.0004, 0.00005


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Return seconds and result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def line(what: str, seconds: float, floor: float, of_floor: str) -> None:
    """Print one row of the table."""
    print(f"{what:<58}{seconds * 1000:>12.3f} ms{floor * 1000:>12.3f} ms{seconds / floor:>9.1f}x  {of_floor}")


def moments(minutes: np.ndarray) -> pl.Series:
    """Return START plus minutes as UTC instants."""
    base = int(START.timestamp()) * 1_000_000
    return pl.Series(base + minutes * 60_000_000).cast(pl.Datetime("us", "UTC"))


def market() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a year of M1 bars of one symbol, and six candidates at each M5 close."""
    rng = np.random.default_rng(0)
    close = 1.1 * np.exp(np.cumsum(rng.normal(0, 8e-5, MINUTES)))
    opened = np.roll(close, 1)
    opened[0] = close[0]
    high = np.maximum(opened, close) + np.abs(rng.normal(0, 4e-5, MINUTES))
    low = np.minimum(opened, close) - np.abs(rng.normal(0, 4e-5, MINUTES))
    prices = {"open": opened, "high": high, "low": low, "close": close}
    number = np.arange(MINUTES)
    bars = pl.DataFrame(prices | {f"ask_{name}": values + SPREAD for name, values in prices.items()}).with_columns(
        open_at=moments(number), close_at=moments(number + 1), symbol=pl.lit("EURUSD"), timeframe=pl.lit("M1")
    )
    at = np.arange(4, MINUTES, 5)
    parts = []
    for kind, side in (("LONG", 1.0), ("SHORT", -1.0)):
        entry = close[at] + (SPREAD if side > 0 else 0.0)
        for name, stop, target, timeout in PROFILES:
            parts.append(
                pl.DataFrame(
                    {
                        "entry_price": entry,
                        "stop_price": entry - side * stop * ATR,
                        "target_price": entry + side * target * ATR,
                        "risk_unit": np.full(len(at), stop * ATR),
                        "number": at,
                    }
                ).with_columns(kind=pl.lit(kind), exit_profile=pl.lit(name), timeout_bars=pl.lit(timeout, pl.Int64))
            )
    ideas = pl.concat(parts).with_columns(
        moments(np.tile(at + 1, 6)).alias("bar_close_at"), symbol=pl.lit("EURUSD"), timeframe=pl.lit("M5")
    )
    return bars, ideas.with_columns(
        decided_at=pl.col("bar_close_at"),
        signal_id=pl.col("number").cast(pl.String),
        idea_id=pl.concat_str("number", "kind", "exit_profile", separator="-"),
    )


def read_lives(low: np.ndarray, held: np.ndarray) -> float:
    """Read as many bars as the candidates lived through: the least a label can do."""
    total = 0.0
    for start in range(0, len(held), 2_000):
        lives = held[start : start + 2_000]
        total += float(low[np.arange(lives.sum()) % len(low)].sum())
    return total


def dataset() -> pl.DataFrame:
    """Return 100,000 rows with a weak edge in the first feature."""
    rng = np.random.default_rng(1)
    rows = DECISIONS * 6
    matrix = rng.normal(size=(rows, FEATURES))
    is_win = rng.random(rows) < 0.4 + 0.05 * np.tanh(matrix[:, 0])
    decision = np.repeat(np.arange(DECISIONS), 6)
    return (
        pl.DataFrame(
            {
                "idea_id": [f"idea-{number:07d}" for number in range(rows)],
                "signal_id": [f"signal-{number:07d}" for number in decision],
                "exit_profile": ["tight", "balanced", "wide"] * (rows // 3),
                "kind": (["LONG"] * 3 + ["SHORT"] * 3) * DECISIONS,
                "symbol": ["EURUSD"] * rows,
                **{f"return_{h}m_bp": np.repeat(rng.normal(size=DECISIONS), 6) for h in HORIZONS},
                "is_win": is_win,
                "result_r": np.where(is_win, 1.4, -1.05),
                "features": pl.Series(matrix).arr.to_list(),
            }
        )
        .with_columns(
            moments(decision // 2 * 5).alias("decided_at"),
            feature_set_version=pl.lit("bench-1"),
            regime=pl.lit("ranging"),
            profit_tier=pl.when("is_win").then(pl.lit("large_gain")).otherwise(pl.lit("full_loss")),
        )
        .with_columns(label_end_at=pl.col("decided_at") + timedelta(hours=3))
    )


def main() -> None:
    """Measure and print."""
    print(f"{'what':<58}{'taken':>15}{'floor':>15}{'ratio':>10}  floor")
    bars, ideas = market()
    seconds, labels = timed(lambda: label_candidates(ideas, bars, LabelCosts()))
    floor, _ = timed(lambda: read_lives(bars["low"].to_numpy(), labels["bars_held"].to_numpy()))
    line(
        f"labels of {len(labels):,} candidates over {len(bars):,} M1 bars",
        seconds,
        floor,
        "reading each bar a candidate lived through once",
    )

    frame = dataset()
    names = tuple(f"feature_{number}" for number in range(FEATURES))
    seconds, training = timed(lambda: fit(frame, names))
    matrix, is_win = matrix_of(frame, FEATURES), frame["is_win"].to_numpy()
    floor, _ = timed(lambda: train_on(matrix, is_win, names, TrainingParams()))
    line(
        f"training, three variants (one stacked), 5 folds with holdout, {len(frame):,} x {FEATURES}",
        seconds,
        floor,
        "training once on all rows",
    )

    rows = np.random.default_rng(2).normal(size=(6, FEATURES))
    bare = lgb.Booster(model_str=training.model._stored.booster)
    taken = np.median([timed(lambda: training.model.win_probability(rows))[0] for _ in range(3000)])
    least = np.median([timed(lambda: bare.predict(rows, num_threads=1))[0] for _ in range(3000)])
    line("win probability of a cohort of 6", float(taken), float(least), "LightGBM alone")


if __name__ == "__main__":
    main()
