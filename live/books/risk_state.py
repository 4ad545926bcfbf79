"""What the risk rules remember between decisions: equity marks, entry orders, slippage, tripped breakers.

One object for each account; it is rebuilt from the journal after a restart (`live.books.recovery`). What a breaker means and
when it lets go is `core.decisions.breakers`; here is only the remembering.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from trading_assets.core.decisions import breakers
from trading_assets.core.decisions.breakers import BreakerChange, KeptBreaker
from trading_assets.core.decisions.strategy import BreakerLimits
from trading_assets.core.records.decisions import BreakerState, RiskState
from trading_assets.core.records.trading import BreakerEvent, Deal, StrategyLoad, SymbolBreaker

_HOUR = timedelta(hours=1)
# Slippage is judged on the last fills of a symbol, entries and exits together.
SLIPPAGE_FILLS = 10


# Breakers that say something of an account's money or positions: of another account they say nothing.
_OF_ITS_MONEY = frozenset(
    {
        "drawdown_stop", "drawdown_halve", "daily_loss", "weekly_loss", "order_rate", "slippage_anomaly", "account",
        "reconciliation", "no_money",
    }
)  # fmt: skip


class Exposure(NamedTuple):
    """What is held and ordered already."""

    long_lots: Decimal
    """On the symbol, foreign positions included."""
    short_lots: Decimal
    foreign: int
    """Positions and working orders on the symbol that are not ours."""
    entries: int
    """Entry orders under way on the account."""
    margin: Decimal
    """Margin those will bind."""


class RiskBook:
    """Risk state of one account. Methods that trip or reset return the changes, which the caller records."""

    def __init__(self, limits: BreakerLimits) -> None:
        self._limits = limits
        self._equity: Decimal | None = None
        self._equity_at: datetime | None = None
        self._seen: Decimal | None = None
        self.unexplained = Decimal(0)
        """What the balance reported last moved by without a deal that is known, by `live.books.account_money`."""
        self._high_water_mark = Decimal(0)
        self._day: date | None = None
        self._day_start = Decimal(0)
        self._week: datetime | None = None
        self._week_start = Decimal(0)
        self._entries: deque[datetime] = deque()
        self._slippage: dict[str, deque[float]] = {}
        self._kept: tuple[KeptBreaker, ...] = ()

    @property
    def equity(self) -> Decimal | None:
        """Equity known last."""
        return self._equity

    @property
    def equity_at(self) -> datetime | None:
        """When it was known."""
        return self._equity_at

    @property
    def kept(self) -> tuple[KeptBreaker, ...]:
        """Breakers tripped now, each with the symbol it concerns."""
        return self._kept

    @property
    def tripped(self) -> tuple[BreakerState, ...]:
        """States of the breakers tripped now, those of single symbols included."""
        return tuple(kept.state for kept in self._kept)

    @property
    def slippage(self) -> dict[str, tuple[float, ...]]:
        """Slippage of each symbol's last fills, in what the limit counts in."""
        return {symbol: tuple(fills) for symbol, fills in self._slippage.items()}

    def is_tripped(self, breaker: str, symbol: str | None = None) -> bool:
        """Return whether a breaker is tripped; `symbol` asks for one of a symbol alone."""
        return any(kept.state.breaker == breaker and symbol in (None, kept.symbol) for kept in self._kept)

    def tripped_on(self, symbol: str) -> tuple[BreakerState, ...]:
        """Return the breakers tripped now that concern entries of a symbol."""
        return tuple(kept.state for kept in self._kept if kept.concerns(symbol))

    # --- what happens ---------------------------------------------------------------------------------------------

    def see_equity(self, equity: Decimal) -> None:
        """Take note of the equity reported last, whether or not it counts yet: marks are told beside it."""
        self._seen = equity

    def observe_equity(self, at: datetime, equity: Decimal) -> None:
        """Let an equity count whose balance the known deals explain."""
        self._roll(at, equity)
        self._equity, self._equity_at, self._seen = equity, at, equity
        self._high_water_mark = max(self._high_water_mark, equity)

    def observe_cash(self, amount: Decimal) -> None:
        """Take a deposit (or a withdrawal, negative) out of every mark: it is neither profit nor loss."""
        if self._equity is None:
            return
        self._equity += amount
        self._high_water_mark += amount
        self._day_start += amount
        self._week_start += amount

    def begin_anew(self) -> None:
        """The account is another one: its money is measured from nothing. What a person tripped holds until a person resets it."""
        self._equity = self._equity_at = self._seen = self._day = self._week = None
        self.unexplained = Decimal(0)
        self._high_water_mark = self._day_start = self._week_start = Decimal(0)
        self._entries.clear()
        self._slippage.clear()
        self._kept = tuple(kept for kept in self._kept if kept.state.breaker not in _OF_ITS_MONEY)

    def observe_entry(self, at: datetime) -> None:
        """Count an entry order."""
        self._entries.append(at)

    def observe_slippage(self, deal: Deal, at: datetime) -> tuple[BreakerChange, ...]:
        """Count a fill's slippage, positive when worse; an anomaly trips the breaker of its symbol."""
        if not self.restore_slippage(deal):
            return ()
        cause = breakers.slippage_cause(self._limits, self._slippage[deal.symbol])
        return self.trip("slippage_anomaly", cause, at, deal.symbol) if cause else ()

    def state(
        self,
        at: datetime,
        open_positions: int,
        pending_orders: int,
        exposure: Exposure | None = None,
        symbol: str = "",
    ) -> RiskState:
        """Return what the decision of a symbol at `at` sees; `exposure` is what is held and ordered already."""
        if self._equity is not None:
            self._roll(at, self._equity)
        while self._entries and self._entries[0] <= at - _HOUR:
            self._entries.popleft()
        # While the balance is not explained, the marks stand as far from the equity seen as from the last that counted.
        shift = Decimal(0) if self._seen is None or self._equity is None else self._seen - self._equity
        return RiskState(
            open_positions=open_positions,
            pending_orders=pending_orders,
            equity_high_water_mark=self._high_water_mark + shift,
            day_start_equity=self._day_start + shift,
            week_start_equity=self._week_start + shift,
            unexplained_balance=self.unexplained,
            orders_last_hour=len(self._entries),
            pending_entries=exposure.entries if exposure else 0,
            reserved_margin=exposure.margin if exposure else Decimal(0),
            long_lots=exposure.long_lots if exposure else Decimal(0),
            short_lots=exposure.short_lots if exposure else Decimal(0),
            foreign_positions=exposure.foreign if exposure else 0,
            breakers=breakers.latched(self._kept, at, symbol),
        )

    def marks(self) -> RiskState:
        """Return what is remembered as it is, without letting a day or a week begin: for the record of a start."""
        held = tuple(
            kept.state for kept in self._kept if not kept.symbol and breakers.is_remembered(kept.state.breaker)
        )
        return RiskState(
            open_positions=0,
            pending_orders=0,
            equity_high_water_mark=self._high_water_mark,
            day_start_equity=self._day_start,
            week_start_equity=self._week_start,
            orders_last_hour=len(self._entries),
            breakers=held,
        )

    def symbol_breakers(self) -> tuple[SymbolBreaker, ...]:
        """Return what is tripped on single symbols and does not let go by itself: for the record of a start."""
        return tuple(
            SymbolBreaker(
                symbol=kept.symbol, breaker=kept.state.breaker, effect=kept.state.effect, cause=kept.state.cause
            )
            for kept in self._kept
            if kept.symbol and breakers.is_remembered(kept.state.breaker)
        )

    # --- breakers -------------------------------------------------------------------------------------------------

    def learn(self, seen: Iterable[BreakerState], at: datetime, symbol: str = "") -> tuple[BreakerChange, ...]:
        """Keep what the decision of a symbol saw trip and let go what has lost its cause."""
        self._kept, changes = breakers.advance(self._kept, seen, at, symbol)
        return changes

    def trip(self, breaker: str, cause: str, at: datetime, symbol: str = "") -> tuple[BreakerChange, ...]:
        """Trip a breaker from outside a decision; one of scope "symbol" on its symbol."""
        self._kept, changes = breakers.trip(self._kept, breaker, cause, at, symbol)
        return changes

    def reset(self, breaker: str, cause: str, symbol: str | None = None) -> tuple[BreakerChange, ...]:
        """Reset a breaker, of one symbol or (None) wherever it is. What it measures starts anew, or it would trip again at once."""
        self._kept, changes = breakers.reset(self._kept, breaker, cause, symbol)
        for change in changes:
            self._measure_anew(breaker, change.symbol)
        return changes

    # --- recovery -------------------------------------------------------------------------------------------------

    def restore(self, seen: RiskState, equity: Decimal, at: datetime, symbol: str = "") -> None:
        """Take the marks of the last decision (or start) on record, and breakers that tripped before what is read back."""
        self._kept = breakers.inherited(self._kept, seen.breakers, at, symbol)
        moved = seen.unexplained_balance
        self._equity, self._equity_at, self._seen = equity - moved, at, equity
        self._high_water_mark = seen.equity_high_water_mark - moved
        self._day, self._day_start = at.date(), seen.day_start_equity - moved
        self._week, self._week_start = breakers.week_of(at), seen.week_start_equity - moved

    def restore_start(self, start: StrategyLoad) -> None:
        """Take what an earlier start remembered, where nothing younger was read: it may be older than what is read back."""
        for one in start.symbol_breakers:
            self._kept = breakers.inherited(self._kept, [one.state], start.known_at, one.symbol)
        if start.risk is None or (
            self._equity_at is not None and self._equity_at >= (start.equity_at or start.known_at)
        ):
            return
        if start.equity is None or start.equity_at is None:
            self._kept = breakers.inherited(self._kept, start.risk.breakers, start.known_at)
        else:
            self.restore(start.risk, start.equity, start.equity_at)

    def restore_breaker(self, event: BreakerEvent) -> None:
        """Take one recorded trip or reset."""
        if event.change == "reset" and breakers.rule_of(event.breaker).reset_by == "person":
            self._measure_anew(event.breaker, event.symbol)
        self._kept = breakers.remembered(self._kept, breakers.change_of(event), event.event_at)

    def restore_slippage(self, deal: Deal) -> bool:
        """Take one recorded fill; what it tripped is on record itself. Returns whether it says anything of slippage."""
        slippage = deal.slippage_r if self._limits.slippage[1] == "R" else deal.slippage_points
        if slippage is not None:
            self._slippage.setdefault(deal.symbol, deque(maxlen=SLIPPAGE_FILLS)).append(slippage)
        return slippage is not None

    def _roll(self, at: datetime, equity: Decimal) -> None:
        """Start a new day or week with the equity known last before it."""
        start = equity if self._equity is None else self._equity
        if self._day is None or at.date() > self._day:
            self._day, self._day_start = at.date(), start
        if self._week is None or breakers.week_of(at) > self._week:
            self._week, self._week_start = breakers.week_of(at), start

    def _measure_anew(self, breaker: str, symbol: str) -> None:
        """`symbol` is empty where the breaker was the account's."""
        if breaker == "slippage_anomaly":
            for one in [symbol] if symbol else list(self._slippage):
                self._slippage.pop(one, None)
        if breaker == "drawdown_stop" and self._equity is not None:
            self._high_water_mark = self._equity
