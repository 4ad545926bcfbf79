from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from trading_assets.core.decisions import breakers
from trading_assets.core.decisions.breakers import (
    RULES,
    advance,
    evaluate,
    latched,
    reset,
    size_factor,
    slippage_cause,
    stops_entries,
    trip,
    week_of,
)
from trading_assets.core.decisions.strategy import BreakerLimits
from trading_assets.core.records.decisions import BreakerState

LIMITS = BreakerLimits()
MONDAY = datetime(2024, 3, 4, 12, 0, tzinfo=UTC)


def evaluated(market: Any, **changes: Any) -> dict[str, BreakerState]:
    seen = {"confidence": 0.9, "data_problem": "", "has_model": True}
    seen |= {name: changes.pop(name) for name in tuple(changes) if name in seen}
    inputs = market.inputs(**changes)
    states = evaluate(LIMITS, inputs.account_state, inputs.risk, **seen)  # type: ignore[arg-type]
    return {state.breaker: state for state in states}


def kept_outside(breaker: str) -> BreakerState:
    return BreakerState(breaker=breaker, is_tripped=True, effect="stop", cause="seen by the daemon")


CASES: list[tuple[str, dict[str, Any], str]] = [
    (
        "drawdown_halve",
        {"equity": Decimal("8900"), "day_start_equity": Decimal("8900")},
        "drawdown of 11.0% is over 10%",
    ),
    (
        "drawdown_stop",
        {"equity": Decimal("7900"), "day_start_equity": Decimal("7900")},
        "drawdown of 21.0% is over 20%",
    ),
    ("daily_loss", {"day_start_equity": Decimal("10400")}, "loss of 3.8% since the start of the day"),
    ("weekly_loss", {"week_start_equity": Decimal("10700")}, "loss of 6.5% since the start of the week"),
    ("order_rate", {"orders_last_hour": 20}, "20 entry orders in the last hour"),
    ("low_confidence", {"confidence": 0.2}, "confidence 0.20 is under 0.25"),
    ("data", {"data_problem": "the last quote is old"}, "the last quote is old"),
    ("model_absent", {"has_model": False}, "the rules decide alone"),
    ("halt", {"breakers": (kept_outside("halt"),)}, "seen by the daemon"),
    ("slippage_anomaly", {"breakers": (kept_outside("slippage_anomaly"),)}, "seen by the daemon"),
    ("account", {"breakers": (kept_outside("account"),)}, "seen by the daemon"),
    ("clock", {"breakers": (kept_outside("clock"),)}, "seen by the daemon"),
    ("journal", {"breakers": (kept_outside("journal"),)}, "seen by the daemon"),
    ("reconciliation", {"breakers": (kept_outside("reconciliation"),)}, "seen by the daemon"),
    ("exit_refused", {"breakers": (kept_outside("exit_refused"),)}, "seen by the daemon"),
    ("entry_refused", {"breakers": (kept_outside("entry_refused"),)}, "seen by the daemon"),
    ("unknown_position", {"breakers": (kept_outside("unknown_position"),)}, "seen by the daemon"),
    ("no_money", {"breakers": (kept_outside("no_money"),)}, "seen by the daemon"),
]


@pytest.mark.parametrize(("name", "changes", "words"), CASES, ids=[case[0] for case in CASES])
def test_each_breaker_trips_and_says_why(market: Any, name: str, changes: dict[str, Any], words: str) -> None:
    assert not any(state.is_tripped for state in evaluated(market).values())
    state = evaluated(market, **changes)[name]
    assert state.is_tripped
    assert words in state.cause
    assert state.effect == breakers.rule_of(name).effect


def test_every_breaker_has_a_case_in_which_it_trips() -> None:
    assert {case[0] for case in CASES} == {rule.breaker for rule in RULES}


def test_at_its_limit_exactly_no_drawdown_breaker_trips(market: Any) -> None:
    exactly = evaluated(
        market, equity=Decimal("9000"), day_start_equity=Decimal("9000"), week_start_equity=Decimal("9000")
    )
    assert not exactly["drawdown_halve"].is_tripped


def test_a_breaker_of_the_daemons_own_is_carried_along_and_stops_entries(market: Any) -> None:
    states = evaluated(market, breakers=(kept_outside("reconciliation"),))
    assert states["reconciliation"].is_tripped
    assert [state.breaker for state in stops_entries(states.values())] == ["reconciliation"]


