from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st

from trading_assets.core.decisions.sizing import commission_distance, loss_per_lot, margin_of, size
from trading_assets.core.decisions.strategy import INTRADAY

ONE, HALF = Decimal(1), Decimal("0.5")
money = st.decimals("1", "10000000", places=2)


def test_one_percent_of_equity_is_lost_at_the_stop(market: Any) -> None:
    # 100 points of 1.00 and 7.00 of commission: 107.00 a lot, 100.00 to lose.
    result = size(INTRADAY, market.account, market.symbol, 1.08510, 1.08410, ONE)
    assert (result.volume_lots, result.risk_amount, result.bound) == (Decimal("0.93"), Decimal("99.51"), "risk")


def test_a_halving_breaker_halves_it(market: Any) -> None:
    assert size(INTRADAY, market.account, market.symbol, 1.08510, 1.08410, HALF).volume_lots == Decimal("0.46")


def test_leverage_margin_and_the_symbols_maximum_bind(market: Any) -> None:
    def bound(strategy_changes: dict[str, Any], **changes: Any) -> str:
        strategy = msgspec.structs.replace(INTRADAY, **strategy_changes)
        account = msgspec.structs.replace(market.account, **{k: v for k, v in changes.items() if k != "volume_max"})
        symbol = msgspec.structs.replace(market.symbol, volume_max=changes.get("volume_max", market.symbol.volume_max))
        return size(strategy, account, symbol, 1.08510, 1.08410, ONE).bound

    assert bound({"max_leverage": 2.0}) == "leverage"
    assert bound({}, margin_free=Decimal("500")) == "margin"
    assert bound({}, volume_max=Decimal("0.10")) == "volume_max"


def test_the_brokers_margin_of_the_symbol_binds_and_not_the_accounts_leverage(market: Any) -> None:
    # 2,000 dollars of half of the free margin: by the account's leverage 1085.10 a lot, by the broker 50,000.
    poor = msgspec.structs.replace(market.account, margin_free=Decimal("4000"))
    dear = msgspec.structs.replace(market.symbol, margin_per_lot=Decimal(50000))
    assert size(INTRADAY, poor, market.symbol, 1.08510, 1.08410, ONE).bound == "risk"
    result = size(INTRADAY, poor, dear, 1.08510, 1.08410, ONE)
    assert (result.volume_lots, result.bound) == (Decimal("0.04"), "margin")
    assert margin_of(dear, Decimal("0.04"), 1.08510, 100) == Decimal("2000.00")
    assert margin_of(market.symbol, Decimal("0.04"), 1.08510, 100) == Decimal("43.41")


def test_what_is_less_than_the_smallest_volume_is_nothing(market: Any) -> None:
    poor = msgspec.structs.replace(market.account, equity=Decimal("20.00"))
    result = size(INTRADAY, poor, market.symbol, 1.08510, 1.08410, ONE)
    assert (result.volume_lots, result.risk_amount) == (Decimal(0), Decimal(0))
    assert result.bound == "risk allows 0 lots, the smallest volume is 0.01"


def test_no_equity_or_no_distance_gives_no_volume(market: Any) -> None:
    ruined = msgspec.structs.replace(market.account, equity=Decimal("-5.00"))
    assert size(INTRADAY, ruined, market.symbol, 1.08510, 1.08410, ONE).volume_lots == 0
    assert size(INTRADAY, market.account, market.symbol, 1.08510, 1.08510, ONE).volume_lots == 0


@given(
    equity=money,
    margin_free=st.decimals("-1000", "10000000", places=2),
    leverage=st.integers(1, 1000),
    tick_value=st.decimals("0.01", "50", places=4),
    commission=st.decimals("0", "30", places=2),
    step=st.sampled_from(["0.001", "0.01", "0.1", "0.05", "1"]),
    minimum_steps=st.integers(1, 20),
    entry_ticks=st.integers(10_000, 300_000),
    stop_ticks=st.integers(1, 5_000),
    side=st.sampled_from([1, -1]),
    risk=st.floats(0.0001, 0.05),
    factor=st.sampled_from([ONE, HALF]),
)
def test_never_above_risk_step_margin_leverage_or_maximum(
    market: Any,
    equity: Decimal,
    margin_free: Decimal,
    leverage: int,
    tick_value: Decimal,
    commission: Decimal,
    step: str,
    minimum_steps: int,
    entry_ticks: int,
    stop_ticks: int,
    side: int,
    risk: float,
    factor: Decimal,
) -> None:
    assume(stop_ticks < entry_ticks)
    tick = Decimal("0.00001")
    symbol = msgspec.structs.replace(
        market.symbol,
        tick_value=tick_value,
        commission_per_lot=commission,
        volume_step=Decimal(step),
        volume_min=minimum_steps * Decimal(step),
    )
    account = msgspec.structs.replace(market.account, equity=equity, margin_free=margin_free, leverage=leverage)
    strategy = msgspec.structs.replace(INTRADAY, risk_per_trade=risk)
    entry, stop = entry_ticks * tick, (entry_ticks - side * stop_ticks) * tick
    result = size(strategy, account, symbol, float(entry), float(stop), factor)

    volume = result.volume_lots
    assert volume % symbol.volume_step == 0
    assert volume == 0 or symbol.volume_min <= volume <= symbol.volume_max
    loss = volume * (stop_ticks * tick_value + 2 * commission)
    assert loss <= equity * Decimal(str(risk)) * factor
    assert loss <= result.risk_amount <= loss + Decimal("0.01")
    notional = volume * entry_ticks * tick_value
    assert notional <= equity * Decimal(str(strategy.max_leverage))
    assert notional <= max(margin_free, Decimal(0)) * Decimal(str(strategy.max_margin_share)) * leverage


def test_loss_and_commission_are_counted_both_ways(market: Any) -> None:
    assert loss_per_lot(market.symbol, 1.08510, 1.08410) == Decimal("107.00")
    assert loss_per_lot(market.symbol, 1.08410, 1.08510) == Decimal("107.00")
    assert round(commission_distance(market.symbol) * 1e5, 9) == 7.0
