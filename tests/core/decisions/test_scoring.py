from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.decisions.candidates import ideas
from trading_assets.core.decisions.decide import decide
from trading_assets.core.decisions.scoring import (
    CONTEXT_FEATURES,
    DIRECTED,
    MIRRORED,
    blended,
    candidate_feature_names,
    candidate_matrix_of,
    rule_score,
)
from trading_assets.core.decisions.strategy import INTRADAY, ScoreWeights
from trading_assets.core.features.feature_set import FEATURE_SETS
from trading_assets.core.records.codec import decode_record, encode_record
from trading_assets.core.records.decisions import Regime
from trading_assets.core.release import RULES_ONLY

# Indicators without a direction. One that is in none of the three lists fails the test below: decide what it is.
UNDIRECTED = {
    *("adx_14", "atr_14_bp", "atr_ratio_14_100", "band_width_20", "tick_ratio_20", "volatility_ratio_10_50", "range_1"),
    *("tick_trend_5_50", "effort_correlation_20", "spread_close", "spread_close_bp", "spread_ratio_50", "spread_peak"),
    *("step_autocorrelation_20", "move_per_tick", "day_sine", "day_cosine", "week_sine", "week_cosine", "in_tokyo"),
    *("in_london", "in_new_york", "week_remaining", "pause_before"),
    *("volatility_to_middle", "volatility_to_higher", "volatility_to_highest"),
}
RANGING = Regime(label="ranging", confidence=0.8, classifier_version="1")
UP = Regime(label="trending_up", confidence=0.8, classifier_version="1")


@pytest.mark.parametrize("feature_set", FEATURE_SETS.values(), ids=lambda one: one.name)
def test_every_indicator_is_known_to_be_directed_mirrored_or_neither(feature_set: Any) -> None:
    indicators = {definition.indicator for definition in feature_set.definitions}
    assert indicators == DIRECTED | set(MIRRORED) | UNDIRECTED
    assert not DIRECTED & UNDIRECTED


def test_both_feature_sets_give_rows_of_the_same_width_and_unique_names() -> None:
    names = [candidate_feature_names(feature_set) for feature_set in FEATURE_SETS.values()]
    assert len({len(one) for one in names}) == 1
    assert all(len(set(one)) == len(one) for one in names)


# --- the rule score ----------------------------------------------------------------------------------------------


def score(
    market: Any, kind: str, profile: str, consensus: float, dispersion: float = 0.0, regime: Regime = RANGING
) -> float:
    idea = next(
        idea for idea in ideas(INTRADAY, market.inputs(), 0.0005) if (idea.kind, idea.profile.name) == (kind, profile)
    )
    return rule_score(ScoreWeights(), idea, consensus, dispersion, regime)


def test_the_score_rises_with_the_consensus_on_its_side_and_falls_with_dispersion_and_cost(market: Any) -> None:
    assert score(market, "LONG", "balanced", 0.8) > score(market, "LONG", "balanced", 0.4) > 0.5
    assert score(market, "SHORT", "balanced", 0.8) < 0.5
    assert score(market, "LONG", "balanced", 0.8, 0.5) < score(market, "LONG", "balanced", 0.8)
    assert score(market, "LONG", "balanced", 0.0) < 0.5


def test_wide_targets_suit_a_trend_and_near_ones_a_range(market: Any) -> None:
    assert score(market, "LONG", "wide", 0.5, regime=UP) > score(market, "LONG", "tight", 0.5, regime=UP)
    assert score(market, "LONG", "wide", 0.5) < score(market, "LONG", "tight", 0.5)
    # Against the trend no profile suits.
    assert score(market, "SHORT", "tight", -0.5, regime=UP) < score(market, "SHORT", "tight", -0.5)


