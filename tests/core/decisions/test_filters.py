from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from trading_assets.core.decisions import filters
from trading_assets.core.decisions.candidate_filters import candidate_verdicts
from trading_assets.core.decisions.candidates import Idea, ideas
from trading_assets.core.decisions.filters import cohort_verdicts
from trading_assets.core.decisions.strategy import INTRADAY, FilterLimits
from trading_assets.core.decisions.verdicts import Scene, blocking
from trading_assets.core.decisions.weekend import minutes_to_weekend
from trading_assets.core.records.decisions import FilterVerdict, Regime, TraderLimits


def verdicts(market: Any, **changes: Any) -> dict[str, FilterVerdict]:
    """Verdicts on a scene in which everything passes, but for `changes` to the scene, the strategy's limits or the inputs."""
    limits = {name: changes.pop(name) for name in tuple(changes) if name in FilterLimits.__struct_fields__}
    strategy = msgspec.structs.replace(
        INTRADAY,
        filters=msgspec.structs.replace(INTRADAY.filters, **limits),
        **{name: changes.pop(name) for name in tuple(changes) if name in ("allowed_symbols", "max_positions")},
    )
    scene: dict[str, Any] = {
        "strategy": strategy,
        "bar_close_at": market.close_at,
        "known_at": market.close_at,
        "minimum_bars": 128,
        "regime": Regime(label="ranging", confidence=0.8, classifier_version="1"),
        "consensus": 0.5,
        "dispersion": 0.1,
        "atr": 0.0005,
        "volatility_ratio": 1.0,
    }
    own = {name: changes.pop(name) for name in tuple(changes) if name in scene}
    scene["inputs"] = market.inputs(**changes)
    return {verdict.filter: verdict for verdict in cohort_verdicts(Scene(**scene | own))}


def blocked(market: Any, **changes: Any) -> set[str]:
    return {name for name, verdict in verdicts(market, **changes).items() if verdict.verdict == "block"}


# When the bar of `market` closes; its quote is a second older.
CLOSED_AT = datetime(2024, 3, 6, 10, 5, tzinfo=UTC)
VOLATILE = Regime(label="volatile", confidence=0.9, classifier_version="1")
SUNDAY = datetime(2024, 3, 10, 12, 0, tzinfo=UTC)


def test_in_a_quiet_market_every_filter_passes_but_news_which_has_no_source(market: Any) -> None:
    result = verdicts(market)
    assert {name for name, verdict in result.items() if verdict.verdict != "pass"} == {"news"}
    assert result["news"].verdict == "not_available"
    assert len(result) == len(filters.COHORT_FILTERS)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("trade_allowed", {"trade_allowed": False}, "forbids trading"),
        ("trade_mode", {"trade_mode": "close_only"}, "be closed only"),
        ("trade_mode", {"trade_mode": "disabled"}, "switched trading on this symbol off"),
        ("filling", {"filling_mode": 0}, "no filling that market execution accepts"),
        ("market_closed", {"market_closed_at": CLOSED_AT}, "the market is closed, and has not quoted since"),
        ("foreign_position", {"margin_mode": "netting", "foreign_positions": 1}, "would merge with it"),
        ("allowed_symbol", {"limits": TraderLimits(allowed_symbols=("GBPUSD",))}, "the trader does not allow EURUSD"),
        ("allowed_symbol", {"limits": TraderLimits(allowed_symbols=())}, "the trader does not allow EURUSD"),
        ("stale_data", {"is_late": True}, "delivered late"),
        ("bar_data", {"bar_problem": "messages were lost: the bar may lack quotes"}, "the bar may lack quotes"),
        (
            "stale_data",
            {"known_at": CLOSED_AT + timedelta(minutes=6), "quote_at": CLOSED_AT + timedelta(minutes=6)},
            "old, over the limit",
        ),
        ("positions", {"open_positions": 3, "pending_entries": 2}, "and 2 entries are under way"),
        ("weekend", {"week_ends_at": CLOSED_AT + timedelta(minutes=90)}, "no entries in the last 120 minutes"),
        ("allowed_symbol", {"allowed_symbols": ("GBPUSD",)}, "EURUSD is not among"),
        ("history", {"base_bar_count": 127}, "insufficient history: 127 bars, 128 are needed"),
        ("history", {"atr": None}, "there is no ATR yet"),
        ("stale_data", {"known_at": datetime(2024, 3, 6, 10, 9, tzinfo=UTC)}, "over the limit of 180 s"),
        ("spread", {"ask": 1.0854}, "the spread of 40.0 points is 80% of the ATR"),
        ("session", {"bar_close_at": datetime(2024, 3, 6, 21, 0, tzinfo=UTC)}, "no entries at 21:00 UTC"),
        ("session", {"session_start_hour": 22, "session_end_hour": 6}, "no entries at 10:05 UTC"),
        ("weekend", {"bar_close_at": datetime(2024, 3, 8, 19, 0, tzinfo=UTC)}, "last 120 minutes of the week"),
        ("weekend", {"bar_close_at": SUNDAY}, "the market is closed"),
        ("regime", {"regime": VOLATILE}, "the market is volatile with confidence 90%"),
        ("volatility", {"volatility_ratio": 3.5}, "3.5 times as much as usual"),
        ("consensus", {"consensus": -0.1}, "the consensus of -0.10 is too weak"),
        ("dispersion", {"dispersion": 0.85}, "contradict each other"),
        ("pending_orders", {"pending_orders": 1}, "is not known yet"),
        ("positions", {"open_positions": 5}, "5 positions are open on other symbols, the limit is 5"),
    ],
)
def test_each_filter_blocks_and_says_why(market: Any, name: str, changes: dict[str, Any], words: str) -> None:
    verdict = verdicts(market, **changes)[name]
    assert verdict.verdict == "block"
    assert words in verdict.reason
    assert verdict.observed
    assert verdict.limit


