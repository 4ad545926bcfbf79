"""Open trades from their deals: which position belongs to which decision, marks on the way, the outcome at the end.

The broker is right about the past (invariant 5): a trade exists because of deals, and ends by them. What a path, a
mark or an outcome is lives in `core.trades`; which orders are under way in `live.books.orders`.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from live.books.known_deals import KnownDeals
from live.market.feed import LastQuote
from live.recorder import Recorder
from trading_assets.core.errors import StateError
from trading_assets.core.ids import trade_id
from trading_assets.core.records.decisions import Decision, SymbolState
from trading_assets.core.records.record import Record, Side
from trading_assets.core.records.trading import Deal, Mark, Order, Outcome
from trading_assets.core.trades import outcomes
from trading_assets.core.trades.path import MarkValues, OpenTrade, TradePath, mark_record

# A deal older than this when it becomes known was missed: the quote at hand says nothing about its fill.
_MISSED = timedelta(minutes=1)
_ZERO = Decimal(0)
# Trades given up are remembered for deals that come all the same.
_REMEMBERED = 2000
# Settled trades, each with its whole decision, for what is still said of their positions.
_SETTLED_REMEMBERED = 500


@dataclass(slots=True, eq=False)
class Trade:
    """One trade: its decision, deals in order of arrival, and the path while it is open."""

    decision: Decision
    close_reason: str = ""
    deals: list[Deal] = field(default_factory=list)
    path: TradePath | None = None
    position_id: str = ""
    marks: list[Mark] = field(default_factory=list)
    """Marks of an earlier run, until the path is followed on."""
    ticket: str = ""
    """Ticket of the position as told last: every command names it, and the server may change it. The identifier only joins deals."""
    stop_price: float | None = None
    """Stop as the terminal holds it, 0 when none; None until it is told. A person may have moved it."""
    target_price: float | None = None
    outcomes_told: int = 0
    """Tellings of its outcome so far: the number of the next one's revision."""
    is_settled: bool = False
    """Whether its outcome is told. It lives on when its position is entered again: reopened, corrected, traded on."""

    @property
    def trade_id(self) -> str:
        return trade_id(self.decision.signal_id)

    @property
    def open_lots(self) -> Decimal:
        """Volume opened less volume closed; nothing where exits are told before all of the entries."""
        opened = sum((deal.volume_lots for deal in outcomes.entries_of(self.deals)), _ZERO)
        return max(opened - sum((deal.volume_lots for deal in outcomes.exits_of(self.deals)), _ZERO), _ZERO)

    @property
    def has_entry(self) -> bool:
        """Whether a deal that entered it is known: an exit may be told first."""
        return bool(outcomes.entries_of(self.deals))

    @property
    def side(self) -> Side:
        """Side of its entries."""
        return "BUY" if self.decision.suggestion == "LONG" else "SELL"

    @property
    def is_open(self) -> bool:
        return self.open_lots > 0

    def owns(self, kind: str, entry: str) -> bool:
        """Return whether a deal on its position is its own although its outcome is told.

        Once a deal has turned the position round (netting), what is left is another's.
        """
        if any(deal.entry == "INOUT" for deal in self.deals):
            return False
        return entry in ("INOUT", "OUT_BY") or (kind == self.side) == (entry == "IN")

    @property
    def entry_price(self) -> float:
        """Average price of the entries, of which there is one at least (`has_entry`); those that reopened it do not count."""
        entries = outcomes.lives_of(self.deals)[0][0]
        if len({deal.price for deal in entries}) == 1:
            return entries[0].price
        lots = sum((deal.volume_lots for deal in entries), _ZERO)
        return sum(deal.price * float(deal.volume_lots) for deal in entries) / float(lots)

    @property
    def opened_at(self) -> datetime:
        return min(deal.event_at for deal in outcomes.entries_of(self.deals))


