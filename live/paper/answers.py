"""What the terminal answers when the daemon asks: snapshot, deals, history bars.

Bars stand on the server's clock, as in a real terminal (an H4 bar opens at 00:00, 04:00, ... server time); they are
bid-based, never the forming one, without faulty quotes, and carry the spread of their last quote in points.
"""

from __future__ import annotations

from bisect import bisect_left
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from live.paper.broker import Broker
from live.paper.faults import Faults
from live.paper.feed import Feed
from live.paper.link import Link
from trading_assets.core.errors import InputError
from trading_assets.core.market.timeframes import MINUTES
from trading_assets.core.messages import BarFacts, Bars, Deals, Query, Snapshot, TerminalError

MAX_BARS = 100_000
"""Most bars in one answer; `Conditions.max_bars` caps the chart itself."""
_BARS_IN_A_FRAME = 2000
# Some 400 bytes each: an account of years holds more than one frame may, and whoever reads one holds all of it.
_DEALS_IN_A_FRAME = 500
_time_of = attrgetter("time_msc")


async def send_snapshot(link: Link, broker: Broker, symbols: tuple[str, ...]) -> None:
    """Send everything that is open, and the contracts of `symbols`."""
    asks = {symbol: quoted.ask for symbol, quoted in broker.quotes.items()}
    facts = tuple(broker.contracts[one].told(asks.get(one, 0.0), broker.terms.leverage) for one in symbols)
    orders = tuple(working.order for working in broker.book.orders.values())
    await link.send(Snapshot, account=broker.account(), symbols=facts, positions=broker.positions(), orders=orders)


async def send_deals(link: Link, broker: Broker, query: Query) -> None:
    """Send the deals of the time and symbol asked for; a `to_msc` of 0 means all since `from_msc`."""
    deals = broker.book.deals
    # They lie in the order of their times, and there may be many.
    begin = bisect_left(deals, query.from_msc, key=_time_of)
    end = bisect_left(deals, query.to_msc, key=_time_of) if query.to_msc else len(deals)
    chosen = tuple(deal for deal in deals[begin:end] if query.symbol in ("", deal.symbol))
    for begin in range(0, max(len(chosen), 1), _DEALS_IN_A_FRAME):
        end = begin + _DEALS_IN_A_FRAME
        await link.send(Deals, request_id=query.request_id, deals=chosen[begin:end], is_last=end >= len(chosen))


async def send_bars(
    link: Link, feed: Feed, position: tuple[int, int], query: Query, faults: Faults, max_bars: int, *, is_empty: bool
) -> None:
    """Send the bars asked for, in several frames when they are many; none when the terminal is still downloading them.

    `position`: quotes played and the server's time.
    """
    played, now_msc = position
    try:
        bars = history_bars(feed, played, now_msc, query, max_bars)
    except InputError as error:
        await link.send(TerminalError, request_id=query.request_id, code="unknown_chart", text=str(error))
        return
    bars = () if is_empty else _with_holes(bars, query, faults)
    named: dict[str, Any] = {"request_id": query.request_id, "symbol": query.symbol, "timeframe": query.timeframe}
    for begin in range(0, max(len(bars), 1), _BARS_IN_A_FRAME):
        end = begin + _BARS_IN_A_FRAME
        await link.send(Bars, **named, bars=bars[begin:end], is_last=end >= len(bars))


def _with_holes(bars: tuple[BarFacts, ...], query: Query, faults: Faults) -> tuple[BarFacts, ...]:
    """Leave out the bars that are missing in this terminal's history."""
    if not faults.history_holes:
        return bars
    chart = f"{query.symbol} {query.timeframe}"
    return tuple(bar for bar in bars if not faults.strikes(faults.history_holes, "hole", f"{chart} {bar.time_msc}"))


def history_bars(feed: Feed, played: int, now_msc: int, query: Query, max_bars: int = MAX_BARS) -> tuple[BarFacts, ...]:
    """Return the bars asked for, oldest first. Raises InputError for an unknown chart.

    `max_bars` caps the chart, so that what is older does not exist. `played` quotes of the feed are history; `now_msc` is the server's time: a bar that ends later is still forming.
    """
    if query.symbol not in feed.symbols or query.timeframe not in MINUTES:
        known = f"{', '.join(feed.symbols)} in {', '.join(MINUTES)}"
        raise InputError(
            "answering history of", f"{query.symbol} {query.timeframe}", "there is no such chart", f"ask for {known}"
        )
    number, length = feed.symbols.index(query.symbol), MINUTES[query.timeframe] * 60_000
    chosen = np.flatnonzero((feed.instrument[:played] == number) & feed.is_tradable[:played])
    opens = feed.server_msc[chosen] // length * length
    closed = opens[opens + length <= now_msc]
    firsts = np.flatnonzero(np.diff(closed, prepend=-1))
    oldest = closed[firsts[-max_bars]] if len(firsts) > max_bars else 0
    within = (
        (opens >= oldest)
        & (opens >= query.from_msc)
        & (opens < (query.to_msc or now_msc))
        & (opens + length <= now_msc)
    )
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
