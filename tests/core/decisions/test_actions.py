from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.decisions.actions import Signal, act
from trading_assets.core.decisions.strategy import INTRADAY

NOON = datetime(2024, 3, 6, 12, 0, tzinfo=UTC)
BEFORE_WEEKEND = datetime(2024, 3, 8, 20, 40, tzinfo=UTC)
FLAT, LONG, SHORT = None, "BUY", "SELL"


def signal(long: float, **changes: Any) -> Signal:
    short = 1.0 - long
    side = 1 if long > 0.7 else -1 if short > 0.7 else 0
    values: dict[str, Any] = {"obstacles": (), "is_sighted": True, "is_pending": False}
    return Signal(long=long, short=short, entry_side=side, **values | changes)


WALL = {"obstacles": ("something",)}
BLIND = {"obstacles": ("stale",), "is_sighted": False}
PENDING = {"obstacles": ("pending",), "is_pending": True}
LATE, OVER = {"at": BEFORE_WEEKEND}, {"bars_held": 48}

# position, strength of LONG, circumstances → suggestion, action
TABLE: list[tuple[str | None, float, dict[str, Any], str, str]] = [
    (FLAT, 0.71, {}, "LONG", "OPEN"),
    (FLAT, 0.70, {}, "WAIT", "NONE"),
    (FLAT, 0.50, {}, "WAIT", "NONE"),
    (FLAT, 0.29, {}, "SHORT", "OPEN"),
    (FLAT, 0.90, WALL, "WAIT", "NONE"),
    (FLAT, 0.90, BLIND, "WAIT", "NONE"),
    (FLAT, 0.90, PENDING, "WAIT", "NONE"),
    (LONG, 0.90, {}, "LONG", "HOLD"),
    (LONG, 0.50, {}, "WAIT", "HOLD"),
    (LONG, 0.31, {}, "WAIT", "HOLD"),
    (LONG, 0.28, {}, "SHORT", "REVERSE"),
    (LONG, 0.28, WALL, "WAIT", "CLOSE"),
    (LONG, 0.31, WALL, "WAIT", "HOLD"),
    (LONG, 0.10, BLIND, "WAIT", "HOLD"),
    (LONG, 0.10, PENDING, "WAIT", "HOLD"),
    (LONG, 0.90, OVER, "WAIT", "CLOSE"),
    (LONG, 0.10, OVER, "WAIT", "CLOSE"),
    (LONG, 0.90, OVER | PENDING, "WAIT", "HOLD"),
    (LONG, 0.50, OVER | BLIND, "WAIT", "CLOSE"),
    (LONG, 0.90, LATE | WALL, "WAIT", "CLOSE"),
    (SHORT, 0.10, {}, "SHORT", "HOLD"),
    (SHORT, 0.50, {}, "WAIT", "HOLD"),
    (SHORT, 0.72, {}, "LONG", "REVERSE"),
    (SHORT, 0.72, WALL, "WAIT", "CLOSE"),
    (SHORT, 0.10, LATE | WALL, "WAIT", "CLOSE"),
    (SHORT, 0.10, OVER, "WAIT", "CLOSE"),
]


@pytest.mark.parametrize(("side", "long", "circumstances", "suggestion", "action"), TABLE)
def test_the_action_follows_from_position_and_strength(
    market: Any, side: str | None, long: float, circumstances: dict[str, Any], suggestion: str, action: str
) -> None:
    circumstances = dict(circumstances)
    at = circumstances.pop("at", NOON)
    position = market.position(side=side, bars_held=circumstances.pop("bars_held", 10)) if side else None
    verdict = act(INTRADAY, position, at, signal(long, **circumstances))
    assert (verdict.suggestion, verdict.action) == (suggestion, action)
    assert verdict.reason


def test_a_weak_signal_closes_without_the_other_side_being_strong(market: Any) -> None:
    weak = Signal(long=0.25, short=0.6, entry_side=0, obstacles=(), is_sighted=True, is_pending=False)
    verdict = act(INTRADAY, market.position(), NOON, weak)
    assert (verdict.suggestion, verdict.action) == ("WAIT", "CLOSE")
    assert verdict.reason == "the strength of the LONG has fallen to 0.25, under 0.3"


@given(
    long=st.floats(0.0, 1.0),
    short=st.floats(0.0, 1.0),
    entry_side=st.sampled_from([-1, 0, 1]),
    has_obstacle=st.booleans(),
    is_sighted=st.booleans(),
    is_pending=st.booleans(),
    side=st.sampled_from([None, "BUY", "SELL"]),
    bars_held=st.integers(0, 100),
)
def test_an_obstacle_never_lets_an_entry_through_and_a_pending_order_lets_nothing(
    market: Any,
    long: float,
    short: float,
    entry_side: int,
    has_obstacle: bool,
    is_sighted: bool,
    is_pending: bool,
    side: str | None,
    bars_held: int,
) -> None:
    obstacles = ("wall",) if has_obstacle or is_pending or not is_sighted else ()
    position = market.position(side=side, bars_held=bars_held) if side else None
    verdict = act(
        INTRADAY,
        position,
        NOON,
        Signal(
            long=long,
            short=short,
            entry_side=entry_side,
            obstacles=obstacles,
            is_sighted=is_sighted,
            is_pending=is_pending,
        ),
    )
    if obstacles:
        assert verdict.suggestion == "WAIT"
        assert verdict.action not in ("OPEN", "REVERSE")
    if is_pending:
        assert verdict.action in ("NONE", "HOLD")
    if verdict.action in ("OPEN", "REVERSE"):
        assert verdict.suggestion == ("LONG" if entry_side > 0 else "SHORT")
    assert (verdict.action in ("OPEN", "NONE")) is (position is None)
