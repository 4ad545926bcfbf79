from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.market.quotes import REASONS, QuoteValidator, refusals

START = datetime(2024, 1, 2, tzinfo=UTC)
NAN, INF = math.nan, math.inf


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.fixture
def validator() -> QuoteValidator:
    validator = QuoteValidator(["EURUSD", "USDJPY"])
    assert validator.refusal("EURUSD", after(10), 1.1, 1.1001) is None
    return validator


@pytest.mark.parametrize(
    ("symbol", "at", "bid", "ask", "reason"),
    [
        ("GBPUSD", 11, 1.2, 1.3, "unknown_symbol"),
        ("", 11, 1.2, 1.3, "unknown_symbol"),
        ("EURUSD", 11, None, 1.1, "non_finite"),
        ("EURUSD", 11, 1.1, None, "non_finite"),
        ("EURUSD", 11, NAN, 1.1, "non_finite"),
        ("EURUSD", 11, 1.1, NAN, "non_finite"),
        ("EURUSD", 11, 1.1, INF, "non_finite"),
        ("EURUSD", 11, -INF, 1.1, "non_finite"),
        ("EURUSD", 11, 0.0, 1.1, "non_positive"),
        ("EURUSD", 11, -1.0, -0.5, "non_positive"),
        ("EURUSD", 11, 1.1002, 1.1001, "crossed"),
        ("EURUSD", 9.999, 1.1, 1.1001, "time_backwards"),
        ("EURUSD", 10, 1.1, 1.1001, "duplicate"),
    ],
)
def test_a_bad_quote_is_refused_with_its_reason(
    validator: QuoteValidator, symbol: str, at: float, bid: float | None, ask: float | None, reason: str
) -> None:
    assert validator.refusal(symbol, after(at), bid, ask) == reason
    assert reason in REASONS
    # What was refused changes nothing.
    assert validator.refusal("EURUSD", after(10), 1.1, 1.1001) == "duplicate"
    assert validator.refusal("EURUSD", after(10), 1.1, 1.1002) is None


def test_zero_spread_and_quotes_of_one_instant_are_accepted(validator: QuoteValidator) -> None:
    assert validator.refusal("EURUSD", after(10), 1.1, 1.1) is None
    assert validator.refusal("EURUSD", after(10), 1.1, 1.1001) is None


def test_each_symbol_has_its_own_time(validator: QuoteValidator) -> None:
    assert validator.refusal("USDJPY", after(5), 101.0, 101.1) is None


def test_a_quote_of_a_time_declared_over_is_late(validator: QuoteValidator) -> None:
    validator.advance(after(60))
    validator.advance(after(30))  # never goes back
    assert validator.refusal("EURUSD", after(59), 1.2, 1.3) == "late"
    assert validator.refusal("EURUSD", after(60), 1.2, 1.3) is None


PRICES = st.sampled_from([1.1, 1.1001, 1.1002, 0.0, -1.0, NAN, INF, None])
QUOTES = st.lists(
    st.tuples(st.sampled_from(["EURUSD", "USDJPY", "GBPUSD"]), st.integers(0, 6), PRICES, PRICES), max_size=40
)


@given(QUOTES)
def test_a_whole_frame_is_judged_as_its_quotes_one_by_one(
    quotes: list[tuple[str, int, float | None, float | None]],
) -> None:
    known = ["EURUSD", "USDJPY"]
    validator = QuoteValidator(known)
    frame = pl.DataFrame(
        [(symbol, after(at), bid, ask) for symbol, at, bid, ask in quotes],
        schema={"symbol": pl.String, "event_at": pl.Datetime("us", "UTC"), "bid": pl.Float64, "ask": pl.Float64},
        orient="row",
    )
    expected = [validator.refusal(symbol, after(at), bid, ask) for symbol, at, bid, ask in quotes]
    assert refusals(frame, known).to_list() == expected
