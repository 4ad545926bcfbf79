"""What an account holds, as its terminal reports it: money and positions. What it may trade is `live.trading.contracts`'.

Nothing here is compared or judged: that is `live.trading.reconciliation`'s and `live.trading.protection`'s. What changes a
position is a deal (`live.trading.settlement`).
"""

from __future__ import annotations

from live.books.books import Books
from live.books.trades import Trade
from live.books.unowned import BREAKER, Unowned, owner_of
from live.recorder import Recorder
from live.settings import AccountSettings
from live.trading.protection import Protector
from trading_assets.core.messages import AccountFacts, PositionFacts
from trading_assets.core.records.decisions import AccountState
from trading_assets.core.records.record import Record
from trading_assets.core.records.trading import AccountSnapshot, Deal, Position


class Holdings:
    """Takes what is reported of one account."""

    def __init__(self, recorder: Recorder, settings: AccountSettings, books: Books, protector: Protector) -> None:
        self._recorder = recorder
        self._canonical = settings.symbols
        self._books = books
        self._protector = protector
        self._told: AccountFacts | None = None

    # --- money ----------------------------------------------------------------------------------------------------

    def account(self, facts: AccountFacts, chain_id: str) -> None:
        """Take the account as it is now."""
        self._recorder.buffer([self.account_record(facts, chain_id)])
        self.see(facts)

    def first_account(self, facts: AccountFacts, chain_id: str) -> None:
        """Take the account of a new session: its equity counts once the deals that led to it are known."""
        self._recorder.commit([self.account_record(facts, chain_id)])
        self.see(facts)

    def snapshot_account(self, facts: AccountFacts, chain_id: str) -> list[Record]:
        """Take the account of a snapshot like that of a heartbeat; returns its record when it differs from the last one."""
        is_news = facts != self._told
        self.see(facts)
        return [self.account_record(facts, chain_id)] if is_news else []

    def agree(self) -> None:
        """All deals the terminal knows are booked: from here on each further one must explain the balance."""
        moved = self._books.money.agree()
        if moved:
            self._recorder.finding(
                "live.trading.holdings",
                "balance",
                "each change of the balance has its deal",
                f"it moved by {moved} and the terminal knows no deal of that; it counts as profit or loss",
                "look it up in the terminal's history; where it was a deposit or withdrawal, `trading breaker reset"
                " drawdown_stop` sets the mark anew",
            )

    def is_explained(self, facts: AccountFacts | None) -> bool:
        """Return whether the deals that are known make this balance; else one was never told."""
        return facts is None or self._books.money.would_explain(facts.balance)

    def see(self, facts: AccountFacts) -> None:
        """Let the next decision see the account as it is now, and the marks what of it is explained."""
        self._told = facts
        now = self._recorder.clock.now()
        self._books.money.account(now, facts.balance, facts.equity, facts.credit)
        self._books.balance, self._books.credit = facts.balance, facts.credit
        self._books.account = AccountState(
            currency=facts.currency,
            balance=facts.balance,
            equity=facts.equity,
            margin_free=facts.margin_free,
            leverage=facts.leverage,
            trade_allowed=facts.trade_allowed,
            margin_mode=facts.margin_mode,
        )

    def begin_anew(self) -> None:
        """The account is another one: nothing that was told holds of it."""
        self._told = None

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
            is_trade_allowed=facts.trade_allowed,
        )

    # --- positions ------------------------------------------------------------------------------------------------

    def position(self, facts: PositionFacts, chain_id: str) -> None:
        """Record a position as reported; one that is not ours is counted and left alone."""
        books = self._books
        trade = books.trades.by_position(facts.identifier)
        if trade is not None:
            trade.ticket = facts.ticket
        if not facts.volume:
            books.foreign.pop(facts.identifier, None)
            # Its symbol may be entered again once a search says so, too.
            books.is_doubted = books.unowned.pop(facts.identifier, None) is not None or books.is_doubted
        match owner_of(facts, books.orders, books.trades):
            case "trade" if trade is not None:
                self._protector.look(facts, trade)
            case "foreign" if facts.volume:
                books.foreign[facts.identifier] = facts
            case "nobody" if facts.volume:
                self._doubt(Unowned(facts, trade))
        self._recorder.buffer([self.position_record(facts, chain_id, trade)])

    def _doubt(self, told: Unowned) -> None:
        """Nothing is opened beside a position of ours that seems to have no owner; a search tells whether it has."""
        books, facts = self._books, told.facts
        symbol = self._canonical.get(facts.symbol)
        if facts.identifier in books.unowned or symbol is None:
            return
        subject, expectation, observed = told.finding
        self._stop(symbol, f"{subject}: {expectation}, but {observed}; the terminal is asked")

    def doubt(self, deal: Deal) -> None:
        """The server closed a position of ours for its own ends: it may book it anew, so nothing is opened until it was asked."""
        words = f"position {deal.position_id} was closed by the server ({deal.reason}) and may be booked anew"
        self._stop(deal.symbol, f"{words}; the terminal is asked")

    def _stop(self, symbol: str, cause: str) -> None:
        self._books.is_doubted = True
        changes = self._books.risk.trip(BREAKER, cause, self._recorder.clock.now(), symbol)
        self._recorder.commit(self._recorder.breaker_events(changes))

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
