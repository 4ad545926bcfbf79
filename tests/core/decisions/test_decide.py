from __future__ import annotations

import math
import tomllib
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trading_assets
from trading_assets.core.decisions.actions import close_reason
from trading_assets.core.decisions.decide import decide
from trading_assets.core.decisions.explain import recompute
from trading_assets.core.decisions.strategy import INTRADAY, SCALP
from trading_assets.core.errors import InputError, StateError
from trading_assets.core.features.feature_set import FEATURE_SETS, decode_vector
from trading_assets.core.ids import signal_id, ulid_time
from trading_assets.core.records.codec import decode_record, encode_record
from trading_assets.core.records.decisions import BreakerState, Decision
from trading_assets.core.release import RULES_ONLY

FRIDAY_EVENING = datetime(2024, 3, 8, 20, 40, tzinfo=UTC)


def read_back(decision: Decision) -> Decision:
    record = decode_record(encode_record(decision))
    assert isinstance(record, Decision)
    return record


def test_a_strong_trend_opens_with_everything_an_order_needs(market: Any) -> None:
    decision = decide(INTRADAY, market.context(), market.rising(), RULES_ONLY)
    assert (decision.suggestion, decision.action) == ("LONG", "OPEN")
    chosen = next(one for one in decision.candidates if one.idea_id == decision.idea_id)
    assert chosen.kind == "LONG"
    assert chosen.blended_score == max(one.blended_score for one in decision.candidates) > INTRADAY.open_threshold
    assert (decision.entry_price, decision.stop_price) == (1.08507, chosen.stop_price)
    assert decision.target_price == chosen.target_price
    assert decision.volume_lots > 0
    assert decision.risk_amount <= Decimal("100.00")
    assert 0.0 < decision.confidence <= 1.0
    assert 0.0 < decision.quality_score < chosen.blended_score
    assert decision.reasons[0].startswith("LONG has a strength of")
    assert decision.decided_at == decision.known_at
    assert ulid_time(decision.signal_id) == decision.bar_close_at
    assert decision.signal_id == signal_id(market.close_at, "alpha", "demo", "EURUSD", "M5", INTRADAY.version)


def test_a_falling_market_opens_short(market: Any) -> None:
    decision = decide(INTRADAY, market.context(), market.rising(-1.0), RULES_ONLY)
    assert (decision.suggestion, decision.action, decision.entry_price) == ("SHORT", "OPEN", 1.085)


def test_wait_is_a_full_record(market: Any) -> None:
    decision = decide(INTRADAY, market.context(), market.row(), RULES_ONLY)
    assert (decision.suggestion, decision.action, decision.idea_id) == ("WAIT", "NONE", None)
    assert (decision.volume_lots, decision.risk_amount) == (Decimal(0), Decimal(0))
    assert [candidate.kind for candidate in decision.candidates] == ["LONG"] * 3 + ["SHORT"] * 3
    assert all(candidate.filters for candidate in decision.candidates)
    assert len(decision.forecasts) == 3
    assert len(decision.filters) >= 10
    assert len(decision.breakers) >= 10
    assert decision.reasons[0].startswith("neither side is strong enough")
    np.testing.assert_array_equal(decode_vector(decision.features), market.row())
    assert decision.features == decision.features_normalised


def test_without_history_the_decision_waits_and_says_so(market: Any) -> None:
    nothing = np.full(len(market.features.names), math.nan)
    decision = decide(INTRADAY, market.context(base_bar_count=3), nothing, RULES_ONLY)
    assert (decision.suggestion, decision.action, decision.candidates) == ("WAIT", "NONE", ())
    assert any("insufficient history: 3 bars, 128 are needed" in reason for reason in decision.reasons)
    assert (decision.consensus, decision.quality_score) == (0.0, 0.0)
    assert read_back(decision) == decision


def test_without_history_an_open_position_is_held_until_its_time_is_over(market: Any) -> None:
    nothing = np.full(len(market.features.names), math.nan)
    held = decide(INTRADAY, market.context(position=market.position()), nothing, RULES_ONLY)
    assert held.action == "HOLD"
    assert [candidate.kind for candidate in held.candidates] == ["HOLD", "CLOSE"]
    over = decide(INTRADAY, market.context(position=market.position(bars_held=48)), nothing, RULES_ONLY)
    assert over.action == "CLOSE"


