"""Labels, against an independent implementation that walks one candidate at a time in plain Python."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.columns.learning import labels as labels_table
from trading_assets.core.decisions.strategy import DEFAULT_STRATEGIES
from trading_assets.core.decisions.weekend import minutes_to_weekend
from trading_assets.core.errors import InputError
from trading_assets.core.records.decisions import SymbolState
from trading_assets.core.trades.label_definition import LabelCosts, LabelDefinition, SymbolCosts, costs_of
from trading_assets.core.trades.labels import DEFINITION, _is_near_weekend, label_candidates

START = datetime(2024, 3, 4, tzinfo=UTC)
NO_COSTS = LabelCosts()
MOMENT = pl.Datetime("us", "UTC")


def bar(
    minute: int, bid: tuple[float, float, float, float], spread: float = 0.0, symbol: str = "EURUSD"
) -> dict[str, Any]:
    """One M1 bar from open, high, low, close of the bid and a constant spread."""
    opened = START + timedelta(minutes=minute)
    prices = dict(zip(("open", "high", "low", "close"), bid, strict=True))
    asks = {f"ask_{name}": price + spread for name, price in prices.items()}
    return {
        "symbol": symbol,
        "timeframe": "M1",
        "open_at": opened,
        "close_at": opened + timedelta(minutes=1),
        **prices,
        **asks,
    }


def idea(
    kind: str,
    entry: float,
    stop: float,
    target: float,
    *,
    timeout_bars: int = 1,
    minute: int = 0,
    signal: str = "S",
    timeframe: str = "M5",
) -> dict[str, Any]:
    """One candidate decided at the close of the bar that ends at `minute`."""
    at = START + timedelta(minutes=minute)
    return {
        "tenant": "t",
        "account": "a",
        "date": at.date(),
        "idea_id": f"{signal}-{kind}-{stop}-{target}-{timeout_bars}",
        "signal_id": signal,
        "symbol": "EURUSD",
        "timeframe": timeframe,
        "bar_close_at": at,
        "decided_at": at,
        "kind": kind,
        "exit_profile": "tight",
        "entry_price": entry,
        "stop_price": stop,
        "target_price": target,
        "timeout_bars": timeout_bars,
        "risk_unit": abs(entry - stop),
    }


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows as a frame with the lake's time type."""
    made = pl.DataFrame(rows, infer_schema_length=None)
    return made.with_columns(pl.col(name).cast(MOMENT) for name in made.columns if name.endswith("_at"))


def label(candidate: dict[str, Any], bars: list[dict[str, Any]], costs: LabelCosts = NO_COSTS) -> dict[str, Any]:
    """The one label of one candidate."""
    rows = label_candidates(frame([candidate]), frame(bars), costs)
    assert len(rows) == 1
    return rows.row(0, named=True)


FLAT = [bar(minute, (1.1, 1.1, 1.1, 1.1)) for minute in range(60)]


def with_bar(minute: int, prices: tuple[float, float, float, float], spread: float = 0.0) -> list[dict[str, Any]]:
    """Flat bars with another one in its place."""
    return [bar(number, prices, spread) if number == minute else plain for number, plain in enumerate(FLAT)]


def test_a_long_that_reaches_its_target_makes_its_reward() -> None:
    found = label(idea("LONG", 1.1, 1.09, 1.12), with_bar(2, (1.1, 1.125, 1.1, 1.12)))
    assert (found["barrier"], found["exit_price"]) == ("target", 1.12)
    assert found["result_r"] == pytest.approx(2.0)
    assert (found["is_win"], found["profit_tier"], found["bars_held"]) == (True, "large_gain", 3)
    assert found["label_end_at"] == START + timedelta(minutes=3)
    assert found["time_to_mfe_s"] == 180.0
    assert found["mfe_r"] == pytest.approx(2.0)