def test_a_halving_breaker_halves_the_size_and_stops_nothing(market: Any) -> None:
    states = evaluated(
        market, equity=Decimal("8900"), day_start_equity=Decimal("8900"), week_start_equity=Decimal("8900")
    )
    assert size_factor(states.values()) == Decimal("0.5")
    assert stops_entries(states.values()) == ()
    assert size_factor(evaluated(market).values()) == 1


def test_without_a_suggestion_there_is_no_confidence_to_be_too_low(market: Any) -> None:
    assert not evaluated(market, confidence=None)["low_confidence"].is_tripped


# --- what the daemon keeps ------------------------------------------------------------------------------------------


def seen(*names: str) -> tuple[BreakerState, ...]:
    return tuple(
        BreakerState(breaker=rule.breaker, is_tripped=rule.breaker in names, effect=rule.effect, cause="cause")
        for rule in RULES
    )


def changed(changes: tuple[breakers.BreakerChange, ...]) -> list[tuple[str, str]]:
    return [(change.breaker, change.change) for change in changes]


def test_a_trip_is_recorded_once_and_kept() -> None:
    kept, changes = advance((), seen("daily_loss"), MONDAY)
    assert changed(changes) == [("daily_loss", "trip")]
    kept, changes = advance(kept, seen("daily_loss"), MONDAY + timedelta(hours=1))
    assert changed(changes) == []
    assert [breaker.tripped_at for breaker in kept] == [MONDAY]


def test_a_breaker_resets_itself_when_its_cause_is_gone() -> None:
    kept, _ = advance((), seen("order_rate", "drawdown_halve", "model_absent"), MONDAY)
    assert [state.breaker for state in latched(kept, MONDAY)] == ["drawdown_halve"], "it lets go later than it trips"
    kept, changes = advance(kept, seen("drawdown_halve"), MONDAY + timedelta(minutes=5))
    assert changed(changes) == [("order_rate", "reset"), ("model_absent", "reset")]
    assert [breaker.state.breaker for breaker in kept] == ["drawdown_halve"]


def test_a_daily_loss_holds_until_the_next_day_also_when_it_is_made_good() -> None:
    kept, _ = advance((), seen("daily_loss"), MONDAY)
    evening = MONDAY.replace(hour=23, minute=55)
    kept, changes = advance(kept, seen(), evening)
    assert changes == ()
    assert [state.breaker for state in latched(kept, evening)] == ["daily_loss"]
    midnight = evening + timedelta(minutes=5)
    assert latched(kept, midnight) == ()
    kept, changes = advance(kept, seen(), midnight)
    assert (kept, changed(changes)) == ((), [("daily_loss", "reset")])


def test_a_weekly_loss_holds_until_sunday() -> None:
    kept, _ = advance((), seen("weekly_loss"), MONDAY)
    saturday, sunday = datetime(2024, 3, 9, 23, 59, tzinfo=UTC), datetime(2024, 3, 10, tzinfo=UTC)
    assert advance(kept, seen(), saturday)[1] == ()
    assert changed(advance(kept, seen(), sunday)[1]) == [("weekly_loss", "reset")]
    assert week_of(saturday) == datetime(2024, 3, 3, tzinfo=UTC)
    assert week_of(sunday) == sunday


@pytest.mark.parametrize("name", ["drawdown_stop", "halt", "slippage_anomaly", "account", "reconciliation"])
def test_only_a_person_resets_what_is_serious(name: str) -> None:
    kept, changes = trip((), name, "it was too much", MONDAY)
    assert changed(changes) == [(name, "trip")]
    assert trip(kept, name, "again", MONDAY) == (kept, ())
    later = MONDAY + timedelta(days=30)
    assert advance(kept, seen(), later) == (kept, ())
    assert [state.breaker for state in latched(kept, later)] == [name]
    kept, changes = reset(kept, name, "by the trader")
    assert (kept, changed(changes)) == ((), [(name, "reset")])
    assert reset((), name, "by the trader") == ((), ())


def test_what_concerns_one_decision_is_not_kept() -> None:
    assert advance((), seen("low_confidence", "data"), MONDAY) == ((), ())