@given(
    consensus=st.floats(-1.0, 1.0),
    dispersion=st.floats(0.0, 1.0),
    probability=st.none() | st.floats(0.0, 1.0),
    blend=st.floats(0.0, 1.0),
)
def test_scores_stay_between_0_and_1(
    market: Any, consensus: float, dispersion: float, probability: float | None, blend: float
) -> None:
    rule = score(market, "LONG", "tight", consensus, dispersion)
    assert 0.0 <= rule <= 1.0
    assert 0.0 <= blended(rule, probability, blend) <= 1.0 + 1e-12


def test_a_blend_of_0_is_shadow() -> None:
    assert blended(0.8, 0.1, 0.0) == 0.8
    assert blended(0.8, 0.4, 0.25) == pytest.approx(0.7)
    assert blended(0.8, None, 0.25) == 0.8


# --- the meta-model's row --------------------------------------------------------------------------------------


def test_a_recorded_decision_gives_the_same_bits_after_encoding(market: Any) -> None:
    row = market.rising()
    row[5] = np.nan
    decision = decide(INTRADAY, market.context(position=market.position()), row, RULES_ONLY)
    ideas_live, live = candidate_matrix_of(decision)
    ideas_read, read = candidate_matrix_of(decode_record(encode_record(decision)))  # type: ignore[arg-type]
    assert ideas_live == ideas_read
    assert live.shape == (6, len(candidate_feature_names(market.features)))
    assert live.tobytes() == read.tobytes()


def test_the_model_sees_live_what_the_dataset_reads_from_the_record(market: Any, release_of: Any) -> None:
    seen: list[np.ndarray] = []
    release = release_of(lambda matrix: seen.append(matrix) or np.full(len(matrix), 0.5))
    decision = decide(INTRADAY, market.context(), market.rising(), release)
    assert seen[0].tobytes() == candidate_matrix_of(decode_record(encode_record(decision)))[1].tobytes()  # type: ignore[arg-type]


def test_a_market_turned_upside_down_gives_short_the_row_long_had(market: Any) -> None:
    rising = market.rising()
    falling = market.rising(-1.0)
    wick = {"upper_wick": 0.7, "lower_wick": 0.1}
    for name, value in wick.items():
        rising[market.features.index(name)] = value
        falling[market.features.index(MIRRORED[name])] = value
    held = {"position": market.position(side="BUY")}, {"position": market.position(side="SELL")}
    _, up = candidate_matrix_of(decide(INTRADAY, market.context(**held[0]), rising, RULES_ONLY))
    _, down = candidate_matrix_of(decide(INTRADAY, market.context(**held[1]), falling, RULES_ONLY))
    # Entry prices differ by the spread, so what is measured over the price differs in the last places.
    np.testing.assert_allclose(up[:3], down[3:], rtol=1e-4)
    assert not np.allclose(up[:3], up[3:])


def test_context_columns_are_relative_to_the_side(market: Any) -> None:
    context = market.context(position=market.position(side="BUY"))
    names = candidate_feature_names(market.features)
    _, matrix = candidate_matrix_of(decide(INTRADAY, context, market.rising(), RULES_ONLY))
    by_name = {name: matrix[:, names.index(name)] for name in CONTEXT_FEATURES}
    assert by_name["held_side"].tolist() == [1.0] * 3 + [-1.0] * 3
    assert by_name["regime_with_trend"].tolist() == [1.0] * 3 + [0.0] * 3
    assert by_name["regime_against_trend"].tolist() == [0.0] * 3 + [1.0] * 3
    assert (by_name["consensus"][:3] > 0).all()
    assert (by_name["consensus"][3:] < 0).all()
    assert by_name["timeout_bars"].tolist() == [24.0, 48.0, 96.0] * 2


def test_an_unknown_regime_has_its_own_flag(market: Any) -> None:
    decision = decide(INTRADAY, market.context(), market.row(adx_14=float("nan")), RULES_ONLY)
    assert decision.regime.label == "unknown"
    names = candidate_feature_names(market.features)
    _, matrix = candidate_matrix_of(msgspec.structs.replace(decision))
    assert matrix[:, names.index("regime_unknown")].tolist() == [1.0] * 6
