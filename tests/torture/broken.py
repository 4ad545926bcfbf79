"""Builds that are broken on purpose: each switch breaks one promise in the process it is applied in. Tests only.

Every switch must be caught by a harness; nothing of this exists in the product.

- `skip_fsync`: the journal acknowledges a commit without making its bytes durable (it never calls its `sync`).
- `send_before_commit`: the trader sends the orders of a decision while its commit is still under way.
- `resend_on_unknown`: an order whose result is unknown is sent again, under a new request and magic.
- `forget_revision`: a deal told again with other money is taken for the one that is booked.
- `close_by_identifier`: exits name their position by the identifier, not by the ticket told last.
- `forget_old_position`: what enters a position after its outcome was told belongs to no trade.
- `ignore_contract_changes`: contracts count in the first snapshot of a session alone.
- `accept_other_login`: whichever account a terminal is logged in to is taken for the one before.
- `deposits_are_profit`: what is paid in or out counts as profit or loss in the risk marks.
- `book_twice`: a deal told twice is recorded twice.
- `ignore_seal`: whoever scans a segment takes every group for what was written, whatever its seal says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from trading_assets.store import (
    journal_commit,
    journal_compress,
    journal_format,
    journal_reader,
    journal_recovery,
    journal_verify,
)


def break_build(switch: str) -> None:
    """Apply a switch in this process, for its whole life; an empty name breaks nothing. Raises KeyError."""
    if switch:
        _SWITCHES[switch]()


def _skip_fsync() -> None:
    original = journal_commit.CommitThread.__init__

    def init(self: Any, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        self._sync = lambda _descriptor: None

    journal_commit.CommitThread.__init__ = init  # type: ignore[method-assign]


def _send_before_commit() -> None:
    from live.trading.trader import Trader

    original = Trader._act

    async def act(self: Any, decision: Any, intents: Any, commit: Awaitable[None], *others: Any) -> None:
        pretended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        pretended.set_result(None)
        await original(self, decision, intents, pretended, *others)
        await self._recorder.durable(commit)

    Trader._act = act  # type: ignore[method-assign,assignment]


def _resend_on_unknown() -> None:
    import live.trading.sending
    from live.trading.reconciliation import Reconciliation

    original, original_command = Reconciliation.ask, live.trading.sending.command
    frames: dict[str, tuple[Any, dict[str, Any]]] = {}

    def remembering(intent: Any, *others: Any, **named: Any) -> Any:
        frames[intent.order.magic] = made = original_command(intent, *others, **named)
        return made

    async def ask(self: Any, **named: Any) -> None:
        for intent in self._books.orders.in_state("UNKNOWN"):
            if self._sender.link is None or intent.order.magic not in frames:
                continue
            kind, fields = frames[intent.order.magic]
            again = str(int(intent.order.magic) ^ 1)
            # Whoever sends again does not let the old deadline stand.
            later = {"request_id": again, "magic": again, "deadline_msc": fields["deadline_msc"] + 86_400_000}
            await self._sender.link.send(kind, **fields | later)
        await original(self, **named)

    live.trading.sending.command = remembering
    Reconciliation.ask = ask  # type: ignore[method-assign]


def _forget_revision() -> None:
    from live.books.known_deals import KnownDeals

    KnownDeals.is_as_booked = lambda _self, _facts: True  # type: ignore[method-assign]


def _close_by_identifier() -> None:
    from live.trading.sending import Sender

    Sender._ticket_of = lambda _self, order: order.position_id or "0"  # type: ignore[method-assign]


def _forget_old_position() -> None:
    from live.books.trades import Trade

    Trade.owns = lambda _self, _kind, _entry: False  # type: ignore[method-assign]


def _ignore_contract_changes() -> None:
    from live.trading.contracts import Contracts

    original = Contracts.take

    def take(self: Any, symbols: Any, chain_id: str, *, is_first: bool) -> Any:
        return original(self, symbols, chain_id, is_first=is_first) if is_first else []

    Contracts.take = take  # type: ignore[method-assign]


def _accept_other_login() -> None:
    from live.desk.admission import Admission

    Admission.problem = lambda _self, _hello: ""  # type: ignore[method-assign]
    Admission.check = lambda _self, _facts: None  # type: ignore[method-assign]


def _deposits_are_profit() -> None:
    from live.books.risk_state import RiskBook

    RiskBook.observe_cash = lambda _self, _amount: None  # type: ignore[method-assign]


def _book_twice() -> None:
    from live.books.known_deals import KnownDeals
    from live.trading.settlement import Settlement

    KnownDeals.is_as_booked = lambda _self, _facts: False  # type: ignore[method-assign]
    original = Settlement._revise

    async def revise(self: Any, changed: Any) -> bool:
        import live.trading.settlement as module

        compared, module.figures_of = module.figures_of, lambda _deal: object()  # type: ignore[assignment,return-value]
        try:
            return await original(self, changed)
        finally:
            module.figures_of = compared

    Settlement._revise = revise  # type: ignore[method-assign]


def _ignore_seal() -> None:
    original = journal_format.scan

    def scan(*arguments: Any, **named: Any) -> journal_format.Scan:
        found = original(*arguments, **named)
        blocks = [block._replace(problem="") for block in found.blocks]
        return found._replace(blocks=blocks)

    for module in (journal_format, journal_reader, journal_recovery, journal_verify, journal_compress):
        module.scan = scan  # type: ignore[attr-defined]


_SWITCHES: dict[str, Callable[[], None]] = {
    "skip_fsync": _skip_fsync,
    "send_before_commit": _send_before_commit,
    "resend_on_unknown": _resend_on_unknown,
    "ignore_seal": _ignore_seal,
    "forget_revision": _forget_revision,
    "close_by_identifier": _close_by_identifier,
    "forget_old_position": _forget_old_position,
    "ignore_contract_changes": _ignore_contract_changes,
    "accept_other_login": _accept_other_login,
    "deposits_are_profit": _deposits_are_profit,
    "book_twice": _book_twice,
}
SWITCHES = ("", *_SWITCHES)