def test_a_short_is_closed_by_the_ask() -> None:
    spread = 0.002
    touched = with_bar(2, (1.1, 1.1085, 1.1, 1.1), spread)
    found = label(idea("SHORT", 1.1, 1.11, 1.08), touched)
    assert (found["barrier"], found["exit_price"]) == ("stop", 1.11)
    assert found["result_r"] == pytest.approx(-1.0)
    missed = label(idea("SHORT", 1.1, 1.13, 1.0995), with_bar(2, (1.1, 1.1, 1.0985, 1.1), spread))
    assert missed["barrier"] == "timeout"


def test_a_long_ignores_the_ask() -> None:
    found = label(idea("LONG", 1.1, 1.09, 1.12), with_bar(2, (1.1, 1.119, 1.1, 1.1), spread=0.01))
    assert found["barrier"] == "timeout"


def test_a_gap_through_the_stop_fills_at_the_open() -> None:
    found = label(idea("LONG", 1.1, 1.09, 1.12), with_bar(1, (1.07, 1.08, 1.06, 1.08)))
    assert (found["barrier"], found["exit_price"]) == ("stop", 1.07)
    assert found["result_r"] == pytest.approx(-3.0)
    assert found["profit_tier"] == "full_loss"


def test_a_gap_through_the_target_makes_no_more_than_the_target() -> None:
    found = label(idea("LONG", 1.1, 1.09, 1.12), with_bar(1, (1.15, 1.16, 1.05, 1.15)))
    assert (found["barrier"], found["exit_price"]) == ("target", 1.12)


def test_stop_and_target_in_one_bar_count_as_the_stop() -> None:
    found = label(idea("LONG", 1.1, 1.09, 1.12), with_bar(1, (1.1, 1.13, 1.08, 1.1)))
    assert (found["barrier"], found["result_r"]) == ("stop", pytest.approx(-1.0))
    assert found["mfe_r"] == 0.0


def test_a_timeout_leaves_at_the_last_close_before_it() -> None:
    found = label(idea("LONG", 1.1, 1.09, 1.12), with_bar(4, (1.1, 1.106, 1.1, 1.105)))
    assert (found["barrier"], found["exit_price"]) == ("timeout", 1.105)
    assert found["label_end_at"] == START + timedelta(minutes=5)


def test_bars_that_do_not_exist_do_not_count_toward_the_timeout() -> None:
    before = FLAT[:30]
    after = [bar(600 + minute, (1.104, 1.104, 1.104, 1.104)) for minute in range(30)]
    found = label(idea("LONG", 1.1, 1.09, 1.12, timeout_bars=8), before + after)
    assert (found["barrier"], found["exit_price"], found["bars_held"]) == ("timeout", 1.104, 40)
    assert found["label_end_at"] == START + timedelta(minutes=610)


def test_a_gap_over_a_closed_market_beyond_the_stop_is_a_stop_at_the_open() -> None:
    after = [bar(48 * 60 + minute, (1.05, 1.05, 1.05, 1.05)) for minute in range(200)]
    found = label(idea("LONG", 1.1, 1.09, 1.12, timeout_bars=30), FLAT[:30] + after)
    assert (found["barrier"], found["exit_price"]) == ("stop", 1.05)
    assert (found["mae_r"], found["time_to_mae_s"]) == (pytest.approx(-5.0), (48 * 60 + 1) * 60.0)


FRIDAY = 4 * 1440 + 20 * 60
"""Minute of Friday 20:00 UTC, counted from START."""


def test_before_the_weekend_every_position_is_closed_as_the_strategy_does() -> None:
    bars = [bar(FRIDAY + minute, (1.1, 1.1, 1.1, 1.1 + minute / 1e5)) for minute in range(55)]
    found = label(idea("LONG", 1.1, 1.09, 1.12, timeout_bars=96, minute=FRIDAY), bars)
    assert (found["barrier"], found["label_end_at"]) == ("weekend", START + timedelta(minutes=FRIDAY + 40))
    assert found["exit_price"] == pytest.approx(1.10039)
    early = label(idea("LONG", 1.1, 1.09, 1.12, timeout_bars=2, minute=FRIDAY), bars)
    assert (early["barrier"], early["label_end_at"]) == ("timeout", START + timedelta(minutes=FRIDAY + 10))


