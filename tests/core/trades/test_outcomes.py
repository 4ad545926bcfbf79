from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.columns.raw import columns_of
from trading_assets.core.errors import StateError
from trading_assets.core.ids import trade_id
from trading_assets.core.records.decisions import Candidate, Decision
from trading_assets.core.records.trading import Deal, Outcome
from trading_assets.core.trades.outcomes import END_OF_TEST, exit_reason, exits_of, is_closed, lives_of, outcome
from trading_assets.core.trades.path import PathSummary

OPENED = datetime(2024, 3, 6, 10, 5, 1, tzinfo=UTC)
SIGNAL = "01HR9Q5T000000000000000000"
PATH = PathSummary(mae_r=-0.4, mfe_r=1.2, time_to_mfe_s=600.0, realised_volatility=0.001, mark_count=12)

CANDIDATE = Candidate(
    idea_id="idea",
    kind="LONG",
    exit_profile="balanced",
    entry_price=1.0850,
    stop_price=1.0840,
    target_price=1.0870,
    timeout_bars=48,
    risk_unit=0.0010,
    reward_r=2.0,
    cost_r=0.1,
    rule_score=0.8,
    win_probability=None,
    blended_score=0.8,
    filters=(),
)


def decision(**changes: Any) -> Decision:
    """The fields of a decision an outcome needs; the rest is not read."""
    values: dict[str, Any] = dict.fromkeys(Decision.__struct_fields__)
    values |= {"tenant": "alpha", "account": "demo", "chain_id": "chain", "signal_id": SIGNAL, "symbol": "EURUSD"}
    values |= {"suggestion": "LONG", "action": "OPEN", "idea_id": "idea", "candidates": (CANDIDATE,)}
    return Decision(**values | changes)


def deal(entry: str, price: float, volume: str = "1.00", minutes: float = 0.0, **changes: Any) -> Deal:
    values: dict[str, Any] = {
        "tenant": "alpha",
        "account": "demo",
        "event_at": OPENED + timedelta(minutes=minutes),
        "known_at": OPENED + timedelta(minutes=minutes),
        "chain_id": "chain",
        "deal_ticket": f"{minutes:08.3f}",
        "order_ticket": "5",
        "position_id": "7",
        "trade_id": trade_id(SIGNAL),
        "signal_id": SIGNAL,
        "magic": "1",
        "symbol": "EURUSD",
        "kind": "BUY" if entry == "IN" else "SELL",
        "entry": entry,
        "reason": "EXPERT",
        "volume_lots": Decimal(volume),
        "price": price,
        "profit": Decimal("0.00"),
        "commission": Decimal("-3.50"),
        "swap": Decimal("0.00"),
        "fee": Decimal("0.00"),
        "slippage_points": 0.0,
        "comment": "",
        "server_msc": 0,
    }
    return Deal(**values | changes)


def settled(deals: list[Deal], close_reason: str = "", path: PathSummary = PATH) -> Any:
    return outcome(decision(), deals, path, close_reason, OPENED + timedelta(hours=1))


def test_a_target_hit_is_two_r() -> None:
    result = settled(
        [
            deal("IN", 1.0850, slippage_points=1.0),
            deal("OUT", 1.0870, minutes=30, reason="TP", profit=Decimal("200.00"), swap=Decimal("-0.40")),
        ]
    )
    assert (result.exit_reason, result.side, result.volume_lots) == ("target", "BUY", Decimal("1.00"))
    assert result.result_r == pytest.approx(2.0)
    assert (result.gross_pnl, result.commission, result.swap) == (Decimal("200.00"), Decimal("-7.00"), Decimal("-0.40"))
    assert result.net_pnl == Decimal("192.60")
    assert (result.holding_s, result.time_to_target_s) == (1800.0, 1800.0)
    assert (result.stop_price, result.target_price, result.risk_unit, result.idea_id) == (
        1.0840,
        1.0870,
        0.0010,
        "idea",
    )
    assert (result.trade_id, result.position_id, result.slippage_points, result.mark_count) == (
        trade_id(SIGNAL),
        "7",
        1.0,
        12,
    )


