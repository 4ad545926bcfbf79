"""Exits no decision asks for: positions of ours its symbol's decision does not see, closed at their time or before the weekend.

A decision sees one open trade. What is held beside it, or without a trade (`live.books.unowned`), has no signal to follow: it keeps its
stop and target, its time limit and the weekend's exit, and nothing else closes it.
"""

from __future__ import annotations

from datetime import datetime

from live.books.books import Books, Terms
from live.books.orders import Intent
from live.books.trades import Trade
from live.books.unowned import Unowned
from live.market.feed import Feed
from live.trading.inputs import position_of
from trading_assets.core.decisions.actions import due
from trading_assets.core.ids import trade_id
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.records.decisions import Decision, OpenPosition


def due_exits(decision: Decision, terms: Terms, feed: Feed, books: Books) -> list[Intent]:
    """Plan the exits that are due on the decision's symbol, but that of the position it decided on."""
    held = [position_of(trade, feed) for trade in books.trades.beside(decision.symbol)]
    raw = terms.raw_symbols[decision.symbol]
    held += [_position_of(one, decision, terms, feed) for one in books.unowned.values() if one.facts.symbol == raw]
    closing = {intent.order.position_id for intent in books.orders.pending(decision.symbol)}
    at, week_ends_at = decision.bar_close_at, decision.inputs.week_ends_at
    intents = []
    for position in held:
        reason = due(terms.strategy, position, at, week_ends_at)
        if reason and position.position_id not in closing:
            intents.append(books.orders.plan_exit(decision, position, reason))
    return intents


def _position_of(one: Unowned, decision: Decision, terms: Terms, feed: Feed) -> OpenPosition:
    """Return a position without a trade as a rule for exits sees it: of a lost trade the longest time limit holds."""
    facts, trade = one.facts, one.trade
    opened_at = _opened_at(one, terms)
    side = 1.0 if facts.side == "BUY" else -1.0
    price = decision.inputs.bid if side > 0.0 else decision.inputs.ask
    signal = decision.signal_id if trade is None else trade.decision.signal_id
    return OpenPosition(
        trade_id=trade_id(signal),
        signal_id=signal,
        position_id=facts.identifier,
        side=facts.side,
        volume_lots=facts.volume,
        entry_price=facts.price_open,
        stop_price=facts.sl,
        target_price=facts.tp,
        opened_at=opened_at,
        bars_held=feed.windows[decision.symbol].bars_since(to_ms(opened_at)),
        timeout_bars=_timeout_of(trade, terms),
        unrealised_r=side * (price - facts.price_open),
    )


def _opened_at(one: Unowned, terms: Terms) -> datetime:
    if one.trade is not None:
        return one.trade.decision.bar_close_at
    return terms.rule.to_utc(one.facts.time_msc)


def _timeout_of(trade: Trade | None, terms: Terms) -> int:
    if trade is not None:
        chosen = [one.timeout_bars for one in trade.decision.candidates if one.idea_id == trade.decision.idea_id]
        if chosen and chosen[0]:
            return chosen[0]
    return max(profile.timeout_bars for profile in terms.strategy.exit_profiles)