def test_a_symbol_whose_week_ends_earlier_is_closed_earlier() -> None:
    bars = [bar(FRIDAY + minute, (1.1, 1.1, 1.1, 1.1)) for minute in range(55)]
    asked = idea("LONG", 1.1, 1.09, 1.12, timeout_bars=96, minute=FRIDAY)
    early = asked | {"week_ends_at": START + timedelta(minutes=FRIDAY + 50)}
    late = asked | {"week_ends_at": START + timedelta(minutes=FRIDAY + 120)}
    found = [label(one, bars) for one in (early, late)]
    assert [one["label_end_at"] - START for one in found] == [timedelta(minutes=FRIDAY + end) for end in (30, 40)]
    assert {one["barrier"] for one in found} == {"weekend"}


def test_the_weekend_of_a_label_is_that_of_the_strategies() -> None:
    for strategy in DEFAULT_STRATEGIES.values():
        assert strategy.filters.weekend_close_minute == DEFINITION.weekend_close_minute
        assert strategy.filters.weekend_exit_minutes == DEFINITION.weekend_exit_minutes
        minutes = np.arange(0, 14 * 1440, 5)
        asked = [
            minutes_to_weekend(strategy.filters, START + timedelta(minutes=int(minute)))
            <= strategy.filters.weekend_exit_minutes
            for minute in minutes
        ]
        at_ms = int(START.timestamp()) * 1000 + minutes * 60_000
        assert _is_near_weekend(at_ms, DEFINITION).tolist() == asked


def test_swap_is_booked_at_each_server_midnight_and_thrice_on_wednesdays() -> None:
    costs = LabelCosts(symbols={"EURUSD": SymbolCosts(swap_long=-0.0001, swap_short=0.0002)}, clock="+2")
    evening = 21 * 60 + 30
    bars = [bar(minute, (1.1, 1.1, 1.1, 1.1)) for minute in range(evening, 4 * 1440)]
    short_of = label(idea("LONG", 1.1, 1.09, 1.12, timeout_bars=6, minute=evening), bars, costs)
    over = label(idea("LONG", 1.1, 1.09, 1.12, timeout_bars=7, minute=evening), bars, costs)
    assert (short_of["swap_r"], over["swap_r"]) == (0.0, pytest.approx(-0.01))
    assert over["result_r"] == pytest.approx(-0.01)
    # Monday evening to Thursday evening: Monday's, Tuesday's and Wednesday's midnight, the last one for three nights.
    long_held = label(idea("SHORT", 1.1, 1.11, 1.08, timeout_bars=3 * 288, minute=evening), bars, costs)
    assert long_held["swap_r"] == pytest.approx(5 * 0.02)
    at_midnight = label(idea("LONG", 1.1, 1.09, 1.12, timeout_bars=6, minute=22 * 60), bars, costs)
    assert at_midnight["swap_r"] == pytest.approx(-0.01)


def test_costs_lower_the_result_and_slippage_spares_the_target() -> None:
    costs = LabelCosts(symbols={"EURUSD": SymbolCosts(commission=0.001, slippage=0.0005)})
    target = label(idea("LONG", 1.1, 1.09, 1.12), with_bar(2, (1.1, 1.125, 1.1, 1.12)), costs)
    stop = label(idea("LONG", 1.1, 1.09, 1.12), with_bar(2, (1.1, 1.1, 1.085, 1.1)), costs)
    assert target["cost_r"] == pytest.approx(0.1)
    assert stop["cost_r"] == pytest.approx(0.15)
    assert stop["result_r"] == pytest.approx(-1.15)
    assert stop["gross_r"] == pytest.approx(-1.0)


