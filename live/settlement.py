"""What the terminal reports about trading, booked: order results, deals, positions, the account.

The broker is right about the past (invariant 5): a deal is booked whether or not it was expected, once, by its ticket.
Comparing everything at once is `live.reconciliation`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

from live.books import Books
from live.feed import Feed
from live.orders import Intent
from live.recorder import Recorder
from live.settings import AccountSettings
from live.trader import Trader
from live.trades import Trade
from trading_assets.core.market.clock import ClockRule
from trading_assets.core.messages import AccountFacts, DealFacts, OrderUpdate, PositionFacts, SymbolFacts
from trading_assets.core.records.decisions import AccountState, SymbolState
from trading_assets.core.records.record import Record
from trading_assets.core.records.trading import AccountSnapshot, Deal, Position, SymbolSpec
from trading_assets.core.trades.lifecycle import Answered, Filled, result_of


class Settlement:
    """Books one account's results."""

    def __init__(
        self,
        recorder: Recorder,
        settings: AccountSettings,
        rule: ClockRule,
        feed: Feed,
        books: Books,
        trader: Trader,
    ) -> None:
        self._recorder = recorder
        self._commission = settings.commission_per_lot
        self._canonical = settings.symbols
        self._rule = rule
        self._feed = feed
        self._books = books
        self._trader = trader
        self._again: list[Intent] = []
        self._last_equity: AccountFacts | None = None

    # --- account --------------------------------------------------------------------------------------------------

    def account(self, facts: AccountFacts, chain_id: str) -> None:
        """Take the account as it is now."""
        self._recorder.buffer([self._account_record(facts, chain_id)])
        self._see_account(facts)
        self._books.risk.observe_equity(self._recorder.clock.now(), facts.equity)

    def first_account(self, facts: AccountFacts, chain_id: str) -> None:
        """Take the account of a new session: its equity counts once the deals that led to it are known."""
        self._recorder.commit([self._account_record(facts, chain_id)])
        self._see_account(facts)
        self._last_equity = facts

    def count_equity(self) -> None:
        """The deals are known: let the account's equity count."""
        if self._last_equity is not None:
            self._books.risk.observe_equity(self._recorder.clock.now(), self._last_equity.equity)
            self._last_equity = None

    def contracts(self, symbols: Sequence[SymbolFacts], chain_id: str) -> list[Record]:
        """Take the contracts of the account's symbols as reported; returns their records."""
        records: list[Record] = []
        for facts in symbols:
            symbol = self._canonical.get(facts.symbol)
            if symbol is None:
                continue
            spec = SymbolState(
                symbol=symbol,
                digits=facts.digits,
                point=facts.point,
                tick_size=facts.trade_tick_size,
                tick_value=facts.trade_tick_value,
                contract_size=facts.contract_size,
                volume_min=facts.volume_min,
                volume_max=facts.volume_max,
                volume_step=facts.volume_step,
                stops_level=facts.stops_level,
                commission_per_lot=facts.commission_per_lot if self._commission is None else self._commission,
            )
            self._books.specs[symbol] = spec
            now, chain = self._recorder.clock.now(), chain_id or self._recorder.chain(symbol)
            records.append(
                self._recorder.make(SymbolSpec, now, chain, symbol=symbol, raw_symbol=facts.symbol, spec=spec)
            )
        return records

    # --- orders ---------------------------------------------------------------------------------------------------

    async def order_update(self, update: OrderUpdate) -> None:
        """Take the answer to an order."""
        intent = self._books.orders.find(update.request_id)
        if intent is None:
            self._recorder.error(
                "live.settlement",
                f"the terminal answered request {update.request_id}, which is not ours; nothing is changed",
            )
            return
        result = result_of(update.retcode)
        facts = update.order
        changes: dict[str, object] = {"retcode": update.retcode}
        if facts is not None:
            changes["order_ticket"] = facts.ticket
            if intent.order.purpose == "OPEN" and facts.position_id != "0":
                changes["position_id"] = facts.position_id
        if intent.order.state == "PLANNED":
            return  # Given back already by an earlier answer.
        record = self._books.orders.advance(intent, Answered(update.retcode), update.comment or result.words, **changes)
        records: list[Record] = [] if record is None else [record]
        if result.trips:
            cause = f"order refused with {update.retcode}: {result.words}"
            changed = self._books.risk.trip(result.trips, cause, self._recorder.clock.now())
            records += self._recorder.breaker_events(changed, intent.order.chain_id)
        self._recorder.commit(records)
        match intent.order.state:
            case "REFUSED":
                self.came_to_nothing(intent)
            case "PLANNED":
                self._again.append(intent)

    async def retry(self) -> None:
        """Deal with orders that may be sent again: their price had moved, or the server was busy."""
        again, self._again = self._again, []
        for intent in again:
            if intent.order.state == "PLANNED":
                await self._trader.send_again(intent)

    def came_to_nothing(self, intent: Intent) -> None:
        """An order ended without a fill."""
        if intent.order.purpose == "OPEN":
            self._books.trades.give_up(intent.order.trade_id)
        else:
            self._trader.closing_failed(intent.order.trade_id, f"the position was not closed: {intent.order.reason}")

    # --- deals ----------------------------------------------------------------------------------------------------

    async def deal(self, facts: DealFacts, chain_id: str, account: AccountFacts | None) -> None:
        """Book one deal, once; `account` is the account after it, where it is reported."""
        if facts.ticket in self._books.trades.known_deals:
            return
        intent = self._books.orders.find(facts.magic)
        opening = intent.order if intent is not None and intent.order.purpose == "OPEN" else None
        trade = self._books.trades.trade_of(facts.position_id, opening)
        deal = self._deal_record(facts, chain_id, trade, intent)
        records: list[Record] = [deal]
        # A stop's or target's deal carries the magic of the entry, which it does not fill.
        if intent is not None and (intent.order.purpose == "OPEN") == (deal.entry == "IN"):
            records += self._filled(intent, deal)
        if trade is None:
            self._books.trades.remember(deal)
        else:
            if intent is not None and intent.order.purpose == "CLOSE":
                trade.close_reason = intent.order.close_reason
            quote = self._feed.last.get(deal.symbol)
            records += self._books.trades.add(trade, deal, quote)
        records += self._judged(deal)
        if account is not None:
            records.append(self._account_record(account, chain_id))
            self._see_account(account)
            self._books.risk.observe_equity(self._recorder.clock.now(), account.equity)
        self._recorder.commit(records)
        if trade is not None and not trade.is_open:
            await self._trader.position_closed(trade.trade_id)

    def position(self, facts: PositionFacts, chain_id: str) -> None:
        """Record a position as reported; one that is not ours is counted and left alone."""
        trade = self._books.trades.by_position(facts.identifier)
        if trade is None and self._books.orders.find(facts.magic) is None:
            if facts.volume:
                self._books.foreign[facts.identifier] = facts
            else:
                self._books.foreign.pop(facts.identifier, None)
        self._recorder.buffer([self.position_record(facts, chain_id, trade)])

    def position_record(self, facts: PositionFacts, chain_id: str, trade: Trade | None) -> Position:
        """Return the record of a position."""
        return self._recorder.make(
            Position,
            self._recorder.clock.now(),
            (trade.decision.chain_id if trade else chain_id) or self._recorder.chain(),
            position_id=facts.identifier,
            trade_id=trade.trade_id if trade else None,
            magic=facts.magic,
            symbol=self._canonical.get(facts.symbol, facts.symbol),
            side=facts.side,
            volume_lots=facts.volume,
            price_open=facts.price_open,
            stop_price=facts.sl,
            target_price=facts.tp,
            swap=facts.swap,
            profit=facts.profit,
        )

    # --- details --------------------------------------------------------------------------------------------------

    def _filled(self, intent: Intent, deal: Deal) -> list[Record]:
        order = intent.order
        filled = order.filled_lots + deal.volume_lots
        changes: dict[str, object] = {"filled_lots": filled, "order_ticket": deal.order_ticket}
        if order.purpose == "OPEN":
            changes["position_id"] = deal.position_id
        record = self._books.orders.advance(
            intent, Filled(filled, order.volume_lots), f"filled {filled} of {order.volume_lots} lots", **changes
        )
        return [] if record is None else [record]

    def _judged(self, deal: Deal) -> list[Record]:
        """Let a deal count in the risk state: deposits and withdrawals, and slippage."""
        if deal.kind in ("BALANCE", "CREDIT"):
            self._books.risk.observe_cash(deal.profit)
            return []
        if deal.slippage_points is None:
            return []
        changes = self._books.risk.observe_slippage(deal.slippage_points, self._recorder.clock.now())
        return list(self._recorder.breaker_events(changes, deal.chain_id))

    def _deal_record(self, facts: DealFacts, chain_id: str, trade: Trade | None, intent: Intent | None) -> Deal:
        symbol = self._canonical.get(facts.symbol, facts.symbol)
        chain = trade.decision.chain_id if trade else chain_id
        return self._recorder.make(
            Deal,
            self._rule.to_utc(facts.time_msc),
            chain or self._recorder.chain(symbol),
            deal_ticket=facts.ticket,
            order_ticket=facts.order,
            position_id=facts.position_id,
            trade_id=trade.trade_id if trade else None,
            signal_id=trade.decision.signal_id if trade else None,
            magic=facts.magic,
            symbol=symbol,
            kind=facts.kind,
            entry=facts.entry,
            reason=facts.reason,
            volume_lots=facts.volume,
            price=facts.price,
            profit=facts.profit,
            commission=facts.commission,
            swap=facts.swap,
            fee=facts.fee,
            slippage_points=self._slippage(facts, symbol, trade, intent),
            comment=facts.comment,
            server_msc=facts.time_msc,
        )

    def _slippage(self, facts: DealFacts, symbol: str, trade: Trade | None, intent: Intent | None) -> float | None:
        """Return the fill against the price expected, in points, positive when worse; None where none was expected."""
        spec = self._books.specs.get(symbol)
        if trade is None or spec is None or facts.kind not in ("BUY", "SELL"):
            return None
        decision = trade.decision
        expected = {"SL": decision.stop_price, "TP": decision.target_price}.get(facts.reason)
        if intent is not None and facts.reason == "EXPERT":
            expected = intent.order.price
        if not expected:
            return None
        worse = facts.price - expected if facts.kind == "BUY" else expected - facts.price
        return round(worse / spec.point, 6)

    def _see_account(self, facts: AccountFacts) -> None:
        self._books.account = AccountState(
            currency=facts.currency,
            balance=facts.balance,
            equity=facts.equity,
            margin_free=facts.margin_free,
            leverage=facts.leverage,
            trade_allowed=facts.trade_allowed,
        )

    def _account_record(self, facts: AccountFacts, chain_id: str) -> AccountSnapshot:
        return self._recorder.make(
            AccountSnapshot,
            self._recorder.clock.now(),
            chain_id or self._recorder.chain(),
            currency=facts.currency,
            balance=facts.balance,
            equity=facts.equity,
            credit=facts.credit,
            margin=facts.margin,
            margin_free=facts.margin_free,
            leverage=facts.leverage,
        )
