"""What a full retrain costs: every variant, walk-forward with calibration, holdout, evaluation and the final model.

250,000 rows of 200 features in 8 folds, once with base models and once without. Data of the shape a real dataset has: cohorts of six
candidates over two symbols and 90 days, one move of the market behind each cohort, gaps in the features and a weak
edge. Beside it the least it could take: LightGBM alone, trained as often and on as many rows as the retrain does, over both cores.
Each retrain runs in a process of its own, which says its peak memory.

Run: python tests/bench/bench_retrain.py [--short] [--rows N] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import polars as pl
import psutil

from trading_assets.core.columns.learning import HORIZONS
from trading_assets.core.learning import logistic
from trading_assets.core.learning.base_models import OF_PROFILE
from trading_assets.core.learning.meta_model import TrainingParams, matrix_of
from trading_assets.core.learning.training import Training, fit
from trading_assets.core.learning.variants import VARIANTS

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS, FOLDS, FEATURES = 90, 8, 200
ROWS, SHORT_ROWS = 250_000, 20_000
PROFILES = (("tight", 1.0, 1.0, 2.0), ("balanced", 1.6, 0.8, 4.0), ("wide", 2.5, 0.7, 8.0))
"""Name, reward in R, spread of the result, hours to the label's end."""
SYMBOLS = ("EURUSD", "GBPUSD")
CANDIDATES = 2 * len(PROFILES)
NAMED = tuple(dict.fromkeys((*logistic.FEATURES, *sorted(OF_PROFILE))))
NAMES = NAMED + tuple(f"feature_{number}" for number in range(FEATURES - len(NAMED)))
CORES = 2