def test_with_a_position_hold_and_close_join_the_cohort(market: Any) -> None:
    decision = decide(INTRADAY, market.context(position=market.position()), market.rising(), RULES_ONLY)
    assert (decision.suggestion, decision.action, decision.volume_lots) == ("LONG", "HOLD", Decimal(0))
    hold, close = decision.candidates[-2:]
    assert (hold.kind, close.kind) == ("HOLD", "CLOSE")
    assert hold.blended_score == max(one.blended_score for one in decision.candidates if one.kind == "LONG")
    assert hold.blended_score + close.blended_score == pytest.approx(1.0)
    assert len({candidate.idea_id for candidate in decision.candidates}) == 8


def test_a_strong_signal_against_the_position_reverses_it(market: Any) -> None:
    context = market.context(position=market.position(side="SELL"))
    decision = decide(INTRADAY, context, market.rising(), RULES_ONLY)
    assert (decision.suggestion, decision.action) == ("LONG", "REVERSE")
    assert decision.volume_lots > 0
    assert close_reason(INTRADAY, decision) == "signal"


def test_a_blocked_reversal_still_closes(market: Any) -> None:
    context = market.context(position=market.position(side="SELL"), trade_allowed=False)
    decision = decide(INTRADAY, context, market.rising(), RULES_ONLY)
    assert (decision.suggestion, decision.action, decision.idea_id) == ("WAIT", "CLOSE", None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bars_held": 48}, "timeout"),
        ({"bars_held": 48, "side": "SELL"}, "timeout"),
        ({"side": "SELL", "trade_allowed": False}, "signal"),
        ({"bar_close_at": FRIDAY_EVENING}, "weekend"),
        ({"bar_close_at": FRIDAY_EVENING, "bars_held": 48}, "weekend"),
        ({}, None),
    ],
)
def test_a_close_has_its_reason(market: Any, changes: dict[str, Any], reason: str | None) -> None:
    held = {name: changes[name] for name in changes if name in ("bars_held", "side")}
    rest = {name: changes[name] for name in changes if name not in held}
    decision = decide(INTRADAY, market.context(position=market.position(**held), **rest), market.rising(), RULES_ONLY)
    assert close_reason(INTRADAY, decision) == reason
    assert (decision.action in ("CLOSE", "REVERSE")) is (reason is not None)


def test_a_flat_account_has_nothing_to_close(market: Any) -> None:
    decision = decide(INTRADAY, market.context(bar_close_at=FRIDAY_EVENING), market.rising(), RULES_ONLY)
    assert (decision.action, close_reason(INTRADAY, decision)) == ("NONE", None)


# --- breakers and sizing -------------------------------------------------------------------------------------------


def test_a_drawdown_over_ten_percent_halves_the_volume(market: Any) -> None:
    full = decide(INTRADAY, market.context(), market.rising(), RULES_ONLY)
    halved = decide(INTRADAY, market.context(equity_high_water_mark=Decimal("11500")), market.rising(), RULES_ONLY)
    assert halved.action == "OPEN"
    assert abs(halved.volume_lots * 2 - full.volume_lots) <= Decimal("0.02")
    assert any("drawdown of 13.0%" in warning for warning in halved.warnings)


@pytest.mark.parametrize(
    "changes",
    [
        {"equity_high_water_mark": Decimal("13000")},
        {"day_start_equity": Decimal("10500")},
        {"week_start_equity": Decimal("11000")},
        {"orders_last_hour": 20},
        {"breakers": (BreakerState(breaker="halt", is_tripped=True, effect="stop", cause="by the trader"),)},
    ],
)
def test_a_stopping_breaker_turns_an_entry_into_wait(market: Any, changes: dict[str, Any]) -> None:
    decision = decide(INTRADAY, market.context(**changes), market.rising(), RULES_ONLY)
    assert (decision.suggestion, decision.action, decision.volume_lots) == ("WAIT", "NONE", Decimal(0))
    assert any(reason.startswith("breaker ") for reason in decision.reasons)


