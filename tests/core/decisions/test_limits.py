"""The limits bind: the trader's own and the strategy's, one decision at a time and over any sequence of them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.decisions.decide import decide
from trading_assets.core.decisions.explain import recompute
from trading_assets.core.decisions.sizing import floored, margin_of, size
from trading_assets.core.decisions.strategy import INTRADAY
from trading_assets.core.records.codec import decode_record, encode_record
from trading_assets.core.records.decisions import Decision, TraderLimits
from trading_assets.core.release import RULES_ONLY

ONE = Decimal(1)


def test_the_traders_risk_binds_and_is_said(market: Any) -> None:
    limits = TraderLimits(risk_per_trade=0.0025)
    free = decide(INTRADAY, market.context(), market.rising(), RULES_ONLY)
    bound = decide(INTRADAY, market.context(limits=limits), market.rising(), RULES_ONLY)
    assert (bound.action, bound.signal_id, bound.versions) == ("OPEN", free.signal_id, free.versions)
    assert Decimal(24) < bound.risk_amount <= Decimal(25) < free.risk_amount
    assert any(
        "the trader's own limits bind: 0.25% of equity at risk in a trade, not 1.00%" in reason
        for reason in bound.reasons
    )


@pytest.mark.parametrize(
    ("limits", "changes", "words"),
    [
        (TraderLimits(max_drawdown=0.05), {"equity_high_water_mark": Decimal(10600)}, "drawdown of 5.7% is over 5%"),
        (TraderLimits(max_positions=2), {"open_positions": 2}, "the limit is 2"),
        (TraderLimits(max_positions=2), {"open_positions": 1, "pending_entries": 1}, "the limit is 2"),
        (TraderLimits(max_positions=0), {}, "the limit is 0"),
        (TraderLimits(risk_per_trade=0.0), {}, "risk allows 0 lots"),
        (TraderLimits(allowed_symbols=("GBPUSD",)), {}, "the trader does not allow EURUSD"),
        (TraderLimits(allowed_symbols=()), {}, "the trader does not allow EURUSD"),
    ],
)
def test_each_of_the_traders_limits_stops_an_entry(
    market: Any, limits: TraderLimits, changes: dict[str, Any], words: str
) -> None:
    assert decide(INTRADAY, market.context(**changes), market.rising(), RULES_ONLY).action == "OPEN"
    decision = decide(INTRADAY, market.context(limits=limits, **changes), market.rising(), RULES_ONLY)
    assert decision.suggestion == "WAIT"
    assert any(words in reason for reason in decision.reasons)


def test_limits_that_are_looser_than_the_strategys_change_nothing_but_the_inputs(market: Any) -> None:
    loose = TraderLimits(risk_per_trade=0.5, max_drawdown=0.9, max_positions=50)
    free = decide(INTRADAY, market.context(), market.rising(), RULES_ONLY)
    same = decide(INTRADAY, market.context(limits=loose), market.rising(), RULES_ONLY)
    assert msgspec.structs.replace(same, inputs=free.inputs) == free


def test_limits_never_keep_a_position_from_being_closed(market: Any) -> None:
    nothing = TraderLimits(risk_per_trade=0.0, max_drawdown=0.0, max_positions=0, allowed_symbols=())
    context = market.context(position=market.position(bars_held=48), limits=nothing)
    assert decide(INTRADAY, context, market.rising(), RULES_ONLY).action == "CLOSE"


@pytest.mark.parametrize(
    "limits", [None, TraderLimits(), TraderLimits(risk_per_trade=0.003, allowed_symbols=("EURUSD",))]
)
def test_a_decision_under_limits_recomputes_to_the_same_bytes(market: Any, limits: TraderLimits | None) -> None:
    context = market.context(limits=limits, week_ends_at=market.close_at.replace(hour=20), long_lots=Decimal("0.10"))
    line = encode_record(decide(INTRADAY, context, market.rising(), RULES_ONLY))
    recorded = decode_record(line)
    assert isinstance(recorded, Decision)
    assert encode_record(recompute(INTRADAY, recorded, RULES_ONLY)) == line


# --- volumes --------------------------------------------------------------------------------------------------------


def test_volumes_count_their_steps_from_the_smallest_one(market: Any) -> None:
    symbol = msgspec.structs.replace(market.symbol, volume_min=Decimal("0.05"), volume_step=Decimal("0.02"))
    assert [floored(Decimal(text), symbol) for text in ("0.04", "0.05", "0.06", "0.0899", "0.09")] == [
        Decimal(0), Decimal("0.05"), Decimal("0.05"), Decimal("0.07"), Decimal("0.09"),
    ]  # fmt: skip


def test_what_is_held_on_the_side_counts_against_the_symbols_limit(market: Any) -> None:
    symbol = msgspec.structs.replace(market.symbol, volume_limit=Decimal("0.50"))
    free = size(INTRADAY, market.account, symbol, 1.08510, 1.08410, ONE)
    held = size(INTRADAY, market.account, symbol, 1.08510, 1.08410, ONE, Decimal("0.37"))
    full = size(INTRADAY, market.account, symbol, 1.08510, 1.08410, ONE, Decimal("0.70"))
    assert [(one.volume_lots, one.bound) for one in (free, held)] == [
        (Decimal("0.50"), "volume_limit"),
        (Decimal("0.13"), "volume_limit"),
    ]
    assert (full.volume_lots, full.bound) == (Decimal(0), "volume_limit allows 0 lots, the smallest volume is 0.01")


def test_margin_that_entries_under_way_will_bind_is_not_free_any_more(market: Any) -> None:
    account = msgspec.structs.replace(market.account, margin_free=Decimal(1000))
    free = size(INTRADAY, account, market.symbol, 1.08510, 1.08410, ONE)
    reserved = size(INTRADAY, account, market.symbol, 1.08510, 1.08410, ONE, reserved_margin=Decimal(800))
    assert (free.volume_lots, reserved.volume_lots, reserved.bound) == (Decimal("0.46"), Decimal("0.09"), "margin")


def test_stops_keep_the_freeze_level_too(market: Any) -> None:
    decision = decide(INTRADAY, market.context(freeze_level=400, stops_level=10), market.rising(), RULES_ONLY)
    for one in decision.candidates:
        assert one.entry_price is not None
        assert one.stop_price is not None
        assert one.target_price is not None
        side = 1 if one.kind == "LONG" else -1
        reached = 1.08500 if side > 0 else 1.08507
        assert round(side * (reached - one.stop_price) * 1e5) >= 400
        assert round(side * (one.target_price - reached) * 1e5) >= 400


# --- any sequence of decisions ------------------------------------------------------------------------------------------


@dataclass
class Entry:
    """A position, or an order that will be one."""

    symbol: str
    lots: Decimal
    risk: Decimal
    margin: Decimal
    is_filled: bool = False


SYMBOLS = ("EURUSD", "GBPUSD", "AUDUSD", "NZDUSD", "USDCAD", "USDCHF", "USDJPY")
steps = st.lists(
    st.tuples(
        st.sampled_from(["decide", "decide", "decide", "fill", "close"]),
        st.integers(0, 6),
        st.sampled_from([1.0, -1.0]),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(
    side=st.sampled_from([1.0, -1.0]), power=st.integers(-4, 4), spread=st.integers(1, 400),
    stops_level=st.integers(0, 300), margin=st.sampled_from(["0", "1085", "40000"]), free=st.sampled_from(["500", "10000"]),
)  # fmt: skip
def test_scaling_the_prices_of_a_symbol_leaves_the_verdicts_the_same(
    market: Any, side: float, power: int, spread: int, stops_level: int, margin: str, free: str
) -> None:
    """A thousandth or a thousandfold of the price, with its point and tick: what is decided differs in its prices alone."""

    def decided(power: int) -> tuple[Any, ...]:
        digits, point = 5 - power, float(f"1e{power - 5}")
        context = market.context(
            digits=digits, point=point, tick_size=point, bid=round(108_500 * point, 9),
            ask=round((108_500 + spread) * point, 9), stops_level=stops_level, margin_per_lot=Decimal(margin),
            margin_free=Decimal(free),
        )  # fmt: skip
        decision = decide(INTRADAY, context, market.rising(side), RULES_ONLY)
        risk_unit = abs((decision.entry_price or 0.0) - (decision.stop_price or 0.0))
        return (
            decision.action, decision.volume_lots, decision.risk_amount,
            [(verdict.filter, verdict.verdict) for verdict in decision.filters],
            [[(verdict.filter, verdict.verdict) for verdict in one.filters] for one in decision.candidates],
            [(state.breaker, state.is_tripped) for state in decision.breakers],
            INTRADAY.deviation(risk_unit, point),
        )  # fmt: skip

    assert decided(power) == decided(0)


@given(
    steps=steps,
    equity=st.decimals("500", "50000", places=2),
    leverage=st.sampled_from([5, 30, 100, 500]),
    risk=st.one_of(st.none(), st.floats(0.0, 0.03)),
    most=st.one_of(st.none(), st.integers(0, 7)),
    limit=st.sampled_from(["0", "0.30", "5"]),
)
def test_no_sequence_of_decisions_risks_more_than_the_limits(
    market: Any, steps: list[Any], equity: Decimal, leverage: int, risk: float | None, most: int | None, limit: str
) -> None:
    """Entries are filled late, or not for long: until then nothing but our own count knows of them (all symbols at once)."""
    limits = TraderLimits(risk_per_trade=risk, max_positions=most)
    book: dict[str, Entry] = {}
    allowed_risk = equity * Decimal(
        str(INTRADAY.risk_per_trade if risk is None else min(risk, INTRADAY.risk_per_trade))
    )
    for what, index, side in steps:
        name = SYMBOLS[index]
        if what == "fill" and name in book:
            book[name].is_filled = True
        if what == "close" and name in book and book[name].is_filled:
            del book[name]
        if what != "decide" or name in book:
            continue
        pending = [one for one in book.values() if not one.is_filled]
        used = sum((one.margin for one in book.values() if one.is_filled), Decimal(0))
        context = market.context(
            equity=equity, equity_high_water_mark=equity, day_start_equity=equity, week_start_equity=equity,
            margin_free=equity - used, leverage=leverage, limits=limits, volume_limit=Decimal(limit),
            open_positions=len(book) - len(pending), pending_entries=len(pending),
            reserved_margin=sum((one.margin for one in pending), Decimal(0)),
        )  # fmt: skip
        decision = decide(INTRADAY, context, market.rising(side), RULES_ONLY)
        if decision.action != "OPEN":
            continue
        assert decision.entry_price is not None
        margin = margin_of(market.symbol, decision.volume_lots, decision.entry_price, leverage)
        book[name] = Entry(name, decision.volume_lots, decision.risk_amount, margin)
        assert decision.risk_amount <= allowed_risk.quantize(Decimal("0.01"), rounding="ROUND_UP")
        assert Decimal(limit) == 0 or decision.volume_lots <= Decimal(limit)
        assert len(book) <= min(INTRADAY.max_positions, INTRADAY.max_positions if most is None else most)
        assert sum((one.margin for one in book.values()), Decimal(0)) <= equity
        assert sum((one.risk for one in book.values()), Decimal(0)) <= INTRADAY.max_positions * (
            allowed_risk + Decimal("0.01")
        )
