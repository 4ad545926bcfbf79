"""What is known of one account, and how it is traded: held together for the parts that share it. Nothing here decides."""

from __future__ import annotations

from dataclasses import dataclass, field

from live.orders import OrderBook
from live.risk_state import RiskBook
from live.trades import TradeBook
from trading_assets.core.decisions.strategy import Strategy
from trading_assets.core.market.clock import ClockRule
from trading_assets.core.messages import PositionFacts
from trading_assets.core.records.decisions import AccountState, SymbolState
from trading_assets.core.records.record import Mode


@dataclass
class Books:
    """What is known of one account."""

    orders: OrderBook
    trades: TradeBook
    risk: RiskBook
    account: AccountState | None = None
    specs: dict[str, SymbolState] = field(default_factory=dict)
    foreign: dict[str, PositionFacts] = field(default_factory=dict)
    """Positions that are not ours, by identifier: counted, never touched."""

    @property
    def open_positions(self) -> int:
        """Positions on the account, ours and foreign."""
        return len(self.trades.open_trades()) + len(self.foreign)


@dataclass(frozen=True, slots=True)
class Terms:
    """How one account is traded."""

    strategy: Strategy
    mode: Mode
    rule: ClockRule
    raw_symbols: dict[str, str]
    """Canonical symbol → the broker's."""