def test_a_breaker_of_a_symbol_stops_that_symbol_alone_and_is_kept_and_reset_for_each() -> None:
    kept, changes = trip((), "exit_refused", "not closed", MONDAY, "EURUSD")
    assert [(change.breaker, change.symbol) for change in changes] == [("exit_refused", "EURUSD")]
    assert trip(kept, "exit_refused", "again", MONDAY, "EURUSD") == (kept, ())
    kept, _ = trip(kept, "exit_refused", "not closed either", MONDAY, "XAUUSD")
    assert [breaker.label for breaker in kept] == ["exit_refused:EURUSD", "exit_refused:XAUUSD"]
    assert [state.cause for state in latched(kept, MONDAY, "XAUUSD")] == ["not closed either"]
    assert latched(kept, MONDAY, "USDJPY") == latched(kept, MONDAY) == ()
    assert advance(kept, seen(), MONDAY + timedelta(days=9), "USDJPY") == (kept, ())
    assert advance(kept, seen("exit_refused"), MONDAY, "EURUSD") == (kept, ())
    left, changes = reset(kept, "exit_refused", "closed", "EURUSD")
    assert [breaker.symbol for breaker in left] == ["XAUUSD"]
    assert [change.symbol for change in changes] == ["EURUSD"]
    assert [change.symbol for change in reset(kept, "exit_refused", "by the trader")[1]] == ["EURUSD", "XAUUSD"]


def test_a_breaker_of_a_symbol_is_remembered_and_inherited_with_its_symbol() -> None:
    kept, (change,) = trip((), "exit_refused", "not closed", MONDAY, "EURUSD")
    assert breakers.remembered((), change, MONDAY) == kept
    other = msgspec.structs.replace(change, symbol="XAUUSD", change="reset")
    assert breakers.remembered(kept, other, MONDAY) == kept
    states = latched(kept, MONDAY, "EURUSD")
    assert breakers.inherited((), states, MONDAY, "EURUSD") == kept
    assert breakers.inherited(kept, states, MONDAY + timedelta(days=1), "EURUSD") == kept


def test_a_breaker_of_the_account_has_no_symbol() -> None:
    with pytest.raises(ValueError, match="halt is no symbol's"):
        trip((), "halt", "by command", MONDAY, "EURUSD")


def test_a_latched_stop_is_tripped_although_the_drawdown_is_made_good(market: Any) -> None:
    kept, _ = advance((), seen("drawdown_stop"), MONDAY)
    state = evaluated(market, breakers=latched(kept, MONDAY + timedelta(days=3)))["drawdown_stop"]
    assert (state.is_tripped, state.cause) == (True, "cause")


def test_a_halved_risk_is_whole_again_only_well_under_the_limit(market: Any) -> None:
    """Around the limit it would trip and let go at each bar otherwise."""
    kept: tuple[breakers.KeptBreaker, ...] = ()
    told, factors = [], []
    for drawdown in ("9.9", "10.1", "9.9", "10.1", "8.1", "7.9", "9.9"):
        equity = Decimal(10000) - 100 * Decimal(drawdown)
        states = evaluated(market, equity=equity, day_start_equity=equity, breakers=latched(kept, MONDAY))
        kept, changes = advance(kept, states.values(), MONDAY)
        told += [(drawdown, change.change) for change in changes if change.breaker == "drawdown_halve"]
        factors.append(size_factor(states.values()))
    assert told == [("10.1", "trip"), ("7.9", "reset")]
    half = Decimal("0.5")
    assert factors == [1, half, half, half, half, 1, 1]


def test_slippage_is_an_anomaly_only_over_several_fills() -> None:
    limits = msgspec.structs.replace(LIMITS, max_slippage_r=0.1)
    assert slippage_cause(limits, [0.5, 0.6]) == ""
    assert slippage_cause(limits, [0.05, 0.10, 0.14]) == ""
    assert "0.2 R, the limit is 0.1 R" in slippage_cause(limits, [0.2, 0.2, 0.2])


def test_a_limit_of_older_settings_counts_in_points_as_it_did() -> None:
    limits = msgspec.structs.replace(LIMITS, max_slippage_r=0.1, max_slippage_points=10.0)
    assert slippage_cause(limits, [9.0, 10.0, 11.0]) == ""
    assert "20 points, the limit is 10 points" in slippage_cause(limits, [20.0, 20.0, 20.0])


def test_no_money_for_one_symbol_is_tried_again_the_next_day() -> None:
    kept, _ = trip((), "no_money", "order refused with 10019", MONDAY, "XAUUSD")
    assert latched(kept, MONDAY, "EURUSD") == ()
    assert [state.breaker for state in latched(kept, MONDAY, "XAUUSD")] == ["no_money"]
    assert advance(kept, (), MONDAY + timedelta(days=1), "XAUUSD")[0] == ()
