"""What became of orders, booked: their results, and the deals of the account.

The broker is right about the past (invariant 5): a deal is booked whether or not it was expected, once, by its ticket.
What the account holds is `live.trading.holdings`'; comparing everything at once is `live.trading.reconciliation`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set
from typing import Any

import msgspec

from live.books.books import Books
from live.books.known_deals import figures_of
from live.books.orders import Intent
from live.books.recovery import Past
from live.books.trades import Trade
from live.clock import ServerClock
from live.market.feed import Feed
from live.recorder import Recorder
from live.settings import AccountSettings
from live.trading.holdings import Holdings
from live.trading.protection import Protector
from live.trading.sending import Sender
from trading_assets.core.decisions.breakers import rule_of
from trading_assets.core.errors import TradingError
from trading_assets.core.messages import AccountFacts, DealFacts, OrderUpdate
from trading_assets.core.records.record import Record
from trading_assets.core.records.trading import Deal, Outcome
from trading_assets.core.trades.deal_kinds import KINDS
from trading_assets.core.trades.lifecycle import MARKET_CLOSED, Answered, Ended, Filled, result_of
from trading_assets.core.trades.outcomes import revised as revised_outcome

# Deals the server makes for its own ends: what it closed by them it may book anew.
_SERVICE_REASONS = ("ROLLOVER", "VMARGIN", "SPLIT", "CORPORATE_ACTION")


class Settlement:
    """Books one account's results."""

    def __init__(
        self,
        recorder: Recorder,
        settings: AccountSettings,
        rule: ServerClock,
        feed: Feed,
        books: Books,
        sender: Sender,
        protector: Protector,
        holdings: Holdings,
        past: Past,
    ) -> None:
        self._recorder = recorder
        self._canonical = settings.symbols
        self._rule = rule
        self._feed = feed
        self._books = books
        self._sender = sender
        self._protector = protector
        self._holdings = holdings
        self._past = past
        self._unknown_kinds: set[str] = set()

    # --- orders ---------------------------------------------------------------------------------------------------

    async def order_update(self, update: OrderUpdate) -> None:
        """Take the answer to an order."""
        if self._protector.answered(update):
            return
        orders = self._books.orders
        withdrawn = orders.withdrawn(update.request_id)
        if withdrawn is not None:
            self._ended(withdrawn, update)
            return
        intent = orders.find(update.request_id)
        if intent is None:
            self._recorder.error(
                "live.trading.settlement",
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
        if facts is not None and facts.magic == intent.order.magic:
            orders.answer(intent, facts.volume_initial - facts.volume_current)
        records: list[Record] = [] if record is None else [record]
        if result.kind == "throttled" and record is not None and record.state == "PLANNED":
            # The server is busy or the position frozen: back off, longer each time, then look at the price again.
            self._sender.back_off(intent)
        if update.retcode == MARKET_CLOSED:
            orders.market_closed_at[intent.order.symbol] = self._recorder.clock.now()
        if result.trips:
            cause = f"order refused with {update.retcode}: {result.words}"
            symbol = intent.order.symbol if rule_of(result.trips).scope == "symbol" else ""
            changed = self._books.risk.trip(result.trips, cause, self._recorder.clock.now(), symbol)
            records += self._recorder.breaker_events(changed, intent.order.chain_id)
        self._recorder.commit(records)
        match intent.order.state:
            case "REFUSED":
                self.came_to_nothing(intent)
            case "PLANNED":
                self._sender.try_again(intent)
            case _:
                self._ended(intent, update)

    def _ended(self, intent: Intent, update: OrderUpdate) -> None:
        """Take the terminal's word that an order ended without a fill: cancelled, expired or rejected after it was placed."""
        facts = update.order
        if facts is None or facts.magic != intent.order.magic or facts.volume_current != facts.volume_initial:
            return  # What the answer does not say is searched for (invariant 4).
        match facts.state:
            case "CANCELLED" | "EXPIRED" | "REFUSED":
                words = update.comment or f"{facts.state.lower()} at the broker"
                record = self._books.orders.advance(intent, Ended(facts.state), words, order_ticket=facts.ticket)
                if record is not None:
                    self._recorder.commit([record])
                    self.came_to_nothing(intent)

    def came_to_nothing(self, intent: Intent) -> None:
        """An order ended without a fill."""
        if not intent.order.filled_lots:
            self._sender.refused.failed(intent.order)
        if intent.order.purpose == "OPEN":
            self._books.trades.give_up(intent.order.trade_id)
        else:
            self._sender.closing_failed(intent.order.trade_id, f"the position was not closed: {intent.order.reason}")

    # --- deals ----------------------------------------------------------------------------------------------------

    async def deal(
        self, facts: DealFacts, chain_id: str, account: AccountFacts | None, *, is_late: bool = False
    ) -> None:
        """Book one deal, once; `account` is the account after it, where it is reported."""
        facts = self._told_apart(facts)
        if await self._doubtful([facts]):
            return
        if not self._is_told_otherwise(facts):
            await self._book(facts, chain_id, account, is_late=is_late)
        elif not is_late:
            # What was kept while the line was down may be older than what a search has told since.
            await self._revise([facts])
            if account is not None:
                self._holdings.account(account, chain_id)

    async def deals(self, told: Sequence[DealFacts]) -> bool:
        """Book the deals of an answer, each once; returns whether all of them are booked now."""
        told = [self._told_apart(facts) for facts in told]
        doubtful = await self._doubtful(told)
        changed = []
        for facts in told:
            if facts.ticket in doubtful:
                continue
            if self._is_told_otherwise(facts):
                changed.append(facts)
            else:
                await self._book(facts, "", None, is_late=False)
        return await self._revise(changed) and not doubtful

    def _is_told_otherwise(self, facts: DealFacts) -> bool:
        """Return whether a deal is booked, with other figures or with such as are not kept."""
        known = self._books.trades.known
        return facts.ticket in known and not known.is_as_booked(facts)

    async def _revise(self, changed: Sequence[DealFacts]) -> bool:
        """Record deals that changed after they were booked, and the outcomes they change; returns whether that could be done."""
        if not changed:
            return True
        times = {facts.ticket: self._rule.to_utc(facts.time_msc) for facts in changed}
        await self._recorder.settled()
        try:
            before = await asyncio.to_thread(self._past.tellings, times)
            if before.keys() != times.keys():
                return False  # Not on record yet: the next search tells it again.
            revised = [
                self._told_again(before[facts.ticket], facts)
                for facts in changed
                if figures_of(before[facts.ticket]) != figures_of(facts)
            ]
            endings = await asyncio.to_thread(self._endings, revised)
        except TradingError as error:
            self._recorder.error(
                "live.trading.settlement", f"{len(changed)} changed deals cannot be looked up: {error}"
            )
            return False
        for facts in changed:
            self._books.trades.correct(before[facts.ticket])
        for deal in revised:
            self._books.trades.correct(deal)
            self._books.money.deal(deal, before[deal.deal_ticket])
        for ending in endings:
            self._books.trades.told(ending)
        self._recorder.commit([*revised, *endings])
        return True

    def _told_again(self, before: Deal, facts: DealFacts) -> Deal:
        return msgspec.structs.replace(
            before,
            known_at=self._recorder.clock.now(),
            **_told_by(facts),
        )

    def _endings(self, revised: Sequence[Deal]) -> list[Outcome]:
        """Return the next revision of each outcome the deals change. Reads the journal: raises JournalError."""
        found = []
        for trade in dict.fromkeys(deal.trade_id for deal in revised if deal.trade_id is not None):
            theirs = [deal for deal in revised if deal.trade_id == trade]
            outcome, deals = self._past.ending(trade, min(deal.event_at for deal in theirs))
            if outcome is None:
                continue  # It is open: its outcome will count them.
            told = deals | {deal.deal_ticket: deal for deal in theirs}
            made = revised_outcome(outcome, list(told.values()), self._recorder.clock.now())
            if made is not None:
                found.append(made)
        return found

    def _told_apart(self, facts: DealFacts) -> DealFacts:
        """Return a deal under a ticket that no deal of an earlier account has: numbers are unique on one server only."""
        prefix = self._books.deal_prefix
        return msgspec.structs.replace(facts, ticket=prefix + facts.ticket) if prefix else facts

    async def _doubtful(self, told: Sequence[DealFacts]) -> Set[str]:
        """Look up deals of long ago in the journal; returns those of which that cannot be told: left alone, asked for again."""
        known = self._books.trades.known
        times = {facts.ticket: self._rule.to_utc(facts.time_msc) for facts in told}
        unsure = {ticket: at for ticket, at in times.items() if known.standing(ticket, at) == "unsure"}
        if not unsure:
            return frozenset()
        try:
            booked = await asyncio.to_thread(self._past.booked, unsure)
        except TradingError as error:
            self._recorder.error(
                "live.trading.settlement", f"{len(unsure)} deals of long ago cannot be looked up: {error}"
            )
            return unsure.keys()
        known.found((ticket, unsure[ticket]) for ticket in booked)
        return frozenset()

    async def _book(self, facts: DealFacts, chain_id: str, account: AccountFacts | None, *, is_late: bool) -> None:
        if facts.ticket in self._books.trades.known:
            return
        intent = self._books.orders.find(facts.magic)
        opening = intent.order if intent is not None and intent.order.purpose == "OPEN" else None
        trade = self._books.trades.trade_of(facts.position_id, opening, facts.kind, facts.entry)
        if trade is None and account is not None and self._may_be_ours(facts):
            return  # Its entry was not told yet: the next search brings both, in their order.
        deal = self._deal_record(facts, chain_id, trade, intent)
        if is_late:
            deal = msgspec.structs.replace(deal, is_late=True)
        if trade is not None and trade.is_settled:
            self._goes_on(trade, deal)
        elif trade is not None and intent is None and facts.entry == "IN":
            self._entered(trade, deal)
        before = None if intent is None else intent.order
        try:
            records = self._taken(deal, trade, intent)
        except Exception:
            # Half booked would be lost: in the books it is known, on record it is not. It is told again.
            self._books.trades.take_back(deal, trade)
            if intent is not None and before is not None:
                self._books.orders.put_back(intent, before)
            raise
        if account is not None:
            records.append(self._holdings.account_record(account, chain_id))
            self._holdings.see(account)
        self._recorder.commit(records)
        if trade is not None and trade.is_settled and facts.reason in _SERVICE_REASONS:
            self._holdings.doubt(deal)
        if trade is not None and trade.is_settled:
            await self._sender.position_closed(trade.trade_id)

    # --- details --------------------------------------------------------------------------------------------------

    def _taken(self, deal: Deal, trade: Trade | None, intent: Intent | None) -> list[Record]:
        """Let a deal count wherever it does; returns its record and those of what it brings about."""
        records: list[Record] = [deal]
        # A stop's or target's deal carries the magic of the entry, which it does not fill.
        # Nor does what the server itself books: a position reopened is no rest of a partly filled order.
        is_fill = deal.reason not in _SERVICE_REASONS
        if intent is not None and is_fill and (intent.order.purpose == "OPEN") == (deal.entry == "IN"):
            records += self._filled(intent, deal)
        if trade is None:
            self._books.trades.known.add(deal)
        else:
            if intent is not None and intent.order.purpose == "CLOSE":
                trade.close_reason = intent.order.close_reason
            records += self._books.trades.add(trade, deal, self._feed.last.get(deal.symbol))
        return [*records, *self._judged(deal)]

    def _may_be_ours(self, facts: DealFacts) -> bool:
        """Return whether a deal leaves a position nobody knows while an entry of ours is under way, maybe into it."""
        if facts.entry == "IN" or facts.position_id in self._books.foreign:
            return False
        symbol = self._canonical.get(facts.symbol, facts.symbol)
        return any(intent.order.purpose == "OPEN" for intent in self._books.orders.pending(symbol))

    def _entered(self, trade: Trade, deal: Deal) -> None:
        """On a netting account somebody else's entry merges with our position: booked with it, and told."""
        self._recorder.finding(
            "live.trading.settlement",
            f"trade {trade.trade_id}",
            "only our orders enter our position",
            f"deal {deal.deal_ticket} of {deal.volume_lots} lots with magic {deal.magic} entered it",
            "trade by hand on another account, or on symbols the daemon does not trade: its next exit closes this volume too",
        )

    def _goes_on(self, trade: Trade, deal: Deal) -> None:
        """A position was closed, its outcome told, and the server booked it anew: the trade goes on; told once for each deal."""
        self._recorder.finding(
            "live.trading.settlement",
            f"trade {trade.trade_id}",
            "a trade whose outcome is told has no further deals",
            f"deal {deal.deal_ticket} ({deal.entry}, {deal.reason}) of {deal.volume_lots} lots belongs to its position",
            "nothing: the trade goes on with its stop, target and time limit, and its outcome is told again at its end",
            "info",
        )

    def _filled(self, intent: Intent, deal: Deal) -> list[Record]:
        order = intent.order
        filled = order.filled_lots + deal.volume_lots
        if filled > order.volume_lots:
            return []  # The server booked its position anew: that is no fill of the order.
        changes: dict[str, object] = {"filled_lots": filled, "order_ticket": deal.order_ticket}
        if order.purpose == "OPEN":
            changes["position_id"] = deal.position_id
            self._sender.refused.entered(order.symbol)
        record = self._books.orders.advance(
            intent, Filled(filled, order.volume_lots), f"filled {filled} of {order.volume_lots} lots", **changes
        )
        return [] if record is None else [record]

    def _judged(self, deal: Deal) -> list[Record]:
        """Let a deal count in the risk state: what it did to the account, and slippage."""
        self._books.money.deal(deal)
        if deal.kind not in KINDS and deal.kind not in self._unknown_kinds:
            self._unknown_kinds.add(deal.kind)
            self._recorder.finding(
                "live.trading.settlement",
                f"deal {deal.deal_ticket}",
                "each deal is of a type MetaTrader documents",
                f"{deal.kind[:40]} is none; its money counts as profit or loss",
                "look the deal up in the terminal's history; where it is a deposit, the drawdown it makes is reset by"
                " `trading breaker reset drawdown_stop`",
            )
        changes = self._books.risk.observe_slippage(deal, self._recorder.clock.now())
        return list(self._recorder.breaker_events(changes, deal.chain_id))

    def _deal_record(self, facts: DealFacts, chain_id: str, trade: Trade | None, intent: Intent | None) -> Deal:
        symbol = self._canonical.get(facts.symbol, facts.symbol)
        chain = trade.decision.chain_id if trade else chain_id
        slippage_points, slippage_r = self._slippage(facts, trade, intent)
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
            **_told_by(facts),
            slippage_points=slippage_points,
            slippage_r=slippage_r,
            server_msc=facts.time_msc,
        )

    def _slippage(
        self, facts: DealFacts, trade: Trade | None, intent: Intent | None
    ) -> tuple[float | None, float | None]:
        """Return the fill against the price expected, positive when worse: in points of the decision's contract, and in R.

        None where no price was expected.
        """
        if trade is None or facts.kind not in ("BUY", "SELL"):
            return None, None
        decision = trade.decision
        # A stop that a person moved is reached where it was moved to.
        stop = decision.stop_price if trade.stop_price is None else trade.stop_price
        target = decision.target_price if trade.target_price is None else trade.target_price
        expected = {"SL": stop, "TP": target}.get(facts.reason)
        if intent is not None and facts.reason == "EXPERT":
            expected = intent.order.price
        if not expected:
            return None, None
        worse = facts.price - expected if facts.kind == "BUY" else expected - facts.price
        risk_unit = abs((decision.entry_price or 0.0) - (decision.stop_price or 0.0))
        points = round(worse / decision.inputs.symbol_state.point, 6)
        return points, round(worse / risk_unit, 9) if risk_unit else None


def _told_by(facts: DealFacts) -> dict[str, Any]:
    """Return what a deal's telling says of it, by the fields of its record: all that a later telling may change."""
    return {
        "kind": facts.kind,
        "entry": facts.entry,
        "reason": facts.reason,
        "volume_lots": facts.volume,
        "price": facts.price,
        "profit": facts.profit,
        "commission": facts.commission,
        "swap": facts.swap,
        "fee": facts.fee,
        "comment": facts.comment,
    }
