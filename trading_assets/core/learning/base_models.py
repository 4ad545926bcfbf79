"""Base models: where the price goes in the next minutes, one model for each horizon, whatever is traded.

They read the part of a candidate's row that belongs to the market and the side, not to the exit profile, and say how likely the
price moves toward that side. Their forecasts are further columns of the meta-model, which carries them inside, so that live and
batch stack the same way (invariant 7). Forecasts for training are causal: those of a stretch of time come from models that
knew only rows before it, purged by the end of the horizon, so no outcome finds its way into the meta-model's own features.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256

import msgspec
import numpy as np
import polars as pl

from trading_assets.core.columns.learning import HORIZONS
from trading_assets.core.errors import StateError
from trading_assets.core.learning.trees import booster, trained

OF_PROFILE = frozenset({"risk_bp", "reward_r", "cost_r", "timeout_bars", "rule_score"})
"""Columns that differ between the exit profiles of a side."""
MINIMUM_ROWS = 500
AT_ONCE = 2


class StoredBase(msgspec.Struct, frozen=True, kw_only=True):
    """A base model as it rests in the meta-model's file. `columns`: where its features stand in the candidate row."""

    horizon_minutes: int
    columns: tuple[int, ...]
    booster_sha256: str
    booster: str


class BaseModel:
    """A base model in use. Raises StateError for trees that do not match their hash."""

    __slots__ = ("_booster", "_columns", "stored")

    def __init__(self, stored: StoredBase) -> None:
        if sha256(stored.booster.encode()).hexdigest() != stored.booster_sha256:
            raise StateError(
                "reading",
                "base model",
                "its trees do not match their sha256",
                "write the release again from the registry",
            )
        self.stored = stored
        self._booster = booster(stored.booster)
        self._columns = list(stored.columns)

    @property
    def name(self) -> str:
        """Name of its forecast among the meta-model's features."""
        return f"base_{self.stored.horizon_minutes}m"

    def forecast(self, rows: np.ndarray) -> np.ndarray:
        """Return how likely the price moves toward the side, for candidate rows (n, k) of float32, shape (n,) of float32."""
        chosen = np.ascontiguousarray(rows[:, self._columns])
        return np.asarray(self._booster.predict(chosen, num_threads=1), dtype=np.float32)


class BaseRows:
    """Rows that base models learn from and forecast: each signal and side once, whatever its exit profiles.

    `frame` (n): signal_id, kind, decided_at and the columns return_{h}m_bp; `matrix` (n, k) of float32 in the same order.
    """

    def __init__(self, matrix: np.ndarray, frame: pl.DataFrame, feature_names: tuple[str, ...]) -> None:
        cohort = frame.select("signal_id", "kind")
        numbered = cohort.with_row_index("row").with_columns(head=pl.col("row").first().over("signal_id", "kind"))
        self.rows = np.flatnonzero((numbered["row"] == numbered["head"]).to_numpy())
        self.place = np.searchsorted(self.rows, numbered["head"].to_numpy())
        self.columns = tuple(place for place, name in enumerate(feature_names) if name not in OF_PROFILE)
        self.matrix = np.ascontiguousarray(matrix[self.rows])
        chosen = frame[self.rows]
        side = np.where((chosen["kind"] == "LONG").to_numpy(), 1.0, -1.0)
        self.decided_ms = chosen["decided_at"].dt.epoch("ms").to_numpy()
        self.moves = {h: side * chosen[f"return_{h}m_bp"].fill_null(0.0).to_numpy() for h in HORIZONS}

    def train(
        self, horizon: int, settings: dict[str, object], trees: int, until_ms: int | None = None
    ) -> BaseModel | None:
        """Train on rows whose horizon ends before `until_ms`; None when there is too little to learn from.

        A price that has not moved teaches no direction: such rows are left out.
        """
        move = self.moves[horizon]
        may_train = move != 0
        if until_ms is not None:
            may_train &= self.decided_ms + horizon * 60_000 < until_ms
        chosen = np.flatnonzero(may_train)
        wins = int((move[chosen] > 0).sum())
        if len(chosen) < MINIMUM_ROWS or wins in (0, len(chosen)):
            return None
        rows = self.matrix[chosen][:, list(self.columns)]
        label = move[chosen] > 0
        text = trained(settings, trees, rows, label)
        return BaseModel(
            StoredBase(
                horizon_minutes=horizon,
                columns=self.columns,
                booster_sha256=sha256(text.encode()).hexdigest(),
                booster=text,
            )
        )

    def causal_forecasts(
        self, starts_ms: Sequence[int], settings: dict[str, object], trees: int, embargo: timedelta
    ) -> np.ndarray:
        """Return forecasts (n, horizons) of float32 for every row of the frame, NaN before the first start.

        A row decided from one start to the next is forecast by models that knew only rows whose horizon ended before that
        start, less the embargo.
        """
        margin = embargo // timedelta(milliseconds=1)
        forecasts = np.full((len(self.rows), len(HORIZONS)), np.nan, dtype=np.float32)
        ends = [*starts_ms[1:], np.iinfo(np.int64).max]

        def one(task: tuple[int, int, int, int]) -> None:
            column, horizon, start, end = task
            asked = np.flatnonzero((self.decided_ms >= start) & (self.decided_ms < end))
            model = self.train(horizon, settings, trees, start - margin) if len(asked) else None
            if model is not None:
                forecasts[asked, column] = model.forecast(self.matrix[asked])

        tasks = [
            (column, horizon, start, end)
            for start, end in zip(starts_ms, ends, strict=True)
            for column, horizon in enumerate(HORIZONS)
        ]
        # Each task trains by one thread and writes cells of its own, so side by side they give the same bytes. The last
        # stretch learns from the most rows and goes first, so that no thread waits at the end for another's.
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(one, reversed(tasks)))
        return forecasts[self.place]


def can_stack(frame: pl.DataFrame) -> bool:
    """Return whether rows carry what base models learn from."""
    return {"kind", *(f"return_{h}m_bp" for h in HORIZONS)} <= set(frame.columns)
