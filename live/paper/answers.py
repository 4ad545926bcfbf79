"""What the terminal answers when the daemon asks: snapshot, deals, history bars.

Bars stand on the server's clock, as in a real terminal (an H4 bar opens at 00:00, 04:00, ... server time); they are
bid-based, never the forming one, without faulty quotes, and carry the spread of their last quote in points.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from live.paper.broker import Broker
from live.paper.feed import Feed
from live.paper.link import Link
from trading_assets.core.errors import InputError
from trading_assets.core.market.timeframes import MINUTES
from trading_assets.core.messages import BarFacts, Bars, Deals, Query, Snapshot, TerminalError

MAX_BARS = 100_000
_BARS_IN_A_FRAME = 2000


async def send_snapshot(link: Link, broker: Broker, symbols: tuple[str, ...]) -> None:
    """Send everything that is open, and the contracts of `symbols`."""
    facts = tuple(broker.contracts[symbol].facts for symbol in symbols)
    await link.send(Snapshot, account=broker.account(), symbols=facts, positions=broker.positions(), orders=())


async def send_deals(link: Link, broker: Broker, query: Query) -> None:
    """Send the deals of the time and symbol asked for; a `to_msc` of 0 means all since `from_msc`."""
    chosen = tuple(
        deal
        for deal in broker.book.deals
        if query.from_msc <= deal.time_msc
        and (not query.to_msc or deal.time_msc < query.to_msc)
        and query.symbol in ("", deal.symbol)
    )
    await link.send(Deals, request_id=query.request_id, deals=chosen)


async def send_bars(link: Link, feed: Feed, played: int, now_msc: int, query: Query, *, is_empty: bool) -> None:
    """Send the bars asked for, in several frames when they are many; none when the terminal is still downloading them."""
    try:
        bars = history_bars(feed, played, now_msc, query)
    except InputError as error:
        await link.send(TerminalError, request_id=query.request_id, code="unknown_chart", text=str(error))
        return
    bars = () if is_empty else bars
    named: dict[str, Any] = {"request_id": query.request_id, "symbol": query.symbol, "timeframe": query.timeframe}
    for begin in range(0, max(len(bars), 1), _BARS_IN_A_FRAME):
        end = begin + _BARS_IN_A_FRAME
        await link.send(Bars, **named, bars=bars[begin:end], is_last=end >= len(bars))


def history_bars(feed: Feed, played: int, now_msc: int, query: Query) -> tuple[BarFacts, ...]:
    """Return the bars asked for, oldest first. Raises InputError for an unknown chart.

    `played` quotes of the feed are history; `now_msc` is the server's time: a bar that ends later is still forming.
    """
    if query.symbol not in feed.symbols or query.timeframe not in MINUTES:
        known = f"{', '.join(feed.symbols)} in {', '.join(MINUTES)}"
        raise InputError(
            "answering history of", f"{query.symbol} {query.timeframe}", "there is no such chart", f"ask for {known}"
        )
    number, length = feed.symbols.index(query.symbol), MINUTES[query.timeframe] * 60_000
    chosen = np.flatnonzero((feed.instrument[:played] == number) & feed.is_tradable[:played])
    opens = feed.server_msc[chosen] // length * length
    within = (opens >= query.from_msc) & (opens < (query.to_msc or now_msc)) & (opens + length <= now_msc)
    chosen, opens = chosen[within], opens[within]
    firsts = np.flatnonzero(np.diff(opens, prepend=-1))
    firsts = firsts[-min(query.count or MAX_BARS, MAX_BARS) :]
    if not len(firsts):
        return ()
    chosen, opens = chosen[firsts[0] :], opens[firsts]
    return _bars(feed.bid[chosen], feed.ask[chosen], opens, firsts - firsts[0], feed.instruments[number].digits)


def _bars(
    bid: NDArray[np.float64], ask: NDArray[np.float64], opens: NDArray[np.int64], firsts: NDArray[np.intp], digits: int
) -> tuple[BarFacts, ...]:
    lasts = np.append(firsts[1:], len(bid)) - 1
    columns = {
        "time_msc": opens,
        "open": bid[firsts],
        "high": np.maximum.reduceat(bid, firsts),
        "low": np.minimum.reduceat(bid, firsts),
        "close": bid[lasts],
        "tick_volume": lasts - firsts + 1,
        "spread": np.rint((ask[lasts] - bid[lasts]) * 10**digits).astype(np.int64),
    }
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return tuple(BarFacts(**dict(zip(columns, row, strict=True))) for row in rows)
