"""Which account's hello is taken: that of the sessions before it, or the one a person has accepted.

The first session of an account says whose it is. Another login, server, currency or margin mode is refused until
`trading account accept`, or the settings' `login`, says that it is meant. The same login on a server of another name goes on with
the same books; another account begins with empty ones, and its deals are told apart from the earlier one's.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from live.books.account_identity import AccountIdentity, identity_of
from trading_assets.core.errors import InputError
from trading_assets.core.messages import AccountFacts, Hello
from trading_assets.core.records.record import Record
from trading_assets.core.records.trading import ACCOUNT_CHANGE, AccountChange, Deal

if TYPE_CHECKING:
    from live.desk.account import Account

_ZERO = Decimal(0)


class Admission:
    """Keeps one account for the broker's account it was begun with."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._refused: AccountIdentity | None = None
        """The account that was refused last, which a person may accept."""

    def problem(self, hello: Hello) -> str:
        """Say why a hello is refused; empty when it is taken. What the settings' login names is accepted by a person's word."""
        account, told = self._account, identity_of(hello.account)
        named, held = account.settings.login, account.books.identity
        if named is not None and told.login != named:
            return f"the terminal is logged in to {told.login}, account {account.name} is {named}; log in there"
        if held is None or held.is_same(told):
            self._refused = None
            return ""
        if not held.has_currency_of(told):
            return f"{_differs(told, held, account.name)}; {_ANOTHER_ENTRY}"
        if named is not None and told.login != held.login:
            self._change(held, told, "the settings name its login")
            return ""
        self._refused = told
        return (
            f"{_differs(told, held, account.name)}; log in to that one again, or, if this one is meant from now on, give "
            f"`trading account accept {account.name}` and connect again"
        )

    def check(self, facts: AccountFacts) -> None:
        """Look at the account within a session. Raises InputError when it is another one: then it must say hello first."""
        held, told = self._account.books.identity, identity_of(facts)
        if held is not None and not held.is_same(told):
            where = f"session of account {self._account.name}"
            raise InputError(
                "taking", where, f"it was {held.words}, it is {told.words} now", "say hello after a change of account"
            )

    def accept(self) -> tuple[bool, str]:
        """A person says that the account refused last is meant; returns whether that is done, and the answer."""
        account, held, told = self._account, self._account.books.identity, self._refused
        if held is None or told is None:
            return False, (
                f"no other account was refused for {account.name} since the daemon's start; connect the terminal that is logged in to it"
            )
        self._refused = None
        return True, self._change(held, told, "by a person's command")

    def _change(self, held: AccountIdentity, told: AccountIdentity, cause: str) -> str:
        account, recorder = self._account, self._account.recorder
        books = account.books
        now, is_renamed = recorder.clock.now(), held.is_renamed(told)
        change = recorder.make(
            AccountChange,
            now,
            recorder.chain(),
            login=told.login,
            server=told.server,
            currency=told.currency,
            margin_mode=told.margin_mode,
            former_login=held.login,
            former_server=held.server,
            is_renamed=is_renamed,
            deal_prefix=books.deal_prefix if is_renamed else told.deal_prefix,
            cause=cause,
        )
        records: list[Record] = [change]
        left = len(books.trades.open_trades())
        if not is_renamed:
            records += self._closed_out(held)
            account.holdings.begin_anew()
        books.change_account(change)
        recorder.commit(records)
        recorder.log.warning("another account is meant from now on", account_before=held.words, account_now=told.words)
        if is_renamed:
            return f"{account.name} is {told.words} from now on, by its login the same account as {held.words}: its books go on"
        lost = f"; {left} open trades of the earlier one are no longer followed" if left else ""
        return f"{account.name} is {told.words} from now on, no longer {held.words}: its books begin anew{lost}"

    def _closed_out(self, held: AccountIdentity) -> list[Record]:
        """Take the earlier account's money out of the ledger, as a withdrawal and not as a loss: what follows is another's."""
        recorder, books = self._account.recorder, self._account.books
        now, records = recorder.clock.now(), list[Record]()
        for kind, amount in (("BALANCE", books.balance), ("CREDIT", books.credit)):
            if amount:
                records.append(
                    recorder.make(
                        Deal, now, recorder.chain(), deal_ticket=f"{held.deal_prefix}end:{kind}:{recorder.chain()}",
                        order_ticket="0", position_id="0", trade_id=None, signal_id=None, magic="0", symbol="", kind=kind,
                        entry="IN", reason=ACCOUNT_CHANGE, volume_lots=_ZERO, price=0.0, profit=-amount, commission=_ZERO,
                        swap=_ZERO, fee=_ZERO, slippage_points=None, comment=f"{held.words} is no longer the account",
                        server_msc=self._account.rule.to_server(now),
                    )
                )  # fmt: skip
        return records


def _differs(told: AccountIdentity, held: AccountIdentity, name: str) -> str:
    return f"the terminal is logged in to {told.words}, account {name} is {held.words}"


_ANOTHER_ENTRY = "an account in another currency needs its own [[accounts]] entry in the settings, and a token for it"
