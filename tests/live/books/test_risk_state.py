"""What the risk rules remember: marks that roll, deposits that are no profit, breakers that survive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.books.risk_state import RiskBook
from trading_assets.core.decisions.breakers import RULES, BreakerRule
from trading_assets.core.decisions.strategy import BreakerLimits
from trading_assets.core.records.trading import BreakerEvent, Deal, StrategyLoad

MONDAY = datetime(2024, 1, 8, 10, 0, tzinfo=UTC)
AMOUNTS = st.decimals(min_value=1, max_value=100_000, places=2)


def book(equity: str = "10000") -> RiskBook:
    made = RiskBook(BreakerLimits())
    made.observe_equity(MONDAY, Decimal(equity))
    return made


def fill(symbol: str, slippage_r: float) -> Deal:
    return Deal(
        tenant="t", account="a", event_at=MONDAY, known_at=MONDAY, chain_id="c", deal_ticket="1", order_ticket="1",
        position_id="1", trade_id="1", signal_id="1", magic="1", symbol=symbol, kind="BUY", entry="IN", reason="EXPERT",
        volume_lots=Decimal(1), price=1.1, profit=Decimal(0), commission=Decimal(0), swap=Decimal(0), fee=Decimal(0),
        slippage_points=None, comment="", server_msc=0, slippage_r=slippage_r,
    )  # fmt: skip


def test_the_high_water_mark_only_rises() -> None:
    risk = book()
    for hour, equity in enumerate(("11000", "9000", "10500"), start=1):
        risk.observe_equity(MONDAY + timedelta(hours=hour), Decimal(equity))
    assert risk.state(MONDAY + timedelta(hours=4), 0, 0).equity_high_water_mark == Decimal(11000)


def test_day_and_week_start_with_the_equity_known_last_before_them() -> None:
    risk = book()
    risk.observe_equity(MONDAY + timedelta(hours=3), Decimal(9000))
    risk.observe_equity(MONDAY + timedelta(days=1), Decimal(8000))
    tuesday = risk.state(MONDAY + timedelta(days=1), 0, 0)
    assert (tuesday.day_start_equity, tuesday.week_start_equity) == (Decimal(9000), Decimal(10000))
    sunday = risk.state(datetime(2024, 1, 14, 22, tzinfo=UTC), 0, 0)
    assert (sunday.day_start_equity, sunday.week_start_equity) == (Decimal(8000), Decimal(8000))


@given(AMOUNTS, AMOUNTS, st.sampled_from([1, -1]), AMOUNTS)
def test_a_deposit_or_withdrawal_is_neither_profit_nor_loss(
    equity: Decimal, amount: Decimal, sign: int, loss: Decimal
) -> None:
    # The week began above the day and the high water mark above both: each mark moves by itself.
    risk = book(str(equity + 2 * loss))
    tuesday = MONDAY + timedelta(days=1)
    risk.observe_equity(tuesday - timedelta(hours=1), equity + loss)
    risk.observe_equity(tuesday, equity)
    before = risk.state(tuesday, 0, 0)
    risk.observe_cash(sign * amount)
    risk.observe_equity(tuesday + timedelta(seconds=1), equity + sign * amount)
    after = risk.state(tuesday + timedelta(seconds=1), 0, 0)
    assert after.equity_high_water_mark - before.equity_high_water_mark == sign * amount
    assert after.day_start_equity - before.day_start_equity == sign * amount
    assert after.week_start_equity - before.week_start_equity == sign * amount


def test_the_first_deposit_is_part_of_the_first_equity() -> None:
    risk = RiskBook(BreakerLimits())
    risk.observe_cash(Decimal(10000))
    risk.observe_equity(MONDAY, Decimal(10000))
    assert risk.state(MONDAY, 0, 0).equity_high_water_mark == Decimal(10000)


def test_entry_orders_are_counted_over_the_last_hour() -> None:
    risk = book()
    for minutes in (0, 30, 59):
        risk.observe_entry(MONDAY + timedelta(minutes=minutes))
    assert risk.state(MONDAY + timedelta(minutes=59), 0, 0).orders_last_hour == 3
    assert risk.state(MONDAY + timedelta(minutes=61), 0, 0).orders_last_hour == 2


def test_slippage_that_stays_large_trips_and_a_person_resets_it_with_its_memory() -> None:
    risk = book()
    changes = [risk.observe_slippage(fill("EURUSD", 0.4), MONDAY) for _ in range(3)]
    assert [len(one) for one in changes] == [0, 0, 1]
    assert risk.is_tripped("slippage_anomaly")
    assert len(risk.reset("slippage_anomaly", "checked")) == 1
    assert not risk.observe_slippage(fill("EURUSD", 0.4), MONDAY)


def test_slippage_on_one_symbol_stops_that_symbol_and_counts_for_no_other() -> None:
    risk = book()
    for _ in range(3):
        risk.observe_slippage(fill("BTCUSD", 0.4), MONDAY)
    assert [state.breaker for state in risk.tripped_on("BTCUSD")] == ["slippage_anomaly"]
    assert risk.tripped_on("EURUSD") == ()
    assert not any(risk.observe_slippage(fill("EURUSD", 0.01), MONDAY) for _ in range(10))
    risk.reset("slippage_anomaly", "checked", "BTCUSD")
    assert set(risk.slippage) == {"EURUSD"}


def test_fills_of_older_journals_say_nothing_in_r_and_all_in_points() -> None:
    old = msgspec.structs.replace(fill("EURUSD", 0.0), slippage_r=None, slippage_points=40.0)
    assert not book().restore_slippage(old)
    in_points = RiskBook(BreakerLimits(max_slippage_points=30.0))
    assert [len(in_points.observe_slippage(old, MONDAY)) for _ in range(3)] == [0, 0, 1]


def test_a_drawdown_stop_that_a_person_resets_measures_anew() -> None:
    risk = book()
    risk.observe_equity(MONDAY, Decimal(7000))
    risk.trip("drawdown_stop", "30 %", MONDAY)
    risk.reset("drawdown_stop", "go on")
    assert risk.state(MONDAY, 0, 0).equity_high_water_mark == Decimal(7000)


def test_recorded_trips_and_resets_rebuild_what_is_tripped() -> None:
    risk = RiskBook(BreakerLimits())
    for breaker, change in (("halt", "trip"), ("daily_loss", "trip"), ("halt", "reset")):
        risk.restore_breaker(
            BreakerEvent(
                tenant="t",
                account="a",
                event_at=MONDAY,
                known_at=MONDAY,
                chain_id="c",
                breaker=breaker,
                change=change,
                effect="stop",
                cause="x",
            )
        )
    assert [state.breaker for state in risk.tripped] == ["daily_loss"]
    assert [state.breaker for state in risk.state(MONDAY, 0, 0).breakers] == ["daily_loss"]
    assert risk.state(MONDAY + timedelta(days=1), 0, 0).breakers == ()


def start_of(risk: RiskBook, at: datetime) -> StrategyLoad:
    """The record of a start that has this memory."""
    return StrategyLoad(
        tenant="t", account="a", event_at=at, known_at=at, chain_id="c", strategy_version="s", parameters="{}",
        risk=risk.marks(), equity=risk.equity, equity_at=risk.equity_at, symbol_breakers=risk.symbol_breakers(),
    )  # fmt: skip


def test_a_breaker_of_a_symbol_is_seen_by_that_symbol_alone_and_survives_a_restart() -> None:
    old = book()
    old.trip("exit_refused", "not closed", MONDAY, "EURUSD")
    new = RiskBook(BreakerLimits())
    new.restore_start(start_of(old, MONDAY + timedelta(days=30)))
    for risk in (old, new):
        assert [kept.label for kept in risk.kept] == ["exit_refused:EURUSD"]
        assert [state.breaker for state in risk.state(MONDAY, 0, 0, symbol="EURUSD").breakers] == ["exit_refused"]
        assert risk.state(MONDAY, 0, 0, symbol="XAUUSD").breakers == ()
        assert risk.tripped_on("XAUUSD") == ()
        assert risk.is_tripped("exit_refused", "EURUSD")
        assert not risk.is_tripped("exit_refused", "XAUUSD")
        assert risk.reset("exit_refused", "closed", "XAUUSD") == ()
        assert [change.symbol for change in risk.reset("exit_refused", "closed", "EURUSD")] == ["EURUSD"]


def test_what_tripped_before_everything_that_is_read_back_is_still_tripped() -> None:
    old = book("9000")
    old.observe_equity(MONDAY, Decimal(7000))
    old.trip("halt", "long ago", MONDAY)
    old.trip("drawdown_stop", "22 %", MONDAY)
    # Its events lie too far back: a start names them, or a decision does.
    by_start, by_decision = RiskBook(BreakerLimits()), RiskBook(BreakerLimits())
    by_start.restore_start(start_of(old, MONDAY + timedelta(days=30)))
    by_decision.restore(old.state(MONDAY, 0, 0), Decimal(7000), MONDAY)
    for risk in (by_start, by_decision):
        assert [state.breaker for state in risk.tripped] == ["halt", "drawdown_stop"]
        assert risk.state(MONDAY, 0, 0).equity_high_water_mark == Decimal(9000)
        risk.restore_breaker(event("halt", "reset"))
        assert not risk.is_tripped("halt")


def test_an_older_start_does_not_bring_back_what_was_reset_since() -> None:
    halted = book()
    halted.trip("halt", "x", MONDAY)
    start = start_of(halted, MONDAY)
    later = book()
    later.observe_equity(MONDAY + timedelta(hours=1), Decimal(12000))
    later.restore_start(start)
    assert not later.is_tripped("halt")
    assert later.state(MONDAY + timedelta(hours=1), 0, 0).equity_high_water_mark == Decimal(12000)


def test_a_start_before_any_equity_was_known_names_its_breakers_all_the_same() -> None:
    fresh = RiskBook(BreakerLimits())
    fresh.trip("halt", "before the first terminal", MONDAY)
    risk = RiskBook(BreakerLimits())
    risk.restore_start(start_of(fresh, MONDAY))
    assert risk.is_tripped("halt")
    risk.observe_equity(MONDAY, Decimal(500))
    assert risk.state(MONDAY, 0, 0).equity_high_water_mark == Decimal(500)


def event(breaker: str, change: str) -> BreakerEvent:
    return BreakerEvent(
        tenant="t", account="a", event_at=MONDAY, known_at=MONDAY, chain_id="c", breaker=breaker, change=change,  # type: ignore[arg-type]
        effect="stop", cause="x",
    )  # fmt: skip


RESETS = {
    "cause": lambda risk: risk.learn((), MONDAY + timedelta(minutes=5)),
    "day": lambda risk: risk.learn((), MONDAY + timedelta(days=1)),
    "week": lambda risk: risk.learn((), MONDAY + timedelta(days=7)),
    "person": lambda risk: risk.reset("", ""),
    "daemon": lambda risk: risk.learn((), MONDAY + timedelta(days=7)),
}


@pytest.mark.parametrize("rule", [one for one in RULES if one.scope == "account"], ids=lambda one: one.breaker)
def test_each_breaker_lets_go_as_its_class_says_and_a_person_can_reset_any(rule: BreakerRule) -> None:
    risk = book()
    risk.trip(rule.breaker, "x", MONDAY)
    early = risk.learn((), MONDAY + timedelta(minutes=5))
    assert bool(early) == (rule.reset_by == "cause")
    changes = early or RESETS[rule.reset_by](risk)
    assert bool(changes) == (rule.reset_by in ("cause", "day", "week"))
    if not changes:
        assert [change.change for change in risk.reset(rule.breaker, "by a person")] == ["reset"]
    assert not risk.is_tripped(rule.breaker)
