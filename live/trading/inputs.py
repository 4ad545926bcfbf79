"""What one decision is made on, gathered from feed and books: all of it goes into the record (invariant 6). Nothing is decided here."""

from __future__ import annotations

from datetime import datetime

from live.books.books import Books, Terms
from live.books.trades import Trade
from live.market.feed import Feed
from live.market.window import View
from trading_assets.core.decisions import weekend
from trading_assets.core.market.bars import BarValues
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.records.decisions import AccountState, DecisionInputs, OpenPosition, SymbolState
from trading_assets.core.trades.outcomes import candidate_of


def inputs_of(
    bar: BarValues,
    view: View,
    now: datetime,
    terms: Terms,
    feed: Feed,
    books: Books,
    account: AccountState,
    spec: SymbolState,
) -> DecisionInputs:
    """Return what is known at `now`, entries under way on other symbols included."""
    symbol = bar.symbol
    quote, trade = feed.last[symbol], books.trades.open_on(symbol)
    week_end = books.week_ends.get(symbol)
    is_closed = books.orders.is_market_closed(symbol, quote.at)
    return DecisionInputs(
        bid=quote.bid,
        ask=quote.ask,
        quote_at=quote.at,
        base_bar_count=view.base_bar_count,
        account_state=account,
        symbol_state=spec,
        position=None if trade is None else position_of(trade, feed),
        risk=books.risk.state(
            now,
            books.open_positions,
            len(books.orders.pending(symbol)),
            books.exposure(symbol, terms.raw_symbols[symbol]),
            symbol,
        ),
        limits=books.limits,
        is_late=quote.is_late,
        week_ends_at=None if week_end is None else weekend.week_end(terms.rule.rule, week_end, now),
        contract_problem=books.contract_problems.get(symbol, ""),
        bar_problem=feed.gaps.problem(symbol, bar.open_at, bar.close_at),
        market_closed_at=books.orders.market_closed_at[symbol] if is_closed else None,
    )


def position_of(trade: Trade, feed: Feed) -> OpenPosition:
    """Return an open trade as its symbol's decision sees it; stop and target are those the terminal holds."""
    decision, candidate = trade.decision, candidate_of(trade.decision)
    quote, window = feed.last[decision.symbol], feed.windows[decision.symbol]
    side = 1.0 if candidate.kind == "LONG" else -1.0
    price = quote.bid if side > 0.0 else quote.ask
    entry = trade.entry_price
    return OpenPosition(
        trade_id=trade.trade_id,
        signal_id=decision.signal_id,
        position_id=trade.position_id,
        side="BUY" if side > 0.0 else "SELL",
        volume_lots=trade.open_lots,
        entry_price=entry,
        stop_price=(candidate.stop_price or 0.0) if trade.stop_price is None else trade.stop_price,
        target_price=(candidate.target_price or 0.0) if trade.target_price is None else trade.target_price,
        opened_at=trade.opened_at,
        bars_held=window.bars_since(to_ms(decision.bar_close_at)),
        timeout_bars=candidate.timeout_bars or 0,
        unrealised_r=side * (price - entry) / (candidate.risk_unit or 1.0),
    )
