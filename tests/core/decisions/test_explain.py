from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from trading_assets.core.decisions.decide import decide
from trading_assets.core.decisions.explain import describe, explain, recompute
from trading_assets.core.decisions.strategy import INTRADAY
from trading_assets.core.features.window import ChartWindow
from trading_assets.core.records.codec import decode_record, encode_record
from trading_assets.core.records.decisions import Decision
from trading_assets.core.release import RULES_ONLY

MINUTES = {"M5": 5, "M15": 15, "H1": 60, "H4": 240}


def recorded(decision: Decision) -> Decision:
    record = decode_record(encode_record(decision))
    assert isinstance(record, Decision)
    return record


def test_a_recorded_decision_recomputes_to_the_same_bytes(market: Any) -> None:
    decision = recorded(decide(INTRADAY, market.context(position=market.position()), market.rising(), RULES_ONLY))
    explanation = explain(decision, recompute(INTRADAY, decision, RULES_ONLY))
    assert explanation.is_identical
    assert explanation.differences == ()


def test_a_feature_that_came_out_differently_is_found_and_named(market: Any) -> None:
    decision = recorded(decide(INTRADAY, market.context(), market.rising(), RULES_ONLY))
    row = market.rising()
    row[market.features.index("rsi_14")] = np.nextafter(row[market.features.index("rsi_14")], 1.0)
    explanation = explain(decision, recompute(INTRADAY, decision, RULES_ONLY, row))
    assert not explanation.is_identical
    fields = [difference.field for difference in explanation.differences]
    assert fields[:2] == ["features", "features_normalised"]
    assert all(difference.recorded != difference.recomputed for difference in explanation.differences)


def test_a_forged_record_is_found(market: Any) -> None:
    decision = recorded(decide(INTRADAY, market.context(), market.row(), RULES_ONLY))
    forged = msgspec.structs.replace(decision, suggestion="LONG", forecasts=decision.forecasts[:2])
    explanation = explain(forged, recompute(INTRADAY, forged, RULES_ONLY))
    assert [difference.field for difference in explanation.differences] == ["forecasts", "suggestion"]
    assert explanation.differences[1].recomputed == "WAIT"


def test_what_another_version_of_the_code_recorded_is_not_called_different_but_of_another_version(market: Any) -> None:
    decision = recorded(decide(INTRADAY, market.context(), market.rising(), RULES_ONLY))
    # As a record of before there was a filter and before the code had a version.
    versions = msgspec.structs.replace(decision.versions, decisions="")
    old = msgspec.structs.replace(decision, versions=versions, filters=decision.filters[1:])
    explanation = explain(old, recompute(INTRADAY, old, RULES_ONLY))
    assert [difference.field for difference in explanation.differences] == ["filters"]
    assert "decisions of before they had a version" in explanation.other_version
    same = msgspec.structs.replace(decision, versions=versions)
    assert explain(same, recompute(INTRADAY, same, RULES_ONLY)).is_identical
    # The same code and another outcome is a difference.
    forged = msgspec.structs.replace(decision, filters=decision.filters[1:])
    assert explain(forged, recompute(INTRADAY, forged, RULES_ONLY)).other_version == ""


@pytest.mark.parametrize(
    ("changes", "headline", "because"),
    [
        ({}, "LONG, action OPEN", "LONG has a strength of"),
        ({"trade_allowed": False}, "WAIT, action NONE", "the terminal forbids trading on this account"),
        ({"orders_last_hour": 20}, "WAIT, action NONE", "breaker order_rate: 20 entry orders"),
    ],
)
def test_it_says_in_words_why(market: Any, changes: dict[str, Any], headline: str, because: str) -> None:
    decision = decide(INTRADAY, market.context(**changes), market.rising(), RULES_ONLY)
    words = describe(decision)
    assert headline in words[0]
    assert any(because in line for line in words)
    for verdict in decision.filters:
        assert any(line.startswith(f"filter {verdict.filter}: ") for line in words)
    for state in decision.breakers:
        assert any("breaker" in line and state.breaker in line for line in words)
    assert sum(line.startswith("candidate ") for line in words) == len(decision.candidates)
    assert any(f"release {decision.versions.release}" in line for line in words)


def test_the_blend_of_rules_and_model_is_spelt_out(market: Any, release_of: Any) -> None:
    decision = decide(INTRADAY, market.context(), market.rising(), release_of(lambda matrix: np.full(len(matrix), 0.6)))
    assert any("70% rules" in line and "30% win probability 0.600" in line for line in describe(decision))


def chart(timeframe: str, bars: pl.DataFrame) -> ChartWindow:
    """Aggregate real M5 bars, with a spread of 0.8 pips."""
    step = MINUTES[timeframe] * 60_000
    grouped = (
        bars.group_by(pl.col("open_ms") // step * step, maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("ticks").sum(),
        )
        .to_dict(as_series=False)
    )
    columns = {name: np.array(values, dtype=np.float64) for name, values in grouped.items() if name != "open_ms"}
    opens = np.array(grouped["open_ms"], dtype=np.int64)
    spread = np.full(len(opens), 8.0)
    return ChartWindow(
        timeframe=timeframe,
        open_ms=opens,
        close_ms=opens + step,
        open=columns["open"],
        high=columns["high"],
        low=columns["low"],
        close=columns["close"],
        ask_close=columns["close"] + 0.00008,
        tick_count=columns["ticks"],
        spread_mean_points=spread,
        spread_max_points=spread,
    )


def test_every_decision_of_three_real_days_recomputes_and_a_few_trade(market: Any, shared_data: Path) -> None:
    content = gzip.decompress((shared_data / "m5" / "mt5" / "EURUSD_M5_2023.csv.gz").read_bytes())
    bars = pl.read_csv(content, n_rows=4_000).select(
        open_ms=pl.col("Date").str.to_datetime().dt.epoch("ms") - 2 * 3_600_000,
        open=pl.col("Open"),
        high=pl.col("High"),
        low=pl.col("Low"),
        close=pl.col("Close"),
        ticks=pl.col("Adj Close").cast(pl.Float64),
    )
    windows = {timeframe: chart(timeframe, bars) for timeframe in market.features.timeframes}
    days = market.features.day(windows)
    entries = 0
    for index in range(2_500, 2_500 + 3 * 288):
        bid = float(windows["M5"].close[index])
        close_at = datetime.fromtimestamp(days.close_ms[index] / 1000, UTC)
        context = market.context(
            bar_close_at=close_at, bid=bid, ask=round(bid + 0.00008, 5), quote_at=close_at - timedelta(seconds=2)
        )
        decision = recorded(decide(INTRADAY, context, days.matrix[index], RULES_ONLY))
        assert explain(decision, recompute(INTRADAY, decision, RULES_ONLY, days.matrix[index])).is_identical
        entries += decision.action == "OPEN"
    # Bars on which a flat account would enter; in a row they are one trade.
    assert 10 <= entries <= 300
