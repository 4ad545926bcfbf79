"""Which deals are booked: by ticket, and for those of long ago by the journal, which is asked and never presumed.

However long a process lives, it keeps the tickets of some time only. A deal from before that time whose ticket is not kept is
neither known nor new: it is looked up (`live.books.recovery`). Tickets are let go only of a time that was reconciled in full, so
that a deal nobody has booked stays within what the daily search asks for (invariant 5).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

from trading_assets.core.messages import DealFacts
from trading_assets.core.records.trading import Deal

# Tickets kept; beyond twice as many, those older than this before the last deal are let go.
_KEPT = 10_000
_KEPT_SPAN = timedelta(hours=6)
# A search in full asks from somewhat before `since`: what it tells of then is known by ticket, not looked up each time.
_KEPT_BEFORE = timedelta(hours=2)

Standing = Literal["booked", "new", "unsure"]


def figures_of(deal: Deal | DealFacts) -> int:
    """Return a number that differs for deals of one ticket whose type, reason, volume, price or money differ."""
    volume = deal.volume if isinstance(deal, DealFacts) else deal.volume_lots
    money = (deal.profit, deal.commission, deal.swap, deal.fee)
    return hash((deal.kind, deal.entry, deal.reason, volume, deal.price, *money))


class KnownDeals:
    """Deals of one account."""

    def __init__(self, most: int = _KEPT, span: timedelta = _KEPT_SPAN) -> None:
        self._most = most
        self._limit = 2 * most
        self._span = span
        self._at: dict[str, datetime] = {}
        self._figures: dict[str, int] = {}
        self._reconciled_until: datetime | None = None
        self.last_at: datetime | None = None
        """Time of the last deal; one said to be of a time to come is of when it was told, or it would hide all after it."""
        self.since: datetime | None = None
        """Deals before this may be booked although their tickets are not kept; None when all are."""

    def __len__(self) -> int:
        """Tickets kept."""
        return len(self._at)

    def __contains__(self, ticket: str) -> bool:
        return ticket in self._at

    @property
    def is_full(self) -> bool:
        """Whether more tickets are kept than need be: a search in full lets the oldest go."""
        return len(self._at) > self._limit

    def add(self, deal: Deal) -> None:
        """A deal is booked."""
        self._at[deal.deal_ticket] = deal.event_at
        self._figures[deal.deal_ticket] = figures_of(deal)
        at = min(deal.event_at, deal.known_at)
        self.last_at = max(at, self.last_at or at)

    def forget(self, ticket: str) -> None:
        """A deal is not booked after all."""
        self._at.pop(ticket, None)
        self._figures.pop(ticket, None)

    def is_as_booked(self, facts: DealFacts) -> bool:
        """Return whether a booked deal is told with the figures it is booked with; False also where those are not kept."""
        return self._figures.get(facts.ticket) == figures_of(facts)

    def standing(self, ticket: str, at: datetime) -> Standing:
        """Return whether a deal is booked (invariant 3); `unsure`: only the journal can tell."""
        if ticket in self._at:
            return "booked"
        return "unsure" if self.since is not None and at < self.since else "new"

    def found(self, tickets: Iterable[tuple[str, datetime]]) -> None:
        """The journal holds these: they are booked."""
        self._at.update(tickets)

    def reconciled(self, since: datetime | None, until: datetime) -> None:
        """The terminal has told every deal from `since` (None: all there are) to `until`, and they are booked."""
        reached = self._reconciled_until
        if since is not None and (reached is None or since > reached) and (self.since is None or since > self.since):
            return  # What lies between was not asked for.
        self._reconciled_until = until if reached is None else max(reached, until)
        if self.is_full and self.last_at is not None:
            self._let_go(min(self.last_at, self._reconciled_until) - self._span)

    def _let_go(self, until: datetime) -> None:
        until = min(until, sorted(self._at.values())[-self._most])
        kept = {ticket: at for ticket, at in self._at.items() if at >= until - _KEPT_BEFORE}
        if len(kept) < len(self._at):
            self.since = until if self.since is None else max(until, self.since)
            self._at = kept
            self._figures = {ticket: figures for ticket, figures in self._figures.items() if ticket in kept}
        # Where all of them are recent it is not looked again at the next search.
        self._limit = 2 * max(self._most, len(kept))
