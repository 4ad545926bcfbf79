"""Each check is silent on a sound record and speaks, with a repair, on a broken one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from trading_assets.core import integrity
from trading_assets.core.integrity import Count, Difference
from trading_assets.core.records.codec import decode_record, encode_record
from trading_assets.core.trades.ledger import Conservation

AT = datetime(2024, 3, 6, 12, tzinfo=UTC)
OWNER = {"tenant": "t", "account": "a"}


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([OWNER | row for row in rows])


def trade(
    trade_id: str = "T1", *, is_open: bool = False, signal: str = "S1", idea: str = "I1", net: str = "5.00"
) -> dict[str, Any]:
    return {
        "trade_id": trade_id,
        "signal_id": signal,
        "idea_id": idea,
        "is_open": is_open,
        "closed_at": None if is_open else AT,
        "net_pnl": Decimal(net),
    }


def order(trade_id: str = "T1", filled: str = "0.10", purpose: str = "OPEN") -> dict[str, Any]:
    return {"trade_id": trade_id, "signal_id": "S1", "purpose": purpose, "filled_lots": Decimal(filled)}


def only(found: list[Difference]) -> Difference:
    assert len(found) == 1
    assert found[0].repair
    return found[0]


def test_a_filled_order_without_a_trade_is_found() -> None:
    assert integrity.executed_decisions_have_trades(frame(order()), frame(trade())) == []
    unfilled = frame(order("T2", filled="0.00"), order("T3", purpose="CLOSE"))
    assert integrity.executed_decisions_have_trades(unfilled, frame(trade())) == []
    found = only(integrity.executed_decisions_have_trades(frame(order("T9")), frame(trade())))
    assert (found.subject, found.observed) == ("signal S1", "no such trade")
    assert found.expectation == "trade T9, since 0.10 lots of its order were filled"


def test_another_accounts_trade_does_not_count() -> None:
    elsewhere = frame(trade()).with_columns(account=pl.lit("b"))
    assert only(integrity.executed_decisions_have_trades(frame(order()), elsewhere)).account == "a"


def test_a_closed_trade_without_an_outcome_is_found() -> None:
    outcomes = frame({"trade_id": "T1"})
    assert integrity.closed_trades_have_outcomes(frame(trade(), trade("T2", is_open=True)), outcomes) == []
    assert only(integrity.closed_trades_have_outcomes(frame(trade("T3")), outcomes)).subject == "trade T3"


def test_a_trade_without_its_decision_or_with_another_candidate_is_found() -> None:
    signals = frame({"signal_id": "S1", "idea_id": "I1"})
    assert integrity.trades_have_decisions(frame(trade()), signals) == []
    assert only(integrity.trades_have_decisions(frame(trade(signal="S9")), signals)).observed == "no such decision"
    assert only(integrity.trades_have_decisions(frame(trade(idea="I2")), signals)).observed == "candidate I2"
    waited = frame({"signal_id": "S1", "idea_id": None})
    assert only(integrity.trades_have_decisions(frame(trade()), waited)).expectation.startswith("candidate None")


def test_an_outcome_that_states_another_profit_is_found() -> None:
    outcomes = frame({"trade_id": "T1", "net_pnl": Decimal("5.00")})
    assert integrity.outcomes_equal_trades(outcomes, frame(trade())) == []
    found = only(integrity.outcomes_equal_trades(outcomes, frame(trade(net="4.99"))))
    assert (found.expectation, found.observed) == ("net profit 4.99, by its deals", "5.00 in its outcome")


@pytest.mark.parametrize("is_equal", [True, False])
def test_a_window_with_another_hash_is_found(is_equal: bool) -> None:
    windows = frame(
        {"signal_id": "S1", "timeframe": "M5", "recorded_sha256": "aa", "recomputed_sha256": None, "is_equal": is_equal}
    )
    assert bool(integrity.windows_are_equal(windows)) is not is_equal


@pytest.mark.parametrize(("vector", "window"), [(True, True), (False, True), (True, False)])
def test_features_that_are_not_equal_are_found(vector: bool, window: bool) -> None:
    rows = frame(
        {
            "signal_id": "S1",
            "recorded_sha256_raw": "aa",
            "recomputed_sha256_raw": "bb",
            "is_vector_equal": vector,
            "is_equal": window,
        }
    )
    assert bool(integrity.features_are_equal(rows)) is not (vector and window)


def test_a_key_that_names_two_rows_is_found() -> None:
    rows = frame({"idea_id": "I1"}, {"idea_id": "I2"}, {"idea_id": "I2"})
    found = only(integrity.keys_are_unique("labels", rows, ("tenant", "account", "idea_id")))
    assert (found.subject, found.observed) == ("labels, idea_id I2", "2 rows")
    assert integrity.keys_are_unique("labels", rows.unique(), ("tenant", "account", "idea_id")) == []


def test_rows_lost_on_the_way_are_found() -> None:
    source = frame({"signal_id": "S1"}, {"signal_id": "S2"}, {"signal_id": "S2"})
    whole = frame({"signal_id": "S1"}, {"signal_id": "S2"})
    assert integrity.counts_agree(integrity.counts_by_owner("signals", source, whole, "signal_id")) == []
    lost = integrity.counts_by_owner("signals", source, whole.head(1), "signal_id")
    assert lost == [Count(step="signals", rows_in=2, rows_out=1, **OWNER)]
    assert only(integrity.counts_agree(lost)).observed == "1 rows"
    made_up = integrity.counts_by_owner("signals", source.clear(), whole, "signal_id")
    assert only(integrity.counts_agree(made_up)).expectation == "0 rows, as many as went in"


def bars(*opens: datetime) -> pl.DataFrame:
    rows = [
        {"symbol": "EURUSD", "timeframe": "M1", "open_at": opened, "close_at": opened + timedelta(minutes=1)}
        for opened in opens
    ]
    return frame(*rows).with_columns(pl.col("open_at", "close_at").cast(pl.Datetime("us", "UTC")))


def test_a_gap_while_the_market_was_open_is_found() -> None:
    assert integrity.bars_have_no_gaps(bars(AT, AT + timedelta(minutes=61))) == []
    found = only(integrity.bars_have_no_gaps(bars(AT, AT + timedelta(minutes=90))))
    assert (found.severity, found.observed) == ("warning", "none for 89 minutes")


def test_a_weekend_is_no_gap_but_a_missing_friday_is() -> None:
    friday, sunday = datetime(2024, 3, 8, 21, 58, tzinfo=UTC), datetime(2024, 3, 10, 21, 5, tzinfo=UTC)
    assert integrity.bars_have_no_gaps(bars(friday, sunday)) == []
    assert only(integrity.bars_have_no_gaps(bars(friday - timedelta(hours=5), sunday))).check == "bars_have_no_gaps"


def test_a_lost_cent_is_found() -> None:
    sound = Conservation(Decimal("5.00"), Decimal("5.00"), Decimal(100), Decimal("105.00"))
    assert integrity.no_cent_is_lost("t", "a", sound) == []
    broken = Conservation(Decimal("5.00"), Decimal("4.99"), Decimal(100), Decimal("105.00"))
    assert "4.99 by profit-and-loss events" in only(integrity.no_cent_is_lost("t", "a", broken)).observed


def test_a_difference_becomes_a_record_that_reads_back() -> None:
    found = only(integrity.closed_trades_have_outcomes(frame(trade("T3")), frame({"trade_id": "T1"})))
    record = found.record(AT, "CHAIN")
    assert decode_record(encode_record(record)) == record
    assert (record.check, record.subject) == ("closed_trades_have_outcomes", "trade T3")
