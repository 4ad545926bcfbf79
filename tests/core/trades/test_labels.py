"""Labels, against an independent implementation that walks one candidate at a time in plain Python."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.columns.learning import labels as labels_table
from trading_assets.core.errors import InputError
from trading_assets.core.records.decisions import SymbolState
from trading_assets.core.trades.labels import LabelCosts, costs_of, label_candidates

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


def test_a_timeout_in_a_silent_market_leaves_at_the_next_open() -> None:
    before = FLAT[:30]
    after = [bar(48 * 60 + minute, (1.104, 1.104, 1.104, 1.104)) for minute in range(10)]
    found = label(idea("LONG", 1.1, 1.09, 1.12, timeout_bars=30), before + after)
    assert (found["barrier"], found["exit_price"]) == ("timeout", 1.104)
    assert found["label_end_at"] == START + timedelta(hours=48)


def test_a_weekend_gap_beyond_the_stop_is_a_stop_at_the_open() -> None:
    after = [bar(48 * 60 + minute, (1.05, 1.05, 1.05, 1.05)) for minute in range(10)]
    found = label(idea("LONG", 1.1, 1.09, 1.12, timeout_bars=30), FLAT[:30] + after)
    assert (found["barrier"], found["exit_price"]) == ("stop", 1.05)
    assert found["mae_r"] == pytest.approx(-5.0)


def test_costs_lower_the_result_and_slippage_spares_the_target() -> None:
    costs = LabelCosts({"EURUSD": 0.001}, {"EURUSD": 0.0005})
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
    )
    costs = costs_of([state], slippage_points=2.0)
    assert costs.commission_price["EURUSD"] == pytest.approx(0.00007)
    assert costs.slippage_price["EURUSD"] == pytest.approx(0.00002)


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


def slow_label(candidate: dict[str, Any], bars: list[dict[str, Any]]) -> dict[str, Any]:
    """Walk one candidate through the bars as a person would, by the rules of the module's docstring."""
    is_long = candidate["kind"] == "LONG"
    side = "" if is_long else "ask_"
    entry, stop, target, risk = (candidate[name] for name in ("entry_price", "stop_price", "target_price", "risk_unit"))
    begin = candidate["bar_close_at"]
    deadline = begin + candidate["timeout_bars"] * timedelta(minutes=5)

    def gain(price: float) -> float:
        return (price - entry) / risk if is_long else (entry - price) / risk

    best, worst, best_at, drawdown, area, held = 0.0, 0.0, begin, 0.0, 0.0, 0
    last_close, last_seen = None, None
    for row in bars:
        if row["open_at"] < begin:
            continue
        opened = row[f"{side}open"]
        favourable = row[f"{side}high"] if is_long else row[f"{side}low"]
        adverse = row[f"{side}low"] if is_long else row[f"{side}high"]
        if row["open_at"] >= deadline:
            if last_close is not None and deadline - last_seen < timedelta(hours=1):
                return result(
                    "timeout",
                    last_close,
                    last_seen,
                    gain(last_close),
                    worst,
                    best,
                    best_at - begin,
                    drawdown,
                    area,
                    held,
                )
            price, barrier = opened, "timeout"
            if gain(opened) <= gain(stop):
                barrier = "stop"
            elif gain(opened) >= gain(target):
                price, barrier = target, "target"
            if gain(price) > best:
                best, best_at = gain(price), row["open_at"]
            return result(
                barrier,
                price,
                row["open_at"],
                gain(price),
                min(worst, gain(price)),
                best,
                best_at - begin,
                drawdown,
                area,
                held,
            )
        held += 1
        barrier, price = "", row[f"{side}close"]
        up, down = gain(favourable), gain(adverse)
        if gain(opened) >= gain(target):
            barrier, price, up, down = "target", target, gain(target), gain(target)
        elif gain(adverse) <= gain(stop):
            price = opened if gain(opened) < gain(stop) else stop
            barrier, up, down = "stop", gain(opened), gain(price)
        elif gain(favourable) >= gain(target):
            barrier, price, up = "target", target, gain(target)
        if up > best:
            best, best_at = up, row["close_at"]
        worst = min(worst, down)
        drawdown += 60.0 if gain(price) < 0 else 0.0
        area += gain(price) / 60.0
        if barrier:
            return result(
                barrier, price, row["close_at"], gain(price), worst, best, best_at - begin, drawdown, area, held
            )
        last_close, last_seen = price, row["close_at"]
    return result(
        "timeout", last_close, last_seen, gain(last_close), worst, best, best_at - begin, drawdown, area, held
    )


def result(
    barrier: str,
    price: float | None,
    end: datetime | None,
    gross: float,
    worst: float,
    best: float,
    best_after: timedelta,
    drawdown: float,
    area: float,
    held: int,
) -> dict[str, Any]:
    """The columns both implementations give."""
    return {
        "barrier": barrier,
        "exit_price": price,
        "label_end_at": end,
        "gross_r": gross,
        "mae_r": worst,
        "mfe_r": best,
        "time_to_mfe_s": best_after.total_seconds(),
        "time_in_drawdown_s": drawdown,
        "path_area_r": area,
        "bars_held": held,
    }


# Prices are multiples of 1/1024, so that both implementations compute without rounding and ties are real.
TICK = 1 / 1024


@st.composite
def markets(draw: st.DrawFn) -> list[dict[str, Any]]:
    """M1 bars with gaps in price and in time."""
    price, minute, bars = 1024, 0, []
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
        minute = draw(st.integers(0, 60)) * 5
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
@given(st.data())
def test_labels_equal_those_of_the_slow_implementation(data: st.DataObject) -> None:
    bars = data.draw(markets())
    candidates = data.draw(ideas(bars))
    until = bars[-1]["close_at"]
    due = [
        candidate
        for candidate in candidates
        if candidate["bar_close_at"] + candidate["timeout_bars"] * timedelta(minutes=5) <= until
    ]
    found = label_candidates(frame(candidates), frame(bars), NO_COSTS)
    assert sorted(found["signal_id"]) == sorted(candidate["signal_id"] for candidate in due)
    by_signal = {row["signal_id"]: row for row in found.iter_rows(named=True)}
    for candidate in due:
        for name, expected in slow_label(candidate, bars).items():
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