def test_commission_per_lot_becomes_a_price_distance() -> None:
    state = SymbolState(
        symbol="EURUSD",
        digits=5,
        point=0.00001,
        tick_size=0.00001,
        tick_value=Decimal("1.0"),
        contract_size=Decimal(100_000),
        volume_min=Decimal("0.01"),
        volume_max=Decimal(100),
        volume_step=Decimal("0.01"),
        stops_level=0,
        commission_per_lot=Decimal("3.5"),
        swap_long=-4.0,
        swap_short=1.5,
    )
    costs = costs_of([state], LabelDefinition(slippage_points=2.0), "eu").of("EURUSD")
    assert (costs.commission, costs.slippage) == (pytest.approx(0.00007), pytest.approx(0.00002))
    assert (costs.swap_long, costs.swap_short) == (pytest.approx(-0.00004), pytest.approx(0.000015))


def test_a_definition_and_costs_are_named_by_all_they_hold() -> None:
    names = {
        LabelDefinition().version, LabelDefinition(full_loss_r=-0.8).version, LabelDefinition(nights=(1,) * 7).version,
        LabelDefinition(slippage_points=1.0).version, LabelDefinition(weekend_exit_minutes=30).version,
    }  # fmt: skip
    assert len(names) == 5
    assert LabelDefinition().version == LabelDefinition().version == DEFINITION.version
    free, dear = LabelCosts(), LabelCosts(symbols={"EURUSD": SymbolCosts(commission=0.001)})
    assert len({free.version, dear.version, LabelCosts(clock="eu").version}) == 3
    made = label(idea("LONG", 1.1, 1.09, 1.12), FLAT, dear)
    assert (made["labels_version"], made["costs_version"]) == (DEFINITION.version, dear.version)


def quotes_of(bars: list[dict[str, Any]], order: tuple[str, ...] = ("open", "low", "high", "close")) -> pl.DataFrame:
    """Four quotes for each bar, in the order given."""
    return frame(
        [
            {
                "symbol": row["symbol"],
                "event_at": row["open_at"] + timedelta(seconds=15 * number),
                "bid": row[name],
                "ask": row[f"ask_{name}"],
            }
            for row in bars
            for number, name in enumerate(order)
        ]
    )


def with_quotes(candidate: dict[str, Any], bars: list[dict[str, Any]], quotes: pl.DataFrame) -> dict[str, Any]:
    """The label of a candidate whose quotes are known."""
    return label_candidates(frame([candidate]), frame(bars), NO_COSTS, DEFINITION, quotes).row(0, named=True)


def test_quotes_say_which_barrier_of_a_bar_came_first_and_when() -> None:
    bars = with_bar(1, (1.1, 1.13, 1.08, 1.1))
    long = idea("LONG", 1.1, 1.09, 1.12)
    low_first = with_quotes(long, bars, quotes_of(bars))
    high_first = with_quotes(long, bars, quotes_of(bars, ("open", "high", "low", "close")))
    assert (low_first["barrier"], high_first["barrier"]) == ("stop", "target")
    assert high_first["label_end_at"] == START + timedelta(seconds=75)
    assert (high_first["mfe_r"], high_first["mae_r"], high_first["time_to_mfe_s"]) == (pytest.approx(2.0), 0.0, 75.0)


def test_a_stop_fills_at_the_first_quote_through_it_and_a_target_at_its_price() -> None:
    stopped = with_bar(1, (1.1, 1.1, 1.085, 1.1))
    reached = with_bar(1, (1.1, 1.125, 1.1, 1.1))
    long = idea("LONG", 1.1, 1.09, 1.12)
    assert with_quotes(long, stopped, quotes_of(stopped))["exit_price"] == 1.085
    assert with_quotes(long, reached, quotes_of(reached))["exit_price"] == 1.12


