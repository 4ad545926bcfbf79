"""How what happened at the broker is told: the messages of an answer, and what a terminal's events suffer on the way.

`OrderSend`'s result is an `OrderUpdate`; deals and positions are events, which MetaTrader neither orders nor
guarantees. Each message comes with the number of turns it is held back. When it is sent is `desk`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from live.paper.faults import Faults
from live.paper.orders import Answer, Command, Fill
from trading_assets.core.messages import AccountFacts, DealFacts, DealUpdate, FromTerminal, OrderUpdate, PositionUpdate

Told = list[tuple[FromTerminal, int]]


def tell_answer(faults: Faults, command: Command, answer: Answer) -> Told:
    """Return what the daemon is told of an answer."""
    key, update = command.request_id, update_of(command, answer)
    fills = events(faults, messages_of(answer.fills, command.chain_id), key)
    if answer.is_repeat:
        return [(update, 0)]
    if faults.strikes(faults.lost_answers, "lost", key):
        return []
    if fills and faults.strikes(faults.timeouts, "timeout", key):
        return [
            (unknown_update(faults, command), 0),
            *((message, 1 + wait) for message, wait in with_waits(faults, fills, key)),
        ]
    messages = [*fills, update] if faults.strikes(faults.reordered_results, "reordered", key) else [update, *fills]
    if faults.strikes(faults.shuffled_events, "shuffled", key):
        messages = faults.shuffle(messages, "order of", key)
    wait = 1 if faults.strikes(faults.delayed_answers, "delayed", key) else 0
    return [(message, wait + more) for message, more in with_waits(faults, messages, key)]


def tell_settled(faults: Faults, command: Command, answer: Answer) -> Told:
    """Return what the daemon is told when a working order got further or ended: deals first, then the order."""
    key = f"{command.request_id} {answer.order.volume_current if answer.order else ''}"
    messages = events(faults, messages_of(answer.fills, command.chain_id), key)
    return with_waits(faults, [*messages, update_of(command, answer)], key)


def tell_events(faults: Faults, fills: Sequence[Fill], chain_id: str) -> Told:
    """Return what the daemon is told of what happened without a command."""
    key = " ".join(fill.deal.ticket if fill.deal else fill.position.ticket for fill in fills)
    messages = events(faults, messages_of(fills, chain_id), key)
    if faults.strikes(faults.shuffled_events, "shuffled", key):
        messages = faults.shuffle(messages, "order of", key)
    return with_waits(faults, messages, key)


def with_waits(faults: Faults, messages: Sequence[FromTerminal], key: str) -> Told:
    """Return each message with the turns it is held back: one for an event that is late."""
    return [
        (
            message,
            int(not isinstance(message, OrderUpdate) and faults.strikes(faults.late_events, "late", f"{key} {nth}")),
        )
        for nth, message in enumerate(messages)
    ]


def tell_deals(deals: Sequence[DealFacts], account: AccountFacts, chain_id: str, wait: int) -> Told:
    """Return what the daemon is told of deals that changed no position, or are told again."""
    return [
        (DealUpdate(session="", seq=0, sent_msc=0, chain_id=chain_id, deal=deal, account=account), wait)
        for deal in deals
    ]


def unknown_update(faults: Faults, command: Command) -> OrderUpdate:
    """Return a result that does not say what happened."""
    retcode = faults.choose(faults.unknown_retcodes, "retcode", command.request_id)
    words = "timed out" if retcode == 10012 else "the result is not known"
    return update_of(command, Answer(command.request_id, retcode, None, words))


def update_of(command: Command, answer: Answer) -> OrderUpdate:
    """Return the message that reports an answer."""
    return OrderUpdate(
        session="", seq=0, sent_msc=0, chain_id=command.chain_id, request_id=answer.request_id, retcode=answer.retcode,
        order=answer.order, comment=answer.comment,
    )  # fmt: skip


def messages_of(fills: Sequence[Fill], chain_id: str) -> list[FromTerminal]:
    """Return the messages that report fills: each deal, then its position."""
    messages: list[FromTerminal] = []
    for fill in fills:
        if fill.deal is not None:
            messages.append(
                DealUpdate(session="", seq=0, sent_msc=0, chain_id=chain_id, deal=fill.deal, account=fill.account)
            )
        messages.append(PositionUpdate(session="", seq=0, sent_msc=0, chain_id=chain_id, position=fill.position))
    return messages


def events(faults: Faults, messages: Sequence[FromTerminal], key: str) -> list[FromTerminal]:
    """Lose and double events as asked for; of a queue that is too short the oldest are lost."""
    kept: list[FromTerminal] = []
    for number, message in enumerate(messages):
        if faults.strikes(faults.lost_events, "lost event", f"{key} {number}"):
            continue
        kept.append(message)
        if faults.strikes(faults.duplicated_events, "doubled event", f"{key} {number}"):
            kept.append(message)
    return kept[-faults.event_queue :] if faults.event_queue else kept


def late(message: FromTerminal) -> FromTerminal:
    """Return the message marked as delivered late, where it can be."""
    return msgspec.structs.replace(message, is_late=True) if isinstance(message, DealUpdate) else message