def test_low_confidence_gates_an_entry(market: Any) -> None:
    careful = INTRADAY.with_overrides({"breakers": {"min_confidence": 0.99}})
    decision = decide(careful, market.context(), market.rising(), RULES_ONLY)
    assert decision.suggestion == "WAIT"
    assert any("breaker low_confidence" in reason for reason in decision.reasons)


def test_an_account_too_small_for_the_smallest_volume_waits(market: Any) -> None:
    decision = decide(
        INTRADAY,
        market.context(equity=Decimal("30"), equity_high_water_mark=Decimal("30")),
        market.rising(),
        RULES_ONLY,
    )
    assert decision.suggestion == "WAIT"
    assert any("the smallest volume is 0.01" in reason for reason in decision.reasons)


def test_a_candidate_that_costs_too_much_leaves_its_place_to_one_that_does_not(market: Any) -> None:
    # 30 points of spread and 7 of commission: too much for the stop of the tight profile alone.
    dear = market.context(ask=1.08530)
    row = market.rising()
    row[market.features.index("atr_14_bp")] = 4.6
    decision = decide(INTRADAY.with_overrides({"filters": {"max_spread_atr": 0.9}}), dear, row, RULES_ONLY)
    blocked = {one.exit_profile for one in decision.candidates if any(v.verdict == "block" for v in one.filters)}
    assert blocked == {"tight"}
    chosen = next(one for one in decision.candidates if one.idea_id == decision.idea_id)
    assert chosen.exit_profile != "tight"


def test_a_strong_candidate_that_is_blocked_gives_its_reason(market: Any) -> None:
    dear = INTRADAY.with_overrides({"filters": {"max_cost_r": 0.01}})
    decision = decide(dear, market.context(), market.rising(), RULES_ONLY)
    assert (decision.suggestion, decision.reasons[0]) == (
        "WAIT",
        "LONG would be strong enough, but something stands in the way",
    )
    assert any("the round trip costs" in reason for reason in decision.reasons)


# --- the model -------------------------------------------------------------------------------------------------------


def test_a_model_in_shadow_is_recorded_and_changes_nothing(market: Any, release_of: Any) -> None:
    shadow = release_of(lambda matrix: np.linspace(0.1, 0.6, len(matrix)), blend=0.0)
    rules = decide(INTRADAY, market.context(), market.rising(), RULES_ONLY)
    decision = decide(INTRADAY, market.context(), market.rising(), shadow)
    assert [one.win_probability for one in decision.candidates] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert [one.blended_score for one in decision.candidates] == [one.rule_score for one in rules.candidates]
    assert (decision.action, decision.idea_id, decision.volume_lots) == (rules.action, rules.idea_id, rules.volume_lots)
    assert (decision.versions.model, decision.versions.release, decision.blend) == ("m-1", "r-1", 0.0)
    assert decision.features_normalised != decision.features
    tripped = {state.breaker for state in rules.breakers if state.is_tripped}
    assert tripped == {"model_absent"}
    assert not any(state.is_tripped for state in decision.breakers)


def test_a_blended_model_can_choose_and_can_refuse(market: Any, release_of: Any) -> None:
    likes_wide = release_of(lambda _: np.array([0.1, 0.1, 0.95, 0.1, 0.1, 0.1]))
    chosen = decide(INTRADAY, market.context(), market.rising(), likes_wide)
    assert next(one for one in chosen.candidates if one.idea_id == chosen.idea_id).exit_profile == "wide"
    best = next(one for one in chosen.candidates if one.idea_id == chosen.idea_id)
    assert best.blended_score == pytest.approx(0.7 * best.rule_score + 0.3 * 0.95)
    doubts_all = release_of(lambda matrix: np.zeros(len(matrix)), blend=0.5)
    assert decide(INTRADAY, market.context(), market.rising(), doubts_all).suggestion == "WAIT"