def test_a_bar_that_knows_more_than_its_quotes_is_read_by_the_rule() -> None:
    bars = with_bar(1, (1.1, 1.1, 1.08, 1.1))
    long = idea("LONG", 1.1, 1.09, 1.12)
    partly = quotes_of(bars).filter(pl.col("bid") > 1.09)
    assert with_quotes(long, bars, partly)["exit_price"] == 1.09
    assert with_quotes(long, bars, partly.clear())["exit_price"] == 1.09


def test_a_cohort_is_labelled_only_when_its_last_timeout_has_passed() -> None:
    quick = idea("LONG", 1.1, 1.09, 1.12, timeout_bars=1)
    patient = idea("SHORT", 1.1, 1.11, 1.08, timeout_bars=8)
    bars = with_bar(2, (1.1, 1.125, 1.1, 1.1))
    assert label_candidates(frame([quick, patient]), frame(bars[:39]), NO_COSTS).is_empty()
    assert len(label_candidates(frame([quick, patient]), frame(bars[:40]), NO_COSTS)) == 2


def test_regret_and_rank_compare_with_the_cohort() -> None:
    cohort = [idea("LONG", 1.1, 1.09, 1.12), idea("SHORT", 1.1, 1.11, 1.08), idea("LONG", 1.1, 1.09, 1.11)]
    found = label_candidates(frame(cohort), frame(with_bar(2, (1.1, 1.125, 1.1, 1.12))), NO_COSTS).sort("cohort_rank")
    assert found["result_r"].to_list() == pytest.approx([2.0, 1.0, -1.0])
    assert found["cohort_rank"].to_list() == [1, 2, 3]
    assert found["regret_best_r"].to_list() == pytest.approx([0.0, 1.0, 3.0])
    assert found["regret_median_r"].to_list() == pytest.approx([-1.0, 0.0, 2.0])


def test_candidates_without_prices_and_holds_have_no_label() -> None:
    hold = idea("LONG", 1.1, 1.09, 1.12) | {"kind": "HOLD"}
    unpriced = idea("LONG", 1.1, 1.09, 1.13) | {"stop_price": None}
    assert label_candidates(frame([hold, unpriced]), frame(FLAT), NO_COSTS).is_empty()


def test_without_bars_nothing_is_labelled_and_the_columns_are_there() -> None:
    found = label_candidates(frame([idea("LONG", 1.1, 1.09, 1.12)]), frame(FLAT).clear(), NO_COSTS)
    assert found.is_empty()
    assert set(labels_table.names) <= set(found.columns)


def test_labels_have_exactly_the_columns_and_types_of_the_table() -> None:
    found = label_candidates(frame([idea("LONG", 1.1, 1.09, 1.12)]), frame(FLAT), NO_COSTS)
    assert dict(found.select(labels_table.names).schema) == dict(labels_table.schema)
    assert set(found.columns) == set(labels_table.names)


def test_bars_longer_than_the_decisions_own_are_refused() -> None:
    with pytest.raises(InputError, match="not longer than"):
        label_candidates(
            frame([idea("LONG", 1.1, 1.09, 1.12, timeframe="M1")]),
            frame(FLAT).with_columns(timeframe=pl.lit("H1")),
            NO_COSTS,
        )


# --- against a slow implementation -----------------------------------------------------------------------------


def deadline_of(candidate: dict[str, Any], bars: list[dict[str, Any]]) -> tuple[datetime, str] | None:
    """Close of the timeout's M5 bar, or of the last one before the weekend; None when it is not there yet."""
    five, held = timedelta(minutes=5), 0
    slots = sorted({row["open_at"] - (row["open_at"] - START) % five for row in bars})
    for slot in slots:
        close = slot + five
        if slot < candidate["bar_close_at"]:
            continue
        held += 1
        hour = close.hour + close.minute / 60
        if (close.weekday(), hour) >= (4, 20 + 2 / 3) and (close.weekday(), hour) < (6, 21):
            return close, "weekend"
        if held == candidate["timeout_bars"]:
            return close, "timeout"
    return None


