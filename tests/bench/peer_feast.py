"""Point-in-time join by Feast, run inside its own environment by `bench_point_in_time`: file offline store, historical retrieval.

    python peer_feast.py FOLDER OUT

FOLDER holds decisions.parquet (signal_id, symbol, known_at), features.parquet and context.parquet (symbol, known_at, values).
Answers with seconds, rows and the process's memory; OUT gets the joined rows of the feature columns, for comparison.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64


def view(name: str, path: Path, entity: Entity) -> FeatureView:
    """Describe a table of values that became known at `known_at`."""
    columns = [one for one in pd.read_parquet(path).columns if one not in ("symbol", "known_at")]
    return FeatureView(
        name=name,
        entities=[entity],
        ttl=timedelta(days=36_500),
        schema=[Field(name=column, dtype=Float64) for column in columns],
        source=FileSource(path=str(path), timestamp_field="known_at"),
        online=False,
    )


def peak_memory_mb() -> float:
    """Return the largest resident size of this process, 0 where the system is not Linux."""
    if sys.platform != "linux":
        return 0.0
    told = Path("/proc/self/status").read_text()
    return int(next(one for one in told.splitlines() if one.startswith("VmHWM")).split()[1]) / 2**10


def main() -> None:
    """Register the tables and retrieve."""
    folder = Path(sys.argv[1])
    store = FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="local",
            registry=str(folder / "registry.db"),
            offline_store={"type": "file"},
            online_store=None,
            entity_key_serialization_version=3,
        )
    )
    symbol = Entity(name="symbol", join_keys=["symbol"], value_type=ValueType.STRING)
    views = [view(name, folder / f"{name}.parquet", symbol) for name in ("features", "context")]
    store.apply([symbol, *views])
    decisions = pd.read_parquet(folder / "decisions.parquet").rename(columns={"known_at": "event_timestamp"})
    asked = [f"{one.name}:{field.name}" for one in views for field in one.schema if field.name != "symbol"]
    start = time.perf_counter()
    joined = store.get_historical_features(entity_df=decisions, features=asked).to_df()
    seconds = time.perf_counter() - start
    joined.drop(columns=["event_timestamp", "symbol"]).to_parquet(sys.argv[2])
    print(json.dumps({"seconds": seconds, "rows": len(joined), "peak_mb": peak_memory_mb()}))


if __name__ == "__main__":
    main()