def test_a_fill_that_slipped_changes_the_entry_and_not_what_one_r_is() -> None:
    result = settled([deal("IN", 1.0853, slippage_points=3.0), deal("OUT", 1.0870, minutes=30, reason="TP")])
    assert result.risk_unit == CANDIDATE.risk_unit == 0.0010
    assert abs(result.entry_price - result.stop_price) == pytest.approx(0.0013)
    (column,) = columns_of(Outcome, "risk_unit")
    assert "from the decided entry to its stop; from entry_price it differs" in column.description


def test_partial_fills_and_partial_closes_are_averaged_by_volume() -> None:
    result = settled(
        [
            deal("IN", 1.0850, "0.75", slippage_points=0.0),
            deal("IN", 1.0854, "0.25", 0.01, slippage_points=4.0),
            deal("OUT", 1.0861, "0.40", 10, profit=Decimal("40.00"), slippage_points=2.0),
            deal("OUT", 1.0841, "0.60", 20, reason="SL", profit=Decimal("-60.00"), slippage_points=2.0),
        ]
    )
    assert result.entry_price == pytest.approx(1.0851)
    assert result.exit_price == pytest.approx(1.0849)
    assert result.result_r == pytest.approx(-0.2)
    assert (result.exit_reason, result.gross_pnl, result.volume_lots) == ("stop", Decimal("-20.00"), Decimal("1.00"))
    assert result.slippage_points == pytest.approx(3.0)
    assert result.time_to_target_s is None


def test_a_fill_through_the_stop_deepens_the_excursion() -> None:
    gap = settled([deal("IN", 1.0850), deal("OUT", 1.0820, minutes=5, reason="SL")])
    assert gap.mae_r == gap.result_r == pytest.approx(-3.0)
    better = settled([deal("IN", 1.0850), deal("OUT", 1.0875, minutes=5, reason="TP")])
    assert better.mfe_r == pytest.approx(2.5)
    assert better.time_to_mfe_s == better.holding_s == 300.0


@pytest.mark.parametrize(
    ("reason", "comment", "close_reason", "expected"),
    [
        ("SL", "", "", "stop"),
        ("TP", "", "signal", "target"),
        ("SO", "", "", "stop_out"),
        ("EXPERT", "", "timeout", "timeout"),
        ("EXPERT", "", "signal", "signal"),
        ("EXPERT", "", "weekend", "weekend"),
        ("EXPERT", "", "", "manual"),
        ("CLIENT", END_OF_TEST, "", "end_of_test"),
        ("CLIENT", "", "timeout", "manual"),
        ("MOBILE", "", "", "manual"),
        ("WEB", "", "", "manual"),
    ],
)
def test_the_reason_of_the_exit_is_the_brokers_ours_or_a_persons(
    reason: str, comment: str, close_reason: str, expected: str
) -> None:
    assert exit_reason([deal("OUT", 1.0, reason=reason, comment=comment)], close_reason) == expected


def test_the_last_exit_gives_the_reason() -> None:
    exits = [deal("OUT", 1.0, "0.5", 9, reason="SL"), deal("OUT", 1.0, "0.5", 3, reason="MOBILE")]
    assert exit_reason(exits, "") == "stop"


def test_a_deal_that_turns_a_netted_position_round_closes_what_was_open() -> None:
    deals = [deal("IN", 1.0850), deal("OUT", 1.0860, "0.40", 1.0), deal("INOUT", 1.0870, "2.00", 2.0, kind="SELL")]
    assert [one.volume_lots for one in exits_of(deals)] == [Decimal("0.40"), Decimal("0.60")]
    assert is_closed(deals)
    assert not is_closed(deals[:2])


def test_a_position_closed_by_an_opposite_one_is_closed() -> None:
    assert is_closed([deal("IN", 1.0850), deal("OUT_BY", 1.0860, minutes=1.0)])