def slow_label(
    candidate: dict[str, Any], bars: list[dict[str, Any]], quotes: list[tuple[datetime, float, float]]
) -> dict[str, Any]:
    """Walk one candidate through the bars as a person would, by the rules of the module's docstring."""
    is_long = candidate["kind"] == "LONG"
    side = "" if is_long else "ask_"
    entry, stop, target, risk = (candidate[name] for name in ("entry_price", "stop_price", "target_price", "risk_unit"))
    begin = candidate["bar_close_at"]
    due = deadline_of(candidate, bars)
    assert due is not None
    deadline, why = due

    def gain(price: float) -> float:
        return (price - entry) / risk if is_long else (entry - price) / risk

    made = {
        "barrier": why, "exit_price": None, "label_end_at": deadline, "gross_r": 0.0, "mae_r": 0.0, "mfe_r": 0.0,
        "time_to_mae_s": 0.0, "time_to_mfe_s": 0.0, "time_in_drawdown_s": 0.0, "path_area_r": 0.0, "bars_held": 0,
    }  # fmt: skip

    def see(up: float, down: float, at: datetime) -> None:
        if up > made["mfe_r"]:
            made.update(mfe_r=up, time_to_mfe_s=(at - begin).total_seconds())
        if down < made["mae_r"]:
            made.update(mae_r=down, time_to_mae_s=(at - begin).total_seconds())

    def leave(price: float, until: datetime, row: dict[str, Any]) -> None:
        length = (until - row["open_at"]).total_seconds()
        made.update(exit_price=price, gross_r=gain(price), bars_held=made["bars_held"] + 1)
        made["time_in_drawdown_s"] += length if gain(price) < 0 else 0.0
        made["path_area_r"] += gain(price) * length / 3600

    before = [row[f"{side}close"] for row in bars if row["open_at"] < begin]
    if before:
        see(gain(before[-1]), gain(before[-1]), begin)

    for row in bars:
        if row["open_at"] < begin or row["open_at"] >= deadline:
            continue
        ticks = [one for one in quotes if row["open_at"] <= one[0] < row["close_at"]]
        opened = row[f"{side}open"]
        favourable = row[f"{side}high"] if is_long else row[f"{side}low"]
        adverse = row[f"{side}low"] if is_long else row[f"{side}high"]
        if ticks and (gain(adverse) <= gain(stop) or gain(favourable) >= gain(target)):
            for at, bid, ask in ticks:
                price = bid if is_long else ask
                if gain(price) >= gain(target):
                    price = target
                see(gain(price), gain(price), at)
                if gain(price) <= gain(stop) or price == target:
                    made.update(barrier="target" if price == target else "stop", label_end_at=at)
                    leave(price, at, row)
                    return made
        barrier, price = "", row[f"{side}close"]
        up, down = gain(favourable), gain(adverse)
        if gain(opened) >= gain(target):
            barrier, price, up, down = "target", target, gain(target), gain(target)
        elif gain(adverse) <= gain(stop):
            price = opened if gain(opened) < gain(stop) else stop
            barrier, up, down = "stop", gain(opened), gain(price)
        elif gain(favourable) >= gain(target):
            barrier, price, up = "target", target, gain(target)
        see(up, down, row["close_at"])
        leave(price, row["close_at"], row)
        if barrier:
            made.update(barrier=barrier, label_end_at=row["close_at"])
            return made
    return made


# Prices are multiples of 1/1024, so that both implementations compute without rounding and ties are real.
TICK = 1 / 1024