class TradeBook:
    """Trades of one account that are expected or open."""

    def __init__(self, recorder: Recorder, spec_of: Callable[[str], SymbolState | None]) -> None:
        self._recorder = recorder
        self._spec_of = spec_of
        self._expected: dict[str, Trade] = {}
        self._by_position: dict[str, Trade] = {}
        self._open: dict[str, list[Trade]] = {}
        self._given_up: OrderedDict[str, Trade] = OrderedDict()
        self._settled: deque[Trade] = deque()
        self.known = KnownDeals()
        """Deals that are booked, whether or not they belong to a trade."""

    # --- what is known --------------------------------------------------------------------------------------------

    def open_trades(self) -> list[Trade]:
        """Return the open trades."""
        return [trade for trades in self._open.values() for trade in trades]

    def open_on(self, symbol: str) -> Trade | None:
        """Return the open trade of a symbol that its decisions see; there is another one only when one was reopened beside it."""
        trades = self._open.get(symbol)
        return trades[0] if trades else None

    def beside(self, symbol: str) -> list[Trade]:
        """Return the open trades of a symbol that its decisions do not see."""
        return self._open.get(symbol, [])[1:]

    def by_position(self, position_id: str) -> Trade | None:
        """Return the trade of a position, open or ended in this run."""
        return self._by_position.get(position_id)

    def ticket_of(self, position_id: str) -> str:
        """Return the ticket told last for a position, by which commands name it; empty before it is told."""
        trade = self._by_position.get(position_id)
        return "" if trade is None else trade.ticket

    def expected(self, trade: str) -> Trade | None:
        """Return a trade that a decision asked for and whose first deal is not known."""
        return self._expected.get(trade)

    # --- what happens ---------------------------------------------------------------------------------------------

    def expect(self, decision: Decision) -> Trade:
        """A decision asks for a position: remember what a deal with its magic belongs to."""
        trade = Trade(decision)
        return self._expected.setdefault(trade.trade_id, trade)

    def give_up(self, trade: str) -> None:
        """The order of an expected trade came to nothing, as far as is known: a deal is believed all the same."""
        given_up = self._expected.pop(trade, None)
        if given_up is not None:
            self._given_up[trade] = given_up
            while len(self._given_up) > _REMEMBERED:
                self._given_up.popitem(last=False)

    def trade_of(self, position_id: str, order: Order | None, kind: str, entry: str) -> Trade | None:
        """Return the trade a deal belongs to: by its position, or by the order of ours that made it."""
        known = self._by_position.get(position_id)
        if known is None and order is not None:
            known = self._expected.get(order.trade_id) or self._given_up.get(order.trade_id)
        return None if known is not None and known.is_settled and not known.owns(kind, entry) else known

    def add(self, trade: Trade, deal: Deal, quote: LastQuote | None) -> list[Record]:
        """Take one deal of a trade; returns the marks and the outcome it makes. The quote is the last one known."""
        self.known.add(deal)
        trade.deals.append(deal)
        trade.position_id = deal.position_id
        self._by_position[deal.position_id] = trade
        if trade.is_open:
            self._no_longer_expected(trade)
            self._put(trade)
            return list(self._follow(trade, deal, quote))
        if outcomes.is_closed(trade.deals):
            self._no_longer_expected(trade)
            self._drop(trade)
            return self._settle(trade)
        return []

    def correct(self, deal: Deal) -> None:
        """Take a deal that was booked and is told again with other figures."""
        self.known.add(deal)
        trade = self._by_position.get(deal.position_id)
        if trade is None or all(other.deal_ticket != deal.deal_ticket for other in trade.deals):
            return
        trade.deals = [deal if other.deal_ticket == deal.deal_ticket else other for other in trade.deals]
        if trade.is_open and trade.path is not None:
            trade.path.resize(trade.open_lots, trade.entry_price)
        elif not trade.has_entry:
            # Its entry was taken back: there is no position.
            self._drop(trade)

    def take_back(self, deal: Deal, trade: Trade | None) -> None:
        """A deal could not be booked after all: it is as unknown as before, to be told again."""
        self.known.forget(deal.deal_ticket)
        if trade is not None:
            trade.deals = [other for other in trade.deals if other.deal_ticket != deal.deal_ticket]
            if trade.is_open:
                self._put(trade)
            elif outcomes.is_closed(trade.deals):
                self._drop(trade)
                self._end(trade)

    def quote(self, symbol: str, at: datetime, bid: float, ask: float) -> Mark | None:
        """Show the open trade of a symbol one quote; returns the mark it makes."""
        trade = self.open_on(symbol)
        if trade is None or trade.path is None:
            return None
        values = trade.path.add(at, bid, ask)
        if values is None:
            return None
        return self._mark(trade, values)

    def begin_anew(self) -> None:
        """The account is another one: no trade and no deal is its own."""
        for known in (self._expected, self._by_position, self._open, self._given_up, self._settled):
            known.clear()
        self.known = KnownDeals()

    def revalue(self, spec: SymbolState) -> None:
        """A symbol's contract has changed: from now on its open trade is valued by the new one."""
        for trade in self._open.get(spec.symbol, []):
            if trade.path is not None:
                trade.path.revalue(spec.tick_size, spec.tick_value)

    # --- recovery -------------------------------------------------------------------------------------------------

    def restore_deal(self, deal: Deal, order: Order | None) -> None:
        """Take a recorded deal; marks and outcomes of its time are on record already."""
        if deal.deal_ticket in self.known:
            self.correct(deal)
            return
        self.known.add(deal)
        named = deal.trade_id or ""
        trade = self._by_position.get(deal.position_id) or self._expected.get(named) or self._given_up.get(named)
        if trade is None or (trade.is_settled and not trade.owns(deal.kind, deal.entry)):
            return
        trade.deals.append(deal)
        trade.position_id = deal.position_id
        self._by_position[deal.position_id] = trade
        if order is not None and order.purpose == "CLOSE":
            trade.close_reason = order.close_reason
        if not trade.has_entry or (trade.is_settled and not trade.is_open and not outcomes.is_closed(trade.deals)):
            return  # An exit was told first, and the crash came before its entry was: that is still expected.
        self._no_longer_expected(trade)
        # A trade whose exit is on record stays here until its outcome is, too.
        self._put(trade)

    def follow_on(self) -> list[Record]:
        """Follow the open trades of an earlier run on, once the contracts are known; returns outcomes a crash held back."""
        records: list[Record] = []
        for trade in self.open_trades():
            if trade.path is None:
                trade.path = self._path(trade)
                if trade.path is not None:
                    trade.path.resume(trade.marks)
                    trade.marks = []
            if trade.path is not None and outcomes.is_closed(trade.deals):
                self._drop(trade)
                records += self._settle(trade)
        return records

    def end(self, outcome: Outcome) -> None:
        """Take a recorded outcome."""
        self.told(outcome)
        for trade in self._open.get(outcome.symbol, [])[:]:
            if trade.trade_id == outcome.trade_id:
                self._drop(trade)
                self._end(trade)

    def told(self, outcome: Outcome) -> None:
        """A trade's outcome is told: the next telling is the next revision."""
        trade = self._by_position.get(outcome.position_id)
        if trade is not None and trade.trade_id == outcome.trade_id:
            trade.outcomes_told = max(trade.outcomes_told, outcome.revision + 1)

    # --- details --------------------------------------------------------------------------------------------------

    def _put(self, trade: Trade) -> None:
        """A trade is open: for the first time, or again."""
        if trade.is_settled:
            # What ends it from here on is another exit, for another reason.
            trade.is_settled, trade.close_reason = False, ""
            if trade in self._settled:
                self._settled.remove(trade)
        trades = self._open.setdefault(trade.decision.symbol, [])
        if trade not in trades:
            trades.append(trade)

    def _drop(self, trade: Trade) -> None:
        trades = self._open.get(trade.decision.symbol, [])
        if trade in trades:
            trades.remove(trade)

    def _end(self, trade: Trade) -> None:
        """A trade is settled: keep it a while, not for ever."""
        if not trade.is_settled:
            trade.is_settled = True
            self._settled.append(trade)
        while len(self._settled) > _SETTLED_REMEMBERED:
            oldest = self._settled.popleft()
            if self._by_position.get(oldest.position_id) is oldest:
                del self._by_position[oldest.position_id]

    def _no_longer_expected(self, trade: Trade) -> None:
        self._expected.pop(trade.trade_id, None)
        self._given_up.pop(trade.trade_id, None)

    def _follow(self, trade: Trade, deal: Deal, quote: LastQuote | None) -> list[Mark]:
        if trade.path is not None:
            trade.path.resize(trade.open_lots, trade.entry_price)
            return []
        trade.path = self._path(trade)
        if trade.path is None or quote is None or quote.at - deal.event_at > _MISSED:
            return []
        return [self._mark(trade, trade.path.open(max(quote.at, deal.event_at), quote.bid, quote.ask))]

    def _path(self, trade: Trade) -> TradePath | None:
        spec = self._spec_of(trade.decision.symbol)
        if spec is None or not trade.has_entry:
            return None
        candidate = outcomes.candidate_of(trade.decision)
        return TradePath(
            OpenTrade(
                trade_id=trade.trade_id,
                signal_id=trade.decision.signal_id,
                symbol=trade.decision.symbol,
                side="BUY" if candidate.kind == "LONG" else "SELL",
                volume_lots=trade.open_lots,
                entry_price=trade.entry_price,
                stop_price=candidate.stop_price or 0.0,
                target_price=candidate.target_price or 0.0,
                risk_unit=candidate.risk_unit or 0.0,
                opened_at=trade.opened_at,
                tick_size=spec.tick_size,
                tick_value=spec.tick_value,
            )
        )

    def _mark(self, trade: Trade, values: MarkValues) -> Mark:
        assert trade.path is not None
        recorder = self._recorder
        return mark_record(
            trade.path,
            values,
            recorder.tenant,
            recorder.account,
            trade.decision.chain_id,
            recorder.clock.now(),
        )

    def _settle(self, trade: Trade) -> list[Record]:
        self._end(trade)
        path = trade.path or self._path(trade)
        if path is None:
            return []
        try:
            told = outcomes.outcome(
                trade.decision, trade.deals, path.summary(), trade.close_reason, self._recorder.clock.now()
            )
        except StateError as error:
            self._recorder.error("live.books.trades", str(error))
            return []
        revision, trade.outcomes_told = trade.outcomes_told, trade.outcomes_told + 1
        return [msgspec.structs.replace(told, revision=revision)]
