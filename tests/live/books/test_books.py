"""What an account holds and has ordered, as the next decision counts it."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from live.books.books import Books
from live.books.risk_state import RiskBook
from trading_assets.core.decisions.strategy import BreakerLimits


class Nothing:
    """Books in which nothing of ours stands."""

    def pending(self) -> list[Any]:
        return []

    def open_trades(self) -> list[Any]:
        return []


def test_what_is_not_ours_counts_in_the_volume_on_the_symbol_positions_and_working_orders_alike() -> None:
    nothing: Any = Nothing()
    books = Books(nothing, nothing, RiskBook(BreakerLimits()))
    position: Any = SimpleNamespace(symbol="EURUSDm", side="BUY", volume=Decimal("0.3"))
    order: Any = SimpleNamespace(symbol="EURUSDm", side="BUY", volume_current=Decimal("0.2"))
    elsewhere: Any = SimpleNamespace(symbol="GBPUSDm", side="SELL", volume_current=Decimal(5))
    books.foreign = {"1": position}
    books.foreign_orders = {"2": order, "3": elsewhere}
    exposure = books.exposure("EURUSD", "EURUSDm")
    assert (exposure.long_lots, exposure.short_lots, exposure.foreign) == (Decimal("0.5"), Decimal(0), 2)
