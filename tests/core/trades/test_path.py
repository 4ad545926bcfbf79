from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.trades.path import OpenTrade, TradePath, mark_record

OPENED = datetime(2024, 3, 6, 10, 5, 2, tzinfo=UTC)
SPREAD = 0.0001


def trade(**changes: Any) -> OpenTrade:
    values: dict[str, Any] = {
        "trade_id": "trade",
        "signal_id": "signal",
        "symbol": "EURUSD",
        "side": "BUY",
        "volume_lots": Decimal("0.50"),
        "entry_price": 1.0850,
        "stop_price": 1.0840,
        "target_price": 1.0870,
        "risk_unit": 0.0010,
        "opened_at": OPENED,
        "tick_size": 0.00001,
        "tick_value": Decimal("1.00"),
    }
    return OpenTrade(**values | changes)


def after(seconds: float) -> datetime:
    return OPENED + timedelta(seconds=seconds)


def test_the_fill_is_marked_with_the_spread_as_its_first_loss() -> None:
    path = TradePath(trade())
    mark = path.open(OPENED, 1.0849, 1.0850)
    assert (mark.cause, mark.unrealised_pnl, mark.live_risk) == ("fill", Decimal("-5.00"), Decimal("45.00"))
    assert mark.unrealised_r == pytest.approx(-0.1)
    assert mark.mae_r == pytest.approx(-0.1)
    assert mark.mfe_r == 0.0
    assert mark.drawdown_r == pytest.approx(0.1)


def test_a_short_is_valued_at_the_ask() -> None:
    short = trade(side="SELL", stop_price=1.0860, target_price=1.0830)
    mark = TradePath(short).open(OPENED, 1.0850, 1.0851)
    assert (mark.unrealised_pnl, mark.live_risk) == (Decimal("-5.00"), Decimal("45.00"))


def test_each_minute_is_marked_once_at_its_first_quote() -> None:
    path = TradePath(trade())
    path.open(OPENED, 1.0849, 1.0850)
    causes = [path.add(after(seconds), 1.0849, 1.0850) for seconds in (10, 57, 58, 59, 100, 118, 300)]
    assert [mark.cause if mark else None for mark in causes] == [None, None, "minute", None, None, "minute", "minute"]


def test_crossing_a_multiple_of_r_is_marked_but_wavering_around_it_is_not() -> None:
    path = TradePath(trade(target_price=1.0900))
    path.open(OPENED, 1.0849, 1.0850)
    bids = [1.0858, 1.0861, 1.0859, 1.0861, 1.08705, 1.0862, 1.0859, 1.0849]
    marks = [path.add(after(1 + index), bid, bid + SPREAD) for index, bid in enumerate(bids)]
    causes = [mark.cause if mark else None for mark in marks]
    assert causes == [None, "r_multiple", None, None, "r_multiple", None, "r_multiple", "r_multiple"]


def test_the_first_touch_of_stop_and_target_is_marked() -> None:
    path = TradePath(trade())
    path.open(OPENED, 1.0849, 1.0850)
    touches = [
        path.add(after(1), 1.0870, 1.0871),
        path.add(after(2), 1.0872, 1.0873),
        path.add(after(3), 1.0840, 1.0841),
    ]
    assert [mark.cause if mark else None for mark in touches] == ["target_touch", None, "stop_touch"]
    assert touches[2] is not None
    assert touches[2].live_risk == Decimal("0.00")


def test_excursions_see_quotes_that_are_not_marked() -> None:
    path = TradePath(trade())
    path.open(OPENED, 1.0850, 1.0850)
    path.add(after(1), 1.0845, 1.0846)
    path.add(after(2), 1.0856, 1.0857)
    path.add(after(3), 1.0850, 1.0851)
    summary = path.summary()
    assert (summary.mae_r, summary.mfe_r) == (pytest.approx(-0.5), pytest.approx(0.6))
    assert (summary.time_to_mfe_s, summary.mark_count) == (2.0, 1)


def test_the_volatility_is_that_of_the_mids_at_the_marks() -> None:
    path = TradePath(trade())
    path.open(OPENED, 1.0850, 1.0850)
    path.add(after(58), 1.0853, 1.0853)
    path.add(after(59), 1.0846, 1.0900)
    path.add(after(118), 1.0851, 1.0851)
    expected = math.sqrt(math.log(1.0853 / 1.0850) ** 2 + math.log(1.0851 / 1.0853) ** 2)
    assert path.summary().realised_volatility == pytest.approx(expected)


def test_a_part_that_is_closed_is_no_longer_at_risk() -> None:
    path = TradePath(trade())
    path.open(OPENED, 1.0850, 1.0851)
    path.resize(Decimal("0.20"), 1.0850)
    mark = path.add(after(60), 1.0855, 1.0856)
    assert mark is not None
    assert (mark.unrealised_pnl, mark.live_risk) == (Decimal("10.00"), Decimal("30.00"))


def test_a_trade_without_a_risk_unit_is_a_defect() -> None:
    with pytest.raises(ValueError, match="no risk unit"):
        TradePath(trade(risk_unit=0.0))


moves = st.lists(st.integers(-150, 150), min_size=1, max_size=80)


def walk(path: TradePath, bids: list[float]) -> list[Any]:
    marks = [path.open(OPENED, bids[0], bids[0] + SPREAD)]
    marks += [path.add(after(7.0 * (1 + index)), bid, bid + SPREAD) for index, bid in enumerate(bids[1:])]
    return [mark for mark in marks if mark is not None]


@given(moves=moves, side=st.sampled_from(["BUY", "SELL"]))
def test_every_mark_lies_between_its_excursions_and_these_only_grow(moves: list[int], side: str) -> None:
    bids = [round(1.0850 + move * 0.00001, 5) for move in moves]
    path = TradePath(trade(side=side, stop_price=1.0840 if side == "BUY" else 1.0860))
    marks = walk(path, bids)
    for mark in marks:
        assert mark.mae_r <= min(mark.unrealised_r, 0.0)
        assert mark.mfe_r >= max(mark.unrealised_r, 0.0)
        assert mark.drawdown_r == mark.mfe_r - mark.unrealised_r >= 0.0
        assert mark.live_risk >= 0
    for one, other in pairwise(marks):
        assert other.mae_r <= one.mae_r
        assert other.mfe_r >= one.mfe_r
    assert path.summary().mark_count == len(marks)
    results = [path.result_r(bid, bid + SPREAD) for bid in bids]
    assert (path.summary().mae_r, path.summary().mfe_r) == (min(0.0, *results, 0.0), max(0.0, *results, 0.0))


@given(moves=moves, cut=st.integers(1, 80))
def test_a_path_resumed_from_its_marks_marks_the_rest_as_if_nothing_had_happened(moves: list[int], cut: int) -> None:
    bids = [round(1.0850 + move * 0.00001, 5) for move in moves]
    whole = TradePath(trade())
    before = walk(whole, bids[:cut])
    resumed = TradePath(trade())
    resumed.resume([mark_record(whole, mark, "alpha", "demo", "chain", mark.at) for mark in before])
    assert resumed.mark_count == whole.mark_count
    assert resumed.summary().realised_volatility == whole.summary().realised_volatility
    for index, bid in enumerate(bids[cut:]):
        at = after(7.0 * (cut + index))
        one, other = whole.add(at, bid, bid + SPREAD), resumed.add(at, bid, bid + SPREAD)
        assert (one and one.cause) == (other and other.cause)
