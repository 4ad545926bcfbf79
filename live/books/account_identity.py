"""Whose account it is: login, server, currency and margin mode of its sessions, held until a person says that they are others.

Pure. Which hello is refused is `live.desk.admission`'s business.
"""

from __future__ import annotations

from typing import NamedTuple

from trading_assets.core.messages import AccountFacts
from trading_assets.core.records.trading import Session


class AccountIdentity(NamedTuple):
    """What tells one account at a broker from another."""

    login: str
    server: str
    currency: str
    """Empty: not on record, so any."""
    margin_mode: str

    @property
    def words(self) -> str:
        currency = f"{self.currency}, " if self.currency else ""
        return f"{self.login} on {self.server} ({currency}{self.margin_mode})"

    @property
    def deal_prefix(self) -> str:
        """What tells deals of this account from those of an earlier one: ticket numbers are unique on one server only."""
        return f"{self.login}@{self.server}:"

    def is_same(self, other: AccountIdentity) -> bool:
        """Return whether this may be the same session's account: nothing known differs."""
        return self[:2] == other[:2] and self.margin_mode == other.margin_mode and self.has_currency_of(other)

    def has_currency_of(self, other: AccountIdentity) -> bool:
        return not self.currency or not other.currency or self.currency == other.currency

    def is_renamed(self, other: AccountIdentity) -> bool:
        """Return whether the other is this account on a server of another name: its money and deals go on."""
        return self.login == other.login and self.margin_mode == other.margin_mode and self.has_currency_of(other)


def identity_of(facts: AccountFacts) -> AccountIdentity:
    """Return the identity a terminal tells."""
    return AccountIdentity(facts.login, facts.server, facts.currency, facts.margin_mode)


def identity_on_record(session: Session) -> AccountIdentity:
    """Return the identity of a recorded session."""
    return AccountIdentity(session.login, session.server, session.currency, session.margin_mode)
