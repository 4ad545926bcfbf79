"""How long one decision takes, beside the floor: writing the same record as one line of JSON.

Run with `python tests/bench/bench_decide.py`. Features are drawn from a seeded walk, so that all branches are met.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import numpy as np

from trading_assets.core.decisions.decide import DecisionContext, decide
from trading_assets.core.decisions.scoring import candidate_matrix_of
from trading_assets.core.decisions.strategy import INTRADAY
from trading_assets.core.features.feature_set import FEATURE_SETS
from trading_assets.core.records.codec import encode_record
from trading_assets.core.records.decisions import (
    AccountState,
    DecisionInputs,
    FeatureWindowReference,
    RiskState,
    SymbolState,
    WindowReference,
)
from trading_assets.core.release import RULES_ONLY

DECISIONS = 5_000
START = datetime(2024, 3, 4, tzinfo=UTC)


def context(index: int) -> DecisionContext:
    """A context of EURUSD at the close of M5 bar `index`."""
    close_at = START + timedelta(minutes=5 * index)
    equity = Decimal("10000.00")
    return DecisionContext(
        tenant="bench",
        account="bench",
        chain_id="chain",
        mode="execute",
        symbol="EURUSD",
        bar_open_at=close_at - timedelta(minutes=5),
        bar_close_at=close_at,
        known_at=close_at,
        inputs=DecisionInputs(
            bid=1.085,
            ask=1.08507,
            quote_at=close_at - timedelta(seconds=1),
            base_bar_count=600,
            account_state=AccountState(
                currency="USD", balance=equity, equity=equity, margin_free=equity, leverage=100, trade_allowed=True
            ),
            symbol_state=SymbolState(
                symbol="EURUSD",
                digits=5,
                point=0.00001,
                tick_size=0.00001,
                tick_value=Decimal("1.00"),
                contract_size=Decimal("100000"),
                volume_min=Decimal("0.01"),
                volume_max=Decimal("50"),
                volume_step=Decimal("0.01"),
                stops_level=0,
                commission_per_lot=Decimal("3.50"),
            ),
            position=None,
            risk=RiskState(
                open_positions=0,
                pending_orders=0,
                equity_high_water_mark=equity,
                day_start_equity=equity,
                week_start_equity=equity,
                orders_last_hour=0,
                breakers=(),
            ),
        ),
        windows=tuple(
            WindowReference(timeframe=one, first_open_at=START, last_open_at=START, bar_count=512, sha256="0" * 64)
            for one in FEATURE_SETS["intraday"].timeframes
        ),
        window_sha256="0" * 64,
        feature_window=FeatureWindowReference(
            row_count=64,
            first_close_at=START,
            sha256_raw="0" * 64,
            sha256_normalised="0" * 64,
            normaliser_version="identity",
        ),
    )


def rows() -> np.ndarray:
    """Rows with directed features from -1.5 to 1.5 and a plausible ATR."""
    feature_set = FEATURE_SETS["intraday"]
    matrix = np.random.default_rng(7).uniform(-1.5, 1.5, (DECISIONS, len(feature_set.names)))
    matrix[:, feature_set.index("atr_14_bp")] = 4.0
    for timeframe in feature_set.timeframes:
        matrix[:, feature_set.index("adx_14", timeframe)] = 0.3
        matrix[:, feature_set.index("atr_ratio_14_100", timeframe)] = 1.0
    return matrix


def main() -> None:
    contexts = [context(index) for index in range(DECISIONS)]
    matrix = rows()
    decide_us, encode_us, model_us = [], [], []
    actions: dict[str, int] = {}
    for one, row in zip(contexts, matrix, strict=True):
        started = time.perf_counter_ns()
        decision = decide(INTRADAY, one, row, RULES_ONLY)
        decided = time.perf_counter_ns()
        encode_record(decision)
        encoded = time.perf_counter_ns()
        candidate_matrix_of(decision)
        model_us.append((time.perf_counter_ns() - encoded) / 1e3)
        decide_us.append((decided - started) / 1e3)
        encode_us.append((encoded - decided) / 1e3)
        actions[decision.action] = actions.get(decision.action, 0) + 1
    floor = float(np.median(encode_us))
    sys.stdout.write(f"{DECISIONS} decisions: {msgspec.json.encode(actions).decode()}\n")
    sys.stdout.write(f"{'stage':<34}{'p50 µs':>9}{'p99 µs':>9}{'ratio to floor':>16}\n")
    for name, times in (
        ("floor: encode the record", encode_us),
        ("decide()", decide_us),
        ("candidate matrix", model_us),
    ):
        middle, tail = np.percentile(times, (50, 99))
        sys.stdout.write(f"{name:<34}{middle:>9.0f}{tail:>9.0f}{middle / floor:>16.1f}\n")


if __name__ == "__main__":
    main()
