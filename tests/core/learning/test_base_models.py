"""Base models: forecasts that know nothing of what they forecast, and stack live as they did in training."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from trading_assets.core.columns.learning import HORIZONS
from trading_assets.core.errors import StateError
from trading_assets.core.learning.base_models import BaseModel, BaseRows, can_stack
from trading_assets.core.learning.figures import area_under_curve
from trading_assets.core.learning.meta_model import MetaModel, TrainingParams, matrix_of
from trading_assets.core.learning.training import fit
from trading_assets.core.learning.variants import VARIANTS, Variant

PARAMS = TrainingParams(trees=30, leaves=15, rows_per_leaf=20, feature_share=0.6, row_share=0.8, l2=10.0)
"""Trees that learn by heart what they can, where the product's are held back from it: a leak must show."""
EMBARGO = timedelta(hours=1)


def with_returns(frame: pl.DataFrame, seed: int, edge: float) -> pl.DataFrame:
    """Rows with forward returns: noise, and with `edge` the first feature's direction."""
    signals = frame["signal_id"].unique(maintain_order=True)
    rng = np.random.default_rng(seed)
    feature = frame.filter((pl.col("kind") == "LONG") & (pl.col("exit_profile") == "tight")).select(
        "signal_id", up=pl.col("features").list.get(0)
    )
    moves = {f"return_{h}m_bp": rng.normal(size=len(signals)) for h in HORIZONS}
    told = pl.DataFrame({"signal_id": signals, **moves}).join(feature, on="signal_id", how="left", validate="1:1")
    told = told.with_columns(pl.col(name) + edge * pl.col("up") for name in moves).drop("up")
    return frame.join(told, on="signal_id", how="left", maintain_order="left")