def dataset(rows: int, seed: int = 3) -> pl.DataFrame:
    """Return dataset rows: of a cohort all see the same market from their own side, and what it then does decides them all."""
    rng = np.random.default_rng(seed)
    decisions = rows // CANDIDATES
    cohort = np.repeat(np.arange(decisions), CANDIDATES)
    side = np.tile(np.repeat([1.0, -1.0], len(PROFILES)), decisions)
    profile = np.tile(np.arange(len(PROFILES)), 2 * decisions)
    market = rng.normal(size=(decisions, FEATURES)).astype(np.float32)
    market[rng.random(market.shape, dtype=np.float32) < 0.02] = np.nan
    drift = 0.4 * np.nan_to_num(np.tanh(market[:, -1]) + np.tanh(market[:, -2] * market[:, -3]))
    moves = {h: np.sqrt(h) * (drift * np.sqrt(h / 60) + rng.normal(size=decisions)) for h in HORIZONS}
    matrix = market[cohort].astype(np.float64)
    matrix[:, 1::2] *= side[:, None]  # every other feature points up or down
    # The named ones belong to a candidate; of the market's, one decides.
    matrix[:, : len(NAMED)] = rng.normal(size=(len(cohort), len(NAMED)))
    reward, spread, hours = (np.array([one[place] for one in PROFILES]) for place in (1, 2, 3))
    matrix[:, NAMES.index("reward_r")], matrix[:, NAMES.index("timeout_bars")] = reward[profile], 12 * hours[profile]
    pull = side * (drift + rng.normal(scale=1.2, size=decisions))[cohort] * spread[profile]
    is_win = pull + rng.normal(scale=0.8, size=len(cohort)) > reward[profile] / 2 - 0.4
    minutes = cohort // len(SYMBOLS) * (DAYS * 1440 // (decisions // len(SYMBOLS) + 1))
    base_us = int(START.timestamp()) * 1_000_000
    ends = minutes + np.maximum(1, hours[profile] * 60 * rng.random(len(cohort)))
    moment = pl.Datetime("us", "UTC")
    result = np.where(is_win, reward[profile] - 0.05, -1.05)
    return pl.DataFrame(
        {
            "idea_id": [f"idea-{number:08d}" for number in range(len(cohort))],
            "signal_id": [f"signal-{number:08d}" for number in cohort],
            "symbol": np.array(SYMBOLS)[cohort % len(SYMBOLS)],
            "kind": np.where(side > 0, "LONG", "SHORT"),
            "exit_profile": np.array([one[0] for one in PROFILES])[profile],
            "regime": np.array(["ranging", "trending_up", "volatile"])[cohort // 500 % 3],
            "is_win": is_win,
            "result_r": result,
            "profit_tier": np.select(
                [result < -0.9, result < 0, result < 1], ["full_loss", "loss", "gain"], "large_gain"
            ),
            "features": pl.Series(matrix, nan_to_null=True).arr.to_list(),
            **{f"return_{h}m_bp": moves[h][cohort] for h in HORIZONS},
        }
    ).with_columns(
        pl.Series("decided_at", base_us + minutes * 60_000_000).cast(moment),
        pl.Series("label_end_at", base_us + (ends * 60_000_000).astype(np.int64)).cast(moment),
        feature_set_version=pl.lit("bench-1"),
    )


def retrain(frame: pl.DataFrame, is_stacked: bool) -> Training:
    """Train as the asset does: all variants, or those without base models."""
    return fit(frame, NAMES, [one for one in VARIANTS if is_stacked or not one.is_stacked], n_folds=FOLDS)


def floor_seconds(frame: pl.DataFrame, is_stacked: bool) -> tuple[float, int]:
    """Return what LightGBM alone takes for as many rows as the retrain's models learn from, spread over the cores, and the models.

    One training on all rows is timed. An expanding fold learns from its share of them, a sliding one from the first
    stretch; then comes the holdout's model and the final one. Base models, smaller, are not counted.
    """
    matrix, params = matrix_of(frame, FEATURES), TrainingParams()
    data = lgb.Dataset(matrix, label=frame["is_win"].to_numpy().astype(np.float32), params=params.to_lightgbm())
    start = time.perf_counter()
    lgb.train(params.to_lightgbm(), data, num_boost_round=params.trees)
    once = time.perf_counter() - start
    expanding = sum(stretch / (FOLDS + 1) for stretch in range(1, FOLDS))
    sliding = (FOLDS - 1) / (FOLDS + 1)
    walks = expanding * (2 if is_stacked else 1) + sliding
    return once * (walks + FOLDS / (FOLDS + 1) + 1) / CORES, (FOLDS - 1) * (3 if is_stacked else 2) + 2


def one(rows: int, is_stacked: bool, is_profiled: bool) -> dict[str, Any]:
    """Run one retrain in this process and say what it took."""
    frame = dataset(rows)
    process = psutil.Process()
    before_mb = process.memory_info().rss / 2**20
    profile = cProfile.Profile()
    start, cpu = time.perf_counter(), time.process_time()
    training = profile.runcall(retrain, frame, is_stacked) if is_profiled else retrain(frame, is_stacked)
    seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    if is_profiled:
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(18)
    peak_mb = peak_memory_mb()
    least_s, models = floor_seconds(frame, is_stacked)
    evaluation = training.evaluation
    return {
        "seconds": seconds, "cpu_s": cpu_s, "before_mb": before_mb, "peak_mb": peak_mb, "floor_s": least_s, "models": models,
        "variant": training.variant.name, "version": training.model.version, "auc": evaluation.auc,
        "gain": evaluation.log_loss_gain.value, "rows": training.row_count,
    }  # fmt: skip


def peak_memory_mb() -> float:
    """Return the largest resident size this process has had.

    Linux is asked through /proc: what getrusage says there begins with the size of the process that started this one.
    """
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset / 2**20)
    if sys.platform == "linux":
        told = Path("/proc/self/status").read_text()
        return int(next(one for one in told.splitlines() if one.startswith("VmHWM")).split()[1]) / 2**10
    import resource  # not there on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Measure and print, or, as the process of one retrain, say its figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true", help=f"{SHORT_ROWS:,} rows")
    parser.add_argument("--rows", type=int, help="another number of rows")
    parser.add_argument("--profile", action="store_true", help="say where the time goes (main thread)")
    parser.add_argument("--one", choices=("with", "without"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    rows = asked.rows or (SHORT_ROWS if asked.short else ROWS)
    if asked.one:
        print(json.dumps(one(rows, asked.one == "with", asked.profile)))
        return
    matrix_mb = rows * FEATURES * 4 / 2**20
    print(
        f"{rows:,} rows x {FEATURES} features ({matrix_mb:,.0f} MB as float32), {FOLDS} folds, {CORES} trainings at once"
    )
    print(f"{'retrain':<28}{'taken':>11}{'floor':>11}{'ratio':>8}{'peak':>11}{'rows given':>12}  what came of it")
    for which in ("without", "with"):
        command = [
            sys.executable,
            __file__,
            "--rows",
            str(rows),
            "--one",
            which,
            *(["--profile"] if asked.profile else []),
        ]
        told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        print(
            f"{which + ' base models':<28}{told['seconds'] / 60:>7.2f} min{told['floor_s'] / 60:>7.2f} min"
            f"{told['seconds'] / told['floor_s']:>7.2f}x{told['peak_mb']:>8,.0f} MB{told['before_mb']:>9,.0f} MB  "
            f"{told['version']}, {told['variant']}, AUC {told['auc']:.3f}, log loss gain {told['gain']:+.4f}, "
            f"CPU {told['cpu_s'] / 60:.2f} min",
            flush=True,
        )
    print(
        f"floor: LightGBM alone on as many rows as the models learn from, over {CORES} cores. rows given: memory before the start"
    )


if __name__ == "__main__":
    main()
