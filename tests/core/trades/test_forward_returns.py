"""Forward returns, against a plain search for the last price before the end of each horizon."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.columns.learning import HORIZONS
from trading_assets.core.columns.learning import forward_returns as table
from trading_assets.core.trades.forward_returns import forward_returns
from trading_assets.core.trades.label_definition import LabelDefinition
from trading_assets.core.trades.labels import DEFINITION

START = datetime(2024, 3, 4, tzinfo=UTC)
MOMENT = pl.Datetime("us", "UTC")


def bars(closes: dict[int, tuple[float, float]], symbol: str = "EURUSD") -> pl.DataFrame:
    """M1 bars that open at the given minutes, with their closing bid and ask."""
    return pl.DataFrame(
        [
            {
                "symbol": symbol, "timeframe": "M1", "open_at": START + timedelta(minutes=minute),
                "close_at": START + timedelta(minutes=minute + 1), "close": bid, "ask_close": ask,
            }
            for minute, (bid, ask) in closes.items()
        ],
        schema_overrides={"open_at": MOMENT, "close_at": MOMENT},
    )  # fmt: skip


def signals(minutes: list[int], bid: float = 1.0, ask: float = 1.0002, symbol: str = "EURUSD") -> pl.DataFrame:
    """Signals at the close of the bars that end at the given minutes."""
    return pl.DataFrame(
        [
            {
                "tenant": "t", "account": "a", "date": START.date(), "signal_id": f"{symbol}-{minute}", "symbol": symbol,
                "timeframe": "M5", "decided_at": START + timedelta(minutes=minute),
                "bar_close_at": START + timedelta(minutes=minute), "bid": bid, "ask": ask,
            }
            for minute in minutes
        ],
        schema_overrides={"decided_at": MOMENT, "bar_close_at": MOMENT},
    )  # fmt: skip


def test_moves_are_mid_to_mid_and_sides_pay_the_spread() -> None:
    found = forward_returns(signals([5]), bars({minute: (1.001, 1.0012) for minute in range(5, 65)}))
    assert found["horizon_minutes"].to_list() == list(HORIZONS)
    row = found.row(0, named=True)
    assert row["return_bp"] == pytest.approx((1.0011 / 1.0001 - 1) * 1e4)
    assert row["long_bp"] == pytest.approx((1.001 / 1.0002 - 1) * 1e4)
    assert row["short_bp"] == pytest.approx((1 - 1.0012 / 1.0) * 1e4)
    assert (row["direction"], row["labels_version"]) == (1, DEFINITION.version)
    assert row["until_at"] - row["from_at"] == timedelta(minutes=1)


def test_a_move_within_the_definitions_share_of_the_spread_has_no_direction() -> None:
    small = bars({minute: (1.00009, 1.00029) for minute in range(5, 65)})
    assert set(forward_returns(signals([5]), small)["direction"]) == {0}
    assert set(forward_returns(signals([5]), small, LabelDefinition(flat_spreads=0.4))["direction"]) == {1}


def test_a_horizon_that_has_not_passed_or_in_which_the_market_was_closed_has_no_row() -> None:
    prices = {4: (1.0, 1.0002), 5: (1.1, 1.1002), **{minute: (1.2, 1.2002) for minute in range(40, 60)}}
    found = forward_returns(signals([5, 10]), bars(prices))
    assert found.select("signal_id", "horizon_minutes").rows() == [
        ("EURUSD-5", 1), ("EURUSD-5", 5), ("EURUSD-5", 15),
    ]  # fmt: skip
    assert forward_returns(signals([5]), bars(prices).clear()).is_empty()
    assert forward_returns(signals([5]).clear(), bars(prices)).is_empty()


def test_rows_have_exactly_the_columns_and_types_of_the_table() -> None:
    found = forward_returns(signals([5]), bars({minute: (1.001, 1.0012) for minute in range(5, 65)}))
    assert dict(found.select(table.names).schema) == dict(table.schema)
    assert set(found.columns) == set(table.names)
    assert set(forward_returns(signals([5]).clear(), bars({1: (1.0, 1.1)})).columns) == set(table.names)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 150), st.integers(1, 40)), min_size=1, max_size=80, unique_by=lambda one: one[0]),
    st.lists(st.integers(0, 30), min_size=1, max_size=8, unique=True),
)
def test_each_price_is_the_last_one_known_by_then(prices: list[tuple[int, int]], slots: list[int]) -> None:
    closes = {minute: (1 + size / 64, 1 + size / 64 + 1 / 128) for minute, size in prices}
    other = bars({minute: (9.0, 9.1) for minute in range(200)}, "GBPUSD")
    found = forward_returns(
        signals([slot * 5 for slot in slots]),
        pl.concat([bars(closes), other]).sample(fraction=1.0, shuffle=True, seed=1),
    )
    expected = []
    for slot in slots:
        for horizon in HORIZONS:
            end = slot * 5 + horizon
            inside = [minute for minute in closes if minute + 1 > slot * 5 and minute + 1 <= end]
            if inside and end <= max(closes) + 1:
                bid, ask = closes[max(inside)]
                expected.append((f"EURUSD-{slot * 5}", horizon, ((bid + ask) / 2 / ((1.0 + 1.0002) / 2) - 1) * 10_000))
    expected.sort()
    assert found.select("signal_id", "horizon_minutes").rows() == [one[:2] for one in expected]
    assert found["return_bp"].to_list() == pytest.approx([one[2] for one in expected])
