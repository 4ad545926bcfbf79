"""What is known of one account, and how it is traded: held together for the parts that share it. Nothing here decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from live.books.account_identity import AccountIdentity
from live.books.account_money import AccountMoney
from live.books.orders import OrderBook
from live.books.risk_state import Exposure, RiskBook
from live.books.trades import TradeBook
from live.books.unowned import Unowned
from live.clock import ServerClock
from trading_assets.core.decisions.sizing import margin_of
from trading_assets.core.decisions.strategy import Strategy
from trading_assets.core.messages import OrderFacts, PositionFacts
from trading_assets.core.records.decisions import AccountState, SymbolState, TraderLimits
from trading_assets.core.records.record import Mode
from trading_assets.core.records.trading import AccountChange, ClockVerdict, Order, Protection


class Protected(NamedTuple):
    """The latest step about a trade's stop and target."""

    step: str = ""
    sends: int = 0
    at: datetime | None = None
    told: tuple[float, float] | None = None
    """Stop and target that were reported and are left as they are."""


@dataclass
class Books:
    """What is known of one account."""

    orders: OrderBook
    trades: TradeBook
    risk: RiskBook
    account: AccountState | None = None
    identity: AccountIdentity | None = None
    """Whose account it is, by its sessions and a person's word; None before the first session."""
    deal_prefix: str = ""
    """What tickets of deals begin with here; empty for the first account."""
    balance: Decimal = Decimal(0)
    """Balance and credit as told last, also before a restart."""
    credit: Decimal = Decimal(0)
    specs: dict[str, SymbolState] = field(default_factory=dict)
    foreign: dict[str, PositionFacts] = field(default_factory=dict)
    """Positions that are not ours, by identifier: counted, never touched."""
    unowned: dict[str, Unowned] = field(default_factory=dict)
    """Positions of ours that no open trade holds, by identifier: no entries beside them, and they are closed in time."""
    is_doubted: bool = False
    """Whether something was told of our positions that only a search can make sense of."""
    clock: ClockVerdict | None = None
    """The last judgement of the server's clock on record."""
    foreign_orders: dict[str, OrderFacts] = field(default_factory=dict)
    """Working orders that are not ours, by ticket: likewise."""
    limits: TraderLimits | None = None
    """The trader's own limits as the latest hello told them, symbols by our names; None when none are set."""

    protections: dict[str, Protected] = field(default_factory=dict)
    """What was done about missing stops and targets, by trade."""
    contract_problems: dict[str, str] = field(default_factory=dict)
    """Why the contract told last of a symbol was not taken: the one before may hold no more."""
    chart_points: dict[str, float] = field(default_factory=dict)
    """Step in which a symbol's chart counts spreads: the point of its first contract, whatever a later one says."""
    week_ends: dict[str, int] = field(default_factory=dict)
    """Minute of the server's week at which a symbol's last session ends, where the terminal tells it."""

    money: AccountMoney = field(init=False)
    """What the account's own figures and its deals say of its money."""

    def __post_init__(self) -> None:
        self.money = AccountMoney(self.risk)

    @property
    def open_positions(self) -> int:
        """Positions on the account, ours and foreign."""
        return len(self.trades.open_trades()) + len(self.foreign) + len(self.unowned)

    def change_account(self, change: AccountChange) -> None:
        """The account is another one at the broker from now on; unless it is only renamed, nothing that is known holds of it."""
        self.identity = AccountIdentity(change.login, change.server, change.currency, change.margin_mode)
        self.deal_prefix = change.deal_prefix
        if change.is_renamed:
            return
        self.orders.begin_anew()
        self.trades.begin_anew()
        self.risk.begin_anew()
        self.money = AccountMoney(self.risk)
        self.is_doubted = False
        self.account, self.balance, self.credit = None, Decimal(0), Decimal(0)
        for known in (
            self.specs,
            self.foreign,
            self.foreign_orders,
            self.unowned,
            self.protections,
            self.contract_problems,
            self.week_ends,
        ):
            known.clear()

    def protection_of(self, trade: str) -> Protected:
        """Return what was done about a trade's stop and target so far."""
        return self.protections.get(trade, Protected())

    def protected(self, record: Protection) -> None:
        """Take one recorded step about a trade's stop and target."""
        before = self.protection_of(record.trade_id)
        self.protections[record.trade_id] = Protected(
            step=record.step,
            sends=before.sends + (record.step == "reattach"),
            at=record.event_at,
            told=(record.stop_price, record.target_price) if record.step in ("missing", "moved") else None,
        )

    def entries_under_way(self) -> list[Order]:
        """Return the entry orders that may still become positions: the next symbol's decision must count them."""
        orders = (intent.order for intent in self.orders.pending())
        return [order for order in orders if order.purpose == "OPEN" and not self._is_open(order)]

    def exposure(self, symbol: str, raw_symbol: str) -> Exposure:
        """Return what is held and ordered, on the symbol and on the account, ours and not ours."""
        lots = {"BUY": Decimal(0), "SELL": Decimal(0)}
        for trade in self.trades.open_trades():
            if trade.decision.symbol == symbol:
                lots[trade.side] += trade.open_lots
        entries = self.entries_under_way()
        for order in entries:
            if order.symbol == symbol:
                lots[order.side] += order.volume_lots
        positions = [facts for facts in self.foreign.values() if facts.symbol == raw_symbol]
        working = [facts for facts in self.foreign_orders.values() if facts.symbol == raw_symbol]
        ours = [one.facts for one in self.unowned.values() if one.facts.symbol == raw_symbol]
        for facts in [*positions, *ours]:
            lots[facts.side] += facts.volume
        for facts_ in working:
            lots[facts_.side] += facts_.volume_current
        return Exposure(
            long_lots=lots["BUY"],
            short_lots=lots["SELL"],
            foreign=len(positions) + len(working),
            entries=len(entries),
            margin=sum((self._margin_of(order) for order in entries), Decimal(0)),
        )

    def holds(self, symbol: str, raw_symbol: str) -> bool:
        """Return whether anything of ours is held on a symbol, with an open trade or without."""
        is_unowned = any(one.facts.symbol == raw_symbol for one in self.unowned.values())
        return is_unowned or self.trades.open_on(symbol) is not None

    def is_held(self, order: Order) -> bool:
        """Return whether the position an order closes is held, as far as is known."""
        trade = self.trades.by_position(order.position_id or "")
        return order.position_id in self.unowned or (trade is not None and trade.is_open)

    def ticket_of(self, order: Order) -> str:
        """Return the ticket told last of the position an order closes, by which commands name it; empty before it is told."""
        unowned = self.unowned.get(order.position_id or "")
        return self.trades.ticket_of(order.position_id or "") if unowned is None else unowned.facts.ticket

    def _is_open(self, order: Order) -> bool:
        trade = self.trades.open_on(order.symbol)
        return trade is not None and trade.trade_id == order.trade_id

    def _margin_of(self, order: Order) -> Decimal:
        spec = self.specs.get(order.symbol)
        if spec is None or self.account is None:
            return Decimal(0)
        return margin_of(spec, order.volume_lots, order.price, self.account.leverage)


@dataclass(frozen=True, slots=True)
class Terms:
    """How one account is traded."""

    strategy: Strategy
    mode: Mode
    rule: ServerClock
    raw_symbols: dict[str, str]
    """Canonical symbol → the broker's."""