@pytest.mark.parametrize(
    "deals",
    [
        [],
        [deal("IN", 1.0850)],
        [deal("OUT", 1.0850)],
        [deal("IN", 1.0850), deal("OUT", 1.0860, "0.40")],
        [deal("IN", 1.0850), deal("OUT", 1.0860, "1.10")],
        [deal("IN", 1.0850, "0.5"), deal("IN", 1.0850, "0.5", kind="SELL"), deal("OUT", 1.0860)],
    ],
)
def test_deals_that_are_not_one_closed_trade_are_refused(deals: list[Deal]) -> None:
    with pytest.raises(StateError, match="which is not one closed trade"):
        settled(deals)


def test_a_decision_that_chose_nothing_has_no_outcome() -> None:
    waiting = decision(suggestion="WAIT", action="NONE", idea_id=None)
    with pytest.raises(StateError, match="chose no candidate"):
        outcome(waiting, [deal("IN", 1.0850), deal("OUT", 1.0860)], PATH, "", OPENED)


parts = st.lists(st.tuples(st.integers(1, 300), st.integers(-200, 200), st.integers(-500, 500)), min_size=1, max_size=6)


@given(entries=parts, exits=parts, is_short=st.booleans())
def test_money_is_the_sum_of_the_deals_and_the_result_lies_within_its_excursions(
    entries: list[tuple[int, int, int]], exits: list[tuple[int, int, int]], is_short: bool
) -> None:
    scale = sum(volume for volume, _, _ in exits)
    opened = sum(volume for volume, _, _ in entries)
    into, out = ("SELL", "BUY") if is_short else ("BUY", "SELL")
    deals = [
        deal("IN", 1.0850 + ticks * 1e-5, str(volume * scale), index, kind=into, profit=Decimal(cents) / 100)
        for index, (volume, ticks, cents) in enumerate(entries)
    ] + [
        deal("OUT", 1.0850 + ticks * 1e-5, str(volume * opened), 10 + index, kind=out, profit=Decimal(cents) / 100)
        for index, (volume, ticks, cents) in enumerate(exits)
    ]
    assert is_closed(deals)
    result = settled(deals[::-1])
    assert result.gross_pnl == sum((one.profit for one in deals), Decimal(0))
    assert result.net_pnl == result.gross_pnl + Decimal("-3.50") * len(deals)
    assert result.mae_r <= result.result_r <= result.mfe_r
    assert result.opened_at <= result.closed_at
    prices = [one.price for one in deals if one.entry == "IN"]
    assert min(prices) - 1e-9 <= result.entry_price <= max(prices) + 1e-9
    assert msgspec.structs.asdict(result)["side"] == ("SELL" if is_short else "BUY")


def test_a_position_the_server_reopened_is_one_trade_whose_lives_add_up() -> None:
    deals = [
        deal("IN", 1.0850),
        deal("OUT", 1.0860, minutes=60, reason="ROLLOVER", profit=Decimal("100.00")),
        deal("IN", 1.0861, minutes=60.1, reason="ROLLOVER"),
        deal("OUT", 1.0871, minutes=90, profit=Decimal("100.00")),
    ]
    assert [len(entered) for entered, _ in lives_of(deals)] == [1, 1]
    result = settled(deals, "timeout")
    assert (result.exit_reason, result.volume_lots, result.holding_s) == ("timeout", Decimal("1.00"), 5400.0)
    assert (result.entry_price, result.exit_price) == (1.0850, 1.0871)
    assert result.result_r == pytest.approx(2.0)
    assert result.gross_pnl == Decimal("200.00")


def test_a_second_entry_before_the_first_exit_is_no_second_life() -> None:
    deals = [deal("IN", 1.0850, "0.50"), deal("IN", 1.0852, "0.50", 1.0), deal("OUT", 1.0860, minutes=2.0)]
    assert len(lives_of(deals)) == 1
