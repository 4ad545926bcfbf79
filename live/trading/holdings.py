"""What an account holds and may trade, as its terminal reports it: money, contracts, positions.

Nothing here is compared or judged: that is `live.trading.reconciliation`'s and `live.trading.protection`'s. What changes a
position is a deal (`live.trading.settlement`).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from live.books.books import Books
from live.books.trades import Trade
from live.bridge.soundness import contract_fault
from live.recorder import Recorder
from live.settings import AccountSettings
from live.trading.protection import Protector
from trading_assets.core.messages import AccountFacts, PositionFacts, SymbolFacts
from trading_assets.core.records.decisions import AccountState, SymbolState
from trading_assets.core.records.market import Quarantine
from trading_assets.core.records.record import Record
from trading_assets.core.records.trading import AccountSnapshot, Deal, Position, SymbolSpec


class Holdings:
    """Takes what is reported of one account."""

    def __init__(self, recorder: Recorder, settings: AccountSettings, books: Books, protector: Protector) -> None:
        self._recorder = recorder
        self._commission = settings.commission_per_lot
        self._canonical = settings.symbols
        self._books = books
        self._protector = protector
        self._last_equity: AccountFacts | None = None
        self._unsound: dict[str, str] = {}
        self._balance: Decimal | None = None

    # --- money ----------------------------------------------------------------------------------------------------

    def account(self, facts: AccountFacts, chain_id: str) -> None:
        """Take the account as it is now."""
        self._recorder.buffer([self.account_record(facts, chain_id)])
        self.see(facts)
        self._books.risk.observe_equity(self._recorder.clock.now(), facts.equity)

    def first_account(self, facts: AccountFacts, chain_id: str) -> None:
        """Take the account of a new session: its equity counts once the deals that led to it are known."""
        self._recorder.commit([self.account_record(facts, chain_id)])
        self.see(facts)
        self._last_equity = facts

    def count_equity(self) -> None:
        """The deals are known: let the account's equity count."""
        if self._last_equity is not None:
            self._books.risk.observe_equity(self._recorder.clock.now(), self._last_equity.equity)
            self._last_equity = None

    def agree(self, facts: AccountFacts) -> None:
        """All deals up to this report are booked: from here on each further one must explain the balance."""
        self._balance = facts.balance

    def booked(self, deal: Deal) -> None:
        """Take note of what a deal does to the balance."""
        if self._balance is not None:
            self._balance += deal.profit + deal.commission + deal.swap + deal.fee

    def is_explained(self, facts: AccountFacts | None) -> bool:
        """Return whether the deals that are known make this balance; else one was never told."""
        return facts is None or self._balance is None or facts.balance == self._balance

    def see(self, facts: AccountFacts) -> None:
        """Let the next decision see the account as it is now."""
        self._books.account = AccountState(
            currency=facts.currency,
            balance=facts.balance,
            equity=facts.equity,
            margin_free=facts.margin_free,
            leverage=facts.leverage,
            trade_allowed=facts.trade_allowed,
            margin_mode=facts.margin_mode,
        )

    def account_record(self, facts: AccountFacts, chain_id: str) -> AccountSnapshot:
        """Return the record of the account."""
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

    # --- contracts ------------------------------------------------------------------------------------------------

    def contracts(self, symbols: Sequence[SymbolFacts], chain_id: str) -> list[Record]:
        """Take the contracts of the account's symbols as reported; returns their records."""
        records: list[Record] = []
        for facts in symbols:
            symbol = self._canonical.get(facts.symbol)
            if symbol is None:
                continue
            fault = contract_fault(facts)
            if fault:
                records += self._refused(symbol, fault, chain_id)
                continue
            self._unsound.pop(symbol, None)
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
                freeze_level=facts.freeze_level,
                filling_mode=facts.filling_mode,
                trade_exemode=facts.trade_exemode,
                trade_mode=facts.trade_mode,
                volume_limit=facts.volume_limit,
                commission_per_lot=facts.commission_per_lot if self._commission is None else self._commission,
                swap_long=facts.swap_long,
                swap_short=facts.swap_short,
            )
            self._books.specs[symbol] = spec
            if facts.week_end_minute is None:
                self._books.week_ends.pop(symbol, None)  # What an earlier session told holds no more.
            else:
                self._books.week_ends[symbol] = facts.week_end_minute
            now, chain = self._recorder.clock.now(), chain_id or self._recorder.chain(symbol)
            records.append(
                self._recorder.make(SymbolSpec, now, chain, symbol=symbol, raw_symbol=facts.symbol, spec=spec)
            )
        return records

    def unsound(self, symbols: Sequence[SymbolFacts]) -> list[SymbolFacts]:
        """Return the contracts that were refused before and are told once more."""
        return [facts for facts in symbols if self._canonical.get(facts.symbol) in self._unsound]

    def _refused(self, symbol: str, fault: str, chain_id: str) -> list[Record]:
        """Refuse a contract nobody can count with; it is looked at anew when it is told again. Each fault is told once."""
        if self._unsound.get(symbol) == fault:
            return []
        self._unsound[symbol] = fault
        recorder = self._recorder
        chain, subject = chain_id or recorder.chain(symbol), f"{fault}; it is not taken, the other symbols are traded"
        return [
            recorder.make(
                Quarantine, recorder.clock.now(), chain, symbol=symbol, reason="unsound_contract", subject=subject
            )
        ]

    # --- positions ------------------------------------------------------------------------------------------------

    def position(self, facts: PositionFacts, chain_id: str) -> None:
        """Record a position as reported; one that is not ours is counted and left alone."""
        trade = self._books.trades.by_position(facts.identifier)
        if trade is not None and trade.is_open:
            trade.ticket = facts.ticket
            self._protector.look(facts, trade)
        elif self._books.orders.find(facts.magic) is None:
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