@st.composite
def markets(draw: st.DrawFn) -> list[dict[str, Any]]:
    """M1 bars with gaps in price and in time."""
    price, minute, bars = 1024, draw(st.sampled_from([0, FRIDAY, FRIDAY - 1440])), []
    for _ in range(draw(st.integers(80, 140))):
        minute += draw(st.sampled_from([1] * 10 + [2, 7, 61, 200]))
        opened = price + draw(st.sampled_from([0, 0, 0, 1, -1, 9, -9, 20]))
        close = opened + draw(st.integers(-4, 4))
        high = max(opened, close) + draw(st.sampled_from([0, 1, 3, 24]))
        low = min(opened, close) - draw(st.sampled_from([0, 1, 3, 24]))
        spread = draw(st.integers(0, 3)) * TICK
        bars.append(bar(minute, (opened * TICK, high * TICK, low * TICK, close * TICK), spread))
        price = close
    return bars


@st.composite
def ideas(draw: st.DrawFn, bars: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Candidates decided somewhere in the first part of the market."""
    found = []
    for number in range(draw(st.integers(1, 6))):
        begin = int((bars[0]["open_at"] - START) / timedelta(minutes=5))
        minute = (begin + draw(st.integers(0, 60))) * 5
        seen = [row for row in bars if row["close_at"] <= START + timedelta(minutes=minute)] or bars[:1]
        is_long = draw(st.booleans())
        entry = seen[-1]["ask_close"] if is_long else seen[-1]["close"]
        sign = 1 if is_long else -1
        # A risk of a power of two keeps every multiple of it exact.
        risk = draw(st.sampled_from([4, 8, 16])) * TICK
        found.append(
            idea(
                "LONG" if is_long else "SHORT",
                entry,
                entry - sign * risk,
                entry + sign * draw(st.integers(2, 24)) * TICK,
                timeout_bars=draw(st.integers(1, 12)),
                minute=minute,
                signal=f"S{number}",
            )
        )
    return found


@settings(max_examples=120, deadline=None)
@given(st.data(), st.booleans())
def test_labels_equal_those_of_the_slow_implementation(data: st.DataObject, has_quotes: bool) -> None:
    bars = data.draw(markets())
    candidates = data.draw(ideas(bars))
    until = bars[-1]["close_at"]
    deadlines = [deadline_of(candidate, bars) for candidate in candidates]
    due = [
        candidate
        for candidate, found in zip(candidates, deadlines, strict=True)
        if found is not None and found[0] <= until
    ]
    # Of some bars no quote is known, of others not all.
    quotes = quotes_of(bars).filter(
        pl.Series(data.draw(st.lists(st.booleans(), min_size=4 * len(bars), max_size=4 * len(bars))))
    )
    quotes = quotes if has_quotes else quotes.clear()
    told = quotes.select("event_at", "bid", "ask").rows()
    found = label_candidates(frame(candidates), frame(bars), NO_COSTS, DEFINITION, quotes)
    assert sorted(found["signal_id"]) == sorted(candidate["signal_id"] for candidate in due)
    by_signal = {row["signal_id"]: row for row in found.iter_rows(named=True)}
    for candidate in due:
        for name, expected in slow_label(candidate, bars, told).items():
            observed = by_signal[candidate["signal_id"]][name]
            if isinstance(expected, float):
                assert math.isclose(observed, expected, rel_tol=1e-12, abs_tol=1e-12), (name, observed, expected)
            else:
                assert observed == expected, name


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_bars_after_the_last_timeout_change_no_label(data: st.DataObject) -> None:
    bars = data.draw(markets())
    candidates = data.draw(ideas(bars))
    now = label_candidates(frame(candidates), frame(bars), NO_COSTS)
    last = int((bars[-1]["open_at"] - START) / timedelta(minutes=1))
    later = [bar(last + step, (0.5, 2.0, 0.25, 1.0)) for step in range(1, 300)]
    then = label_candidates(frame(candidates), frame(bars + later), NO_COSTS)
    assert then.filter(pl.col("idea_id").is_in(now["idea_id"].to_list())).sort("idea_id").equals(now.sort("idea_id"))
