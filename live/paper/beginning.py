"""How a run begins: the account with the contracts of the feed's symbols, and where in the feed the play starts.

What was saved before comes from `state`; the run itself is `terminal`'s.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from live.paper.account import Terms
from live.paper.book import Book
from live.paper.broker import Broker
from live.paper.contracts import standard_contract
from live.paper.feed import Feed
from trading_assets.core.errors import InputError

_DAY_MS = 86_400_000
_SESSION_SHIFT_MS = 2 * 3_600_000
"""FX days begin in the evening: shifted by this, a session lies on one UTC date."""


def open_account(feed: Feed, book: Book, commission_per_lot: Decimal, terms: Terms) -> Broker:
    """Return the account on a feed's symbols. Raises InputError for a symbol that cannot be traded."""
    contracts = {}
    for number, instrument in enumerate(feed.instruments):
        usable = np.flatnonzero((feed.instrument == number) & feed.is_tradable)
        if not len(usable):
            raise InputError(
                "playing",
                instrument.symbol,
                "not one of its quotes can be traded at",
                "pass a file with valid bid and ask prices",
            )
        price = float(feed.bid[usable[0]])
        contract = standard_contract(instrument.symbol, instrument.digits, price, terms.currency, commission_per_lot)
        contracts[instrument.symbol] = terms.conditions.apply(contract)
    return Broker(terms, contracts, book)


def start_index(feed: Feed, history_days: int) -> int:
    """Return the first quote after `history_days` trading days. Raises InputError when nothing would be left to play."""
    days = (feed.at_ms + _SESSION_SHIFT_MS) // _DAY_MS
    firsts = np.flatnonzero(np.diff(days, prepend=-1))
    # A Sunday evening belongs to Monday's session; a Saturday of a faulty file counts as a day of its own.
    if history_days >= len(firsts):
        problem = f"{history_days} of its {len(firsts)} trading days are history, none is left to play"
        raise InputError("playing", feed.description, problem, "lower --history-days")
    return int(firsts[history_days])
