"""Rows of the learning dataset with an edge or without one, drawn straight from a formula: many in little time.

What the synthetic market makes by the product's own functions, features and labels among them, is `synthetic_dataset` of the torture harnesses.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

START = datetime(2024, 1, 1, tzinfo=UTC)
PROFILES = (("tight", 1.0, 24), ("balanced", 1.6, 48), ("wide", 2.5, 96))


def synthetic_rows(
    seed: int, *, days: int = 24, per_day: int = 72, feature_count: int = 8, edge: float = 0.0, cost_r: float = 0.08
) -> pl.DataFrame:
    """Dataset rows of one symbol: LONG and SHORT with three exit profiles at each decision.

    A latent move decides the cohort together, and moves of one hour are alike, as labels that overlap are. With `edge` the
    first feature, relative to the side, shifts that move while the second is positive (a regime); all others are noise.
    """
    rng = np.random.default_rng(seed)
    decisions = days * per_day
    hour = np.repeat(rng.normal(size=decisions // 6 + 1), 6)[:decisions]
    slow = np.repeat(rng.normal(size=decisions // 24 + 1), 24)[:decisions]
    signal = np.repeat(rng.normal(size=decisions // 3 + 1), 3)[:decisions]
    move = 0.7 * hour + 0.7 * rng.normal(size=decisions) + edge * signal * (slow > 0)
    features = rng.normal(size=(decisions, feature_count))
    features[:, 1] = slow
    parts = []
    for side, kind in ((1.0, "LONG"), (-1.0, "SHORT")):
        for name, reward, timeout in PROFILES:
            threshold = {"tight": 0.0, "balanced": 0.29, "wide": 0.566}[name] * 0.99
            is_target = side * move > threshold
            result = np.where(is_target, reward, -1.0) - cost_r
            row = features.copy()
            row[:, 0] = side * signal
            row[:, 2] = reward
            at = [
                START + timedelta(days=int(i // per_day), minutes=1440 // per_day * int(i % per_day))
                for i in range(decisions)
            ]
            parts.append(
                pl.DataFrame(
                    {
                        "tenant": "t",
                        "account": "a",
                        "symbol": "EURUSD",
                        "idea_id": [f"{seed}-{i:06d}-{kind}-{name}" for i in range(decisions)],
                        "signal_id": [f"{seed}-{i:06d}" for i in range(decisions)],
                        "decided_at": at,
                        "label_end_at": [moment + timedelta(minutes=5 * timeout) for moment in at],
                        "feature_set_version": "synthetic-1",
                        "regime": np.where(slow > 0, "trending_up", "ranging").tolist(),
                        "exit_profile": name,
                        "kind": kind,
                        "is_win": result > 0,
                        "result_r": result,
                        "profit_tier": np.where(
                            result > 1, "large_gain", np.where(result > 0, "gain", "full_loss")
                        ).tolist(),
                        "features": row.tolist(),
                    },
                    schema_overrides={"decided_at": pl.Datetime("us", "UTC"), "label_end_at": pl.Datetime("us", "UTC")},
                )
            )
    return pl.concat(parts).sort("decided_at", "idea_id")