def starts_of(frame: pl.DataFrame) -> list[int]:
    times = frame["decided_at"].dt.epoch("ms").unique().sort().to_numpy()
    return [int(times[len(times) * part // 4]) for part in (1, 2, 3)]


def forecasts(frame: pl.DataFrame, names: tuple[str, ...]) -> np.ndarray:
    rows = BaseRows(matrix_of(frame, len(names)), frame, names)
    return rows.causal_forecasts(starts_of(frame), PARAMS.to_lightgbm(), PARAMS.trees, EMBARGO)


def test_forecasts_of_noise_say_nothing_where_those_made_in_sample_seem_to_know(
    make_rows: Callable[..., pl.DataFrame], feature_names: tuple[str, ...]
) -> None:
    """The leak planted here is stacking on forecasts of rows the base model was trained on."""
    frame = with_returns(make_rows(1, days=16), 1, edge=0.0)
    matrix = matrix_of(frame, len(feature_names))
    rows = BaseRows(matrix, frame, feature_names)
    side = np.where((frame["kind"] == "LONG").to_numpy(), 1.0, -1.0)
    is_toward = side * frame["return_5m_bp"].to_numpy() > 0
    honest = forecasts(frame, feature_names)[:, 1]
    known = np.isfinite(honest)
    leaking = rows.train(5, PARAMS.to_lightgbm(), PARAMS.trees)
    assert leaking is not None
    assert abs(area_under_curve(honest[known], is_toward[known]) - 0.5) < 0.03
    assert area_under_curve(leaking.forecast(matrix)[known], is_toward[known]) > 0.6


def test_a_forecast_changes_with_no_move_that_ends_after_its_stretch_begins(
    make_rows: Callable[..., pl.DataFrame], feature_names: tuple[str, ...]
) -> None:
    frame = with_returns(make_rows(2, days=16), 2, edge=0.5)
    start = starts_of(frame)[1]
    for horizon in HORIZONS:
        late = frame["decided_at"].dt.epoch("ms") + horizon * 60_000 >= start - 3_600_000
        turned = pl.when(late).then(-pl.col(f"return_{horizon}m_bp")).otherwise(pl.col(f"return_{horizon}m_bp"))
        frame_told = frame.with_columns(turned.alias(f"return_{horizon}m_bp"))
        honest, told = (forecasts(one, feature_names)[:, HORIZONS.index(horizon)] for one in (frame, frame_told))
        until = (frame["decided_at"].dt.epoch("ms") < starts_of(frame)[2]).to_numpy()
        assert np.array_equal(honest[until], told[until], equal_nan=True)
        assert not np.array_equal(honest[~until], told[~until])


def test_an_edge_in_the_moves_is_found_and_rows_of_one_side_share_a_forecast(
    make_rows: Callable[..., pl.DataFrame], feature_names: tuple[str, ...]
) -> None:
    frame = with_returns(make_rows(3, days=16), 3, edge=1.0)
    found = forecasts(frame, feature_names)
    known = np.isfinite(found[:, 0])
    side = np.where((frame["kind"] == "LONG").to_numpy(), 1.0, -1.0)
    is_toward = side * frame["return_1m_bp"].to_numpy() > 0
    assert area_under_curve(found[known, 0], is_toward[known]) > 0.7
    spread = frame.with_columns(pl.Series("p", found[:, 0])).group_by("signal_id", "kind").agg(pl.col("p").n_unique())
    assert set(spread["p"]) == {1}


@pytest.fixture(scope="module")
def stacked(make_rows: Callable[..., pl.DataFrame], feature_names: tuple[str, ...]) -> tuple[pl.DataFrame, MetaModel]:
    """A model that carries base models, and the rows it was trained on."""
    frame = with_returns(make_rows(4, days=16, edge=0.9), 4, edge=1.0)
    variant = Variant(name="stacked", scheme="expanding", params=PARAMS, is_stacked=True)
    return frame, fit(frame, feature_names, (variant,)).model


def test_a_stacked_model_scores_a_row_alone_in_a_batch_and_read_back_alike(
    stacked: tuple[pl.DataFrame, MetaModel], feature_names: tuple[str, ...]
) -> None:
    frame, model = stacked
    assert model.base_names == tuple(f"base_{h}m" for h in HORIZONS)
    assert model.feature_names == feature_names
    matrix = matrix_of(frame, len(feature_names)).astype(np.float64)[:600]
    batch = model.win_probability(matrix)
    assert np.array_equal(batch, np.concatenate([model.win_probability(matrix[n : n + 6]) for n in range(0, 600, 6)]))
    assert np.array_equal(batch, np.concatenate([model.win_probability(matrix[n : n + 1]) for n in range(600)]))
    again = MetaModel.from_bytes(model.to_bytes())
    assert again.version == model.version
    assert np.array_equal(again.win_probability(matrix), batch)
    assert {name for name, _ in model.importance()} == {*feature_names, *model.base_names}


def test_spoilt_base_trees_are_refused(stacked: tuple[pl.DataFrame, MetaModel]) -> None:
    _, model = stacked
    spoilt = model.to_bytes().replace(
        b'"bases":[{"horizon_minutes":1,"columns":[0,', b'"bases":[{"horizon_minutes":1,"columns":[1,'
    )
    assert MetaModel.from_bytes(spoilt).version != model.version
    base = BaseModel(model._stored.bases[0]).stored
    text = base.booster.replace("tree", "treee", 1)
    with pytest.raises(StateError, match="do not match their sha256"):
        BaseModel(type(base)(horizon_minutes=1, columns=base.columns, booster_sha256=base.booster_sha256, booster=text))


def test_without_forward_returns_stacked_variants_are_left_out(
    make_rows: Callable[..., pl.DataFrame], feature_names: tuple[str, ...]
) -> None:
    frame = make_rows(5, days=12)
    assert not can_stack(frame)
    assert set(fit(frame, feature_names, VARIANTS).tried) == {"expanding", "sliding"}
    closed = with_returns(frame, 5, 0.0).with_columns(return_60m_bp=pl.lit(None, pl.Float64))
    assert can_stack(closed)
    assert set(fit(closed, feature_names, VARIANTS).tried) == {"expanding", "sliding"}