def test_a_release_of_another_feature_set_is_never_used(market: Any, release_of: Any) -> None:
    other = release_of(lambda matrix: np.zeros(len(matrix)), feature_set_version="intraday-0000")
    with pytest.raises(StateError, match="was trained on feature set intraday-0000"):
        decide(INTRADAY, market.context(), market.rising(), other)
    fewer = release_of(lambda matrix: np.zeros(len(matrix)), candidate_features=("one",))
    with pytest.raises(StateError, match="other candidate features"):
        decide(INTRADAY, market.context(), market.rising(), fewer)


# --- purity ----------------------------------------------------------------------------------------------------------


rows = st.lists(
    st.floats(-8.0, 8.0) | st.just(math.nan),
    min_size=len(FEATURE_SETS["intraday"].names),
    max_size=len(FEATURE_SETS["intraday"].names),
)


@settings(max_examples=60, deadline=None)
@given(row=rows, side=st.sampled_from([None, "BUY", "SELL"]), spread=st.integers(0, 60), hour=st.integers(0, 23))
def test_the_same_inputs_give_the_same_bytes_also_after_they_were_recorded(
    market: Any, row: list[float], side: str | None, spread: int, hour: int
) -> None:
    features = np.array(row)
    context = market.context(
        position=market.position(side=side) if side else None,
        ask=round(1.085 + spread * 1e-5, 5),
        bar_close_at=market.close_at.replace(hour=hour),
    )
    first = encode_record(decide(INTRADAY, context, features, RULES_ONLY))
    assert encode_record(decide(INTRADAY, context, features.copy(), RULES_ONLY)) == first
    recorded = decode_record(first)
    assert isinstance(recorded, Decision)
    assert encode_record(recompute(INTRADAY, recorded, RULES_ONLY)) == first


@settings(max_examples=60, deadline=None)
@given(row=rows)
def test_whatever_the_features_an_entry_has_prices_a_volume_and_no_obstacle(market: Any, row: list[float]) -> None:
    decision = decide(INTRADAY, market.context(), np.array(row), RULES_ONLY)
    if decision.action != "OPEN":
        assert (decision.suggestion, decision.volume_lots) == ("WAIT", Decimal(0))
        return
    assert not [verdict for verdict in decision.filters if verdict.verdict == "block"]
    assert decision.entry_price is not None
    assert decision.stop_price is not None
    assert decision.target_price is not None
    side = 1 if decision.suggestion == "LONG" else -1
    assert (decision.entry_price - decision.stop_price) * side > 0
    assert (decision.target_price - decision.entry_price) * side > 0
    assert Decimal(0) < decision.risk_amount <= Decimal("100.00")


def test_deciding_leaves_the_features_as_they_were(market: Any) -> None:
    row = market.rising()
    row.flags.writeable = False
    decide(INTRADAY, market.context(), row, RULES_ONLY)
    np.testing.assert_array_equal(row, market.rising())


def test_the_mode_is_recorded_and_decides_nothing(market: Any) -> None:
    modes = [
        decide(INTRADAY, market.context(mode=mode), market.rising(), RULES_ONLY) for mode in ("observe", "execute")
    ]
    assert msgspec.structs.replace(modes[0], mode="execute") == modes[1]


def test_a_strategy_on_an_unknown_feature_set_is_refused_in_one_sentence(market: Any) -> None:
    for changes in ({"feature_set": "daily"}, {"timeframe": "M1"}):
        with pytest.raises(InputError, match="choose one of: intraday on M5, scalp on M1"):
            decide(msgspec.structs.replace(INTRADAY, **changes), market.context(), market.rising(), RULES_ONLY)


def test_the_scalping_strategy_decides_on_its_own_feature_set(market: Any) -> None:
    row = np.zeros(len(FEATURE_SETS["scalp"].names))
    row[FEATURE_SETS["scalp"].index("atr_14_bp")] = 2.0
    decision = decide(SCALP, market.context(), row, RULES_ONLY)
    assert (decision.timeframe, decision.versions.feature_set) == ("M1", FEATURE_SETS["scalp"].version)


def test_the_version_in_every_decision_is_that_of_the_package(market: Any) -> None:
    project = tomllib.loads((Path(__file__).resolve().parents[3] / "pyproject.toml").read_text())["project"]
    decision = decide(INTRADAY, market.context(), market.row(), RULES_ONLY)
    assert decision.versions.code == trading_assets.__version__ == project["version"]
