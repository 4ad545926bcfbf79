"""What belongs to the beginning of a session besides its messages: its record, the trader's limits, the notice of a halt."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from live.books.risk_state import RiskBook
from live.bridge.link import Link
from live.desk.account import Account
from trading_assets.core.messages import Halt, Hello
from trading_assets.core.records.decisions import TraderLimits
from trading_assets.core.records.trading import Session

_HALT = "halt"


class HaltNotice:
    """Tells the terminal when entries are halted, and when they are no more; each once."""

    def __init__(self, risk: RiskBook) -> None:
        self._risk = risk
        self._is_told = False

    def restart(self) -> None:
        """A new session: nothing was told."""
        self._is_told = False

    async def tell(self, link: Link | None) -> None:
        """Tell what has changed."""
        is_halted = self._risk.is_tripped(_HALT)
        if link is None or not link.session or is_halted == self._is_told:
            return
        self._is_told = is_halted
        causes = [state.cause for state in self._risk.tripped if state.breaker == _HALT]
        await link.send(Halt, reason=causes[0] if causes else "entries are allowed again", is_lifted=not is_halted)


def our_limits(limits: TraderLimits | None, names: Mapping[str, str]) -> TraderLimits | None:
    """Return the trader's limits with the symbols as we call them; those that are not traded here have no name."""
    if limits is None or limits.allowed_symbols is None:
        return limits
    allowed = tuple(names[symbol] for symbol in limits.allowed_symbols if symbol in names)
    return msgspec.structs.replace(limits, allowed_symbols=allowed)


def session_record(account: Account, link: Link, hello: Hello) -> Session:
    """Return the record of a session that begins."""
    recorder = account.recorder
    return recorder.make(
        Session,
        recorder.clock.now(),
        hello.chain_id or recorder.chain(),
        session=link.session,
        login=hello.account.login,
        server=hello.account.server,
        company=hello.account.company,
        margin_mode=hello.account.margin_mode,
        build=hello.build,
        clock_rule=account.rule.name,
        currency=hello.account.currency,
        deal_prefix=account.books.deal_prefix,
        limits=account.books.limits,
    )