def test_every_cohort_filter_has_a_test_in_which_it_blocks() -> None:
    cases = test_each_filter_blocks_and_says_why.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {case[0] for case in cases} | {"news"} == {judge.__name__ for judge in filters.COHORT_FILTERS}


def test_a_filter_blocks_only_for_its_own_reason(market: Any) -> None:
    assert blocked(market, ask=1.0854) == {"spread"}
    assert blocked(market, regime=VOLATILE) == {"regime"}
    assert blocked(market, regime=msgspec.structs.replace(VOLATILE, confidence=0.5)) == set()


def test_without_their_values_spread_and_volatility_are_not_available(market: Any) -> None:
    result = verdicts(market, atr=None, volatility_ratio=None)
    assert result["spread"].verdict == result["volatility"].verdict == "not_available"


def test_a_position_on_the_symbol_leaves_its_place_to_the_next(market: Any) -> None:
    assert "positions" in blocked(market, open_positions=5)
    assert "positions" not in blocked(market, open_positions=5, position=market.position())


def test_a_session_may_wrap_around_midnight(market: Any) -> None:
    hours = {"session_start_hour": 22, "session_end_hour": 6}
    for hour, is_open in ((21, False), (22, True), (0, True), (5, True), (6, False)):
        at = datetime(2024, 3, 6, hour, 30, tzinfo=UTC)
        assert ("session" not in blocked(market, bar_close_at=at, **hours)) is is_open


def test_the_minutes_to_the_weekend_run_out_on_friday_and_stay_out_until_sunday_evening() -> None:
    friday_close = datetime(2024, 3, 8, 21, 0, tzinfo=UTC)
    limits = INTRADAY.filters
    assert minutes_to_weekend(limits, friday_close - timedelta(minutes=20)) == 20
    assert minutes_to_weekend(limits, friday_close) == 0
    assert minutes_to_weekend(limits, friday_close + timedelta(hours=47, minutes=59)) == 0
    assert minutes_to_weekend(limits, friday_close + timedelta(hours=48)) == 5 * 1440


# --- one candidate -----------------------------------------------------------------------------------------------


def idea(market: Any, **changes: Any) -> Idea:
    return msgspec.structs.replace(ideas(INTRADAY, market.inputs(), 0.0005)[1], **changes)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("cost", {"cost_r": 0.4}, "the round trip costs 0.40 R"),
        ("reward", {"reward_r": 0.8, "cost_r": 0.1}, "the target is 0.70 R away after costs"),
        ("prices", {"stop_price": -0.2}, "stop or target would be -0.2"),
        ("side", {"trade_mode": "short_only"}, "EURUSD to be opened SHORT only"),
    ],
)
def test_each_candidate_filter_blocks_and_says_why(market: Any, name: str, changes: dict[str, Any], words: str) -> None:
    assert [one.verdict for one in candidate_verdicts(INTRADAY.filters, idea(market), market.symbol)] == ["pass"] * 4
    symbol = msgspec.structs.replace(market.symbol, trade_mode=changes.pop("trade_mode", "full"))
    found = blocking(candidate_verdicts(INTRADAY.filters, idea(market, **changes), symbol))
    assert [verdict.filter for verdict in found] == [name]
    assert words in found[0].reason
