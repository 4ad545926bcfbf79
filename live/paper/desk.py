"""Between broker and bridge: carries out commands, and keeps their results until the daemon is known to have them.

No socket here. Each result is saved in the same transaction as what it reports, before it is sent (invariant 1, seen
from the other side): a result that could not be delivered, or whose delivery is not certain, is sent again later,
marked late. The faults of answers (lost, delayed, reordered, time-outs, rejects, partial fills) are drawn here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from live.paper.broker import Broker
from live.paper.faults import Faults
from live.paper.orders import Answer, Execution, Fill
from live.paper.state import PlayPosition, State
from trading_assets.core.messages import (
    CloseCommand,
    DealUpdate,
    FromTerminal,
    OrderCommand,
    OrderUpdate,
    PositionUpdate,
)

_TIMED_OUT = 10012


@dataclass
class Result:
    """One message about a trade. `seq`: under which it was sent in this session; None while it was not."""

    number: int
    message: FromTerminal
    turn: int
    """Turn from which it may be sent."""
    seq: int | None = None


class Desk:
    """Broker, state and the results on their way."""

    def __init__(self, broker: Broker, state: State, position: PlayPosition, faults: Faults) -> None:
        self.broker = broker
        self.position = position
        self._state = state
        self._faults = faults
        self._turn = 0
        self._attempts: Counter[str] = Counter()
        self._results = [Result(number, _late(message), 0) for number, message in state.load_results()]
        self._last_number = max((result.number for result in self._results), default=0)

    def carry_out(self, command: OrderCommand | CloseCommand, now_msc: int) -> None:
        """Carry out a command, save what it did and its results, and queue them."""
        execution = self._execution(command)
        if isinstance(command, OrderCommand):
            answer = self.broker.open(command, now_msc, execution)
        else:
            answer = self.broker.close(command, now_msc, execution)
        self._queue(self._told(command, answer))

    def report(self, fills: Sequence[Fill], chain_id: str) -> None:
        """Save and queue what happened at the broker without a command."""
        self._queue([(message, 0) for message in messages_of(fills, chain_id)])

    def sendable(self) -> list[Result]:
        """Return the results to send now, oldest first."""
        return [result for result in self._results if result.seq is None and result.turn <= self._turn]

    def next_turn(self) -> bool:
        """Begin the next step, so that results held back by a fault may go; return whether there are any to send."""
        self._turn += 1
        return bool(self.sendable())

    def acknowledge(self, seq: int, position: PlayPosition) -> None:
        """Forget the results sent up to `seq` and save the play position."""
        done = [result.number for result in self._results if result.seq is not None and result.seq <= seq]
        if done:
            self._results = [result for result in self._results if result.number not in done]
        self.position = position
        self._state.save(position, self.broker.book.take_changes(), delivered=done)

    def move(self, position: PlayPosition) -> None:
        """Take note of the play position; it is saved with the next change or acknowledgement."""
        self.position = position

    def save(self) -> None:
        """Save as it is now."""
        self._state.save(self.position, self.broker.book.take_changes())

    def lost_connection(self) -> None:
        """Results without an acknowledgement are sent again, marked late."""
        self._results = [Result(result.number, _late(result.message), result.turn) for result in self._results]

    def _execution(self, command: OrderCommand | CloseCommand) -> Execution:
        faults, key = self._faults, command.request_id
        # A command refused for a passing reason comes again under its id, and need not be refused again.
        self._attempts[key] += 1
        if faults.strikes(faults.rejects, "reject", f"{key} {self._attempts[key]}"):
            return Execution(retcode=faults.reject_retcode)
        is_half = isinstance(command, OrderCommand) and faults.strikes(faults.partial_fills, "partial", key)
        is_split = faults.strikes(faults.split_fills, "split", key)
        return Execution(filled_share=Decimal("0.5") if is_half else Decimal(1), parts=2 if is_split else 1)

    def _told(self, command: OrderCommand | CloseCommand, answer: Answer) -> list[tuple[FromTerminal, int]]:
        """Return what the daemon is told of an answer, each message with how many turns later."""
        faults, key = self._faults, command.request_id
        update = OrderUpdate(
            session="", seq=0, sent_msc=0, chain_id=command.chain_id, request_id=answer.request_id, retcode=answer.retcode,
            order=answer.order, comment=answer.comment,
        )  # fmt: skip
        fills = messages_of(answer.fills, command.chain_id)
        if answer.is_repeat:
            return [(update, 0)]
        if faults.strikes(faults.lost_answers, "lost", key):
            return []
        if fills and faults.strikes(faults.timeouts, "timeout", key):
            timed_out = msgspec.structs.replace(update, retcode=_TIMED_OUT, order=None, comment="timed out")
            return [(timed_out, 0), *((message, 1) for message in fills)]
        messages = [*fills, update] if faults.strikes(faults.reordered_results, "reordered", key) else [update, *fills]
        wait = 1 if faults.strikes(faults.delayed_answers, "delayed", key) else 0
        return [(message, wait) for message in messages]

    def _queue(self, messages: Sequence[tuple[FromTerminal, int]]) -> None:
        """Save what changed together with the messages that report it, and queue these."""
        numbered = enumerate(messages, start=self._last_number + 1)
        results = [Result(number, message, self._turn + wait) for number, (message, wait) in numbered]
        self._last_number += len(results)
        self._results.extend(results)
        changes = self.broker.book.take_changes()
        if changes or results:
            self._state.save(self.position, changes, [(result.number, result.message) for result in results])


def messages_of(fills: Sequence[Fill], chain_id: str) -> list[FromTerminal]:
    """Return the messages that report fills: each deal, then its position."""
    messages: list[FromTerminal] = []
    for fill in fills:
        messages.append(
            DealUpdate(session="", seq=0, sent_msc=0, chain_id=chain_id, deal=fill.deal, account=fill.account)
        )
        messages.append(PositionUpdate(session="", seq=0, sent_msc=0, chain_id=chain_id, position=fill.position))
    return messages


def _late(message: FromTerminal) -> FromTerminal:
    return msgspec.structs.replace(message, is_late=True) if isinstance(message, DealUpdate) else message
